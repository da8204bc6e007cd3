"""The networks that others write: their shapes, and their parameters counted from outside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import qbench.nn.models.plain
from qbench.nn.models.catalogue import get_model
from qbench.nn.models.plain.conv1d_audio import M5
from qbench.nn.models.plain.densenet import DenseNet
from qbench.nn.models.plain.functional_net import FunctionalNet, FunctionalWeights
from qbench.nn.models.plain.lstm_classifier import LSTMClassifier
from qbench.nn.models.plain.mlp_mixer import MLPMixer
from qbench.nn.models.plain.mobilenet_v2 import MobileNetV2
from qbench.nn.models.plain.resnet18 import ResNet18
from qbench.nn.models.plain.shared_layers import SharedLayers, shared_chain
from qbench.nn.models.plain.transformer_encoder import TransformerClassifier
from qbench.nn.models.plain.unet import UNet
from qbench.nn.models.plain.vit import VisionTransformer


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "example", "shape"),
    [
        (ResNet18(8), (3, 32, 32), (10,)),
        (MobileNetV2(0.25, 1), (3, 32, 32), (10,)),
        (DenseNet(4, (2, 2), 8), (3, 16, 16), (10,)),
        (VisionTransformer(16, 4, 24, 1, 3), (3, 16, 16), (10,)),
        (TransformerClassifier(8, 5, 16, 1, 2), (5, 8), (10,)),
        (M5(8), (1, 1600), (35,)),
        (MLPMixer(16, 4, 24, 1), (3, 16, 16), (10,)),
        (FunctionalNet(4), (1, 28, 28), (10,)),
        (FunctionalWeights(4), (1, 8, 8), (10,)),
        (SharedLayers(4), (1, 8, 8), (10,)),
        (shared_chain(4), (1, 8, 8), (10,)),
        (UNet(3, 4), (3, 16, 16), (2, 16, 16)),
        (UNet(3, 4, bilinear=True), (3, 16, 16), (2, 16, 16)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_result_has_the_documented_shape(network: nn.Module, example: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert network.eval()(torch.randn(2, *example)).shape == (2, *shape)


def test_tokens_are_taken() -> None:
    assert LSTMClassifier(20, 6, 5).eval()(torch.randint(20, (2, 7))).shape == (2, 2)


def test_parameters_are_those_of_the_published_networks() -> None:
    # 11,689,512 in torchvision, with a 7×7 stem (3·64·49, here 3·64·9) and 1000 classes (513,000, here 5,130).
    assert parameters(ResNet18()) == 11_689_512 - 3 * 64 * (49 - 9) - 513_000 + 5_130
    # 3,504,872 in torchvision with 1000 classes (1,281,000, here 12,810).
    assert parameters(MobileNetV2()) == 3_504_872 - 1_281_000 + 12_810


def test_registered_networks_take_widths() -> None:
    assert parameters(get_model("cifar10-resnet18").make({"width": 8})) < 200_000
    assert get_model("cifar10-mobilenetv2").make({"width": 0.25, "blocks": 1})(torch.randn(2, 3, 32, 32)).shape == (
        2,
        10,
    )


def test_networks_are_plain_torch() -> None:
    for path in Path(qbench.nn.models.plain.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                assert all(name == "__future__" or name.split(".")[0] == "torch" for name in names), path
