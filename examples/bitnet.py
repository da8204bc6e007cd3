"""BitNet b1.58 (Ma et al., arXiv 2402.17764, eq. 1 to 3): ternary weights, int8 activations scaled by example."""

import torch

from qbench import SCHEMES, Scheme
from quantizers import INT8, TERNARY, Quantized, Quantizer, register, straight_through


@register("absmean_ternary")
class AbsMeanTernary(Quantizer):
    """Forward: γ·clamp(round(w / γ), -1, 1) with γ = mean|w|; backward: 1."""

    format = TERNARY

    def forward(self, w):
        return straight_through(w, lambda w: self.quantize(w).dequantize())

    @torch.no_grad()
    def quantize(self, w):
        scale = w.abs().mean().clamp_min(1e-5)
        return Quantized((w / scale).round().clamp(-1, 1).to(torch.int8), scale, None, TERNARY)


@register("absmax_int8")
class AbsMaxInt8(AbsMeanTernary):
    """Forward: s·round(x / s) with s = max|x| / 127 of each example; backward: 1."""

    format = INT8

    @torch.no_grad()
    def quantize(self, x):
        scale = x.abs().amax(tuple(range(1, x.dim())), keepdim=True).clamp_min(1e-5) / 127
        return Quantized((x / scale).round().clamp(-127, 127).to(torch.int8), scale, None, INT8)


SCHEMES.add("bitnet-b1.58", Scheme(name="bitnet-b1.58", weights="absmean_ternary", activations="absmax_int8"))
