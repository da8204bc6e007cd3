"""Observers: exact, mergeable in any order, never losing a count."""

import math
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantizers import HistogramObserver, MinMaxObserver, MovingAverageObserver

VALUE = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(-4, 4, width=32),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**100, 2.0**-149, -(2.0**-140), 2.0**127]),
)
BATCHES = st.lists(st.lists(VALUE, max_size=12), max_size=6)


def seen(batches, observer):
    for batch in batches:
        observer.observe(torch.tensor(batch, dtype=torch.float32))
    return observer


def assert_same(a, b):
    assert type(a) is type(b)
    left, right = a.to_tensors(), b.to_tensors()
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert tensor.dtype == right[name].dtype, name
        assert torch.equal(tensor, right[name]), name


def expected_histogram(values, bins):
    """Counts and width by the definition, in Python floats (float64 division by a power of two is exact here)."""
    largest = max((abs(v) for v in values), default=0.0)
    if largest == 0:
        return [len(values)] + [0] * (bins - 1), [0] * bins, 0.0
    width = 2.0 ** (math.frexp(largest)[1] - int(math.log2(bins)))
    positive, negative = [0] * bins, [0] * bins
    for v in values:
        (negative if v < 0 else positive)[int(abs(v) / width)] += 1
    return positive, negative, width


class TestHistogram:
    @given(batches=BATCHES, bins=st.sampled_from([2, 8, 64]))
    @settings(max_examples=200)
    def test_counts_equal_the_definition(self, batches, bins):
        values = [v for batch in batches for v in batch]
        observer = seen(batches, HistogramObserver(bins))
        if not values:
            assert observer.is_empty
            return
        positive, negative, width = expected_histogram(values, bins)
        assert observer.counts[0].tolist() == [positive, negative]
        assert observer.bin_width.tolist() == [width]
        assert observer.count == observer.counts.sum() == len(values)
        assert observer.minimum.item() == min(values)
        assert observer.maximum.item() == max(values)

    @given(batches=BATCHES, order=st.randoms(use_true_random=False))
    def test_order_of_batches_does_not_matter(self, batches, order):
        shuffled = list(batches)
        order.shuffle(shuffled)
        assert_same(seen(batches, HistogramObserver(16)), seen(shuffled, HistogramObserver(16)))

    @given(a=BATCHES, b=BATCHES, c=BATCHES, kind=st.sampled_from([HistogramObserver, MinMaxObserver]))
    def test_merge_is_having_seen_both_and_associative_and_commutative(self, a, b, c, kind):
        def make():
            return kind(16) if kind is HistogramObserver else kind()

        x, y, z = seen(a, make()), seen(b, make()), seen(c, make())
        before = x.to_tensors()
        assert_same(x.merge(y), seen(a + b, make()))
        assert_same(x.merge(y), y.merge(x))
        assert_same(x.merge(y).merge(z), x.merge(y.merge(z)))
        assert all(torch.equal(tensor, before[name]) for name, tensor in x.to_tensors().items())

    def test_merged_observers_go_on_apart(self):
        a = seen([[1.0]], HistogramObserver(8))
        merged = a.merge(HistogramObserver(8))
        merged.observe(torch.tensor([100.0]))
        assert_same(a, seen([[1.0]], HistogramObserver(8)))

    def test_first_batch_of_zeros(self):
        assert_same(
            seen([[0.0, -0.0, 0.0], [0.3, -7.0]], HistogramObserver(32)),
            seen([[0.3, -7.0], [0.0, 0.0, 0.0]], HistogramObserver(32)),
        )

    def test_growing_range_merges_pairs(self):
        observer = seen([[0.1, 0.6, 0.9]], HistogramObserver(8))  # width 1/8: bins 0, 4, 7
        assert observer.magnitudes() == (pytest.approx([1, 0, 0, 0, 1, 0, 0, 1]), 1 / 8)
        observer.observe(torch.tensor([3.9]))  # width 1/2: bins 0, 1, 1, 7
        counts, width = observer.magnitudes()
        assert counts.tolist() == [1, 2, 0, 0, 0, 0, 0, 1]
        assert width == 0.5

    def test_magnitudes_fold_both_sides_and_end_at_the_largest(self):
        observer = seen([[-5.5, -0.5, 0.5, 2.0]], HistogramObserver(8))
        counts, width = observer.magnitudes()
        assert (counts.tolist(), width) == ([2, 0, 1, 0, 0, 1], 1.0)

    def test_signed_histogram_has_exact_outer_edges(self):
        edges, counts = seen([[-5.5, -0.5, 0.5, 2.25]], HistogramObserver(8)).signed()
        assert edges.tolist() == [-5.5, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 2.25]
        assert counts.tolist() == [1, 0, 0, 0, 0, 1, 1, 0, 1]

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8])
    def test_dtypes(self, dtype):
        x = torch.arange(100).to(dtype)
        assert_same(seen([x.double().tolist()], HistogramObserver(64)), self.observed(x, HistogramObserver(64)))

    @staticmethod
    def observed(x, observer):
        observer.observe(x)
        return observer

    def test_counts_go_on_beyond_float32_and_int32(self):
        stored = seen([[1.0]], HistogramObserver(8)).to_tensors()
        stored["counts"] *= 2**32
        stored["count"] *= 2**32
        observer = HistogramObserver.from_tensors(stored)
        observer = observer.merge(observer)
        observer.observe(torch.tensor([1.0]))
        assert observer.count == observer.counts.sum() == 2**33 + 1

    def test_float64_extremes(self):
        x = torch.tensor([5e-324, 1e-320], dtype=torch.float64)
        observer = self.observed(x, HistogramObserver(8))
        assert observer.counts.sum() == 2
        observer.observe(torch.tensor([-1.7e308], dtype=torch.float64))
        assert observer.counts[0, 1, 7] == 1
        assert observer.counts.sum() == 3

    def test_an_outlier_leaves_the_others_as_fine_as_they_were(self):
        x = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
        alone, with_outlier = HistogramObserver(), HistogramObserver()
        alone.observe(x)
        with_outlier.observe(torch.tensor([-1e30]))
        with_outlier.observe(x)
        for found, whole in zip(with_outlier.filled(), alone.filled(), strict=True):
            assert torch.equal(found[2:-1], whole[1:-1])
        assert with_outlier.filled()[0][0] == with_outlier.minimum[0] == -torch.tensor(1e30)
        assert with_outlier.zoom() == alone.zoom() == alone.exponent()
        counts, width = with_outlier.magnitudes(exponent=with_outlier.zoom())
        assert torch.equal(counts, alone.magnitudes()[0])
        assert width == alone.bin_width.item()

    def test_zoom_goes_where_the_bulk_is(self):
        bulk = torch.linspace(0.5, 1.9, 2000)  # 99.9 % lie below 1.9, and 3.8 < 4 = 2048 · 2^-9
        for outlier, exponent in ((1.9, -10), (8.0, -7), (15.9, -7), (16.0, -9), (1e9, -9)):
            observer = HistogramObserver()
            observer.observe(bulk)
            observer.observe(torch.tensor([outlier]))
            assert observer.zoom() == exponent, outlier
        # The bulk is 486 of the bins of width 2^-8 that end at 8.
        observer = seen([bulk.tolist(), [7.0]], HistogramObserver())
        assert (observer.zoom(levels=256), observer.zoom(levels=512)) == (-8, -9)

    def test_zeros_are_no_bulk(self):
        observer = seen([[0.0] * 9000 + [1.0] * 999, [1e6]], HistogramObserver())
        assert observer.zoom() == -9  # of 1.0, doubled
        assert seen([[0.0, -0.0]], HistogramObserver()).zoom() == seen([[0.0]], HistogramObserver()).exponent()

    @given(batches=BATCHES)
    def test_filled_bins_hold_the_values(self, batches):
        values = [v for batch in batches for v in batch]
        observer = seen(batches, HistogramObserver(16))
        for exponent in (None, -3, 120) if values else ():
            lower, upper, counts = observer.filled(exponent=exponent)
            assert int(counts.sum()) == len(values)
            assert bool((upper[:-1] <= lower[1:]).all())
            for low, high, count in zip(lower.tolist(), upper.tolist(), counts.tolist(), strict=True):
                # Bins of values below zero have their lower edge outside, the others their upper edge.
                inside = sum(low < v <= high or v == low == min(values) for v in values if v < 0)
                inside += sum(low <= v < high or v == high == max(values) for v in values if v >= 0)
                assert inside >= count
            if exponent is not None:
                narrow = (upper - lower)[1:-1]
                assert bool((narrow >= 2.0**exponent).all())

    def test_filled_magnitudes_are_those_of_both_sides(self):
        lower, upper, counts = seen([[-1.5, 1.5, 0.0, 3.0, -1e9]], HistogramObserver(4)).filled_magnitudes()
        assert lower.tolist() == [0.0, 1.5, 3.0, 1.5 * 2**29]
        assert upper.tolist() == [2.0**-126, 2.0, 4.0, 2.0**30]
        assert counts.tolist() == [1, 2, 1, 1]

    def test_memory_is_bounded_by_the_values_and_by_the_octaves(self):
        weight = torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
        observer = self.observed(weight, HistogramObserver(channel_axis=0))
        assert observer.to_tensors()["counts"].numel() <= weight.numel()
        coarse = HistogramObserver(4)
        coarse.observe(2.0 ** torch.empty(200_000).uniform_(-126, 127))
        assert coarse.to_tensors()["keys"].numel() <= 254 * 4

    def test_statistics_in_bins_of_one_width_are_refused(self):
        stored = seen([[1.0]], HistogramObserver(8)).to_tensors()
        earlier = {key: tensor for key, tensor in stored.items() if key not in ("keys", "sizes")}
        with pytest.raises(ValueError, match="of an earlier version, in bins of one width; calibrate again"):
            HistogramObserver.from_tensors(earlier | {"exponents": torch.zeros(1, dtype=torch.int64)})

    @pytest.mark.parametrize("bins", [0, 1, 3, 1000, 2048.0])
    def test_bins_must_be_a_power_of_two(self, bins):
        with pytest.raises(ValueError, match="power of two"):
            HistogramObserver(bins)

    def test_a_million_values_take_a_few_milliseconds(self):
        x = torch.randn(1_000_000)
        observer = HistogramObserver()
        times = []
        for _ in range(7):
            start = time.thread_time()
            observer.observe(x)
            times.append(time.thread_time() - start)
        assert min(times) < 0.03  # about 3 ms on an idle core
        assert observer.counts.sum() == 7_000_000


class TestPerChannel:
    @given(st.integers(0, 10_000))
    @settings(max_examples=20)
    def test_each_channel_is_an_observer_of_its_own(self, seed):
        rng = np.random.default_rng(seed)
        batches = [
            torch.from_numpy(rng.normal(size=(5, 3, 2)) * 10.0 ** rng.integers(-3, 4, size=(1, 3, 1))).float()
            for _ in range(3)
        ]
        together = HistogramObserver(32, channel_axis=1)
        alone = [HistogramObserver(32) for _ in range(3)]
        for batch in batches:
            together.observe(batch)
            for channel in range(3):
                alone[channel].observe(batch[:, channel])
        for channel in range(3):
            assert torch.equal(together.counts[channel], alone[channel].counts[0])
            assert together.bin_width[channel] == alone[channel].bin_width[0]
            assert together.minimum[channel] == alone[channel].minimum[0]
            assert together.maximum[channel] == alone[channel].maximum[0]
        low, high = together.mean_extremes()
        for channel in range(3):
            assert (low[channel], high[channel]) == tuple(t[0] for t in alone[channel].mean_extremes())

    def test_another_number_of_channels(self):
        observer = HistogramObserver(8, channel_axis=0)
        observer.observe(torch.ones(3, 2))
        with pytest.raises(ValueError, match="4 channels after batches of 3"):
            observer.observe(torch.ones(4, 2))


class TestMinMax:
    def test_mean_of_extremes_is_over_batches(self):
        observer = seen([[-1.0, 4.0], [-3.0, 1.0], [], [-2.0, 10.0]], MinMaxObserver())
        low, high = observer.mean_extremes()
        assert (low.item(), high.item()) == (-2.0, 5.0)
        assert (observer.batches, observer.count) == (3, 6)

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20), st.randoms())
    def test_mean_of_extremes_equals_fractions_in_any_order(self, values, order):
        mean = float(sum(map(Fraction, values)) / len(values))
        shuffled = list(values)
        order.shuffle(shuffled)
        for sequence in (values, shuffled):
            observer = MinMaxObserver()
            for value in sequence:
                observer.observe(torch.tensor([value], dtype=torch.float64))
            for found in (observer, MinMaxObserver.from_tensors(observer.to_tensors())):
                assert [end.item() for end in found.mean_extremes()] == [mean, mean]

    def test_mean_of_extremes_adds_what_floats_forget(self):
        observer = MinMaxObserver()
        for value in (1e16, 1.0, -1e16):
            observer.observe(torch.tensor([value], dtype=torch.float64))
        assert observer.mean_extremes()[0].item() == 1 / 3

    def test_extremes_of_the_batches_are_stored_in_rising_order(self):
        observer = MinMaxObserver(channel_axis=0)
        for batch in ([[3.0, 5.0], [0.0, 1.0]], [[-1.0, 7.0], [0.5, 0.5]]):
            observer.observe(torch.tensor(batch))
        stored = observer.to_tensors()
        assert stored["batch_minima"].tolist() == [[-1.0, 0.0], [3.0, 0.5]]
        assert stored["batch_maxima"].tolist() == [[5.0, 0.5], [7.0, 1.0]]
        assert stored["batch_minima"].dtype == torch.float64
        assert MinMaxObserver().to_tensors()["batch_minima"].shape == (0, 0)

    def test_statistics_of_an_earlier_version_are_refused(self):
        stored = seen([[1.0]], MinMaxObserver()).to_tensors()
        earlier = {key: tensor for key, tensor in stored.items() if not key.startswith("batch_")}
        with pytest.raises(ValueError, match="the statistics are of an earlier version; calibrate again"):
            MinMaxObserver.from_tensors(earlier | {"low_sums": torch.zeros(1, 35), "high_sums": torch.zeros(1, 35)})

    def test_merged_observers_share_no_batches(self):
        first, second = seen([[1.0]], MinMaxObserver()), seen([[2.0]], MinMaxObserver())
        merged = first.merge(second)
        merged.observe(torch.tensor([9.0]))
        assert (first.batches, second.batches, merged.batches) == (1, 1, 3)

    def test_negative_zero_is_zero(self):
        observer = seen([[-0.0]], MinMaxObserver())
        assert math.copysign(1, observer.minimum.item()) == 1


@pytest.mark.parametrize("kind", [MinMaxObserver, HistogramObserver, MovingAverageObserver])
class TestEveryObserver:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_nan_and_infinity_name_the_owner_and_change_nothing(self, kind, bad):
        observer = kind()
        observer.owner = "conv1.input"
        observer.observe(torch.tensor([1.0, -2.0]))
        before = observer.to_tensors()
        with pytest.raises(ValueError, match=r"conv1\.input: NaN or infinity"):
            observer.observe(torch.tensor([5.0, bad, 7.0]))
        after = observer.to_tensors()
        assert all(torch.equal(before[name], after[name]) for name in before)

    def test_empty_batches_are_no_batches(self, kind):
        observer = kind()
        observer.observe(torch.empty(0, 4))
        assert observer.is_empty
        observer.owner = "fc"
        with pytest.raises(ValueError, match="fc: no values observed"):
            observer.require_values()

    @pytest.mark.parametrize("axis", [None, 1, -1])
    @pytest.mark.parametrize("batches", [0, 2])
    def test_tensors_round_trip(self, kind, axis, batches):
        torch.manual_seed(0)
        observer = kind(channel_axis=axis)
        for _ in range(batches):
            observer.observe(torch.randn(4, 3))
        restored = kind.from_tensors(observer.to_tensors())
        assert_same(restored, observer)
        assert restored.channel_axis == axis
        x = torch.randn(4, 3)
        restored.observe(x)
        observer.observe(x)
        assert_same(restored, observer)

    def test_to_tensors_is_a_snapshot(self, kind):
        observer = kind()
        observer.observe(torch.tensor([1.0]))
        tensors = observer.to_tensors()
        copies = {name: tensor.clone() for name, tensor in tensors.items()}
        observer.observe(torch.tensor([-9.0, 2.0]))
        assert all(torch.equal(tensors[name], copies[name]) for name in tensors)

    def test_fresh_and_reset_keep_the_settings(self, kind):
        observer = kind(channel_axis=0)
        observer.observe(torch.ones(2, 2))
        twin = observer.fresh()
        assert twin.is_empty
        assert not observer.is_empty
        assert twin.channel_axis == 0
        observer.reset()
        assert_same(observer, kind(channel_axis=0))

    def test_gradients_are_not_kept(self, kind):
        x = torch.ones(3, requires_grad=True)
        observer = kind()
        observer.observe(x)
        assert not observer.minimum.requires_grad


def test_what_differs_does_not_merge():
    with pytest.raises(ValueError, match="8 bins with 16"):
        HistogramObserver(8).merge(HistogramObserver(16))
    with pytest.raises(ValueError, match="channel axes"):
        HistogramObserver(8).merge(HistogramObserver(8, channel_axis=0))
    with pytest.raises(ValueError, match="HistogramObserver with MinMaxObserver"):
        HistogramObserver(8).merge(MinMaxObserver())
    a, b = MinMaxObserver(0), MinMaxObserver(0)
    a.observe(torch.ones(2, 1))
    b.observe(torch.ones(3, 1))
    with pytest.raises(ValueError, match="2 channels with 3"):
        a.merge(b)


class TestMovingAverage:
    def test_formula(self):
        observer = MovingAverageObserver(momentum=0.25)
        for batch in ([-1.0, 2.0], [-5.0, 10.0], [0.0, 0.0]):
            observer.observe(torch.tensor(batch))
        # -1 -> -1 + (-5 + 1)/4 = -2 -> -2 + 2/4 = -1.5;  2 -> 4 -> 3
        assert (observer.minimum.item(), observer.maximum.item()) == (-1.5, 3.0)

    def test_is_not_mergeable(self):
        with pytest.raises(TypeError, match="order of batches"):
            MovingAverageObserver().merge(MovingAverageObserver())

    @pytest.mark.parametrize("momentum", [0, -0.1, 1.1, math.nan])
    def test_bad_momentum(self, momentum):
        with pytest.raises(ValueError, match="momentum"):
            MovingAverageObserver(momentum)
