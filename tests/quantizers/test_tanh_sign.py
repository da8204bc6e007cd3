"""Bitwise networks' compression: tanh in the first phase, its sign in the second, one derivative."""

import numpy as np
import pytest
import torch

from quantizers import TanhSign

VALUES = [0.0, -0.0, 1e-30, -1e-30, 0.5, -0.5, 1.0, -1.0, 30.0, -30.0, float("nan")]


def test_binary_values():
    found = TanhSign()(torch.tensor(VALUES))
    assert found.tolist() == [1, 1, 1, -1, 1, -1, 1, -1, 1, -1, -1]


@pytest.mark.parametrize("relaxed", [False, True])
def test_the_derivative_is_that_of_tanh(relaxed):
    quantizer = TanhSign().train()
    quantizer.relaxed = relaxed
    x = torch.tensor(VALUES[:-1], dtype=torch.float64, requires_grad=True)
    g = torch.linspace(-2, 3, len(x), dtype=torch.float64)
    quantizer(x).backward(g)
    np.testing.assert_allclose(x.grad.numpy(), g.numpy() / np.cosh(x.detach().numpy()) ** 2, rtol=1e-9, atol=1e-15)


def test_relaxed_training_sees_tanh_and_evaluation_the_sign():
    quantizer, x = TanhSign(), torch.tensor([-2.0, 0.0, 0.25])
    quantizer.relaxed = True
    np.testing.assert_allclose(quantizer.train()(x).numpy(), np.tanh(x.numpy()), rtol=1e-6)
    assert quantizer.eval()(x).tolist() == [-1, 1, 1]
    assert torch.equal(quantizer.quantize(x).dequantize(), quantizer(x))
