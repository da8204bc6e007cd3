"""DoReFa's weights and activations, against the paper's formulas in Python and float64."""

import copy
import math
import pickle
from fractions import Fraction

import pytest
import torch

from quantizers import Odd, UnitRange, make, odd_integer, storage_bytes

W = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(2))


def paper(weights: list[float], bits: int) -> list[Fraction]:
    """Equation 9: 2·quantize_k(tanh(w) / (2·max|tanh(w)|) + 1/2) - 1."""
    levels, largest = 2**bits - 1, max(abs(math.tanh(w)) for w in weights) or 1.0
    return [2 * Fraction(round((math.tanh(w) / (2 * largest) + 0.5) * levels), levels) - 1 for w in weights]


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_are_the_papers(bits):
    quantized = Odd(bits).quantize(W)
    expected = paper(W.flatten().tolist(), bits)
    levels = 2**bits - 1
    assert [Fraction(code, levels) for code in quantized.codes.flatten().tolist()] == expected
    assert all(code % 2 == 1 for code in quantized.codes.flatten().tolist())
    assert torch.equal(Odd(bits)(W), quantized.dequantize())
    assert Odd(bits)(W).flatten().tolist() == pytest.approx([float(value) for value in expected], abs=2e-7)
    assert quantized.format == odd_integer(bits)
    assert bool(quantized.format.holds(quantized.codes).all())
    assert quantized.codes.dtype == (torch.int16 if bits == 8 else torch.int8)


@pytest.mark.parametrize("bits", range(2, 9))
def test_zeros_become_the_code_plus_one(bits):
    # round(L/2) half to even: L/2 lies between 2^(k-1) - 1 and 2^(k-1), which is even.
    weight = torch.tensor([0.0, -0.0, 1.0, -1.0])
    assert Odd(bits).quantize(weight).codes.tolist() == [1, 1, 2**bits - 1, 1 - 2**bits]
    assert Odd(bits).quantize(torch.zeros(2, 3)).codes.tolist() == [[1] * 3] * 2
    # However small, a weight keeps its sign.
    assert Odd(bits).quantize(torch.tensor([1e-10, -1e-10, 1.0])).codes.tolist() == [1, -1, 2**bits - 1]


def test_gradient_is_that_of_the_papers_formula_without_round():
    weight, upstream = W.double().requires_grad_(), torch.randn_like(W.double())
    Odd(4)(weight).backward(upstream)
    values, grads = W.double().flatten(), upstream.flatten()
    tanh = [math.tanh(w) for w in values.tolist()]
    largest = max(map(abs, tanh))
    at = [abs(t) for t in tanh].index(largest)
    expected = [(1 - t * t) / largest * g for t, g in zip(tanh, grads.tolist(), strict=True)]
    shared = sum(t / largest * g for t, g in zip(tanh, grads.tolist(), strict=True))
    expected[at] -= (1 - tanh[at] ** 2) / largest * math.copysign(shared, tanh[at] * shared)
    assert weight.grad.flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_gradient_of_zeros_is_finite():
    weight = torch.zeros(2, 2, requires_grad=True)
    Odd(3)(weight).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_stored_bytes_by_hand():
    assert storage_bytes(Odd(3).quantize(torch.randn(4, 9))) == 4 * 4 + 4


def test_nan():
    quantizer = Odd()
    quantizer.layer_name = "conv1"
    with pytest.raises(ValueError, match="conv1: NaN has no code"):
        quantizer.quantize(torch.tensor([1.0, math.nan]))
    assert bool(Odd()(torch.tensor([1.0, math.nan])).isnan().all())
    assert Odd(2).quantize(torch.tensor([math.inf, -math.inf, 0.1])).codes.tolist() == [3, -3, 1]
    with pytest.raises(ValueError, match="NaN has no code"):
        UnitRange().quantize(torch.tensor([math.nan]))


@pytest.mark.parametrize("bits", range(2, 9))
def test_activations_are_the_papers(bits):
    x = torch.cat([torch.rand(200), torch.tensor([-3.0, -0.0, 0.0, 1.0, 1.5, math.inf, 0.5])])
    top = 2**bits - 1
    quantizer = make("unit_range", bits=bits)
    quantized = quantizer.quantize(x)
    assert quantized.codes.tolist() == [round(min(max(value, 0.0), 1.0) * top) for value in x.tolist()]
    assert torch.equal(quantizer(x), quantized.dequantize())
    assert quantizer(x).tolist() == pytest.approx([code / top for code in quantized.codes.tolist()], abs=1e-7)
    assert not bool(torch.signbit(quantizer(x)).any())


def test_the_gradient_of_activations_ends_at_0_and_1():
    below, above = math.nextafter(0, -1), 1 + 2.0**-23
    x = torch.tensor([-1.0, below, 0.0, 0.3, 1.0, above, 2.0], requires_grad=True)
    make("unit_range")(x).backward(torch.full((7,), 3.0))
    assert x.grad.tolist() == [0.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0]  # float32 rounds `below` to -0


def test_the_encoding_of_activations():
    encoding = make("unit_range", bits=2).encoding()
    assert (encoding.low.item(), encoding.high.item()) == (0.0, 1.0)
    assert encoding.zero_point is None
    assert Odd().encoding() is None


def test_bad_options_copies_and_pickles():
    for name in ("odd", "unit_range"):
        for bits in (1, 9, 2.0):
            with pytest.raises(ValueError, match="bits must be an integer from 2 to 8"):
                make(name, bits=bits)
        quantizer = make(name, bits=3)
        for copied in (copy.deepcopy(quantizer), pickle.loads(pickle.dumps(quantizer))):  # noqa: S301
            assert torch.equal(copied(W), quantizer(W))
        assert not quantizer.state_dict()
