"""Which epoch is the best."""

from __future__ import annotations

import math

import pytest

from qbench.errors import ConfigError
from qbench.training.selection import Mode, Selection


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("val/accuracy", "max"),
        ("val_acc", "max"),
        ("valid/acc_top1", "max"),
        ("val_acc1", "max"),
        ("val_loss", "min"),
        ("Validation/Loss", "min"),
        ("val_f1", "max"),
        ("top1_error", "min"),
        ("acc_loss", None),  # words of both
        ("val_score", None),
        ("valacc", None),
    ],
)
def test_what_a_name_says(metric: str, mode: Mode | None) -> None:
    if mode is not None:
        assert Selection.of(metric) == Selection(metric, mode)
        return
    with pytest.raises(ConfigError, match=f"select_mode: '{metric}' does not say"):
        Selection.of(metric)
    assert Selection.of(metric, "min") == Selection(metric, "min")


def test_a_mode_that_is_given_counts() -> None:
    assert Selection.of("val_loss", "max").mode == "max"


@pytest.mark.parametrize(
    ("mode", "expected"), [("max", [True, False, False, True]), ("min", [True, False, True, False])]
)
def test_the_first_of_equals_is_the_best(mode: Mode, expected: list[bool]) -> None:
    selection = Selection("x", mode)
    assert [
        selection.is_better(0.0, None),
        selection.is_better(0.5, 0.5),
        selection.is_better(0.25, 0.5),
        selection.is_better(0.75, 0.5),
    ] == expected
    assert not selection.is_better(math.nan, None)
    assert not selection.is_better(math.inf, None)


def test_a_metric_that_nobody_logged() -> None:
    assert Selection("a").value({"a": 2, "b": 3.0}) == 2.0
    with pytest.raises(ConfigError, match=r"select: the best epoch is chosen by 'acc', .* it logged loss, val_acc$"):
        Selection("acc").value({"val_acc": 0.5, "loss": 1.0})
