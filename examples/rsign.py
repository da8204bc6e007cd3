"""RSign of ReActNet (Liu et al., ECCV 2020, eq. 1 and 4): the sign with a learned threshold for each input channel."""

import torch
from approx_sign import approximate
from torch import nn

from qbench import SCHEMES, get_scheme
from quantizers import BINARY, Quantized, Quantizer, register, sign, straight_through


@register("rsign")
class RSign(Quantizer):
    """Forward: +1 if x >= α else -1, α for each channel of x [B, C, ...]; backward: ApproxSign's, negated for α."""

    format, is_binary = BINARY, True

    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))

    @classmethod
    def for_layer(cls, place):
        return cls(place.input_channels)

    def forward(self, x):
        return straight_through(self.shifted(x), sign, approximate)

    def quantize(self, x):
        return Quantized(sign(self.shifted(x)).to(torch.int8), x.new_ones(()), None, BINARY)

    def shifted(self, x):
        return x - self.alpha.view(-1, *[1] * (x.dim() - 2))


SCHEMES.add("rsign", get_scheme("xnor-net", name="rsign", activations="rsign"))
