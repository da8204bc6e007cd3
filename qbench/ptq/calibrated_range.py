"""What calibration observed of a layer's input, and the range that it chose."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from quantizers import HistogramObserver, Quantizer, Uniform
from quantizers.calibration_methods import kl_choice

BINS = 128
"""The bins of a histogram that is shown, and the points of a divergence curve, at most."""


def calibrated_range(layer: str, quantizer: Quantizer) -> dict[str, Any] | None:
    """Return the observed histogram and the chosen range of a calibrated quantizer, as plain values.

    `low` and `high` are the values of the lowest and the highest code, between which nothing saturates; of a quantizer
    per channel those of all channels together. An observer that kept extremes alone gives its minimum and maximum as
    `edge_low` and `edge_high`, and no counts. `divergence` is that of `divergence_curve`; None for another method.

    None for a quantizer that is not calibrated, or that kept no statistics.

    Args:
        layer: its name.
        quantizer: of the layer's input, after its calibration in this process (a loaded one has no statistics).
    """
    observer, encoding = quantizer.observer, quantizer.encoding()
    if encoding is None or observer is None or observer.is_empty:
        return None
    found: dict[str, Any] = {
        "layer": layer,
        "method": quantizer.method if isinstance(quantizer, Uniform) else type(quantizer).__name__,
        "low": float(encoding.low.min()),
        "high": float(encoding.high.max()),
        "edge_low": float(observer.minimum.min()),
        "edge_high": float(observer.maximum.max()),
        "counts": [],
        "divergence": None,
    }
    if isinstance(observer, HistogramObserver):
        low, high, counts = coarse_histogram(observer)
        found |= {"edge_low": low, "edge_high": high, "counts": counts}
        if found["method"] == "kl":
            found["divergence"] = divergence_curve(quantizer, observer)
    return found


def coarse_histogram(observer: HistogramObserver, bins: int = BINS) -> tuple[float, float, list[int]]:
    """Return an observer's histogram of x over all channels, in at most `bins` equal bins.

    Neighbouring bins are merged, so that every count stays in the bin its value lies in. Zero is an edge: values
    below zero are on its left. Where only zeros were seen there is one bin, 0..1.

    Returns: the lower edge of the first bin, the upper edge of the last, and the counts in rising order.

    Raises:
        ValueError: nothing observed.
    """
    observer.require_values()
    widths = observer.bin_width
    width = float(widths.max()) or 1.0
    counts = observer.counts
    sides = torch.zeros(2, observer.bins, dtype=torch.int64)  # x >= 0, x < 0
    for channel, own in enumerate(widths.tolist()):
        # Both are powers of two. A channel of zeros has width 0 and fills bin 0.
        ratio = int(width / own) if own else 1
        sides.index_add_(1, torch.arange(observer.bins) // ratio, counts[channel])
    positive, negative = (_used(side) for side in sides)
    merged = 1
    while -(-positive // merged) - (-negative // merged) > bins:
        merged += 1
    right, left = (_merge(side[:used], merged) for side, used in zip(sides, (positive, negative), strict=True))
    return -len(left) * merged * width, len(right) * merged * width, left[::-1] + right


def _used(counts: Tensor) -> int:
    """Return the number of bins up to the last one with a count."""
    filled = counts.nonzero()
    return int(filled[-1]) + 1 if filled.numel() else 0


def _merge(counts: Tensor, merged: int) -> list[int]:
    """Return the sums of `merged` neighbouring counts each."""
    return [int(part.sum()) for part in counts.split(merged)] if counts.numel() else []


def divergence_curve(
    quantizer: Quantizer, observer: HistogramObserver, points: int = BINS
) -> dict[str, list[float]] | None:
    """Return the KL divergence in nats of candidate thresholds of |x|, as lists of `threshold` and `kl`.

    Candidates of infinite divergence are left out; of the others `points` are kept, evenly spread, the chosen one
    among them. None for a quantizer per channel, whose channels have a curve each, and where only zeros were seen.
    """
    if not isinstance(quantizer, Uniform) or observer.channels != 1:
        return None
    options = {key: value for key, value in quantizer.method_options.items() if key == "zero_bin"}
    choice = kl_choice(observer, quantizer.format, **options)
    if choice is None:
        return None
    finite = choice.divergence.isfinite().nonzero().flatten()
    chosen = choice.bins - choice.levels
    spread = torch.linspace(0, len(finite) - 1, min(points - 1, len(finite))).round().long()
    kept = torch.cat([finite[spread], torch.tensor([chosen])]).unique()
    largest = float(torch.maximum(-observer.minimum, observer.maximum))
    thresholds = ((kept + choice.levels).double() + 0.5) * choice.bin_width
    return {"threshold": thresholds.clamp_max(largest).tolist(), "kl": choice.divergence[kept].tolist()}
