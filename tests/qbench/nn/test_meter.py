"""The meter below the modules, against counts by hand and against what an account leaves out."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.graph.capture import capture
from qbench.nn.meter import MeteredProducts, UnaccountedError, check_account, meter
from qbench.nn.quant_layer import quant_layers
from qbench.nn.trace import layer_shape
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


def total(network: nn.Module, shape: tuple[int, ...] | Tensor) -> Fraction:
    return sum((each.macs for each in meter(network, shape)), Fraction())


@pytest.mark.parametrize(
    ("network", "shape", "macs"),
    [
        (nn.Linear(8, 4), (8,), 32),
        (nn.Linear(8, 4), (5, 8), 160),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 5, 5), 25 * 6 * 2 * 9),
        (nn.Conv1d(4, 6, 3), (4, 10), 8 * 6 * 12),
        (nn.ConvTranspose2d(3, 2, 2, stride=2), (3, 4, 4), 16 * 3 * 2 * 4),
        (nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True), (7, 4), 7 * 2 * (24 * 10 + 24 * 18)),
        (nn.GRU(4, 6, batch_first=True), (7, 4), 7 * 18 * 10),
        (nn.RNN(4, 6, batch_first=True), (7, 4), 7 * 6 * 10),
        (nn.Embedding(10, 4), torch.zeros(1, 7, dtype=torch.long), 0),
        # Four projections of 8 values, two products of attention; two layers.
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8), 5 * 4 * 64 + 2 * 25 * 8 + 2 * 5 * 128),
    ],
)  # fmt: skip
def test_macs_by_hand(network: nn.Module, shape: tuple[int, ...] | Tensor, macs: int) -> None:
    assert total(network, shape) == macs
    graph = capture(network, shape)  # which has no part in the meter
    assert sum(node.macs for node in graph.nodes if node.kind == "product") == macs or graph.layers


class Bilinear(nn.Module):
    """A bilinear form of 8 and 4 values, 3 outputs, of each of 5 rows; and a product with a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.form, self.vector = nn.Bilinear(8, 4, 3), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.form(x, x[..., :4].contiguous()) @ self.vector  # type: ignore[no-any-return]


def test_bilinear_forms_and_products_with_vectors() -> None:
    assert [(each.path, each.macs) for each in meter(Bilinear(), (5, 8))] == [("form", 5 * 3 * 8 * 4), ("", 5 * 3)]


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return F.linear(y, self.inner[1].weight)


def test_products_are_those_of_the_innermost_module() -> None:
    found = meter(Nested(), (8,))
    assert [(each.path, each.macs) for each in found] == [("inner.0", 32), ("inner.1", 16), ("", 16)]
    assert {each.operation for each in found} <= {"mm", "addmm"}


def test_metering_leaves_no_trace() -> None:
    network = apply_scheme(nn.Sequential(nn.Linear(8, 4), nn.Dropout(), nn.Linear(4, 2)), get_scheme("int8-lsq"))
    network[1].eval()
    before = [module.training for module in network.modules()]
    state = {key: value.clone() for key, value in network.state_dict().items() if torch.is_tensor(value)}
    flags = (torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled, torch.backends.mha.get_fastpath_enabled())
    random = torch.random.get_rng_state()
    meter(network, (8,))
    assert [module.training for module in network.modules()] == before
    for key, value in state.items():
        assert torch.equal(network.state_dict()[key], value), key
    assert all(layer.weight_quantizer is not None for _, layer in quant_layers(network))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert (
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.enabled,
        torch.backends.mha.get_fastpath_enabled(),
    ) == flags
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_an_account_that_leaves_something_out_is_refused_by_name() -> None:
    network = Nested()
    found, modules = meter(network, (8,)), dict(network.named_modules())
    check_account({"inner.0": 32, "inner.1": 16, "": 16}, found, modules)
    check_account({"inner.0": 32, "inner.1": 32}, found, modules)  # by another module, and all counted
    with pytest.raises(UnaccountedError, match=r"the network \(Nested\): 0 counted, 16 run \(mm 16\)"):
        check_account({"inner.0": 32, "inner.1": 16}, found, modules)
    with pytest.raises(UnaccountedError, match=r"inner\.0 \(Linear\): 40 counted, 32 run \(addmm 32\)$"):
        check_account({"inner.0": 40, "inner.1": 16, "": 16}, found, modules)


def test_rounding_of_single_operations_is_no_difference() -> None:
    each = MeteredProducts("", nn.Identity(), "mm", Fraction(7, 2))
    check_account({"": 4}, [each], {})
    with pytest.raises(UnaccountedError):
        check_account({"": 5}, [each], {})


def test_kinds_come_in_the_order_in_which_they_run() -> None:
    network = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise((8, 4, 3, 2))))
    assert [each.path for each in meter(network, (8,))] == ["0", "1", "2"]


class Adapted(nn.Module):
    """A weight that is the product of two (8×2 by 2×4), and a layer that takes a parameter of 5 rows."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(torch.ones(8, 2)), nn.Parameter(torch.ones(2, 4))
        self.rows, self.layer = nn.Parameter(torch.ones(5, 8)), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.down @ self.up) + self.layer(self.rows).sum(0)


def test_what_does_not_grow_with_the_batch_counts_once() -> None:
    network = Adapted()
    assert total(network, (8,)) == 32 + 8 * 2 * 4 + 5 * 8 * 4
    graph = capture(network, (8,))
    assert sum(node.macs for node in graph.of_kind("product")) == 32 + 64
    assert layer_shape(graph, graph.layers[0]).macs == 160
