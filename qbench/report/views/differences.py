"""How far each group's accuracy is from its float32 reference's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qbench.report.model.comparison import Comparison
from qbench.report.model.group import Group
from qbench.report.model.reference import REFERENCE_SCHEME
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.statistics.significance import SIGNIFICANCE
from qbench.report.view import Column, View
from qbench.report.views.selection import CHART_BARS, Row, blocks, chart_note


def differences(model: ReportModel) -> View:
    """Return each group's test accuracy minus its reference's, in percentage points, with its 95 % interval."""
    pairs = {group.name: _pair(model, group) for group in model.groups}
    shown = blocks(model, lambda group: _rows(group, pairs[group.name]), CHART_BARS)
    rows = tuple(row for _, own in shown for row in own)
    withheld = {name: pair.withheld for name, pair in pairs.items() if pair is not None and pair.difference is None}
    return View(
        "differences",
        "Difference to float32",
        "Measured test accuracy minus that of the float32 reference on the same images and seeds, with its computed "
        "95 % interval: left of the line is worse. A filled mark differs from the reference (p at most "
        f"{SIGNIFICANCE:g} after Holm's correction over all comparisons of this report), a hollow one cannot be told "
        "from it.",
        (
            Column("group", "scheme"),
            Column("reference", "reference"),
            Column("difference/points", "difference, points", "+.2f", "computed"),
            Column("difference/points_low", "95 % low", "+.2f", "computed"),
            Column("difference/points_high", "95 % high", "+.2f", "computed"),
            Column("difference/over", "interval over"),
            Column("difference/seeds", "paired seeds", ".0f", "counted"),
            Column("difference/p_adjusted", "p, adjusted", ".3g", "computed"),
            Column("difference/distinguishable", "distinguishable", source="computed"),
        ),
        rows,
        (*chart_note([name for name, _ in shown], CHART_BARS), *_withheld(withheld)) if rows else (),
        None if rows else _missing(model, withheld),
    )


def _pair(model: ReportModel, group: Group) -> Comparison | None:
    return None if group.reference is None else model.comparison(group.name, group.reference)


def _rows(group: Group, found: Comparison | None) -> list[Row]:
    """Return the pair as the group minus its reference, in whichever order it was compared."""
    each = None if found is None else found.difference
    if found is None or each is None:
        return []
    points = (100 * each.mean, 100 * each.low, 100 * each.high)
    if found.first != group.name:
        points = (0.0 - points[0], 0.0 - points[2], 0.0 - points[1])  # never -0.0
    return [(group.name, group.reference, *points, each.over, each.seeds, found.p_adjusted, found.distinguishable)]


def _withheld(reasons: Mapping[str, str | None]) -> Iterator[str]:
    for why in dict.fromkeys(reasons.values()):
        names = [name for name, own in reasons.items() if own == why]
        yield f"{listed(names)}: no difference, because {why}"


def _missing(model: ReportModel, withheld: Mapping[str, str | None]) -> str:
    if not any(group.runs for group in model.groups):
        return "no trial is done"
    if withheld:
        return f"no group could be paired with its float32 reference: {listed([str(why) for why in withheld.values()])}"
    if all(group.scheme == REFERENCE_SCHEME for group in model.groups):
        return "all trials are float32: there is nothing to hold against it"
    lacking = f"no trial of {REFERENCE_SCHEME} is done on the same test images"
    return f"{lacking}; add `{REFERENCE_SCHEME}` to the sweep's schemes and run it again"
