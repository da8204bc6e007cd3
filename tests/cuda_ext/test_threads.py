"""The compiled operations cut their work for any number of threads, and give the same results (int64 oracle)."""

from collections.abc import Iterator

import numpy as np
import oracle
import pytest
import torch
from torch import Tensor

import cuda_ext

pytestmark = pytest.mark.skipif(not cuda_ext.backends()["cpu"].available, reason="no compiled kernels here")


@pytest.fixture(params=cuda_ext.available_isas()[:-1], autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each compiled ISA in turn, without the references, whose threads are torch's concern."""
    with cuda_ext.use_isa(request.param):
        yield


@pytest.fixture(params=[1, 2, 3, 5], autouse=True)
def threads(request: pytest.FixtureRequest) -> None:
    torch.set_num_threads(request.param)
    assert torch.get_num_threads() == request.param


def signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2, shape, dtype=np.int64) * 2 - 1


def packed(values: np.ndarray) -> Tensor:
    return oracle.pack((values + 1) // 2)


# Fewer columns than threads have to share, fewer rows, one of each, and enough of both.
@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 700), (301, 3), (37, 130)])
def test_products(m: int, n: int) -> None:
    k = 1030
    rng = np.random.default_rng(m)
    a, b = signs(rng, m, k), signs(rng, n, k)
    threshold, direction = rng.integers(-30, 31, n).astype(np.int32), rng.integers(-1, 2, n).astype(np.int8)
    thresholds = torch.from_numpy(threshold), torch.from_numpy(direction)
    pixels, bytes_a, bytes_b = rng.integers(0, 256, (m, k)), *(rng.integers(-128, 128, (i, k)) for i in (m, n))
    numbers = rng.integers(-100, 101, (m, k))  # integers: every order of additions gives the same sum
    product = oracle.matmul(a, b)
    bits = oracle.pack(oracle.threshold_bits(product, threshold, direction))
    left, right = torch.from_numpy(bytes_a.astype(np.int8)), torch.from_numpy(bytes_b.astype(np.int8))
    for weights in (packed(b), cuda_ext.prepack(packed(b), k)):
        assert np.array_equal(cuda_ext.xnor_matmul(packed(a), weights, k).numpy(), product)
        assert torch.equal(cuda_ext.xnor_matmul_sign(packed(a), weights, k, *thresholds), bits)
        planes = cuda_ext.bitplane_matmul(torch.from_numpy(pixels.astype(np.uint8)), weights, k)
        assert np.array_equal(planes.numpy(), oracle.matmul(pixels, b))
        sums = cuda_ext.binary_weight_matmul(torch.from_numpy(numbers.astype(np.float32)), weights, k)
        assert np.array_equal(sums.numpy(), oracle.matmul(numbers, b))
    for operand in (right, cuda_ext.prepack_int8(right)):
        assert np.array_equal(cuda_ext.int8_matmul(left, operand).numpy(), oracle.matmul(bytes_a, bytes_b))


# k in two passes: rows in two chunks, all rows in one and columns in groups, and more threads than columns.
@pytest.mark.parametrize(
    ("threads", "m", "n"), [(1, 130, 1100), (3, 130, 1100), (1, 90, 300), (5, 300, 70)], indirect=["threads"]
)
def test_long_int8_products(m: int, n: int) -> None:
    k = 8300
    rng = np.random.default_rng(n)
    a, b = (rng.integers(-128, 128, (i, k)) for i in (m, n))
    expected = a.astype(np.float64) @ b.astype(np.float64).T  # sums of at most 2^27: exact, and fast
    left, right = (torch.from_numpy(x.astype(np.int8)) for x in (a, b))
    for operand in (right, cuda_ext.prepack_int8(right)):
        assert np.array_equal(cuda_ext.int8_matmul(left, operand).numpy(), expected)


# Few pixels with many filters, many pixels with few, and enough of both to cut either.
@pytest.mark.parametrize("pad_value", [-1, 0])
@pytest.mark.parametrize(("image", "outputs"), [((1, 3, 3), 300), ((3, 17, 13), 5), ((1, 9, 7), 200)])
def test_convolutions(image: tuple[int, int, int], outputs: int, pad_value: int) -> None:
    rng = np.random.default_rng(outputs)
    x, w = signs(rng, *image, 130), signs(rng, outputs, 3, 3, 130)
    threshold, direction = rng.integers(-30, 31, outputs).astype(np.int32), rng.integers(-1, 2, outputs).astype(np.int8)
    thresholds = torch.from_numpy(threshold), torch.from_numpy(direction)
    expected = oracle.conv2d(x, w, (1, 1), (1, 1), (1, 1), pad_value)
    bits = oracle.pack(oracle.threshold_bits(expected, threshold, direction))
    for filters in (packed(w), cuda_ext.prepack(packed(w), 130)):
        sums = cuda_ext.xnor_conv2d(packed(x), filters, 130, pad_value=pad_value, padding=1)
        assert np.array_equal(sums.numpy(), expected)
        assert torch.equal(
            cuda_ext.xnor_conv2d_sign(packed(x), filters, 130, *thresholds, pad_value=pad_value, padding=1), bits
        )


def test_packing() -> None:
    n, k = 260, 1030  # more values than one thread takes at once
    rng = np.random.default_rng(0)
    values = signs(rng, n, k)
    assert torch.equal(cuda_ext.pack_signs(torch.from_numpy(values.astype(np.float32))), packed(values))
    assert np.array_equal(cuda_ext.unpack_signs(packed(values), k).numpy(), values)
    sums = rng.integers(-4, 5, (n, k)).astype(np.int32)
    threshold, direction = rng.integers(-4, 5, k).astype(np.int32), rng.integers(-1, 2, k).astype(np.int8)
    bits = cuda_ext.sign_threshold_pack(*map(torch.from_numpy, (sums, threshold, direction)))
    assert torch.equal(bits, oracle.pack(oracle.threshold_bits(sums, threshold, direction)))

    x = rng.uniform(-1.5, 1.5, (n, k)).astype(np.float32)
    drawn = cuda_ext.pack_signs_stochastic(torch.from_numpy(x), torch.tensor([3, 4]))
    got = cuda_ext.unpack_signs(drawn, k).numpy().reshape(-1)
    probability = np.clip((x.reshape(-1) + np.float32(1)) * np.float32(0.5), 0, 1)
    for i in rng.integers(0, n * k, 200).tolist():
        # the number of an element is its own, whichever thread draws it
        assert got[i] == (1 if (oracle.philox(3, 4, i) >> 8) < float(probability[i]) * 2**24 else -1), i
