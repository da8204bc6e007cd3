"""Images with other means and deviations of their channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Normalize:
    """Computes `(x - mean_c) / std_c` for each channel c, of training, validation and test images alike.

    Args:
        mean, std: one for each channel, of the data set's images (-1 to 1 in qbench's own), or one for all.

    Attributes:
        everywhere: evaluation applies it, too: it is a part of the data.

    Raises:
        ValueError: a std that is not above 0, or another number of them than of means.
    """

    everywhere = True

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = (torch.tensor(each, dtype=torch.float32).reshape(-1) for each in (mean, std))
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} deviations: give one of each for a channel")
        if not bool((self.std > 0).all()):
            raise ValueError(f"std must be above 0, got {std}")

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the batch, [B, C, H, W]."""
        if len(self.mean) not in (1, images.shape[1]):
            raise ValueError(f"{len(self.mean)} means for images of {images.shape[1]} channels")
        mean, std = (each.to(images.device)[:, None, None] for each in (self.mean, self.std))
        return (images - mean) / std
