"""Stochastic binarization: a sign drawn with the hard sigmoid's probability."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.encoding import Encoding
from quantizers.quantized import Quantized
from quantizers.registered import register
from quantizers.sign import GRADIENTS, Estimator, Sign, plus_minus_one
from quantizers.straight_through import straight_through


def hard_sigmoid(x: Tensor) -> Tensor:
    """Return `σ(x) = clip((x + 1) / 2, 0, 1)`, in x's shape and dtype.

    Source: BinaryConnect (NIPS 2015) eq. 3.
    """
    return ((x + 1) / 2).clamp(0, 1)


def stochastic_sign(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw +1 with probability `σ(x)` (hard sigmoid), else -1, in x's shape and dtype; NaN gives -1.

    `x >= 1` is always +1 and `x <= -1` always -1: the uniform draw u lies in [0, 1) and +1 needs u < σ(x).

    Args:
        x: floating point.
        generator: on the device of `x`; it moves on by x.numel() draws of float32.

    Source: BinaryConnect (NIPS 2015) eq. 2-3.
    """
    u = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32)
    return plus_minus_one(torch.lt(u, hard_sigmoid(x.detach()), out=torch.empty_like(x)))


@register("stochastic_sign")
class StochasticSign(Sign):
    """The stochastic sign in training, the deterministic sign in evaluation.

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
        """Return the quantizer's generator on `device`, seeded at its first use there.

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
        """Start the random stream at `seed`; a loaded state is forgotten."""
        self.seed = seed
        self._generator = None
        self._stored_state = None

    def forward(self, x: Tensor) -> Tensor:
        """Return signs of `x`, drawn in training; see the class."""
        if not self.training:
            return super().forward(x)
        generator = self.generator(x.device)
        return straight_through(x, lambda x: stochastic_sign(x, generator), GRADIENTS[self.estimator])

    @property
    def is_binary(self) -> bool:
        """True: -1 and +1 alone, drawn or not."""
        return True

    def encoding(self) -> Encoding | None:
        """Return scale 1 without zero point."""
        return super().encoding()

    def get_extra_state(self) -> Tensor:
        """Return the generator's state; empty before the first draw."""
        if self._generator is not None:
            return self._generator.get_state()
        return self._stored_state if self._stored_state is not None else torch.empty(0, dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Keep a stored state until the next draw says for which device."""
        self._generator = None
        self._stored_state = state.cpu().clone() if state.numel() else None

    @torch.no_grad()
    def quantize(self, x: Tensor) -> Quantized:
        """Return the codes of evaluation: the deterministic sign, scale 1."""
        return super().quantize(x)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"seed={self.seed}, {super().extra_repr()}"
