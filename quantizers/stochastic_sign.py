"""Stochastic binarization: a sign drawn with the hard sigmoid's probability."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.sign import Estimator, Sign, plus_minus_one, saturated_gradient


def hard_sigmoid(x: Tensor) -> Tensor:
    """`σ(x) = clip((x + 1) / 2, 0, 1)`. Source: BinaryConnect (NIPS 2015) eq. 3."""
    return ((x + 1) / 2).clamp(0, 1)


def stochastic_sign(x: Tensor, generator: torch.Generator) -> Tensor:
    """+1 with probability `σ(x)` (hard sigmoid), else -1; NaN gives -1.

    `x >= 1` is always +1 and `x <= -1` always -1: the uniform draw u lies in [0, 1) and +1 needs u < σ(x).
    """
    u = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32)
    return plus_minus_one(torch.lt(u, hard_sigmoid(x.detach()), out=torch.empty_like(x)))


class _StochasticSignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, generator: torch.Generator, saturate: bool) -> Tensor:
        ctx.saturate = saturate
        ctx.save_for_backward(x)
        return stochastic_sign(x, generator)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return (saturated_gradient(grads[0], x) if ctx.saturate else grads[0]), None, None


@register("stochastic_sign")
class StochasticSign(Sign):
    """Stochastic sign in training, deterministic sign in evaluation.

    Forward (training): +1 with probability `σ(x) = clip((x+1)/2, 0, 1)`, else -1; `E[q(x)] = clip(x, -1, 1)`.
    Forward (evaluation), and `quantize`: `+1 if x >= 0 else -1`.
    Backward: as `Sign`; the saturated estimator is the derivative of the expectation.

    Args:
        seed: of the quantizer's own `torch.Generator`; its state is part of the state_dict, so a resumed training
            draws the same numbers.
        estimator, clip: as for `Sign`.

    Source: BinaryConnect (NIPS 2015) section 2.3; BinaryNet (arXiv 1602.02830) eq. 2-3.
    """

    def __init__(self, seed: int = 0, estimator: Estimator = "saturated", clip: float | None = 1.0) -> None:
        super().__init__(estimator, clip)
        self.seed = seed
        self._generator: torch.Generator | None = None
        self._stored_state: Tensor | None = None  # of a loaded checkpoint, until its device is known

    def generator(self, device: torch.device) -> torch.Generator:
        """The quantizer's generator on `device`, seeded at its first use there.

        Raises:
            RuntimeError: the state of a loaded checkpoint belongs to another kind of device; `reseed` starts anew.
        """
        if self._generator is None or self._generator.device != device:
            self._generator = torch.Generator(device).manual_seed(self.seed)
            if self._stored_state is not None:
                self._generator.set_state(self._stored_state)
                self._stored_state = None
        return self._generator

    def reseed(self, seed: int) -> None:
        self.seed = seed
        self._generator = None
        self._stored_state = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        return _StochasticSignSTE.apply(x, self.generator(x.device), self.estimator == "saturated")

    def get_extra_state(self) -> Tensor:
        """The generator's state; empty before the first draw."""
        if self._generator is not None:
            return self._generator.get_state()
        return self._stored_state if self._stored_state is not None else torch.empty(0, dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        self._generator = None
        self._stored_state = state.cpu().clone() if state.numel() else None

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """As in evaluation: the deterministic sign."""
        return super().quantize(x)

    def extra_repr(self) -> str:
        return f"seed={self.seed}, {super().extra_repr()}"
