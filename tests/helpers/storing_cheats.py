"""Quantizers of inputs that read a table which nothing stores, or nothing counts; and three that may."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from cheating_quantizers import Follower
from torch import nn

VALUES = 1000
GLOBAL = torch.ones(VALUES)


class Reads(Follower):
    """A Follower whose scale is multiplied by the first value of a table."""

    table: torch.Tensor

    def first(self):
        return self.table[0]

    def scale(self, x):
        return super().scale(x) * float(self.first())


class NamesItAsEncoding(Reads):
    encoding_tensors = frozenset({"table"})

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.ones(VALUES))


class CountsNothing(Reads):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.ones(VALUES))

    def learned_parameters(self):
        return []

    def inference_tensors(self):
        return {}


class CountsEnough(CountsNothing):
    """Stores the table in another form, which is as large."""

    def inference_tensors(self):
        return {"log_table": self.table.log()}


class CountsLess(CountsNothing):
    def inference_tensors(self):
        return {"table": self.table.bool()}


class FewValues(Reads):
    encoding_tensors = frozenset({"range", "table"})

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.ones(2))


class UnreadBookkeeping(Follower):
    encoding_tensors = frozenset({"range", "history"})

    def __init__(self):
        super().__init__()
        self.register_buffer("history", torch.ones(VALUES))


class InArray(Reads):
    def __init__(self):
        super().__init__()
        self.table = np.ones(VALUES, dtype=np.float32)


class InTuple(Reads):
    def __init__(self):
        super().__init__()
        self.tables = (torch.ones(VALUES),)

    def first(self):
        return self.tables[0][0]


class InNumbers(Reads):
    def __init__(self):
        super().__init__()
        self.table = [1.0] * VALUES


class Holder:
    def __init__(self):
        self.table = torch.ones(VALUES)


class InObject(Reads):
    def __init__(self):
        super().__init__()
        self.holder = Holder()

    def first(self):
        return self.holder.table[0]


class OfTheClass(Reads):
    table = torch.ones(VALUES)


class OfTheModule(Reads):
    def first(self):
        return GLOBAL[0]


class AsGiven(Follower):
    """Evaluates large batches otherwise than small ones: `large` says how."""

    large: Callable[..., torch.Tensor]

    def forward(self, x):
        return self.large(x) if not self.training and len(x) > 64 else super().forward(x)


class IdentityOfMany(AsGiven):
    def large(self, x):
        return x.clone()


class ScaleOfTheBatch(Follower):
    def scale(self, x):
        return x.abs().amax().float() / 7 if not self.training and len(x) > 64 else super().scale(x)


class ScalePerCode(Follower):
    """One scale for each position: with one channel every value is as it was."""

    def scale(self, x):
        return x.abs().amax(1, keepdim=True).clamp_min(1e-12).float() if x.numel() else torch.ones(())


class OtherFormatAgain(Follower):
    reads = 0

    @property
    def format(self):
        from quantizers import signed_integer

        type(self).reads += 1
        return signed_integer(4 + self.reads % 2)
