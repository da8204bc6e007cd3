"""LSQ+ (Bhalgat et al., arXiv 2004.09576, eq. 3 to 6): a learned step s and a learned offset β for activations.

β is rounded to a whole code z, so that integers are multiplied; in the paper it goes into the bias.
"""

import torch
from torch import nn

from qbench import SCHEMES, get_scheme
from quantizers import LearnedParameter, Quantized, Quantizer, register, straight_through, unsigned_integer
from quantizers.ranks import largest_over_ranks


@register("lsq_plus")
class LSQPlus(Quantizer):
    """Forward: s·(clamp(round(x / s + z), 0, n) - z), z = round(-β / s), n = 2^bits - 1; rounding passes gradients."""

    encoding_tensors = frozenset({"step", "offset", "ready"})

    def __init__(self, bits=4):
        super().__init__()
        self.format = unsigned_integer(bits)
        self.step, self.offset = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(0.0))
        self.register_buffer("ready", torch.tensor(False))

    @property
    def is_ready(self):
        return bool(self.ready)

    def learned_parameters(self):
        return [LearnedParameter(self.step, rate=0.01), LearnedParameter(self.offset, rate=0.01)]

    def factors(self, x):
        step, n = self.step.clamp_min(1e-8), self.format.maximum
        zero = straight_through(-self.offset / step, lambda z: z.round().clamp(0, n))
        return straight_through((x / step + zero).clamp(0, n), torch.round), zero, step

    def forward(self, x):
        if self.training and not self.ready and x.numel():  # begin with the range of the first batch, of all ranks
            high, low = largest_over_ranks(torch.stack([x.detach().amax(), -x.detach().amin()]))
            self.offset.data, self.ready = (-low).clamp_max(0), torch.tensor(True)
            self.step.data = (high - self.offset.data) / self.format.maximum
        codes, zero, step = self.factors(x)
        return (codes - zero) * step if self.ready else x

    @torch.no_grad()
    def quantize(self, x):
        codes, zero, step = self.factors(x)
        return Quantized(codes.to(torch.uint8), step, zero.int(), self.format)


SCHEMES.add("lsq-plus", get_scheme("int8-lsq", name="lsq-plus", activations="lsq_plus"))
