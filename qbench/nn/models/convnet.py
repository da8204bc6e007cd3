"""The papers' convolutional networks."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from qbench.nn.activation import Activation
from qbench.nn.models.model import BATCH_NORM_EPS
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear


def convnet(channels: int, size: int, widths: tuple[int, ...], dense: tuple[int, ...], classes: int) -> nn.Module:
    """Return pairs of 3×3 convolutions, each pair followed by a 2×2 max-pool, then dense layers.

    Args:
        channels, size: of the images, which are square.
        widths: maps of each pair.
        dense: units of each hidden dense layer.

    Raises:
        ValueError: a width below 1.
    """
    if min(widths + dense) < 1:
        raise ValueError(f"width must be at least 1, got {min(widths + dense)}")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    index = 0
    for width in widths:
        for second in (False, True):
            index += 1
            parts[f"conv{index}"] = QuantConv2d(channels, width, 3, padding=1, bias=False)
            if second:
                parts[f"pool{index}"] = nn.MaxPool2d(2)
                size //= 2
            parts[f"bn{index}"] = nn.BatchNorm2d(width, eps=BATCH_NORM_EPS)
            parts[f"act{index}"] = Activation()
            channels = width
    parts["flatten"] = nn.Flatten()
    features = channels * size * size
    for number, width in enumerate(dense, start=1):
        parts[f"fc{number}"] = QuantLinear(features, width, bias=False)
        parts[f"bn_fc{number}"] = nn.BatchNorm1d(width, eps=BATCH_NORM_EPS)
        parts[f"act_fc{number}"] = Activation()
        features = width
    parts["out"] = QuantLinear(features, classes, bias=False)
    parts["bn_out"] = nn.BatchNorm1d(classes, eps=BATCH_NORM_EPS)
    return nn.Sequential(parts)


def digits_convnet(width: int = 48) -> nn.Module:
    """Return the net for 8×8 images: two pairs and one hidden dense layer."""
    return convnet(1, 8, (width, 2 * width), (4 * width,), 10)


def cifar10_convnet(width: int = 128) -> nn.Module:
    """Return BinaryConnect's and BinaryNet's CIFAR-10 net."""
    return convnet(3, 32, (width, 2 * width, 4 * width), (1024, 1024), 10)


def svhn_convnet(width: int = 64) -> nn.Module:
    """Return BinaryNet's SVHN net: the CIFAR-10 net with half the maps."""
    return convnet(3, 32, (width, 2 * width, 4 * width), (1024, 1024), 10)
