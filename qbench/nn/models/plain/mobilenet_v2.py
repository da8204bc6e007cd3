"""MobileNetV2 in the shape of torchvision's code, with strides for 32×32 images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, maps, blocks and first stride of each stage; the second stage's stride is 2 for 224×224 images."""


class InvertedResidual(nn.Module):
    """Expand 1×1, filter 3×3 depthwise, project 1×1; beside a shortcut where input and output have one shape.

    x: float [B, inputs, H, W]. Result: float [B, outputs, ⌈H/stride⌉, ⌈W/stride⌉].
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.use_res_connect = stride == 1 and inputs == outputs
        layers: list[nn.Module] = [] if expansion == 1 else [_conv_norm(inputs, hidden, 1)]
        layers += [
            _conv_norm(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's result; see the class."""
        y: Tensor = self.conv(x)
        return x + y if self.use_res_connect else y


class MobileNetV2(nn.Module):
    """MobileNetV2 for small images: stem and second stage keep the size.

    x: float [B, 3, H, W]. Result: float [B, classes].

    Args:
        width: multiplies every stage's maps, which are rounded to a multiple of 8.
        blocks: of each stage at most; 4 is the whole network.
        classes: how many scores it gives.
        dropout: in front of the classifier.

    Raises:
        ValueError: width or blocks that leave nothing.

    Source: Sandler et al., MobileNetV2 (CVPR 2018) table 2; torchvision.models.mobilenetv2, BSD-3-Clause.
    """

    def __init__(self, width: float = 1.0, blocks: int = 4, classes: int = 10, dropout: float = 0.2) -> None:
        super().__init__()
        if width <= 0 or blocks < 1:
            raise ValueError(f"width must be above 0 and blocks at least 1, got {width} and {blocks}")
        inputs = _divisible(32 * width)
        features: list[nn.Module] = [_conv_norm(3, inputs, 3)]
        for expansion, maps, count, stride in STAGES:
            outputs = _divisible(maps * width)
            for index in range(min(count, blocks)):
                features.append(InvertedResidual(inputs, outputs, stride if index == 0 else 1, expansion))
                inputs = outputs
        last = _divisible(1280 * width)
        features.append(_conv_norm(inputs, last, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = self.features(x)
        x = F.adaptive_avg_pool2d(x, (1, 1))
        x = x.reshape(x.shape[0], -1)
        scores: Tensor = self.classifier(x)
        return scores


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


def _divisible(maps: float) -> int:
    """Return the multiple of 8 nearest to `maps`, at least 8 and at least 0.9 of it."""
    nearest = max(8, int(maps + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * maps else nearest


def cifar10_mobilenet_v2(width: float = 1.0, blocks: int = 4) -> nn.Module:
    """Return MobileNetV2 for CIFAR-10."""
    return MobileNetV2(width, blocks)
