"""Images with a square blanked out at random."""

from __future__ import annotations

import torch
from torch import Tensor


class Cutout:
    """Fills a square of `size`×`size` pixels around a pixel drawn for each image; what lies outside is cut off.

    The square's rows are `y - size//2` to `y - size//2 + size - 1`, its columns likewise.

    Args:
        size: of the square, from 1 on.
        fill: its value.

    Raises:
        ValueError: another size.

    Source: DeVries, Taylor, arXiv 1708.04552.
    """

    def __init__(self, size: int, fill: float = 0.0) -> None:
        if type(size) is not int or size < 1:
            raise ValueError(f"size must be a whole number of pixels from 1 on, got {size!r}")
        self.size, self.fill = size, float(fill)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the batch, [B, C, H, W]."""
        inside = [self._inside(extent, len(images), generator).to(images.device) for extent in images.shape[2:]]
        square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return images.masked_fill(square, self.fill)

    def _inside(self, extent: int, batch: int, generator: torch.Generator) -> Tensor:
        """Return which of `extent` rows (or columns) the squares cover, bool [B, extent]."""
        start = torch.randint(0, extent, (batch, 1), generator=generator) - self.size // 2
        place = torch.arange(extent)
        return (place >= start) & (place < start + self.size)
