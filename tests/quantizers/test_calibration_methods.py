"""Calibration methods: hand-computed ranges, order statistics, and the mean squared error by brute force."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantizers import (
    CALIBRATION_METHODS,
    INT8,
    UINT8,
    DegenerateKLWarning,
    HistogramObserver,
    MinMaxObserver,
    Range,
    kl_threshold,
    make,
    signed_integer,
    unsigned_integer,
)
from quantizers.calibration_methods import expected_error, kl_choice
from quantizers.kl import kl_divergence


def observe(*batches, axis=None, bins=2048):
    observer = HistogramObserver(bins, channel_axis=axis)
    for batch in batches:
        observer.observe(torch.as_tensor(batch, dtype=torch.float32))
    return observer


def ends(method, observer, format, **options):
    found = CALIBRATION_METHODS.get(method)(observer, format, **options)
    return list(zip(found.low.tolist(), found.high.tolist(), strict=True))


def heavy_tailed(size, seed=0):
    return np.random.default_rng(seed).standard_t(4, size).astype(np.float32)


def test_names():
    assert CALIBRATION_METHODS.names() == ["kl", "mean_extremes", "minmax", "mse", "percentile"]


def test_min_max_is_the_union_of_extremes():
    observer = observe([-1.0, 3.0], [-2.0, 0.5])
    assert ends("minmax", observer, INT8) == [(-3.0, 3.0)]
    assert ends("minmax", observer, UINT8) == [(-2.0, 3.0)]


def test_mean_of_extremes():
    observer = observe([-1.0, 3.0], [-2.0, 0.5], [-6.0, 2.5])
    assert ends("mean_extremes", observer, INT8) == [(-3.0, 3.0)]
    assert ends("mean_extremes", observer, UINT8) == [(-3.0, 2.0)]


@pytest.mark.parametrize("method", ["minmax", "mean_extremes", "percentile", "mse"])
def test_ranges_hold_zero(method):
    assert ends(method, observe([5.0, 6.0]), UINT8)[0][0] == 0
    assert ends(method, observe([-6.0, -5.0]), UINT8)[0][1] == 0


@pytest.mark.parametrize("method", sorted(CALIBRATION_METHODS.names()))
@pytest.mark.parametrize("format", [INT8, UINT8, signed_integer(3), unsigned_integer(2)])
def test_channels_are_ranged_apart(method, format):
    weight = torch.from_numpy(heavy_tailed(6000)).reshape(3, 2000) * torch.tensor([[1.0], [10.0], [0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateKLWarning)
        together = ends(method, observe(weight, axis=0), format)
        assert together == [ends(method, observe(row), format)[0] for row in weight]
    assert together[2] == (0.0, 0.0)


def order_statistic(x, percent):
    """The smallest value with at least `percent` % of the values not above it (exact decimal arithmetic)."""
    rank = math.ceil(Fraction(str(percent)) * len(x) / 100)
    return np.sort(x)[rank - 1]


class TestPercentile:
    @pytest.mark.parametrize("percent", [75.0, 99.0, 99.9, 99.99])
    def test_against_sorted_values_within_a_bin(self, percent):
        x = heavy_tailed(100_000)
        observer = observe(x)
        bin_width = observer.bin_width.item()
        high = ends("percentile", observer, INT8, percentile=percent)[0][1]
        assert high == pytest.approx(order_statistic(np.abs(x), percent), abs=bin_width)
        low, high = ends("percentile", observer, UINT8, percentile=percent)[0]
        assert high == pytest.approx(order_statistic(x, percent), abs=bin_width)
        assert low == pytest.approx(-order_statistic(-x, percent), abs=bin_width)

    def test_by_hand(self):
        # Bins of width 1: |x| counts 0, 4, 0, 0, 0, 4: the median is the end of bin 1, 75 % the middle of bin 5.
        observer = observe([1.1, -1.2, 1.3, -1.4, 5.1, 5.2, -5.3, 5.9], bins=8)
        assert ends("percentile", observer, INT8, percentile=50.0001)[0][1] == pytest.approx(5.0, abs=1e-4)
        assert ends("percentile", observer, INT8, percentile=75)[0][1] == 5.5
        assert ends("percentile", observer, INT8, percentile=100)[0][1] == torch.tensor(5.9).item()

    @pytest.mark.parametrize("percent", [60.0, 90.0, 99.9])
    def test_both_formats_agree_on_data_without_negative_values(self, percent):
        observer = observe(np.abs(heavy_tailed(10_000)))
        signed = ends("percentile", observer, INT8, percentile=percent)[0][1]
        low, high = ends("percentile", observer, UINT8, percentile=percent)[0]
        assert (low, high) == (0, pytest.approx(signed))

    @pytest.mark.parametrize("percent", [50, 0, -1, 100.1, math.nan])
    def test_bad_percentile(self, percent):
        with pytest.raises(ValueError, match="percentile must be above 50"):
            ends("percentile", observe([1.0]), INT8, percentile=percent)


class TestKL:
    def test_is_kl_threshold_of_the_magnitudes(self):
        x = heavy_tailed(50_000)
        observer = observe(x)
        counts, width = observer.magnitudes()
        expected = kl_threshold(counts, width, levels=128, observed_max=float(np.abs(x).max()))
        assert expected.threshold < 0.9 * np.abs(x).max()
        assert ends("kl", observer, INT8) == [(-expected.threshold, expected.threshold)]
        four_bits = kl_threshold(counts, width, levels=8).threshold
        assert ends("kl", observer, signed_integer(4)) == [(-four_bits, four_bits)]

    def test_unsigned_data_has_256_levels(self):
        x = np.abs(heavy_tailed(50_000))
        counts, width = observe(x).magnitudes()
        expected = kl_threshold(counts, width, levels=256, observed_max=float(x.max()))
        assert ends("kl", observe(x), UINT8) == [(0.0, expected.threshold)]

    def test_data_of_both_signs_in_an_unsigned_format(self):
        x = np.concatenate([np.maximum(heavy_tailed(50_000), -0.5), [-0.5]])
        counts, width = observe(x).magnitudes()
        expected = kl_threshold(counts, width, levels=128)
        assert ends("kl", observe(x), UINT8) == [(-0.5, expected.threshold)]

    def test_zero_bin_option_reaches_the_algorithm(self):
        x = np.maximum(heavy_tailed(50_000), 0)
        assert ends("kl", observe(x), INT8, zero_bin="keep")[0][1] < ends("kl", observe(x), INT8)[0][1]

    def test_threshold_does_not_exceed_the_largest_value(self):
        with pytest.warns(DegenerateKLWarning):
            assert ends("kl", observe([0.5, 3.0]), INT8) == [(-3.0, 3.0)]

    def test_degenerate_channels_warn_once_with_the_name_of_the_layer(self):
        quantizer = make("int8", method="kl", channel_axis=0)
        quantizer.layer_name = "conv1.weight"
        quantizer.observe(torch.tensor([[0.5, 3.0], [1.0, 1.0], [0.1, 9.0]]))
        with pytest.warns(DegenerateKLWarning) as caught:
            quantizer.freeze()
        assert [str(w.message) for w in caught] == [
            "conv1.weight: the KL method clips nothing in 2 of 3 channels: the result is min-max"
        ]

    def test_too_few_bins_for_the_levels(self):
        observer = observe(heavy_tailed(1000), bins=128)
        with pytest.raises(ValueError, match="min-max in disguise"):
            ends("kl", observer, INT8)


def brute_force_error(x, low, high, format):
    """Mean squared error of quantizing the values themselves, written out."""
    x = x.astype(np.float64)
    if format.minimum < 0:
        scale, zero_point = high / format.maximum, 0
    else:
        scale = (high - low) / format.maximum
        zero_point = np.clip(np.round(-low / scale), 0, format.maximum)
    codes = np.clip(np.round(x / scale) + zero_point, format.minimum, format.maximum)
    return np.mean((scale * (codes - zero_point) - x) ** 2)


class TestMSE:
    @pytest.mark.parametrize("format", [INT8, UINT8, signed_integer(4, full_range=True), unsigned_integer(3)])
    @pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
    def test_expected_error_is_that_of_the_values(self, format, share):
        x = heavy_tailed(200_000)
        edges, counts = observe(x).signed()
        low, high = float(x.min()) * share, float(x.max()) * share
        candidate = Range.covering(torch.tensor([low]), torch.tensor([high]), format)
        error = expected_error(candidate, edges[:-1], edges[1:], counts, format).item()
        assert error == pytest.approx(
            brute_force_error(x, candidate.low.item(), candidate.high.item(), format), rel=0.02
        )

    def test_expected_error_of_uniform_values_is_the_textbook_one(self):
        # One bin over whole steps: S²/12 inside; saturated by d beyond the last code: d²/3.
        candidate = Range(torch.tensor([-3.0], dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64))
        format = signed_integer(3)  # codes -3..3, S = 1
        one = torch.tensor([1])

        def error(lower, upper):
            bounds = (torch.tensor([b], dtype=torch.float64) for b in (lower, upper))
            return expected_error(candidate, *bounds, one, format).item()

        assert error(0.0, 3.0) == pytest.approx(1 / 12)
        assert error(-2.0, 1.0) == pytest.approx(1 / 12)
        assert error(3.0, 5.0) == pytest.approx(4 / 3)
        assert error(0.25, 0.25) == pytest.approx(1 / 16)
        assert error(-0.5, 0.0) == pytest.approx(1 / 12)

    def test_finds_the_best_symmetric_range(self):
        x = heavy_tailed(100_000)
        format = signed_integer(4)
        largest = float(np.abs(x).max())
        candidates = [largest * k / 128 for k in range(1, 129)]
        errors = [brute_force_error(x, -t, t, format) for t in candidates]
        found = ends("mse", observe(x), format)[0][1]
        assert brute_force_error(x, -found, found, format) <= min(errors) * 1.005
        assert found < 0.5 * largest

    def test_asymmetric_range_beats_min_max_and_one_sided_clipping(self):
        x = np.concatenate([heavy_tailed(50_000), [40.0, -25.0]]).astype(np.float32)
        low, high = ends("mse", observe(x), unsigned_integer(4))[0]
        assert -25 < low < 0 < high < 40
        found = brute_force_error(x, low, high, unsigned_integer(4))
        assert found < brute_force_error(x, -25, high, unsigned_integer(4))
        assert found < brute_force_error(x, low, 40, unsigned_integer(4))

    @given(
        seed=st.integers(0, 2**31),
        size=st.integers(1, 3000),
        kind=st.sampled_from(["normal", "laplace", "t", "uniform", "relu", "grid"]),
        bits=st.integers(2, 8),
        name=st.sampled_from(["int8", "uint8"]),
    )
    @settings(max_examples=60)
    def test_never_worse_than_min_max(self, seed, size, kind, bits, name):
        rng = np.random.default_rng(seed)
        values = {
            "normal": lambda: rng.normal(size=size),
            "laplace": lambda: rng.laplace(size=size),
            "t": lambda: rng.standard_t(3, size),
            "uniform": lambda: rng.random(size),
            "relu": lambda: np.maximum(rng.normal(size=size), 0),
            "grid": lambda: rng.integers(-20, 20, size) * 0.37,
        }[kind]()
        x = torch.from_numpy(values.astype(np.float32))
        errors = {}
        for method in ("minmax", "mse"):
            quantizer = make(name, bits=bits, method=method)
            quantizer.observe(x)
            quantizer.freeze()
            errors[method] = (quantizer(x).double() - x.double()).square().mean().item()
        assert errors["mse"] <= errors["minmax"] * (1 + 1e-9)

    def test_a_handful_of_values_stays_at_min_max(self):
        observer = observe([0.1, 0.2, 5.0, -0.3])
        assert ends("mse", observer, INT8) == ends("minmax", observer, INT8)

    def test_bad_candidates(self):
        with pytest.raises(ValueError, match="candidates"):
            ends("mse", observe([1.0]), INT8, candidates=0)


@pytest.mark.parametrize("method", ["percentile", "mse", "kl"])
def test_methods_on_histograms_refuse_an_observer_without_one(method):
    observer = MinMaxObserver()
    observer.observe(torch.ones(2))
    with pytest.raises(ValueError, match=f"{method} method needs a HistogramObserver, got MinMaxObserver"):
        ends(method, observer, INT8)


@pytest.mark.parametrize("method", sorted(CALIBRATION_METHODS.names()))
def test_nothing_observed(method):
    observer = HistogramObserver()
    observer.owner = "fc2.input"
    with pytest.raises(ValueError, match=r"fc2\.input: no values observed"):
        ends(method, observer, INT8)


@pytest.mark.parametrize("method", sorted(CALIBRATION_METHODS.names()))
def test_methods_do_not_change_the_statistics(method):
    observer = observe(heavy_tailed(5000))
    before = {name: tensor.clone() for name, tensor in observer.to_tensors().items()}
    ends(method, observer, INT8)
    after = observer.to_tensors()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_range_refuses_what_is_no_interval():
    for low, high in ((1.0, 0.0), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="finite ends"):
            Range.covering(torch.tensor([low]), torch.tensor([high]), UINT8)


class TestOneOutlier:
    """Normal values and a single one far off: what is right is known from the values themselves."""

    X = torch.from_numpy(np.random.default_rng(0).normal(size=100_000).astype(np.float32))

    def with_outlier(self, value, axis=None):
        batches = (
            [self.X, torch.tensor([value])] if axis is None else [torch.cat([self.X, torch.tensor([value])])[None]]
        )
        return observe(*batches[::-1], axis=axis), torch.cat([self.X, torch.tensor([value])]).numpy()

    @pytest.mark.parametrize("outlier", [20.0, -1e5, 1e5, 1e30])
    @pytest.mark.parametrize("axis", [None, 0])
    def test_percentiles_are_those_of_the_values(self, outlier, axis):
        observer, x = self.with_outlier(outlier, axis)
        for percent in (90.0, 99.9, 99.99):
            high = ends("percentile", observer, INT8, percentile=percent)[0][1]
            assert high == pytest.approx(order_statistic(np.abs(x), percent), rel=2e-3)
            low, high = ends("percentile", observer, UINT8, percentile=percent)[0]
            assert high == pytest.approx(order_statistic(x, percent), rel=2e-3)
            assert low == pytest.approx(-order_statistic(-x, percent), rel=2e-3)

    @pytest.mark.parametrize("outlier", [1e3, -1e5, 1e30])
    @pytest.mark.parametrize("format", [INT8, signed_integer(4)])
    def test_kl_chooses_as_without_it(self, outlier, format):
        found = ends("kl", self.with_outlier(outlier)[0], format)[0][1]
        assert found == pytest.approx(ends("kl", observe(self.X), format)[0][1], rel=0.01)
        assert found < 5

    def test_kl_of_a_histogram_with_values_outside_is_the_published_one(self):
        observer, x = self.with_outlier(1e5)
        choice = kl_choice(observer, INT8)
        width = choice.bin_width
        inside = np.abs(x)[np.abs(x) < 8]
        counts = np.bincount((inside / width).astype(int))
        counts[0] = counts[1]  # the bin of zero is copied
        # A bin of its own far off holds what is outside, so that every candidate saturates it.
        full = torch.from_numpy(np.concatenate([counts, [0] * 3, [1]]))
        for bins in (128, 600, choice.bins, len(counts)):
            expected = kl_divergence(full, bins, 128)
            assert float(choice.divergence[bins - 128]) == pytest.approx(expected, rel=1e-9)
        assert choice.divergence.numel() == len(counts) - 127
        assert not choice.clips_nothing

    @pytest.mark.parametrize(("bits", "outlier"), [(8, 12.0), (8, 1e5), (4, 100.0), (3, 300.0), (4, 1e5)])
    def test_mse_is_as_good_as_the_best_of_many_thresholds(self, bits, outlier):
        observer, x = self.with_outlier(outlier)
        format = signed_integer(bits)
        best = min(brute_force_error(x, -t, t, format) for t in np.geomspace(1, outlier, 200))
        found = ends("mse", observer, format)[0][1]
        assert brute_force_error(x, -found, found, format) <= best * 1.01


def test_a_new_method_is_usable_by_name():
    @CALIBRATION_METHODS.register("half_of_min_max")
    def half(observer, format):
        return Range.covering(observer.minimum / 2, observer.maximum / 2, format)

    try:
        quantizer = make("int8", method="half_of_min_max")
        quantizer.observe(torch.tensor([254.0]))
        quantizer.freeze()
        assert quantizer.scale.item() == 1.0
    finally:
        del CALIBRATION_METHODS._items["half_of_min_max"]


def test_kl_that_clips_much_says_so_and_names_the_layer():
    """Between 0.4 and 0.6 all that is clipped to the smallest value is one filled bin, which loses nothing."""
    observer = observe(torch.linspace(0.4, 0.6, 500))
    observer.owner = "gate"
    with pytest.warns(
        DegenerateKLWarning, match=r"gate: the KL method clips \d+% of the values, which are few"
    ) as caught:
        ((_low, high),) = ends("kl", observer, INT8)
    assert high < 0.42
    assert int(str(caught[0].message).split("clips ")[1].split("%")[0]) > 90


def test_kl_that_clips_outliers_says_nothing():
    generator = torch.Generator().manual_seed(0)
    observer = observe(torch.cat([torch.randn(20_000, generator=generator), torch.tensor([40.0, -35.0])]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DegenerateKLWarning)
        ((_low, high),) = ends("kl", observer, INT8)
    assert high < 10
