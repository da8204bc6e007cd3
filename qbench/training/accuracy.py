"""Predicted classes, and how many of them are right."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qbench.data.batches import EVALUATION_BATCH, Batches
from qbench.data.splits import Examples


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Return the predicted classes, int64 [N], of a network in evaluation mode."""
    return torch.cat([network(batch).argmax(1) for batch in images.split(EVALUATION_BATCH)])


@torch.no_grad()
def accuracy(network: nn.Module, examples: Examples) -> float:
    """Return the share of `examples` whose class `network` predicts.

    The network runs in the mode that it is in (so call `network.eval()` first), on the examples' device, which is
    waited for once, at the end.

    Raises:
        ZeroDivisionError: no examples.
    """
    right = torch.zeros((), dtype=torch.int64, device=examples.labels.device)
    for images, labels in Batches(examples, EVALUATION_BATCH):
        right += (network(images).argmax(1) == labels).sum()
    return int(right) / len(examples)


def share(equal: Tensor) -> float:
    """Return the share of true values in a bool tensor [N]."""
    return int(equal.sum()) / len(equal)
