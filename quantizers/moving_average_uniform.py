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

    The averages are part of the state_dict: a resumed training continues with the same ranges. Where only scale and
    zero point are known (of an average of networks), training goes on from their range.

    Where several processes train together (`torch.distributed`), a training batch is that of all ranks: ranges are
    equal on all of them, as one process would have them. `observe` and `freeze` are of one process.

    Source: Jacob et al. (CVPR 2018) section 3 and 3.1.
    """

    observer: MovingAverageObserver

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
        # Until training or a caller sets it, it follows from the scale: averages of networks (EMA) copy nothing else.
        self._state = None

    @property
    def needs_calibration(self) -> bool:
        """False: the first training batch gives a range."""
        return False

    def encoding(self) -> Encoding | None:
        """Return the latest scale, and zero point where asymmetric; None while not quantizing."""
        return super().encoding()

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to the format, over a range that `x` has moved in training; see the class."""
        if self.training and self.state is not QuantizerState.OBSERVING:
            self._follow(x)
        return super().forward(x)

    def _follow(self, x: Tensor) -> None:
        """Move the range by a training batch, of all ranks."""
        averages = self._averages_or_those_of_the_scale()
        averages.owner = self.layer_name
        averages.observe_on_all_ranks(x)
        if not averages.is_empty:
            self.freeze()

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `get_extra_state` gave; errors as there."""
        super().set_extra_state(state)
        if not self._has_scale and self._state is QuantizerState.PASS_THROUGH:
            self._state = None

    def _averages_or_those_of_the_scale(self) -> MovingAverageObserver:
        """Return the averages; where there are none, set to the range of the scale if there is one."""
        averages = self.observer
        if averages.is_empty and self.is_ready:
            of_scale = Encoding(self.format, self.scale, self.zero_point.round())
            averages.minimum, averages.maximum = of_scale.low.cpu(), of_scale.high.cpu()
        return averages

    @property
    def _stores_statistics(self) -> bool:
        """True: a resumed training continues the averages."""
        return True
