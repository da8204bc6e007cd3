"""Losses."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """L2-SVM loss `mean(max(0, 1 - t·y)²)` over classes and examples, t = +1 for the label and -1 for the others.

    scores: float [B, classes]; labels: int64 [B]. Source: Tang, Deep learning using linear SVMs, 2013; BinaryConnect.
    """
    targets = torch.full_like(scores, -1.0).scatter_(1, labels.unsqueeze(1), 1.0)
    return (1 - targets * scores).relu().square().mean()
