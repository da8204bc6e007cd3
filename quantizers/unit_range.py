"""DoReFa's activations: unsigned codes over the fixed range from 0 to 1."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.encoding import Encoding
from quantizers.formats import unsigned_integer
from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.straight_through import straight_through


@register("unit_range")
class UnitRange(Quantizer):
    """Unsigned integers over [0, 1], whatever the input: nothing is calibrated or learned.

    With L = 2^bits - 1 and the scale S = 1/L in float32:

    Forward: `x̂ = S · q`, `q = round(L · clip(x, 0, 1))`, half to even; equals `quantize(x).dequantize()` bit for bit
    for float32 input. NaN stays NaN, and `quantize` refuses it.
    Backward: 1 where `0 <= x <= 1`, else 0.

    Args:
        bits: 2..8.

    Raises:
        ValueError: bits out of range; from `quantize`, NaN.

    Source: Zhou et al., DoReFa-Net (arXiv 1606.06160) section 2.2, eq. 5, behind the activation that section 2.4 bounds
        to [0, 1].
    """

    def __init__(self, bits: int = 4) -> None:
        super().__init__()
        self.format = unsigned_integer(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` clipped and rounded; see the class."""
        scale = self._scale(x.device)
        return straight_through(x, lambda x: (self._codes(x).float() * scale).to(x.dtype), _inside)

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes 0..L (uint8), and the scale S."""
        if bool(x.isnan().any()):
            raise ValueError(self.named("NaN has no code"))
        return Quantized(self._codes(x).to(torch.uint8), self._scale(x.device), None, self.format)

    def encoding(self) -> Encoding:
        """Return the scale S."""
        return Encoding(self.format, self._scale(torch.device("cpu")), None)

    def _scale(self, device: torch.device) -> Tensor:
        """Return S, float32 []."""
        return torch.tensor(1 / self.format.maximum, dtype=torch.float32, device=device)

    def _codes(self, x: Tensor) -> Tensor:
        """Return the codes in float64, in which L·x is exact for float32."""
        return torch.round(x.double().clamp(0, 1) * self.format.maximum) + 0.0  # -0.0 becomes 0.0

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"bits={self.format.bits}"


def _inside(grad: Tensor, x: Tensor) -> Tensor:
    """Return `grad · 1[0 <= x <= 1]`."""
    return grad * ((x >= 0) & (x <= 1))
