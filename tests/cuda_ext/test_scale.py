"""float16 results: the integer product, scaled and shifted in float32, against numpy on the oracle's sums."""

from collections.abc import Callable

import numpy as np
import oracle
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import cuda_ext

RNG = np.random.default_rng(5)


def signs(*shape: int) -> np.ndarray:
    return RNG.choice([-1, 1], shape)


def packed(values: np.ndarray) -> torch.Tensor:
    return cuda_ext.pack_signs(torch.from_numpy(values.astype(np.float32)))


def scales(n: int) -> tuple[np.ndarray, np.ndarray]:
    scale, shift = RNG.standard_normal((2, n)).astype(np.float32)
    scale[0] = 0.0
    scale[-1] = 1e4  # beyond float16: infinite, of the sum's sign
    return scale, shift


def expected_halves(sums: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return (sums.astype(np.float32) * scale + shift).astype(np.float16)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 70), (65, 130, 513), (9, 10, 4096)])
def test_matmul(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    a, b = signs(m, k), signs(n, k)
    scale, shift = scales(n)
    expected = expected_halves(oracle.matmul(a, b), scale, shift)
    for weights in (packed(b), cuda_ext.prepack(packed(b), k)):
        out = cuda_ext.xnor_matmul_scale(packed(a), weights, k, torch.from_numpy(scale), torch.from_numpy(shift))
        assert out.dtype == torch.float16
        assert np.array_equal(out.numpy(), expected)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_conv2d(pad_value: int) -> None:
    x, w = signs(2, 5, 6, 33), signs(7, 3, 2, 33)
    images = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2)
    filters = torch.from_numpy(w.astype(np.float64)).permute(0, 3, 1, 2)
    padded = torch.nn.functional.pad(images, [1] * 4, value=pad_value)
    sums = torch.nn.functional.conv2d(padded, filters, stride=(2, 1)).permute(0, 2, 3, 1).numpy()
    scale, shift = scales(7)
    window = {"stride": (2, 1), "padding": 1, "pad_value": pad_value}
    for weights in (packed(w), cuda_ext.prepack(packed(w), 33)):
        out = cuda_ext.xnor_conv2d_scale(
            packed(x), weights, 33, torch.from_numpy(scale), torch.from_numpy(shift), **window
        )
        assert np.array_equal(out.numpy(), expected_halves(sums, scale, shift))


A, B = packed(signs(3, 600)), packed(signs(5, 600))
ONE = torch.ones(5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda b: cuda_ext.xnor_matmul_scale(A, b, 600, ONE[:4], ONE),
            ValueError,
            r"scale: expected shape \[5\], got",
        ),
        (
            lambda b: cuda_ext.xnor_matmul_scale(A, b, 600, ONE, ONE[:1]),
            ValueError,
            r"shift: expected shape \[5\], got",
        ),
        (lambda b: cuda_ext.xnor_matmul_scale(A, b, 600, ONE.half(), ONE), TypeError, "scale: .*float32, got float16"),
        (lambda b: cuda_ext.xnor_matmul_scale(A, b, 600, ONE, ONE[None]), ValueError, "shift: expected 1 dim"),
        (lambda b: cuda_ext.xnor_matmul_scale(A, b, 600, ONE, ONE.to("meta")), ValueError, "shift: expected device"),
    ],
)
def test_bad_input(call: Callable[[object], object], error: type[Exception], message: str) -> None:
    for weights in (B, cuda_ext.prepack(B, 600)):
        with pytest.raises(error, match=message):
            call(weights)


FILTERS = packed(signs(5, 1, 1, 600))


class Called(TorchDispatchMode):
    """Notes the names of the operations called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def test_weights_prepacked_on_another_device_reach_the_operation_itself() -> None:
    # meta stands for every device whose prepacked weights are the plain ones
    b, filters, one, a = (t.to("meta") for t in (B, FILTERS, ONE, A))
    with Called() as called:
        cuda_ext.xnor_matmul_scale(a, cuda_ext.prepack(b, 600), 600, one, one)
        cuda_ext.xnor_conv2d_scale(a[None, None], cuda_ext.prepack(filters, 600), 600, one, one)
    ours = [name for name in called.names if name.startswith("cuda_ext::")]
    assert ours == ["cuda_ext::xnor_matmul_scale", "cuda_ext::xnor_conv2d_scale"]


@pytest.mark.parametrize("name", ["scale", "shift"])
def test_gradients_are_refused(name: str) -> None:
    values = {"scale": ONE, "shift": ONE} | {name: ONE.clone().requires_grad_()}
    images = A[None, None]
    for weights, filters in ((B, FILTERS), (cuda_ext.prepack(B, 600), cuda_ext.prepack(FILTERS, 600))):
        with pytest.raises(ValueError, match=f"{name}: expected a tensor without gradient"):
            cuda_ext.xnor_matmul_scale(A, weights, 600, **values)
        with pytest.raises(ValueError, match=f"{name}: expected a tensor without gradient"):
            cuda_ext.xnor_conv2d_scale(images, filters, 600, **values)
        with torch.no_grad():
            assert not cuda_ext.xnor_matmul_scale(A, weights, 600, **values).requires_grad
            assert not cuda_ext.xnor_conv2d_scale(images, filters, 600, **values).requires_grad


def test_an_empty_batch_gives_an_empty_result() -> None:
    assert cuda_ext.xnor_matmul_scale(A[:0], B, 600, ONE, ONE).shape == (0, 5)
