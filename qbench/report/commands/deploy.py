"""Packed exports and measured packed runs, as text and as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qbench.bench.packed import PackedMeasurement
from qbench.report.commands.columns import aligned
from qbench.trial.finished.packed import Exported

_INPUTS = {
    "pixels": "8-bit pixels: integer arithmetic by bit planes",
    "real": "float32: additions and subtractions",
    "sign": "signs",
}


def export_dict(made: Exported, file: Path) -> dict[str, Any]:
    """Return an export as plain values for JSON."""
    size = file.stat().st_size
    return {
        "file": str(file),
        "file_bytes": size,
        "weight_bytes": made.model.nbytes,
        "header_bytes": size - made.model.nbytes,
        "agreement": made.agreement,
        "reproduced": made.reproduced,
        "accuracy": made.accuracy,
        "images": made.images,
        "input": made.model.spec.input.kind,
        "network": made.model.spec.model_dump(),
    }


def export_text(made: Exported, file: Path) -> str:
    """Return an export as a few lines of text."""
    found = export_dict(made, file)
    lines = [
        ("file", f"{file}: {found['file_bytes']:,} bytes"),
        (
            "",
            f"{made.model.nbytes:,} of weights, thresholds and scales, {found['header_bytes']:,} of header",
        ),
        ("first layer reads", _INPUTS[made.model.spec.input.kind]),
        ("test accuracy", f"{100 * made.accuracy:.2f} % of {made.images} images"),
        ("agreement", f"{100 * made.agreement:.2f} % of predictions equal the fake-quantized module's"),
    ]
    if made.reproduced < 1:
        share = f"{100 * made.reproduced:.2f} %"
        lines.append(("note", f"the module itself repeats {share} of the run's predictions: code or machine differ"))
    return "\n".join(aligned(lines, left=2))


def measured_text(found: PackedMeasurement) -> str:
    """Return the measurement of a packed network as a few lines of text."""
    low, high = found.quartiles
    rate = f"{found.images_per_second:,.0f} ({low:,.0f} - {high:,.0f})"
    lines = [
        ("test accuracy", f"{100 * found.accuracy:.2f} % of {found.images} images of {found.data}"),
        ("images per second", f"{rate}, measured, {found.rounds} rounds"),
        ("", f"batch {found.batch}, {found.threads} thread{'s' * (found.threads > 1)}"),
        ("backend", found.backend),
        ("weights", f"{found.weight_bytes:,} bytes"),
    ]
    if found.agreement is not None:
        share = f"{100 * found.agreement:.2f} %"
        lines.insert(1, ("agreement", f"{share} of predictions equal the fake-quantized module's"))
    return "\n".join(aligned(lines, left=2))
