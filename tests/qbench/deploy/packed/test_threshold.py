"""Thresholds against the float32 BatchNorm itself, at every sum."""

import pytest
import torch
from random_networks import randomize_norms
from torch import nn

import cuda_ext
from qbench.deploy.packed.threshold import fold_float, fold_integer, rising_only
from quantizers import Sign


def norm_of(channels, seed, kind=nn.BatchNorm1d):
    norm = kind(channels, eps=1e-4).eval()
    randomize_norms(norm, torch.Generator().manual_seed(seed))
    return norm


def decisions(norm):
    sign = Sign()
    with torch.no_grad():
        return lambda sums: sign(norm(sums[None]))[0].detach() > 0


def compared(sums, threshold, rising):
    return torch.where(rising, sums >= threshold, sums <= threshold)


@pytest.mark.parametrize("k", [1, 2, 9, 31, 64, 300])
@pytest.mark.parametrize("divisor", [1, 8, 255])
def test_every_integer_sum_is_decided_as_the_module_decides(k, divisor):
    norm = norm_of(257, seed=k)
    bound = k * divisor
    threshold, rising = fold_integer(decisions(norm), bound, divisor, 257)
    sums = torch.arange(-bound, bound + 1, dtype=torch.int32)[:, None].expand(-1, 257)
    with torch.no_grad():
        expected = norm(sums.float() / divisor) >= 0
    assert torch.equal(compared(sums, threshold, rising), expected)
    packed = cuda_ext.sign_threshold_pack(sums.contiguous(), threshold, rising.to(torch.int8) * 2 - 1)
    assert torch.equal(cuda_ext.unpack_signs(packed, 257) > 0, expected)
    # The draw had every kind of channel.
    assert (norm.weight == 0).any()
    assert (norm.weight < 0).any()
    assert rising.any()
    if k > 2:
        assert (~rising).any()
        at_zero = norm.weight[(norm(torch.zeros(1, 257))[0] == 0)]
        assert len(at_zero)


def test_a_tie_goes_where_the_module_sends_it():
    """β = 0 and a whole mean: the BatchNorm is zero there, or a rounding away from it on either side."""
    norm = nn.BatchNorm1d(1000, eps=1e-4).eval()
    generator = torch.Generator().manual_seed(3)
    mean = torch.randint(-40, 41, (1000,), generator=generator).float()
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(300 * torch.rand(1000, generator=generator))
    norm.weight.data.copy_(torch.randn(1000, generator=generator))
    threshold, rising = fold_integer(decisions(norm), 64, 1, 1000)
    with torch.no_grad():
        expected = norm(mean[None])[0] >= 0
    assert torch.equal(compared(mean.int(), threshold, rising), expected)
    assert ((threshold - mean).abs() <= 1).all()


def test_images_are_decided_as_rows_are():
    """The decisions are asked of BatchNorm1d; a BatchNorm2d's do not depend on the place in the image."""
    rows, images = norm_of(31, seed=5), nn.BatchNorm2d(31, eps=1e-4).eval()
    images.load_state_dict(rows.state_dict())
    x = torch.randint(-50, 51, (4, 31, 7, 5), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        expected = rows(x.permute(0, 2, 3, 1).reshape(-1, 31)).reshape(4, 7, 5, 31).permute(0, 3, 1, 2)
        for layout in (x, x.to(memory_format=torch.channels_last)):
            assert torch.equal(images(layout), expected)


def test_float_sums_are_decided_as_the_module_decides_to_the_last_bit():
    norm = norm_of(400, seed=9)
    threshold, rising = fold_float(decisions(norm), 400)
    with torch.no_grad():
        for near in (
            threshold,
            threshold.nextafter(torch.tensor(torch.inf)),
            threshold.nextafter(-torch.tensor(torch.inf)),
        ):
            finite = torch.where(near.isfinite(), near, 0.0)
            assert torch.equal(compared(finite, threshold, rising), norm(finite[None])[0] >= 0)
        sums = torch.randn(500, 400, generator=torch.Generator().manual_seed(0)) * 20
        sums[:3] = torch.tensor([0.0, -0.0, 1e-42])[:, None]
        assert torch.equal(compared(sums, threshold, rising), norm(sums) >= 0)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_a_zero_gamma_is_a_constant(value):
    def constant(sums):
        return torch.full_like(sums, value) >= 0

    for threshold, rising in (fold_integer(constant, 100, 1, 2), fold_float(constant, 2)):
        assert rising.all()
        for sum_ in (-100, 0, 100):
            assert bool(compared(torch.tensor(sum_, dtype=threshold.dtype), threshold, rising).all()) == (value >= 0)


def test_rising_thresholds_invert_the_falling_channels():
    threshold, rising = torch.tensor([3, 3], dtype=torch.int32), torch.tensor([True, False])
    sums = torch.arange(-10, 11, dtype=torch.int32)[:, None]
    inverted = sums >= rising_only(threshold, rising)
    assert torch.equal(inverted[:, 0], (sums >= 3)[:, 0])
    assert torch.equal(inverted[:, 1], ~(sums <= 3)[:, 0])
    one = torch.tensor([1.5])
    falling = rising_only(one, torch.tensor([False]))
    assert not one >= falling
    assert one.nextafter(torch.tensor(2.0)) >= falling
