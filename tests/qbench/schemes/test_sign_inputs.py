"""What comes in front of a sign: refused, warned of, or fine."""

from __future__ import annotations

import logging

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.structure import check_structure


class Functions(nn.Module):
    """Calls a function between two layers."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.function(self.first(x)))  # type: ignore[operator]


SHAPE = (1, 8, 8)

REFUSED = {
    "sigmoid": (nn.Sigmoid(), r"aten\.sigmoid.* and is never negative, so every sign would be \+1"),
    "softplus": (F.softplus, r"aten\.softplus.* and is never negative"),
    "softmax": (nn.Softmax(1), r"aten\.softmax.* and is never negative"),
    "square": (torch.square, r"aten\.square.* and is never negative"),
    "half": (lambda x: torch.cat([x[:, :4].abs(), x[:, 4:]], 1), r"a part of its binary input comes from aten\.abs"),
    "hard-swish": (nn.Hardswish(), r"aten\.hardswish.*, which is exactly 0 over a range of negative inputs"),
    "shrink": (F.softshrink, r"aten\.softshrink.*, which is exactly 0 over a range"),
    "unknown": (lambda x: x * x, r"second \(QuantConv2d\): its binary input is never negative, so every sign would"),
    "negative": (lambda x: -(x * x) - 1, r"its binary input is negative, so every sign would be -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_signs_that_say_nothing_are_refused(case: str) -> None:
    function, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        apply_scheme(Functions(function), get_scheme("binarynet"), input_shape=SHAPE)
    for name in ("fp32", "binaryconnect", "int8-qat"):
        apply_scheme(Functions(function), get_scheme(name), input_shape=SHAPE)
    options = {"layers": {"second": {"activations": None}}}
    apply_scheme(Functions(function), get_scheme("binarynet", **options), input_shape=SHAPE)


def test_a_relu_that_is_called_as_a_function_needs_the_shape_to_be_replaced() -> None:
    scheme = get_scheme("binarynet")
    network = apply_scheme(Functions(F.relu), scheme)
    with pytest.raises(ConfigError, match=r"aten\.relu.* apply the scheme with the network's input_shape"):
        check_structure(network, scheme, SHAPE)
    check_structure(apply_scheme(Functions(F.relu), scheme, input_shape=SHAPE), scheme, SHAPE)


WARNED = {
    "dropout module": (
        nn.Dropout(0.5),
        "aten.dropout.default in Dropout.forward (function): in training every dropped",
    ),
    "dropout": (lambda x: F.dropout(x, 0.5), "aten.dropout.default in Functions.forward: in training every dropped"),
    "padding module": (nn.ZeroPad2d(1), "aten.pad.default in ZeroPad2d.forward (function): the zeros put in become +1"),
    "padding": (lambda x: F.pad(x, (1, 1)), "aten.pad.default in Functions.forward: the zeros put in become +1"),
    "pool": (lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 2), "aten.pad.default in Functions.forward: the zeros"),
}


@pytest.mark.parametrize("case", WARNED)
def test_zeros_that_become_ones_are_warned_of(case: str, caplog: pytest.LogCaptureFixture) -> None:
    function, message = WARNED[case]
    with caplog.at_level(logging.WARNING):
        apply_scheme(Functions(function), get_scheme("binarynet"), input_shape=SHAPE)
    assert [record.getMessage() for record in caplog.records] == [caplog.records[0].getMessage()]  # once
    assert f"second (QuantConv2d): its binary input comes from {message}" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        apply_scheme(Functions(function), get_scheme("binaryconnect"), input_shape=SHAPE)
    assert not caplog.records


@pytest.mark.parametrize(
    "function",
    [
        nn.ReLU(),
        nn.ReLU6(),
        F.relu,
        F.relu6,
        torch.tanh,
        F.gelu,
        F.leaky_relu,
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Dropout(0.0), nn.MaxPool2d(2, padding=1)),
        nn.Sequential(nn.Hardswish(), nn.BatchNorm2d(8)),
        nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(8)),
        lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    ],
)
def test_what_has_two_signs_is_fine(function: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        apply_scheme(Functions(function), get_scheme("binarynet"), input_shape=SHAPE)
    assert not caplog.records


def test_a_scheme_that_keeps_its_relus_is_told_to_choose_another_function() -> None:
    signs = {"second": {"weights": "sign", "activations": "sign"}}
    with pytest.raises(ConfigError, match=r"take another activation_function than relu in the scheme"):
        apply_scheme(Functions(nn.ReLU()), get_scheme("fp32", layers=signs), input_shape=SHAPE)
    apply_scheme(Functions(nn.ReLU()), get_scheme("fp32", layers=signs, activation_function="identity"))
