"""The networks by name."""

from __future__ import annotations

from qbench.errors import lookup
from qbench.nn.models.convnet import cifar10_convnet, digits_convnet, svhn_convnet
from qbench.nn.models.mlp import digits_mlp, mnist_mlp
from qbench.nn.models.model import Model
from qbench.nn.models.plain.mobilenet_v2 import cifar10_mobilenet_v2
from qbench.nn.models.plain.resnet18 import cifar10_resnet18
from qbench.nn.models.resnet import cifar10_resnet, digits_resnet
from quantizers import Registry

MODELS: Registry[Model] = Registry("model", group="qbench.models")
"""The models by name; a plug-in adds its own under the entry-point group `qbench.models`."""


def get_model(name: str) -> Model:
    """Return the model called `name`, or at a dotted path.

    Raises:
        ConfigError: no such model; the message names the nearest one.
    """
    return lookup(MODELS, name, Model, "model")


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
MODELS.add(
    "cifar10-resnet18",
    Model(
        cifar10_resnet18,
        (3, 32, 32),
        10,
        "ResNet-18 as torchvision writes it, with a 3×3 stem, 64 to 512 maps (He et al. 2016)",
    ),
)
MODELS.add(
    "cifar10-mobilenetv2",
    Model(
        cifar10_mobilenet_v2,
        (3, 32, 32),
        10,
        "MobileNetV2 as torchvision writes it, with fewer strides for small images (Sandler et al. 2018)",
    ),
)
