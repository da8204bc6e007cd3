"""The networks: float, with activation slots; a scheme decides the rest.

A block is matrix product -> (max-pool) -> BatchNorm -> activation slot, without bias, as in BinaryConnect and
BinaryNet; the output layer's BatchNorm goes to the loss.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from qbench.errors import ConfigError, nearest
from qbench.layers import Activation, QuantConv2d, QuantLinear
from qbench.lookup import lookup
from qbench.residual import ResidualBlock
from quantizers import Registry

BATCH_NORM_EPS = 1e-4


@dataclass(frozen=True)
class Model:
    """A network that can be built by name.

    Attributes:
        build: makes it, from options that all have defaults.
        input_shape: of one example, without the batch.
        classes: scores it gives.
        description: for people.
    """

    build: Callable[..., nn.Module]
    input_shape: tuple[int, ...]
    classes: int
    description: str

    @property
    def options(self) -> dict[str, Any]:
        """The builder's options and their defaults."""
        return {name: parameter.default for name, parameter in inspect.signature(self.build).parameters.items()}

    def make(self, options: Mapping[str, Any]) -> nn.Module:
        """The network, freshly initialized from torch's global generator.

        Raises:
            ConfigError: an option that the builder does not take, or of the wrong type or value.
        """
        known = self.options
        for key, value in options.items():
            if key not in known:
                raise ConfigError(f"unknown option{nearest(key, sorted(known))}", f"model_options.{key}")
            if type(value) is not type(known[key]) and not (isinstance(known[key], float) and type(value) is int):
                expected = type(known[key]).__name__
                raise ConfigError(f"expected {expected}, got {value!r}", f"model_options.{key}")
        try:
            return self.build(**options)
        except (ValueError, RuntimeError) as error:
            raise ConfigError(str(error), "model_options") from error


MODELS: Registry[Model] = Registry("model", group="qbench.models")


def model(name: str) -> Model:
    """The model called `name`, or at a dotted path.

    Raises:
        ConfigError: no such model, with the nearest one.
    """
    return lookup(MODELS, name, Model, "model")


def _mlp(inputs: int, hidden: int, layers: int, classes: int, input_dropout: float, dropout: float) -> nn.Module:
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


def _convnet(channels: int, size: int, widths: tuple[int, ...], dense: tuple[int, ...], classes: int) -> nn.Module:
    """Pairs of 3×3 convolutions, each pair followed by a 2×2 max-pool, then dense layers."""
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


def _resnet(channels: int, width: int, stages: int, blocks: int, classes: int) -> nn.Module:
    """A convolution, then stages of residual blocks, each but the first at half the size and twice the maps."""
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


def digits_mlp(hidden: int = 256, layers: int = 3) -> nn.Module:
    return _mlp(64, hidden, layers, 10, 0.0, 0.0)


def digits_convnet(width: int = 48) -> nn.Module:
    return _convnet(1, 8, (width, 2 * width), (4 * width,), 10)


def mnist_mlp(hidden: int = 4096, layers: int = 3, input_dropout: float = 0.2, dropout: float = 0.5) -> nn.Module:
    return _mlp(784, hidden, layers, 10, input_dropout, dropout)


def cifar10_convnet(width: int = 128) -> nn.Module:
    return _convnet(3, 32, (width, 2 * width, 4 * width), (1024, 1024), 10)


def digits_resnet(width: int = 32, blocks: int = 2) -> nn.Module:
    return _resnet(1, width, 2, blocks, 10)


def cifar10_resnet(width: int = 64, blocks: int = 4) -> nn.Module:
    return _resnet(3, width, 3, blocks, 10)


def svhn_convnet(width: int = 64) -> nn.Module:
    return _convnet(3, 32, (width, 2 * width, 4 * width), (1024, 1024), 10)


MODELS.add("digits-mlp", Model(digits_mlp, (1, 8, 8), 10, "64 - 3×256 - 10, for 8×8 images"))
MODELS.add("digits-convnet", Model(digits_convnet, (1, 8, 8), 10, "(2×48C3)-MP2-(2×96C3)-MP2-192FC-10, for 8×8 images"))
MODELS.add("mnist-mlp", Model(mnist_mlp, (1, 28, 28), 10, "784 - 3×4096 - 10 with dropout (BinaryNet's MNIST net)"))
MODELS.add(
    "cifar10-convnet",
    Model(
        cifar10_convnet,
        (3, 32, 32),
        10,
        "(2×128C3)-MP2-(2×256C3)-MP2-(2×512C3)-MP2-(2×1024FC)-10 (BinaryConnect's and BinaryNet's CIFAR-10 net)",
    ),
)
MODELS.add(
    "svhn-convnet",
    Model(svhn_convnet, (3, 32, 32), 10, "the CIFAR-10 net with 64, 128 and 256 maps (BinaryNet's SVHN net)"),
)
MODELS.add(
    "digits-resnet",
    Model(
        digits_resnet,
        (1, 8, 8),
        10,
        "residual ConvNet with a real-valued shortcut past each convolution, 32 to 64 maps",
    ),
)
MODELS.add(
    "cifar10-resnet",
    Model(
        cifar10_resnet,
        (3, 32, 32),
        10,
        "residual ConvNet with a real-valued shortcut past each convolution, 64 to 256 maps",
    ),
)
