"""Activation slots, and the functions that fill them by name."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.activation import ACTIVATIONS, Activation, register_activation
from qbench.nn.activation_functions import ClippedReLU, RPReLU
from qbench.nn.function_facts import FunctionFacts


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# RPReLU: ReActNet eq. 2.


def test_rprelu_by_hand() -> None:
    function = RPReLU(2)
    with torch.no_grad():
        function.shift_in.copy_(torch.tensor([1.0, -1.0]))
        function.slope.copy_(torch.tensor([0.5, 2.0]))
        function.shift_out.copy_(torch.tensor([10.0, 0.25]))
    x = torch.tensor([[3.0, 0.0], [1.0, -1.0], [-1.0, -3.0]])
    # Channel 0: 3-1+10; 10; 0.5·(-1-1)+10. Channel 1: 0+1+0.25; 0.25; 2·(-3+1)+0.25.
    assert function(x).tolist() == [[12.0, 1.25], [10.0, 0.25], [9.0, -3.75]]


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (2, 3, 4, 4)])
def test_rprelu_has_the_gradients_of_its_formula(shape: tuple[int, ...]) -> None:
    function = RPReLU(3).double()
    with torch.no_grad():
        for seed, parameter in enumerate(function.parameters(), 1):
            parameter.copy_(numbers(3, seed=seed))
    x = numbers(*shape).double().requires_grad_()
    weight = numbers(*shape, seed=9).double()
    leaves = [x, *function.parameters()]
    found = torch.autograd.grad((function(x) * weight).sum(), leaves)

    of_channel = [each.reshape(-1, *[1] * (len(shape) - 2)) for each in function.parameters()]
    gamma, beta, zeta = of_channel
    formula = torch.where(x > gamma, x - gamma + zeta, beta * (x - gamma) + zeta)
    expected = torch.autograd.grad((formula * weight).sum(), leaves)

    torch.testing.assert_close(function(x), formula, rtol=0, atol=1e-15)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_rprelu_begins_as_a_prelu() -> None:
    x = numbers(4, 6, 3)
    assert torch.equal(RPReLU(6)(x), nn.PReLU(6)(x))


# PACT's clip.


def test_clipped_relu_and_its_gradients_by_hand() -> None:
    function = ClippedReLU(clip=2.0)
    x = torch.tensor([-1.0, 0.5, 2.0, 3.0], requires_grad=True)
    y = function(x)
    assert y.tolist() == [0.0, 0.5, 2.0, 2.0]
    y.backward(torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert x.grad is not None
    assert function.clip.grad is not None
    assert x.grad.tolist() == [0.0, 10.0, 0.0, 0.0]
    assert function.clip.grad.item() == 1100.0  # wherever x >= α


def test_clipped_relu_never_falls_below_zero_and_can_recover() -> None:
    function = ClippedReLU()
    with torch.no_grad():
        function.clip.fill_(-0.5)
    y = function(torch.tensor([-1.0, 3.0]))
    assert y.tolist() == [0.0, 0.0]
    y.sum().backward()
    assert function.clip.grad is not None
    assert function.clip.grad.item() == 1.0


# Slots filled by name.

FORMULAS: dict[str, Any] = {
    "relu": lambda x: x.clamp_min(0),
    "relu6": lambda x: x.clamp(0, 6),
    "hardtanh": lambda x: x.clamp(-1, 1),
    "identity": lambda x: x,
    "prelu": lambda x: torch.where(x > 0, x, 0.25 * x),
    "rprelu": lambda x: torch.where(x > 0, x, 0.25 * x),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": torch.tanh,
    "clipped_relu": lambda x: x.clamp(0, 10),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_slot_computes_the_function_of_its_name(name: str) -> None:
    x = 4 * numbers(3, 5, 2).double()
    slot = Activation(name, channels=5).double()
    torch.testing.assert_close(slot(x), FORMULAS[name](x), rtol=0, atol=1e-12)
    assert torch.equal(copy.deepcopy(slot)(x), slot(x))


def test_the_registry_knows_every_formula() -> None:
    assert set(FORMULAS) <= set(ACTIVATIONS.names())


@pytest.mark.parametrize("name", FORMULAS)
def test_what_is_known_of_a_function_holds(name: str) -> None:
    slot = Activation(name, channels=1).double()
    with torch.no_grad():
        for parameter in slot.parameters():
            parameter.copy_(-0.5 if name != "clipped_relu" else 0.5)  # a falling slope
    x = torch.linspace(-12, 12, 2001, dtype=torch.float64).reshape(-1, 1)
    y = slot(x)
    assert not slot.facts.nonnegative or bool((y >= 0).all())
    assert not slot.facts.rising or bool((y.diff(dim=0) >= 0).all())
    assert not slot.facts.keeps_sign or bool((y[x >= 0] >= 0).all())


def test_a_prelu_slot_is_torchs_module() -> None:
    slot, plain, x = Activation("prelu", {"slope": 0.1}, channels=4), nn.PReLU(4, 0.1), numbers(2, 4, 3)
    assert torch.equal(slot(x), plain(x))
    assert list(slot.state_dict()) == ["module.weight"]
    assert slot.function == "prelu(slope=0.1)"


def test_options_make_another_function_of_a_plain_one() -> None:
    slot = Activation("hardtanh", {"min_val": 0.0, "max_val": 3.0})
    assert slot(torch.tensor([-1.0, 2.0, 5.0])).tolist() == [0.0, 2.0, 3.0]
    assert slot.function not in Activation.FUNCTIONS  # whoever knows the plain one must not take it for that


def test_channels_may_be_the_last_dimension() -> None:
    slot = Activation("prelu", channels=3, last=True)
    with torch.no_grad():
        slot.get_parameter("module.weight").copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert slot(-torch.ones(2, 4, 3)).tolist() == [[[-1.0, -2.0, -3.0]] * 4] * 2


def test_a_slot_writes_into_its_input_where_the_relu_did() -> None:
    x = numbers(2, 3)
    expected = F.leaky_relu(x, 0.01)
    leaf = x.clone().requires_grad_()
    taken = leaf * 1
    slot = Activation("prelu", {"slope": 0.01}, channels=3, inplace=True)
    given = slot(taken)
    assert given is taken
    assert torch.equal(taken, expected)
    given.sum().backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, torch.where(x > 0, 1.0, 0.01))


def test_filling_with_the_same_function_keeps_what_was_trained() -> None:
    slot = Activation("rprelu", channels=3)
    trained = slot.module
    slot.fill("rprelu", channels=3)
    slot.fill("rprelu")  # without a graph
    assert slot.module is trained
    slot.fill("rprelu", {"slope": 0.5}, channels=3)
    assert slot.module is not trained
    slot.fill("relu")
    assert slot.module is None
    assert not list(slot.parameters())


# What is refused.


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, ::2]


class Writes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(x)


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("out of ideas")


def not_a_builder(channels: int) -> int:
    return channels


HERE = __name__


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rprellu", {}, r"unknown activation function 'rprellu'; did you mean 'rprelu'"),
        ("gelu", {"slope": 1}, r"activation function 'gelu': .*slope"),
        ("gelu", {"inplace": True}, r"leave inplace out"),
        ("relu", {"inplace": True}, r"leave inplace out"),
        ("clipped_relu", {"clip": -1.0}, r"clip must be positive, got -1"),
        ("prelu", {}, r"prelu has parameters for each channel.*give QuantModule, or apply_scheme, the input_shape"),
        ("no.such.module.Function", {}, r"cannot import"),
        (f"{HERE}.HERE", {}, r"is str, expected a class of modules"),
    ],
)
def test_a_slot_refuses_by_name(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Activation(name, options)


def test_a_builder_that_builds_no_module_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"not_a_builder' builds int, expected an nn.Module"):
        Activation(f"{HERE}.not_a_builder", channels=3)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Halves, r"Halves' makes \[2, 2\] of \[2, 4\]: it must keep the shape"),
        (Writes, "writes into its input, or returns it"),
        (Fails, "does not run on .*out of ideas"),
    ],
)
def test_a_function_that_cannot_stand_in_a_slot_is_refused(kind: type[nn.Module], message: str) -> None:
    slot = Activation(f"{HERE}.{kind.__name__}")
    with pytest.raises(ConfigError, match=message):
        slot.check(numbers(2, 4))


def test_torchs_own_module_by_a_dotted_path() -> None:
    slot, x = Activation("torch.nn.Softplus", {"beta": 2.0}), numbers(3, 4)
    assert torch.equal(slot(x), nn.Softplus(beta=2.0)(x))
    assert slot.facts == FunctionFacts()  # nothing is known


def test_a_registered_function_says_what_is_known_of_it() -> None:
    @register_activation("test-doubled", FunctionFacts(rising=True))
    class Doubled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    assert Activation("test-doubled").facts.rising
    with pytest.raises(ValueError, match="'gelu' is already registered"):
        register_activation("gelu")(Doubled)
