"""Products of signs on packed bits: the float product's values and gradients, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import cuda_ext
from qbench.nn import binary_product
from qbench.nn.layer_shape import ConvWindow
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear
from quantizers import ScaledSign, Sign, StochasticSign, TanhSign

SIZES = st.integers(1, 9)


@pytest.fixture(autouse=True)
def always_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_product, "MINIMUM_MACS", 0)
    if cuda_ext.backends()["cpu"].selected == "reference":
        monkeypatch.setattr(binary_product, "packs", lambda *_: True)


def signs(*shape: int, seed: int) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(values >= 0, 1.0, -1.0).requires_grad_()


def gradients(y: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    g = torch.randn(y.shape, generator=torch.Generator().manual_seed(9))
    return torch.autograd.grad(y, leaves, g)


@settings(deadline=None, max_examples=40)
@given(rows=SIZES, n=SIZES, k=st.sampled_from([1, 31, 32, 33, 511, 512, 513, 700]), seed=st.integers(0, 99))
def test_linear(rows: int, n: int, k: int, seed: int) -> None:
    x, w = signs(rows, k, seed=seed), signs(n, k, seed=seed + 100)
    y, expected = binary_product.linear(x, w), F.linear(x, w)
    assert "Linear" in type(y.grad_fn).__name__  # the packed one's, not addmm's
    assert torch.equal(y, expected)
    for found, wanted in zip(gradients(y, x, w), gradients(expected, x, w), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_linear_over_leading_dimensions() -> None:
    x, w = signs(2, 3, 40, seed=1), signs(5, 40, seed=2)
    y, expected = binary_product.linear(x, w), F.linear(x, w)
    assert torch.equal(y, expected)
    for found, wanted in zip(gradients(y, x, w), gradients(expected, x, w), strict=True):
        torch.testing.assert_close(found, wanted)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(3, 7), st.integers(3, 7)),
    n=SIZES,
    stride=st.integers(1, 2),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    seed=st.integers(0, 99),
)
def test_conv2d(shape: tuple[int, ...], n: int, stride: int, padding: tuple[int, int], seed: int) -> None:
    x, w = signs(*shape, seed=seed), signs(n, shape[1], 3, 3, seed=seed + 100)
    window = ConvWindow(stride=(stride, stride), padding=padding)
    y, expected = binary_product.conv2d(x, w, window), F.conv2d(x, w, None, stride, padding)
    assert "Conv2d" in type(y.grad_fn).__name__
    assert torch.equal(y, expected)
    assert y.is_contiguous()
    for found, wanted in zip(gradients(y, x, w), gradients(expected, x, w), strict=True):
        assert torch.equal(found, wanted)


def test_a_constant_input_gets_no_gradient() -> None:
    x, w = signs(4, 40, seed=1).detach(), signs(5, 40, seed=2)
    binary_product.linear(x, w).sum().backward()
    torch.testing.assert_close(w.grad, x.sum(0).expand(5, -1))


@pytest.mark.parametrize("stochastic", [False, True])
def test_layers_train_on_packed_bits_with_the_same_numbers(stochastic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def layer() -> QuantConv2d:
        torch.manual_seed(0)
        made = QuantConv2d(3, 4, 3, padding=1, bias=stochastic)
        made.weight_quantizer = Sign("identity")
        made.input_quantizer = StochasticSign(seed=3) if stochastic else Sign()
        return made

    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    packed, plain = layer(), layer()
    y = packed(x)
    monkeypatch.setattr(binary_product, "packs", lambda *_: False)
    expected = plain(x)
    assert torch.equal(y, expected)
    y.square().sum().backward()
    expected.square().sum().backward()
    assert torch.equal(packed.weight.grad, plain.weight.grad)


class Half(Sign):
    """Not ±1, though a Sign."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 2


@pytest.mark.parametrize(
    ("weights", "inputs", "dropout"),
    [
        (ScaledSign(), Sign(), 0.0),
        (Half(), Sign(), 0.0),
        (Sign(), TanhSign(), 0.0),
        (Sign(), None, 0.0),
        (Sign(), Sign(), 0.5),
    ],
)
def test_other_values_are_not_taken_for_signs(
    weights: Any, inputs: Any, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = QuantLinear(40, 3, dropout=dropout)
    layer.weight_quantizer, layer.input_quantizer = weights, inputs
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    y = layer(x)
    torch.manual_seed(0)
    monkeypatch.setattr(binary_product, "packs", lambda *_: False)
    assert torch.equal(y, layer(x))


def test_evaluation_stays_the_float_product(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Tensor:
        raise AssertionError("packed execution would be compared with itself")

    monkeypatch.setattr(cuda_ext, "xnor_matmul", fail)
    layer = QuantLinear(40, 3).eval()
    layer.weight_quantizer, layer.input_quantizer = Sign(), Sign()
    assert layer(torch.ones(2, 40)).shape == (2, 3)
    with pytest.raises(AssertionError, match="compared with itself"):
        layer.train()(torch.ones(2, 40))


def test_autocast_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    x, w = signs(4096, 1024, seed=1), signs(1024, 1024, seed=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert not binary_product.packs(x, w, 4096)
        assert binary_product.linear(x[:2], w).dtype == torch.bfloat16


def test_other_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="pad_value must be 0 in training, got 1"):
        binary_product.conv2d(signs(1, 2, 4, 4, seed=1), signs(3, 2, 3, 3, seed=2), ConvWindow(pad_value=1))


def test_small_products_and_other_types_stay_float(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert not binary_product.packs(torch.ones(4, 8), torch.ones(2, 8), 4)
    assert not binary_product.packs(torch.ones(4096, 1024).double(), torch.ones(1024, 1024).double(), 4096)
