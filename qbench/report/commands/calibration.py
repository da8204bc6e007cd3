"""The layers of a calibrated network, and compared calibration methods, as text."""

from __future__ import annotations

import math
from statistics import fmean

from qbench.ptq.method_comparison import MethodResult
from qbench.ptq.quantization_report import LayerReport, QuantizationReport, TensorReport
from qbench.report.commands.columns import aligned


def layers_text(found: QuantizationReport, title: str) -> str:
    """Return two lines a layer, of its weights and its inputs: format, range, scale, clipped share and SQNR.

    Beside the weights stands the layer's sensitivity: the accuracy where this layer alone is quantized.
    """
    rows: list[tuple[str, ...]] = [("layer", "of", "format", "range", "scale", "clipped", "SQNR dB", "only this layer")]
    for layer in found.layers:
        for role, tensor in (("weights", layer.weights), ("inputs", layer.inputs)):
            last = _percent(layer.sensitivity) if role == "weights" else ""
            rows.append((layer.name if role == "weights" else "", role, *_cells(tensor), last))
    worst = min(found.layers, key=lambda layer: layer.sensitivity)
    return "\n".join(
        [
            f"{title}: accuracy on {found.images} validation images",
            "",
            *aligned(rows, left=3),
            "",
            f"float32 {_percent(found.float_accuracy)}, every layer quantized {_percent(found.accuracy)}; "
            f"most sensitive: {_most_sensitive(found, worst)}",
        ]
    )


def _most_sensitive(found: QuantizationReport, worst: LayerReport) -> str:
    if worst.sensitivity >= found.float_accuracy:
        return "none loses anything on its own"
    return f"{worst.name}, {100 * (worst.sensitivity - found.float_accuracy):+.2f} points"


def _cells(tensor: TensorReport | None) -> tuple[str, ...]:
    if tensor is None:
        return ("float32", "-", "-", "-", "-")
    scale = f"{tensor.scale_high:.3g}"
    if tensor.scale_low != tensor.scale_high:
        scale = f"{tensor.scale_low:.3g} .. {scale}"
    sqnr = f"{tensor.sqnr_db:.1f}" if math.isfinite(tensor.sqnr_db) else "lossless"
    return (tensor.format, f"{tensor.low:.4g} .. {tensor.high:.4g}", scale, f"{100 * tensor.clipped:.3f} %", sqnr)


def methods_text(results: list[MethodResult], title: str) -> str:
    """Return the accuracy of each method and how much its thresholds vary, then each layer's thresholds."""
    sets = len(results[0].validation)
    heading = ("method", "validation", "test", "test, worst and best", "spread of thresholds")
    rows = [heading] + [
        (
            found.method,
            _percent(fmean(found.validation)),
            _percent(fmean(found.test)),
            f"{_percent(min(found.test))} .. {_percent(max(found.test))}",
            f"{100 * found.mean_spread:.2f} %",
        )
        for found in results
    ]
    layers = list(results[0].thresholds)
    thresholds = [("layer's input", *(found.method for found in results))] + [
        (name, *(f"{fmean(found.thresholds[name]):.4g} ± {100 * found.spread[name]:.1f} %" for found in results))
        for name in layers
    ]
    return "\n".join(
        [
            f"{title}: means over {sets} calibration sets",
            "",
            *aligned(rows, left=1),
            "",
            f"thresholds, mean and standard deviation over the {sets} sets (the network's input is always min-max):",
            "",
            *aligned(thresholds, left=1),
        ]
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
