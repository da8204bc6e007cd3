"""Residual convolutional networks."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from qbench.nn.activation import Activation
from qbench.nn.models.model import BATCH_NORM_EPS
from qbench.nn.models.residual import ResidualBlock
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear


def resnet(channels: int, width: int, stages: int, blocks: int, classes: int) -> nn.Module:
    """Return a convolution, then stages of residual blocks, each but the first at half the size and twice the maps.

    Raises:
        ValueError: no maps, or no blocks.
    """
    if width < 1 or blocks < 1:
        raise ValueError(f"width and blocks must be at least 1, got {width} and {blocks}")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = QuantConv2d(channels, width, 3, padding=1, bias=False)
    parts["bn"] = nn.BatchNorm2d(width, eps=BATCH_NORM_EPS)
    parts["act"] = Activation()
    for stage in range(stages):
        for block in range(blocks):
            half = stage > 0 and block == 0
            outputs = width * 2 if half else width
            parts[f"block{stage + 1}_{block + 1}"] = ResidualBlock(width, outputs, 2 if half else 1, BATCH_NORM_EPS)
            width = outputs
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["out"] = QuantLinear(width, classes, bias=False)
    parts["bn_out"] = nn.BatchNorm1d(classes, eps=BATCH_NORM_EPS)
    return nn.Sequential(parts)


def digits_resnet(width: int = 32, blocks: int = 2) -> nn.Module:
    """Return a residual net for 8×8 images, of two stages."""
    return resnet(1, width, 2, blocks, 10)


def cifar10_resnet(width: int = 64, blocks: int = 4) -> nn.Module:
    """Return a residual net for CIFAR-10, of three stages."""
    return resnet(3, width, 3, blocks, 10)
