"""What quantization does to each layer: noise, clipping, and the accuracy it costs on its own."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.selection import Row, blocks, bounded, chart_note, names

CHART_GROUPS = 6
"""The groups in the chart, at most."""
CHART_LAYERS = 30
"""The layers in the chart, at most."""


def layers(model: ReportModel) -> View:
    """Return each integer layer's signal-to-noise ratio, clipped shares and sensitivity: means over the seeds."""
    rows, notes = bounded(blocks(model, _rows, CHART_GROUPS))
    shown = names(rows)
    return View(
        "layers",
        "Sensitivity of the layers",
        "Means over the seeds. SQNR: signal-to-quantization-noise ratio, 10·log10(Σx² / Σ(x - x̂)²) in dB; about 6 dB "
        "more is half the error. Clipped: share of values outside the range. Change of accuracy: with this layer alone "
        "quantized, against float32, on validation images, in percentage points.",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("weights/format", "weights"),
            Column("weights/sqnr_db", "SQNR of weights dB", ".1f", "measured"),
            Column("weights/clipped", "clipped weights", ".3%", "measured"),
            Column("inputs/format", "inputs"),
            Column("inputs/sqnr_db", "SQNR of inputs dB", ".1f", "measured"),
            Column("inputs/clipped", "clipped inputs", ".3%", "measured"),
            Column("accuracy_change/points", "change of accuracy, points, this layer alone", "+.2f", "measured"),
            Column("seeds", "seeds", ".0f", "counted"),
        ),
        rows,
        (
            *((_images([model.group(name) for name in shown]),) if rows else ()),
            *(("no SQNR: nothing was lost, or the tensor stays float32",) if _lacks_sqnr(rows) else ()),
            *chart_note(shown, CHART_GROUPS),
            *chart_note(list(dict.fromkeys(str(row[1]) for row in rows)), CHART_LAYERS, "layers"),
            *notes,
            *(without_details(model) if rows else ()),
        ),
        None if rows else missing(model, "no scheme here has integer layers"),
    )


def _rows(group: Group) -> list[Row]:
    reports = [found.quantization for found in group.details.values() if found.quantization]
    layers: dict[str, list[tuple[dict[str, Any], float]]] = {}
    for report in reports:
        for layer in report["layers"]:
            change = layer["sensitivity"] - report["float_accuracy"]
            layers.setdefault(layer["name"], []).append((layer, change))
    return [
        (
            group.name,
            name,
            *_tensor([layer["weights"] for layer, _ in seeds]),
            *_tensor([layer["inputs"] for layer, _ in seeds]),
            100 * fmean(change for _, change in seeds),
            len(seeds),
        )
        for name, seeds in layers.items()
    ]


def _tensor(seeds: Sequence[dict[str, Any] | None]) -> tuple[str, float | None, float | None]:
    """Return format, mean SQNR and mean clipped share; no SQNR where that of a seed is infinite."""
    found = [each for each in seeds if each is not None]
    if not found:
        return "float32", None, None
    ratios = [each["sqnr_db"] for each in found]
    return found[0]["format"], None if None in ratios else fmean(ratios), fmean(each["clipped"] for each in found)


def _lacks_sqnr(rows: Sequence[Row]) -> bool:
    return any(row[3] is None or row[6] is None for row in rows)


def _images(groups: Sequence[Group]) -> str:
    numbers = sorted(
        {found.quantization["images"] for group in groups for found in group.details.values() if found.quantization}
    )
    one = min(numbers)
    which = " or ".join(f"{number:,}" for number in numbers)
    return f"measured on {which} validation images: one image is {100 / one:.2f} points of one training's accuracy"
