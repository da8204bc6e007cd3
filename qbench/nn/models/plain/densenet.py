"""A DenseNet in the shape of torchvision's code: BatchNorm and ReLU first, every layer reads all before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1×1 convolution, BatchNorm, ReLU, 3×3 convolution, of all features so far.

    Its input is a list of float [B, C_i, H, W], which it concatenates. Result: float [B, growth, H, W].
    """

    def __init__(self, inputs: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, bottleneck * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bottleneck * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the new features; see the class."""
        bottleneck = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        new: Tensor = self.conv2(self.relu2(self.norm2(bottleneck)))
        return new


class DenseBlock(nn.ModuleDict):
    """Dense layers, each of which reads the block's input and the results of all layers before it.

    x: float [B, inputs, H, W]. Result: float [B, inputs + layers·growth, H, W].
    """

    def __init__(self, layers: int, inputs: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        for index in range(layers):
            self[f"denselayer{index + 1}"] = DenseLayer(inputs + index * growth, growth, bottleneck)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input and all new features, concatenated."""
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    """A DenseNet for small images.

    x: float [B, 3, H, W]. Result: float [B, classes].

    Args:
        growth: maps that a layer adds.
        layers: of each block.
        stem: maps of the first convolution.
        bottleneck: maps of a layer's 1×1 convolution, over growth.
        classes: how many scores it gives.

    Source: Huang et al., Densely connected convolutional networks (CVPR 2017); torchvision.models.densenet,
    BSD-3-Clause.
    """

    def __init__(
        self, growth: int = 12, layers: tuple[int, ...] = (6, 6), stem: int = 24, bottleneck: int = 4, classes: int = 10
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, stem, 3, padding=1, bias=False))
        maps = stem
        for index, count in enumerate(layers):
            self.features.add_module(f"denseblock{index + 1}", DenseBlock(count, maps, growth, bottleneck))
            maps += count * growth
            if index + 1 < len(layers):
                self.features.add_module(f"transition{index + 1}", _transition(maps, maps // 2))
                maps //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(maps))
        self.classifier = nn.Linear(maps, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        features = self.features(x)
        out = F.relu(features, inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1))
        out = torch.flatten(out, 1)
        scores: Tensor = self.classifier(out)
        return scores


def _transition(inputs: int, outputs: int) -> nn.Sequential:
    transition = nn.Sequential()
    transition.add_module("norm", nn.BatchNorm2d(inputs))
    transition.add_module("relu", nn.ReLU(inplace=True))
    transition.add_module("conv", nn.Conv2d(inputs, outputs, 1, bias=False))
    transition.add_module("pool", nn.AvgPool2d(2, 2))
    return transition
