"""Groups and tables in the report on a network's quantization and in calibration."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.quantization_report import report_quantization
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import Encoding, GroupInteger, make


def network(scheme: str) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(40, 6), nn.ReLU(), nn.Linear(6, 3))
    return apply_scheme(net, get_scheme(scheme)).eval()


@torch.no_grad()
@pytest.mark.parametrize("scheme", ["int4-g32", "nf4-g64", "mxfp4"])
def test_the_report_by_hand(scheme: str) -> None:
    net = network(scheme)
    report = report_quantization(net, torch.randn(20, 40), torch.zeros(20, dtype=torch.int64))
    layer = dict(quant_layers(net))["0"]
    weight, quantizer = layer.weight.double(), layer.weight_quantizer
    assert quantizer is not None
    found = report.layers[0].weights
    assert found is not None
    assert report.layers[0].inputs is None
    values = quantizer(layer.weight).double()
    noise = (weight - values).square().sum()
    assert found.sqnr_db == pytest.approx(10 * math.log10(float(weight.square().sum() / noise)))
    # Each group's ends: its scale times the ends of the format.
    top = {"int4-g32": 7.0, "nf4-g64": 1.0, "mxfp4": 6.0}[scheme]
    ends, beyond = [], 0
    size = quantizer.format.group_size or 0
    for row in layer.weight:
        for group in row.split(size):
            largest = float(group.abs().max())
            if scheme == "mxfp4":
                scale = 2.0 ** (math.floor(math.log2(largest)) - 2)
            else:
                scale = float(torch.tensor(largest / top).half())
                scale = scale if scale >= largest / top else scale + 2.0 ** (math.floor(math.log2(scale)) - 10)
            ends.append(scale * top)
            beyond += int((group.abs() > scale * top).sum())
    assert found.high == -found.low == pytest.approx(max(ends))
    assert found.scale_low == pytest.approx(min(ends) / top)
    assert found.clipped == beyond / weight.numel()
    if scheme != "mxfp4":
        assert found.clipped == 0


class FixedGroups(GroupInteger):
    """Groups whose scales are the same for every weight, so that there is an encoding."""

    def encoding(self) -> Encoding:
        return Encoding(self.format, torch.full((6, 2), 0.1), None)


@torch.no_grad()
def test_biases_have_no_unit_beside_groups() -> None:
    net = network("fp32")
    apply_scheme(net, get_scheme("int8-minmax"))
    layer = dict(quant_layers(net))["0"]
    layer.weight_quantizer = FixedGroups()
    before: Tensor = layer.bias.clone()
    calibration.calibrate(net, torch.randn(30, 40))
    assert torch.equal(layer.bias, before)
    other = dict(quant_layers(net))["2"]
    assert other.weight_quantizer is not None
    assert other.input_quantizer is not None
    weight, source = other.weight_quantizer.encoding(), other.input_quantizer.encoding()
    assert weight is not None
    assert source is not None
    units = other.bias.double() / (weight.scale.double() * source.scale.double())
    assert float((units - units.round()).abs().max()) < 1e-2


def test_weights_in_groups_need_no_calibration() -> None:
    net = network("nf4-g64")
    assert calibration.input_quantizers(net) == {}
    before = net(torch.ones(1, 40))
    calibration.calibrate(net, torch.randn(5, 40))
    assert torch.equal(net(torch.ones(1, 40)), before)
    assert make("table", values="nf4").is_ready
