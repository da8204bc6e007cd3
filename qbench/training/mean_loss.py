"""The mean of a loss over examples, as a metric."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    """The mean over examples of batches' mean losses: `sum(loss · count) / sum(count)`, in float64.

    Processes of a distributed training add up their sums and counts.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, loss: Tensor, count: int) -> None:
        """Take in the mean loss of `count` examples, a tensor of one element."""
        self.total += loss.detach().reshape(()).double() * count
        self.count += count

    def compute(self) -> Tensor:
        """Return the mean, float64 []; NaN before the first batch."""
        return self.total / self.count
