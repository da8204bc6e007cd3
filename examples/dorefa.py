"""DoReFa-Net (Zhou et al., arXiv 1606.06160, section 2.3): k-bit weights on odd codes, k-bit activations in [0, 1]."""

import torch

from qbench import SCHEMES, Scheme
from quantizers import Quantized, Quantizer, odd_integer, register, straight_through, unsigned_integer


@register("dorefa")
class DoReFa(Quantizer):
    """Forward: y = tanh(w) / max|tanh(w)| of weights, clip(x, 0, 1) of activations, in steps of 1 / (2^bits - 1).

    Backward: through y; rounding passes the gradient on.
    """

    def __init__(self, bits=4, role="weights"):
        super().__init__()
        self.signed = role == "weights"
        self.format = odd_integer(bits) if self.signed else unsigned_integer(bits)

    @classmethod
    def for_layer(cls, place, **options):
        return cls(role=place.role, **options)

    def forward(self, x):
        return straight_through(self.bounded(x), lambda y: self.rounded(y).dequantize())

    def quantize(self, x):
        return self.rounded(self.bounded(x.detach()))

    def bounded(self, x):
        return x.tanh() / x.tanh().abs().amax().clamp_min(1e-12) if self.signed else x.clamp(0, 1)

    def rounded(self, y):
        n = self.format.maximum
        codes = 2 * torch.round(n * (y + 1) / 2) - n if self.signed else torch.round(n * y)
        return Quantized(codes.short(), y.new_tensor(1 / n), None, self.format)


SCHEMES.add("dorefa", Scheme(name="dorefa", weights="dorefa", activations="dorefa"))
