"""ResNet-18 in the shape of torchvision's code, with a stem for 32×32 images."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut: `y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`.

    One in-place `nn.ReLU` serves both places, as in torchvision.

    x: float [B, inputs, H, W]. Result: float [B, outputs, ⌈H/stride⌉, ⌈W/stride⌉].
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's result; see the class."""
        identity = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        result: Tensor = self.relu(out)
        return result


class ResNet18(nn.Module):
    """ResNet-18 with a 3×3 stem of stride 1 and no max-pool, as small images take it.

    x: float [B, 3, H, W]. Result: float [B, classes].

    Args:
        width: maps of the first stage; the four stages have width, 2·width, 4·width and 8·width.
        classes: how many scores it gives.

    Raises:
        ValueError: a width below 1.

    Source: He et al., Deep residual learning (CVPR 2016) table 1; torchvision.models.resnet, BSD-3-Clause.
    """

    def __init__(self, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = torch.flatten(self.avgpool(x), 1)
        scores: Tensor = self.fc(x)
        return scores


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs))


def cifar10_resnet18(width: int = 64) -> nn.Module:
    """Return ResNet-18 for CIFAR-10."""
    return ResNet18(width)
