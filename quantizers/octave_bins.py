"""Bins that are as fine for small magnitudes as for large ones: so many in every octave."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST_OCTAVE = -1022
"""The octave of the smallest normal float64."""

# Keys are ±1 for the bin of zero, then ±2, ±3, .. from LOWEST_OCTAVE on; of them int32 holds as many as there can be.
_OF_ZERO = 1
_FIRST = 2
# Elements at a time: the temporaries stay in the cache, and torch does not split so few among threads, whose meeting
# after every operation takes longer than the work on a busy machine.
_CHUNK = 1 << 15

Bins = tuple[Tensor, Tensor]
"""Bins that are not empty: keys (int32), counts (int64)."""

NOTHING: Bins = (torch.empty(0, dtype=torch.int32), torch.empty(0, dtype=torch.int64))
"""No bins."""


@dataclass(frozen=True)
class OctaveBins:
    """The bins of real numbers: each octave [2^E, 2^(E+1)) has `each` equal ones, on either side of zero.

    What lies below an octave that the caller chooses shares one bin with the zeros of its side. The side of x >= 0 has
    -0.0, too. Bins have keys, int32, that rise with the values in them and are negative where those are.

    Attributes:
        each: bins of an octave, a power of two.
    """

    each: int

    @property
    def bits(self) -> int:
        """The base-2 logarithm of `each`: the bits of the mantissa that choose a bin."""
        return self.each.bit_length() - 1

    def count(self, row: Tensor, before: Bins, lowest: int, end: int) -> Bins:
        """Return the bins that are not empty, of the values in `row` and of those counted before: keys, counts.

        Args:
            row: float32 or float64 [n], finite, magnitudes below 2^end.
            before: keys and counts; a key may be there more than once.
            lowest: the octave below which values go to the bin of zero.
            end: the octave after the last.
        """
        first = _FIRST + (lowest - LOWEST_OCTAVE) * self.each  # the key of the first bin of the lowest octave
        keys, counts = before
        earlier = (keys.abs().long() - first + 1).clamp_min_(0)
        earlier = torch.where(keys < 0, ~earlier, earlier)
        now = self._slots(row, lowest)
        last = (end - lowest) * self.each
        if len(now) + len(earlier) <= last // 8:  # so few are sorted faster than all bins are looked through
            slots, place = torch.cat([now.cpu().long(), earlier]).unique(return_inverse=True)
            ones = torch.ones(len(now), dtype=torch.int64)
            total = torch.zeros(len(slots), dtype=torch.int64).index_add_(0, place, torch.cat([ones, counts]))
        else:
            slots, total = _counted(now, earlier, counts, last)
        key = torch.where((slots == 0) | (slots == -1), _OF_ZERO, torch.where(slots < 0, ~slots, slots) - 1 + first)
        return torch.where(slots < 0, -key, key).int(), total

    def _slots(self, row: Tensor, lowest: int) -> Tensor:
        """Return the place of each value among the bins from zero: 0, 1, .. where x >= 0, and -1, -2, .. where x < 0.

        int32; 0 and -1 are the bins of zero.
        """
        # float32 has its own bits for magnitudes from 2^-126 on.
        if row.dtype == torch.float32 and lowest >= -126 and self.bits <= 23:
            integer, mantissa, bias = torch.int32, 23, 127
        else:
            row, integer, mantissa, bias = row.double(), torch.int64, 52, 1023
        magnitude = torch.iinfo(integer).max
        before = ((lowest + bias) << self.bits) - 1  # the upper bits of the numbers just before the lowest octave
        result = torch.empty(row.numel(), dtype=torch.int32, device=row.device)
        for part, place in zip(row.split(_CHUNK), result.split(_CHUNK), strict=True):
            slot = (part.view(integer) & magnitude) >> (mantissa - self.bits)
            slot = (slot - before).clamp_min_(0)
            place.copy_(slot.bitwise_xor_((part < 0).to(integer).neg_()))  # XOR -1 is -1 - slot
        return result

    def edges(self, keys: Tensor, lowest: int) -> tuple[Tensor, Tensor]:
        """Return the lower and upper edges of bins, float64; the bins of zero reach to 2^lowest."""
        octave, place = self._octave(keys)
        unit = torch.ldexp(torch.ones(len(keys), dtype=torch.float64), octave)
        near, far = ((1 + (place + step) / self.each) * unit for step in (0, 1))
        near, far = near.masked_fill(is_of_zero(keys), 0.0), far.masked_fill(is_of_zero(keys), math.ldexp(1.0, lowest))
        return torch.where(keys < 0, -far, near), torch.where(keys < 0, -near, far)

    def equal_bin(self, keys: Tensor, exponent: int) -> tuple[Tensor, Tensor]:
        """Return k >= 0 of the bin [k·w, (k+1)·w), w = 2^exponent, that holds each bin, and whether one does (bool).

        One does below `2 · each · w`; bins beyond are wider than w.
        """
        octave, place = self._octave(keys)
        # A bin of octave E begins at (each + place) · 2^(E - bits).
        shift = self.bits + exponent - octave
        index = (self.each + place) >> shift.clamp(0, 62)
        return index.masked_fill(is_of_zero(keys), 0), (shift >= 0) | is_of_zero(keys)

    def _octave(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return the octave and the place in it of each bin; anything for those of zero."""
        offset = (keys.abs().long() - _FIRST).clamp_min(0)
        return offset // self.each + LOWEST_OCTAVE, offset % self.each


def _counted(now: Tensor, earlier: Tensor, counts: Tensor, last: int) -> Bins:
    """Return the slots that are not empty, int64, rising, and their counts; by a table of all from the smallest on.

    Args:
        now: slots that count once each, int32 [n].
        earlier: slots, int64 [m], with `counts`, int64 [m].
        last: the largest slot there can be.
    """
    both = (*now.split(_CHUNK), earlier.int())
    # The slots of zero, 0 and -1, become the largest number.
    away = [(_side_of_zero(slots) - 1).bitwise_and_(torch.iinfo(torch.int32).max) for slots in both if len(slots)]
    skipped = min(int(torch.stack([each.amin().cpu() for each in away]).amin()), last)
    side = last - skipped + 1

    def index(slots: Tensor) -> Tensor:
        place = (_side_of_zero(slots) - skipped).clamp_min_(0)
        return place.bitwise_xor_(slots >> 31).add_(side)

    for part in now.split(_CHUNK):
        part.copy_(index(part))
    table = torch.bincount(now, minlength=2 * side).cpu().index_add_(0, index(earlier.int()), counts)
    filled = table.nonzero().flatten()
    place = filled - side
    slots = torch.where(place < 0, ~place, place)
    slots += skipped * (slots > 0)
    return torch.where(place < 0, ~slots, slots), table[filled]


def _side_of_zero(slots: Tensor) -> Tensor:
    """Return the slots without their side: 0 for zero, then 1, 2, .. outwards; int32."""
    return slots ^ (slots >> 31)


def is_of_zero(keys: Tensor) -> Tensor:
    """Return which keys are those of the bins of zero."""
    return keys.abs() == _OF_ZERO
