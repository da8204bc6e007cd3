"""The built-in schemes: what each does to a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import SCHEMES, get_scheme
from quantizers import LSQ, UINT8, MovingAverageUniform, Sign, Uniform, signed_integer

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


def test_registry_lists_the_schemes() -> None:
    assert set(ISSUED) <= set(SCHEMES.names())


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
        net = apply_scheme(get_model("digits-mlp").make({}), get_scheme(name), input_shape=(1, 8, 8))
        for _, layer in quant_layers(net):
            assert isinstance(layer.weight_quantizer, kind)
            assert isinstance(layer.input_quantizer, kind)
    assert net.fc1.input_quantizer.format == signed_integer(8, full_range=True)  # pixels may be negative
    assert net.fc2.input_quantizer.format == UINT8  # what a ReLU lets through is not
    assert net.fc2.input_quantizer.batch_axis == 0


def test_xnor_nets_scale_is_a_channels_mean_magnitude() -> None:
    net = apply_scheme(get_model("digits-mlp").make({"hidden": 4}), get_scheme("xnor-net"))
    quantized = net.fc2.quantized_weight()
    torch.testing.assert_close(quantized.scale, net.fc2.weight.detach().abs().mean(1, keepdim=True))


def test_post_training_schemes_train_what_fp32_trains() -> None:
    ignored = {"name", "description"}
    fp32 = get_scheme("fp32").training_scheme().model_dump(exclude=ignored)
    # But for the baseline of binarizing afterwards, whose activations must have two signs.
    relu = [name for name in SCHEMES if SCHEMES.get(name).post_training is not None and name != "binarize-after"]
    for name in relu:
        assert get_scheme(name).training_scheme().model_dump(exclude=ignored) == fp32
    assert get_scheme("binarynet").training_scheme() == get_scheme("binarynet")


def test_options_reach_power_of_two_and_unsigned_formats() -> None:
    chosen = get_scheme("int8-kl", activations={"name": "uint8", "options": {"method": "kl", "power_of_two": True}})
    quantizer = apply_scheme(get_model("digits-mlp").make({}), chosen).fc2.input_quantizer
    assert quantizer.format == UINT8
    assert quantizer.power_of_two


@pytest.mark.parametrize(
    ("name", "format", "group_size", "scale_bits"),
    [("int4-g32", "int4_g32_s16", 32, 16), ("nf4-g64", "nf4_g64_s16", 64, 16), ("mxfp4", "e2m1_g32_s8", 32, 8)],
)
def test_weight_only_schemes_leave_activations_in_float(
    name: str, format: str, group_size: int, scale_bits: int
) -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme(name))
    for _, layer in quant_layers(net):
        assert (layer.weight_format.name, layer.weight_format.bits) == (format, 4)
        assert (layer.weight_format.group_size, layer.weight_format.scale_bits) == (group_size, scale_bits)
        assert layer.input_quantizer is None


def test_dorefa_keeps_both_ends_in_float32() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("dorefa-4bit"))
    first, *inner, last = [layer for _, layer in quant_layers(net)]
    assert first.weight_quantizer is first.input_quantizer is last.weight_quantizer is last.input_quantizer is None
    assert {(layer.weight_format.name, layer.input_format.name) for layer in inner} == {("odd4", "uint4")}


def test_groups_of_an_input_are_refused_with_the_layer() -> None:
    with pytest.raises(ConfigError, match="fc2: group_integer quantizes weights"):
        apply_scheme(get_model("digits-mlp").make({}), get_scheme("int4-g32", activations="group_integer"))
