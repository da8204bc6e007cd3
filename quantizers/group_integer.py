"""Integer weights with a scale for each group of consecutive weights of a row."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.formats import signed_integer
from quantizers.group_scale import by_group, from_groups, group_scales
from quantizers.layer_place import LayerPlace
from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.straight_through import straight_through


@register("group_integer")
class GroupInteger(Quantizer):
    """Symmetric integer weights with a scale for each group of weights; computed from the tensor itself, each time.

    A weight [N, ...] is N rows of K values (a filter is a row), cut into groups of `group_size`; K need not be a
    multiple. With `S = max|w| / (2^(bits-1) - 1)` over the group, rounded up to what `scale_bits` store
    (`group_scales`), so that nothing saturates:

    Forward: `ŵ = S · clamp(round(w / S), ±(2^(bits-1) - 1))`, half to even; equals `quantize(w).dequantize()` bit for
    bit, in w's dtype. Zeros stay zeros.
    Backward: 1 everywhere; S is taken as constant.

        make("group_integer", bits=4, group_size=32, scale_bits=16)  # 4.5 bits a weight

    `encoding()` is None, for the scales depend on the tensor.

    Args:
        bits: 2..8.
        group_size: 1 or more; a row that is no longer has one group.
        scale_bits: 16 (float16), 8 (a power of two) or 32 (float32).

    Raises:
        ValueError: options out of range; from `for_layer`, a layer's input: groups are of a weight's row; from
            `forward` and `quantize`, NaN or infinity.

    Source: Shen et al., Q-BERT (AAAI 2020) section 3.2 for groups; Dettmers and Zettlemoyer (ICML 2023) section 2.2 for
        their scales of 16 bits.
    """

    def __init__(self, bits: int = 4, group_size: int = 32, scale_bits: int = 16) -> None:
        super().__init__()
        self.format = signed_integer(bits).grouped(group_size, scale_bits)

    @classmethod
    def for_layer(cls, place: LayerPlace, **options: Any) -> Self:
        """Return the quantizer of a layer's weights."""
        check_weights("group_integer", place)
        return cls(**options)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded weights; see the class."""
        return straight_through(x, lambda x: self.quantize(x).dequantize().to(x.dtype))

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes (int8), and scales [N, G] in float32."""
        top = self.format.maximum
        scale = finite_scales(self, x, top)
        groups = by_group(x, self.format.group_size) / scale.unsqueeze(2)
        codes = from_groups(torch.round(groups).clamp(-top, top), x.shape)
        return Quantized(codes.to(torch.int8), scale, None, self.format)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        format = self.format
        return f"bits={format.bits}, group_size={format.group_size}, scale_bits={format.scale_bits}"


def finite_scales(quantizer: Quantizer, x: Tensor, top: float, cover: bool = True) -> Tensor:
    """Return the `group_scales` of a quantizer's format; an error names the layer."""
    format = quantizer.format
    try:
        return group_scales(x, format.group_size, top, format.scale_bits, cover)
    except ValueError as error:
        raise ValueError(quantizer.named(str(error))) from None


def check_weights(name: str, place: LayerPlace) -> None:
    """Refuse a layer's input: its scales would be of rows that only a weight has.

    Raises:
        ValueError: the place is an input's.
    """
    if place.role == "activations":
        raise ValueError(
            f"{place.name or 'a layer'}: {name} quantizes weights, whose rows share scales; of an input's "
            "every example would store scales of its own: take one with a scale for the tensor"
        )
