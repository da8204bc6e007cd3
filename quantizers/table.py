"""Weights from a table of values, with a scale for each row or group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.formats import NumberFormat, value_table
from quantizers.group_integer import check_weights, finite_scales
from quantizers.group_scale import by_group, from_groups
from quantizers.layer_place import LayerPlace
from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.straight_through import straight_through
from quantizers.value_tables import VALUE_TABLES


@register("table")
class Table(Quantizer):
    """Weights that are the nearest of a table's values, times a scale; computed from the tensor itself, each time.

    With `S = max|w| / max|v|` over a row of the weight [N, ...] (an output channel), or over each group of a row,
    rounded up to what `scale_bits` store (`group_scales`):

    Forward: `ŵ = S · v`, v the table's value nearest to w / S; equals `quantize(w).dequantize()` bit for bit, in w's
    dtype. Halfway between two, v is the one that is an even number of places from the value nearest to 0: of the
    integers, and of E2M1, that is half to even. Beyond the ends w saturates, as it does where v reaches further on one
    side than on the other.
    Backward: 1 everywhere; S is taken as constant.

        make("table", values="nf4", group_size=64)
        make("table", values=[-4, -2, -1, 0, 1, 2, 4])  # powers of two, at 3 bits

    `encoding()` is None, for the scales depend on the tensor.

    Args:
        values: the name of a built-in table, `nf4` or `e2m1` (VALUE_TABLES); or 2 to 256 different real numbers, in any
            order, which is that of the codes.
        group_size: 1 or more; None for a scale per row.
        scale_bits: 32 (float32), 16 (float16) or 8 (a power of two).
        cover: False takes the power of two that the MX specification suggests, at which the largest values may
            saturate; of scales of 8 bits alone.

    Raises:
        ValueError: an unknown table, or options out of range; from `for_layer`, a layer's input;
            from `forward` and `quantize`, NaN or infinity.

    Source: Dettmers et al., QLoRA (NeurIPS 2023) section 3 for NF4 in groups of 64; OCP Microscaling Formats (MX)
        specification 1.0 (2023) for E2M1 in groups of 32 with scales of 8 bits ("MXFP4").
    """

    def __init__(
        self,
        values: str | Sequence[float] = "nf4",
        group_size: int | None = None,
        scale_bits: int = 32,
        cover: bool = True,
    ) -> None:
        super().__init__()
        if not cover and scale_bits != 8:
            raise ValueError(f"cover=False is of scales of 8 bits, got scale_bits={scale_bits!r}")
        format = _format(values)
        if group_size is None:
            self.format = replace(format, scale_bits=scale_bits)
        else:
            self.format = format.grouped(group_size, scale_bits)
        self.cover = cover
        self.top = max(abs(value) for value in self.format.values)

    @classmethod
    def for_layer(cls, place: LayerPlace, **options: Any) -> Self:
        """Return the quantizer of a layer's weights."""
        check_weights("table", place)
        return cls(**options)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weights from the table; see the class."""
        return straight_through(x, lambda x: self.quantize(x).dequantize().to(x.dtype))

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes (uint8), and float32 scales: [N, G] of groups, [N, 1, ...] of rows."""
        scale = finite_scales(self, x, self.top, self.cover)
        groups = by_group(x, self.format.group_size).double() / scale.unsqueeze(2)
        codes = from_groups(_nearest(groups, self.format.values), x.shape)
        if self.format.group_size is None:
            scale = scale.reshape(-1, *[1] * (x.dim() - 1))
        return Quantized(codes.to(torch.uint8), scale, None, self.format)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"{self.format.name}, scale_bits={self.format.scale_bits}, cover={self.cover}"


def _format(values: str | Sequence[float]) -> NumberFormat:
    """Return the format of a built-in table, or of `values`."""
    if not isinstance(values, str):
        return value_table("table", values)
    if values not in VALUE_TABLES:
        raise ValueError(f"unknown table {values!r}. Known: {', '.join(VALUE_TABLES)}; or give a list of its values")
    return value_table(values, VALUE_TABLES[values])


def _nearest(x: Tensor, values: Sequence[float]) -> Tensor:
    """Return the places in `values` of those nearest to `x` (float64), int64 in its shape; ties as `Table` has them."""
    ordered, places = torch.tensor(values, dtype=torch.float64, device=x.device).sort()
    middles = (ordered[1:] + ordered[:-1]) / 2
    lower, upper = torch.bucketize(x, middles), torch.bucketize(x, middles, right=True)
    even = (lower - ordered.abs().argmin()) % 2 == 0
    return places[torch.where(even, lower, upper)]  # the two differ halfway alone
