"""Uniform (integer) quantization with a calibrated range: signed symmetric or unsigned asymmetric, 2 to 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar

import torch
from torch import Tensor

from quantizers.affine import affine_parameters, is_symmetric
from quantizers.base import Quantizer
from quantizers.calibration_methods import CALIBRATION_METHODS, MINMAX_METHODS
from quantizers.encoding import Encoding
from quantizers.formats import signed_integer, unsigned_integer
from quantizers.histogram_observer import HistogramObserver
from quantizers.minmax_observer import MinMaxObserver
from quantizers.observer import Observer
from quantizers.quantized import Quantized
from quantizers.ranges import Range
from quantizers.registered import register


class QuantizerState(Enum):
    """The ways a calibrated quantizer treats its input."""

    PASS_THROUGH = 0  # returns it unchanged
    OBSERVING = 1  # returns it unchanged and records its statistics
    QUANTIZING = 2  # rounds it to the format


def uniform_codes(x: Tensor, scale: Tensor, zero_point: Tensor, minimum: float, maximum: float) -> Tensor:
    """Return `clamp(round(x / scale) + zero_point, minimum, maximum)` as floating point; half to even, saturating.

    ±inf saturates, NaN stays NaN. Computed in float32, or float64 for float64 input.
    """
    return (torch.round(_at_least_float32(x) / scale) + zero_point).clamp(minimum, maximum)


def _at_least_float32(x: Tensor) -> Tensor:
    """Return `x` as float32, or as it is where it is float64."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor, minimum: float, maximum: float) -> Tensor:
        codes = uniform_codes(x, scale, zero_point, minimum, maximum)
        if ctx.needs_input_grad[0]:
            inside = (x >= (minimum - zero_point) * scale) & (x <= (maximum - zero_point) * scale)
            ctx.save_for_backward(inside)
        # The arithmetic of Quantized.dequantize; subtracting the zero point also turns -0.0 into 0.0.
        return ((codes.to(scale.dtype) - zero_point) * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None, None, None


def fake_quantize(x: Tensor, scale: Tensor, zero_point: Tensor, minimum: float, maximum: float) -> Tensor:
    """Return `scale · (codes - zero_point)` with `codes = clamp(round(x / scale) + zero_point, minimum, maximum)`.

    Backward: `grad · 1[low <= x <= high]` (straight-through inside the range), where low and high are the values of
    the codes `minimum` and `maximum`; both ends are inside.

    Args:
        x: floating point, any shape.
        scale: float32, zero_point: integer or float; both broadcast against `x`.
        minimum, maximum: of the codes.

    Source: Jacob et al. (CVPR 2018) section 3, eq. 12.
    """
    return _FakeQuantize.apply(x, scale, zero_point.to(scale.dtype), minimum, maximum)


@register("uniform")
@register("int8")
class Uniform(Quantizer):
    """Integer quantization over a range that calibration finds.

    Forward (quantizing): `x̂ = S · (q - Z)`, `q = clamp(round(x / S) + Z, q_min, q_max)`, half to even, saturating; in
    the dtype of x (arithmetic in float32). Equals `quantize(x).dequantize()` bit for bit for float32 input.
    Backward: 1 where `S·(q_min - Z) <= x <= S·(q_max - Z)`, else 0.
    Forward (passing through, observing): x itself; NaN stays NaN, ±inf saturates, and `quantize` refuses NaN.

    Life: built passing through; `start_observing()`; calibration batches through `forward` or `observe`; `freeze()`.
    A stored observer can be put into `observer` instead: one calibration pass serves several methods.

        quantizer = make("int8", method="kl")
        quantizer.observe(x)          # any number of batches
        quantizer.freeze()
        quantizer.quantize(x).codes   # int8

    Args:
        bits: 2..8.
        signed: symmetric codes ±(2^(bits-1) - 1), Z = 0; values that are never negative use 0..2^(bits-1)-1. Else
            asymmetric codes 0..2^bits-1 with a zero point at which 0 is exact.
        full_range: signed only: adds the code -2^(bits-1).
        channel_axis: one scale and zero point for each entry of this dimension (weights: 0); None for one in all.
        power_of_two: `S = 2^-fl`, rounded up so that the range stays covered (`fractional_length`).
        method: the name of a calibration method, and method_options its keyword arguments.
        observer: default HistogramObserver(channel_axis=channel_axis), whose statistics serve every method; per channel
            under a method that needs no histogram, MinMaxObserver (4096 channels are 134 MB of histograms).

    Attributes:
        scale: float32 buffer [] or [C], 0 before `freeze`; float32 whatever the module is cast to. [0] where there are
            channels whose number is not known: `expect_shape` says it, or the first range.
        zero_point: float32 buffer, the shape of scale; whole numbers but in an average of networks, and read rounded.
        layer_name: the place in the network; error messages begin with it.

    Raises:
        ValueError: bits out of range, full_range of unsigned codes, or an observer of another channel_axis.
        UnknownNameError: no such calibration method.

    The state_dict holds state, scale, zero point and, while observing, the statistics; it loads under
    `torch.load(weights_only=True)`. Statistics of a frozen quantizer are not in it (`observer.to_tensors()`).

    Source: Jacob et al. (CVPR 2018) section 2.1; Krishnamoorthi (2018) section 2; Migacz (GTC 2017) for method 'kl'.
    """

    scale: Tensor
    zero_point: Tensor
    observer: Observer
    encoding_tensors = frozenset({"scale", "zero_point"})
    earlier_names: ClassVar[Mapping[str, str]] = {"rule": "method", "rule_options": "method_options"}

    def __init__(
        self,
        bits: int = 8,
        signed: bool = True,
        full_range: bool = False,
        channel_axis: int | None = None,
        power_of_two: bool = False,
        method: str = "minmax",
        method_options: dict[str, Any] | None = None,
        observer: Observer | None = None,
    ) -> None:
        super().__init__()
        if full_range and not signed:
            raise ValueError("full_range is an option of signed formats: unsigned ones always use all codes")
        self.format = signed_integer(bits, full_range=full_range) if signed else unsigned_integer(bits)
        self.channel_axis = channel_axis
        self.power_of_two = power_of_two
        self.method = method
        self.method_options = dict(method_options or {})
        self._find_range = CALIBRATION_METHODS.get(method)
        self.observer = observer if observer is not None else _default_observer(method, channel_axis)
        if self.observer.channel_axis != channel_axis:
            raise ValueError(f"the observer's channel_axis {self.observer.channel_axis} is not {channel_axis}")
        self._state: QuantizerState | None = QuantizerState.PASS_THROUGH
        shape = () if channel_axis is None else (0,)
        self.register_buffer("scale", torch.zeros(shape))
        self.register_buffer("zero_point", torch.zeros(shape))

    @property
    def state(self) -> QuantizerState:
        """The treatment of the input. May be set; QUANTIZING only once there is a scale (a RuntimeError otherwise)."""
        if self._state is not None:
            return self._state
        return QuantizerState.QUANTIZING if self._has_scale else QuantizerState.PASS_THROUGH

    @state.setter
    def state(self, state: QuantizerState) -> None:
        if state is QuantizerState.QUANTIZING and not self._has_scale:
            raise RuntimeError(self.named("not calibrated: observe at least one batch, then freeze()"))
        self._state = QuantizerState(state)

    @property
    def _has_scale(self) -> bool:
        return self.scale.numel() > 0 and bool((self.scale > 0).all())

    @property
    def is_ready(self) -> bool:
        """Whether it quantizes, in place of passing its input through."""
        return self.state is QuantizerState.QUANTIZING

    def expect_shape(self, shape: tuple[int, ...]) -> None:
        """Give scale and zero point their final shape, one entry for each channel."""
        if self.channel_axis is not None and self.scale.numel() == 0:
            channels = shape[self.channel_axis]
            self.scale, self.zero_point = self.scale.new_zeros(channels), self.zero_point.new_zeros(channels)

    @property
    def needs_calibration(self) -> bool:
        """True: training does not find a range."""
        return True

    def encoding(self) -> Encoding | None:
        """Return scale, and zero point where asymmetric; None while not quantizing."""
        if not self.is_ready:
            return None
        zero_point = None if is_symmetric(self.format) else self.zero_point.round().int()
        return Encoding(self.format, self.scale.clone(), zero_point)

    @property
    def fractional_length(self) -> Tensor:
        """The value `fl = -log2(scale)`, whole numbers where `power_of_two`; float32, the shape of scale."""
        return -torch.log2(self.scale)

    def start_observing(self) -> None:
        """Forget the statistics; `forward` then passes its input through and records it."""
        self.observer.reset()
        self.state = QuantizerState.OBSERVING

    def observe(self, x: Tensor) -> None:
        """Record the statistics of one batch; nothing else changes.

        Raises:
            ValueError: NaN or infinity; the message begins with `layer_name`.
        """
        self.observer.owner = self.layer_name
        self.observer.observe(x)

    @torch.no_grad()
    def freeze(self) -> None:
        """Turn the statistics into a range (the method), the range into scale and zero point, and quantize from now on.

        Raises:
            ValueError: nothing observed, or statistics the method cannot work with; the message begins with
                `layer_name`.
        """
        self.observer.owner = self.layer_name  # warnings of the method name it
        try:
            self.set_range(self._find_range(self.observer, self.format, **self.method_options))
        except ValueError as error:
            if self.layer_name and str(error).startswith(self.layer_name):
                raise
            raise ValueError(self.named(str(error))) from error

    @torch.no_grad()
    def set_range(self, range: Range) -> None:
        """Quantize over `range` (one channel, or one for each entry of `channel_axis`) from now on.

        Raises:
            ValueError: several ranges for one tensor, or one too wide for float32.
        """
        scale, zero_point = affine_parameters(range, self.format, self.power_of_two)
        if self.channel_axis is None:
            if scale.numel() != 1:
                raise ValueError(f"a per-tensor quantizer needs one range, got {scale.numel()}")
            scale, zero_point = scale.reshape(()), zero_point.reshape(())
        if self.scale.shape != scale.shape:
            self.scale, self.zero_point = (old.new_zeros(scale.shape) for old in (self.scale, self.zero_point))
        self.scale.copy_(scale)
        self.zero_point.copy_(zero_point)
        self._state = QuantizerState.QUANTIZING

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to the format; `x` itself while not quantizing, recorded while observing."""
        state = self.state
        if state is QuantizerState.QUANTIZING:
            scale, zero_point = self._broadcast(x)
            return fake_quantize(x, scale, zero_point, self.format.minimum, self.format.maximum)
        if state is QuantizerState.OBSERVING:
            self.observe(x)
        return x

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes (int8 or uint8, the shape of x), scale (float32), zero point (int32; None where symmetric).

        Raises:
            RuntimeError: not quantizing yet.
            ValueError: NaN in `x`, for which there is no code.
        """
        if not self.is_ready:
            raise RuntimeError(self.named(f"cannot quantize in state {self.state.name}: freeze() comes first"))
        scale, zero_point = self._broadcast(x)
        codes = uniform_codes(x, scale, zero_point, self.format.minimum, self.format.maximum)
        if bool(torch.isnan(codes).any()):
            raise ValueError(self.named("NaN has no code"))
        symmetric = is_symmetric(self.format)
        stored = codes.to(torch.int8 if symmetric else torch.uint8)
        return Quantized(stored, scale.clone(), None if symmetric else zero_point.int(), self.format)

    def _broadcast(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and rounded zero point, float32, in the shape that broadcasts against `x`."""
        if self.channel_axis is None:
            return self.scale, self.zero_point.round()
        if x.shape[self.channel_axis] != self.scale.numel():
            got, expected = x.shape[self.channel_axis], self.scale.numel()
            raise ValueError(self.named(f"{got} channels in dimension {self.channel_axis}, calibrated for {expected}"))
        shape = [1] * x.dim()
        shape[self.channel_axis] = -1
        return self.scale.view(shape), self.zero_point.round().view(shape)

    @property
    def _stores_statistics(self) -> bool:
        """Whether the observer's statistics are part of the state_dict."""
        return self.state is QuantizerState.OBSERVING

    def get_extra_state(self) -> dict[str, Tensor]:
        """Return state and format, and the statistics while they are still needed."""
        format = torch.tensor([self.format.bits, int(self.format.minimum), int(self.format.maximum)])
        extra = {"state": torch.tensor(self.state.value), "format": format}
        if self._stores_statistics:
            extra |= {f"observer.{name}": tensor for name, tensor in self.observer.to_tensors().items()}
        return extra

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `get_extra_state` gave; a ValueError where it was another format's."""
        expected = [self.format.bits, int(self.format.minimum), int(self.format.maximum)]
        stored = state["format"].tolist()
        if stored != expected:
            raise ValueError(self.named(f"stored for bits, codes {stored}, this quantizer has {expected}"))
        observed = {name.removeprefix("observer."): t for name, t in state.items() if name.startswith("observer.")}
        if observed:
            self.observer = type(self.observer).from_tensors(observed)
        # Buffers are loaded before the extra state, so a stored QUANTIZING finds its scale.
        self.state = QuantizerState(int(state["state"]))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("scale", "zero_point"):
            stored, own = state_dict.get(prefix + name), getattr(self, name)
            if stored is not None and stored.shape != own.shape:
                if stored.numel() == 0:  # not calibrated: earlier versions then stored nothing
                    state_dict[prefix + name] = torch.zeros_like(own)
                else:  # the number of channels
                    setattr(self, name, own.new_zeros(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Uniform:
        # A module cast to half precision would round (or underflow) the scale, and codes would change.
        before = {"scale": self.scale, "zero_point": self.zero_point}
        super()._apply(fn, recurse)
        for name, buffer in before.items():
            if getattr(self, name).dtype != torch.float32:
                setattr(self, name, buffer.to(getattr(self, name).device))
        return self

    def extra_repr(self) -> str:
        """Return the settings and the state for `repr`."""
        axis = f", channel_axis={self.channel_axis}" if self.channel_axis is not None else ""
        power = ", power_of_two=True" if self.power_of_two else ""
        return f"{self.format}, method={self.method!r}{axis}{power}, state={self.state.name}"


def _default_observer(method: str, channel_axis: int | None) -> Observer:
    """Return an observer that serves `method`, and others where memory allows."""
    if channel_axis is not None and method in MINMAX_METHODS:
        return MinMaxObserver(channel_axis)
    return HistogramObserver(channel_axis=channel_axis)


@register("uint8")
class UnsignedUniform(Uniform):
    """`Uniform` with unsigned asymmetric codes; the arguments are those of `Uniform`.

    Raises:
        ValueError: `signed=True`, besides those of `Uniform`.

    Source: Jacob et al. (CVPR 2018) section 2.1.
    """

    def __init__(self, bits: int = 8, **options: Any) -> None:
        if options.pop("signed", False):
            raise ValueError("uint8 is unsigned; use int8 for signed codes")
        super().__init__(bits=bits, signed=False, **options)
