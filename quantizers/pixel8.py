"""The quantizer of a network's input that is made of 8-bit pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.encoding import Encoding
from quantizers.formats import PIXEL8
from quantizers.pixels import Pixels
from quantizers.quantized import Quantized
from quantizers.registered import register


class _RoundToPixels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pixels: Pixels) -> Tensor:
        if ctx.needs_input_grad[0]:
            low, high = pixels.scale * -pixels.zero_point, pixels.scale * (255 - pixels.zero_point)
            ctx.save_for_backward((x >= low) & (x <= high))
        values = pixels.nearest(x if x.dtype == torch.float64 else x.float())
        return ((values - pixels.zero_point) * pixels.scale).to(x.dtype)  # the arithmetic of Quantized.dequantize

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None


@register("pixel8")
class Pixel8(Quantizer):
    """The 8-bit pixels that a network's input is made of: nothing is calibrated, and real 0 need not be a code.

    Forward: `x̂ = S·(q - Z)`, `q = clamp(round((x·divisor + offset) / multiplier), 0, 255)`, S = multiplier / divisor,
    Z = offset / multiplier (see `Pixels`); half to even. Of pixels this is x itself, up to the last bit of float32.
    Backward: 1 where x is between the values of 0 and 255, ends included, else 0.
    NaN stays NaN; `quantize` refuses it.

    A first layer with ±1 weights then runs on bit planes. Unsigned integer formats do not serve: their zero point is an
    integer; under `2q/255 - 1` it would have to be 127.5, and every pixel would be rounded by half a step.

    Args:
        multiplier, offset, divisor: of the pixels; BinaryNet's `2q/255 - 1` unless others are given. Digits: 1, 8, 8.

    Raises:
        ValueError: numbers that describe no pixels.

    Source: BinaryNet (arXiv 1602.02830) section 3.4, the first layer.
    """

    format = PIXEL8

    def __init__(self, multiplier: int = 2, offset: int = 255, divisor: int = 255) -> None:
        super().__init__()
        self.pixels: Pixels = Pixels(multiplier, offset, divisor)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to pixels; see the class."""
        return _RoundToPixels.apply(x, self.pixels)

    def encoding(self) -> Encoding | None:
        """Return S and the floating-point Z."""
        scale, zero_point = torch.tensor([self.pixels.scale, self.pixels.zero_point], dtype=torch.float32)
        return Encoding(PIXEL8, scale, zero_point)

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes (uint8), scale S and the floating-point zero point Z.

        Raises:
            ValueError: NaN in `x`, for which there is no code.
        """
        codes = self.pixels.nearest(x if x.dtype == torch.float64 else x.float())
        if bool(codes.isnan().any()):
            raise ValueError(self.named("NaN has no code"))
        scale, zero_point = (codes.new_full((), value) for value in (self.pixels.scale, self.pixels.zero_point))
        return Quantized(codes.to(torch.uint8), scale, zero_point, PIXEL8)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"multiplier={self.pixels.multiplier}, offset={self.pixels.offset}, divisor={self.pixels.divisor}"
