"""DoReFa's weights: odd codes of the tanh-compressed weight."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.formats import odd_integer
from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.straight_through import straight_through


@register("odd")
class Odd(Quantizer):
    """DoReFa-Net's weights of 2 or more bits: odd codes, so that there is no 0; all weights share the scale.

    With `n = tanh(w) / max|tanh(w)|`, the maximum over the whole tensor, and L = 2^bits - 1:

    Forward: `ŵ = 2 · round(L · (n/2 + 1/2)) / L - 1`, half to even: the odd code `q = 2·round(...) - L` from -L to L,
    times the scale 1/L. Equals `quantize(w).dequantize()` bit for bit for float32 weights. Halfway between two codes
    are the even multiples of 1/L; a weight of 0 becomes +1/L, and weights that are all 0 do.
    Backward: round passes the gradient on as it comes, the rest is derived:
    `∂c/∂w_i = (1 - tanh²(w_i)) / M · (∂c/∂ŵ_i - [w_i is the largest] · sign(w_i) · Σ_j ∂c/∂ŵ_j · n_j)` with
    M = max|tanh(w)| (equal largest weights share the second part evenly).

    `encoding()` is None: the scale is always the same, but what a code stands for depends on the largest weight.

    Args:
        bits: 2..8; one bit is `scaled_sign`, with another formula.

    A tensor without elements stays as it is. Where one weight is NaN, `forward` makes all of them NaN.

    Raises:
        ValueError: bits out of range; from `quantize`, NaN.

    Source: Zhou et al., DoReFa-Net (arXiv 1606.06160) section 2.3, eq. 9.
    """

    def __init__(self, bits: int = 4) -> None:
        super().__init__()
        self.format = odd_integer(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded weights; see the class."""
        if x.numel() == 0:
            return x
        top, scale = self.format.maximum, self._scale(x)
        # Beside the scale of one element, `float` makes it float32 arithmetic, as in `dequantize`.
        return straight_through(_normal(x), lambda normal: (_codes(normal, top).float() * scale).to(x.dtype))

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return odd codes, int8 (int16 of 8 bits), and the scale 1/L as float32."""
        if bool(x.isnan().any()):
            raise ValueError(self.named("NaN has no code"))
        dtype = torch.int8 if self.format.maximum <= 127 else torch.int16
        codes = _codes(_normal(x), self.format.maximum) if x.numel() else x
        return Quantized(codes.to(dtype), self._scale(x), None, self.format)

    def _scale(self, x: Tensor) -> Tensor:
        """Return 1/L, float32 []."""
        return torch.tensor(1 / self.format.maximum, dtype=torch.float32, device=x.device)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"bits={self.format.bits}"


def _normal(x: Tensor) -> Tensor:
    """Return `tanh(x) / max|tanh(x)|` in x's dtype; of zeros, zeros."""
    compressed = x.tanh()
    largest = compressed.abs().amax()
    return compressed / torch.where(largest == 0, 1.0, largest)


def _codes(normal: Tensor, top: float) -> Tensor:
    """Return `2 · round(L · (n/2 + 1/2)) - L` as float64, computed in it: in float32, n + 1 would lose a small n."""
    return 2 * torch.round((normal.double() / 2 + 0.5) * top) - top
