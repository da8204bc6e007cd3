"""Quantizers that break one part of the contract each, and two that keep it."""

from __future__ import annotations

import torch
from torch import nn

from quantizers import (
    BINARY,
    TERNARY,
    Encoding,
    NumberFormat,
    Quantized,
    Quantizer,
    signed_integer,
    straight_through,
    unsigned_integer,
)

INT4 = signed_integer(4)


def int4(x, scale, format=INT4):
    codes = (x / scale).round().clamp(-7, 7)
    return Quantized(codes.to(torch.int8), scale, None, format)


class Honest(Quantizer):
    """4 bits whose scale is that of the tensor: of weights it breaks nothing."""

    format = INT4

    def scale(self, x):
        return x.detach().abs().amax().clamp_min(1e-8).float() / 7 if x.numel() else torch.ones(())

    @torch.no_grad()
    def quantize(self, x):
        return int4(x, self.scale(x))

    def forward(self, x):
        return straight_through(x, lambda x: self.quantize(x).dequantize().to(x.dtype))


class Follower(Honest):
    """4 bits whose scale follows the training batches: of inputs it breaks nothing, in one process."""

    def __init__(self):
        super().__init__()
        self.register_buffer("range", torch.ones(()))

    def follow(self, x):
        if self.training and x.numel():
            self.range.mul_(0.5).add_(x.detach().abs().max().float(), alpha=0.5)

    def scale(self, x):
        return self.range.clamp_min(1e-8) / 7

    def forward(self, x):
        self.follow(x)
        return super().forward(x)


class NeverReady(Honest):
    @property
    def is_ready(self):
        return False


class OtherFormat(Honest):
    def quantize(self, x):
        return int4(x, self.scale(x), signed_integer(8))


class OutOfRange(Honest):
    @torch.no_grad()
    def quantize(self, x):
        scale = self.scale(x)
        return Quantized((x / scale).round().clamp(-6, 8).to(torch.int8) + 1, scale, None, INT4)


class ElementwiseScale(Honest):
    """A sign with a scale for each value: every value is exact."""

    format = TERNARY

    @torch.no_grad()
    def quantize(self, x):
        return Quantized(x.sign().to(torch.int8), x.abs().float(), None, TERNARY)


class OtherValues(Honest):
    def forward(self, x):
        return 1.5 * super().forward(x)


class Identity(Honest):
    """Says 4 bits, and returns x."""

    def forward(self, x):
        return x.clone()


class RoundsTwice(Follower):
    """The straight-through form that many write: of values beyond the range it is off in the last bits."""

    def forward(self, x):
        self.follow(x)
        return x + (self.quantize(x).dequantize() - x).detach()


class DetachedCodes(Honest):
    def codes_and_scale(self, x):
        found = self.quantize(x)
        return found.codes.to(x.dtype), found.scale


class TwoAxes(Honest):
    """A scale for each row and a zero point for each column: together more values than codes."""

    format = unsigned_integer(4)

    @torch.no_grad()
    def quantize(self, x):
        scale = x.abs().amax().clamp_min(1e-8).float().expand(x.shape[0]).reshape(-1, *[1] * (x.dim() - 1)) / 14
        zero = torch.arange(x.shape[-1]) % 16
        return Quantized(((x / scale).round() + zero).clamp(0, 15).to(torch.uint8), scale, zero.int(), self.format)


class DividesByZero(Honest):
    def scale(self, x):
        return x.detach().abs().amax().float() / 7

    def forward(self, x):
        scale = self.scale(x)
        return straight_through(x, lambda x: ((x / scale).round().clamp(-7, 7).float() * scale).to(x.dtype))


class Float32Alone(Honest):
    def forward(self, x):
        return super().forward(x.float())


class InPlace(Honest):
    def forward(self, x):
        x.detach().clamp_(-1, 1)
        return super().forward(x)


class FollowsInEvaluation(Follower):
    def follow(self, x):
        self.range.mul_(0.5).add_(x.detach().abs().max().float(), alpha=0.5)


class RaisesOnNothing(Follower):
    def follow(self, x):
        x.detach().max()
        super().follow(x)


class NoGradient(Honest):
    def forward(self, x):
        return self.quantize(x).dequantize().to(x.dtype)


class ZeroGradient(Honest):
    def forward(self, x):
        scale = self.scale(x)
        return ((x / scale).round().clamp(-7, 7).float() * scale).to(x.dtype)


class NaNGradient(Honest):
    def forward(self, x):
        values = super().forward(x)
        return values.detach() + (x.abs().sqrt() - x.abs().sqrt().detach())


class UnusedParameter(Follower):
    def __init__(self):
        super().__init__()
        self.step = nn.Parameter(torch.ones(()))


class LosesState(Follower):
    def __init__(self):
        super().__init__()
        del self.range
        self.range = 1.0

    def follow(self, x):
        if self.training and x.numel():
            self.range = float(x.detach().abs().max())

    def scale(self, x):
        return torch.tensor(self.range / 7)


class Unpicklable(Honest):
    def __init__(self):
        super().__init__()
        self.function = lambda x: x


class HiddenTable(Follower):
    """Holds a quarter of a million values that nothing stores."""

    def __init__(self):
        super().__init__()
        self.table = torch.ones(250_000)

    def scale(self, x):
        return super().scale(x) * self.table[0]


class ClaimsBinary(Honest):
    format = BINARY

    @property
    def is_binary(self):
        return True

    @torch.no_grad()
    def quantize(self, x):
        return Quantized((2 * (x >= 0).to(torch.int8) - 1), 2 * torch.ones(()), None, BINARY)


class ClaimsEncoding(Honest):
    def encoding(self):
        return Encoding(INT4, torch.tensor(0.25), None)


class HiddenParameters(Follower):
    """Reads a megabyte of parameters wherever it quantizes."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.ones(262_144))

    def scale(self, x):
        return super().scale(x) * self.table.detach()[0]

    def learned_parameters(self):
        return []


class TinyFormat(Honest):
    """255 codes, said to need one bit."""

    def __init__(self):
        super().__init__()
        self.format = NumberFormat("tiny", 1, "integer", -127, 127)


class OtherWhenTrained(Follower):
    """Evaluates with other values than it packs, from the tenth training batch on."""

    def __init__(self):
        super().__init__()
        self.register_buffer("batches", torch.zeros(()))

    def follow(self, x):
        super().follow(x)
        self.batches += self.training

    def forward(self, x):
        return super().forward(x) * (1.5 if self.batches >= 10 else 1.0)


class BreaksOnData(Follower):
    """Raises for inputs that training data have, and made-up ones do not."""

    def quantize(self, x):
        if x.numel() and float(x.min()) >= 0:
            raise RuntimeError("no value is below zero")
        return super().quantize(x)
