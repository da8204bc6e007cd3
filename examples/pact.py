"""PACT (Choi et al., arXiv 1805.06085, section 3): activations clipped at a learned α, which decays."""

import torch
from torch import nn

from qbench import SCHEMES, Scheme
from quantizers import Encoding, LearnedParameter, Quantized, Quantizer, register, straight_through, unsigned_integer


@register("pact")
class PACT(Quantizer):
    """Forward: clip(x, 0, α) in steps of α / (2^bits - 1); backward: 1 to x where 0 < x < α, 1 to α where x >= α."""

    encoding_tensors = frozenset({"alpha"})  # it is in the encoding's scale

    def __init__(self, bits=4, alpha=6.0, decay=1e-3):
        super().__init__()
        self.format, self.decay = unsigned_integer(bits), decay
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def learned_parameters(self):
        return [LearnedParameter(self.alpha, weight_decay=self.decay)]

    def encoding(self):
        step = self.alpha.detach().clamp_min(1e-3) / self.format.maximum
        return Encoding(self.format, step, torch.zeros((), dtype=torch.int32, device=step.device))

    def forward(self, x):
        clipped = torch.where(x >= self.alpha, self.alpha, x.relu())
        return straight_through(clipped, lambda y: self.quantize(y).dequantize().to(x.dtype))

    @torch.no_grad()
    def quantize(self, x):
        encoding = self.encoding()
        codes = (x / encoding.scale).round().clamp(0, self.format.maximum).to(torch.uint8)
        return Quantized(codes, encoding.scale, encoding.zero_point, self.format)


WEIGHTS = {"name": "lsq", "options": {"bits": 4}}
SCHEMES.add("pact", Scheme(name="pact", weights=WEIGHTS, activations="pact"))
