"""A scheme as a value: its two forms, replacing fields, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from torch import nn

from qbench.errors import ConfigError
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import SCHEMES, get_scheme
from qbench.schemes.post_training import PostTraining
from qbench.schemes.quantization import Quantization
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.recipe import Recipe
from qbench.schemes.scheme import Scheme


def test_a_scheme_is_frozen_data() -> None:
    with pytest.raises(ValueError, match="frozen"):
        get_scheme("fp32").name = "other"  # type: ignore[misc]
    spec = Scheme.model_validate({"name": "mine", "weights": "sign", "activations": {"name": "int8"}})
    assert spec.quantization.weights == QuantizerSpec(name="sign")


@pytest.mark.parametrize("field", ["fold_batch_norm", "clip_outliers", "bias_correction"])
def test_post_training_steps_belong_to_post_training_schemes(field: str) -> None:
    with pytest.raises(ConfigError, match=f"scheme_options: {field} is a step of post-training schemes: int8-qat"):
        get_scheme("int8-qat", **{field: 1.0 if field == "clip_outliers" else True})
    assert getattr(get_scheme("int8-kl", **{field: 2.0 if field == "clip_outliers" else True}).post_training, field)


@pytest.mark.parametrize("options", [{"learning_rate": "1e-3"}, {"learning_rate": True}, {"epoch_factor": True}])
def test_a_string_or_a_bool_is_no_number(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"scheme_options\.\w+: input should be a valid"):
        get_scheme("fp32", **options)


@pytest.mark.parametrize(
    "options",
    [{"norm": "layer"}, {"optimizer": "lamb"}, {"halve_every": 0}, {"relaxed_share": 1.0}, {"norm_momentum": 0}],
)
def test_bad_training_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"scheme_options.{next(iter(options))}"):
        get_scheme("binarynet", **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_scheme("binarynett"), "scheme: unknown scheme 'binarynett'; did you mean 'binarynet'?"),
        (lambda: get_scheme("math.pi"), "scheme: 'math.pi' is float, expected a Scheme"),
        (lambda: get_scheme("no.such.thing"), "cannot import"),
        (lambda: get_scheme("fp32", wieghts="sign"), "scheme_options.wieghts: unknown key; did you mean 'weights'?"),
        (
            lambda: get_scheme("fp32", first_layer="half"),
            "scheme_options.first_layer: input should be 'same' or 'float'",
        ),
        (
            lambda: apply_scheme(nn.Sequential(nn.ReLU()), get_scheme("fp32")),
            "has no nn.Linear, nn.Conv1d, nn.Conv2d or nn.Embedding to quantize",
        ),
        (
            lambda: apply_scheme(nn.Sequential(nn.Linear(1, 1)), get_scheme("fp32", weights="sgin")),
            "unknown quantizer 'sgin'; did you mean 'sign'?",
        ),
        (
            lambda: apply_scheme(
                nn.Sequential(nn.Linear(1, 1)), get_scheme("fp32", weights={"name": "sign", "options": {"clop": 1}})
            ),
            "unexpected keyword argument 'clop'",
        ),
    ],
)
def test_errors_name_the_key_and_the_nearest(call: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        call()  # type: ignore[operator]
    assert message in str(caught.value)


def test_the_constructor_takes_parts_or_flat_fields() -> None:
    parts = Scheme(
        name="mine",
        quantization=Quantization(weights=QuantizerSpec(name="sign"), last_layer="float"),
        recipe=Recipe(learning_rate=0.01),
        post_training=PostTraining(bias_correction=True),
    )
    flat: dict[str, Any] = {"weights": "sign", "last_layer": "float", "learning_rate": 0.01, "bias_correction": True}
    assert Scheme(name="mine", stage="post-training", **flat) == parts
    assert Scheme(name="mine") == Scheme(name="mine", stage="training")
    assert Scheme(name="mine", stage="post-training").post_training == PostTraining()


@pytest.mark.parametrize("name", SCHEMES.names())
def test_a_scheme_comes_back_from_its_flat_fields(name: str) -> None:
    scheme = get_scheme(name)
    assert Scheme.model_validate(scheme.flat()) == scheme
    assert scheme.replace() == scheme
    through_json = json.loads(json.dumps(scheme.flat()))
    assert Scheme.model_validate(through_json) == scheme


def test_overrides_come_back_with_what_they_give_and_no_more() -> None:
    layers = {"a.*": {"weights": {"name": "int8", "options": {"bits": 4}}}, "b": "float", "c": {"activations": None}}
    scheme = get_scheme("binarynet", layers=layers)
    assert scheme.flat()["layers"] == layers | {"b": {"weights": None, "activations": None}}
    assert scheme.replace(last_layer="float").quantization.layers == scheme.quantization.layers
    assert scheme.replace(layers={}) == get_scheme("binarynet")
    both = scheme.replace(layers={"c": {"activations": None, "weights": None}})
    assert both != scheme.replace(layers={"c": {"activations": None}})


def test_flat_fields_are_those_of_the_parts() -> None:
    parts = [*Quantization.model_fields, *Recipe.model_fields, *PostTraining.model_fields]
    assert len(parts) == len(set(parts))
    assert set(get_scheme("fp32").flat()) == {"name", "description", *parts, "stage"}


def test_settings_tell_schemes_apart_and_not_their_names() -> None:
    def identity(**options: Any) -> str:
        return json.dumps(get_scheme("binarynet", **options).settings(), sort_keys=True)

    ordered = {"*": {"weights": "int8"}, "out": {"weights": "ternary"}}
    assert identity() == identity(name="other", description="")
    assert identity(layers=ordered) != identity(layers=dict(reversed(ordered.items())))  # the later one wins
    assert len({identity(), identity(layers={"out": "float"}), identity(last_layer="float")}) == 3


def test_the_stage_says_whether_there_is_a_post_training_part() -> None:
    assert get_scheme("int8-kl").flat()["stage"] == "post-training"
    assert get_scheme("binarynet").flat()["stage"] == "training"
    later = get_scheme("binarynet", stage="post-training", bias_correction=True)
    assert later.post_training == PostTraining(bias_correction=True)
    assert later.training_scheme().specs == []
    assert get_scheme("int8-kl", stage="training", fold_batch_norm=False).post_training is None
    with pytest.raises(ConfigError, match="fold_batch_norm is a step of post-training schemes: int8-kl quantizes"):
        get_scheme("int8-kl", stage="training")
    with pytest.raises(ConfigError, match=r"scheme_options\.stage: input should be 'training' or 'post-training', got"):
        get_scheme("int8-kl", stage="after")


@pytest.mark.parametrize("part", ["quantization", "recipe", "post_training"])
def test_options_are_flat_fields(part: str) -> None:
    with pytest.raises(ConfigError, match=rf"scheme_options\.{part}: unknown key"):
        get_scheme("binarynet", **{part: {}})


def test_the_constructor_names_flat_keys() -> None:
    with pytest.raises(ValidationError) as caught:
        Scheme(name="mine", weights="sign", first_layer="half")
    assert caught.value.errors()[0]["loc"] == ("first_layer",)
