"""The Kullback-Leibler divergence by which the KL method chooses a layer's threshold."""

from __future__ import annotations

from typing import Any

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.ranges import CHART_PANELS
from qbench.report.views.selection import Row, blocks, bounded, chart_note, every, layer_names, of_one
from qbench.trial.details import TrialDetails

MAX_CANDIDATES = 130
"""The candidate thresholds of a layer, at most: of more every k-th, and the chosen one."""


def divergence(model: ReportModel) -> View:
    """Return the divergence of each candidate threshold, of each group's first trial with details."""
    rows, notes = bounded(blocks(model, of_one(_rows)))
    panels = layer_names(rows)
    return View(
        "divergence",
        "Choice of the KL threshold",
        "Information lost by clipping a layer's input at each candidate threshold: KL divergence of the quantized from "
        "the observed distribution, in nats. The method takes the lowest; the point marks the threshold in use. "
        "Candidates are a selection, evenly spread, without those of infinite divergence. One training a scheme: that "
        "of its lowest seed.",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("threshold", "threshold", ".4g", "computed"),
            Column("kl", "KL divergence, nats", ".4g", "computed"),
            Column("chosen", "chosen", "", "computed"),
            Column("seed", "seed", ".0f"),
        ),
        rows,
        (
            *chart_note(panels, CHART_PANELS, "layers"),
            *notes,
            *(without_details(model) if rows else ()),
        ),
        None if rows else missing(model, "no scheme here is calibrated with the kl method"),
    )


def _rows(group: Group, seed: int, found: TrialDetails) -> list[Row]:
    return [
        (group.name, each["layer"], *candidate, seed)
        for each in found.ranges
        if each["divergence"]
        for candidate in _candidates(each)
    ]


def _candidates(found: dict[str, Any]) -> list[tuple[float, float | None, bool]]:
    """Return threshold, divergence, and whether it is the one in use, of every k-th candidate and the chosen one."""
    thresholds, values = found["divergence"]["threshold"], found["divergence"]["kl"]
    used = max(found["high"], -found["low"])
    chosen = min(range(len(thresholds)), key=lambda index: abs(thresholds[index] - used))
    step = every(len(thresholds), MAX_CANDIDATES)
    return [
        (threshold, kl, index == chosen)
        for index, (threshold, kl) in enumerate(zip(thresholds, values, strict=True))
        if index % step == 0 or index == chosen
    ]
