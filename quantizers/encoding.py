"""The map between codes and real values that a quantizer has settled on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from quantizers.formats import NumberFormat


@dataclass(frozen=True)
class Encoding:
    """A number format with scale and zero point: what a quantizer quantizes every tensor with.

    A code stands for `x = scale · (code - zero_point)`, of a table for `scale · values[code]`. Scale and zero point are
    those of the result of `quantize`, but for shape and dtype: they do not broadcast yet.

    Attributes:
        format: the codes' number format.
        scale: float32, [] per tensor or [C] per channel, [N, G] of a format with groups; on the quantizer's device, the
            CPU where it has no tensors.
        zero_point: integer, the shape of scale; None for a symmetric format (zero point 0); of PIXEL8 a floating-point
            multiple of ½.

    >>> Encoding(UINT8, torch.tensor(0.5), torch.tensor(2)).low
    tensor([-1.], dtype=torch.float64)
    """

    format: NumberFormat
    scale: Tensor
    zero_point: Tensor | None

    @property
    def low(self) -> Tensor:
        """The smallest value, float64 [C] ([1] per tensor, [N·G] of groups); smaller ones saturate to it."""
        return self._value(self.format.extremes[0])

    @property
    def high(self) -> Tensor:
        """The largest value, float64 [C] ([1] per tensor, [N·G] of groups); larger ones saturate to it."""
        return self._value(self.format.extremes[1])

    def _value(self, code: float) -> Tensor:
        """Return what `code` (of a table, its value) stands for, in float32 as `fake_quantize` has it; float64 [C]."""
        steps = code if self.zero_point is None else code - self.zero_point.reshape(-1)
        return (steps * self.scale.reshape(-1)).double()
