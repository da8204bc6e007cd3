"""Networks that compute with functions in their forward, not with modules."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FunctionalNet(nn.Module):
    """Layers as modules, and between them functions alone, as torch's first tutorial writes a network.

    x: float [B, 1, 28, 28]. Result: float [B, classes].

    Args:
        width: maps of the first convolution; the second has twice as many.
        classes: how many scores it gives.
    """

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 5)
        self.conv2 = nn.Conv2d(width, 2 * width, 5)
        self.fc1 = nn.Linear(2 * width * 4 * 4, 4 * width)
        self.fc2 = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(self.conv2(x).relu(), 2)
        x = x.view(x.size(0), -1)
        x = torch.relu(self.fc1(x))
        x = F.dropout(x, training=self.training)
        scores: Tensor = self.fc2(x)
        return scores


class FunctionalWeights(nn.Module):
    """No layer at all: weights are parameters, and the products calls of F.conv2d and F.linear.

    x: float [B, 1, 8, 8]. Result: float [B, classes].

    Args:
        width: maps of the convolution.
        classes: how many scores it gives.
    """

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(width, 1, 3, 3) / 3)
        self.weight = nn.Parameter(torch.randn(classes, width * 16) / (width * 16) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = F.max_pool2d(F.relu(F.conv2d(x, self.kernel, padding=1)), 2)
        return F.linear(x.flatten(1), self.weight, self.bias)
