"""Scale and zero point of the codes between two layers, asked of the quantizers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qbench.deploy.int8.encoding import CodeScale, NotIntegerError, input_encoding, integer_blocks
from qbench.nn.quant_op.int8 import as_int8
from qbench.ptq.calibration import calibrate
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import Quantized, Quantizer, Ternary, Uniform, make


def network(quantizer: Quantizer | None = None) -> nn.Sequential:
    made = apply_scheme(nn.Sequential(nn.Linear(4, 3)), get_scheme("int8-minmax"))
    calibrate(made, torch.randn(20, 4))
    if quantizer is not None:
        made[0].input_quantizer = quantizer
    return made.eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("int8", {}),
        ("int8", {"bits": 4, "full_range": True}),
        ("uint8", {}),
        ("uint8", {"bits": 5}),
        ("lsq", {}),
        ("lsq", {"signed": False}),
    ],
)
def test_codes_mean_what_quantize_says(name: str, options: dict[str, Any]) -> None:
    quantizer = make(name, **options)
    quantizer.start_observing()
    quantizer.observe(torch.linspace(-1, 3, 100))
    quantizer.freeze()
    (block,) = integer_blocks(network(quantizer), (4,))
    scale = CodeScale.of_int8(input_encoding(block))
    x = torch.linspace(-99, 99, 1001)
    quantized = quantizer.quantize(x)
    codes, zero_point = as_int8(quantized)
    assert (scale.scale, scale.zero_point) == (float(quantized.scale), 0 if zero_point is None else int(zero_point))
    assert (scale.low, scale.high) == (int(codes.min()), int(codes.max()))


def test_an_activation_is_a_clamp_of_codes() -> None:
    scale = CodeScale(0.25, -3, -128, 127)
    assert scale.clamped("identity") == (-128, 127)
    assert scale.clamped("relu") == (-3, 127)
    assert scale.clamped("hardtanh") == (-7, 1)
    assert CodeScale(0.01, 0, -127, 127).clamped("hardtanh") == (-100, 100)
    assert CodeScale(1e-3, 0, -127, 127).clamped("hardtanh") == (-127, 127)


class Doubled(Uniform):
    """Other codes than Uniform's, which claims no encoding."""

    def quantize(self, x: Tensor) -> Quantized:
        return super().quantize(2 * x)


def test_inputs_without_one_scale_are_refused() -> None:
    with pytest.raises(NotIntegerError, match="0: its inputs pass through Ternary"):
        integer_blocks(network(Ternary()), (4,))
    for quantizer, message in (
        (Doubled(), "0: its inputs pass through Doubled"),
        (Uniform(channel_axis=1), "0: a scale per channel of the input has no int32 sum"),
    ):
        quantizer.observe(torch.randn(20, 4))
        quantizer.freeze()
        with pytest.raises(NotIntegerError, match=message):
            integer_blocks(network(quantizer), (4,))
