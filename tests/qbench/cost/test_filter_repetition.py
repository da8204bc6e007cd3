"""Distinct filters against a plain loop over tuples, and the published figures of random weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.cost.filter_repetition import FilterRepetition, filter_repetition, network_repetition


def loop(weight: torch.Tensor, inverses: bool) -> int:
    total = 0
    for channel in range(weight.shape[1]):
        seen = set()
        for filter in range(weight.shape[0]):
            key = tuple(weight[filter, channel].flatten().int().tolist())
            negated = tuple(-v for v in key)
            seen.add(max(key, negated) if inverses else key)
        total += len(seen)
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**6))
def test_counts_equal_a_loop(filters: int, maps: int, height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(0, 2, (filters, maps, height, width), generator=generator).float() * 2 - 1
    found = filter_repetition(weight, positions=7)
    assert found.distinct == loop(weight, inverses=True)
    assert found.distinct_signed == loop(weight, inverses=False)


def test_a_filter_and_its_inverse_are_one() -> None:
    row = torch.tensor([-1.0, 1.0, -1.0]).reshape(1, 1, 1, 3)
    found = filter_repetition(torch.cat([row, -row, row]), positions=1)
    assert (found.distinct, found.distinct_signed, found.bound) == (1, 2, 8)
    assert found.unique_fraction == pytest.approx(1 / 3)


def test_the_same_filter_on_two_maps_is_two() -> None:
    # A result can be reused only for the same input map.
    found = filter_repetition(torch.ones(4, 2, 3, 3), positions=1)
    assert found.distinct == 2
    assert found.unique_fraction == pytest.approx(1 / 4)


def test_random_baseline_of_the_cifar10_net_is_62_percent_and_1_7_times() -> None:
    # Six 3×3 layers; 62 % and 1.7× are what random ±1 weights give under this definition.
    shapes = [(128, 3, 1024), (128, 128, 1024), (256, 128, 256), (256, 256, 256), (512, 256, 64), (512, 512, 64)]
    generator = torch.Generator().manual_seed(0)
    layers = []
    for out, maps, positions in shapes:
        weight = torch.randint(0, 2, (out, maps, 3, 3), generator=generator) * 2 - 1
        layers.append(("conv", filter_repetition(weight, positions)))
    found = network_repetition(layers)
    assert found is not None
    assert found.unique_fraction == pytest.approx(0.62, abs=0.005)
    assert found.random_fraction == pytest.approx(found.unique_fraction, abs=0.005)
    assert found.op_reduction == pytest.approx(1.7, abs=0.05)
    assert found.random_op_reduction == pytest.approx(found.op_reduction, abs=0.02)
    assert found.unique_fraction_signed > found.unique_fraction


def test_op_reduction_weights_layers_by_positions() -> None:
    # By hand: layer a: 4 filters, 1 map, 10 positions, 1 distinct; layer b: 4 filters, 1 map, 1 position, 4 distinct.
    a = FilterRepetition(filters=4, input_maps=1, size=9, positions=10, distinct=1, distinct_signed=1)
    b = FilterRepetition(filters=4, input_maps=1, size=9, positions=1, distinct=4, distinct_signed=4)
    found = network_repetition([("a", a), ("b", b)])
    assert found is not None
    assert found.op_reduction == pytest.approx((40 + 4) / (10 + 4))
    assert found.op_reduction_with_additions == pytest.approx((40 * 9 + 4 * 9) / (10 * 9 + 40 + 4 * 9 + 4))
    assert found.unique_fraction == pytest.approx((1 / 4 + 1) / 2)


def test_no_binary_convolution_has_no_figure() -> None:
    assert network_repetition([]) is None
    one = filter_repetition(torch.ones(3, 2, 1, 1), positions=4)
    assert network_repetition([("1x1", one)]) is None


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (torch.zeros(2, 2, 3, 3), "only -1 and \\+1"),
        (torch.ones(2, 3), "must be \\[M, C, k, k\\]"),
        (torch.ones(2, 2, 8, 8), "at most 62"),
    ],
)
def test_bad_weights_are_refused(weight: torch.Tensor, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        filter_repetition(weight, 1)
