"""Costs against hand counts, and the golden counts of the papers' nets."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import weight_norm

from qbench.cost.estimate import estimate, estimate_network
from qbench.cost.network_cost import NetworkCost
from qbench.cost.prices import HOROWITZ_45NM, Bounds
from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.models.model import Model
from qbench.nn.operations import Operations
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d
from qbench.ptq.calibration import calibrate_weights
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme

MIB = 2**20


def by_hand(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict((str(i), layer) for i, layer in enumerate(layers)))


def small_net() -> nn.Module:
    """2 maps of 6×6 -> 5 maps 3×3 kernel, no padding (4×4) -> pool (2×2) -> 20 features -> 3 scores."""
    return by_hand(
        nn.Conv2d(2, 5, 3, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(5),
        Activation(),
        nn.Flatten(),
        nn.Linear(20, 3, bias=False),
        nn.BatchNorm1d(3),
    )


def test_fp32_by_hand() -> None:
    cost = estimate_network(apply_scheme(small_net(), get_scheme("fp32")), (2, 6, 6)).cost
    conv, dense = cost.layers
    assert (conv.weights, dense.weights) == (5 * 2 * 9, 20 * 3)
    assert (conv.macs, dense.macs) == (16 * 5 * 18, 60)
    # BatchNorm after the pool: 5 maps of 2×2, a multiplication and an addition each.
    assert conv.operations == Operations(fp32_mul=16 * 5 * 18 + 20, fp32_add=16 * 5 * 18 + 20)
    assert dense.operations == Operations(fp32_mul=63, fp32_add=63)
    assert (conv.weight_bytes, conv.scale_bytes, conv.other_bytes) == (360, 0, 5 * 8)
    assert (conv.input_bytes, conv.output_bytes) == (4 * 72, 4 * 20)
    assert (dense.input_bytes, dense.output_bytes) == (80, 12)
    assert cost.stored_bytes == 360 + 40 + 240 + 24
    assert cost.peak_activation_bytes == 288 + 80
    parameters = 4 * (90 + 10 + 60 + 6)
    assert (cost.training.parameters, cost.training.optimizer) == (parameters, 2 * parameters)
    assert cost.training.activations == 4 * (72 + 80 + 20 + 3)


def test_binarynet_by_hand() -> None:
    cost = estimate_network(apply_scheme(small_net(), get_scheme("binarynet")), (2, 6, 6)).cost
    conv, dense = cost.layers
    # First layer: real inputs, ±1 weights: additions. Its BatchNorm and the sign after it are one comparison.
    assert conv.op == "binary-weight"
    assert conv.operations == Operations(fp32_add=16 * 5 * 18, int32_add=20)
    assert conv.weight_bytes == 5 * 3  # 18 bits a row, whole bytes
    assert conv.other_bytes == 5 * 4 + 1  # thresholds, and a bit each for their direction
    assert conv.output_bytes == 3  # 20 bits
    # Second: 20 products are one word; the scores' BatchNorm is not followed by a sign.
    assert dense.op == "xnor"
    assert dense.operations == Operations(xnor_popcount_word=3, fp32_mul=3, fp32_add=3)
    assert (dense.weight_bytes, dense.scale_bytes, dense.other_bytes) == (3 * 3, 0, 24)
    assert dense.input_bytes == 3


def test_a_first_layer_on_pixels_by_hand() -> None:
    network = apply_scheme(small_net(), get_scheme("binarynet", network_input="pixel8"))
    conv, dense = estimate_network(network, (2, 6, 6)).cost.layers
    # 8 planes of 18 products, one word each; the pixels' scale and zero point go into the thresholds.
    assert conv.op == "bitplane"
    assert conv.operations == Operations(xnor_popcount_word=8 * 16 * 5, int32_add=20)
    assert (conv.weight_bytes, conv.scale_bytes, conv.other_bytes) == (5 * 3, 0, 5 * 4 + 1)
    assert (conv.input_bytes, conv.output_bytes) == (72, 3)
    assert dense.op == "xnor"


def test_binaryconnect_stochastic_evaluates_with_latent_weights_and_costs_32_bits() -> None:
    found = estimate("digits-convnet", "binaryconnect-stochastic")
    assert found.weight_compression == 1.0
    assert found.cost.operations == found.reference.operations


def test_int8_by_hand() -> None:
    network = apply_scheme(small_net(), get_scheme("int8-minmax"))
    calibrate_weights(network)
    cost = estimate_network(network, (2, 6, 6)).cost
    conv, dense = cost.layers
    # A fixed-point multiplication and a bias (BatchNorm's) for each of 80 sums, before pooling.
    assert conv.operations == Operations(int8_mul=16 * 5 * 18, int32_add=16 * 5 * 18 + 80, int32_mul=80)
    assert conv.other_bytes == 5 * 4
    assert conv.weight_bytes == 90
    assert conv.scale_bytes == 5 * 4 + 4  # a scale per output channel, one for the input
    assert (conv.input_bytes, conv.output_bytes, dense.output_bytes) == (72, 20, 12)


def test_folding_changes_no_cost() -> None:
    folded, apart = (estimate("digits-convnet", get_scheme("int8-kl", fold_batch_norm=on)) for on in (True, False))
    assert folded.metrics(64) == apart.metrics(64)
    assert folded.reference == estimate("digits-convnet", "fp32").cost


def test_bias_is_counted() -> None:
    with_bias = apply_scheme(by_hand(nn.Linear(8, 4)), get_scheme("fp32"))
    cost = estimate_network(with_bias, (8,)).cost
    assert cost.stored_bytes == 4 * (32 + 4)
    assert cost.operations == Operations(fp32_mul=32, fp32_add=36)


def test_every_norm_is_counted_and_what_is_not_counted_is_said() -> None:
    net = by_hand(
        nn.BatchNorm1d(8), nn.Linear(8, 4, bias=False), nn.BatchNorm1d(4), nn.BatchNorm1d(4), nn.LayerNorm(4),
        nn.PReLU(4), nn.BatchNorm1d(4),
    )  # fmt: skip
    cost = estimate_network(apply_scheme(net, get_scheme("fp32")), (8,)).cost
    before, layer, norm, behind = cost.layers
    assert [row.name for row in cost.layers] == ["0", "1", "4: layer_norm", "6"]
    # The two BatchNorms right behind the layer are its own; those before it and behind a function stand alone.
    assert layer.operations == Operations(fp32_mul=32 + 4 + 4, fp32_add=32 + 4 + 4)
    assert (before.operations, before.other_bytes) == (Operations(fp32_mul=8, fp32_add=8), 8 * 8)
    assert (behind.operations, behind.other_bytes) == (Operations(fp32_mul=4, fp32_add=4), 8 * 4)
    assert layer.other_bytes == 2 * 8 * 4
    # Of 4 values: the mean, its subtraction, the squares' sum, the shift; the squares, 1/σ, the scale.
    assert (norm.operations, norm.other_bytes) == (Operations(fp32_add=16, fp32_mul=12), 8 * 4)
    assert cost.uncounted_bytes == 4 * 4  # PReLU's slopes
    assert cost.stored_bytes == 4 * 32 + 64 + 64 + 32 + 32 + 16
    assert cost.stored_bytes == 4 * sum(parameter.numel() for parameter in net.parameters())


def test_a_scale_that_no_threshold_takes_in_is_a_multiplication() -> None:
    def cost(*after: nn.Module) -> NetworkCost:
        net = by_hand(nn.Linear(8, 4, bias=False), *after)
        return estimate_network(apply_scheme(net, get_scheme("binarynet", weights="scaled_sign")), (8,)).cost

    alone, normed = cost(), cost(nn.BatchNorm1d(4))
    assert alone.operations == Operations(fp32_add=32, fp32_mul=4)
    assert alone.stored_bytes == 4 + 4 * 4
    assert normed.operations == Operations(fp32_add=32 + 4, fp32_mul=4 + 4)
    assert normed.stored_bytes == 4 + 4 * 4 + 8 * 4
    # Before a sign it is in the thresholds: 4 words and 4 bits; then 2 scores of 4 products and their scales.
    hidden = cost(nn.BatchNorm1d(4), Activation(), nn.Linear(4, 2, bias=False))
    assert hidden.operations == Operations(fp32_add=32, int32_add=4, xnor_popcount_word=2, fp32_mul=2)
    assert hidden.stored_bytes == (4 + 16 + 1) + (2 + 8)


def test_shift_based_norms_by_hand() -> None:
    net = by_hand(
        nn.Linear(8, 4, bias=False), ShiftBatchNorm1d(4), Activation(), nn.Linear(4, 2, bias=False), ShiftBatchNorm1d(2)
    )
    hidden, scores = estimate_network(apply_scheme(net, get_scheme("binarynet")), (8,)).cost.layers
    assert (hidden.operations, hidden.other_bytes) == (Operations(fp32_add=32, int32_add=4), 4 * 4 + 1)
    # Mean, power of two and shift of each score: subtract, add to the exponent, add.
    assert scores.operations == Operations(xnor_popcount_word=2, fp32_add=4, int32_add=2)
    assert scores.other_bytes == 3 * 4 * 2


def test_training_memory_holds_a_batch_of_activations() -> None:
    found = estimate_network(apply_scheme(small_net(), get_scheme("binarynet")), (2, 6, 6))
    parameters, kept = 4 * (90 + 10 + 60 + 6), 4 * (72 + 80 + 20 + 3)
    metrics = found.metrics(batch_size=10)
    assert metrics["cost/training_bytes"] == 4 * parameters + 10 * kept
    assert metrics["cost/optimizer_bytes"] == 2 * parameters
    assert metrics["cost/training_activation_bytes"] == 10 * kept


def test_energy_by_hand() -> None:
    found = estimate_network(apply_scheme(small_net(), get_scheme("fp32")), (2, 6, 6))
    energy = found.energy
    assert (energy.weight_level, energy.activation_level) == ("8 KB", "8 KB")
    macs = 16 * 5 * 18 + 60
    assert energy.arithmetic.low == pytest.approx((macs + 23) * (3.7 + 0.9))
    assert energy.weight_traffic == Bounds(10 * 664 / 8, 10 * 664 / 8)
    # Inputs and outputs, each in whole 64-bit accesses: 288, 80, 80 and 12 bytes.
    assert energy.activation_traffic.low == pytest.approx(10 * (36 + 10 + 10 + 2))


def test_dram_and_binary_prices_are_intervals() -> None:
    energy = estimate("cifar10-convnet", "binarynet").energy
    assert energy.weight_level == "DRAM"
    assert energy.weight_traffic.high == pytest.approx(2 * energy.weight_traffic.low)
    assert energy.arithmetic.high > energy.arithmetic.low


def test_schemes_are_priced_at_the_level_the_fp32_network_needs() -> None:
    # 1.7 MB of binary weights: they too are read from where 53.5 MiB must lie.
    binary = estimate("svhn-convnet", "binarynet")
    assert binary.cost.stored_bytes < HOROWITZ_45NM.capacity["1 MB"]  # type: ignore[operator]
    assert binary.energy.weight_level == binary.reference_energy.weight_level == "DRAM"
    named = estimate("svhn-convnet", "binarynet", weight_level="1 MB")
    assert named.energy.weight_level == named.reference_energy.weight_level == "1 MB"


class Shortcut(nn.Module):
    """A hidden layer whose real-valued result also goes past the next one."""

    def __init__(self, add: bool) -> None:
        super().__init__()
        self.first, self.bn1 = nn.Linear(8, 4, bias=False), nn.BatchNorm1d(4)
        self.second, self.bn2 = nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4)
        self.out = nn.Linear(4, 2, bias=False)
        self.act1, self.act2, self.add = Activation(), Activation(), add

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.act1(self.bn1(self.first(x.flatten(1))))
        past = hidden if self.add else torch.zeros(1)
        return self.out(self.act2(self.bn2(self.second(hidden).flatten(1)) + past).reshape(len(x), -1))


def test_values_that_go_past_a_layer_stay_real() -> None:
    """Past a shortcut nothing folds to a threshold, and the sum that the next layer signs is kept in float32."""
    network = apply_scheme(Shortcut(add=True), get_scheme("binarynet"))
    first, second, sums, out = estimate_network(network, (8,)).cost.layers
    assert (sums.name, sums.operations, sums.input_bytes) == ("add", Operations(fp32_add=4), 4 * 4)
    for layer in (first, second):
        assert layer.other_bytes == 8 * 4  # scale and shift
        assert layer.output_bytes == 4 * 4
    assert (second.input_bytes, out.input_bytes) == (4 * 4, 4 * 4)
    assert first.operations == Operations(fp32_add=32 + 4, fp32_mul=4)
    # Without the shortcut: the first layer's result goes to the second alone; a function still takes the second's.
    network = apply_scheme(Shortcut(add=False), get_scheme("binarynet"))
    first, second, out = estimate_network(network, (8,)).cost.layers
    assert (first.other_bytes, first.output_bytes, second.input_bytes) == (4 * 4 + 1, 1, 1)
    assert (second.other_bytes, second.output_bytes, out.input_bytes) == (8 * 4, 4 * 4, 4 * 4)


def test_residual_networks_are_not_counted_as_chains() -> None:
    rows = {row.name: row for row in estimate("digits-resnet", "binarynet").cost.layers}
    layers = [row for name, row in rows.items() if ": add" not in name]
    assert [layer.other_bytes for layer in layers] == [8 * n for n in (32, 32, 32, 64, 64, 10)]
    assert [layer.output_bytes for layer in layers] == [4 * n for n in (2048, 2048, 2048, 1024, 64, 10)]
    # A float addition a value of each block; what the shortcut carries is read: 2×2 means are of four times as many.
    sums = {name: (row.operations, row.input_bytes) for name, row in rows.items() if ": add" in name}
    assert sums == {
        "block1_1: add": (Operations(fp32_add=2048), 4 * 2048),
        "block1_2: add": (Operations(fp32_add=2048), 4 * 2048),
        "block2_1: add": (Operations(fp32_add=1024), 4 * 2048),
        "block2_2: add": (Operations(fp32_add=1024), 4 * 1024),
    }


def test_table_prices() -> None:
    table = HOROWITZ_45NM
    assert table.operations["fp32_mul"] == Bounds(3.7, 3.7)
    assert table.operations["fp32_add"] == Bounds(0.9, 0.9)
    assert table.operations["int8_mul"] == Bounds(0.2, 0.2)
    assert table.access["DRAM"] == Bounds(1300, 2600)
    assert [table.smallest_level(n) for n in (0, 8192, 8193, 32769, 2**20 + 1)] == [
        "8 KB",
        "8 KB",
        "32 KB",
        "1 MB",
        "DRAM",
    ]


@pytest.mark.parametrize(
    ("name", "weights", "fp32_mib", "binary_mib", "conv_macs"),
    [
        ("cifar10-convnet", 14_022_016, 53.49, 1.672, 607_518_720),
        ("mnist-mlp", 36_806_656, 140.4, 4.388, 0),
        ("svhn-convnet", 6_397_632, 24.405, 0.763, 152_764_416),
    ],
)
def test_golden_counts_of_the_papers_nets(
    name: str, weights: int, fp32_mib: float, binary_mib: float, conv_macs: int
) -> None:
    full, binary = estimate(name, "fp32").cost, estimate(name, "binarynet").cost
    assert full.total("weights") == binary.total("weights") == weights
    assert full.total("weight_bytes") / MIB == pytest.approx(fp32_mib, rel=1e-3)
    assert binary.total("weight_bytes") / MIB == pytest.approx(binary_mib, rel=1e-3)
    # 1/32, but for the rows that end inside a byte: K = 27 takes 4 bytes in the first convolution.
    rows = binary.layers[0].weights // 27 if binary.layers[0].name == "conv1" else 0
    assert full.total("weight_bytes") == 32 * (binary.total("weight_bytes") - rows * 5 // 8)
    assert sum(layer.macs for layer in full.layers if layer.name.startswith("conv")) == conv_macs


def test_first_layer_of_the_cifar10_net() -> None:
    assert estimate("cifar10-convnet", "fp32").cost.layers[0].macs == 3_538_944


def test_tracing_leaves_the_network_as_it_was() -> None:
    network = apply_scheme(small_net(), get_scheme("binarynet")).train()
    before = {key: value.clone() for key, value in network.state_dict().items() if torch.is_tensor(value)}
    estimate_network(network, (2, 6, 6))
    assert network.training
    for key, value in before.items():
        assert torch.equal(network.state_dict()[key], value), key
    assert not any(module._forward_hooks for module in network.modules())


class TwoInputs(nn.Module):
    """A module whose second input is another layer's result, which the layer after that one reads as well."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.both = nn.Bilinear(4, 4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        return self.both(self.second(hidden), hidden)


def test_a_second_input_of_a_module_is_a_use_too() -> None:
    network = apply_scheme(TwoInputs(), get_scheme("binarynet"))
    first, second, _ = estimate_network(network, (8,)).cost.layers
    assert (first.output_bytes, second.input_bytes) == (4 * 4, 4 * 4)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_network_that_torch_does_not_copy_is_estimated_under_a_scheme_that_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build() -> nn.Module:
        return nn.Sequential(weight_norm(nn.Conv2d(1, 8, 3, padding=1)), nn.Flatten(), nn.Linear(512, 10))

    model = Model(build, (1, 8, 8), 10, "old weight_norm")
    monkeypatch.setattr("qbench.cost.estimate.get_model", lambda name: model)
    with pytest.raises(ConfigError, match=r"0 \(Conv2d\).*leave it float"):
        estimate("any", "int8-kl")
    found = estimate("any", get_scheme("int8-kl", allow_float=["0"]))
    assert found.cost.total("float_macs") == 8 * 9 * 64
    assert found.cost.total("macs") == 8 * 9 * 64 + 512 * 10


class Halving(nn.Module):
    """Stops by what it computes, so that no graph can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 32)
        self.last = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.first(x.flatten(1))
        if y.norm() < 1:
            y = y / 2
        scores: torch.Tensor = self.last(y)
        return scores


def test_a_scheme_that_folds_is_compared_with_fp32_where_no_graph_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(Halving, (1, 8, 8), 10, "by its data")
    monkeypatch.setattr("qbench.cost.estimate.get_model", lambda name: model)
    folded = estimate("any", "int8-kl")
    assert folded.cost.account == "meter"
    assert folded.reference.peak_activation_bytes == 4 * (64 + 32)
    assert folded.reference == estimate("any", "fp32").cost
