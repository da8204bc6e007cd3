"""The reference: it agrees with what is right, and finds what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qbench
from qbench.conformance.difference import Difference, MismatchError
from qbench.conformance.plain import plain_copy
from qbench.conformance.recording import record
from qbench.conformance.reference import Reference
from qbench.nn.activation import Activation
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule

SHAPE = (2, 6, 6)


class Net(nn.Module):
    """A convolution with BatchNorm and functional ReLU, then two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(54, 8)
        self.relu = nn.ReLU()
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(F.max_pool2d(self.conv(x), 2)))
        return self.out(self.relu(self.fc(x.flatten(1))))


def quantized(scheme: str) -> tuple[nn.Module, nn.Module]:
    """Return the float64 network, and the quantized one in evaluation mode."""
    torch.manual_seed(1)
    network = Net()
    nn.init.uniform_(network.norm.running_mean, -0.3, 0.3)
    nn.init.uniform_(network.norm.weight, 0.5, 1.5)
    with torch.no_grad():
        network.norm.weight[::2] *= -1
    module = QuantModule(network, get_scheme(scheme), input_shape=SHAPE, classes=3)
    if module.scheme.post_training is None:
        module.train()
        with torch.no_grad():
            module.model(torch.randn(32, *SHAPE))
    plain = plain_copy(Net())
    plain.load_state_dict({key: module.model.state_dict()[key] for key in plain.state_dict()})
    if module.scheme.post_training is not None:
        module.quantize()
        qbench.calibrate(module.model, torch.randn(64, *SHAPE))
    return plain, module.model.eval()


def compare(plain: nn.Module, network: nn.Module, scheme: str) -> Difference:
    x = torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(3))
    reference = Reference(plain, network, get_scheme(scheme))
    reference.compare(x, *record(network, x))
    return reference.difference


SCHEMES = (
    "fp32", "binaryconnect", "binarynet", "xnor-net", "ternary-binary", "int8-kl", "int8-qat", "int8-lsq", "int4-g32",
    "nf4-g64", "mxfp4", "dorefa-4bit",
)  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_right_network_differs_by_rounding_alone(scheme: str) -> None:
    difference = compare(*quantized(scheme), scheme)
    assert 0 < difference.value < 2e-6


@torch.no_grad()
def scale_weights(network: nn.Module) -> None:
    network.fc.weight *= 1.01


@torch.no_grad()
def shift_bias(network: nn.Module) -> None:
    network.out.bias += 0.05


class Kept(nn.Module):
    """A ReLU that no scheme finds."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x > 0)


def put_relu_back(network: nn.Module) -> None:
    network.relu = Kept()


def take_relu_away(network: nn.Module) -> None:
    network.relu = Activation("identity")


def leave_layer_float(network: nn.Module) -> None:
    network.fc.weight_quantizer = network.fc.input_quantizer = None


def forget_norm(network: nn.Module) -> None:
    network.norm = nn.Identity()


def forget_layer(network: nn.Module) -> None:
    network.fc.forward = lambda x: F.linear(x, network.fc.weight, network.fc.bias)
    network.fc.register_forward_hook(lambda *_: None)
    network.fc.__class__ = nn.Identity


def narrow_range(network: nn.Module) -> None:
    network.fc.input_quantizer.scale /= 8


PLANTED: list[tuple[str, Callable[[nn.Module], None], str]] = [
    ("fp32", scale_weights, "the weight of fc"),
    ("binaryconnect", shift_bias, "the bias of out"),
    ("int8-kl", shift_bias, "the bias of out"),
    ("binarynet", put_relu_back, "the input of out"),
    ("int8-qat", take_relu_away, "the input of out"),
    ("binarynet", leave_layer_float, "fc: off by"),
    ("int8-lsq", leave_layer_float, "fc has no scale"),
    ("binarynet", forget_norm, "the weight of conv"),
    ("int8-qat", forget_norm, "the weight of conv"),
    ("fp32", forget_layer, "out is called where the network calls fc"),
    ("int8-kl", narrow_range, "are outside its range"),
]


@pytest.mark.parametrize(("scheme", "fault", "message"), PLANTED)
def test_a_planted_fault_is_found_where_it_is(scheme: str, fault: Callable[[nn.Module], None], message: str) -> None:
    plain, network = quantized(scheme)
    fault(network)
    with pytest.raises(MismatchError, match=message):
        compare(plain, network, scheme)


def test_a_turned_sign_neither_hides_nor_makes_an_error() -> None:
    """An input that is all but zero in float32 may have the other sign in float64."""
    plain, network = quantized("binarynet")
    x = torch.randn(256, *SHAPE)
    calls, result = record(network, x)
    near = calls[1].given.clone()
    smallest = near.view(-1)[near.abs().argmin()]
    near.view(-1)[near.abs().argmin()] = -1e-7 * smallest.sign() * near.abs().max()
    with torch.no_grad():
        turned = network.fc(near)
        result = network.out(turned)
    calls[1:] = [type(calls[1])("fc", near, turned), type(calls[2])("out", turned, result)]
    Reference(plain, network, get_scheme("binarynet")).compare(x, calls, result)


def test_a_difference_beyond_rounding_says_where() -> None:
    with pytest.raises(MismatchError, match=r"fc: off by 1.0e-03 of the largest value, 2"):
        Difference().meet(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.002]), "fc")


@pytest.mark.parametrize("found", [torch.tensor([float("nan")]), torch.zeros(2)])
def test_nan_and_another_shape_are_no_agreement(found: Tensor) -> None:
    with pytest.raises(MismatchError):
        Difference().meet(torch.zeros(1), found, "fc")
