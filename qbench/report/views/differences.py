"""How far each group's accuracy is from its float32 reference's."""

from __future__ import annotations

from qbench.report.model.comparison import Comparison
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, Value, View
from qbench.report.views.selection import listed


def differences(model: ReportModel) -> View:
    """Return each group's test accuracy minus its reference's, in percentage points, with its 95 % interval."""
    pairs = [
        (group.name, group.reference, found)
        for group in model.groups
        if group.reference is not None and (found := model.comparison(group.name, group.reference)) is not None
    ]
    rows = tuple(_row(name, reference, found) for name, reference, found in pairs if found.difference is not None)
    withheld = {name: found.withheld for name, _, found in pairs if found.difference is None}
    return View(
        "differences",
        "Difference to float32",
        "Measured test accuracy minus that of the float32 reference on the same images and seeds, with its computed "
        "95 % interval: left of the line is worse. A filled mark differs from the reference (p at most 0.05 after "
        "Holm's correction over all comparisons of this report), a hollow one cannot be told from it.",
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
        tuple(f"{name}: no difference, because {why}" for name, why in withheld.items()) if rows else (),
        None if rows else _missing(model, withheld),
    )


def _row(name: str, reference: str, found: Comparison) -> tuple[Value, ...]:
    """Return the pair as `name` minus `reference`, in whichever order it was compared."""
    each = found.difference
    assert each is not None
    points = (100 * each.mean, 100 * each.low, 100 * each.high)
    if found.first != name:
        points = (0.0 - points[0], 0.0 - points[2], 0.0 - points[1])  # never -0.0
    return (name, reference, *points, each.over, each.seeds, found.p_adjusted, found.distinguishable)


def _missing(model: ReportModel, withheld: dict[str, str | None]) -> str:
    if not any(group.runs for group in model.groups):
        return "no trial is done"
    if withheld:
        return f"no group could be paired with its float32 reference: {listed([str(why) for why in withheld.values()])}"
    if all(group.scheme == "fp32" for group in model.groups):
        return "all trials are float32: there is nothing to hold against it"
    return "no trial of fp32 is done on the same test images; add `fp32` to the sweep's schemes and run it again"
