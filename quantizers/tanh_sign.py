"""Binarization of a tanh-compressed value, trained real-valued first."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.encoding import Encoding
from quantizers.formats import BINARY
from quantizers.quantized import Quantized, unit_scale
from quantizers.registered import register
from quantizers.sign import sign
from quantizers.straight_through import straight_through, tanh_gradient


@register("tanh_sign")
class TanhSign(Quantizer):
    """The sign of tanh(x); in the first phase of training, while `relaxed`, tanh(x) itself.

    Forward (evaluation, and training when not relaxed): `q(x) = sign(tanh(x)) = +1 if x >= 0 else -1`.
    Forward (training, relaxed): `tanh(x)`, real-valued in (-1, 1).
    Backward, both: `dq/dx = 1 - tanh(x)²`; the sign passes its gradient straight through.

    Serves weights and activations. Evaluation is binary from the first epoch on: what a relaxed network scores in
    real numbers is never shown as a binary network's accuracy. Latent weights need no clip, for tanh bounds them.

    Attributes:
        relaxed: False; whoever trains sets it by `set_relaxed` (`Scheme.relaxed_share`). Not part of the state.

    Source: Kim and Smaragdis, Bitwise neural networks (arXiv 1601.06071) section 3: the weights compressed by tanh in
    the first training, signs in the second, which starts from it. Their second training backpropagates with the
    derivative of tanh, too.
    """

    format = BINARY

    def __init__(self) -> None:
        super().__init__()
        self.relaxed = False

    def forward(self, x: Tensor) -> Tensor:
        """Return the sign of `x`, or tanh(x); see the class."""
        return x.tanh() if self.relaxed and self.training else straight_through(x, sign, tanh_gradient)

    def encoding(self) -> Encoding | None:
        """Return scale 1 without zero point: of the sign, which evaluation takes even where training is relaxed."""
        return Encoding(BINARY, torch.ones((), dtype=torch.float32), None)

    def set_relaxed(self, relaxed: bool) -> None:
        """Train with tanh(x), or with its sign again."""
        self.relaxed = relaxed

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes -1 and +1 (int8), scale 1."""
        return Quantized(sign(x).to(torch.int8), unit_scale(x), None, BINARY)
