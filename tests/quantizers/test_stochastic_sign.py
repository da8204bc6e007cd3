"""Stochastic sign: its probabilities, its gradient, and a random stream that is its own."""

import io
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantizers import Sign, StochasticSign, make
from quantizers.stochastic_sign import hard_sigmoid, stochastic_sign


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.floats(width=32, allow_nan=False))
def test_hard_sigmoid(x):
    expected = min(max((torch.tensor(x).item() + 1) / 2, 0.0), 1.0)
    assert hard_sigmoid(torch.tensor(x)).item() == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_expectation_is_the_clipped_input():
    x = torch.tensor([-0.9, -0.5, -0.1, 0.0, 0.25, 0.8]).repeat_interleave(40_000)
    draws = stochastic_sign(x, generator()).reshape(6, -1)
    assert set(draws.unique().tolist()) == {-1.0, 1.0}
    mean = draws.mean(1)
    for m, value in zip(mean.tolist(), [-0.9, -0.5, -0.1, 0.0, 0.25, 0.8], strict=True):
        # The standard deviation of the mean is sqrt((1 - value²)/40000) <= 0.005.
        assert m == pytest.approx(value, abs=4 * math.sqrt((1 - value**2) / 40_000))


def test_ones_and_beyond_are_certain():
    x = torch.tensor([1.0, 1.5, math.inf, -1.0, -2.0, -math.inf]).repeat(20_000, 1)
    draws = stochastic_sign(x, generator())
    assert (draws[:, :3] == 1).all()
    assert (draws[:, 3:] == -1).all()


def test_nan_is_minus_one():
    assert (stochastic_sign(torch.full((1000,), math.nan), generator()) == -1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype):
    draws = stochastic_sign(torch.zeros(4, 5, dtype=dtype), generator())
    assert draws.dtype == dtype
    assert draws.shape == (4, 5)


def test_training_draws_and_evaluation_does_not():
    x = torch.zeros(1000)
    quantizer = StochasticSign(seed=3)
    quantizer.train()
    assert 300 < (quantizer(x) == 1).sum() < 700
    quantizer.eval()
    assert (quantizer(x) == 1).all()
    assert torch.equal(quantizer(torch.linspace(-1, 1, 9)), Sign()(torch.linspace(-1, 1, 9)))


def test_quantize_is_deterministic_in_training_too():
    x = torch.linspace(-1, 1, 1001)
    quantizer = StochasticSign().train()
    before = quantizer.get_extra_state().clone()
    assert torch.equal(quantizer.quantize(x).dequantize(), Sign()(x))
    assert torch.equal(quantizer.get_extra_state(), before)  # and draws nothing


def test_gradient_is_that_of_the_input_and_not_of_the_draw():
    x = torch.tensor([-1.5, -1.0, -0.2, 0.0, 0.7, 1.0, 1.0001], requires_grad=True)
    upstream = torch.arange(1.0, 8.0)
    StochasticSign().train()(x).backward(upstream)
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 6, 0]
    x.grad = None
    StochasticSign(estimator="identity").train()(x).backward(upstream)
    assert x.grad.tolist() == upstream.tolist()


def test_the_saved_input_is_not_overwritten():
    x = torch.tensor([-0.2, 0.1, 3.0], requires_grad=True)
    before = x.detach().clone()
    y = StochasticSign().train()(x)
    y.mul_(5)  # the result is nobody else's memory
    y.sum().backward()
    assert torch.equal(x.detach(), before)
    assert x.grad.tolist() == [5, 5, 0]


class TestRandomStream:
    x = torch.zeros(200)

    def test_same_seed_same_draws_other_seed_others(self):
        first, again, other = (StochasticSign(seed=s).train()(self.x) for s in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_consecutive_batches_differ(self):
        quantizer = StochasticSign().train()
        assert not torch.equal(quantizer(self.x), quantizer(self.x))

    def test_the_global_generator_is_neither_read_nor_moved(self):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        first = StochasticSign(seed=5).train()(self.x)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(99)
        assert torch.equal(StochasticSign(seed=5).train()(self.x), first)

    def test_reseed_starts_the_stream_again(self):
        quantizer = StochasticSign(seed=5).train()
        first = quantizer(self.x)
        quantizer.reseed(5)
        assert torch.equal(quantizer(self.x), first)
        quantizer.reseed(6)
        assert torch.equal(quantizer(self.x), StochasticSign(seed=6).train()(self.x))

    @pytest.mark.parametrize("drawn_before", [0, 1, 3])
    def test_a_restored_quantizer_draws_what_the_saved_one_would(self, drawn_before):
        saved = torch.nn.Sequential(StochasticSign(seed=7)).train()
        for _ in range(drawn_before):
            saved(self.x)
        buffer = io.BytesIO()
        torch.save(saved.state_dict(), buffer)
        buffer.seek(0)
        restored = torch.nn.Sequential(StochasticSign(seed=7)).train()
        restored(self.x)  # a stream that has already moved
        restored.load_state_dict(torch.load(buffer, weights_only=True))
        for _ in range(2):
            assert torch.equal(restored(self.x), saved(self.x))

    def test_state_passes_through_a_quantizer_that_never_draws(self):
        saved = StochasticSign(seed=7).train()
        saved(self.x)
        between = StochasticSign(seed=7)
        between.load_state_dict(saved.state_dict())
        restored = StochasticSign(seed=7).train()
        restored.load_state_dict(between.state_dict())
        assert torch.equal(restored(self.x), saved(self.x))


def test_by_name():
    quantizer = make("stochastic_sign", seed=4, clip=0.5)
    assert isinstance(quantizer, StochasticSign)
    assert (quantizer.seed, quantizer.clip) == (4, 0.5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_restored_quantizer_continues_on_the_gpu():
    x = torch.zeros(200, device="cuda")
    saved = StochasticSign(seed=7).train()
    saved(x)
    restored = StochasticSign(seed=7).train()
    restored.load_state_dict(saved.state_dict())
    assert torch.equal(restored(x), saved(x))
