"""Signal-to-quantization-noise ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor


@torch.no_grad()
def sqnr_db(x: Tensor, quantized: Tensor) -> float:
    """`10 · log10(Σ x² / Σ (x - x̂)²)` in dB, summed in float64.

    +inf where nothing was lost (also for all zeros kept as zeros), -inf where there is noise and no signal.

    Raises:
        ValueError: different shapes, no elements, or NaN or infinity in either.
    """
    if x.shape != quantized.shape:
        raise ValueError(f"shapes differ: {list(x.shape)} and {list(quantized.shape)}")
    if x.numel() == 0:
        raise ValueError("an empty tensor has no SQNR")
    x, quantized = x.double(), quantized.double()
    # Scaling both by a power of two changes no ratio and keeps squares of very small or large values in range.
    largest = torch.maximum(x.abs().max(), quantized.abs().max())
    if not math.isfinite(float(largest)):
        raise ValueError("NaN or infinity has no SQNR")
    exponent = torch.frexp(largest).exponent.clamp_min(-1000)  # 2^1001 and more would overflow
    x, quantized = torch.ldexp(x, -exponent), torch.ldexp(quantized, -exponent)
    signal, noise = float(x.square().sum()), float((x - quantized).square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
