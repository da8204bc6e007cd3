"""The calls of layers, read from a network's graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from qbench.nn.layer_calls import layer_calls
from qbench.nn.quant_layer import quant_layers
from qbench.nn.trace import plain_layer_shape, trace
from qbench.nn.traced_norm import TracedNorm
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


class Backwards(nn.Module):
    """Layers that run in another order than they are declared, one of them twice, with another size."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.norm = nn.Linear(12, 3), nn.BatchNorm2d(3)
        self.first = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.first(x))
        y = self.first(nn.functional.max_pool2d(torch.relu(y), 2))
        return self.last(y.flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def network() -> nn.Module:
    return apply_scheme(Backwards(), get_scheme("binarynet"))


def test_every_call_in_the_order_of_execution(network: nn.Module) -> None:
    calls = trace(network, (3, 4, 4))
    assert [call.name for call in calls] == ["first", "first", "last"]
    assert [call.layer_shape.macs for call in calls] == [16 * 3 * 27, 4 * 3 * 27, 36]
    assert [call.output_elements for call in calls] == [3 * 4, 12, 3]
    assert [call.norms for call in calls] == [(TracedNorm(48, name="norm"),), (), ()]
    assert [call.fed for call in calls] == [True, True, True]
    layers = dict(quant_layers(network))
    assert [call.reader for call in calls] == [layers["first"], layers["last"], None]


def test_hooks_and_graph_agree(network: nn.Module) -> None:
    network.train()
    calls = layer_calls(network, torch.zeros(2, 3, 4, 4))
    traced = trace(network, (3, 4, 4))
    assert [(c.name, c.layer_shape) for c in calls] == [(t.name, t.layer_shape) for t in traced]
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules() if isinstance(module, nn.Conv2d))


def test_shapes_of_torchs_own_layers() -> None:
    conv = plain_layer_shape(nn.Conv2d(4, 6, (3, 2), groups=2), (4, 5, 5), (6, 3, 4))
    assert (conv.macs, conv.weights) == (6 * 12 * 2 * 6, 6 * 2 * 6)
    table = plain_layer_shape(nn.Embedding(10, 4), (7,), (7, 4))
    assert (table.macs, table.weights, table.inputs, table.outputs) == (0, 40, 7, 28)
