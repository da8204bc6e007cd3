"""What a trial's record may hold: a row that disagrees with its predictions, or a text for a number, is damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TEXTS = {
    "kernel/execution",
    "kernel/ops",
    "kernel/backend",
    "int8/no_chain",
    "training/loop",
    "training/optimizer",
    "training/loss_function",
    "training/unknown",
    "cost/weight_level",
    "cost/activation_level",
    "cost/account",
}
_SHARES = {
    "test/accuracy",
    "val/accuracy",
    "kernel/agreement",
    "cost/quantized_share",
    "filters/unique_fraction",
    "filters/random_fraction",
}
# The first parts of this library's metrics; a module's own metrics may be any plain value.
_OURS = ("test", "val", "time", "cost", "filters", "training", "kernel", "int8")
_NOT_NEGATIVE = ("cost", "time")
_COSTS = ("cost/weight_bytes", "cost/energy_uj_low", "cost/energy_uj_high")
_LARGEST_CLASS = 2**31
_ROUNDING = 1e-6


def row_fault(row: Mapping[str, Any]) -> str | None:
    """Return which value of a row is none that a trial writes, and why; None where all are."""
    if not isinstance(row.get("scheme"), str):
        return f"scheme: expected a name, got {_short(row.get('scheme'))}"
    if not is_seed(row.get("seed")):
        return f"seed: expected an integer of 0 or more, got {_short(row.get('seed'))}"
    return next((f"{key}: {found}" for key, value in row.items() if (found := _of_metric(key, value))), None)


def is_seed(value: Any) -> bool:
    """Whether a value can be a seed."""
    return type(value) is int and 0 <= value < 2**63


def _of_metric(key: str, value: Any) -> str | None:
    """Return what is wrong with the value of a metric; None for a setting, and where nothing is."""
    first, metric, _ = key.partition("/")
    if not metric or value is None:
        return None
    if isinstance(value, list | dict):
        return f"expected one value, got {_short(value)}"
    if first not in _OURS:
        return None
    if key in _TEXTS:
        return None if isinstance(value, str) else f"expected a text, got {_short(value)}"
    if type(value) not in (int, float):
        return f"expected a number, got {_short(value)}"
    if key in _SHARES and not 0 <= value <= 1:
        return f"expected a share of 0 to 1, got {_short(value)}"
    return f"expected no number below 0, got {_short(value)}" if first in _NOT_NEGATIVE and value < 0 else None


def answers_fault(row: Mapping[str, Any], predictions: Sequence[Any], labels: Sequence[Any]) -> str | None:
    """Return what is wrong with the predictions of a trial that is done, or with the accuracy that its row gives."""
    if not labels or len(predictions) != len(labels):
        return f"predictions: expected one for each label, got {len(predictions)} for {len(labels)}"
    for name, classes in (("predictions", predictions), ("labels", labels)):
        wrong = next((each for each in classes if type(each) is not int or not 0 <= each < _LARGEST_CLASS), None)
        if wrong is not None or None in classes:
            return f"{name}: expected numbers of classes, got {_short(wrong)}"
    right = sum(found == true for found, true in zip(predictions, labels, strict=True)) / len(labels)
    stated = row.get("test/accuracy")
    if stated is not None and abs(stated - right) > _ROUNDING:
        return f"test/accuracy: the row says {stated:g}, its predictions give {right:g}"
    return None


def costs_fault(row: Mapping[str, Any]) -> str | None:
    """Return which cost a row lacks, whose parts a trial's details hold; None where it has all."""
    return next((f"{key}: is missing" for key in _COSTS if row.get(key) is None), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
