"""Values followed through a running network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.conformance.following import Following


class Forward(nn.Module):
    """Layers a and b, and a BatchNorm n; `between` says what is done to a's result before b takes it."""

    def __init__(self, between) -> None:
        super().__init__()
        self.a, self.b, self.n = nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self, self.a(x)))


def follow(between, dropped=()) -> Following:
    torch.manual_seed(0)
    following = Following(Forward(between).eval().double(), dropped)
    following.result = following.run(torch.randn(4, 3, dtype=torch.float64))
    return following


@pytest.mark.parametrize(
    "relu",
    [
        F.relu,
        torch.relu,
        lambda x: x.relu(),
        lambda x: x.relu_(),
        lambda x: F.relu(x, inplace=True),
        lambda x: x.clamp(min=0),
        lambda x: x.clamp(0, 6),
        lambda x: torch.clamp_min(x, 0),
        nn.ReLU(),
        nn.ReLU6(),
    ],
)
def test_every_way_to_call_a_relu_is_one(relu) -> None:
    assert follow(lambda net, x: relu(x)).reached == {0: {"b"}}


@pytest.mark.parametrize("other", [lambda x: x.clamp(-1, 1), torch.tanh, nn.GELU(), lambda x: x.clamp(min=0.5)])
def test_other_functions_are_none(other) -> None:
    assert follow(lambda net, x: other(x)).reached == {}


@pytest.mark.parametrize("end", [torch.tanh, nn.GELU(), lambda x: x @ torch.eye(3, dtype=torch.float64)])
def test_a_relus_result_ends_at_a_product_or_another_nonlinearity(end) -> None:
    assert follow(lambda net, x: end(torch.relu(x))).reached == {0: set()}


def test_a_relus_result_goes_on_through_sums_norms_and_shapes() -> None:
    assert follow(lambda net, x: net.n(torch.relu(x) + 1).view(-1, 3)[:2]).reached == {0: {"b"}}


def test_a_dropped_relu_gives_its_input_back() -> None:
    plain = follow(lambda net, x: x)
    dropped = follow(lambda net, x: torch.relu(x), [0])
    torch.testing.assert_close(dropped.result, plain.result, rtol=0, atol=0)


def test_a_norm_takes_a_layers_sums_or_the_largest_of_them() -> None:
    assert follow(lambda net, x: net.n(x)).norm_of == {"a": ["n"]}
    assert follow(lambda net, x: net.n(F.max_pool1d(x.clone(), 1))).norm_of == {"a": ["n"]}


@pytest.mark.parametrize(
    "between", [torch.relu, lambda x: x.relu_(), lambda x: x + 1, lambda x: x.mul_(2), lambda x: -x]
)
def test_a_norm_behind_something_else_takes_no_sums(between) -> None:
    assert follow(lambda net, x: net.n(between(x))).norm_of == {}


def test_calls_are_in_the_order_they_run() -> None:
    assert follow(lambda net, x: net.a(x)).calls == ["a", "a", "b"]
