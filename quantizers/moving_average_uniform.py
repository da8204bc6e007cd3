"""Quantization-aware training: uniform quantization whose range follows a moving average of the extremes."""

from __future__ import annotations

from torch import Tensor

from quantizers.moving_average_observer import MovingAverageObserver
from quantizers.registered import register
from quantizers.uniform import QuantizerState, Uniform


@register("int8_qat")
class MovingAverageUniform(Uniform):
    """`Uniform` for training: every training batch moves the range, then is quantized over it.

    Forward (training): `MovingAverageObserver` takes in x; the min-max rule over the averages gives scale and zero
    point; x is quantized with them. Forward (evaluation): the last range; x itself before the first training batch.
    Backward: 1 inside the range, 0 outside. `observe` and `freeze` set a first range without training.

    Args:
        momentum: share of the newest batch in the averages; 1 for weights, whose range is that of the current tensor.
        bits, signed, full_range, channel_axis, power_of_two: as for `Uniform`.

    The averages are part of the state_dict: a resumed training continues with the same ranges.

    Source: Jacob et al. (CVPR 2018) section 3 and 3.1.
    """

    def __init__(
        self,
        bits: int = 8,
        signed: bool = True,
        full_range: bool = False,
        channel_axis: int | None = None,
        power_of_two: bool = False,
        momentum: float = 0.01,
    ) -> None:
        super().__init__(
            bits=bits,
            signed=signed,
            full_range=full_range,
            channel_axis=channel_axis,
            power_of_two=power_of_two,
            rule="minmax",
            observer=MovingAverageObserver(momentum, channel_axis),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() and self.state is not QuantizerState.OBSERVING:
            self.observe(x)
            self.freeze()
        return super().forward(x)

    @property
    def _stores_statistics(self) -> bool:
        return True
