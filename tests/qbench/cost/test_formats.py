"""What groups, tables and the parameters of quantizers cost, against counts by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qbench.cost.estimate import Estimate, estimate_network
from qbench.cost.layer_cost import LayerCost
from qbench.nn.operations import Operations
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import FLOAT32, INT8, UINT8, NumberFormat, Quantized, Quantizer


def estimated(network: nn.Module, scheme: str, shape: tuple[int, ...], **options: Any) -> Estimate:
    apply_scheme(network, get_scheme(scheme, **options), input_shape=shape)
    for _, layer in quant_layers(network):
        layer.calibrate_weight()
    return estimate_network(network, shape)


def rows(found: Estimate) -> dict[str, LayerCost]:
    return {row.name: row for row in found.cost.layers}


def dense() -> nn.Sequential:
    return nn.Sequential(nn.Linear(256, 128, bias=False), nn.ReLU(), nn.Linear(128, 64, bias=False))


@pytest.mark.parametrize(
    ("scheme", "bits"), [("int4-g32", 4 + 16 / 32), ("nf4-g64", 4 + 16 / 64), ("mxfp4", 4 + 8 / 32)]
)
def test_group_wise_schemes_by_hand(scheme: str, bits: float) -> None:
    found = estimated(dense(), scheme, (256,))
    weights = 256 * 128 + 128 * 64
    assert found.cost.stored_bytes == weights * bits / 8
    assert found.weight_compression == pytest.approx(32 / bits)  # 7.11 of int4-g32
    assert found.metrics(1)["cost/weight_bytes"] == weights * bits / 8
    first = rows(found)["0"]
    assert first.weight_bytes == 256 * 128 // 2
    assert first.scale_bytes == int(256 * 128 * (bits - 4) / 8)
    # Float arithmetic: every weight is multiplied by its scale once, and every product is one of float32.
    assert first.operations == Operations(fp32_mul=2 * 256 * 128, fp32_add=256 * 128)
    assert first.op == "float"
    assert first.input_bytes == 4 * 256
    # Of the energy, only the weights' traffic shrinks, by as much as they do.
    for end in ("low", "high"):
        ratio = getattr(found.reference_energy.weight_traffic, end) / getattr(found.energy.weight_traffic, end)
        assert ratio == pytest.approx(32 / bits)
    assert found.energy.arithmetic.mid > found.reference_energy.arithmetic.mid


def test_rows_are_padded_and_the_last_group_is_smaller() -> None:
    # Rows of 5 · 3 · 3 = 45: 23 bytes of codes; groups of 32 and of 13, with 2 bytes each.
    network = nn.Sequential(nn.Conv2d(5, 7, 3, bias=False), nn.Flatten(), nn.Linear(7 * 4, 3, bias=False))
    found = rows(estimated(network, "int4-g32", (5, 4, 4)))
    assert (found["0"].weight_bytes, found["0"].scale_bytes) == (7 * 23, 7 * 2 * 2)
    assert (found["2"].weight_bytes, found["2"].scale_bytes) == (3 * 14, 3 * 1 * 2)


def test_dorefa_by_hand() -> None:
    network = nn.Sequential(*(nn.Linear(40, 40, bias=False) for _ in range(3)))
    found = rows(estimated(network, "dorefa-4bit", (40,)))
    assert [row.op for row in found.values()] == ["float", "int8", "float"]
    # 4 bits each; a scale for the weights, and one for the input with its zero point.
    assert (found["1"].weight_bytes, found["1"].scale_bytes) == (800, 4 + 5)
    assert found["1"].operations.int8_mul == 1600
    assert found["1"].input_bytes == 20


class Curve(Quantizer):
    """Inputs through a learned curve of many values, to 8 bits."""

    format: NumberFormat = UINT8

    def __init__(self, values: int = 250_000, format: NumberFormat = UINT8) -> None:
        super().__init__()
        self.format = format
        self.curve = nn.Parameter(torch.zeros(values))

    def quantize(self, x: Tensor) -> Quantized:
        return Quantized(x.round().clamp(0, 255).to(torch.uint8), torch.ones(()), None, self.format)

    def forward(self, x: Tensor) -> Tensor:
        return x.round().clamp(0, 255) + self.curve.sum()


class Mixed(Curve):
    """State of several dtypes, some of which the scale is."""

    encoding_tensors = frozenset({"scale"})

    def __init__(self) -> None:
        super().__init__(10)
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("narrow", torch.zeros(7, dtype=torch.float16))
        self.register_buffer("wide", torch.zeros(3, dtype=torch.float64))
        self.register_buffer("small", torch.zeros(5, dtype=torch.int8))
        self.register_buffer("mask", torch.zeros(9, dtype=torch.bool))


def with_inputs(quantizer: Quantizer | None, network: nn.Module | None = None) -> Estimate:
    network = network or dense()
    apply_scheme(network, get_scheme("int8-minmax", activations=None, network_input=None), input_shape=(256,))
    for _, layer in quant_layers(network):
        layer.calibrate_weight()
    layer = dict(quant_layers(network))["2"]
    layer.input_quantizer = quantizer
    return estimate_network(network, (256,))


def test_a_megabyte_of_parameters_in_an_inputs_quantizer_is_a_megabyte() -> None:
    for format, scales in ((FLOAT32, 0), (UINT8, 5), (INT8, 4)):
        with_it, without = with_inputs(Curve(format=format)), with_inputs(None)
        assert with_it.cost.stored_bytes - without.cost.stored_bytes == 1_000_000 + scales
        assert rows(with_it)["2"].other_bytes - rows(without)["2"].other_bytes == 1_000_000
        assert with_it.metrics(1)["cost/weight_bytes"] == with_it.cost.stored_bytes
        # It is the scheme's own: the float32 network has none of it.
        assert with_it.reference.stored_bytes == without.reference.stored_bytes
        # In training there are the parameter, its gradient and two moments.
        assert with_it.cost.training.total(0) - without.cost.training.total(0) == 4 * 1_000_000


def test_state_counts_at_the_size_of_its_dtypes_but_for_the_scale() -> None:
    found = with_inputs(Mixed())
    expected = 4 * 10 + 2 * 7 + 8 * 3 + 5 + 9
    assert rows(found)["2"].other_bytes == expected
    assert found.cost.uncounted_bytes == 0


def test_the_curve_of_a_shared_quantizer_is_stored_once() -> None:
    network = nn.Sequential(*(nn.Linear(16, 16, bias=False) for _ in range(3)))
    apply_scheme(network, get_scheme("int8-minmax", activations=None, network_input=None), input_shape=(16,))
    shared = Curve(100)
    for _, layer in quant_layers(network):
        layer.calibrate_weight()
        layer.input_quantizer = shared
    found = rows(estimate_network(network, (16,)))
    assert [row.other_bytes for row in found.values()] == [400, 0, 0]


def test_a_layer_that_runs_twice_stores_its_quantizers_parameters_once() -> None:
    layer = nn.Linear(16, 16, bias=False)
    network = nn.Sequential(layer, layer)
    apply_scheme(network, get_scheme("int8-minmax", activations=None, network_input=None), input_shape=(16,))
    for _, each in quant_layers(network):
        each.calibrate_weight()
        each.input_quantizer = Curve(100)
    (found,) = estimate_network(network, (16,)).cost.layers
    assert (found.calls, found.other_bytes) == (2, 400)


def test_a_weights_quantizer_stores_nothing_for_codes_stand_in_its_place() -> None:
    network = dense()
    apply_scheme(network, get_scheme("int8-minmax", activations=None, network_input=None), input_shape=(256,))
    for _, layer in quant_layers(network):
        layer.weight_quantizer = Curve(1000)
    found = estimate_network(network, (256,))
    assert found.cost.stored_bytes == 256 * 128 + 128 * 64
    assert found.cost.training.parameters == 4 * (256 * 128 + 128 * 64 + 2000)


class Bending(nn.Module):
    """An activation with parameters of its own, as RPReLU has."""

    def __init__(self, channels: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.shift, self.slope = (nn.Parameter(torch.zeros(channels, dtype=dtype)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > self.shift, x, self.slope * x).to(x.dtype)


@pytest.mark.parametrize(("module", "size"), [
    (Bending(128), 2 * 128 * 4), (Bending(128, torch.float16), 2 * 128 * 2), (nn.PReLU(128), 128 * 4),
])  # fmt: skip
def test_parameters_of_modules_outside_the_layers_are_stored(module: nn.Module, size: int) -> None:
    found = with_inputs(None, nn.Sequential(nn.Linear(256, 128, bias=False), module, nn.Linear(128, 64, bias=False)))
    assert found.cost.stored_bytes - with_inputs(None).cost.stored_bytes == size
    assert found.reference.stored_bytes - with_inputs(None).reference.stored_bytes == size


def test_a_quantizer_outside_the_layers_is_stored_as_any_module_is() -> None:
    placed = Curve(300, FLOAT32)
    found = with_inputs(None, nn.Sequential(nn.Linear(256, 128, bias=False), placed, nn.Linear(128, 64, bias=False)))
    assert found.cost.stored_bytes - with_inputs(None).cost.stored_bytes == 300 * 4


def test_scales_of_an_inputs_channels_are_stored_and_its_products_are_of_float() -> None:
    network = dense()
    options = {"name": "int8", "options": {"channel_axis": 1}}
    apply_scheme(network, get_scheme("int8-minmax", activations=options), input_shape=(256,))
    for _, layer in quant_layers(network):
        layer.calibrate_weight()
    quantizer: Any = dict(quant_layers(network))["2"].input_quantizer
    quantizer.observe(torch.randn(5, 128))
    quantizer.freeze()
    found = rows(estimate_network(network, (256,)))
    assert found["2"].op == "float"
    assert found["2"].scale_bytes == 64 * 4 + 128 * 4


class Grouped(Quantizer):
    """Inputs with a scale for each 32 values, found anew."""

    format = INT8.grouped(32, 16)

    def quantize(self, x: Tensor) -> Quantized:
        scale = torch.ones(len(x), -(-x[0].numel() // 32))
        return Quantized(x.round().clamp(-127, 127).to(torch.int8), scale, None, self.format)

    def forward(self, x: Tensor) -> Tensor:
        return self.quantize(x).dequantize()


def test_scales_of_an_inputs_groups_are_traffic_and_not_stored() -> None:
    found = rows(with_inputs(Grouped()))
    assert found["2"].input_bytes == 128 + 4 * 2
    assert found["0"].output_bytes == 128 + 4 * 2
    assert found["2"].scale_bytes == 64 * 4  # the weights'
    assert found["2"].op == "float"
