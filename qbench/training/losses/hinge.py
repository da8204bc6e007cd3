"""The hinge loss."""

from __future__ import annotations

import torch
from torch import Tensor


def hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the L1-SVM loss `mean(max(0, 1 - t·y))` over examples and classes; t = +1 for the label, else -1.

    Args:
        scores: y, float [B, classes].
        labels: int64 [B].

    Source: Tang, Deep learning using linear SVMs, 2013.
    """
    targets = torch.full_like(scores, -1.0).scatter_(1, labels.unsqueeze(1), 1.0)
    return (1 - targets * scores).relu().mean()
