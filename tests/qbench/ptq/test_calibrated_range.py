"""What is shown of a calibrated range: the histogram against the values, the divergence against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.ptq.calibrated_range import calibrated_range, coarse_histogram, divergence_curve
from quantizers import HistogramObserver, MinMaxObserver, Sign, Uniform, make
from quantizers.kl import kl_divergence


def observed(x: torch.Tensor, **options: object) -> HistogramObserver:
    observer = HistogramObserver(**options)
    observer.observe(x)
    return observer


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.floats(-3, 3), st.floats(0.01, 50), st.integers(3, 128), st.integers(0, 10**6))
def test_a_coarse_histogram_is_that_of_the_values(
    count: int, shift: float, spread: float, bins: int, seed: int
) -> None:
    x = torch.randn(count, generator=torch.Generator().manual_seed(seed)) * spread + shift
    low, high, counts = coarse_histogram(observed(x), bins)
    assert 1 <= len(counts) <= bins
    edges = low + (high - low) / len(counts) * np.arange(len(counts) + 1)
    # Bins are open on the side away from zero, and numpy's on the right: values on an edge below zero differ.
    values = x.double().numpy()
    inside = np.searchsorted(edges, values, side="right") - 1
    negative = values < 0
    inside[negative] = np.searchsorted(edges, values[negative], side="left") - 1
    assert counts == np.bincount(inside, minlength=len(counts)).tolist()


def test_values_that_are_never_negative_start_at_zero() -> None:
    low, high, counts = coarse_histogram(observed(torch.rand(1000)))
    assert low == 0.0
    assert 1.0 <= high < 1.02
    assert (len(counts), sum(counts)) == (128, 1000)


def test_channels_of_different_widths_share_their_bins() -> None:
    x = torch.tensor([[0.1, 0.2, 0.3], [10.0, 20.0, -31.0], [0.0, 0.0, 0.0]])
    low, high, counts = coarse_histogram(observed(x, bins=8, channel_axis=0))
    # The widest channel's bins are 4 wide: 8 of them hold -31, 3 hold 20 with 24.
    assert (low, high) == (-32.0, 24.0)
    assert counts == [1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1, 0, 0, 1]


def test_zeros_alone_fill_one_bin() -> None:
    assert coarse_histogram(observed(torch.zeros(5))) == (0.0, 1.0, [5])
    with pytest.raises(ValueError, match="no values observed"):
        coarse_histogram(HistogramObserver())


def calibrated(x: torch.Tensor, **options: object) -> Uniform:
    quantizer = make("int8", **options)
    quantizer.observe(x)
    quantizer.freeze()
    return quantizer


def test_the_divergence_is_that_of_each_candidate() -> None:
    x = torch.randn(5000, generator=torch.Generator().manual_seed(1)).relu()
    quantizer = calibrated(x, method="kl", observer=HistogramObserver(bins=256))
    curve = divergence_curve(quantizer, quantizer.observer, points=20)
    assert curve is not None
    assert len(curve["threshold"]) == len(curve["kl"])
    assert 15 < len(curve["kl"]) <= 20
    counts, width = quantizer.observer.magnitudes()
    treated = counts.clone()
    treated[0] = treated[1]  # zero_bin "copy"
    for threshold, kl in zip(curve["threshold"], curve["kl"], strict=True):
        bins = math.ceil(threshold / width - 0.5 - 1e-9)
        assert kl == pytest.approx(kl_divergence(treated, min(bins, len(counts)), 128), abs=1e-9)
    best = curve["threshold"][int(np.argmin(curve["kl"]))]
    found = calibrated_range("fc1", quantizer)
    assert found is not None
    assert found["high"] == pytest.approx(best, rel=1e-6)
    assert found["low"] == -found["high"]
    assert (found["layer"], found["method"], sum(found["counts"])) == ("fc1", "kl", 5000)


def test_minmax_keeps_what_its_observer_has() -> None:
    x = torch.linspace(-1, 3, 500)
    histogram = calibrated_range("a", calibrated(x, method="minmax"))
    extremes = calibrated_range("b", calibrated(x, method="minmax", observer=MinMaxObserver()))
    assert histogram is not None
    assert extremes is not None
    assert (sum(histogram["counts"]), histogram["divergence"]) == (500, None)
    assert histogram["high"] == pytest.approx(3.0)
    assert (extremes["edge_low"], extremes["edge_high"], extremes["counts"]) == (-1.0, 3.0, [])


def test_what_is_not_calibrated_has_no_range() -> None:
    assert calibrated_range("a", Sign()) is None
    assert calibrated_range("a", make("int8")) is None
    per_channel = calibrated(torch.randn(2, 4000), method="kl", channel_axis=0)
    found = calibrated_range("a", per_channel)
    assert found is not None
    assert found["divergence"] is None
    assert found["high"] == pytest.approx(float(per_channel.encoding().high.max()))
