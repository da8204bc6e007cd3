"""Costs of networks as others write them: against counts by formula, and what a float network stores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qbench.cost.estimate import estimate_network
from qbench.cost.network_cost import network_cost
from qbench.nn.models.plain.densenet import DenseNet
from qbench.nn.models.plain.functional_net import FunctionalWeights
from qbench.nn.models.plain.lstm_classifier import LSTMClassifier
from qbench.nn.models.plain.mobilenet_v2 import MobileNetV2
from qbench.nn.models.plain.resnet18 import ResNet18
from qbench.nn.models.plain.shared_layers import SharedLayers
from qbench.nn.models.plain.transformer_encoder import TransformerClassifier
from qbench.nn.models.plain.unet import UNet
from qbench.nn.models.plain.vit import VisionTransformer
from qbench.nn.operations import Operations
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (MobileNetV2(0.25, 1), (3, 32, 32)),
        (DenseNet(4, (2, 2), 8), (3, 16, 16)),
        (VisionTransformer(16, 4, 24, 1, 3), (3, 16, 16)),
        (TransformerClassifier(8, 5, 16, 1, 2), (5, 8)),
        (FunctionalWeights(4), (1, 8, 8)),
        (SharedLayers(4), (1, 8, 8)),
        (UNet(3, 4), (3, 16, 16)),
        (LSTMClassifier(20, 6, 5), torch.zeros(2, 7, dtype=torch.long)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_float_network_stores_each_parameter_once(network: nn.Module, shape: tuple[int, ...] | Tensor) -> None:
    """The graph's MACs are the meter's, or this is refused; the bytes are those of the parameters."""
    cost = network_cost(network, shape)
    assert cost.stored_bytes == 4 * sum(parameter.numel() for parameter in network.parameters())
    assert cost.account == "graph"
    assert cost.total("float_macs") == cost.total("macs") > 0


def test_resnet18_by_formula() -> None:
    """Four stages of two blocks of two 3×3 convolutions, on 32², 16², 8² and 4² places; three 1×1 shortcuts."""
    w = 4
    stages = [
        4 * 9 * w * w * 1024,
        *(
            (9 * (width // 2) * width + 3 * 9 * width**2 + (width // 2) * width) * places
            for width, places in ((2 * w, 256), (4 * w, 64), (8 * w, 16))
        ),
    ]
    macs = 3 * 9 * w * 1024 + sum(stages) + 8 * w * 10
    network = ResNet18(w)
    apply_scheme(network, get_scheme("binarynet"), input_shape=(3, 32, 32))
    found = estimate_network(network, (3, 32, 32))
    assert found.cost.total("macs") == found.reference.total("macs") == macs
    assert found.metrics(1)["cost/quantized_share"] == 1
    sums = {row.name: row for row in found.cost.layers if ": add" in row.name}
    assert len(sums) == 8
    values = [2 * w * 1024, 2 * 2 * w * 256, 2 * 4 * w * 64, 2 * 8 * w * 16]
    total = sum((row.operations for row in sums.values()), Operations())
    assert total == Operations(fp32_add=sum(values))
