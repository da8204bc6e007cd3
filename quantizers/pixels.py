"""8-bit pixels behind real-valued images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_TOLERANCE = 1e-5  # the ways to compute 2q/255 - 1 in float32 differ by 1e-7; neighbouring pixels by 8e-3
_LIMITS = {"multiplier": (1, 2), "offset": (0, 510), "divisor": (1, 2**16)}


@dataclass(frozen=True)
class Pixels:
    """The integers that make an image's values of its pixels q in 0..255: `x = (multiplier·q - offset) / divisor`.

    A first layer with ±1 weights is then integer arithmetic: with `S = Σ (multiplier·q - offset)·w` over the taps
    inside the image (a padded zero adds nothing), its value is `S / divisor`. BinaryNet's `2q/255 - 1` is (2, 255,
    255): real 0 is no pixel there.

    Raises:
        ValueError: a multiplier other than 1 and 2, or another number that is no integer or out of range.

    >>> Pixels(multiplier=1, offset=8, divisor=8).decode(torch.tensor([0, 8, 16], dtype=torch.uint8)).tolist()
    [-1.0, 0.0, 1.0]
    """

    multiplier: int
    offset: int
    divisor: int

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")
        if self.offset > 255 * self.multiplier:
            raise ValueError(f"offset must be at most 255·multiplier, so that 0 is in range, got {self.offset}")

    @property
    def scale(self) -> float:
        """The S of `x = S·(q - Z)`."""
        return self.multiplier / self.divisor

    @property
    def zero_point(self) -> float:
        """The Z of `x = S·(q - Z)`, a multiple of ½."""
        return self.offset / self.multiplier

    @property
    def bound(self) -> int:
        """The largest |multiplier·q - offset|."""
        return max(self.offset, abs(255 * self.multiplier - self.offset))

    def decode(self, q: Tensor) -> Tensor:
        """Return the float32 values of uint8 pixels, as training saw them."""
        return (self.multiplier * q.to(torch.float32) - self.offset) / self.divisor

    def nearest(self, x: Tensor) -> Tensor:
        """Return the nearest pixels, as floating point; values beyond 0 and 255 saturate, NaN stays NaN."""
        return ((x * self.divisor + self.offset) / self.multiplier).round().clamp(0, 255)

    def encode(self, x: Tensor) -> Tensor:
        """Return the uint8 pixels of float32 values.

        Raises:
            ValueError: values that no pixel has.
        """
        q = self.nearest(x)
        close = (self.decode(q) - x).abs() <= _TOLERANCE  # NaN is close to nothing
        if not bool(close.all()):
            value = x[~close].flatten()[0].item()
            raise ValueError(
                f"images: expected values ({self.multiplier}·q - {self.offset})/{self.divisor} of pixels q in 0..255, "
                f"got {value:.6g} ({int((~close).sum())} of {x.numel()} values)"
            )
        return q.to(torch.uint8)


KNOWN_PIXELS = (
    Pixels(multiplier=1, offset=8, divisor=8),  # digits: q/8 - 1
    Pixels(multiplier=2, offset=255, divisor=255),  # BinaryNet's images: 2q/255 - 1
    Pixels(multiplier=1, offset=0, divisor=255),
    Pixels(multiplier=1, offset=0, divisor=1),
)


def find_pixels(images: Tensor) -> Pixels | None:
    """Return the first of KNOWN_PIXELS that every value of `images` (float32) fits; None where there is none."""
    for pixels in KNOWN_PIXELS:
        try:
            pixels.encode(images)
        except ValueError:
            continue
        return pixels
    return None
