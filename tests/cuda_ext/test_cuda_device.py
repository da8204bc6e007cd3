"""The CUDA operations on a GPU, against the references on the CPU: every operation, every kernel of the binary product.

Without a GPU all of this is skipped; test_cuda_emulated.py and test_cuda_compile.py are what runs there.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import cuda_ext
from cuda_ext import reference

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the CUDA kernels are not run here"),
]

KERNELS = ("rows", "popc", "mma", "wgmma")
# What the kernel for few rows takes.
FEW = 8
many = settings(deadline=None, derandomize=True, max_examples=40)
rows = st.integers(1, 300)
lengths = st.one_of(st.integers(1, 70), st.integers(1, 5000), st.sampled_from([512, 1023, 1024, 1025, 4096]))
seeds = st.integers(0, 2**31)


def lacks(kernel: str) -> str:
    """Why this GPU cannot run a kernel; empty where it can."""
    capability = torch.cuda.get_device_capability()
    if kernel == "mma" and not (8, 0) <= capability < (10, 0):
        return f"mma on bits: needs compute capability 8.0 to 9.x, this is {capability}"
    if kernel == "wgmma" and capability != (9, 0):
        return f"wgmma: needs compute capability 9.0, this is {capability}"
    return ""


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    reason = lacks(request.param)
    if reason:
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_EXT_XNOR_KERNEL", request.param)
        yield request.param


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    backend = cuda_ext.backends()["cuda"]
    assert backend.available, backend.reason


def agree(operation: Callable[..., Tensor], expected: Tensor, *arguments: object, **keywords: object) -> None:
    """The operation on the GPU, after memory it might leave unwritten was filled with something else."""
    poison = torch.full((max(expected.numel(), 1),), 0x5EADBEEF, dtype=torch.int32, device="cuda")
    del poison
    moved = [a.cuda() if isinstance(a, Tensor) else a for a in arguments]
    out = operation(*moved, **keywords)
    assert out.device.type == "cuda"
    assert out.dtype == expected.dtype
    assert torch.equal(out.cpu(), expected)


def prepacked(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operation on (left, weights, k, ...), with its weights prepacked."""
    return lambda left, weights, k, *rest, **options: operation(left, cuda_ext.prepack(weights, k), k, *rest, **options)


def signs(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator).to(torch.float32) * 2 - 1


def bits(generator: torch.Generator, *shape: int) -> Tensor:
    return reference.pack_signs(signs(generator, *shape))


def scales(generator: torch.Generator, channels: int) -> tuple[Tensor, Tensor]:
    scale, shift = torch.randn(2, channels, generator=generator)
    return scale, shift


def thresholds(generator: torch.Generator, channels: int) -> tuple[Tensor, Tensor]:
    threshold = torch.randint(-5, 6, (channels,), generator=generator, dtype=torch.int32)
    return threshold, torch.randint(-1, 2, (channels,), generator=generator).to(torch.int8)


@many
@given(rows, lengths, seeds, st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]))
def test_packing(n: int, k: int, seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, k, generator=generator, dtype=torch.float64)
    x[torch.rand(n, k, generator=generator) < 0.1] = -0.0
    x[torch.rand(n, k, generator=generator) < 0.05] = float("nan")
    x = x.to(dtype)
    key = torch.randint(-(2**62), 2**62, (2,), generator=generator)
    agree(cuda_ext.pack_signs, reference.pack_signs(x), x)
    agree(cuda_ext.pack_signs_stochastic, reference.pack_signs_stochastic(x, key), x, key)
    packed = bits(generator, n, k)
    agree(cuda_ext.unpack_signs, reference.unpack_signs(packed, k), packed, k)


@many
@given(rows, st.integers(1, 1200), seeds, st.sampled_from([torch.int32, torch.float32]))
def test_sign_threshold_pack(n: int, channels: int, seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-6, 7, (n, channels), generator=generator).to(dtype)
    threshold, direction = thresholds(generator, channels)
    threshold = threshold.to(dtype)
    expected = reference.sign_threshold_pack(x, threshold, direction)
    agree(cuda_ext.sign_threshold_pack, expected, x, threshold, direction)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (8, 520, 700), (300, 300, 5000), (129, 513, 1023), (1, 4096, 4096), (2048, 1500, 700)]
)
def test_binary_products(kernel: str, shape: tuple[int, int, int]) -> None:
    if kernel == "rows" and shape[0] > FEW:
        with pytest.raises(RuntimeError, match="at most 8 rows"):
            check_binary_product(*shape, seed=1)
        return
    check_binary_product(*shape, seed=1)


# Not a fixture: hypothesis runs every kernel on each example.
@many
@given(st.one_of(rows, st.integers(1, FEW)), rows, lengths, seeds)
@example(1, 1, 1, 0)
def test_binary_products_of_any_shape(m: int, n: int, k: int, seed: int) -> None:
    check_binary_product(m, n, k, seed)  # with the kernel of the device's own choice
    for name in KERNELS:
        if not lacks(name) and (name != "rows" or m <= FEW):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CUDA_EXT_XNOR_KERNEL", name)
                check_binary_product(m, n, k, seed)


def check_binary_product(m: int, n: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = bits(generator, m, k), bits(generator, n, k)
    threshold, direction = thresholds(generator, n)
    expected = reference.xnor_matmul(a, b, k)
    agree(cuda_ext.xnor_matmul, expected, a, b, k)
    scale, shift = scales(generator, n)
    halves = reference.scale_shift(expected, scale, shift)
    agree(cuda_ext.xnor_matmul_scale, halves, a, b, k, scale, shift)
    agree(prepacked(cuda_ext.xnor_matmul_scale), halves, a, b, k, scale, shift)
    packed = reference.sign_threshold_pack(expected, threshold, direction)
    agree(cuda_ext.xnor_matmul_sign, packed, a, b, k, threshold, direction)


@pytest.mark.parametrize("name", ["popc", "mma"])
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize(
    ("image", "channels", "filters", "size", "window"),
    [
        ((2, 8, 8), 128, 256, (3, 3), {"padding": 1}),
        ((3, 7, 5), 33, 70, (2, 3), {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)}),
        ((1, 9, 8), 520, 5, (5, 1), {"stride": (3, 2), "padding": (4, 3)}),
        ((1, 3, 3), 31, 2, (3, 3), {"stride": 2, "padding": 5, "dilation": 3}),
        ((50, 32, 32), 128, 128, (3, 3), {"padding": 1}),
    ],
)
def test_binary_convolutions(
    name: str,
    pad_value: int,
    image: tuple[int, int, int],
    channels: int,
    filters: int,
    size: tuple[int, int],
    window: dict[str, int | tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if lacks(name):
        pytest.skip(lacks(name))
    monkeypatch.setenv("CUDA_EXT_XNOR_KERNEL", name)
    generator = torch.Generator().manual_seed(channels)
    x, w = bits(generator, *image, channels), bits(generator, filters, *size, channels)
    threshold, direction = thresholds(generator, filters)
    with pytest.MonkeyPatch.context() as patch:
        # the expected values from the references, whatever the CPU has compiled
        patch.setattr(cuda_ext.ops, "_ops", reference)
        expected = cuda_ext.ops.xnor_conv2d(x, w, channels, pad_value=pad_value, **window)
    agree(cuda_ext.xnor_conv2d, expected, x, w, channels, pad_value=pad_value, **window)
    scale, shift = scales(generator, expected.shape[-1])
    halves = reference.scale_shift(expected, scale, shift)
    for operation in (cuda_ext.xnor_conv2d_scale, prepacked(cuda_ext.xnor_conv2d_scale)):
        agree(operation, halves, x, w, channels, scale, shift, pad_value=pad_value, **window)
    packed = reference.sign_threshold_pack(expected, threshold, direction)
    agree(cuda_ext.xnor_conv2d_sign, packed, x, w, channels, threshold, direction, pad_value=pad_value, **window)


@many
@given(rows, rows, lengths, seeds)
def test_byte_products(m: int, n: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randint(-128, 128, (m, k), generator=generator).to(torch.int8)
    b = torch.randint(-128, 128, (n, k), generator=generator).to(torch.int8)
    agree(cuda_ext.int8_matmul, reference.int8_matmul(a, b), a, b)
    x = torch.randint(0, 256, (m, k), generator=generator).to(torch.uint8)
    w = bits(generator, n, k)
    agree(cuda_ext.bitplane_matmul, reference.bitplane_matmul(x, w, k), x, w, k)


@many
@given(rows, rows, lengths, seeds, st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
def test_binary_weight_matmul(m: int, n: int, k: int, seed: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    w = bits(generator, n, k)
    # integers: every order of additions gives the same sum
    whole = torch.randint(-100, 101, (m, k), generator=generator).to(dtype)
    agree(cuda_ext.binary_weight_matmul, reference.binary_weight_matmul(whole, w, k), whole, w, k)
    x = torch.randn(m, k, generator=generator).to(dtype)
    expected = x.double() @ reference.unpack_signs(w, k).double().T
    out = cuda_ext.binary_weight_matmul(x.cuda(), w.cuda(), k).cpu().double()
    assert (out - expected).norm() <= 1e-5 * expected.norm() + 1e-30


def test_an_empty_batch() -> None:
    w = torch.zeros(3, 16, dtype=torch.int32, device="cuda")
    empty = torch.zeros(0, 16, dtype=torch.int32, device="cuda")
    assert cuda_ext.pack_signs(torch.zeros(0, 40, device="cuda")).shape == (0, 16)
    assert cuda_ext.unpack_signs(empty, 40).shape == (0, 40)
    assert cuda_ext.xnor_matmul(empty, w, 40).shape == (0, 3)
    assert cuda_ext.binary_weight_matmul(torch.zeros(0, 40, device="cuda"), w, 40).shape == (0, 3)


def test_as_many_elements_as_there_may_be(kernel: str) -> None:
    if kernel == "rows":
        pytest.skip("rows: 8 of them would want 2^28 columns")
    if torch.cuda.mem_get_info()[0] < 12 << 30:
        pytest.skip("a result of 8 GiB: too little memory is free")
    generator = torch.Generator().manual_seed(10)
    # whole words, so that no padding has to be kept zero
    a, b = (torch.randint(-(2**31), 2**31, (n, 16), generator=generator, dtype=torch.int32) for n in (65536, 32767))
    out = cuda_ext.xnor_matmul(a.cuda(), b.cuda(), 512)
    for some in (slice(0, 2), slice(32766, 32770), slice(-2, None)):
        assert torch.equal(out[some].cpu(), reference.xnor_matmul(a[some], b, 512))


def test_packing_as_many_elements_as_there_may_be() -> None:
    if torch.cuda.mem_get_info()[0] < 6 << 30:
        pytest.skip("a tensor of 4 GiB: too little memory is free")
    count = 2**31 - 1
    x = torch.ones(count, dtype=torch.float16, device="cuda")
    x[-3] = -1
    packed = cuda_ext.pack_signs(x)
    assert packed.shape == (2**26,)
    assert torch.equal(packed[-2:].cpu(), torch.tensor([-1, 0x6FFFFFFF], dtype=torch.int32))
    assert bool((packed[:-1] == -1).all())


def test_tensors_that_begin_off_16_bytes(kernel: str) -> None:
    generator = torch.Generator().manual_seed(3)
    a, b = bits(generator, 7, 700), bits(generator, 70, 700)
    moved = []
    for t in (a, b):
        memory = torch.zeros(t.numel() + 1, dtype=torch.int32, device="cuda")
        moved.append(memory[1:].view(t.shape).copy_(t))
    assert moved[0].data_ptr() % 16 == 4
    assert torch.equal(cuda_ext.xnor_matmul(moved[0], moved[1], 700).cpu(), reference.xnor_matmul(a, b, 700))


def test_another_stream_and_a_graph(kernel: str) -> None:
    generator = torch.Generator().manual_seed(4)
    k, n = 1500, FEW if kernel == "rows" else 200
    x, w = signs(generator, n, k).cuda(), bits(generator, 300, k).cuda()

    def layer() -> Tensor:
        return cuda_ext.xnor_matmul(cuda_ext.pack_signs(x), w, k)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        on_stream = layer()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = layer()
    for seed in (5, 6):
        values = signs(torch.Generator().manual_seed(seed), n, k)
        expected = reference.xnor_matmul(reference.pack_signs(values), w.cpu(), k)
        if seed == 5:
            first = reference.xnor_matmul(reference.pack_signs(x.cpu()), w.cpu(), k)
            assert torch.equal(on_stream.cpu(), first)
        x.copy_(values)
        graph.replay()
        assert torch.equal(captured.cpu(), expected)


def test_opcheck() -> None:
    generator = torch.Generator().manual_seed(9)
    a, b = bits(generator, 20, 600).cuda(), bits(generator, 30, 600).cuda()
    threshold, direction = (t.cuda() for t in thresholds(generator, 30))
    raw = torch.ops.cuda_ext
    torch.library.opcheck(raw.pack_signs.default, (signs(generator, 20, 600).cuda(),))
    torch.library.opcheck(raw.unpack_signs.default, (a, 600))
    torch.library.opcheck(raw.xnor_matmul.default, (a, b, 600))
    torch.library.opcheck(raw.xnor_matmul_sign.default, (a, b, 600, threshold, direction))


def test_torch_compile() -> None:
    generator = torch.Generator().manual_seed(7)
    w = bits(generator, 40, 600).cuda()
    x = signs(generator, 9, 600).cuda()

    def layer(x: Tensor) -> Tensor:
        return cuda_ext.xnor_matmul(cuda_ext.pack_signs(x), w, 600)

    assert torch.equal(torch.compile(layer, fullgraph=True)(x), layer(x))


def test_a_kernel_that_is_unknown_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_EXT_XNOR_KERNEL", "fastest")
    w = torch.zeros(3, 16, dtype=torch.int32, device="cuda")
    with pytest.raises(RuntimeError, match="expected rows, popc, mma or wgmma, got fastest"):
        cuda_ext.xnor_matmul(w, w, 40)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU or none: the device guard is not tested here")
def test_a_device_that_is_not_the_current_one() -> None:
    generator = torch.Generator().manual_seed(8)
    a, b = bits(generator, 20, 600), bits(generator, 30, 600)
    out = cuda_ext.xnor_matmul(a.to("cuda:1"), b.to("cuda:1"), 600)
    assert out.device.index == 1
    assert torch.cuda.current_device() == 0
    assert torch.equal(out.cpu(), reference.xnor_matmul(a, b, 600))
