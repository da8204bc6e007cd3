"""A schedule that evaluation follows must be in the state."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers import Quantized, Quantizer, signed_integer, straight_through
from quantizers.contract import check_quantizer


class Growing(Quantizer):
    """4-bit integers whose step shrinks from epoch to epoch; the step is a buffer."""

    format = signed_integer(4)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.tensor(0.5))

    def on_epoch(self, epoch: int, epochs: int) -> None:
        self.step.fill_(0.5 / (1 + epoch))

    def current(self) -> Tensor:
        return self.step

    def quantize(self, x: Tensor) -> Quantized:
        codes = (x.detach() / self.current()).round().clamp(self.format.minimum, self.format.maximum)
        return Quantized(codes.to(torch.int8), self.current().clone(), None, self.format)

    def forward(self, x: Tensor) -> Tensor:
        return straight_through(x, lambda each: self.quantize(each).dequantize().to(each.dtype))


class Forgetful(Growing):
    """The same; but the epoch is a plain attribute."""

    epoch = 0

    def on_epoch(self, epoch: int, epochs: int) -> None:
        self.epoch = epoch

    def current(self) -> Tensor:
        return torch.tensor(0.5 / (1 + self.epoch))


def test_a_schedule_in_a_buffer_passes_and_one_in_an_attribute_is_caught() -> None:
    assert check_quantizer(Growing()) == []
    (fault,) = check_quantizer(Forgetful())
    assert fault.check == "state_dict"
    assert "a copy that loads the state_dict" in fault.message
