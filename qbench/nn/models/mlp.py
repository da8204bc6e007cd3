"""Multilayer perceptrons."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from qbench.nn.activation import Activation
from qbench.nn.models.model import BATCH_NORM_EPS
from qbench.nn.quant_linear import QuantLinear


def mlp(inputs: int, hidden: int, layers: int, classes: int, input_dropout: float, dropout: float) -> nn.Module:
    """Return `layers` hidden layers of `hidden` units and the output layer, each behind dropout."""
    if hidden < 1 or layers < 1:
        raise ValueError(f"hidden and layers must be at least 1, got {hidden} and {layers}")
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width, rate = inputs, input_dropout
    for index in range(1, layers + 1):
        parts[f"fc{index}"] = QuantLinear(width, hidden, bias=False, dropout=rate)
        parts[f"bn{index}"] = nn.BatchNorm1d(hidden, eps=BATCH_NORM_EPS)
        parts[f"act{index}"] = Activation()
        width, rate = hidden, dropout
    parts["out"] = QuantLinear(width, classes, bias=False, dropout=rate)
    parts["bn_out"] = nn.BatchNorm1d(classes, eps=BATCH_NORM_EPS)
    return nn.Sequential(parts)


def digits_mlp(hidden: int = 256, layers: int = 3) -> nn.Module:
    """Return an MLP for 8×8 images, without dropout."""
    return mlp(64, hidden, layers, 10, 0.0, 0.0)


def mnist_mlp(hidden: int = 4096, layers: int = 3, input_dropout: float = 0.2, dropout: float = 0.5) -> nn.Module:
    """Return BinaryNet's MNIST net, with dropout before every layer."""
    return mlp(784, hidden, layers, 10, input_dropout, dropout)
