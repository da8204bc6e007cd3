"""The cross entropy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(scores: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean over examples of `-Σ_c q_c·log softmax(y)_c`.

    q is 1 for the label and 0 else, but for ε = `label_smoothing`: then `q_c = (1 - ε)·[c = label] + ε/classes`.

    Args:
        scores: y, float [B, classes].
        labels: int64 [B].
        label_smoothing: ε, 0 to 1.

    Source: Szegedy et al., arXiv 1512.00567, section 7.
    """
    return F.cross_entropy(scores, labels, label_smoothing=label_smoothing)
