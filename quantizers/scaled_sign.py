"""Binarization with a scale per output channel."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.formats import BINARY
from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.sign import Sign, sign


def mean_magnitude(weight: Tensor) -> Tensor:
    """Return `α = mean |w|` of each output channel (axis 0), shape [N, 1, ...], in w's dtype; differentiable.

    With B = sign(W) it is the α that minimises `|W - α·B|²`.

    Source: XNOR-Net (arXiv 1603.05279) eq. 6.
    """
    return weight.abs().mean(dim=tuple(range(1, weight.dim())), keepdim=True)


@register("scaled_sign")
class ScaledSign(Sign):
    """The sign of a weight times the mean magnitude of its output channel (axis 0).

    Forward: `q(w) = α·sign(w)`, `α = mean |w|` over the channel.
    Backward: through both factors, the sign by `Sign`'s estimator e (1[|w| <= 1], or 1):
    `dL/dw = g·α·e(w) + sgn(w)·mean(g·sign(w))`, where sgn(0) = 0, the derivative of |w|.

    The codes are -1 and +1 with α as their scale, 4 bytes a channel. XNOR-Net scales activations too, which gives every
    position its own factor and no exact integer product; this quantizer is for weights. Its values are not ±1 and its
    scale is the tensor's own: `is_binary` is False and `encoding()` None.

    Args:
        estimator, clip: as for `Sign`.

    Raises:
        ValueError: from `forward` and `quantize`, for a tensor of fewer than two dimensions.

    Source: Rastegari et al., XNOR-Net (arXiv 1603.05279) section 3.1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled sign of a weight `x`; see the class."""
        _check(x)
        return mean_magnitude(x) * super().forward(x)

    def codes_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return sign(x) and α [N, 1, ...], both differentiable."""
        _check(x)
        return super().forward(x), mean_magnitude(x)

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes -1 and +1 (int8), scale α [N, 1, ...]."""
        _check(x)
        return Quantized(sign(x).to(torch.int8), mean_magnitude(x), None, BINARY)


def _check(weight: Tensor) -> None:
    if weight.dim() < 2:
        raise ValueError(
            f"expected a weight of at least 2 dimensions, output channels first, got {tuple(weight.shape)}"
        )
