"""How far two computations of one network are apart."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

TOLERANCE = 1e-4
"""The largest difference that float32 may make, over the largest value of a tensor."""


class MismatchError(Exception):
    """A quantized network computes something else than its scheme says; the message says where."""


@dataclass
class Difference:
    """The largest difference that was met, over the largest value of its tensor, and where."""

    value: float = 0.0
    place: str = ""

    def meet(self, expected: Tensor, found: Tensor, place: str) -> None:
        """Take in two tensors that should be equal.

        Raises:
            MismatchError: they differ by more than rounding in float32, or in shape.
        """
        if expected.shape != found.shape:
            raise MismatchError(f"{place}: shape {list(found.shape)}, right is {list(expected.shape)}")
        if expected.numel() == 0:
            return
        largest = max(float(expected.abs().max()), 1e-6)
        error = float((expected - found.to(expected.dtype)).abs().max()) / largest
        if not error <= TOLERANCE:
            raise MismatchError(f"{place}: off by {error:.1e} of the largest value, {largest:.3g}")
        if error > self.value:
            self.value, self.place = error, place
