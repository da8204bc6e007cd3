"""The contract every quantizer fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from quantizers.formats import NumberFormat
from quantizers.quantized import Quantized


class Quantizer(nn.Module, ABC):
    """Maps a real tensor to a number format, forward and backward.

    A subclass sets `format` and implements `quantize` (the codes) and `forward` (the same values as real numbers,
    whose backward is the gradient estimator). `forward(x)` must equal `quantize(x).dequantize()` wherever the
    quantizer is deterministic: training, evaluation and packed execution then see the same numbers.

    A quantizer of latent weights may also bound them: `clip_latent_` runs after each optimizer step, never in
    `forward`.
    """

    format: NumberFormat
    layer_name: str = ""
    """The place of the quantizer in its network, for messages; whoever places it sets it."""

    @abstractmethod
    def quantize(self, x: Tensor) -> Quantized:
        """Codes, scale and zero point of `x`, as used in evaluation; same shape as `x`, no gradient."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """`x` rounded to the format, in its own shape and dtype; backward is the gradient estimator."""

    @torch.no_grad()
    def clip_latent_(self, weight: Tensor) -> None:
        """Bound the latent `weight` in place, after an optimizer step. Does nothing unless overridden."""

    def reseed(self, seed: int) -> None:
        """Start a stochastic quantizer's random stream at `seed`. Does nothing unless overridden."""

    @property
    def is_ready(self) -> bool:
        """False while the quantizer still waits for calibration statistics."""
        return True
