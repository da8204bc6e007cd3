"""LSQ, learned step size quantization: the scale is a parameter that training moves."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from quantizers.base import Quantizer
from quantizers.encoding import Encoding
from quantizers.formats import signed_integer, unsigned_integer
from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.uniform import QuantizerState, uniform_codes

# A step that training pushed to zero or below would divide by zero: it is read as this (the smallest normal float32).
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
    which does nothing here. Keep weight decay away from `learned_steps()`.

    Args:
        bits: 2..8.
        signed, full_range: the format, see `Uniform`.
        channels: number of steps, one for each entry of channel_axis; None for one step. Known from the beginning,
            for the optimizer needs the parameter before the first batch.
        channel_axis: dimension the steps belong to.
        batch_axis: dimension of the samples: 0 for activations, None for weights.

    Attributes:
        step: float32 parameter, [] or [channels]. Read as 2^-126 where it is smaller.

    Raises:
        ValueError: bits out of range.

    Source: Esser et al., Learned step size quantization (ICLR 2020) section 2.
    """

    def __init__(
        self,
        bits: int = 8,
        signed: bool = True,
        full_range: bool = True,
        channels: int | None = None,
        channel_axis: int = 0,
        batch_axis: int | None = None,
    ) -> None:
        super().__init__()
        self.format = signed_integer(bits, full_range=full_range) if signed else unsigned_integer(bits)
        self.channels = channels
        self.channel_axis = channel_axis
        self.batch_axis = batch_axis
        self.step = nn.Parameter(torch.ones(() if channels is None else channels))
        self._state = QuantizerState.PASS_THROUGH
        self._magnitude = torch.zeros(channels or 1, dtype=torch.float64)
        self._count = 0

    @property
    def state(self) -> QuantizerState:
        """The treatment of the input: PASS_THROUGH until the step is initialized, then QUANTIZING."""
        return self._state

    @property
    def is_ready(self) -> bool:
        """Whether the step is initialized."""
        return self._state is QuantizerState.QUANTIZING

    def encoding(self) -> Encoding | None:
        """Return the step as it is now, without gradient and zero point; None before it is initialized."""
        return Encoding(self.format, self.step.detach().clamp_min(SMALLEST_STEP), None) if self.is_ready else None

    def learned_steps(self) -> list[nn.Parameter]:
        """Return the step."""
        return [self.step]

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Take in a batch `x` for the initial step: `Σ |x|` and the count.

        Raises:
            ValueError: NaN or infinity; the message begins with `layer_name`.
        """
        if x.numel() == 0:
            return
        rows = x.reshape(1, -1) if self.channels is None else x.movedim(self.channel_axis, 0).reshape(self.channels, -1)
        total = rows.double().abs().sum(1).cpu()
        if not bool(torch.isfinite(total).all()):
            raise ValueError(self.named("NaN or infinity among the observed values"))
        self._magnitude += total
        self._count += rows.shape[1]

    @torch.no_grad()
    def freeze(self) -> None:
        """Initialize the step, `2 · mean|x| / sqrt(Q_P)` (1 where all was zero), and quantize from now on.

        Raises:
            ValueError: nothing observed.
        """
        if self._count == 0:
            raise ValueError(self.named("no values observed: the initial step needs at least one batch"))
        initial = 2 * self._magnitude / self._count / math.sqrt(self.format.maximum)
        initial = torch.where(initial > 0, initial.clamp_min(SMALLEST_STEP), 1.0)
        self.step.copy_(initial.view(self.step.shape))
        self._magnitude.zero_()
        self._count = 0
        self._state = QuantizerState.QUANTIZING

    def gradient_scale(self, x: Tensor) -> float:
        """Return `g = 1 / sqrt(N · Q_P)`, where N is the number of values of `x` that share a step."""
        values = x.numel() // (self.channels or 1)
        if self.batch_axis is not None:
            values //= x.shape[self.batch_axis]
        return 1 / math.sqrt(max(values, 1) * self.format.maximum)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to the format; the first training batch initializes the step."""
        if not self.is_ready:
            if not self.training or x.numel() == 0:
                return x
            self.observe(x)
            self.freeze()
        step = self._broadcast(x)
        return learned_step_quantize(x, step, self.format.minimum, self.format.maximum, self.gradient_scale(x))

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return codes (int8 or uint8), scale = step, no zero point.

        Raises:
            RuntimeError: step not initialized.
            ValueError: NaN in `x`.
        """
        if not self.is_ready:
            raise RuntimeError(
                self.named("cannot quantize: the step is not initialized (train, or observe and freeze)")
            )
        step = self._broadcast(x).clamp_min(SMALLEST_STEP)
        codes = uniform_codes(x, step, torch.zeros((), device=x.device), self.format.minimum, self.format.maximum)
        if bool(torch.isnan(codes).any()):
            raise ValueError(self.named("NaN has no code"))
        stored = codes.to(torch.int8 if self.format.minimum < 0 else torch.uint8)
        return Quantized(stored, step.detach(), None, self.format)

    def _broadcast(self, x: Tensor) -> Tensor:
        """Return the step in the shape that broadcasts against `x`."""
        if self.channels is None:
            return self.step
        shape = [1] * x.dim()
        shape[self.channel_axis] = -1
        return self.step.view(shape)

    def get_extra_state(self) -> dict[str, Tensor]:
        """Return whether the step is initialized, and the sums for it while it is not."""
        return {
            "state": torch.tensor(self._state.value),
            "magnitude": self._magnitude.clone(),
            "count": torch.tensor(self._count),
        }

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `get_extra_state` gave."""
        self._state = QuantizerState(int(state["state"]))
        self._magnitude = state["magnitude"].cpu().clone()
        self._count = int(state["count"])

    def extra_repr(self) -> str:
        """Return the settings and the state for `repr`."""
        return f"{self.format}, channels={self.channels}, batch_axis={self.batch_axis}, state={self._state.name}"
