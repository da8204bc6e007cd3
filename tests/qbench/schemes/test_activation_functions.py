"""Recipes that name an activation function with parameters, applied to networks."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.cost.network_cost import network_cost
from qbench.deploy.chain import blocks
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.packable import NotPackableError
from qbench.errors import ConfigError, UserError
from qbench.nn.activation import Activation
from qbench.nn.activation_functions import RPReLU
from qbench.nn.models.catalogue import MODELS
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule

CHANNELS = (48, 48, 96, 96, 192)  # of digits-convnet's five slots
CONVNET = (1, 8, 8)


def convnet(width: int = 48) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.get("digits-convnet").make({"width": width})


def with_function(network: nn.Module, function: Any, scheme: str = "fp32", shape: Any = CONVNET) -> nn.Module:
    return apply_scheme(network, get_scheme(scheme, activation_function=function), input_shape=shape)


def randomize(network: nn.Module) -> None:
    """Give the functions' parameters numbers that tell places and channels apart."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, RPReLU):
                for parameter in module.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("scheme", ["fp32", "binarynet", "xnor-net"])
def test_each_slot_of_a_network_has_a_module_of_its_own(scheme: str) -> None:
    network = with_function(convnet(), "rprelu", scheme)
    found = [module for module in network.modules() if isinstance(module, RPReLU)]
    assert tuple(len(each.slope) for each in found) == CHANNELS
    # Three numbers a channel, of 4 bytes, counted as stored.
    assert network_cost(network, CONVNET).uncounted_bytes == 3 * 4 * sum(CHANNELS)
    before = network_cost(with_function(convnet(), "relu" if scheme == "fp32" else "identity", scheme), CONVNET)
    assert network_cost(network, CONVNET).stored_bytes >= before.stored_bytes + 3 * 4 * sum(CHANNELS)


def test_copies_pickles_and_states_take_the_modules_along() -> None:
    network = with_function(convnet(8), "rprelu").eval()
    randomize(network)
    x = torch.randn(3, *CONVNET)
    again = with_function(convnet(8), "rprelu").eval()
    again.load_state_dict(network.state_dict())
    for made in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), again):  # noqa: S301
        assert torch.equal(made(x), network(x))
    assert network.double()(x.double()).dtype == torch.float64


def test_a_scheme_that_quantizes_afterwards_keeps_what_was_trained() -> None:
    module = QuantModule(convnet(8), get_scheme("int8-minmax", activation_function="rprelu"), input_shape=CONVNET)
    randomize(module.model)
    trained = {name: value.clone() for name, value in module.model.state_dict().items() if ".module." in name}
    module.quantize()
    assert len(trained) == 15
    state = module.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in trained.items())


def test_another_function_takes_the_place() -> None:
    network = with_function(convnet(8), "rprelu")
    with_function(network, {"name": "leaky_relu", "options": {"negative_slope": 0.5}})
    assert not any(isinstance(module, RPReLU) for module in network.modules())
    with_function(network, "relu")
    plain = with_function(convnet(8), "relu")
    x = torch.randn(2, *CONVNET)
    assert torch.equal(network.eval()(x), plain.eval()(x))


# Functions that a forward calls.


class Functional(nn.Module):
    """ReLUs as functions: three places, with 6, 6 and 16 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3, padding=1)
        self.fc, self.out = nn.Linear(54, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        x = self.conv2(x).relu_()
        x = F.max_pool2d(x, 2).flatten(1)
        x = self.fc(x).clamp(min=0)
        return self.out(x)


def test_functions_of_a_forward_get_a_module_for_each_call() -> None:
    torch.manual_seed(0)
    network: Any = with_function(Functional(), "rprelu")
    randomize(network)
    places = [network.get_submodule(f"functional_relu.places.{call}").module for call in range(3)]
    assert [len(each.slope) for each in places] == [6, 6, 16]

    x = torch.randn(5, *CONVNET)
    y = places[1](network.conv2(places[0](network.conv(x))))
    expected = network.out(places[2](network.fc(F.max_pool2d(y, 2).flatten(1))))
    assert torch.equal(network(x), expected)
    assert torch.equal(copy.deepcopy(network)(x), expected)
    network(x).sum().backward()
    assert all(each.slope.grad is not None for each in places)
    assert network_cost(network, CONVNET).uncounted_bytes == 3 * 4 * (6 + 6 + 16)


def test_functions_of_a_forward_keep_what_was_trained() -> None:
    module = QuantModule(Functional(), get_scheme("int8-minmax", activation_function="rprelu"), input_shape=CONVNET)
    randomize(module.model)
    trained = {name: value.clone() for name, value in module.model.state_dict().items() if "places" in name}
    module.quantize()
    state = module.model.state_dict()
    assert len(trained) == 9
    assert all(torch.equal(state[name], value) for name, value in trained.items())


class Shared(nn.Module):
    """A block in two places, with as many channels in each, or others."""

    def __init__(self, second: int, *, functional: bool) -> None:
        super().__init__()
        self.conv, self.conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, second, 3, padding=1)
        self.act: nn.Module = Called() if functional else nn.ReLU()
        self.out = nn.Linear(second, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.act(self.conv2(self.act(self.conv(x)))).mean((2, 3)))


class Called(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


@pytest.mark.parametrize("functional", [False, True], ids=["module", "function"])
def test_a_place_that_is_called_twice_has_one_number_of_channels(functional: bool) -> None:
    network = with_function(Shared(4, functional=functional), "prelu")
    assert sum(isinstance(module, nn.PReLU) for module in network.modules()) == 1
    with pytest.raises(ConfigError, match=r"4 (channels )?and 5.*give each place a module of its own"):
        with_function(Shared(5, functional=functional), "prelu")
    with_function(Shared(5, functional=functional), "gelu")  # nothing in it depends on channels


class Tokens(nn.Module):
    """Rows of features: channels are the last dimension behind a linear layer, and dimension 1 behind a Conv1d."""

    def __init__(self, *, functional: bool) -> None:
        super().__init__()
        self.fc, self.conv, self.out = nn.Linear(5, 7), nn.Conv1d(5, 7, 1), nn.Linear(7, 3)
        self.act, self.act2 = nn.ReLU(), nn.ReLU()
        self.functional = functional

    def forward(self, x: Tensor) -> Tensor:
        rows = self.act(self.fc(x))
        other = self.conv(x.transpose(1, 2))
        other = F.relu(other) if self.functional else self.act2(other)
        return self.out(rows.mean(1) + other.mean(2))


@pytest.mark.parametrize("functional", [False, True], ids=["module", "function"])
def test_channels_are_where_the_layer_before_has_them(functional: bool) -> None:
    network: Any = with_function(Tokens(functional=functional), "rprelu", shape=(4, 5))
    randomize(network)
    x = torch.randn(2, 4, 5)
    rows = network.act.module(network.fc(x).transpose(1, 2)).transpose(1, 2)
    name = "functional_relu.places.0" if functional else "act2"
    other = network.get_submodule(name).module(network.conv(x.transpose(1, 2)))
    assert torch.equal(network(x), network.out(rows.mean(1) + other.mean(2)))


# Where the function matters to others.


def test_a_function_that_needs_channels_asks_for_the_input_shape() -> None:
    with pytest.raises(ConfigError, match=r"prelu has parameters for each channel.*input_shape"):
        apply_scheme(convnet(8), get_scheme("fp32", activation_function="prelu"))
    apply_scheme(convnet(8), get_scheme("fp32", activation_function="gelu"))


def test_signs_are_not_taken_of_what_is_never_negative() -> None:
    with pytest.raises(
        ConfigError, match=r"comes from act1 .* never negative.*another activation_function than clipped"
    ):
        with_function(convnet(8), "clipped_relu", "binarynet")
    with_function(convnet(8), "rprelu", "binarynet")


def test_thresholds_stand_only_for_what_rises() -> None:
    cost = {
        name: network_cost(with_function(convnet(8), name, "binarynet"), CONVNET)
        for name in ("identity", "tanh", "rprelu")
    }
    operations = {name: each.operations for name, each in cost.items()}
    assert operations["tanh"] == operations["identity"]  # one comparison a value
    assert operations["rprelu"] != operations["identity"]
    assert operations["rprelu"].fp32_mul > operations["identity"].fp32_mul


def test_a_chain_of_blocks_refuses_what_it_cannot_run_by_name() -> None:
    network = with_function(convnet(8), "rprelu", "binarynet").eval()
    with pytest.raises(NotPackableError, match=r"act1: the activation function rprelu is not known here"):
        pack(network, CONVNET)
    network = with_function(convnet(8), {"name": "hardtanh", "options": {"max_val": 2.0}}, "binaryconnect").eval()
    with pytest.raises(UserError, match=r"act1: the activation function hardtanh\(max_val=2.0\) is not known here"):
        blocks(network, CONVNET)
    assert blocks(with_function(convnet(8), "hardtanh", "binaryconnect").eval(), CONVNET)[0].activation == "hardtanh"


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"activation_function: unknown activation function 'rprelo'.*'rprelu'"):
        with_function(convnet(8), "rprelo")


def test_old_values_are_what_they_were() -> None:
    scheme = get_scheme("fp32", activation_function="hardtanh")
    assert scheme.recipe.model_dump()["activation_function"] == "hardtanh"
    assert scheme == get_scheme("fp32", activation_function={"name": "hardtanh"})
    network = with_function(convnet(8), "hardtanh")
    assert {each.function for each in network.modules() if isinstance(each, Activation)} == {"hardtanh"}
    assert set(network.state_dict()) == set(convnet(8).state_dict())
