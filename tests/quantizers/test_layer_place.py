"""Quantizers that are built for their layer."""

from __future__ import annotations

from typing import Any, Self

import pytest
import torch
from torch import Tensor

from quantizers import LSQ, LayerPlace, Quantized, Quantizer, make_for_layer, signed_integer
from quantizers.lsq import learned_step_quantize


def place(
    kind: Any = "conv2d", shape: tuple[int, ...] = (6, 2, 3, 3), role: Any = "weights", **more: Any
) -> LayerPlace:
    return LayerPlace("stage.conv", role, kind, shape, 1, 3, **more)


def test_channels_of_a_grouped_convolution() -> None:
    found = place(groups=4)
    assert (found.out_channels, found.in_channels, found.input_channels) == (6, 2, 8)
    assert place().input_channels == 2


@pytest.mark.parametrize(("kind", "axis"), [("linear", -1), ("conv1d", 1), ("conv2d", 1)])
def test_where_the_channels_of_an_input_are(kind: str, axis: int) -> None:
    assert place(kind, (6, 2)).input_axis == axis


class Thresholds(Quantizer):
    """What a layer may say, kept for the tests; `bad` and `wrong` make it fail."""

    format = signed_integer(8)

    def __init__(self, where: LayerPlace | None = None, scale: float = 1.0) -> None:
        super().__init__()
        self.where, self.scale = where, scale

    @classmethod
    def for_layer(cls, place: LayerPlace, *, bad: bool = False, wrong: bool = False, **options: Any) -> Self:
        if bad:
            raise ValueError(f"cannot serve {place.in_channels} channels")
        return 3 if wrong else cls(place, **options)  # type: ignore[return-value]

    def quantize(self, x: Tensor) -> Quantized:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return x


NAME = f"{__name__}.Thresholds"


def test_the_layer_and_the_options_come_to_the_method() -> None:
    found: Any = make_for_layer(NAME, place(), {"scale": 2.0})
    assert (found.where, found.scale) == (place(), 2.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bad": True}, ValueError, r"stage.conv \(conv2d, weights \[6, 2, 3, 3\]\): cannot serve 2 channels"),
        ({"slope": 1}, TypeError, r"stage.conv \(conv2d.*slope"),
        ({"wrong": True}, TypeError, r"stage.conv \(conv2d.*for_layer returned int, expected a Quantizer"),
    ],
)
def test_errors_of_the_method_name_the_layer(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_for_layer(NAME, place(), options)


def test_a_class_without_the_method_names_no_layer() -> None:
    with pytest.raises(TypeError) as caught:
        make_for_layer("sign", place(), {"slope": 1})
    assert "stage.conv" not in str(caught.value)  # the options are wrong for every layer


# LSQ with a step for each output channel.


def test_lsq_gets_its_channels_from_the_layer() -> None:
    quantizer: Any = make_for_layer("lsq", place(), {"per_channel": True, "bits": 4})
    assert tuple(quantizer.step.shape) == (6,)
    weight = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7).reshape(
        6, 1, 1, 1
    )
    y = quantizer(weight)  # the first batch initializes
    # The paper's initial step of each channel, and its eq. 1 and 2, in float64.
    step = (2 * weight.double().abs().mean((1, 2, 3)) / 7**0.5).reshape(6, 1, 1, 1)
    codes = (weight.double() / step).round().clamp(-8, 7)
    torch.testing.assert_close(y.double(), codes * step, rtol=1e-6, atol=1e-7)
    quantized = quantizer.eval().quantize(weight)
    assert torch.equal(quantized.codes.double(), codes)
    assert torch.equal(quantized.dequantize(), quantizer(weight))
    # One channel alone is what LSQ with one step makes of it.
    alone = LSQ(bits=4)
    assert torch.equal(alone(weight[2:3]), y[2:3])
    expected = learned_step_quantize(weight[2:3], quantizer.step[2], -8, 7, 1.0)
    assert torch.equal(expected, y[2:3])


def test_lsq_has_one_step_for_a_layers_input() -> None:
    with pytest.raises(ValueError, match=r"stage.conv .*per_channel steps are for weights"):
        make_for_layer("lsq", place(role="activations"), {"per_channel": True})
    assert make_for_layer("lsq", place(role="activations"), {}).get_parameter("step").dim() == 0
