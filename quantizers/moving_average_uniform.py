"""Uniform quantization for training, whose range follows a moving average of the extremes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from quantizers.encoding import Encoding
from quantizers.moving_average_observer import MovingAverageObserver
from quantizers.registered import register
from quantizers.uniform import QuantizerState, Uniform


@register("int8_qat")
class MovingAverageUniform(Uniform):
    """`Uniform` for training: every training batch moves the range, then is quantized over it.

    Forward (training): `MovingAverageObserver` takes in x; min-max over the averages gives scale and zero point, with
    which x is quantized. Forward (evaluation): the last range; x itself before the first training batch.
    Backward: 1 inside the range, 0 outside. `observe` and `freeze` set a first range without training.

    Args:
        bits: 2..8.
        momentum: share of the newest batch in the averages; 1 for weights, whose range is that of the current tensor.
        channel_axis: dimension whose entries have averages and a range of their own; None for one range.
        options: signed, full_range and power_of_two, as for `Uniform`. Method and observer are not options here.

    Raises:
        ValueError: a momentum out of range, besides those of `Uniform`.
        TypeError: a method or an observer.

    The averages are part of the state_dict: a resumed training continues with the same ranges.

    Source: Jacob et al. (CVPR 2018) section 3 and 3.1.
    """

    def __init__(
        self,
        bits: int = 8,
        *,
        momentum: float = 0.01,
        channel_axis: int | None = None,
        **options: Any,
    ) -> None:
        observer = MovingAverageObserver(momentum, channel_axis)
        super().__init__(bits=bits, channel_axis=channel_axis, method="minmax", observer=observer, **options)

    @property
    def needs_calibration(self) -> bool:
        """False: the first training batch gives a range."""
        return False

    def encoding(self) -> Encoding | None:
        """Return the latest scale, and zero point where asymmetric; None while not quantizing."""
        return super().encoding()

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to the format, over a range that `x` has moved in training; see the class."""
        if self.training and x.numel() and self.state is not QuantizerState.OBSERVING:
            self.observe(x)
            self.freeze()
        return super().forward(x)

    @property
    def _stores_statistics(self) -> bool:
        """True: a resumed training continues the averages."""
        return True
