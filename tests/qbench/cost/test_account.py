"""The account of networks that are no chains of layers, against counts by hand."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.cost.estimate import Estimate, estimate_network
from qbench.cost.layer_cost import LayerCost
from qbench.nn.graph.capture import UncapturedError
from qbench.nn.operations import Operations
from qbench.nn.quant_layer import quant_layers
from qbench.nn.quant_linear import QuantLinear
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import Sign


def estimated(network: nn.Module, scheme: str, shape: tuple[int, ...] | Tensor, **options: Any) -> Estimate:
    """The estimate of a network, all of whose layers are quantized as the scheme says."""
    apply_scheme(network, get_scheme(scheme, **options))
    for _, layer in quant_layers(network):
        layer.calibrate_weight()
    return estimate_network(network, shape)


def rows(found: Estimate) -> dict[str, LayerCost]:
    return {row.name: row for row in found.cost.layers}


class Shared(nn.Module):
    """64 -> 32, the same 32 -> 32 twice, -> 10."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 32, bias=False)
        self.twice, self.last = nn.Linear(32, 32, bias=False), nn.Linear(32, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.twice(torch.tanh(self.twice(torch.tanh(self.first(x))))))  # type: ignore[no-any-return]


def test_a_layer_that_runs_twice_is_stored_once_and_computed_twice() -> None:
    found = estimated(Shared(), "fp32", (64,))
    assert found.cost.stored_bytes == 4 * (64 * 32 + 32 * 32 + 32 * 10) == 13_568
    twice = rows(found)["twice"]
    assert (twice.calls, twice.macs, twice.weights) == (2, 2 * 1024, 1024)
    assert twice.operations == Operations(fp32_mul=2048, fp32_add=2048)
    assert (twice.input_bytes, twice.output_bytes, twice.peak_bytes) == (2 * 128, 2 * 128, 256)
    assert found.cost.total("macs") == 2048 + 2 * 1024 + 320
    assert found.cost.peak_activation_bytes == 4 * (64 + 32)
    assert found.cost.training.activations == 4 * ((64 + 32) + 2 * (32 + 32) + (32 + 10))
    binary = estimated(Shared(), "binarynet", (64,))
    assert binary.cost.stored_bytes == (64 * 32 + 32 * 32 + 32 * 10) // 8
    assert rows(binary)["twice"].operations == Operations(xnor_popcount_word=2 * 32)


class SharedNorm(nn.Module):
    """Two layers and one BatchNorm behind both; the second layer runs twice, with a BatchNorm of its own at last."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 4, bias=False), nn.Linear(4, 4)
        self.norm, self.own = nn.BatchNorm1d(4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.b(self.norm(self.a(x))))
        return self.own(self.b(y))  # type: ignore[no-any-return]


def test_a_norm_in_several_places_is_stored_once_in_float32() -> None:
    cost = estimated(SharedNorm(), "fp32", (8,)).cost
    a, b = cost.layers
    assert a.operations == Operations(fp32_mul=32 + 4, fp32_add=32 + 4)
    assert b.operations == Operations(fp32_mul=2 * (16 + 4), fp32_add=2 * (16 + 4 + 4))  # bias, too
    assert (a.other_bytes, b.other_bytes) == (2 * 4 * 4, 4 * 4 + 2 * 4 * 4)
    assert cost.stored_bytes == 4 * sum(parameter.numel() for parameter in SharedNorm().parameters())


def test_every_threshold_is_stored() -> None:
    """Before signs, each layer's sums are compared with thresholds of their own; the last result is scaled."""
    a, b = estimated(SharedNorm(), "binarynet", (8,)).cost.layers
    assert a.other_bytes == 4 * 4 + 1
    # b is called twice: its bias; the norm as thresholds; the other norm as scale and shift.
    assert b.other_bytes == 4 * 4 + (4 * 4 + 1) + 2 * 4 * 4
    assert b.operations == Operations(
        xnor_popcount_word=2 * 4, fp32_add=2 * 4 + 4, fp32_mul=4, int32_add=4
    )  # two biases, one norm; one comparison


def test_a_norm_belongs_to_the_layer_right_before_it_alone() -> None:
    """One ReLU in two places, and a BatchNorm behind its second: nothing folds into a layer."""
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(4, 4, bias=False), relu, nn.Linear(4, 4, bias=False), relu, nn.BatchNorm1d(4))
    first, second, norm = estimated(net, "fp32", (4,)).cost.layers
    assert (first.other_bytes, second.other_bytes, norm.name, norm.other_bytes) == (0, 0, "4", 2 * 4 * 4)
    assert (norm.op, norm.operations) == ("float", Operations(fp32_mul=4, fp32_add=4))
    assert second.operations == Operations(fp32_mul=16, fp32_add=16)


class Averaged(nn.Module):
    def __init__(self, rising: bool) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(1, 4, 3, padding=1, bias=False), nn.BatchNorm1d(4)
        self.out, self.rising = nn.Linear(16, 3, bias=False), rising

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        y = F.max_pool1d(y, 2) if self.rising else F.avg_pool1d(y, 2)
        return self.out(y.flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("rising", "bytes_", "operations"), [
    (True, 4 * 4 + 1, Operations(fp32_add=96, int32_add=32)),
    (False, 2 * 4 * 4, Operations(fp32_add=96 + 32, fp32_mul=32)),
])  # fmt: skip
def test_a_norm_before_a_mean_is_no_threshold(rising: bool, bytes_: int, operations: Operations) -> None:
    conv, out = estimated(Averaged(rising), "binarynet", (1, 8)).cost.layers
    assert (conv.other_bytes, conv.operations) == (bytes_, operations)
    assert (conv.output_bytes, out.input_bytes) == (2, 2)  # 16 signs


class Attention(nn.Module):
    """3 steps of 8 values, 2 heads; a layer before, and one after; a table of positions is added."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24, bias=False), nn.Linear(8, 8, bias=False)
        self.place = nn.Parameter(torch.zeros(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x + self.place).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2)) + x  # type: ignore[no-any-return]


def test_products_outside_the_layers_are_float32_rows() -> None:
    found = estimated(Attention(), "binarynet", (3, 8))
    cost = found.cost
    assert [row.name for row in cost.layers] == ["add", "qkv", "scaled_dot_product_attention", "out"]
    attention = rows(found)["scaled_dot_product_attention"]
    macs = 2 * (3 * 3 * 4) * 2  # two heads, two products
    assert (attention.op, attention.macs, attention.float_macs) == ("float", macs, macs)
    assert attention.operations == Operations(fp32_mul=macs, fp32_add=macs)
    assert (attention.input_bytes, attention.output_bytes) == (3 * 4 * 24, 4 * 24)
    layers = 3 * 8 * 24 + 3 * 8 * 8
    assert cost.total("macs") == layers + macs
    metrics = found.metrics(1)
    assert (metrics["cost/float_macs"], metrics["cost/macs"]) == (macs, layers + macs)
    assert metrics["cost/quantized_share"] == pytest.approx(layers / (layers + macs))
    # The values that attention reads are real, and so is what it hands on; the two additions are one row.
    assert (rows(found)["qkv"].output_bytes, rows(found)["out"].input_bytes) == (4 * 72, 4 * 24)
    sums = rows(found)["add"]
    assert (sums.calls, sums.operations, sums.input_bytes) == (2, Operations(fp32_add=48), 4 * 24)
    assert sums.other_bytes == 4 * 24
    assert cost.uncounted_bytes == 0
    assert found.metrics(1)["cost/account"] == "graph"


def test_everything_is_float_under_fp32() -> None:
    found = estimated(Attention(), "fp32", (3, 8))
    assert found.metrics(1)["cost/quantized_share"] == 0
    assert found.cost == found.reference


def test_a_float_end_is_no_quantized_layer() -> None:
    net = nn.Sequential(nn.Linear(8, 6, bias=False), nn.Linear(6, 2, bias=False))
    found = estimated(net, "binarynet", (8,), last_layer="float")
    assert found.metrics(1)["cost/quantized_share"] == pytest.approx(48 / 60)
    assert found.metrics(1)["cost/float_macs"] == 12


class Tied(nn.Module):
    """A table of 16 entries of 8, which is also the weight of the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(16, 8), nn.Linear(8, 16, bias=False)
        self.out.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.table(tokens))  # type: ignore[no-any-return]


def test_a_tied_table_is_stored_once_in_float32() -> None:
    """The network as it is, none of its layers quantizable: torch's own are rows in float32."""
    cost = estimate_network(Tied(), torch.zeros(1, 5, dtype=torch.long)).cost
    table, out = cost.layers
    assert (table.macs, table.op, table.weights, table.weight_bytes) == (0, "float", 128, 512)
    assert (out.macs, out.weights, out.weight_bytes) == (5 * 8 * 16, 0, 0)
    assert cost.stored_bytes == 512


def test_a_table_that_a_quantized_layer_reads_counts_both_forms() -> None:
    tied = Tied()
    layer = QuantLinear(8, 16, bias=False)
    layer.weight = tied.table.weight
    layer.weight_quantizer, layer.input_quantizer = Sign(), Sign()
    tied.out = layer
    cost = estimate_network(tied, torch.zeros(1, 5, dtype=torch.long)).cost
    assert [row.weight_bytes for row in cost.layers] == [512, 16]
    assert cost.total("weights") == 128


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(x)[0][:, -1])  # type: ignore[no-any-return]


def test_a_recurrent_layer_is_a_float32_row() -> None:
    """Four gates of 6 units, each of 4 inputs and 6 states, in 5 steps."""
    network = Recurrent()
    cost = estimate_network(network, (5, 4)).cost
    lstm, out = cost.layers
    assert (lstm.name, lstm.macs, lstm.weights) == ("lstm: lstm", 5 * 24 * 10, 240)
    assert (lstm.weight_bytes, lstm.other_bytes) == (960, 2 * 24 * 4)
    assert (lstm.input_bytes, lstm.output_bytes) == (4 * 20, 4 * 30)
    assert out.macs == 18
    assert cost.stored_bytes == 4 * sum(parameter.numel() for parameter in network.parameters())


class SequenceFirst(nn.Module):
    """The batch is the second dimension: [T, B, K]."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.transpose(0, 1)).transpose(0, 1)  # type: ignore[no-any-return]


def test_the_batch_need_not_come_first() -> None:
    (layer,) = estimated(SequenceFirst(), "fp32", (5, 8)).cost.layers
    assert (layer.macs, layer.input_bytes, layer.output_bytes) == (5 * 8 * 3, 4 * 40, 4 * 15)


class Dependent(nn.Module):
    """A layer, a BatchNorm, and a product of its own; whether a second one runs depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.matrix = nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Parameter(torch.ones(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.layer(x))
        return y @ self.matrix if float(x.sum()) < 1 else y  # type: ignore[no-any-return]


def test_without_a_graph_the_meter_is_the_account(caplog: pytest.LogCaptureFixture) -> None:
    network = Dependent()
    apply_scheme(network, get_scheme("binarynet"))
    with caplog.at_level(logging.WARNING):
        found = estimate_network(network, (8,))
    assert found.metrics(1)["cost/account"] == found.to_dict(1)["cost"]["account"] == "meter"
    assert "Dependent" in caplog.text
    layer, norm, product = found.cost.layers
    assert (layer.name, layer.macs, layer.input_bytes, layer.output_bytes) == ("layer", 32, 32, 16)
    assert (norm.name, norm.operations) == ("norm", Operations(fp32_mul=4, fp32_add=4))
    assert (product.name, product.macs, product.float_macs) == ("mm", 16, 16)
    assert found.metrics(1)["cost/quantized_share"] == pytest.approx(32 / 48)
    assert found.cost.uncounted_bytes == 4 * 16  # the matrix, which no layer has


def test_a_network_that_takes_other_inputs_is_refused_with_the_place() -> None:
    with pytest.raises(UncapturedError, match=r"Dependent cannot be read .*layer"):
        estimate_network(Dependent(), (7,))


def test_a_quantized_table_stores_its_codes_and_multiplies_nothing() -> None:
    net = nn.Sequential(nn.Embedding(16, 12), nn.Flatten(), nn.Linear(60, 3, bias=False))
    tokens = torch.zeros(1, 5, dtype=torch.long)
    apply_scheme(net, get_scheme("binarynet"), input_shape=tokens)
    table, out = estimate_network(net, tokens).cost.layers
    assert (table.op, table.macs, table.weights, table.operations) == ("lookup", 0, 192, Operations())
    assert table.weight_bytes == 16 * 2  # 12 bits a row, whole bytes
    assert (table.output_bytes, out.input_bytes) == (8, 8)  # 60 signs
    assert out.operations == Operations(xnor_popcount_word=2 * 3)
