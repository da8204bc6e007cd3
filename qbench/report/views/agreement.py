"""How far bit-packed execution agrees with the fake-quantized network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.view import Column, Value, View
from qbench.report.views.selection import Row, bounded

_AGREEMENT, _EQUAL, _WITHIN = "kernel/agreement", "int8/equal_outputs", "int8/within_one"
_MAX_NOTES = 20


def agreement(model: ReportModel) -> View:
    """Return each group's agreement of packed execution with evaluation: the lowest over its seeds."""
    packed = [group for group in model.groups if _lowest(group, _AGREEMENT) is not None]
    rows, notes = bounded(((group.name, [_row(group)]) for group in packed), where="trials/")
    return View(
        "agreement",
        "Kernel agreement",
        "Share of test images that packed execution puts in the same class as the fake-quantized network: the lowest "
        "over the seeds, because a single disagreement is a fault. Equal outputs: share of equal integers, over all "
        "that one layer hands to the next.",
        (
            Column("group", "scheme"),
            Column(_AGREEMENT, "agreement", ".2%", "measured"),
            Column("images", "test images", ",.0f", "counted"),
            Column("seeds", "seeds", ".0f", "counted"),
            Column("kernel/execution", "execution", source="measured"),
            Column("kernel/ops", "ops, by layer", source="measured"),
            Column(_EQUAL, "equal outputs", ".4%", "measured"),
            Column(_WITHIN, "equal within one", ".4%", "measured"),
            Column("kernel/backend", "backend", source="measured"),
        ),
        rows,
        (*_faults(packed), *_lost_signs(model.groups), *_chainless(packed), *_unpacked(model), *notes) if rows else (),
        None if rows else _missing(model),
    )


def _row(group: Group) -> Row:
    return (
        group.name,
        _lowest(group, _AGREEMENT),
        len(group.labels),
        len(_values(group, _AGREEMENT)),
        _texts(group, "kernel/execution"),
        _ops(group),
        _lowest(group, _EQUAL),
        _lowest(group, _WITHIN),
        _texts(group, "kernel/backend"),
    )


def _values(group: Group, metric: str) -> list[Any]:
    return [value for trial in group.trials if (value := trial.row.get(metric)) is not None]


def _lowest(group: Group, metric: str) -> float | None:
    return min(_values(group, metric), default=None)


def _texts(group: Group, metric: str) -> Value:
    return ", ".join(dict.fromkeys(_values(group, metric))) or None


def _ops(group: Group) -> Value:
    """Return the ops of the layers in their order, equal neighbours as `5 × xnor`."""
    return "; ".join(_runs(text) for text in dict.fromkeys(_values(group, "kernel/ops"))) or None


def _runs(ops: str) -> str:
    counted = [(name, len(list(same))) for name, same in groupby(ops.split())]
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counted)


def _faults(groups: list[Group]) -> tuple[str, ...]:
    """Return a note for each value below 100 %, which rounding may hide in the table."""
    found = [note for group in groups for note in (_disagreement(group), _unequal(group)) if note is not None]
    more = len(found) - _MAX_NOTES
    return tuple(found[:_MAX_NOTES]) + ((f"and {more} more values below 100 %",) if more > 0 else ())


def _disagreement(group: Group) -> str | None:
    low = _lowest(group, _AGREEMENT)
    if low is None or low >= 1:
        return None
    trial = next(trial for trial in group.trials if trial.row.get(_AGREEMENT) == low)
    wrong = round((1 - low) * len(trial.labels))
    return (
        f"{group.name}: below 100 %: with seed {trial.row['seed']} packed execution puts {wrong:,} of "
        f"{len(trial.labels):,} test images in another class"
    )


def _unequal(group: Group) -> str | None:
    low = _lowest(group, _EQUAL)
    if low is None or low >= 1:
        return None
    near = _lowest(group, _WITHIN)
    rest = "" if near is None else "; all differ by one" if near >= 1 else "; some by more than one"
    return f"{group.name}: below 100 %: {100 * (1 - low):.2g} % of the integers between layers differ{rest}"


def _lost_signs(groups: Sequence[Group]) -> tuple[str, ...]:
    """Return a note for each group whose unsigned codes met values below zero on the test images."""
    largest = {group.name: max(_values(group, "int8/negative_inputs"), default=0) for group in groups}
    return tuple(
        f"{name}: {count:,} inputs of layers with unsigned codes were below zero and became 0 (test images, one seed)"
        for name, count in largest.items()
        if count
    )[:_MAX_NOTES]


def _chainless(groups: list[Group]) -> tuple[str, ...]:
    return tuple(
        f"{group.name}: no integer chain, layers run one by one: {reason}"
        for group in groups[:_MAX_NOTES]
        if (reason := _texts(group, "int8/no_chain"))
    )


def _unpacked(model: ReportModel) -> tuple[str, ...]:
    names = [group.name for group in model.groups if group.runs and _lowest(group, _AGREEMENT) is None]
    return (f"nothing is packed, so that nothing can disagree: {listed(names)}",) if names else ()


def _missing(model: ReportModel) -> str:
    return "no scheme here runs bit-packed" if model.done else "no trial is done"
