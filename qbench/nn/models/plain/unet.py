"""A U-Net, whose result is an image of scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DoubleConv(nn.Sequential):
    """Twice: 3×3 convolution, BatchNorm, ReLU.

    x: float [B, inputs, H, W]. Result: float [B, outputs, H, W].
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """A U-Net of two halvings: each level of the way up reads the level of the same size on the way down.

    x: float [B, channels, H, W] with H and W multiples of 4. Result: float [B, classes, H, W].

    Args:
        channels: of the images.
        width: maps of the first level; the others have 2·width and 4·width.
        bilinear: enlarge by bilinear interpolation, in place of a transposed convolution.
        classes: scores of each pixel.

    Source: Ronneberger et al., U-Net (MICCAI 2015) figure 1.
    """

    def __init__(self, channels: int = 3, width: int = 32, bilinear: bool = False, classes: int = 2) -> None:
        super().__init__()
        self.inc = DoubleConv(channels, width)
        self.pool = nn.MaxPool2d(2)
        self.down1 = DoubleConv(width, 2 * width)
        self.down2 = DoubleConv(2 * width, 4 * width)
        self.up1 = _enlarge(4 * width, bilinear)
        self.conv1 = DoubleConv((6 if bilinear else 4) * width, 2 * width)
        self.up2 = _enlarge(2 * width, bilinear)
        self.conv2 = DoubleConv((3 if bilinear else 2) * width, width)
        self.outc = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of each pixel, [B, classes, H, W]."""
        x1 = self.inc(x)
        x2 = self.down1(self.pool(x1))
        x3 = self.down2(self.pool(x2))
        x = self.conv1(torch.cat([x2, self.up1(x3)], dim=1))
        x = self.conv2(torch.cat([x1, self.up2(x)], dim=1))
        scores: Tensor = self.outc(x)
        return scores


def _enlarge(maps: int, bilinear: bool) -> nn.Module:
    if bilinear:
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return nn.ConvTranspose2d(maps, maps // 2, 2, stride=2)
