"""Binarization of a tanh-compressed value, trained real-valued first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.formats import BINARY
from quantizers.quantized import Quantized, unit_scale
from quantizers.registered import register
from quantizers.sign import sign


class _TanhSignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] * (1 - x.tanh().square())


@register("tanh_sign")
class TanhSign(Quantizer):
    """Sign of tanh(x); in the first phase of training, while `relaxed`, tanh(x) itself.

    Forward (evaluation, and training when not relaxed): `q(x) = sign(tanh(x)) = +1 if x >= 0 else -1`.
    Forward (training, relaxed): `tanh(x)`, real-valued in (-1, 1).
    Backward, both: `dq/dx = 1 - tanh(x)²`; the sign passes its gradient straight through.

    Serves weights and activations. Evaluation is binary from the first epoch on: what a relaxed network scores in
    real numbers is never shown as a binary network's accuracy. Latent weights need no clip, for tanh bounds them.

    Attributes:
        relaxed: set by whoever trains (`Scheme.relaxed_share`); not part of the state.

    Source: Kim and Smaragdis, Bitwise neural networks (arXiv 1601.06071) section 3: the weights compressed by tanh in
    the first training, signs in the second, which starts from it. Their second training backpropagates with the
    derivative of tanh, too.
    """

    format = BINARY

    def __init__(self) -> None:
        super().__init__()
        self.relaxed = False

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh() if self.relaxed and self.training else _TanhSignSTE.apply(x)

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Codes -1 and +1 (int8), scale 1."""
        return Quantized(sign(x).to(torch.int8), unit_scale(x), None, BINARY)
