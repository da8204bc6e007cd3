"""Accuracy over the size of the network, and over what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qbench.report.model.report_model import COSTS, ReportModel
from qbench.report.model.size_curves import Family, size_curves
from qbench.report.view import Column, Value, View
from qbench.report.views.equal_accuracy import curve_notes
from qbench.report.views.size_words import size_heading, target_words

_CAPTION = (
    "Points are means over the seeds with their 95 % intervals; the lines are what is read at equal accuracy; the "
    "level lines are the targets of that table. The scheme furthest to the left on a level line is the {best} at that "
    "accuracy. {cost}"
)
_BYTES = Column(COSTS[0], "stored bytes", ",.0f", "counted")
_ENERGY = Column(COSTS[1], "energy µJ", ".4g", "estimated")


def accuracy_by_size(
    model: ReportModel, at_accuracy: Sequence[float] = (), reference_size: float | None = None
) -> View:
    """Return the points of each scheme's curve, then the targets, which have an accuracy alone.

    Args:
        model, at_accuracy, reference_size: as for `equal_accuracy`.
    """
    caption = _CAPTION.format(best="smallest", cost="Bytes are counted: everything that the network keeps.")
    view = ("accuracy-by-size", "Accuracy by size", caption)
    return _view(view, (_BYTES, _ENERGY), model, at_accuracy, reference_size)


def accuracy_by_energy(
    model: ReportModel, at_accuracy: Sequence[float] = (), reference_size: float | None = None
) -> View:
    """Return the same over the estimated energy of one inference."""
    said = "Energy is estimated, from counted operations and bytes times published prices: no power was measured."
    view = ("accuracy-by-energy", "Accuracy by energy", _CAPTION.format(best="cheapest", cost=said))
    return _view(view, (_ENERGY,), model, at_accuracy, reference_size)


def _view(
    texts: tuple[str, str, str],
    costs: Sequence[Column],
    model: ReportModel,
    at_accuracy: Sequence[float],
    reference_size: float | None,
) -> View:
    found = size_curves(model, reference_size)
    numbered = list(enumerate(found.families, start=1))
    rows = [row for number, family in numbered for row in _points(family, number, costs)]
    rows += [row for number, family in numbered for row in _targets(family, number, costs, found.option, at_accuracy)]
    columns = (
        Column("scheme", "scheme"),
        Column("size", size_heading(found.option or "size"), ",.0f"),
        *costs,
        Column("test/accuracy", "accuracy", ".2%", "measured"),
        Column("test/accuracy_low", "95 % low", ".2%", "computed"),
        Column("test/accuracy_high", "95 % high", ".2%", "computed"),
        Column("curve", "curve", ".2%", "computed"),
        Column("seeds", "seeds", ".0f", "counted"),
        Column("kind", "kind"),
        Column("comparison", "comparison", ".0f", "computed"),
    )
    return View(*texts, columns, tuple(rows), curve_notes(found), found.missing)


def _points(family: Family, number: int, costs: Sequence[Column]) -> Iterator[tuple[Value, ...]]:
    for curve, groups in zip(family.curves, family.groups, strict=True):
        for group, size, fit in zip(groups, curve.sizes, curve.fit, strict=True):
            accuracy = group.accuracy
            assert accuracy is not None
            cost = (group.metrics.get(column.name) for column in costs)
            ends = (accuracy.mean, accuracy.low, accuracy.high)
            yield (curve.name, size, *cost, *ends, fit, group.runs, "size", number)


def _targets(
    family: Family, number: int, costs: Sequence[Column], option: str | None, at_accuracy: Sequence[float]
) -> Iterator[tuple[Value, ...]]:
    for target in family.targets(at_accuracy):
        words = target_words(target, family, str(option))
        yield (words, None, *(None for _ in costs), target.accuracy, None, None, None, None, "target", number)
