"""The KL method against the worked example of the slides and a slow, literal loop in plain Python floats."""

import math
import time
import warnings

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantizers import DegenerateKLWarning, kl_threshold
from quantizers.kl import expand_levels, kl_divergence

WORKED_EXAMPLE = [1, 0, 2, 3, 5, 3, 1, 7]


def slow_divergence(counts, i, levels):
    """PAPERS' definition, one candidate, no cleverness."""
    raw = counts[:i]
    p = list(raw)
    p[-1] += sum(counts[i:])
    members = [[j for j in range(i) if j * levels // i == level] for level in range(levels)]
    q = [0.0] * i
    for bins in members:
        filled = [j for j in bins if raw[j] > 0]
        for j in filled:
            q[j] = sum(raw[k] for k in bins) / len(filled)
    total_p, total_q = sum(p), sum(raw)
    if total_p == 0:
        return 0.0
    terms = []
    for pj, qj in zip(p, q, strict=True):
        if pj > 0:
            if qj == 0:
                return math.inf
            terms.append(pj / total_p * math.log((pj / total_p) / (qj / total_q)))
    return math.fsum(terms)


def slow_curve(counts, levels, copy):
    counts = list(counts)
    if copy:
        counts[0] = counts[1]
    return [slow_divergence(counts, i, levels) for i in range(levels, len(counts) + 1)]


def assert_same_curve(result, expected, levels):
    expected = np.array(expected)
    actual = result.divergence.numpy()
    assert actual.dtype == np.float64
    np.testing.assert_array_equal(np.isinf(actual), np.isinf(expected))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=1e-9, atol=2e-13)
    smallest = expected.min()
    assert result.bins == levels + next(k for k, d in enumerate(expected) if d <= smallest + 1e-12)


def test_worked_example_expands_and_diverges_as_on_the_slide():
    raw = torch.tensor(WORKED_EXAMPLE)
    assert expand_levels(raw, 2).tolist() == [2, 0, 2, 2, 4, 4, 4, 4]
    assert kl_divergence(raw, bins=8, levels=2) == pytest.approx(0.150315265, abs=5e-10)
    curve = kl_threshold(raw, 1.0, levels=2, zero_bin="keep").divergence
    assert curve[-1].item() == pytest.approx(0.150315265, abs=5e-10)


def test_candidates_run_from_levels_to_the_number_of_bins():
    result = kl_threshold(torch.tensor(WORKED_EXAMPLE), 0.5, levels=2, zero_bin="keep")
    assert_same_curve(result, slow_curve(WORKED_EXAMPLE, 2, copy=False), 2)
    assert len(result.divergence) == 8 - 2 + 1
    assert math.isinf(result.divergence[0])  # candidate 2 puts the mass beyond on bin 1, which is empty
    assert result.threshold == (result.bins + 0.5) * 0.5


SAMPLES = {
    "normal": scipy.stats.norm(),
    "laplace": scipy.stats.laplace(),
    "half-normal": scipy.stats.halfnorm(),
    "student-t": scipy.stats.t(3),
}


def sample(name, size=20_000):
    rng = np.random.default_rng(7)
    if name == "outlier mixture":
        values = rng.normal(size=size)
        values[:20] *= 25
        return np.abs(values)
    return np.abs(SAMPLES[name].rvs(size, random_state=rng))


@pytest.mark.parametrize("zero_bin", ["copy", "keep"])
@pytest.mark.parametrize("levels", [16, 37])  # 37 divides no number of bins
@pytest.mark.parametrize("name", [*SAMPLES, "outlier mixture"])
def test_curve_equals_the_slow_loop(name, levels, zero_bin):
    values = sample(name)
    counts, edges = np.histogram(values, bins=192, range=(0, values.max()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateKLWarning)
        result = kl_threshold(torch.from_numpy(counts), edges[1], levels, zero_bin)
    assert_same_curve(result, slow_curve(counts.tolist(), levels, zero_bin == "copy"), levels)
    assert result.threshold == (result.bins + 0.5) * edges[1]


@pytest.mark.parametrize(("levels", "candidates"), [(128, [128, 129, 700, 1333, 2047, 2048]), (256, [256, 999, 2048])])
@pytest.mark.parametrize("name", ["laplace", "outlier mixture"])
def test_curve_at_full_size_equals_the_slow_loop(name, levels, candidates):
    values = sample(name, 200_000)
    counts, edges = np.histogram(values, bins=2048, range=(0, values.max()))
    result = kl_threshold(torch.from_numpy(counts), edges[1], levels, "keep")
    for i in candidates:
        expected = slow_divergence(counts.tolist(), i, levels)
        assert result.divergence[i - levels].item() == pytest.approx(expected, rel=1e-9, abs=2e-13)
        assert kl_divergence(torch.from_numpy(counts), i, levels) == pytest.approx(expected, rel=1e-9, abs=2e-13)


@given(
    counts=st.lists(st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 10**12)), min_size=5, max_size=24),
    levels=st.integers(1, 4),
    copy=st.booleans(),
)
def test_any_histogram_equals_the_slow_loop(counts, levels, copy):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateKLWarning)
        result = kl_threshold(torch.tensor(counts), 1.0, levels, "copy" if copy else "keep")
    expected = np.array(slow_curve(counts, levels, copy))
    actual = result.divergence.numpy()
    np.testing.assert_array_equal(np.isinf(actual), np.isinf(expected))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=1e-9, atol=2e-13)
    assert not np.isnan(actual).any()
    assert expected[result.bins - levels] <= expected.min() + 1e-11


def test_zero_spike_of_relu_drags_the_literal_slide_down_and_not_the_default():
    values = np.maximum(np.random.default_rng(0).normal(size=100_000) - 0.5, 0)
    counts, edges = np.histogram(values, bins=2048, range=(0, values.max()))
    counts = torch.from_numpy(counts)
    without_zeros = counts.clone()
    without_zeros[0] = without_zeros[1]
    copied, kept = kl_threshold(counts, edges[1]), kl_threshold(counts, edges[1], zero_bin="keep")
    assert copied.bins == kl_threshold(without_zeros, edges[1], zero_bin="keep").bins
    assert kept.threshold < 0.75 * copied.threshold


def test_outliers_are_clipped():
    values = sample("outlier mixture", 100_000)
    counts, edges = np.histogram(values, bins=2048, range=(0, values.max()))
    result = kl_threshold(torch.from_numpy(counts), edges[1])
    assert result.threshold < 0.3 * values.max()
    assert not result.clips_nothing


def test_a_tie_goes_to_the_smallest_range_that_clips_least():
    # One value a level: every candidate from 5 on reproduces the histogram at divergence 0 ...
    counts = torch.zeros(32, dtype=torch.int64)
    counts[0] = counts[4] = 10
    with pytest.warns(DegenerateKLWarning):
        result = kl_threshold(counts, 1.0, levels=4, zero_bin="keep")
    assert result.bins == 5
    assert result.divergence[1:].abs().max() == 0
    # ... and so does clipping everything into the only filled bin, which loses the value 20.
    counts = torch.zeros(32, dtype=torch.int64)
    counts[6] = counts[20] = 10
    with pytest.warns(DegenerateKLWarning):
        result = kl_threshold(counts, 1.0, levels=4, zero_bin="keep")
    assert result.divergence[7 - 4] == 0
    assert result.bins == 21


@pytest.mark.parametrize("bin_index", [0, 3, 31])
def test_a_single_filled_bin_is_kept_without_a_warning(bin_index):
    counts = torch.zeros(32, dtype=torch.int64)
    counts[bin_index] = 1000
    result = kl_threshold(counts, 0.25, levels=8, zero_bin="keep")
    assert result.bins == max(8, bin_index + 1)
    assert result.divergence[result.bins - 8] == 0


@pytest.mark.parametrize("first", [0, 12345])
def test_no_counts_or_only_zeros_have_divergence_zero_everywhere(first):
    counts = torch.zeros(64, dtype=torch.int64)
    counts[0] = first
    result = kl_threshold(counts, 1.0, levels=16)
    assert result.bins == 16
    assert result.divergence.tolist() == [0.0] * 49


def test_threshold_is_clamped_to_the_observed_maximum():
    counts = torch.full((300,), 7)  # flat: nothing is clipped
    with pytest.warns(DegenerateKLWarning):
        free = kl_threshold(counts, 0.1, levels=2)
    assert free.bins == 300
    with pytest.warns(DegenerateKLWarning):
        assert kl_threshold(counts, 0.1, levels=2, observed_max=29.97).threshold == 29.97
    assert free.threshold == pytest.approx(30.05)


def test_degenerating_to_min_max_warns():
    counts = torch.full((512,), 100)  # flat: merging loses nothing, clipping does
    with pytest.warns(DegenerateKLWarning, match="min-max"):
        result = kl_threshold(counts, 1.0)
    assert result.clips_nothing
    assert result.bins == 512


@pytest.mark.parametrize("n", [1, 127, 128])
def test_as_many_bins_as_levels_is_refused_with_the_reason(n):
    with pytest.raises(ValueError, match="min-max in disguise"):
        kl_threshold(torch.ones(n, dtype=torch.int64), 1.0)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"counts": torch.ones(200)}, TypeError),
        ({"counts": torch.ones(200, dtype=torch.bool)}, TypeError),
        ({"counts": torch.ones(2, 200, dtype=torch.int64)}, ValueError),
        ({"counts": torch.tensor([-1] + [1] * 199)}, ValueError),
        ({"bin_width": math.nan}, ValueError),
        ({"bin_width": -1.0}, ValueError),
        ({"levels": 0}, ValueError),
        ({"zero_bin": "drop"}, ValueError),
    ],
)
def test_bad_arguments_are_refused(arguments, error):
    with pytest.raises(error):
        kl_threshold(**{"counts": torch.ones(200, dtype=torch.int64), "bin_width": 1.0, **arguments})


def test_counts_beyond_float32_and_int32_still_count():
    counts = torch.from_numpy(np.histogram(sample("normal"), bins=300)[0])
    big = counts * 2**40
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateKLWarning)
        small_result, big_result = kl_threshold(counts, 1.0), kl_threshold(big, 1.0)
    torch.testing.assert_close(big_result.divergence, small_result.divergence, rtol=1e-9, atol=1e-12)


def test_2048_bins_take_under_30_ms_on_one_core():
    counts = torch.from_numpy(np.histogram(sample("normal", 100_000), bins=2048)[0])
    times = []
    for _ in range(5):
        start = time.thread_time()
        kl_threshold(counts, 1.0)
        times.append(time.thread_time() - start)
    assert min(times) < 0.03  # about 4 ms on an idle core
