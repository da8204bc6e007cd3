"""OR and AND of packed bits against torch's max-pool of signs and of sums."""

import pytest
import torch
import torch.nn.functional as F

import cuda_ext
from qbench.deploy.packed.pooling import pool_bits
from qbench.deploy.packed.spec import PoolSpec


def spec(kernel, stride, padding):
    return PoolSpec(kernel=kernel, stride=stride, padding=padding, before_norm=True)


CASES = [((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((3, 2), (1, 3), (1, 0)), ((1, 1), (1, 1), (0, 0))]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("channels", [1, 31, 33, 513])
def test_or_is_max_pool_of_signs(case, channels):
    x = torch.randn(2, channels, 7, 9, generator=torch.Generator().manual_seed(channels)) - 0.7
    bits = cuda_ext.pack_signs(x.permute(0, 2, 3, 1))
    expected = F.max_pool2d(x, *case) >= 0
    pooled = pool_bits(bits, spec(*case))
    assert torch.equal(cuda_ext.unpack_signs(pooled, channels).permute(0, 3, 1, 2) > 0, expected)
    assert torch.equal(pooled, cuda_ext.pack_signs(torch.where(expected, 1.0, -1.0).permute(0, 2, 3, 1)))


@pytest.mark.parametrize("case", CASES)
def test_falling_channels_are_and(case):
    """γ < 0: `max(sums) <= τ`, that is all of them; at a border only those inside the image."""
    channels = 33
    sums = torch.randint(-3, 4, (2, channels, 6, 5), generator=torch.Generator().manual_seed(1)).float()
    falling = torch.arange(channels) % 3 == 0
    maximum = F.max_pool2d(sums, *case)
    expected = torch.where(falling[:, None, None], maximum <= 1, maximum >= 1)
    inverted = torch.where(falling[:, None, None], ~(sums <= 1), sums >= 1)
    bits = cuda_ext.pack_signs(torch.where(inverted, 1.0, -1.0).permute(0, 2, 3, 1))
    mask = cuda_ext.pack_signs(torch.where(falling, 1.0, -1.0))
    pooled = pool_bits(bits, spec(*case), mask)
    assert torch.equal(cuda_ext.unpack_signs(pooled, channels).permute(0, 3, 1, 2) > 0, expected)


def test_padding_alone_is_no_window():
    with pytest.raises(ValueError, match="more than half"):
        spec((2, 2), (1, 1), (2, 0)).output_size((4, 4))
