"""Bins of octaves against their definition in Python floats."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantizers.octave_bins import NOTHING, OctaveBins

FLOATS = st.lists(st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False), max_size=40)


def expected(values, each, lowest):
    """Return {(lower edge, upper edge): count}: of each value the bin of its octave; below 2^lowest that of zero."""
    found = {}
    for value in values:
        magnitude = abs(value)
        if magnitude < 2.0**lowest:
            lower, upper = 0.0, 2.0**lowest
        else:
            octave = math.frexp(magnitude)[1] - 1
            width = 2.0**octave / each
            lower = magnitude // width * width
            upper = lower + width
        edges = (-upper, -lower) if value < 0 else (lower, upper)
        found[edges] = found.get(edges, 0) + 1
    return found


def counted(bins, values, before=NOTHING, lowest=-126, dtype=torch.float32):
    return bins.count(torch.tensor(values, dtype=dtype), before, lowest, 41)


def as_dict(bins, counted, lowest):
    keys, counts = counted
    assert keys.dtype == torch.int32
    assert torch.equal(keys, keys.sort().values)
    lower, upper = bins.edges(keys, lowest)
    edges = zip(lower.tolist(), upper.tolist(), strict=True)
    return dict(zip(edges, counts.tolist(), strict=True))


# Few values are sorted and many are looked up in a table, which few bins make many.
@pytest.mark.parametrize("each", [1, 4, 1024])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(values=FLOATS, earlier=FLOATS, lowest=st.sampled_from([-126, -3, 30]))
def test_every_value_is_in_its_bin(each, dtype, values, earlier, lowest):
    bins = OctaveBins(each)
    found = counted(bins, values, counted(bins, earlier, lowest=-200), lowest, dtype)
    assert as_dict(bins, found, lowest) == expected(values + earlier, each, lowest)


def test_many_values():
    x = torch.randn(50_000, generator=torch.Generator().manual_seed(0)) * 1e3
    bins = OctaveBins(1024)
    table = bins.count(x, NOTHING, -126, 41)
    parts = NOTHING
    for part in x.split(3000):  # sorted
        parts = bins.count(part, parts, -126, 41)
    assert as_dict(bins, table, -126) == as_dict(bins, parts, -126) == expected(x.tolist(), 1024, -126)


def test_equal_bins_hold_whole_bins_of_octaves():
    bins = OctaveBins(4)
    keys, _ = counted(bins, [0.0, 0.3, 0.99, 1.0, 1.9, 3.9, 4.0, 7.9, 8.0, -0.3, -5.0])
    lower, _ = bins.edges(keys, -126)
    index, held = bins.equal_bin(keys, 0)
    assert held.tolist() == [abs(edge) < 8 for edge in lower.tolist()]
    by_edge = dict(zip(lower[held].tolist(), index[held].tolist(), strict=True))
    assert by_edge == {
        -6.0: 5,
        -0.3125: 0,
        0.0: 0,
        0.25: 0,
        0.875: 0,
        1.0: 1,
        1.75: 1,
        3.5: 3,
        4.0: 4,
        7.0: 7,
    }
