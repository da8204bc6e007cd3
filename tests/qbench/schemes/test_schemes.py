"""Schemes as data, and what applying one does to a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import quant_layers
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import SCHEMES, get_scheme
from qbench.schemes.initialize import glorot_scale, initialize
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.schemes.scheme import Scheme
from quantizers import LSQ, UINT8, MovingAverageUniform, Sign, StochasticSign, Uniform, signed_integer

ISSUED = (
    "fp32",
    "binaryconnect",
    "binaryconnect-stochastic",
    "binarynet",
    "binarynet-stochastic",
    "bnn-shift",
    "xnor-net",
    "ternary-binary",
    "bitwise",
    "binarize-after",
    "int8-minmax",
    "int8-kl",
    "int8-mean-extremes",
    "int8-percentile",
    "int8-mse",
    "int8-qat",
    "int8-lsq",
    "int4-weights-minmax",
    "int4-weights-percentile",
    "int4-weights-mse",
    "int4-weights-kl",
)


def test_the_issued_schemes_are_registered() -> None:
    assert set(ISSUED) <= set(SCHEMES)


@pytest.mark.parametrize("name", SCHEMES.names())
def test_every_scheme_applies_to_a_plain_network(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5), nn.ReLU(), nn.Linear(5, 3))
    apply_scheme(net, get_scheme(name))
    assert len(quant_layers(net)) == 3
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_binarynet_replaces_the_relu_and_quantizes_every_layer() -> None:
    net = apply_scheme(get_model("digits-convnet").make({}), get_scheme("binarynet"))
    assert {m.function for m in net.modules() if isinstance(m, Activation)} == {"identity"}
    layers = [layer for _, layer in quant_layers(net)]
    assert all(isinstance(layer.weight_quantizer, Sign) for layer in layers)
    assert layers[0].input_quantizer is None  # the pixels
    assert all(isinstance(layer.input_quantizer, Sign) for layer in layers[1:])
    assert all(layer.bias is None for layer in layers)


def test_binaryconnect_keeps_real_activations() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binaryconnect"))
    assert {m.function for m in net.modules() if isinstance(m, Activation)} == {"relu"}
    assert all(layer.input_quantizer is None for _, layer in quant_layers(net))


def test_first_and_last_layer_rules() -> None:
    chosen = get_scheme("binarynet", first_layer="float", last_layer="float")
    first, *middle, last = [
        layer for _, layer in quant_layers(apply_scheme(get_model("digits-convnet").make({}), chosen))
    ]
    for end in (first, last):
        assert end.weight_quantizer is None
        assert end.input_quantizer is None
    assert all(layer.weight_quantizer is not None for layer in middle)


def test_applying_another_scheme_replaces_everything() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet"))
    apply_scheme(net, get_scheme("fp32"))
    assert {m.function for m in net.modules() if isinstance(m, Activation)} == {"relu"}
    assert all(layer.weight_quantizer is None and layer.input_quantizer is None for _, layer in quant_layers(net))


def test_post_training_schemes_train_what_fp32_trains() -> None:
    ignored = {"name", "description"}
    fp32 = get_scheme("fp32").training_scheme().model_dump(exclude=ignored)
    # But for the baseline of binarizing afterwards, whose activations must have two signs.
    relu = [name for name in SCHEMES if SCHEMES.get(name).post_training is not None and name != "binarize-after"]
    for name in relu:
        assert get_scheme(name).training_scheme().model_dump(exclude=ignored) == fp32
    assert get_scheme("binarynet").training_scheme() == get_scheme("binarynet")


def test_int8_schemes_differ_in_the_activations_rule_alone() -> None:
    minmax, kl = get_scheme("int8-minmax").flat(), get_scheme("int8-kl").flat()
    assert {key for key in kl if kl[key] != minmax[key]} == {"name", "description", "activations"}
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("int8-kl"))
    layers = [layer for _, layer in quant_layers(net)]
    assert [layer.input_quantizer.method for layer in layers] == ["minmax", "kl", "kl", "kl"]
    assert all(isinstance(layer.weight_quantizer, Uniform) for layer in layers)
    assert all(layer.weight_quantizer.channel_axis == 0 for layer in layers)


def test_trained_int8_schemes_quantize_every_layer() -> None:
    for name, kind in (("int8-qat", MovingAverageUniform), ("int8-lsq", LSQ)):
        net = apply_scheme(get_model("digits-mlp").make({}), get_scheme(name))
        for _, layer in quant_layers(net):
            assert isinstance(layer.weight_quantizer, kind)
            assert isinstance(layer.input_quantizer, kind)
    assert net.fc1.input_quantizer.format == signed_integer(8, full_range=True)  # pixels may be negative
    assert net.fc2.input_quantizer.format == UINT8  # what a ReLU lets through is not
    assert net.fc2.input_quantizer.batch_axis == 0


def test_options_reach_power_of_two_and_unsigned_formats() -> None:
    chosen = get_scheme("int8-kl", activations={"name": "uint8", "options": {"method": "kl", "power_of_two": True}})
    quantizer = apply_scheme(get_model("digits-mlp").make({}), chosen).fc2.input_quantizer
    assert quantizer.format == UINT8
    assert quantizer.power_of_two


@pytest.mark.parametrize("field", ["fold_batch_norm", "clip_outliers", "bias_correction"])
def test_post_training_steps_belong_to_post_training_schemes(field: str) -> None:
    with pytest.raises(ConfigError, match=f"scheme_options: {field} is a step of post-training schemes: int8-qat"):
        get_scheme("int8-qat", **{field: 1.0 if field == "clip_outliers" else True})
    assert getattr(get_scheme("int8-kl", **{field: 2.0 if field == "clip_outliers" else True}).post_training, field)


def test_learning_rate_scales_are_the_papers() -> None:
    def scales(name: str) -> list[float]:
        with torch.device("meta"):
            net = get_model(name).make({})
        return [round(glorot_scale(layer.weight), 2) for _, layer in quant_layers(net)]

    assert scales("mnist-mlp") == [57.04, 73.90, 73.90, 52.32]
    assert scales("cifar10-convnet") == [28.04, 39.19, 48.00, 55.43, 67.88, 78.38, 78.38, 36.95, 26.26]


def test_latent_weights_start_uniform_in_minus_one_to_one() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet"))
    initialize(net, get_scheme("binarynet"), seed=0)
    for _, layer in quant_layers(net):
        weight = layer.weight.detach()
        assert weight.min() >= -1
        assert weight.max() <= 1
        assert weight.abs().mean().item() == pytest.approx(0.5, abs=0.05)
    again = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet"))
    initialize(again, get_scheme("binarynet"), seed=0)
    assert torch.equal(net.fc1.weight, again.fc1.weight)


def test_float_weights_keep_torchs_initialization() -> None:
    torch.manual_seed(0)
    net = get_model("digits-mlp").make({})
    before = net.fc1.weight.clone()
    initialize(apply_scheme(net, get_scheme("fp32")), get_scheme("fp32"), seed=0)
    assert torch.equal(net.fc1.weight, before)


def test_every_layer_draws_from_its_own_stream() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binaryconnect-stochastic"), seed=3)
    seeds = [layer.weight_quantizer.seed for _, layer in quant_layers(net)]
    other = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binaryconnect-stochastic"), seed=4)
    seeds += [layer.weight_quantizer.seed for _, layer in quant_layers(other)]
    assert len(set(seeds)) == len(seeds)
    assert all(isinstance(layer.weight_quantizer, StochasticSign) for _, layer in quant_layers(net))


def test_overrides_decide_instead_of_the_scheme() -> None:
    net = apply_scheme(
        get_model("digits-mlp").make({}),
        get_scheme("binarynet"),
        weight_quantizer=lambda layer: None if layer.position == 0 else Sign(clip=0.5),
        activation_quantizer=lambda layer: None,
    )
    layers = [layer for _, layer in quant_layers(net)]
    assert layers[0].weight_quantizer is None
    assert layers[1].weight_quantizer.clip == 0.5
    assert all(layer.input_quantizer is None for layer in layers)


def test_quantizers_know_their_place() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("int8-kl"))
    assert net.fc2.input_quantizer.layer_name == "fc2.input"
    assert net.fc2.weight_quantizer.layer_name == "fc2.weight"


def test_a_scheme_is_frozen_data() -> None:
    with pytest.raises(ValueError, match="frozen"):
        get_scheme("fp32").name = "other"  # type: ignore[misc]
    spec = Scheme.model_validate({"name": "mine", "weights": "sign", "activations": {"name": "int8"}})
    assert spec.quantization.weights == QuantizerSpec(name="sign")


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
        (lambda: apply_scheme(nn.Sequential(nn.ReLU()), get_scheme("fp32")), "has no nn.Linear or nn.Conv2d"),
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


def test_one_module_in_two_places_is_replaced_in_both() -> None:
    relu, tied = nn.ReLU(), nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(4, 4), relu, tied, relu, tied)
    apply_scheme(net, get_scheme("binarynet"))
    assert isinstance(net[1], Activation)
    assert net[1] is net[3]
    assert net[2] is net[4]
    assert len(quant_layers(net)) == 2
    assert not any(isinstance(module, nn.ReLU) for module in net.modules())


@pytest.mark.parametrize("options", [{"learning_rate": "1e-3"}, {"learning_rate": True}, {"epoch_factor": True}])
def test_a_string_or_a_bool_is_no_number(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"scheme_options\.\w+: input should be a valid"):
        get_scheme("fp32", **options)


def test_registry_lists_the_schemes() -> None:
    assert set(ISSUED) <= set(SCHEMES.names())


def test_conv_inside_a_users_module_is_found() -> None:
    class Users(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleDict({"a": nn.Conv2d(1, 2, 3)})
            self.head = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body["a"](x).mean((2, 3)))

    net = apply_scheme(Users(), get_scheme("binarynet"))
    assert [name for name, _ in quant_layers(net)] == ["body.a", "head"]
    assert isinstance(net.body["a"], QuantConv2d)


def norms(net: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in net.named_modules() if "bn" in name}


def test_shift_norm_replaces_all_but_the_output_layers() -> None:
    net = apply_scheme(get_model("digits-convnet").make({}), get_scheme("bnn-shift"))
    found = {name: type(module) for name, module in norms(net).items()}
    assert found.pop("bn_out") is nn.BatchNorm1d  # the authors' output layer has a plain one
    assert found.pop("bn_fc1") is ShiftBatchNorm1d
    assert set(found.values()) == {ShiftBatchNorm2d}
    assert all(module.momentum == 0.125 for name, module in norms(net).items() if name != "bn_out")
    assert apply_scheme(net, get_scheme("bnn-shift")).bn1 is net.bn1  # a second time changes nothing


def test_a_shift_norm_takes_over_parameters_and_statistics() -> None:
    net = get_model("digits-mlp").make({"hidden": 4, "layers": 1})
    plain = net.bn1
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([0.5, -1.0, 2.0, 0.0]))
        plain.running_mean.copy_(torch.arange(4.0))
        plain.running_var.fill_(0.0625)
    apply_scheme(net, get_scheme("bnn-shift"))
    assert net.bn1.weight is plain.weight
    assert net.bn1.running_mean.tolist() == [0, 1, 2, 3]
    # eps is 1e-5: 1/sqrt(0.0625 + 1e-5) = 3.9997, AP2 of it 4.
    assert net.bn1.factor().tolist() == [2, -4, 8, 0]


def test_no_norm_and_a_momentum_of_ones_own() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet", norm="none"))
    assert all(type(module) is nn.Identity for module in norms(net).values())
    for name in ("binarynet", "bnn-shift"):
        net = apply_scheme(get_model("digits-mlp").make({}), get_scheme(name, norm_momentum=0.15))
        assert {module.momentum for module in norms(net).values()} == {0.15}


def test_a_norm_in_two_places_stays_one() -> None:
    norm = nn.BatchNorm1d(5)
    net = nn.Sequential(nn.Linear(3, 5), norm, nn.Linear(5, 5), norm, nn.Linear(5, 2))
    apply_scheme(net, get_scheme("bnn-shift"))
    assert net[1] is net[3]
    assert isinstance(net[1], ShiftBatchNorm1d)


def test_xnor_nets_scale_is_a_channels_mean_magnitude() -> None:
    net = apply_scheme(get_model("digits-mlp").make({"hidden": 4}), get_scheme("xnor-net"))
    quantized = net.fc2.quantized_weight()
    torch.testing.assert_close(quantized.scale, net.fc2.weight.detach().abs().mean(1, keepdim=True))


@pytest.mark.parametrize(
    "options",
    [{"norm": "layer"}, {"optimizer": "lamb"}, {"halve_every": 0}, {"relaxed_share": 1.0}, {"norm_momentum": 0}],
)
def test_bad_training_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"scheme_options.{next(iter(options))}"):
        get_scheme("binarynet", **options)
