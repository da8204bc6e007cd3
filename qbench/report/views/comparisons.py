"""The view `comparisons`: every pair of groups that was compared in accuracy."""

from __future__ import annotations

from qbench.report.model.comparison import MAX_GROUPS, Comparison
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import number_of
from qbench.report.statistics.crossed import MIN_SEEDS
from qbench.report.statistics.significance import SIGNIFICANCE
from qbench.report.view import Column, Value, View

_OVER_SEEDS = "seeds and images"
_POINTS = "test/accuracy_difference"
_COLUMNS = (
    Column("first", "first"),
    Column("second", "second"),
    Column(f"{_POINTS}_points", "difference, points", "+.2f", "computed"),
    Column(f"{_POINTS}_points_low", "95 % low", "+.2f", "computed"),
    Column(f"{_POINTS}_points_high", "95 % high", "+.2f", "computed"),
    Column("interval_over", "interval over", "", "computed"),
    Column("p", "p", ".2g", "computed"),
    Column("p_adjusted", "p, Holm", ".2g", "computed"),
    Column("p_seeds", "p, seeds", ".2g", "computed"),
    Column("p_images", "p, images", ".2g", "computed"),
    Column("result", "result", "", "computed"),
    Column("detectable_points", "detectable, points", ".2f", "computed"),
    Column("seeds_needed", "seeds needed", ",d", "computed"),
    Column("images_needed", "images needed", ",d", "computed"),
    Column("seeds", "seeds", "d", "counted"),
    Column("images", "images", ",d", "counted"),
)


def comparisons(model: ReportModel) -> View:
    """Return a line for each pair, with its difference, interval, p-values and what they allow to say."""
    return View(
        name="comparisons",
        title="Pairs of groups",
        caption="Accuracy of the first minus that of the second, in percentage points, on the same test images and "
        "with the same seeds.",
        columns=_COLUMNS,
        rows=tuple(_row(each) for each in model.comparisons),
        notes=tuple(_notes(model)) if model.comparisons else (),
        missing=None if model.comparisons else _missing(model),
    )


def result_words(comparison: Comparison) -> str:
    """Return what a comparison allows to say."""
    if comparison.difference is None:
        return f"withheld: {comparison.withheld}"
    words = "distinguishable" if comparison.distinguishable else "not distinguishable"
    return words if comparison.difference.over == _OVER_SEEDS else f"{words}, for these trainings"


def _row(each: Comparison) -> tuple[Value, ...]:
    found = each.difference
    if found is None:
        return (each.first, each.second, *[None] * 8, result_words(each), *[None] * 5)
    return (
        each.first,
        each.second,
        _points(found.mean),
        _points(found.low),
        _points(found.high),
        found.over,
        found.p,
        each.p_adjusted,
        found.p_seeds,
        found.p_images,
        result_words(each),
        None if found.detectable is None else _points(found.detectable),
        found.seeds_needed,
        found.images_needed,
        found.seeds,
        found.images,
    )


def _points(fraction: float) -> float:
    return 100 * fraction + 0.0  # -0.0 would be shown as one


def _notes(model: ReportModel) -> list[str]:
    found = [each.difference for each in model.comparisons if each.difference is not None]
    tests = sum(each.p_adjusted is not None for each in model.comparisons)
    lines = [
        f"distinguishable: p, Holm at most {SIGNIFICANCE:g}; Holm's correction is for {number_of(tests, 'comparison')}"
    ]
    if any(each.over == _OVER_SEEDS for each in found):
        lines.append("p and the interval over seeds and images: for other seeds and other images like these")
    if any(each.over == "images" for each in found):
        lines.append(
            f"over images: fewer than {MIN_SEEDS} seeds in common say too little of other seeds; p and interval hold "
            "for these trainings alone"
        )
    if any(each.over == "exact" for each in found):
        lines.append("exact: the same difference on every image; an exact bound over test images, for these trainings")
    lines.append("p, seeds: paired t-test over the seeds, for these test images")
    lines.append(
        "p, images: McNemar's exact test over the images, the smallest of the seeds' p-values times their number: "
        "whether any two of these trainings differ on other images"
    )
    if any(each.detectable is not None for each in found):
        lines.append(
            "detectable: the smallest difference that a comparison of this size and spread finds in 80 % of cases, "
            "before correction; seeds needed: how many would find the difference seen as surely, before correction "
            "too (-: no number would, with these test images, or the interval is not over seeds); images needed: how "
            "many would, with as many seeds"
        )
    if len(model.groups) > MAX_GROUPS:
        lines.append(f"more than {MAX_GROUPS} groups: each is compared with its float32 reference alone")
    return lines


def _missing(model: ReportModel) -> str:
    if len(model.groups) < 2:
        return "there are not two groups to compare"
    return f"with more than {MAX_GROUPS} groups each is compared with its float32 reference alone, and there is none"
