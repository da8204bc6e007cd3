"""The contract every quantizer fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from quantizers.encoding import Encoding
from quantizers.formats import NumberFormat
from quantizers.layer_place import LayerPlace
from quantizers.learned_parameter import LearnedParameter
from quantizers.observer import Observer
from quantizers.pixels import Pixels
from quantizers.quantized import Quantized


class Quantizer(nn.Module, ABC):
    """A map from real tensors to a number format, forward and backward.

    A subclass sets `format` and implements `quantize` (the codes) and `forward` (the same values as real numbers,
    whose backward is the gradient estimator). `forward(x)` must equal `quantize(x).dequantize()` wherever the
    quantizer is deterministic: training, evaluation and packed execution then see the same numbers.

    Everything else has a default and is overridden where it applies:

    - Claims about the values: `is_binary`, `encoding` and `codes_and_scale`. A subclass that brings another `forward`
      or `quantize` does not inherit them; where they still hold, it states them again.
    - Calibration: `is_ready`, `needs_calibration`, `observer`, `start_observing`, `observe` and `freeze`.
    - Training: `learned_parameters`, `on_epoch`, `set_relaxed`, `reseed`, and `clip_latent_`, which bounds latent
      weights after each optimizer step, never in `forward`.
    - The layer: `for_layer`, which builds the quantizer, and `expect_shape`, told by whoever places it.
    - Storage: `inference_tensors`, what quantizing an input reads beside scale and zero point.
    - The sign of the input: `expect_nonnegative`, told by whoever knows the network, and `negative_inputs`, the number
      of those that a quantizer without negative codes has met all the same.

    Attributes:
        format: the number format of the codes.
        layer_name: the place of the quantizer in its network, for messages; whoever places it sets it.
        observer: the statistics that calibration collects; None for a quantizer that keeps none.
        pixels: the 8-bit pixels that it rounds to; None for every quantizer of another format than PIXEL8.
        encoding_tensors: names of the parameters and buffers that `encoding()` gives, and of bookkeeping that inference
            does not read; all others are counted as stored with an input's quantizer.
        earlier_names: earlier names of constructor arguments, and what they are called now; `quantizers.make` takes
            both, for files that name options the old way.
    """

    format: NumberFormat
    layer_name: str = ""
    observer: Observer | None = None
    pixels: Pixels | None = None
    encoding_tensors: ClassVar[frozenset[str]] = frozenset()
    earlier_names: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Put back the defaults of the claims that were made for a `forward` or `quantize` that `cls` replaces."""
        super().__init_subclass__(**options)
        claims = ("is_binary", "encoding", "codes_and_scale")
        place = {name: _place(cls, name) for name in ("forward", "quantize", *claims)}
        for claim in claims:
            if place[claim] > min(place["forward"], place["quantize"]):
                setattr(cls, claim, Quantizer.__dict__[claim])

    @abstractmethod
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes, scale and zero point of `x`, as used in evaluation; same shape as `x`, no gradient."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to the format, in its own shape and dtype; backward is the gradient estimator."""

    @property
    def is_binary(self) -> bool:
        """Whether `forward` gives exactly -1 and +1, in training and evaluation: products may be taken of bits."""
        return False

    def codes_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return codes (whole numbers, in x's shape and dtype) and a scale with `forward(x) = scale · codes`.

        Both carry gradients, so that the backward of their product is that of `forward`. A layer then multiplies the
        codes, whose sums are exact, and scales the sums. None where the weights are multiplied as they are.

        The scale has one element, or one per output channel (axis 0): [N, 1, ...].
        """
        return None

    def encoding(self) -> Encoding | None:
        """Return what every tensor is quantized with.

        None where the scale depends on the tensor, and while the quantizer is not ready.
        """
        return None

    @property
    def is_ready(self) -> bool:
        """False while the quantizer still waits for calibration statistics."""
        return True

    @property
    def needs_calibration(self) -> bool:
        """Whether only calibration (observe, then freeze) makes the quantizer ready, and no training does."""
        return False

    def start_observing(self) -> None:
        """Forget what was observed, and observe all that `forward` takes in. Does nothing unless overridden."""

    def observe(self, x: Tensor) -> None:
        """Record the statistics of one batch `x`. Does nothing unless overridden."""

    def freeze(self) -> None:
        """Turn what was observed into a scale, and quantize from now on. Does nothing unless overridden."""

    @classmethod
    def for_layer(cls, place: LayerPlace, **options: Any) -> Self:
        """Return the quantizer of one layer: `cls(**options)` unless overridden.

        For a quantizer whose parameters depend on the layer: one threshold for each input channel, say. `options` are
        those that a scheme names.
        """
        return cls(**options)

    def learned_parameters(self) -> list[LearnedParameter]:
        """Return the parameters that training should move, with their rates; unless overridden all of its own, at the
        network's rate and without weight decay.
        """
        return [LearnedParameter(parameter) for parameter in self.parameters()]

    def on_epoch(self, epoch: int, epochs: int) -> None:
        """Hear, before its first step, that epoch `epoch` (from 0) of `epochs` begins. Does nothing unless overridden.

        For a schedule: a slope that grows, a share of weights that are quantized. The state it leaves is that of
        evaluation after the epoch; what it sets belongs into a buffer, so that a checkpoint keeps it.
        """

    def inference_tensors(self) -> dict[str, Tensor]:
        """Return what quantizing an *input* reads at inference beside the scale and zero point of `encoding()`.

        By name; unless overridden all parameters and buffers but `encoding_tensors`. Each value is counted as stored, 4
        bytes for float32. Of a weight's quantizer nothing is: codes and scales are stored in its place.
        """
        state = [*self.named_parameters(), *self.named_buffers()]
        return {name: tensor for name, tensor in state if name not in self.encoding_tensors}

    def set_relaxed(self, relaxed: bool) -> None:
        """Train with real values in place of codes, or no longer. Does nothing unless overridden."""

    @torch.no_grad()
    def clip_latent_(self, weight: Tensor) -> None:
        """Bound the latent `weight` in place, after an optimizer step. Does nothing unless overridden."""

    def expect_shape(self, shape: tuple[int, ...]) -> None:
        """Hear the shape of the tensors to come, a weight's, when the quantizer is placed.

        For a quantizer whose buffers have one entry for each channel: with their final shape from the start they can be
        averaged and broadcast. Does nothing unless overridden.
        """

    def expect_nonnegative(self, nonnegative: bool) -> None:
        """Hear whether the inputs can only be >= 0 (behind a ReLU, say); given before the first batch.

        For a quantizer that chooses its codes by it; does nothing unless overridden.
        """

    @property
    def negative_inputs(self) -> int | None:
        """How many inputs below zero a quantizer without negative codes has rounded to 0; None where nobody counts."""
        return None

    def reseed(self, seed: int) -> None:
        """Start a stochastic quantizer's random stream at `seed`. Does nothing unless overridden."""

    def named(self, message: str) -> str:
        """Return `message` beginning with `layer_name`, if there is one."""
        return f"{self.layer_name}: {message}" if self.layer_name else message


def _place(cls: type, name: str) -> int:
    """Return how far up the order of inheritance of `cls` the class is that defines `name`; 0 is `cls` itself."""
    return next(place for place, ancestor in enumerate(cls.__mro__) if name in vars(ancestor))
