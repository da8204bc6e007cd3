"""SQNR against its formula."""

import math

import numpy as np
import pytest
import torch

from quantizers import make, sqnr_db


def test_formula():
    x, y = torch.tensor([3.0, -4.0, 0.0]), torch.tensor([2.5, -4.0, 0.5])
    assert sqnr_db(x, y) == pytest.approx(10 * math.log10(25 / 0.5))


def test_a_full_scale_uniform_signal_has_six_db_a_bit():
    # Uniform over ±t: power t²/3, noise S²/12 with S = t/Q: 10·log10(4·Q²).
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, 200_000))
    for bits in (4, 6, 8):
        quantizer = make("int8", bits=bits)
        quantizer.observe(x)
        quantizer.freeze()
        assert sqnr_db(x, quantizer(x)) == pytest.approx(10 * math.log10(4 * (2 ** (bits - 1) - 1) ** 2), abs=0.1)


@pytest.mark.parametrize("factor", [1e-30, 1e30, 2.0**-140])
def test_scale_does_not_matter(factor):
    x, y = torch.tensor([3.0, -4.0]), torch.tensor([2.0, -4.0])
    assert sqnr_db(x.double() * factor, y.double() * factor) == pytest.approx(10 * math.log10(25))


def test_ends():
    zero, one = torch.zeros(2), torch.ones(2)
    assert sqnr_db(one, one) == math.inf
    assert sqnr_db(zero, zero) == math.inf
    assert sqnr_db(zero, one) == -math.inf
    tiny = torch.tensor([4.0, 3.0], dtype=torch.float64) * 5e-324  # subnormal: its squares are 0
    assert sqnr_db(tiny[:1], tiny[1:]) == pytest.approx(10 * math.log10(16))


def test_errors():
    with pytest.raises(ValueError, match="shapes differ"):
        sqnr_db(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="empty"):
        sqnr_db(torch.ones(0), torch.ones(0))
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="NaN or infinity"):
            sqnr_db(torch.ones(1), torch.tensor([bad]))
