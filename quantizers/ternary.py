"""Ternary quantization: -Δ, 0 and +Δ with the step that loses least."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.formats import TERNARY
from quantizers.quantized import Quantized, unit_scale
from quantizers.registered import register
from quantizers.straight_through import straight_through


def ternary_step(x: Tensor, channel_axis: int | None = None) -> Tensor:
    """Return the step Δ that minimises `Σ (x - Δ·z)²` over Δ > 0 and z in {-1, 0, +1}; the exact minimum.

    For given codes the best step is `Δ = Σ |x||z| / Σ z²`, for a given step the best code of x is non-zero where
    `|x| >= Δ/2`. Hwang & Sung alternate the two until they settle; here the k largest magnitudes, with sum S_k, are
    tried for every k: the error is `Σ x² - S_k²/k`, so `k = argmax S_k²/k` (the smallest k of a tie), `Δ = S_k / k`.

    Returns:
        Float tensor of x's dtype that broadcasts against x: [] or, per channel, e.g. [N, 1, 1, 1]. 1 where all is zero.

    Raises:
        ValueError: no elements, or NaN or infinity.

    Source: Hwang & Sung (SiPS 2014) section III.
    """
    if x.numel() == 0:
        raise ValueError("an empty tensor has no ternary step")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("NaN or infinity has no ternary step")
    axis = channel_axis
    rows = x.reshape(1, -1) if axis is None else x.movedim(axis, 0).reshape(x.shape[axis], -1)
    magnitude = rows.double().abs().sort(dim=1, descending=True).values
    # Summed as integers, 2^-36 of the largest: whatever order a GPU adds in, the bits are the same.
    unit = magnitude[:, :1].clamp(min=torch.finfo(torch.float64).tiny) * 2.0**-36
    sums = (magnitude / unit).round().long().cumsum(1) * unit
    sizes = torch.arange(1, rows.shape[1] + 1, device=x.device)
    best = (sums.square() / sizes).argmax(1, keepdim=True)
    step = (sums.gather(1, best) / (best + 1)).to(x.dtype).reshape(-1)
    step = torch.where(step > 0, step, 1.0)
    if axis is None:
        return step.reshape(())
    shape = [1] * x.dim()
    shape[axis] = -1
    return step.view(shape)


def ternary_codes(x: Tensor, step: Tensor) -> Tensor:
    """Return `sign(x) · 1[|x| >= Δ/2]` in x's shape and dtype: x / Δ rounded, halves away from zero, within ±1."""
    return torch.sign(x) * (x.abs() >= step / 2)


@register("ternary")
class Ternary(Quantizer):
    """Values -Δ, 0, +Δ for weights; Δ is computed from the tensor itself, each time, so that `encoding()` is None.

    Forward: `Δ · sign(x) · 1[|x| >= Δ/2]` with Δ = `ternary_step(x)`.
    Backward: 1 everywhere (the latent weight takes the gradient of its ternary value, as Hwang & Sung retrain); Δ is
    taken as constant.

    Args:
        channel_axis: a step for each entry of this dimension; None for one step.

    A tensor without elements stays as it is, and has scale 1.

    Source: Hwang & Sung (SiPS 2014).
    """

    format = TERNARY

    def __init__(self, channel_axis: int | None = None) -> None:
        super().__init__()
        self.channel_axis = channel_axis

    def forward(self, x: Tensor) -> Tensor:
        """Return the ternary values of `x`; see the class."""
        if x.numel() == 0:
            return x
        step = ternary_step(x.detach(), self.channel_axis)
        return straight_through(x, lambda x: ternary_codes(x, step) * step + 0.0)  # -0.0 becomes 0.0

    def codes_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return codes -1, 0, +1 and Δ; None for steps along another dimension than the output channels."""
        if self.channel_axis not in (None, 0):
            return None
        step = ternary_step(x.detach(), self.channel_axis)
        # A layer's product is Δ·(codes·input): Δ is in the codes' gradient, and is not in the latent weight's.
        return straight_through(x, lambda x: ternary_codes(x, step) + 0.0, lambda grad, _: grad / step), step

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes -1, 0, +1 (int8) and scale Δ in x's dtype."""
        step = ternary_step(x, self.channel_axis) if x.numel() else unit_scale(x)
        return Quantized(ternary_codes(x, step).to(torch.int8), step, None, TERNARY)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"channel_axis={self.channel_axis}"
