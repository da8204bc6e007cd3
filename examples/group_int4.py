"""4-bit weights in groups of 32 with a 16-bit scale each, as the GGML and AWQ formats have them; trained through."""

import torch
import torch.nn.functional as F

from qbench import SCHEMES, Scheme
from quantizers import Quantized, Quantizer, register, signed_integer, straight_through


@register("group_int4")
class GroupInt4(Quantizer):
    """Forward: s·clamp(round(w / s), -7, 7), s = max|w| / 7 of each group, a float16; backward: 1."""

    format = signed_integer(4).grouped(32, scale_bits=16)

    def forward(self, w):
        return straight_through(w, lambda w: self.quantize(w).dequantize())

    @torch.no_grad()
    def quantize(self, w):
        rows, size = w.flatten(1), self.format.group_size
        groups = F.pad(rows, (0, -rows.shape[1] % size)).unflatten(1, (-1, size))
        scale = (groups.abs().amax(2) / 7).clamp(2**-14, 65504).half().to(w.dtype)
        codes = (groups / scale.unsqueeze(2)).round().clamp(-7, 7).flatten(1)[:, : rows.shape[1]]
        return Quantized(codes.reshape(w.shape).to(torch.int8), scale, None, self.format)


SCHEMES.add("group-int4", Scheme(name="group-int4", weights="group_int4"))
