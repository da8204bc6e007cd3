"""IR-Net (Qin et al., CVPR 2020): balanced ±1 weights with power-of-two scales; a gradient that sharpens by epoch."""

import torch

from qbench import SCHEMES, get_scheme
from quantizers import BINARY, Quantized, Quantizer, register, sign, straight_through


@register("ede_sign")
class EDESign(Quantizer):
    """Forward: +1 if x >= 0 else -1; backward (eq. 9 to 11): max(1, t)·(1 - tanh²(t·x)), t from 0.1 to 10."""

    format, is_binary, encoding_tensors = BINARY, True, frozenset({"t"})  # inference does not read t

    def __init__(self):
        super().__init__()
        self.register_buffer("t", torch.tensor(0.1))  # a buffer: checkpoints keep it

    def on_epoch(self, epoch, epochs):
        self.t.fill_(0.1 * 100 ** (epoch / epochs))

    def forward(self, x):
        return straight_through(x, sign, lambda grad, x: grad * self.t.clamp_min(1) * (1 - (self.t * x).tanh() ** 2))

    def quantize(self, x):
        return Quantized(sign(x).to(torch.int8), x.new_ones(()), None, BINARY)


@register("libra")
class Libra(EDESign):
    """Forward (eq. 5 to 7): 2^s·sign(ŵ), ŵ the weights of each channel standardized, s = round(log2(mean|ŵ|))."""

    def forward(self, w):
        codes, scale = self.codes_and_scale(w)
        return codes * scale

    def codes_and_scale(self, w):
        dims = tuple(range(1, w.dim()))
        w = w - w.mean(dims, keepdim=True)
        w = w / w.std(dims, correction=0, keepdim=True).clamp_min(1e-12)
        exponent = w.detach().abs().mean(dims, keepdim=True).clamp_min(2**-20).log2().round()
        return super().forward(w), 2**exponent

    def quantize(self, w):
        codes, scale = self.codes_and_scale(w.detach())
        return Quantized(codes.to(torch.int8), scale, None, BINARY)


SCHEMES.add("ir-net", get_scheme("binarynet", name="ir-net", weights="libra", activations="ede_sign"))
