"""Every operation against independent int64 arithmetic (`oracle`), on random shapes with tails."""

from collections.abc import Iterator

import numpy as np
import oracle
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cuda_ext
from cuda_ext import ops, reference, runtime

kernels = settings(deadline=None, derandomize=True, max_examples=25)


@pytest.fixture(scope="module", params=cuda_ext.available_isas(), autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the whole module on each ISA in turn; the last is the pure-torch references."""
    if request.param != runtime.REFERENCE:
        with cuda_ext.use_isa(request.param):
            yield request.param
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "_ops", reference)
        patch.setattr(runtime, "cpu_isa", runtime.REFERENCE)
        yield request.param


rows = st.integers(1, 300)
lengths = st.one_of(st.integers(1, 70), st.integers(1, 5000), st.sampled_from([512, 1023, 1024, 1025, 4096]))
seeds = st.integers(0, 2**31)


def random_signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2, shape, dtype=np.int64) * 2 - 1


def packed(signs: np.ndarray) -> torch.Tensor:
    return cuda_ext.pack_signs(torch.from_numpy(signs.astype(np.float32)))


@kernels
@given(rows, lengths, seeds, st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]))
def test_pack_signs(n: int, k: int, seed: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, k))
    x[rng.random((n, k)) < 0.1] = 0.0
    x[rng.random((n, k)) < 0.1] = -0.0
    x[rng.random((n, k)) < 0.05] = np.nan
    expected = oracle.pack((oracle.signs(x) + 1) // 2)
    assert torch.equal(cuda_ext.pack_signs(torch.from_numpy(x).to(dtype)), expected)


def test_pack_signs_of_special_values() -> None:
    x = torch.tensor([[0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e-45, -1e-45]])
    assert cuda_ext.pack_signs(x)[0, 0].item() == 0b0101011
    assert torch.equal(cuda_ext.unpack_signs(cuda_ext.pack_signs(x), 7)[0], torch.tensor([1.0, 1, -1, 1, -1, 1, -1]))


@kernels
@given(rows, lengths, seeds)
def test_unpack_signs(n: int, k: int, seed: int) -> None:
    signs = random_signs(np.random.default_rng(seed), n, k)
    out = cuda_ext.unpack_signs(oracle.pack((signs + 1) // 2), k)
    assert out.dtype == torch.float32
    assert np.array_equal(out.numpy(), signs)


@kernels
@given(rows, rows, lengths, seeds)
@example(m=1, n=300, k=5000, seed=0)
@example(m=300, n=1, k=1, seed=0)
def test_xnor_matmul(m: int, n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_signs(rng, m, k), random_signs(rng, n, k)
    out = cuda_ext.xnor_matmul(packed(a), packed(b), k)
    assert out.dtype == torch.int32
    assert np.array_equal(out.numpy(), oracle.matmul(a, b))
    assert torch.equal(cuda_ext.xnor_matmul(packed(a), cuda_ext.prepack(packed(b), k), k), out)


@settings(kernels, max_examples=12)
@given(st.integers(96, 230), st.integers(449, 1100), st.integers(2017, 5000), st.integers(1, 7), seeds)
@example(m=96, n=449, k=2017, threads=1, seed=0)
@example(m=193, n=1027, k=32736, threads=2, seed=0)
@example(m=193, n=449, k=32737, threads=1, seed=0)
@example(m=2051, n=2064, k=2017, threads=3, seed=0)  # a result that is stored past the caches
def test_xnor_matmul_of_large_operands(m: int, n: int, k: int, threads: int, seed: int) -> None:
    """Sizes that an ISA may do by carry-save popcount, up to the last K that fits, with rows that fill no tile."""
    rng = np.random.default_rng(seed)
    a, b = random_signs(rng, m, k), random_signs(rng, n, k)
    b[0], b[1] = a[0], -a[0]  # no bit differs, every bit differs
    expected = (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.int64)  # integers below 2^53: exact
    threshold = rng.integers(-int(k**0.5) - 1, int(k**0.5) + 2, n).astype(np.int32)
    direction = rng.integers(-1, 2, n).astype(np.int8)
    bits = oracle.pack(oracle.threshold_bits(expected, threshold, direction))
    pa, pb = packed(a), packed(b)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for weights in (pb, cuda_ext.prepack(pb, k)):
            assert np.array_equal(cuda_ext.xnor_matmul(pa, weights, k).numpy(), expected)
            rule = torch.from_numpy(threshold), torch.from_numpy(direction)
            assert torch.equal(cuda_ext.xnor_matmul_sign(pa, weights, k, *rule), bits)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("k", [1, 511, 512, 5000])
def test_xnor_matmul_extremes(k: int) -> None:
    ones = torch.ones(3, k)
    out = cuda_ext.xnor_matmul(
        cuda_ext.pack_signs(torch.cat([ones, -ones])), cuda_ext.pack_signs(torch.cat([ones, -ones])), k
    )
    sign = torch.tensor([1, 1, 1, -1, -1, -1], dtype=torch.int32)
    assert torch.equal(out, k * sign[:, None] * sign[None, :])


@kernels
@given(st.integers(1, 70), st.integers(1, 600), lengths, seeds)
def test_xnor_matmul_sign(m: int, n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_signs(rng, m, k), random_signs(rng, n, k)
    # around 0, where the products are, so that both answers and the equality occur
    threshold = rng.integers(-int(k**0.5) - 1, int(k**0.5) + 2, n).astype(np.int32)
    direction = rng.integers(-1, 2, n).astype(np.int8)
    out = cuda_ext.xnor_matmul_sign(packed(a), packed(b), k, torch.from_numpy(threshold), torch.from_numpy(direction))
    expected = oracle.pack(oracle.threshold_bits(oracle.matmul(a, b), threshold, direction))
    assert torch.equal(out, expected)


convolutions = {
    "batch": st.integers(1, 3),
    "height": st.integers(1, 9),
    "width": st.integers(1, 9),
    "channels": st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 128, 513])),
    "outputs": st.integers(1, 40),
    "kernel": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)),
    "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
    "pad_value": st.sampled_from([-1, 0, 1]),
    "seed": seeds,
}


@settings(kernels, max_examples=60)
@given(**convolutions)
def test_xnor_conv2d(
    batch: int,
    height: int,
    width: int,
    channels: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    pad_value: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    height = max(height, dilation[0] * (kernel[0] - 1) + 1 - 2 * padding[0])
    width = max(width, dilation[1] * (kernel[1] - 1) + 1 - 2 * padding[1])
    x = random_signs(rng, batch, height, width, channels)
    w = random_signs(rng, outputs, *kernel, channels)
    window = {"stride": stride, "padding": padding, "dilation": dilation, "pad_value": pad_value}
    expected = oracle.conv2d(x, w, stride, padding, dilation, pad_value)
    weights = cuda_ext.prepack(packed(w), channels)
    out = cuda_ext.xnor_conv2d(packed(x), packed(w), channels, **window)
    assert out.dtype == torch.int32
    assert np.array_equal(out.numpy(), expected)
    assert torch.equal(cuda_ext.xnor_conv2d(packed(x), weights, channels, **window), out)

    threshold = rng.integers(-5, 6, outputs).astype(np.int32)
    direction = rng.integers(-1, 2, outputs).astype(np.int8)
    thresholds = torch.from_numpy(threshold), torch.from_numpy(direction)
    expected_bits = oracle.pack(oracle.threshold_bits(expected, threshold, direction))
    for filters in (packed(w), weights):
        bits = cuda_ext.xnor_conv2d_sign(packed(x), filters, channels, *thresholds, **window)
        assert torch.equal(bits, expected_bits)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_xnor_conv2d_is_torch_conv2d(pad_value: int, stride: int, padding: int) -> None:
    rng = np.random.default_rng(stride)
    x, w = random_signs(rng, 2, 7, 8, 33), random_signs(rng, 17, 3, 3, 33)
    images = torch.from_numpy(x).permute(0, 3, 1, 2).to(torch.float64)
    filters = torch.from_numpy(w).permute(0, 3, 1, 2).to(torch.float64)
    expected = F.conv2d(F.pad(images, [padding] * 4, value=pad_value), filters, stride=stride)
    out = cuda_ext.xnor_conv2d(packed(x), packed(w), 33, stride=stride, padding=padding, pad_value=pad_value)
    assert torch.equal(out.permute(0, 3, 1, 2).to(torch.float64), expected)


@kernels
@given(st.integers(1, 40), rows, lengths, seeds, st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
def test_binary_weight_matmul(m: int, n: int, k: int, seed: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.standard_normal((m, k))).to(dtype)
    w = random_signs(rng, n, k)
    out = cuda_ext.binary_weight_matmul(x, packed(w), k)
    assert out.dtype == torch.float32
    assert torch.equal(cuda_ext.binary_weight_matmul(x, cuda_ext.prepack(packed(w), k), k), out)
    expected = x.double().numpy() @ w.T.astype(np.float64)
    # K additions of values of magnitude |x|: the error of any order of summation
    bound = 2**-24 * k * np.abs(x.double().numpy()).sum(1, keepdims=True) + 1e-30
    assert (np.abs(out.double().numpy() - expected) <= bound).all()


def test_binary_weight_matmul_gradient() -> None:
    x = torch.randn(3, 70, requires_grad=True)
    w = torch.randn(5, 70)
    weight = torch.randn(3, 5)
    (cuda_ext.binary_weight_matmul(x, cuda_ext.pack_signs(w), 70) * weight).sum().backward()
    torch.testing.assert_close(x.grad, weight @ torch.where(w >= 0, 1.0, -1.0))


@kernels
@given(st.integers(1, 40), rows, lengths, seeds)
@example(m=2, n=3, k=5000, seed=-1)
def test_bitplane_matmul(m: int, n: int, k: int, seed: int) -> None:
    if seed < 0:  # the largest sums
        x, w = np.full((m, k), 255), np.ones((n, k), dtype=np.int64)
    else:
        rng = np.random.default_rng(seed)
        x, w = rng.integers(0, 256, (m, k)), random_signs(rng, n, k)
    values = torch.from_numpy(x.astype(np.uint8))
    out = cuda_ext.bitplane_matmul(values, packed(w), k)
    assert out.dtype == torch.int32
    assert torch.equal(cuda_ext.bitplane_matmul(values, cuda_ext.prepack(packed(w), k), k), out)
    assert np.array_equal(out.numpy(), oracle.matmul(x, w))


@kernels
@given(st.integers(1, 70), rows, lengths, seeds)
@example(m=2, n=3, k=5000, seed=-1)
@example(m=130, n=70, k=8300, seed=1)  # k in two passes, rows in two chunks
@example(m=2100, n=2000, k=3, seed=1)  # a result that is stored past the caches
def test_int8_matmul(m: int, n: int, k: int, seed: int) -> None:
    if seed < 0:
        a, b = np.full((m, k), -128), np.full((n, k), -128)
    else:
        rng = np.random.default_rng(seed)
        a, b = rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (n, k))
    left, right = torch.from_numpy(a.astype(np.int8)), torch.from_numpy(b.astype(np.int8))
    out = cuda_ext.int8_matmul(left, right)
    assert out.dtype == torch.int32
    assert torch.equal(cuda_ext.int8_matmul(left, cuda_ext.prepack_int8(right)), out)
    assert np.array_equal(out.numpy(), oracle.matmul(a, b))


@kernels
@given(rows, st.integers(1, 1100), seeds, st.booleans())
def test_sign_threshold_pack(n: int, channels: int, seed: int, integer: bool) -> None:
    rng = np.random.default_rng(seed)
    direction = rng.integers(-1, 2, channels).astype(np.int8)
    x = rng.integers(-4, 5, (n, channels)).astype(np.int32 if integer else np.float32)
    threshold = rng.integers(-4, 5, channels).astype(x.dtype)
    if integer:
        # beyond float32's exact integers: a comparison in float would call these equal
        x += 2**30 * np.sign(x)
        threshold += 2**30 * np.sign(threshold)
    else:
        x[rng.random(x.shape) < 0.05] = np.nan
    out = cuda_ext.sign_threshold_pack(torch.from_numpy(x), torch.from_numpy(threshold), torch.from_numpy(direction))
    assert torch.equal(out, oracle.pack(oracle.threshold_bits(x, threshold, direction)))


def test_philox_known_answers() -> None:
    # Random123's kat_vectors: philox4x32-10 with all-zero and all-one counter and key
    assert [oracle.philox(0, 0, i) for i in range(4)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@kernels
@given(st.integers(1, 40), lengths, st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_pack_signs_stochastic(n: int, k: int, seed: int, offset: int) -> None:
    rng = np.random.default_rng(abs(seed))
    x = rng.uniform(-1.5, 1.5, (n, k)).astype(np.float32)
    x[rng.random((n, k)) < 0.05] = np.nan
    bits = cuda_ext.unpack_signs(cuda_ext.pack_signs_stochastic(torch.from_numpy(x), torch.tensor([seed, offset])), k)
    flat, got = x.reshape(-1), bits.numpy().reshape(-1)
    for i in {0, 1, 2, 3, n * k // 2, n * k - 1} & set(range(n * k)):
        p = np.clip((flat[i] + np.float32(1)) * np.float32(0.5), 0, 1)
        expected = (oracle.philox(seed, offset, i) >> 8) < float(p) * 2**24
        assert got[i] == (1 if expected else -1), i
    assert (got[flat >= 1] == 1).all()
    assert (got[flat <= -1] == -1).all()


def test_pack_signs_stochastic_has_the_hard_sigmoid_as_its_mean() -> None:
    x = torch.linspace(-1.2, 1.2, 25)[:, None].expand(25, 40_000)
    bits = cuda_ext.pack_signs_stochastic(x, torch.tensor([7, 0]))
    mean = (cuda_ext.unpack_signs(bits, 40_000) > 0).double().mean(1)
    p = ((x[:, 0] + 1) / 2).clamp(0, 1).double()
    # five standard deviations of a binomial mean
    assert ((mean - p).abs() <= 5 * (p * (1 - p) / 40_000).sqrt()).all()
    assert not torch.equal(bits, cuda_ext.pack_signs_stochastic(x, torch.tensor([7, 1])))


@pytest.mark.parametrize("n", [0])
def test_an_empty_batch_gives_an_empty_result(n: int) -> None:
    w = cuda_ext.pack_signs(torch.randn(5, 40))
    bits = cuda_ext.pack_signs(torch.empty(n, 40))
    threshold, direction = torch.zeros(5, dtype=torch.int32), torch.ones(5, dtype=torch.int8)
    assert bits.shape == (0, 16)
    assert cuda_ext.pack_signs_stochastic(torch.empty(n, 40), torch.tensor([1, 2])).shape == (0, 16)
    assert cuda_ext.unpack_signs(bits, 40).shape == (0, 40)
    assert cuda_ext.xnor_matmul(bits, w, 40).shape == (0, 5)
    assert cuda_ext.xnor_matmul_sign(bits, w, 40, threshold, direction).shape == (0, 16)
    assert cuda_ext.binary_weight_matmul(torch.empty(n, 40), w, 40).shape == (0, 5)
    assert cuda_ext.bitplane_matmul(torch.empty(n, 40, dtype=torch.uint8), w, 40).shape == (0, 5)
    assert cuda_ext.int8_matmul(torch.empty(n, 9, dtype=torch.int8), torch.ones(5, 9, dtype=torch.int8)).shape == (0, 5)
    assert cuda_ext.sign_threshold_pack(torch.empty(n, 5), torch.zeros(5), direction).shape == (0, 16)
    images = cuda_ext.pack_signs(torch.empty(n, 4, 4, 40))
    filters = cuda_ext.pack_signs(torch.randn(5, 3, 3, 40))
    assert cuda_ext.xnor_conv2d(images, filters, 40).shape == (0, 2, 2, 5)
    assert cuda_ext.xnor_conv2d_sign(images, filters, 40, threshold, direction).shape == (0, 2, 2, 16)


def test_arguments_need_not_be_contiguous() -> None:
    x, w = torch.randn(90, 7).T, torch.randn(90, 5).T
    out = cuda_ext.xnor_matmul(cuda_ext.pack_signs(x), cuda_ext.pack_signs(w)[:, ::1], 90)
    assert np.array_equal(out.numpy(), oracle.matmul(oracle.signs(x.numpy()), oracle.signs(w.numpy())))
    strided = cuda_ext.pack_signs(w).repeat(2, 1)[::2]
    assert not strided.is_contiguous()
    assert cuda_ext.xnor_matmul(strided, cuda_ext.pack_signs(x), 90).shape == (5, 7)
