"""Dead channels and outliers."""

import math

import numpy as np
import pytest
import torch

from quantizers import analyse_outliers, clip_outliers, make


def live_weights(channels=16):
    return torch.randn(channels, 50, generator=torch.Generator().manual_seed(0)) * 0.1


def test_a_vanished_channel_is_dead():
    weight = live_weights()
    weight[3] = 0
    weight[5] *= 1e-9
    report = analyse_outliers(weight)
    assert report.dead.nonzero().flatten().tolist() == [3, 5]
    assert not report.outlier.any()
    assert torch.equal(clip_outliers(weight, report), weight)


def test_a_loud_channel_that_can_never_fire_does_not_set_the_range():
    # As BatchNorm folding leaves it: large negative weights on inputs >= 0, and a negative bias.
    weight, bias = live_weights(), torch.zeros(16)
    weight[7] = -30 * weight[7].abs()
    bias[7] = -1.0
    report = analyse_outliers(weight, bias, input_range=(0.0, 6.0))
    assert report.dead.nonzero().flatten().tolist() == [7]
    assert report.outlier.nonzero().flatten().tolist() == [7]
    clipped = clip_outliers(weight, report)
    live = torch.arange(16) != 7
    assert torch.equal(clipped[live], weight[live])
    assert clipped.abs().max() == weight[live].abs().max()

    def scale(w):
        quantizer = make("int8")
        quantizer.observe(w)
        quantizer.freeze()
        return quantizer.scale.item()

    assert scale(clipped) < 0.1 * scale(weight)


def test_the_reach_of_a_neuron_is_bias_plus_its_best_case():
    weight = torch.tensor([[1.0, -2.0], [1.0, -2.0], [1.0, -2.0]])
    # inputs in [-1, 3]: the best case is 1·3 + (-2)·(-1) = 5
    report = analyse_outliers(weight, torch.tensor([-4.9, -5.0, -5.1]), input_range=(-1.0, 3.0))
    assert report.dead.tolist() == [False, True, True]


def test_outliers_of_live_channels_are_clipped_to_the_robust_limit():
    weight = live_weights()
    weight[2, 9] = -40.0
    report = analyse_outliers(weight, sigmas=6.0)
    largest = weight.double().abs().amax(1).numpy()
    median = np.median(largest)
    limit = median + 6 * 1.4826 * np.median(np.abs(largest - median))
    assert report.limit == pytest.approx(limit)
    assert report.outlier.nonzero().flatten().tolist() == [2]
    assert report.clipped_fraction == pytest.approx(1 / weight.numel())
    assert clip_outliers(weight, report)[2, 9].item() == pytest.approx(-limit)


def test_well_behaved_weights_are_left_alone():
    weight = live_weights(64)
    report = analyse_outliers(weight, torch.zeros(64), input_range=(0, 1))
    assert not report.dead.any()
    assert torch.equal(clip_outliers(weight, report), weight)
    assert report.clipped_fraction == 0


def test_two_channels_are_too_few_to_call_one_an_outlier():
    weight = torch.tensor([[1.0], [100.0]])
    assert torch.equal(clip_outliers(weight, analyse_outliers(weight)), weight)


def test_nothing_alive():
    weight = torch.zeros(3, 4)
    report = analyse_outliers(weight)
    assert report.dead.all()
    assert torch.equal(clip_outliers(weight, report), weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": torch.empty(0, 2)}, "empty"),
        ({"weight": torch.tensor([[math.nan]])}, "NaN"),
        ({"bias": torch.zeros(3)}, "bias has shape"),
        ({"input_range": (1.0, 0.0)}, "must rise"),
        ({"sigmas": 0.0}, "sigmas"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        analyse_outliers(**{"weight": torch.ones(2, 2), **arguments})
