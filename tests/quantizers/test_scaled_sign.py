"""XNOR-Net's weights: the scale by least squares, the gradient by the product rule."""

import numpy as np
import pytest
import torch

from quantizers import BINARY, ScaledSign, storage_bytes


def weight() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    found = torch.randn(5, 3, 3, 3, generator=generator)
    found[0, 0, 0, :2] = torch.tensor([0.0, -0.0])
    return found


def test_values_are_the_channels_mean_magnitude_with_the_sign():
    w = weight()
    found = ScaledSign()(w).numpy()
    for channel in range(5):
        alpha = np.abs(w[channel].numpy().astype(np.float64)).mean()
        expected = np.where(w[channel].numpy() >= 0, alpha, -alpha)
        np.testing.assert_allclose(found[channel], expected, rtol=1e-6)


def test_no_other_scale_is_nearer():
    w = weight().double()
    best = (ScaledSign()(w) - w).square().flatten(1).sum(1)
    signs = torch.where(w >= 0, 1.0, -1.0)
    for factor in (0.9, 0.999, 1.001, 1.1):
        scale = factor * w.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
        assert bool(((scale * signs - w).square().flatten(1).sum(1) > best).all())


def test_codes_and_scale_give_the_forward_values():
    w = weight()
    quantized = ScaledSign().quantize(w)
    assert quantized.format == BINARY
    assert quantized.codes.dtype == torch.int8
    assert quantized.scale.shape == (5, 1, 1, 1)
    assert torch.equal(quantized.dequantize(), ScaledSign()(w))
    assert storage_bytes(quantized) == 5 * 4 + 5 * 4  # 27 bits in 4 bytes, and a scale


@pytest.mark.parametrize("estimator", ["saturated", "identity"])
def test_gradient_is_the_product_rule(estimator):
    w = weight().double().requires_grad_()
    g = torch.randn(w.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    ScaledSign(estimator)(w).backward(g)
    x = w.detach().numpy()
    for channel in range(5):
        values, grads = x[channel], g[channel].numpy()
        signs = np.where(values >= 0, 1.0, -1.0)
        passed = (np.abs(values) <= 1) if estimator == "saturated" else np.ones_like(values)
        expected = grads * np.abs(values).mean() * passed + np.sign(values) * (grads * signs).mean()
        np.testing.assert_allclose(w.grad[channel].numpy(), expected, rtol=1e-12, atol=1e-15)


def test_a_channel_of_zeros_is_zero():
    assert torch.equal(ScaledSign()(torch.zeros(2, 4)), torch.zeros(2, 4))


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        ScaledSign()(torch.ones(3))
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        ScaledSign().quantize(torch.ones(3))


@pytest.mark.parametrize("estimator", ["saturated", "identity"])
def test_factors_multiply_to_the_forward_with_its_gradient(estimator):
    quantizer = ScaledSign(estimator)
    w = weight().double().requires_grad_()
    signs, scale = quantizer.codes_and_scale(w)
    assert torch.equal(signs, torch.where(w >= 0, 1.0, -1.0).double())
    assert scale.shape == (5, 1, 1, 1)
    assert torch.equal(scale * signs, quantizer(w))
    g = torch.randn(w.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    (found,) = torch.autograd.grad(scale * signs, w, g)
    (expected,) = torch.autograd.grad(quantizer(w), w, g)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        quantizer.codes_and_scale(torch.ones(3))


def test_another_forward_has_no_factors():
    class Half(ScaledSign):
        def forward(self, x):
            return super().forward(x) / 2

    w = weight()
    assert Half().codes_and_scale(w) is None
    assert torch.equal(Half()(w), ScaledSign()(w) / 2)
