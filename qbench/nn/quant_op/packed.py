"""A weight in the form its QuantOp computes with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from quantizers import NumberFormat


@dataclass(frozen=True)
class Packed:
    """A weight in the form its QuantOp computes with.

    Attributes:
        data: the codes: packed words, int8 (of an embedding, what the quantizer gave), or float32 values.
        scale: of the weight: one element or one per output channel (of an embedding: per row, or [N, G] of groups).
        shape: of the weight as torch stores it, [N, K] or [N, C, kh, kw]; [N, C, 1, k] of a 1-D convolution.
        zero_point: of the codes, one element or one per output channel; None for 0.
        row_sums: of the codes, int32: [N] of whole rows, or [N, kh, kw] of each tap's channels; None where no op needs
            them.
        format: of the codes, for an op that looks their values up; None for the others.
    """

    data: Tensor
    scale: Tensor
    shape: torch.Size
    zero_point: Tensor | None = None
    row_sums: Tensor | None = None
    format: NumberFormat | None = None

    def rows(self, start: int, stop: int) -> Packed:
        """Return the weight of the output channels from `start` to before `stop`."""

        def part(values: Tensor | None) -> Tensor | None:
            return values if values is None or values.numel() == 1 else values[start:stop]

        scale = self.scale if self.scale.numel() == 1 else self.scale[start:stop]
        shape = torch.Size((stop - start, *self.shape[1:]))
        sums = None if self.row_sums is None else self.row_sums[start:stop]
        return Packed(self.data[start:stop], scale, shape, part(self.zero_point), sums, self.format)
