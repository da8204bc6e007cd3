"""Which quantizer serves which layer: the scheme's fields, its ends, and overrides by layer name."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from qbench.errors import ConfigError
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme

NAMES = ["features.0", "features.3", "head.fc"]


def chosen(scheme: Scheme, names: list[str] = NAMES) -> list[tuple[str | None, str | None]]:
    """Names of the quantizers of each layer's weights and input."""
    found = []
    for position, name in enumerate(names):
        of = [scheme.quantization.choose(role, name, position, len(names)).spec for role in ("weights", "activations")]
        found.append(tuple(None if spec is None else spec.name for spec in of))
    return found


def overridden(layers: dict[str, Any], **options: Any) -> Scheme:
    base = Scheme.model_validate(
        {"name": "base", "weights": "sign", "activations": "tanh_sign", "network_input": "int8"}
    )
    return base.replace(layers=layers, **options)


SAME = [("sign", "int8"), ("sign", "tanh_sign"), ("sign", "tanh_sign")]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({}, SAME),
        ({"features.0": {"weights": "ternary"}}, [("ternary", "int8"), *SAME[1:]]),
        ({"head.fc": {"activations": "ternary"}}, [*SAME[:2], ("sign", "ternary")]),
        ({"features.0": {"activations": "ternary"}}, [("sign", "ternary"), *SAME[1:]]),  # the network's input, too
        ({"head.fc": "float"}, [*SAME[:2], (None, None)]),
        ({"head.fc": {"weights": None}}, [*SAME[:2], (None, "tanh_sign")]),
        ({"head.fc": {"activations": None}}, [*SAME[:2], ("sign", None)]),
        ({"*.fc": "float"}, [*SAME[:2], (None, None)]),
        ({"features.*": {"weights": "int8"}}, [("int8", "int8"), ("int8", "tanh_sign"), SAME[2]]),
        ({"features.?": "float"}, [(None, None), (None, None), SAME[2]]),
        ({"features.[1-9]": "float"}, [SAME[0], (None, None), SAME[2]]),
        ({"*": "float"}, [(None, None)] * 3),
        # The later one wins, field by field.
        ({"*": "float", "head.fc": {"weights": "sign"}}, [(None, None), (None, None), ("sign", None)]),
        ({"head.fc": {"weights": "int8"}, "*": {"weights": "ternary"}}, [("ternary", q) for _, q in SAME]),
        (
            {"*": {"weights": "int8", "activations": None}, "features.*": {"activations": "sign"}},
            [("int8", "sign"), ("int8", "sign"), ("int8", None)],
        ),
        ({"features.*": {"weights": "int8"}, "features.3": "float"}, [("int8", "int8"), (None, None), SAME[2]]),
    ],
)
def test_overrides_by_layer_name(layers: dict[str, Any], expected: list[tuple[str | None, str | None]]) -> None:
    assert chosen(overridden(layers)) == expected


def test_overrides_prevail_over_first_and_last_layer() -> None:
    ends = {"first_layer": "float", "last_layer": "float"}
    assert chosen(overridden({}, **ends)) == [(None, None), SAME[1], (None, None)]
    found = chosen(overridden({"features.0": {"weights": "int8"}, "*.fc": {"activations": "sign"}}, **ends))
    assert found == [("int8", None), SAME[1], (None, "sign")]  # what they do not give stays float


def test_names_are_compared_with_case_and_whole() -> None:
    assert chosen(overridden({"Head.fc": "float", "fc": "float", "features": "float"})) == SAME


def test_a_choice_names_the_option_that_made_it() -> None:
    quantization = overridden({"*.fc": {"weights": None}}, first_layer="float").quantization
    options = [
        quantization.choose(role, name, position, 3).option
        for position, name in enumerate(NAMES)
        for role in ("weights", "activations")
    ]
    assert options == ["first_layer", "first_layer", "weights", "activations", "layers.*.fc.weights", "activations"]
    assert overridden({}).quantization.choose("activations", "features.0", 0, 3).option == "network_input"
    assert overridden({}, last_layer="float").quantization.choose("weights", "fc", 2, 3).option == "last_layer"


def test_all_quantizers_are_listed() -> None:
    scheme = overridden({"a": {"weights": "ternary"}, "b": "float", "c": {"activations": {"name": "lsq"}}})
    assert [spec.name for spec in scheme.specs] == ["sign", "tanh_sign", "int8", "ternary", "lsq"]


def test_a_network_gets_the_overrides_quantizers() -> None:
    scheme = get_scheme(
        "binarynet",
        layers={
            "fc*": {"activations": None},
            "fc2": {"weights": {"name": "int8", "options": {"bits": 4}}},
            "out": "float",
        },
    )
    net = apply_scheme(get_model("digits-mlp").make({}), scheme)
    formats = [(layer.weight_format.name, layer.input_format.name) for _, layer in quant_layers(net)]
    assert formats == [("binary", "float32"), ("int4", "float32"), ("binary", "float32"), ("float32", "float32")]
    assert net.fc2.weight_quantizer.layer_name == "fc2.weight"


def test_last_layer_float_is_an_override_of_the_last_layer() -> None:
    def formats(**options: Any) -> list[tuple[str, str]]:
        net = apply_scheme(get_model("digits-convnet").make({}), get_scheme("binarynet", **options))
        return [(layer.weight_format.name, layer.input_format.name) for _, layer in quant_layers(net)]

    assert formats(layers={"out": "float"}) == formats(last_layer="float")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"otu": "float"},
            "scheme_options.layers.otu: matches no layer; did you mean 'out'? Known: fc1, fc2, fc3, out",
        ),
        ({"out": "float", "*.fc": "float"}, "scheme_options.layers.*.fc: matches no layer"),
        (
            {"fc2": {"weights": "itn8"}},
            "scheme_options.layers.fc2.weights: unknown quantizer 'itn8'; did you mean 'int8'",
        ),
        ({"fc?": {"activations": "sgin"}}, "scheme_options.layers.fc?.activations: unknown quantizer 'sgin'"),
        (
            {"out": {"weights": {"name": "sign", "options": {"clop": 1}}}},
            "scheme_options.layers.out.weights: quantizer",
        ),
    ],
)
def test_what_a_network_does_not_have_is_named(layers: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet", layers=layers))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"out": {"wieghts": "int8"}},
            "layers.out.wieghts: unknown key; did you mean 'weights'? Known: weights, activ",
        ),
        ({"out": {"weights": {"name": "int8", "opts": {}}}}, "layers.out.weights.opts: unknown key; did you mean 'opt"),
        ({"out": {"weights": {"options": {}}}}, "layers.out.weights.name: is required"),
        ({"out": {"weights": 8}}, "layers.out.weights: input should be"),
        ({"out": "int8"}, "layers.out: expected float, or a mapping with weights, activations or both, got 'int8'"),
        ({"out": None}, "layers.out: expected float, or a mapping with weights, activations or both, got None"),
        ({"out": {}}, "layers.out: expected float, or a mapping with weights, activations or both, got {}"),
        ({3: "float"}, "layers.3: input should be a valid string"),
        (["out"], "layers: input should be a valid dictionary, got ['out']"),
    ],
)
def test_bad_overrides_name_their_key(layers: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get_scheme("binarynet", layers=layers)
    assert str(caught.value).startswith(f"scheme_options.{message}")


def test_layers_of_a_users_module_go_by_their_place_in_it() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)))
    apply_scheme(net, get_scheme("binarynet", layers={"1.*": "float"}))
    assert [layer.weight_format.name for _, layer in quant_layers(net)] == ["binary", "float32", "float32"]
