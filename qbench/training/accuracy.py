"""Predicted classes, and how many of them are right."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qbench.data.datamodule import EVALUATION_BATCH


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Predicted classes, int64 [N], of an evaluating network."""
    return torch.cat([network(batch).argmax(1) for batch in images.split(EVALUATION_BATCH)])


def share(equal: Tensor) -> float:
    """Return the share of true values in a bool tensor [N]."""
    return int(equal.sum()) / len(equal)
