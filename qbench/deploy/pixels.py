"""8-bit pixels behind real-valued images: `x = (multiplier·q - offset) / divisor` with q in 0..255."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

_TOLERANCE = 1e-5  # the ways to compute 2q/255 - 1 in float32 differ by 1e-7; neighbouring pixels by 8e-3


class Pixels(BaseModel):
    """How an image's values are made of pixels: `x = (multiplier·q - offset) / divisor`, all integers.

    A first layer with ±1 weights is then integer arithmetic: with `S = Σ (multiplier·q - offset)·w` over the taps
    inside the image (a padded zero adds nothing), its value is `S / divisor`. BinaryNet's `2q/255 - 1` is (2, 255,
    255), its section 3.4 the sum over bit planes.

    >>> Pixels(multiplier=1, offset=8, divisor=8).decode(torch.tensor([0, 8, 16], dtype=torch.uint8)).tolist()
    [-1.0, 0.0, 1.0]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    multiplier: int = Field(ge=1, le=255)
    offset: int = Field(ge=0, le=255 * 255)
    divisor: int = Field(ge=1, le=2**16)

    @property
    def bound(self) -> int:
        """The largest |multiplier·q - offset|."""
        return max(self.offset, abs(255 * self.multiplier - self.offset))

    def decode(self, q: Tensor) -> Tensor:
        """uint8 pixels as the float32 values that training saw."""
        return (self.multiplier * q.to(torch.float32) - self.offset) / self.divisor

    def encode(self, x: Tensor) -> Tensor:
        """float32 values as uint8 pixels.

        Raises:
            ValueError: values that no pixel has.
        """
        q = ((x * self.divisor + self.offset) / self.multiplier).round().clamp(0, 255)
        close = (self.decode(q) - x).abs() <= _TOLERANCE  # NaN is close to nothing
        if not bool(close.all()):
            value = x[~close].flatten()[0].item()
            raise ValueError(
                f"images: expected values ({self.multiplier}·q - {self.offset})/{self.divisor} of pixels q in 0..255, "
                f"got {value:.6g} ({int((~close).sum())} of {x.numel()} values)"
            )
        return q.to(torch.uint8)


KNOWN = (
    Pixels(multiplier=1, offset=8, divisor=8),  # digits: q/8 - 1
    Pixels(multiplier=2, offset=255, divisor=255),  # BinaryNet's images: 2q/255 - 1
    Pixels(multiplier=1, offset=0, divisor=255),
    Pixels(multiplier=1, offset=0, divisor=1),
)


def find_pixels(images: Tensor) -> Pixels | None:
    """The first of KNOWN that every value of `images` (float32) fits; None where the images are no such pixels."""
    for pixels in KNOWN:
        try:
            pixels.encode(images)
        except ValueError:
            continue
        return pixels
    return None
