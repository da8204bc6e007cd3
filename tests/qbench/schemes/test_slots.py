"""Which ReLUs a scheme's activation function takes the place of."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.functional_activation import FunctionalActivation
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.structure import check_structure


class Functional(nn.Module):
    """Everything but the layers is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)
        self.fc, self.norm2, self.out = nn.Linear(54, 16), nn.BatchNorm1d(16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = self.norm2(self.fc(x.flatten(1))).clamp(min=0)
        return self.out(x)


def signs(x: Tensor) -> Tensor:
    """Return -1 below zero and +1 from zero on."""
    return 1 - 2 * (x < 0).to(x.dtype)


def test_a_network_of_functions_computes_with_signs() -> None:
    torch.manual_seed(0)
    net: Any = Functional()
    plain: Any = copy.deepcopy(net).double().eval()
    apply_scheme(net, get_scheme("binarynet"), input_shape=(1, 8, 8)).eval()
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    # By hand, of the float network's own parameters: signs in place of the ReLUs.
    y = plain.norm(F.conv2d(x, signs(plain.conv.weight), plain.conv.bias))
    y = signs(F.max_pool2d(y, 2).flatten(1))
    y = signs(plain.norm2(F.linear(y, signs(plain.fc.weight), plain.fc.bias)))
    expected = F.linear(y, signs(plain.out.weight), plain.out.bias)
    torch.testing.assert_close(net.double()(x), expected)
    assert (expected != expected[0]).any()
    assert net.get_submodule("functional_relu").function == "identity"


def test_another_scheme_gives_the_functions_back() -> None:
    net, x = Functional().eval(), torch.randn(5, 1, 8, 8)
    expected = net(x)
    apply_scheme(net, get_scheme("binarynet"), input_shape=(1, 8, 8))
    apply_scheme(net, get_scheme("fp32"), input_shape=(1, 8, 8)).eval()
    assert not any(isinstance(module, FunctionalActivation) for module in net.modules())
    torch.testing.assert_close(net(x), expected)
    apply_scheme(net, get_scheme("binarynet"), input_shape=(1, 8, 8))
    apply_scheme(net, get_scheme("binarynet"), input_shape=(1, 8, 8))
    assert sum(isinstance(module, FunctionalActivation) for module in net.modules()) == 1


def test_without_a_shape_a_functional_relu_is_refused_once_it_is_known() -> None:
    net = apply_scheme(Functional(), get_scheme("binarynet"))
    message = (
        r"fc \(QuantLinear\): its binary input comes from aten\.relu.* in Functional\.forward and is never negative"
    )
    with pytest.raises(ConfigError, match=message):
        check_structure(net, get_scheme("binarynet"), (1, 8, 8))
    for name in ("fp32", "binaryconnect", "int8-qat"):
        check_structure(apply_scheme(Functional(), get_scheme(name)), get_scheme(name), (1, 8, 8))


class Trunk(nn.Module):
    """A quantizable stem, and what the ReLU behind it feeds."""

    def __init__(self, rest: nn.Module, function: bool) -> None:
        super().__init__()
        self.stem, self.norm, self.relu, self.rest = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), rest
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        y = self.rest(F.relu(x) if self.function else self.relu(x))
        return y[0] if isinstance(y, tuple) else y


@pytest.mark.parametrize("function", [False, True])
@pytest.mark.parametrize("rest", [nn.LSTM(8, 4), nn.Sequential(nn.Unflatten(1, (8, 1)), nn.ConvTranspose1d(8, 4, 1))])
def test_a_relu_in_front_of_a_float_part_stays(function: bool, rest: nn.Module) -> None:
    net: Any = Trunk(copy.deepcopy(rest), function)
    apply_scheme(net, get_scheme("binarynet", allow_float=["rest*"]), input_shape=(8,)).eval()
    seen: list[Tensor] = []
    net.rest.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    net(torch.randn(20, 8))
    assert seen[0].min() == 0
    assert seen[0].max() > 0


@pytest.mark.parametrize("function", [False, True])
def test_a_relu_in_front_of_a_layer_whose_input_stays_float_stays(function: bool) -> None:
    for layers in ({"rest.0": "float"}, {"rest.0": {"activations": None}}, {"rest.0": {"activations": "lsq"}}):
        net: Any = Trunk(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)), function)
        apply_scheme(net, get_scheme("binarynet", layers=layers), input_shape=(8,)).eval()
        seen: list[Tensor] = []
        net.rest[0].register_forward_pre_hook(lambda module, inputs, seen=seen: seen.append(inputs[0]))
        net(torch.randn(20, 8))
        assert seen[0].min() == 0
        assert net.rest[2].function == "identity"  # that in front of the binary layer has gone


def test_without_a_shape_a_relu_that_should_have_stayed_is_told() -> None:
    scheme = get_scheme("binarynet", allow_float=["rest"])
    net = apply_scheme(Trunk(nn.LSTM(8, 4), function=False), scheme)
    with pytest.raises(ConfigError, match=r"relu \(Activation\) is in front of what stays float.*input_shape"):
        check_structure(net, scheme, (8,))


class Mixed(nn.Module):
    """Two functional ReLUs: the first in front of a quantizable layer, the second in front of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.lstm = nn.Linear(8, 8), nn.Linear(8, 8), nn.LSTM(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.b(torch.relu(self.a(x))))
        y: Tensor = self.lstm(x)[0]
        return y


def test_each_call_is_judged_by_what_it_feeds() -> None:
    net: Any = apply_scheme(Mixed(), get_scheme("binarynet", allow_float=["lstm"]), input_shape=(8,)).eval()
    seen: dict[str, Tensor] = {}
    for name in ("b", "lstm"):
        net.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, name=name: seen.__setitem__(name, inputs[0])
        )
    net(torch.randn(20, 8))
    assert seen["b"].min() < 0
    assert seen["lstm"].min() == 0


def test_a_slot_that_also_feeds_a_float_part_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    class Shared(Mixed):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.lstm(self.relu(self.b(self.relu(self.a(x)))))[0]
            return y

    with caplog.at_level(logging.WARNING):
        apply_scheme(Shared(), get_scheme("binarynet", allow_float=["lstm"]), input_shape=(8,))
    (record,) = caplog.records
    assert record.getMessage().startswith("aten.relu.default in ReLU.forward (relu): binarynet puts identity in the pl")
    assert "also in front of aten.lstm.input in LSTM.forward (lstm)" in record.getMessage()


class Step(nn.Module):
    """A layer and a functional ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.fc(x))


class Repeated(nn.Module):
    """A block that runs twice: its ReLU feeds itself, and a last layer; `first` runs before it, if there is one."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first, self.block, self.out = first, Step(), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(self.block(self.block(self.first(x))))
        return result


def test_a_block_that_runs_twice_is_refused_where_its_relu_cannot_be_both() -> None:
    # Its layer is the first, whose input stays real, so that the ReLU between its two calls would have to stay.
    with pytest.raises(ConfigError, match=r"block \(Step\) calls ReLUs in front of .* a module of its own"):
        apply_scheme(Repeated(nn.Identity()), get_scheme("binarynet"), input_shape=(8,))
    network = Repeated(nn.Linear(8, 8))
    apply_scheme(network, get_scheme("binarynet"), input_shape=(8,))
    x = torch.randn(4, 8)
    seen: list[Tensor] = []
    network.block.fc.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.eval()(x)
    assert all(bool((each < 0).any()) for each in seen)
    assert len(seen) == 2


def test_a_bounded_relu_is_replaced_and_comes_back() -> None:
    net: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU6(inplace=True), nn.Linear(8, 2)).eval()
    with torch.no_grad():
        net[0].weight.mul_(40)
    x = torch.randn(20, 8)
    expected = net(x)
    apply_scheme(net, get_scheme("fp32"), input_shape=(8,)).eval()
    torch.testing.assert_close(net(x), expected)
    apply_scheme(net, get_scheme("binarynet"), input_shape=(8,))
    assert net[1].function == "identity"
    apply_scheme(net, get_scheme("fp32"), input_shape=(8,)).eval()
    torch.testing.assert_close(net(x), expected)


def test_a_relu_in_place_stays_in_place() -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.relu, self.out = nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x)
            return self.out(self.relu(y) + y)  # twice the ReLU: it has written into y

    net, x = Shortcut().eval(), torch.randn(20, 8)
    expected = net(x)
    apply_scheme(net, get_scheme("fp32"), input_shape=(8,)).eval()
    assert isinstance(net.relu, Activation)
    torch.testing.assert_close(net(x), expected)


def test_hooks_of_a_relu_are_kept_or_the_scheme_is_refused() -> None:
    def make() -> nn.Sequential:
        net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        net[1].register_forward_hook(lambda module, inputs, output: output + 1)
        return net

    torch.manual_seed(0)
    net = make().eval()
    x = torch.randn(20, 8)
    expected = net(x)
    torch.testing.assert_close(apply_scheme(net, get_scheme("fp32"), input_shape=(8,)).eval()(x), expected)
    with pytest.raises(ConfigError, match="ReLU has hooks, and the scheme puts identity in its place"):
        apply_scheme(make(), get_scheme("binarynet"), input_shape=(8,))


def test_a_transformers_relu_is_a_slot() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    net: Any = nn.Sequential(layer, nn.Linear(8, 2))
    apply_scheme(net, get_scheme("binarynet", allow_float=["0.self_attn"]), input_shape=(6, 8)).eval()
    assert [name for name, module in net.named_modules() if isinstance(module, FunctionalActivation)] == [
        "0.functional_relu"
    ]
    assert [layer.input_format.name for _, layer in quant_layers(net)] == ["binary", "binary", "binary"]


def test_hard_tanh_goes_wherever_a_scheme_quantizes() -> None:
    scheme = get_scheme("binaryconnect", activation_function="hardtanh", allow_float=["rest"])
    for net in (Functional(), Trunk(nn.LSTM(8, 4), function=True)):
        apply_scheme(net, scheme if isinstance(net, Trunk) else scheme.replace(allow_float=[]),
                     input_shape=(8,) if isinstance(net, Trunk) else (1, 8, 8))  # fmt: skip
        found = [module.function for module in net.modules() if isinstance(module, FunctionalActivation)]
        assert found == (["hardtanh"] if isinstance(net, Functional) else [])
