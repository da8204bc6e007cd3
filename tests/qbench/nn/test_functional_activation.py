"""ReLUs that a forward calls as functions, and the slot that stands for them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.functional_activation import NAME, FunctionalActivation, install, uninstall
from qbench.nn.graph.capture import capture


class Calls(nn.Module):
    """Calls a function on the sum of its input and 0.5: a place of its own in memory."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x + 0.5)


X = torch.linspace(-9, 9, 37).reshape(1, 37)


@pytest.mark.parametrize(
    "relu",
    [
        F.relu,
        lambda x: F.relu(x, True),
        lambda x: F.relu(x, inplace=True),
        lambda x: F.relu(input=x),
        F.relu_,
        torch.relu,
        torch.relu_,
        Tensor.relu,
        lambda x: x.relu_(),
        lambda x: x.clamp(min=0),
        lambda x: x.clamp(0),
        lambda x: x.clamp_(min=0.0),
        lambda x: torch.clamp(x, 0, None),
        lambda x: x.clip(0, 6),
        lambda x: x.clamp_min(0),
        F.relu6,
        lambda x: F.relu6(x, inplace=True),
        lambda x: F.hardtanh(x, 0, 6),
        lambda x: F.hardtanh_(x, 0.0, 6.0),
    ],
)
def test_every_spelling_of_a_relu_is_replaced(relu: Callable[[Tensor], Tensor]) -> None:
    net = Calls(relu)
    expected = {"identity": X + 0.5, "hardtanh": (X + 0.5).clip(-1, 1)}
    for function, values in expected.items():
        install(net, function)
        torch.testing.assert_close(net(X), values, rtol=0, atol=0)
        uninstall(net)


@pytest.mark.parametrize(
    "function",
    [
        F.gelu,
        torch.sigmoid,
        lambda x: x.clamp(max=0),
        lambda x: x.clamp(-1, 1),
        lambda x: x.clamp(0.5),
        lambda x: x.clamp(0, 1),
        lambda x: x.clamp(torch.zeros(())),
        F.hardtanh,
        F.leaky_relu,
    ],
)
def test_other_functions_are_left_alone(function: Callable[[Tensor], Tensor]) -> None:
    net = Calls(function)
    expected = net(X)
    install(net, "identity")
    assert torch.equal(net(X), expected)


def test_a_write_in_place_still_happens() -> None:
    class Forgets(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x + 0.5
            F.relu_(y)
            return y

    net = Forgets()
    install(net, "hardtanh")
    x = X.clone().requires_grad_()
    y = net(x)
    assert torch.equal(y, (X + 0.5).clip(-1, 1))
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, ((X + 0.5).abs() < 1).float())


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) - 1


class Outer(nn.Module):
    """Three ReLUs of its own; two more are within: one as a function, one as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.inner = Inner()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc(x))
        x = self.relu(self.inner(x))
        x = (x - 0.2).clamp(min=0)
        return torch.relu(x - 0.3)


def by_hand(net: Outer, x: Tensor) -> Tensor:
    """Return what Outer computes with hard tanh in place of its first two ReLUs."""
    x = F.hardtanh(net.fc(x))
    x = F.relu(F.relu(x) - 1)
    return F.relu(F.hardtanh(x - 0.2) - 0.3)


def installed() -> Outer:
    torch.manual_seed(0)
    net = Outer()
    with torch.no_grad():
        net.fc.weight.mul_(4)
    install(net, "hardtanh", kept=[2], within=[net.inner, net.relu])
    return net


def test_only_the_owners_own_relus_are_replaced_but_those_kept() -> None:
    net = installed()
    x = torch.randn(50, 4)
    assert torch.equal(net(x), by_hand(net, x))
    assert not torch.equal(net(x), Outer.forward(net, x))  # the owner called as a module only


def test_the_graph_shows_slots_and_functions() -> None:
    for training in (False, True):
        found = capture(installed(), (4,), training=training).of_kind("activation")
        assert [(node.path, node.function) for node in found] == [
            (NAME, "hardtanh"),
            ("inner", "relu"),
            ("relu", "relu"),
            (NAME, "hardtanh"),
            ("", "relu"),
        ]


def test_copies_and_pickles_are_networks_of_their_own() -> None:
    net, x = installed(), torch.randn(50, 4)
    expected = by_hand(net, x)
    for made in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301
        assert torch.equal(made(x), expected)
        made.get_submodule(NAME).fill("identity")  # type: ignore[operator]
        assert torch.equal(net(x), expected)
        assert not torch.equal(made(x), expected)


def test_uninstalling_gives_the_functions_back() -> None:
    net, plain, x = installed(), Outer(), torch.randn(50, 4)
    plain.load_state_dict(net.state_dict())
    made = copy.deepcopy(net)
    uninstall(made)
    assert torch.equal(made(x), plain(x))
    assert [type(module) for module in made.modules()] == [type(module) for module in plain.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())
    assert isinstance(net.get_submodule(NAME), FunctionalActivation)


def test_a_forward_that_raises_leaves_nothing_behind() -> None:
    net = installed()
    with pytest.raises(RuntimeError):
        net(torch.randn(2, 5))
    with pytest.raises(RuntimeError):
        nn.Sequential(net, nn.Linear(3, 3))(torch.randn(2, 4))
    assert torch.equal(F.relu(torch.tensor([-1.0])), torch.zeros(1))
    x = torch.randn(50, 4)
    assert torch.equal(net(x), by_hand(net, x))


def test_owners_within_owners_answer_for_themselves() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.inner(F.relu(x)))

    net = Nested()
    install(net, "hardtanh")
    install(net.inner, "identity")
    assert torch.equal(net(X), F.hardtanh(F.hardtanh(X) - 1))
    uninstall(net)
    install(net.inner, "relu")  # its own F.relu is not the owner's to replace
    install(net, "hardtanh")
    assert torch.equal(net(X), F.hardtanh(F.relu(F.hardtanh(X)) - 1))


@pytest.mark.slow
def test_a_compiled_network_is_the_same() -> None:
    net, x = installed(), torch.randn(50, 4)
    torch.testing.assert_close(torch.compile(net, backend="eager")(x), by_hand(net, x))
    torch._dynamo.reset()
