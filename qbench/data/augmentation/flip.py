"""Images mirrored at random."""

from __future__ import annotations

import torch
from torch import Tensor


class Flip:
    """Mirrors each image left to right with probability `p`; its class stays.

    Args:
        p: 0 to 1.

    Raises:
        ValueError: another p.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p must be 0 to 1, got {p}")
        self.p = p

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the batch, [B, C, H, W]."""
        chosen = (torch.rand(len(images), generator=generator) < self.p).to(images.device)
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)
