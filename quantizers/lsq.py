"""LSQ, learned step size quantization: the scale is a parameter that training moves."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from quantizers.base import Quantizer
from quantizers.encoding import Encoding
from quantizers.formats import NumberFormat, signed_integer, unsigned_integer
from quantizers.layer_place import LayerPlace
from quantizers.learned_parameter import LearnedParameter
from quantizers.quantized import Quantized
from quantizers.ranks import sum_over_ranks
from quantizers.registered import register
from quantizers.uniform import QuantizerState, uniform_codes

# A step that training pushed to zero or below would divide by zero: it is read as this (the smallest normal float32).
STEP_RATE = 0.01
"""The learning rate of a learned step, over that of the network's other parameters.

Adam moves a parameter by about the learning rate, whatever the scale of its gradient (LSQ's factor g included), and a
step of 8 bits is near 0.01 where weights are near 0.1. Chosen on the validation set of digits: see docs/decisions.md.
"""
SMALLEST_STEP = 2.0**-126


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, minimum: float, maximum: float, gradient_scale: float) -> Tensor:
        # Clamped here and not by an operation of its own, whose zero gradient would leave such a step stuck.
        step = step.clamp_min(SMALLEST_STEP)
        ctx.save_for_backward(x, step)
        ctx.bounds = (minimum, maximum, gradient_scale)
        zero = torch.zeros((), dtype=step.dtype, device=step.device)
        codes = uniform_codes(x, step, zero, minimum, maximum)
        return ((codes.to(step.dtype) - zero) * step).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, step = ctx.saved_tensors
        minimum, maximum, gradient_scale = ctx.bounds
        grad = grads[0]
        ratio = x.to(torch.promote_types(x.dtype, step.dtype)) / step
        # Masks as numbers, and both branches at once: torch.where and products with bool are slow on the CPU.
        inside = torch.gt(ratio, minimum, out=torch.empty_like(ratio))
        inside *= torch.lt(ratio, maximum, out=torch.empty_like(ratio))
        clamped = ratio.clamp(minimum, maximum)
        slope = torch.round(clamped) - clamped * inside  # at the ends, which are whole, round(clamped) = clamped
        grad_step = (grad * slope * gradient_scale).sum_to_size(step.shape).to(step.dtype)
        return (grad * inside).to(grad.dtype), grad_step, None, None, None


def learned_step_quantize(x: Tensor, step: Tensor, minimum: float, maximum: float, gradient_scale: float) -> Tensor:
    """Return `s · clamp(round(x / s), minimum, maximum)` with LSQ's gradients; minimum = -Q_N, maximum = Q_P.

    Backward, with v = x: `∂v̂/∂v = 1` where `-Q_N < v/s < Q_P`, else 0; and, times `gradient_scale`,

        ∂v̂/∂s = round(v/s) - v/s   where -Q_N < v/s < Q_P
                -Q_N               where v/s <= -Q_N
                 Q_P               where v/s >= Q_P

    Args:
        x: floating point, any shape.
        step: float32, positive, broadcasts against x; read as 2^-126 where it is smaller.
        minimum, maximum: of the codes.
        gradient_scale: see `LSQ.gradient_scale`.

    Source: Esser et al., Learned step size quantization (ICLR 2020) eq. 1-3 and 5.
    """
    return _LearnedStep.apply(x, step, minimum, maximum, gradient_scale)


@register("lsq")
class LSQ(Quantizer):
    """Integer quantization whose scale is learned (zero point 0).

    Forward: `s · clamp(round(x / s), -Q_N, Q_P)`; signed: Q_N = 2^(bits-1) and Q_P = Q_N - 1 as in the paper, or
    Q_N = Q_P with `full_range=False`; unsigned (activations after ReLU): 0 and 2^bits - 1.
    Backward: see `learned_step_quantize`, with the gradient scale `g = 1 / sqrt(N · Q_P)`.

    N is the number of values that share a step and are fixed by the architecture: the weights of the layer (of the
    channel), or the features of one sample: `batch_axis` is divided out.
    The step begins as `s = 2 · mean|x| / sqrt(Q_P)`, of the first training batch or of what `observe` saw, if
    `freeze` is called before; until then `forward` passes through in evaluation. `observe` needs no `start_observing`,
    which does nothing here. Weight decay would shrink it: see `learned_parameters`.

    With `signed=None` the codes are unsigned where no input can be below zero: by `expect_nonnegative`, or, where
    nobody said so, by the values that the step began from. Inputs below zero that unsigned codes round to 0 are counted
    (`negative_inputs`), in training and evaluation.

    Where several processes train together (`torch.distributed`), the first training batch is that of all ranks: step
    and sign begin equal on all of them, as one process would have set them. `observe` and `freeze` are of one process.

    Args:
        bits: 2..8.
        signed: the format, see `Uniform`; None as above, and `format` is then the signed one until it is known.
        full_range: of signed codes, see `Uniform`.
        channels: number of steps, one for each entry of channel_axis; None for one step. Known from the beginning,
            for the optimizer needs the parameter before the first batch.
        channel_axis: dimension the steps belong to.
        batch_axis: dimension of the samples: 0 for activations, None for weights.

    Attributes:
        step: float32 parameter, [] or [channels]. Read as 2^-126 where it is smaller.
        code_sign: float32 buffer []: 0 until the step is initialized, then -1 for signed codes and +1 for unsigned
            ones. A buffer, so that an average of networks (EMA), which copies nothing else, knows both.

    Raises:
        ValueError: bits out of range.

    Source: Esser et al., Learned step size quantization (ICLR 2020) section 2.
    """

    code_sign: Tensor
    encoding_tensors = frozenset({"step", "code_sign"})

    def __init__(
        self,
        bits: int = 8,
        signed: bool | None = True,
        full_range: bool = True,
        channels: int | None = None,
        channel_axis: int = 0,
        batch_axis: int | None = None,
    ) -> None:
        super().__init__()
        self.signed = signed
        self._signed = signed  # as it is known: given, expected, observed or loaded
        self._formats = {True: signed_integer(bits, full_range=full_range), False: unsigned_integer(bits)}
        self.channels = channels
        self.channel_axis = channel_axis
        self.batch_axis = batch_axis
        self.step = nn.Parameter(torch.ones(() if channels is None else channels))
        self.register_buffer("code_sign", torch.zeros(()))
        self._ready = False
        self._magnitude = torch.zeros(channels or 1, dtype=torch.float64)
        self._count = 0
        self._negative = 0  # among the observed values
        self._negative_inputs = torch.zeros((), dtype=torch.int64)  # no buffer: averages of networks would average it

    @classmethod
    def for_layer(cls, place: LayerPlace, *, per_channel: bool = False, **options: Any) -> Self:
        """Return the quantizer of one layer; with `per_channel` each output channel of its weights has a step.

        Raises:
            ValueError: per_channel of a layer's input, whose codes are multiplied with one scale for all of them.
        """
        if not per_channel:
            return cls(**options)
        if place.role != "weights":
            raise ValueError("per_channel steps are for weights: a layer's input has one scale in a product of codes")
        return cls(channels=place.out_channels, channel_axis=0, **options)

    @property
    def format(self) -> NumberFormat:  # type: ignore[override]
        """The number format of the codes; the signed one while the sign is not known."""
        return self._formats[self._is_signed]

    @property
    def _is_signed(self) -> bool:
        # Python's own value first: reading the buffer waits for a GPU.
        return bool(self.code_sign <= 0) if self._signed is None else self._signed

    @property
    def state(self) -> QuantizerState:
        """The treatment of the input: PASS_THROUGH until the step is initialized, then QUANTIZING."""
        return QuantizerState.QUANTIZING if self.is_ready else QuantizerState.PASS_THROUGH

    @property
    def is_ready(self) -> bool:
        """Whether the step is initialized."""
        return self._ready or bool(self.code_sign != 0)

    def expect_nonnegative(self, nonnegative: bool) -> None:
        """Choose unsigned codes, or signed ones, where `signed` is None and the step is not initialized yet."""
        if self.signed is None and not self.is_ready:
            self._signed = not nonnegative

    @property
    def negative_inputs(self) -> int | None:
        """How many inputs below zero unsigned codes have rounded to 0; None where codes are signed or not known."""
        known = self._signed is not None or self.is_ready
        return int(self._negative_inputs) if known and not self._is_signed else None

    def encoding(self) -> Encoding | None:
        """Return the step as it is now, without gradient and zero point; None before it is initialized."""
        return Encoding(self.format, self.step.detach().clamp_min(SMALLEST_STEP), None) if self.is_ready else None

    def learned_parameters(self) -> list[LearnedParameter]:
        """Return the step, at `STEP_RATE` of the rate and without decay, which would shrink the range."""
        return [LearnedParameter(self.step, STEP_RATE)]

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Take in a batch `x` for the initial step: `Σ |x|`, the count, and whether any value is below zero.

        Raises:
            ValueError: NaN or infinity; the message begins with `layer_name`.
        """
        self._take_in(self._totals(x))

    def _totals(self, x: Tensor) -> Tensor:
        """Return `Σ |x|` of each channel, the values of a channel, and those below zero; float64 [channels + 2]."""
        channels = self.channels or 1
        if x.numel() == 0:
            return torch.zeros(channels + 2, dtype=torch.float64, device=x.device)
        rows = x.detach().reshape(1, -1) if self.channels is None else self._rows(x.detach())
        counts = torch.stack([torch.tensor(rows.shape[1], device=x.device), torch.count_nonzero(rows < 0)])
        return torch.cat([rows.double().abs().sum(1), counts.double()])

    def _rows(self, x: Tensor) -> Tensor:
        return x.movedim(self.channel_axis, 0).reshape(self.channels or 1, -1)

    def _take_in(self, totals: Tensor) -> None:
        if not bool(torch.isfinite(totals).all()):
            raise ValueError(self.named("NaN or infinity among the observed values"))
        totals = totals.cpu()
        self._magnitude += totals[:-2]
        self._count += int(totals[-2])
        self._negative += int(totals[-1])

    @torch.no_grad()
    def freeze(self) -> None:
        """Initialize the step, `2 · mean|x| / sqrt(Q_P)` (1 where all was zero), and quantize from now on.

        Raises:
            ValueError: nothing observed.
        """
        if self._count == 0:
            raise ValueError(self.named("no values observed: the initial step needs at least one batch"))
        if self._signed is None:
            self._signed = self._negative > 0
        initial = 2 * self._magnitude / self._count / math.sqrt(self.format.maximum)
        initial = torch.where(initial > 0, initial.clamp_min(SMALLEST_STEP), 1.0)
        self.step.copy_(initial.view(self.step.shape))
        self._magnitude.zero_()
        self._count = self._negative = 0
        self.code_sign.fill_(-1 if self._signed else 1)
        self._ready = True

    def gradient_scale(self, x: Tensor) -> float:
        """Return `g = 1 / sqrt(N · Q_P)`, where N is the number of values of `x` that share a step."""
        values = x.numel() // (self.channels or 1)
        if self.batch_axis is not None:
            values //= max(x.shape[self.batch_axis], 1)
        return 1 / math.sqrt(max(values, 1) * self.format.maximum)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to the format; the first training batch, of all ranks, initializes the step."""
        if not self.is_ready:
            if not self.training:
                return x
            self._take_in(sum_over_ranks(self._totals(x)))
            if self._count == 0:
                return x
            self.freeze()
        self._count_negative(x)
        format, step = self.format, self._broadcast(x)
        return learned_step_quantize(x, step, format.minimum, format.maximum, self.gradient_scale(x))

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes (int8 or uint8), scale = step as it broadcasts against `x`, no zero point.

        Raises:
            RuntimeError: step not initialized.
            ValueError: NaN in `x`.
        """
        if not self.is_ready:
            raise RuntimeError(
                self.named("cannot quantize: the step is not initialized (train, or observe and freeze)")
            )
        self._count_negative(x)
        format, step = self.format, self._broadcast(x).detach().clamp_min(SMALLEST_STEP)
        codes = uniform_codes(x, step, torch.zeros((), device=x.device), format.minimum, format.maximum)
        if bool(torch.isnan(codes).any()):
            raise ValueError(self.named("NaN has no code"))
        stored = codes.to(torch.int8 if format.minimum < 0 else torch.uint8)
        return Quantized(stored, step, None, format)

    def _count_negative(self, x: Tensor) -> None:
        """Count the values of `x` that unsigned codes lose; the sum stays on the device of `x`, which need not wait."""
        if not self._is_signed:
            found = torch.count_nonzero(x.detach() < 0)
            self._negative_inputs = self._negative_inputs.to(found.device) + found

    def _broadcast(self, x: Tensor) -> Tensor:
        """Return the step in the shape that broadcasts against `x`."""
        if self.channels is None:
            return self.step
        shape = [1] * x.dim()
        shape[self.channel_axis] = -1
        return self.step.view(shape)

    def get_extra_state(self) -> dict[str, Tensor]:
        """Return whether the step is initialized, the sums for it while it is not, and the negative inputs counted."""
        return {
            "state": torch.tensor(self.state.value),
            "magnitude": self._magnitude.clone(),
            "count": torch.tensor(self._count),
            "negative": torch.tensor(self._negative),
            "negative_inputs": self._negative_inputs.cpu(),
        }

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `get_extra_state` gave; a ValueError where its codes were of the other sign."""
        # Buffers are loaded before the extra state.
        self._ready = QuantizerState(int(state["state"])) is QuantizerState.QUANTIZING
        if self._ready:
            stored = bool(self.code_sign < 0)
            if self.signed is not None and self.signed is not stored:
                kinds = {True: "signed", False: "unsigned"}
                raise ValueError(self.named(f"stored for {kinds[stored]} codes, this quantizer has {self.format}"))
            self._signed = stored
        self._magnitude = state["magnitude"].cpu().clone()
        self._count = int(state["count"])
        self._negative = int(state.get("negative", 0))
        self._negative_inputs = state.get("negative_inputs", torch.zeros((), dtype=torch.int64)).cpu().clone()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # States of earlier versions have no sign: it was always that of the constructor.
        extra = state_dict.get(prefix + "_extra_state")
        if extra is not None and prefix + "code_sign" not in state_dict:
            ready = int(extra["state"]) == QuantizerState.QUANTIZING.value
            if ready and self.signed is None:
                error_msgs.append(self.named("the stored state does not say whether codes are signed; train again"))
                return
            sign = (-1.0 if self.signed else 1.0) if ready else 0.0
            state_dict[prefix + "code_sign"] = torch.tensor(sign)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def extra_repr(self) -> str:
        """Return the settings and the state for `repr`."""
        sign = "" if self._signed is not None or self.is_ready else ", signed=None"
        channels = f"channels={self.channels}, batch_axis={self.batch_axis}"
        return f"{self.format}{sign}, {channels}, state={self.state.name}"
