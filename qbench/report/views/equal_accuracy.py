"""What each scheme costs at the same accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from qbench.report.model.report_model import COSTS, ReportModel
from qbench.report.model.size_curves import Family, SizeCurves, size_curves
from qbench.report.statistics.equal_accuracy import DRAWS, TAIL, AtAccuracy, Reading
from qbench.report.statistics.size_curve import SizeCurve
from qbench.report.view import Column, Value, View
from qbench.report.views.size_words import size_heading, size_words, target_words

_CAPTION = (
    "Each scheme's curve of accuracy over size, read at the same accuracy: how large its network has to be, what it "
    "costs, and how many times less than float32's at that accuracy. Between measured sizes accuracy is taken as "
    "linear in the logarithm of the cost; beyond them nothing is said."
)
_BYTES, _ENERGY = COSTS
_FORMS = {_BYTES: ",.0f", _ENERGY: ".3g"}
_UNITS = {_BYTES: "bytes", _ENERGY: "µJ"}
_SHORT = {_BYTES: "bytes", _ENERGY: "energy"}


def equal_accuracy(model: ReportModel, at_accuracy: Sequence[float] = (), reference_size: float | None = None) -> View:
    """Return size, bytes and energy of each scheme at each target, and their ratios to float32's.

    Args:
        model: what was read.
        at_accuracy: the targets, as fractions; empty for float32's at its reference size minus 0, 0.5 and 1 point.
        reference_size: see `size_curves`.
    """
    found = size_curves(model, reference_size)
    rows: list[tuple[Value, ...]] = []
    for family in found.families:
        for each in family.read(family.targets(at_accuracy)):
            rows.append(_row(each, family, str(found.option)))
    return View(
        "equal-accuracy",
        "Cost at equal accuracy",
        _CAPTION,
        _columns(found.option),
        tuple(rows),
        (*curve_notes(found), *_interval_notes(found)) if rows else found.refused,
        None if rows else _missing(found),
    )


def by_target(view: View) -> tuple[View, ...]:
    """Return the rows of each target as a view of its own, narrow enough for a terminal: remarks are its notes."""
    names = [column.name for column in view.columns]
    kept = range(names.index("scheme"), names.index("not_reached"))
    columns = tuple(view.columns[index] for index in kept)
    targets: dict[str, list[dict[str, Value]]] = {}
    for row in view.records():
        words, accuracy = str(row["target"]), f"{100 * float(row['target/accuracy'] or 0):.2f} %"
        targets.setdefault(words if words.endswith("%") else f"{accuracy} ({words})", []).append(row)
    return tuple(
        View(
            view.name,
            f"At {title}:",
            view.caption,
            columns,
            tuple(tuple(row[column.name] for column in columns) for row in rows),
            tuple(f"{row['scheme']}: {row['remark']}" for row in rows if row["remark"]),
        )
        for title, rows in targets.items()
    )


def curve_notes(found: SizeCurves) -> tuple[str, ...]:
    """Return what a reader must know of the curves: the reference, isotonic fits, schemes that are left out."""
    option = str(found.option)
    notes = [_reference_note(family, option) for family in found.families if family.reference is not None]
    for curve in (each for family in found.families for each in family.curves):
        if curve.fitted:
            measured = ", ".join(f"{100 * each:.2f}" for each in curve.accuracy)
            notes.append(
                f"{curve.name}: accuracy does not rise with every size ({measured} %); its curve is the nearest "
                f"non-decreasing one (isotonic fit)"
            )
    return (*notes, *_levels(found), *_spread(found), *found.refused)


def _levels(found: SizeCurves) -> Iterator[str]:
    """Say where the estimated energy jumps: at sizes whose weights lie in different memories."""
    for family in found.families:
        for curve, groups in zip(family.curves, family.groups, strict=True):
            levels = list(dict.fromkeys(str(group.trials[0].row.get("cost/weight_level")) for group in groups))
            if len(levels) > 1:
                yield (
                    f"{curve.name}: weights move to larger memories with size ({', '.join(levels)}), where energy "
                    f"jumps; between such sizes it is read roughly"
                )


def _spread(found: SizeCurves) -> Iterator[str]:
    """Say that energy is read at the middle of its estimate, where that is a range."""
    rows = [group.metrics for family in found.families for groups in family.groups for group in groups]
    ends = [(row.get(f"{_ENERGY}_low"), row.get(_ENERGY), row.get(f"{_ENERGY}_high")) for row in rows]
    away = max(((high - low) / 2 / mid for low, mid, high in ends if low and mid and high), default=0.0)
    if away > 0:
        yield (
            f"energy is read at the middle of its low and high estimate, which are up to {100 * away:.0f} % away; the "
            "intervals of energy and of its ratio hold nothing of that"
        )


def _reference_note(family: Family, option: str) -> str:
    curve = family.curves[family.reference or 0]
    size = size_words(option, curve.sizes[family.reference_size])
    best = max(curve.accuracy)
    return (
        f"reference of {curve.name}: {size}, {100 * curve.fit[family.reference_size]:.2f} % (its best size has "
        f"{100 * best:.2f} %); unless named, it is the smallest size within two standard errors of the best"
    )


def _interval_notes(found: SizeCurves) -> Iterator[str]:
    yield (
        f"intervals: 95 %, bootstrap over seeds and test images, jointly for all sizes and schemes ({DRAWS:,} draws); "
        f"each draw has its own target and its own ratio"
    )
    trainings = {len(seeds) for family in found.families for curve in family.curves for seeds in curve.seeds}
    if 1 in trainings:
        yield "sizes with one seed: their part of the intervals is over test images and says nothing of other seeds"
    elif trainings and max(trainings) < 5:
        yield f"at most {max(trainings)} seeds a size: the seeds' part of the intervals is rough"


def _columns(option: str | None) -> tuple[Column, ...]:
    return (
        Column("target", "target"),
        Column("target/accuracy", "accuracy", ".2%", "computed"),
        Column("scheme", "scheme"),
        Column("size", size_heading(option or "size"), ",.0f", "computed"),
        *_cost_columns(_BYTES, "bytes"),
        *_cost_columns(_ENERGY, "energy µJ"),
        *_ratio_columns(_BYTES),
        *_ratio_columns(_ENERGY),
        Column("not_reached", "draws not reaching it", ".1%", "computed"),
        Column("remark", "remark", aside=True),
    )


def _cost_columns(name: str, heading: str) -> tuple[Column, ...]:
    form, source = _FORMS[name], "counted" if name == _BYTES else "estimated"
    return (
        Column(name, f"{heading} ({source})", form, "computed"),
        Column(f"{name}_low", "95 % low", form, "computed"),
        Column(f"{name}_high", "95 % high", form, "computed"),
    )


def _ratio_columns(name: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}_ratio", f"{_SHORT[name]}, times less", ".2f", "computed"),
        Column(f"{name}_ratio_low", "95 % low", ".2f", "computed"),
        Column(f"{name}_ratio_high", "95 % high", ".2f", "computed"),
    )


def _row(found: AtAccuracy, family: Family, option: str) -> tuple[Value, ...]:
    readings = [(found.costs.get(name)) for name in COSTS] + [found.ratios.get(name) for name in COSTS]
    return (
        target_words(found.target, family, option),
        found.target.accuracy,
        found.curve.name,
        found.size.value,
        *(value for each in readings for value in _three(each)),
        found.not_reached,
        "; ".join(_remarks(found, option)) or None,
    )


def _three(reading: Reading | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if reading is None else (reading.value, reading.low, reading.high)


def _remarks(found: AtAccuracy, option: str) -> Iterator[str]:
    """Say what the numbers cannot: targets beyond the sizes, and open ends of intervals."""
    curve = found.curve
    if found.place == inf:
        yield f"not reached at up to {size_words(option, curve.sizes[-1])} ({_best(found, option)})"
    elif found.place == -inf:
        yield f"reached already at the smallest ({size_words(option, curve.sizes[0])}): {_at_most(curve)}"
    if found.place == inf and 1 - found.not_reached > TAIL:
        yield f"reached in {100 * (1 - found.not_reached):.1f} % of draws"
    if found.place == -inf and 1 - found.before_smallest > TAIL:
        yield f"the smallest has more than the target in {100 * found.before_smallest:.1f} % of draws"
    yield from _bounded_ratios(found)
    if found.not_reached > TAIL and found.place < inf:
        yield f"not reached in {100 * found.not_reached:.1f} % of draws: {_open(found, above=True)}"
    if found.before_smallest > TAIL and found.place > -inf:
        share = 100 * found.before_smallest
        yield f"reached before the smallest size in {share:.1f} % of draws: {_open(found, above=False)}"


def _best(found: AtAccuracy, option: str) -> str:
    """Return the most that the curve has, and the measured size that has more, where the fit lies below it."""
    curve = found.curve
    best = max(curve.accuracy)
    text = f"best {100 * max(curve.fit):.2f} %"
    if best < found.target.accuracy:
        return text
    where = size_words(option, curve.sizes[curve.accuracy.index(best)])
    return f"{text} on the isotonic fit; {where} alone have {100 * best:.2f} %"


def _at_most(curve: SizeCurve) -> str:
    return " and ".join(f"at most {values[0]:{_FORMS[name]}} {_UNITS[name]}" for name, values in curve.costs.items())


def _bounded_ratios(found: AtAccuracy) -> Iterator[str]:
    for name, ratio in found.ratios.items():
        if ratio.value is None and ratio.least:
            yield f"{_SHORT[name]} at least {ratio.least:.2f} times less"


def _open(found: AtAccuracy, above: bool) -> str:
    """Return the end of each interval that is known, where the other is open."""
    known = []
    for name, cost in found.costs.items():
        end, other = (cost.low, cost.high) if above else (cost.high, cost.low)
        if end is not None and other is None:
            ratio = found.ratios.get(name)
            times = ratio and (ratio.high if above else ratio.low)
            saving = f" ({'at most' if above else 'at least'} {times:.2f} times less)" if times else ""
            known.append(f"{'from' if above else 'up to'} {end:{_FORMS[name]}} {_UNITS[name]}{saving}")
    return f"the interval is open, {' and '.join(known)}" if known else "the interval is open"


def _missing(found: SizeCurves) -> str:
    if found.missing:
        return found.missing
    return "no float32 network has a curve, whose accuracy would be the target; `--at-accuracy 98` names one"
