"""What graphs show of signs, for forwards whose values are known by thought."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.graph.capture import capture
from qbench.schemes.value_signs import Parts, value_signs


class Computes(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.fc(x))


def of(function: Callable[[Tensor], Tensor], training: bool = False) -> Parts:
    graph = capture(Computes(function), (4, 4), training=training)
    (output,) = graph.of_kind("output")
    return value_signs(graph)[output.inputs[0]]


@pytest.mark.parametrize(
    "function",
    [
        torch.sigmoid,
        F.softplus,
        lambda x: x.softmax(-1),
        torch.abs,
        lambda x: x.square(),
        lambda x: x**2,
        F.hardsigmoid,
        lambda x: x.relu().mean(1),
        lambda x: F.max_pool1d(x.relu(), 2),
        lambda x: F.avg_pool1d(x.relu(), 2),
        lambda x: x.relu().flatten(1)[:, 3:],
        lambda x: x.relu() + x.abs(),
        lambda x: x.relu() + 1,
        lambda x: x.relu() * x.sigmoid(),
        lambda x: x.relu() * 0.5,
        lambda x: torch.cat([x.relu(), x.abs()], 1),
        lambda x: x.relu().chunk(2, 1)[0],
        lambda x: F.gelu(x.relu()),
        lambda x: x.clamp(0.5, 2),
        lambda x: torch.maximum(x, x.relu()),
        lambda x: F.interpolate(x.relu(), scale_factor=2),
    ],
)
def test_never_negative(function: Callable[[Tensor], Tensor]) -> None:
    assert function(torch.randn(2, 4, 4)).min() >= 0
    assert {part.sign for part in of(function)} == {"nonnegative"}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        torch.tanh,
        F.gelu,
        F.silu,
        F.leaky_relu,
        lambda x: x.relu() - 0.5,
        lambda x: x.relu() * -1,
        lambda x: x.relu() + x,
        lambda x: x.relu() + torch.full((4,), -1.0),
        lambda x: torch.add(x.abs(), x.abs(), alpha=-2),
        lambda x: F.layer_norm(x.relu(), (4,)),
        lambda x: F.pad(x.relu(), (1, 1), value=-1.0),
        lambda x: x.sigmoid().log(),
        lambda x: x.relu().neg(),
    ],
)
def test_may_be_negative(function: Callable[[Tensor], Tensor]) -> None:
    assert function(torch.randn(20, 4, 4)).min() < 0
    assert {part.sign for part in of(function)} == {"any"}


def test_the_networks_own_input_is_not_judged() -> None:
    graph = capture(nn.Sequential(nn.Flatten(), nn.MaxPool1d(2)), (2, 4))
    found = [value_signs(graph)[node.name] for node in graph.nodes if node.kind != "output"]
    assert len(found) == 3
    assert {part.sign for parts in found for part in parts} == {"data"}


def test_a_part_of_a_concatenation_stays_a_part() -> None:
    found = of(lambda x: torch.cat([x.relu(), x], 1).flatten(1))
    assert sorted(part.sign for part in found) == ["any", "nonnegative"]


@pytest.mark.parametrize(
    ("function", "training", "kind"),
    [
        (F.hardswish, False, "function"),
        (F.softshrink, False, "function"),
        (lambda x: F.threshold(x, -1, 0), False, "function"),
        (lambda x: F.pad(x, (1, 1)), False, "padding"),
        (lambda x: F.max_pool1d(F.pad(x, (1, 1)), 2), False, "padding"),
        (lambda x: x.masked_fill(x > 1, 0.0), False, "padding"),
        (lambda x: F.dropout(x, 0.5), True, "dropout"),
        (lambda x: F.hardswish(x) * x, False, "function"),
    ],
)
def test_zeros_by_design(function: Callable[[Tensor], Tensor], training: bool, kind: str) -> None:
    assert (function(torch.randn(50, 4, 4) * 4) == 0).any()
    assert {zeros.kind for part in of(function, training) for zeros in part.zeros} == {kind}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.dropout(x, 0.5, training=False),
        lambda x: F.pad(x, (1, 1), value=1.0),
        lambda x: F.pad(x, (1, 1), mode="reflect"),
        lambda x: F.pad(x, (-1, -1)),
        lambda x: F.max_pool1d(x, 2, padding=1),  # pads by minus infinity
        lambda x: F.layer_norm(F.hardswish(x), (4,)),
        lambda x: F.hardswish(x) + x,
        torch.tanh,
    ],
)
def test_no_zeros_by_design(function: Callable[[Tensor], Tensor]) -> None:
    assert not any(part.zeros for part in of(function))
