"""What the processes of one training have seen together: statistics reduced over all ranks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Return the number of processes that train together; 1 without `torch.distributed`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def sum_over_ranks(x: Tensor) -> Tensor:
    """Return the sum of every rank's `x`, equal on all of them; `x` itself where there is one process.

    Every rank has to call it. NaN and infinity of one rank reach all.
    """
    return x if world_size() == 1 else _reduced(x, dist.ReduceOp.SUM)


@torch.no_grad()
def largest_over_ranks(x: Tensor) -> Tensor:
    """Return the elementwise maximum of every rank's `x` (no NaN), equal on all; `x` itself for one process.

    Every rank has to call it.
    """
    return x if world_size() == 1 else _reduced(x, dist.ReduceOp.MAX)


def _reduced(x: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
    result = x.clone()
    dist.all_reduce(result, op=operation)
    return result
