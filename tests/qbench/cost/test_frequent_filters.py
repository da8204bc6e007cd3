"""The most repeated filters against counts in a dictionary."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.cost.frequent_filters import FrequentFilter, frequent_filters


def text(filter: torch.Tensor) -> str:
    return "".join("1" if value > 0 else "0" for value in filter.flatten().tolist())


def inverse(bits: str) -> str:
    return bits.translate(str.maketrans("01", "10"))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 10**6))
def test_they_are_those_of_a_dictionary(filters: int, maps: int, height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(0, 2, (filters, maps, height, width), generator=generator) * 2 - 1
    signed = Counter(text(weight[i, j]) for i in range(filters) for j in range(maps))
    pairs = Counter({bits: signed[bits] + signed[inverse(bits)] for bits in signed if bits <= inverse(bits)})
    pairs |= Counter({inverse(bits): signed[bits] + signed[inverse(bits)] for bits in signed if bits > inverse(bits)})
    found = frequent_filters(weight, most=5)
    assert [each.count for each in found] == sorted(pairs.values(), reverse=True)[:5]
    assert len({min(each.bits, inverse(each.bits)) for each in found}) == len(found)
    for each in found:
        assert each.count == pairs[min(each.bits, inverse(each.bits))]
        assert signed[each.bits] >= signed[inverse(each.bits)]
        assert (each.rows, each.columns) == (height, width)


def test_the_first_bit_is_the_top_left_weight_and_the_frequent_variant_is_shown() -> None:
    corner = -torch.ones(2, 3)
    corner[0, 0] = 1
    weight = torch.stack([corner, -corner, corner, torch.ones(2, 3)]).reshape(2, 2, 2, 3)
    assert frequent_filters(weight) == [FrequentFilter("100000", 2, 3, 3), FrequentFilter("111111", 2, 3, 1)]
    assert frequent_filters(-weight)[0] == FrequentFilter("011111", 2, 3, 3)
