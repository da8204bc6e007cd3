"""Schedules by name: their rates by formula, warm-up, and what is refused."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError
from qbench.schemes.named import NamedSpec
from qbench.schemes.schedules import SCHEDULES, build_schedule, check_schedule, schedule_rates, uses_end

FIRST, LAST, EPOCHS = 0.5, 0.125, 8


def spec(name: str, **options: Any) -> NamedSpec:
    return NamedSpec(name=name, options=options)


def rates(chosen: str | NamedSpec, epochs: int = EPOCHS, last: float = LAST, scale: float = 1.0) -> list[float]:
    found = schedule_rates(chosen, "sgd", epochs=epochs, learning_rate=FIRST, learning_rate_end=last, scales=(scale,))
    return [rate for (rate,) in found]


FORMULAS: list[tuple[str, dict[str, Any], Callable[[int, int], float]]] = [
    ("exponential", {}, lambda e, n: FIRST * (LAST / FIRST) ** (e / n)),
    ("cosine", {}, lambda e, n: LAST + (FIRST - LAST) * (1 + math.cos(math.pi * e / n)) / 2),
    ("linear", {}, lambda e, n: FIRST + (LAST - FIRST) * e / n),
    ("constant", {}, lambda e, n: FIRST),
    ("halve", {"every": 3}, lambda e, n: FIRST * 2.0 ** -(e // 3)),
    ("step", {"milestones": [2, 5], "factor": 0.2}, lambda e, n: FIRST * 0.2 ** ((e >= 2) + (e >= 5))),
    ("torch.optim.lr_scheduler.PolynomialLR", {"total_iters": 4}, lambda e, n: FIRST * max(1 - e / 4, 0)),
]


@pytest.mark.parametrize(("name", "options", "formula"), FORMULAS, ids=[name for name, _, _ in FORMULAS])
@pytest.mark.parametrize("warmup", [0, 1, 3])
def test_rates_follow_the_formula(
    name: str, options: dict[str, Any], formula: Callable[[int, int], float], warmup: int
) -> None:
    given = options | ({"warmup": warmup} if warmup else {})
    rising = [FIRST * (e + 1) / (warmup + 1) for e in range(warmup)]
    expected = rising + [formula(e, EPOCHS - warmup) for e in range(EPOCHS - warmup + 1)]
    assert rates(spec(name, **given)) == pytest.approx(expected)
    assert rates(spec(name, **given), scale=0.25) == pytest.approx([each / 4 for each in expected])


def test_cosine_and_linear_end_at_0() -> None:
    for name in ("cosine", "linear"):
        assert rates(name, last=0.0)[-1] == pytest.approx(0, abs=1e-12)


def test_a_rate_of_0_stays() -> None:
    for name in ("exponential", "cosine", "linear"):
        found = schedule_rates(name, "sgd", epochs=3, learning_rate=0.0, learning_rate_end=0.0)
        assert found == [[0.0]] * 4


def test_warm_up_warns_of_nothing_and_continues_from_a_checkpoint() -> None:
    """A schedule that is built anew and loaded has the rates that the first one goes on with."""

    def make() -> tuple[torch.optim.Optimizer, Any]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=FIRST)
        arguments = {"epochs": EPOCHS, "learning_rate": FIRST, "learning_rate_end": LAST}
        return optimizer, build_schedule(spec("cosine", warmup=2), optimizer, **arguments)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer, schedule = make()
        seen = []
        for epoch in range(EPOCHS):
            optimizer.step()
            schedule.step()
            seen.append(optimizer.param_groups[0]["lr"])
            if epoch == 3:
                saved = optimizer.state_dict(), schedule.state_dict()
        again, other = make()
        again.load_state_dict(saved[0])
        other.load_state_dict(saved[1])
        resumed = []
        for _ in range(4, EPOCHS):
            again.step()
            other.step()
            resumed.append(again.param_groups[0]["lr"])
    assert resumed == seen[4:]


def test_which_schedules_lead_to_the_end_rate() -> None:
    assert {name for name in SCHEDULES if uses_end(name)} == {"exponential", "cosine", "linear"}
    assert not uses_end("torch.optim.lr_scheduler.CosineAnnealingLR")


def test_a_schedule_of_ones_own_is_told_what_it_names() -> None:
    told: list[tuple[int, float]] = []

    def mine(optimizer: Any, *, epochs: int, learning_rate: float, power: float = 1.0) -> Any:
        told.append((epochs, learning_rate))
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: (1 - e / epochs) ** power)

    SCHEDULES.add("mine", mine)
    try:
        found = rates(spec("mine", power=2.0), epochs=4)
    finally:
        del SCHEDULES._items["mine"]
    assert told == [(4, FIRST)]
    assert found == pytest.approx([FIRST * (1 - e / 4) ** 2 for e in range(5)])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("cosin", "schedule: unknown schedule 'cosin'; did you mean 'cosine'"),
        (spec("step"), "schedule 'step' needs its option 'milestones'"),
        (spec("step", milestone=[1]), "schedule 'step' has no option 'milestone'; did you mean 'milestones'"),
        (spec("cosine", epochs=3), "schedule 'cosine' has no option 'epochs'"),
        (spec("cosine", warmup=-1), "warmup must be a whole number of epochs, got -1"),
        (spec("cosine", warmup=1.5), "warmup must be a whole number of epochs, got 1.5"),
        ("torch.optim.lr_scheduler.StepLR", "needs its option 'step_size'"),
    ],
)
def test_unknown_names_and_options_are_refused(chosen: str | NamedSpec, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_schedule(chosen)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (spec("step", milestones=[]), "milestones must be whole numbers"),
        (spec("step", milestones=[2], factor=0), "factor must be above 0"),
        (spec("halve", every=0), "every must be a whole number of epochs"),
        (spec("cosine", warmup=EPOCHS), "warmup of 8 epochs leaves none of 8"),
        ("torch.optim.lr_scheduler.ReduceLROnPlateau", "whose step\\(\\) needs no metric"),
        ("torch.optim.SGD", "SGD' object is not iterable"),
    ],
)
def test_values_that_cannot_be_are_refused(chosen: str | NamedSpec, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rates(chosen)
