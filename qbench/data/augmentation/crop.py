"""Images moved at random: a crop of the padded image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Crop:
    """Pads each side of an image and crops it back to its size, at a place drawn for each image.

    Each of the (2·padding + 1)² places is equally likely. `images[b] -> padded[b][:, y_b : y_b + H, x_b : x_b + W]`.

    Args:
        padding: pixels on each side, from 1 on.
        fill: the value of the padding. Images are -1 (black) to 1 in qbench's own data sets; 0 is the mean of
            normalized ones.

    Raises:
        ValueError: another padding.
    """

    def __init__(self, padding: int, fill: float = 0.0) -> None:
        if type(padding) is not int or padding < 1:
            raise ValueError(f"padding must be a whole number of pixels from 1 on, got {padding!r}")
        self.padding, self.fill = padding, float(fill)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the batch, [B, C, H, W]."""
        batch, channels, height, width = images.shape
        places = torch.randint(0, 2 * self.padding + 1, (2, batch), generator=generator).to(images.device)
        padded = F.pad(images, [self.padding] * 4, value=self.fill)

        def index(start: Tensor, size: int) -> Tensor:
            return start[:, None] + torch.arange(size, device=images.device)

        rows, columns = index(places[0], height), index(places[1], width)
        examples = torch.arange(batch, device=images.device)[:, None, None, None]
        planes = torch.arange(channels, device=images.device)[None, :, None, None]
        return padded[examples, planes, rows[:, None, :, None], columns[:, None, None, :]]
