"""What the stored bytes of a network are."""

from __future__ import annotations

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.selection import CHART_BARS, Row, blocks, chart_note

PARTS = {
    "memory/weights": "weights",
    "memory/scales": "scales and zero points",
    "memory/other": "biases, normalization, the rest",
}
"""The columns of the parts, and what a reader calls them."""


def memory(model: ReportModel) -> View:
    """Return each group's stored bytes by part, of its trial with the lowest seed that has details."""
    shown = blocks(model, _rows, CHART_BARS)
    rows = tuple(row for _, own in shown for row in own)
    return View(
        "memory",
        "What is stored",
        "Bytes that each network keeps for inference, in parts that add up to its total. All are counted from shapes "
        "and formats: binary weights take one bit, and a row of them ends on a whole byte.",
        (
            Column("group", "scheme"),
            Column("cost/weight_bytes", "stored bytes", ",.0f", "counted"),
            *(Column(name, heading, ",.0f", "counted") for name, heading in PARTS.items()),
            Column("cost/weight_compression", "× smaller than float32", ".4g", "computed"),
        ),
        rows,
        (*chart_note([name for name, _ in shown], CHART_BARS), *without_details(model)) if rows else (),
        None if rows else missing(model, "no trial here has kept its layers"),
    )


def _rows(group: Group) -> list[Row]:
    """Return the parts; parameters outside the quantized layers (a LayerNorm's, say) belong to the rest."""
    found = group.first_details()
    if found is None:
        return []
    trial, details = found
    total = trial.row["cost/weight_bytes"]
    weights = sum(layer["weight_bytes"] for layer in details.layers)
    scales = sum(layer["scale_bytes"] for layer in details.layers)
    return [(group.name, total, weights, scales, total - weights - scales, trial.row.get("cost/weight_compression"))]
