"""Binary products and convolutions beside torch's, on random operands: the contestants of each case."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cuda_ext
from qbench.bench.timing import BASELINE, Contestant

# More than the last cache of today's processors, so that rotating through as many bytes finds nothing in it.
COLD_BYTES = 512 << 20


@dataclass(frozen=True, kw_only=True)
class MatmulSize:
    """The size of a product `[m, k] · [n, k]ᵀ -> [m, n]`; by keyword, so that no two of the three can be swapped.

    Attributes:
        m: rows of the left operand (a layer's batch).
        k: length of the dot products (a layer's inputs).
        n: rows of the transposed right operand (a layer's outputs).
    """

    m: int
    k: int
    n: int

    @property
    def operations(self) -> float:
        """Operations of the product: `2·m·k·n`, as a multiply-add is 2."""
        return 2.0 * self.m * self.k * self.n


MATMULS: dict[str, MatmulSize] = {
    "square-8192": MatmulSize(m=8192, k=8192, n=8192),
    "square-4096": MatmulSize(m=4096, k=4096, n=4096),
    "square-1024": MatmulSize(m=1024, k=1024, n=1024),
    "tall-1024": MatmulSize(m=1024, k=4096, n=4096),
    "mlp-first-100": MatmulSize(m=100, k=784, n=4096),
    "mlp-hidden-100": MatmulSize(m=100, k=4096, n=4096),
    "mlp-last-100": MatmulSize(m=100, k=4096, n=10),
    "mlp-hidden-1": MatmulSize(m=1, k=4096, n=4096),
    "mlp-last-1": MatmulSize(m=1, k=4096, n=10),
}
"""The named products, of this benchmark and of `benchmarks/cuda_check.py`."""

COLD = "cold-1"
"""The case of batch 1 whose weights come from memory, not from a cache."""

CONVOLUTIONS = ((128, 32, 128), (128, 16, 256), (256, 16, 256), (256, 8, 512), (512, 8, 512))
"""(channels, height and width, filters) of layers 2 to 6 of BinaryNet's CIFAR-10 network: 3×3, zero padding."""


def batch_of(case: str, kind: str) -> int | None:
    """Return the batch that `case` names, such as 50 of `conv-50`; None if it is no `<kind>-BATCH`."""
    found, _, number = case.rpartition("-")
    return int(number) if found == kind and number.isdigit() and int(number) > 0 else None


def is_product(case: str) -> bool:
    """Whether `cases` knows `case`."""
    return case in MATMULS or case == COLD or any(batch_of(case, kind) for kind in ("conv", "mlp"))


def cases(names: Sequence[str]) -> Iterator[tuple[str, dict[str, Contestant], float]]:
    """Yield (name, contestants, operations) of each case asked for, one at a time: the large ones are gigabytes.

    Names: those of `MATMULS`, `cold-1` (batch 1 with weights from memory), `conv-BATCH` (a case for each layer of
    CONVOLUTIONS), `mlp-BATCH`.

    Raises:
        ValueError: another name; the message has the possible ones.
    """
    for name in names:
        if name in MATMULS:
            yield name, matmul_contestants(MATMULS[name]), MATMULS[name].operations
        elif name == COLD:
            size = MATMULS["mlp-hidden-1"]
            yield name, matmul_contestants(size, cold=True), size.operations
        elif batch := batch_of(name, "conv"):
            for channels, side, filters in CONVOLUTIONS:
                label = f"{name} {channels}x{side}x{side} to {filters}"
                work = 2.0 * batch * side * side * filters * channels * 9
                yield label, convolution_contestants(batch, channels, side, filters), work
        elif batch := batch_of(name, "mlp"):
            macs = batch * (784 * 4096 + 2 * 4096 * 4096 + 4096 * 10)
            yield name, mlp_contestants(batch), 2.0 * macs
        else:
            known = ", ".join([*MATMULS, COLD, "conv-BATCH", "mlp-BATCH"])
            raise ValueError(f"case: expected one of {known}, got {name!r}")


def matmul_contestants(size: MatmulSize, cold: bool = False) -> dict[str, Contestant]:
    """Return the contestants of a product; `cold` rotates each through more weights than a cache holds."""
    m, k, n = size.m, size.k, size.n
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(m, k, generator=generator), torch.randn(n, k, generator=generator)
    bits, w_bits = cuda_ext.pack_signs(x), cuda_ext.pack_signs(w)
    if cold:
        return {
            BASELINE: _rotating(w, lambda b: x @ b.T, False),
            "xnor plain": _rotating(w_bits, lambda b: cuda_ext.xnor_matmul(bits, b, k), True),
        }
    packed = cuda_ext.prepack(w_bits, k)
    transposed = w.T.contiguous()
    x16, w16 = x.bfloat16(), w.bfloat16()
    x8 = torch.randint(-128, 128, (m, k), dtype=torch.int8, generator=generator)
    w8 = torch.randint(-128, 128, (n, k), dtype=torch.int8, generator=generator)
    packed8 = cuda_ext.prepack_int8(w8)
    pixels = torch.randint(0, 256, (m, k), dtype=torch.uint8, generator=generator)
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        BASELINE: (lambda: x @ w.T, _bytes(w)),
        "torch fp32, other layout": (lambda: x @ transposed, _bytes(w)),
        "torch bf16": (lambda: x16 @ w16.T, _bytes(w16)),
        "torch int8": (lambda: torch._int_mm(x8, w8.T), _bytes(w8)),
        "int8": (lambda: cuda_ext.int8_matmul(x8, w8), _bytes(w8)),
        "int8 prepacked": (lambda: cuda_ext.int8_matmul(x8, packed8), packed8.nbytes),
        "binary weights": (lambda: cuda_ext.binary_weight_matmul(x, packed, k), packed.nbytes),
        "bit planes": (lambda: cuda_ext.bitplane_matmul(pixels, packed, k), packed.nbytes),
        "xnor plain": (lambda: cuda_ext.xnor_matmul(bits, w_bits, k), _bytes(w_bits)),
        "xnor prepacked": (lambda: cuda_ext.xnor_matmul(bits, packed, k), packed.nbytes),
        "xnor, float in": (lambda: cuda_ext.xnor_matmul(cuda_ext.pack_signs(x), packed, k), packed.nbytes),
    }
    if m <= 16:
        del calls["torch int8"]  # torch._int_mm is made for more rows
    return {name: Contestant(call, size, name.startswith("xnor")) for name, (call, size) in calls.items()}


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _rotating(weights: Tensor, call: Callable[[Tensor], Any], counts_bits: bool) -> Contestant:
    copies = [weights.clone() for _ in range(max(2, COLD_BYTES // _bytes(weights)))]
    turn = itertools.cycle(copies)
    return Contestant(lambda: call(next(turn)), _bytes(weights), counts_bits)


def convolution_contestants(batch: int, channels: int, size: int, filters: int) -> dict[str, Contestant]:
    """Return the contestants of a 3×3 convolution with padding 1: int32 out, and bits out."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, size, size, generator=generator)
    w = torch.randn(filters, channels, 3, 3, generator=generator)
    last = x.to(memory_format=torch.channels_last), w.to(memory_format=torch.channels_last)
    bits = cuda_ext.pack_signs(x.permute(0, 2, 3, 1))
    packed = cuda_ext.prepack(cuda_ext.pack_signs(w.permute(0, 2, 3, 1)), channels)
    threshold, up = torch.zeros(filters, dtype=torch.int32), torch.ones(filters, dtype=torch.int8)
    return {
        BASELINE: Contestant(lambda: F.conv2d(x, w, padding=1), _bytes(w)),
        "torch fp32, channels last": Contestant(lambda: F.conv2d(*last, padding=1), _bytes(w)),
        "xnor": Contestant(lambda: cuda_ext.xnor_conv2d(bits, packed, channels, padding=1), packed.nbytes, True),
        "xnor, bits out": Contestant(
            lambda: cuda_ext.xnor_conv2d_sign(bits, packed, channels, threshold, up, padding=1), packed.nbytes, True
        ),
    }


def mlp_contestants(batch: int, inputs: int = 784, hidden: int = 4096, outputs: int = 10) -> dict[str, Contestant]:
    """Return the contestants of BinaryNet's MNIST network, by the raw operations alone: image bytes in, scores out.

    Three hidden layers, of float32 signs and of packed bits.

    Raises:
        RuntimeError: a single score differs.
    """
    torch.manual_seed(0)
    sizes = [(inputs, hidden), (hidden, hidden), (hidden, hidden), (hidden, outputs)]
    weights = [torch.where(torch.randn(n, k) >= 0, 1.0, -1.0) for k, n in sizes]
    norms = [nn.BatchNorm1d(n).eval() for _, n in sizes]
    pixels = torch.randint(0, 256, (batch, inputs), dtype=torch.uint8)
    image = pixels.float()
    packed = [cuda_ext.prepack(cuda_ext.pack_signs(w), w.shape[1]) for w in weights]
    with torch.inference_mode():
        for norm in norms[:-1]:
            for parameter in (norm.weight, norm.bias):
                parameter.copy_(torch.randn(hidden))
        bounds = (255 * inputs, hidden, hidden)
        folded = [_threshold(norm, bound) for norm, bound in zip(norms[:-1], bounds, strict=True)]

    def floats() -> Tensor:
        with torch.inference_mode():
            x = image
            for w, norm in zip(weights[:-1], norms[:-1], strict=True):
                x = torch.where(norm(x @ w.T) >= 0, 1.0, -1.0)
            return norms[-1](x @ weights[-1].T)

    def bits() -> Tensor:
        with torch.inference_mode():
            x = cuda_ext.sign_threshold_pack(cuda_ext.bitplane_matmul(pixels, packed[0], inputs), *folded[0])
            x = cuda_ext.xnor_matmul_sign(x, packed[1], hidden, *folded[1])
            x = cuda_ext.xnor_matmul_sign(x, packed[2], hidden, *folded[2])
            return norms[-1](cuda_ext.xnor_matmul(x, packed[3], hidden).to(torch.float32))

    if not torch.equal(floats(), bits()):
        raise RuntimeError("the packed network's scores differ from the float network's")
    return {
        BASELINE: Contestant(floats, _bytes(*weights)),
        "packed": Contestant(bits, sum(weight.nbytes for weight in packed), True),
    }


def _threshold(norm: nn.BatchNorm1d, bound: int) -> tuple[Tensor, Tensor]:
    """Fold a BatchNorm to thresholds of sums in [-bound, bound]: its own arithmetic decides, so that no bit differs."""
    return cuda_ext.integer_threshold(
        lambda sums: norm(sums[None].to(torch.float32))[0] >= 0, -bound, bound, norm.num_features
    )
