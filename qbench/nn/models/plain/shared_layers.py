"""A network whose modules stand in several places."""

from __future__ import annotations

from torch import Tensor, nn


class SharedLayers(nn.Module):
    """One convolution, one ReLU, one max-pool and one linear layer, each called several times.

    x: float [B, 1, 8, 8]. Result: float [B, classes].

    Args:
        width: maps.
        classes: how many scores it gives.
    """

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.norm2 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.hidden = nn.Linear(width * 4, width * 4)
        self.head = nn.Linear(width * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = self.relu(self.stem(x))
        x = self.relu(self.norm1(self.pool(self.conv(x))))
        x = self.relu(self.norm2(self.pool(self.conv(x))))
        x = x.flatten(1)
        x = self.relu(self.hidden(x))
        x = self.relu(self.hidden(x))
        scores: Tensor = self.head(x)
        return scores


def shared_chain(width: int = 16, classes: int = 10) -> nn.Module:
    """Return a nn.Sequential in which one ReLU, one BatchNorm and one max-pool stand in two places each.

    x: float [B, 1, 8, 8]. Result: float [B, classes].
    """
    relu, pool, norm = nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(width)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        pool,
        norm,
        relu,
        nn.Conv2d(width, width, 3, padding=1),
        pool,
        norm,
        relu,
        nn.Flatten(),
        nn.Linear(width * 4, classes),
    )
