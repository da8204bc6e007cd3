"""A network of raw sound: one-dimensional convolutions, functional ReLUs."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class M5(nn.Module):
    """Four one-dimensional convolutions, each with BatchNorm, ReLU and max-pool, the mean over time, scores.

    x: float [B, 1, T] with T at least 1200 for the default kernel. Result: float [B, classes].

    Args:
        width: maps of the first two convolutions; the others have twice as many.
        kernel, stride: of the first convolution.
        classes: how many scores it gives.

    Source: Dai et al., Very deep convolutional neural networks for raw waveforms (arXiv 1610.00087) table 1, M5; the
    code's shape is that of torchaudio's tutorial on speech commands.
    """

    def __init__(self, width: int = 32, kernel: int = 80, stride: int = 16, classes: int = 35) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, width, kernel, stride)
        self.bn1 = nn.BatchNorm1d(width)
        self.pool1 = nn.MaxPool1d(4)
        self.conv2 = nn.Conv1d(width, width, 3, padding="same")
        self.bn2 = nn.BatchNorm1d(width)
        self.pool2 = nn.MaxPool1d(4)
        self.conv3 = nn.Conv1d(width, 2 * width, 3, padding=1)
        self.bn3 = nn.BatchNorm1d(2 * width)
        self.conv4 = nn.Conv1d(2 * width, 2 * width, 3, padding=1)
        self.bn4 = nn.BatchNorm1d(2 * width)
        self.fc1 = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        x = self.pool2(F.relu(self.bn2(self.conv2(x))))
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.relu(self.bn4(self.conv4(x)))
        x = F.avg_pool1d(x, x.shape[-1])
        scores: Tensor = self.fc1(x.squeeze(-1))
        return scores
