"""Bad input: a TypeError or ValueError that names the argument, what was expected and what came."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import cuda_ext

A = cuda_ext.pack_signs(torch.ones(3, 600))
B = cuda_ext.pack_signs(torch.ones(5, 600))
IMAGE = cuda_ext.pack_signs(torch.ones(1, 4, 4, 40))
FILTER = cuda_ext.pack_signs(torch.ones(6, 3, 3, 40))
INT8 = torch.ones(3, 8, dtype=torch.int8)
BYTES = torch.ones(3, 600, dtype=torch.uint8)
MATRIX, FILTERS = cuda_ext.prepack(B, 600), cuda_ext.prepack(FILTER, 40)
TAU = torch.zeros(5, dtype=torch.int32)
UP = torch.ones(5, dtype=torch.int8)
SEED = torch.tensor([1, 2])
HUGE = 2**31


def meta(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


WRONG: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("list", lambda: cuda_ext.pack_signs([1.0]), TypeError, "x: expected a torch.Tensor, got list"),
    ("int", lambda: cuda_ext.pack_signs(INT8), TypeError, "x: expected dtype float32 or .*, got int8"),
    ("scalar", lambda: cuda_ext.pack_signs(torch.tensor(1.0)), ValueError, "x: expected at least 1 dimension"),
    ("K=0", lambda: cuda_ext.pack_signs(torch.ones(3, 0)), ValueError, r"x.shape\[-1\]: expected 1 to .*got 0"),
    ("sparse", lambda: cuda_ext.pack_signs(torch.ones(2, 2).to_sparse()), TypeError, "x: expected a dense tensor"),
    ("seed", lambda: cuda_ext.pack_signs_stochastic(torch.ones(2), torch.tensor([1])), ValueError, "seed: .*got"),
    ("seed2", lambda: cuda_ext.pack_signs_stochastic(torch.ones(2), torch.ones(2)), TypeError, "seed: .* int64"),
    ("k float", lambda: cuda_ext.unpack_signs(A, 600.0), TypeError, "k: expected an int, got float"),
    ("k bool", lambda: cuda_ext.unpack_signs(A, True), TypeError, "k: expected an int, got bool"),
    ("k wrong", lambda: cuda_ext.unpack_signs(A, 512), ValueError, "bits: expected last dimension 16 .*k = 512.*32"),
    ("k=0", lambda: cuda_ext.xnor_matmul(A, B, 0), ValueError, "k: expected 1 to .*, got 0"),
    ("k<0", lambda: cuda_ext.xnor_matmul(A, B, -5), ValueError, "k: expected 1 to .*, got -5"),
    ("a", lambda: cuda_ext.xnor_matmul(A[:, :16], B, 600), ValueError, r"a_bits: .* 32 .*got shape \[3, 16\]"),
    ("b", lambda: cuda_ext.xnor_matmul(A, B[:, :16], 600), ValueError, r"b_bits: .* 32 .*got shape \[5, 16\]"),
    ("a 3d", lambda: cuda_ext.xnor_matmul(A[None], B, 600), ValueError, "a_bits: expected 2 dimensions"),
    ("a float", lambda: cuda_ext.xnor_matmul(A.float(), B, 600), TypeError, "a_bits: expected dtype int32"),
    ("big", lambda: cuda_ext.xnor_matmul(meta(HUGE, 16), meta(5, 16), 9), ValueError, "a_bits: expected at most"),
    (
        "big result",
        lambda: cuda_ext.xnor_matmul(meta(2**16, 16), meta(2**16, 16), 9),
        ValueError,
        "result: expected at most 2\\^31 - 1 elements, got 4294967296",
    ),
    ("device", lambda: cuda_ext.xnor_matmul(A, meta(5, 32), 600), ValueError, "b_bits: expected device cpu as a_bits"),
    ("tau", lambda: cuda_ext.xnor_matmul_sign(A, B, 600, TAU[:4], UP), ValueError, r"threshold: .*\[5\], got \[4\]"),
    ("tau f", lambda: cuda_ext.xnor_matmul_sign(A, B, 600, TAU.float(), UP), TypeError, "threshold: .*int32"),
    ("dir", lambda: cuda_ext.xnor_matmul_sign(A, B, 600, TAU, UP.int()), TypeError, "direction: .*int8, got int32"),
    ("conv x", lambda: cuda_ext.xnor_conv2d(IMAGE[0], FILTER, 40), ValueError, "x_bits: expected 4 dimensions"),
    ("conv c", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 513), ValueError, "x_bits: .*32 .*channels = 513"),
    ("conv c0", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 0), ValueError, "channels: expected 1 to"),
    ("conv w", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER[:0], 40), ValueError, "w_bits: expected O of at least 1"),
    ("conv s", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 40, stride=0), ValueError, "stride: .*at least 1"),
    ("conv p", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 40, padding=(1, -1)), ValueError, "padding: .*got"),
    ("conv p3", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 40, padding=(1, 1, 1)), ValueError, "padding"),
    ("conv d", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 40, dilation=1.5), TypeError, "dilation: .*got 1.5"),
    ("conv same", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 40, padding="same"), TypeError, "padding: .*'same'"),
    ("conv pv", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 40, pad_value=2), ValueError, "pad_value: .*got 2"),
    ("conv fit", lambda: cuda_ext.xnor_conv2d(IMAGE, FILTER, 40, dilation=2), ValueError, "x_bits: .*3×3.*4×4"),
    ("bw k", lambda: cuda_ext.binary_weight_matmul(torch.ones(2, 9), B, 600), ValueError, r"x: .*\[M, 600\].*\[2, 9\]"),
    ("bw d", lambda: cuda_ext.binary_weight_matmul(torch.ones(2, 600).double(), B, 600), TypeError, "x: .*float64"),
    ("bp d", lambda: cuda_ext.bitplane_matmul(BYTES.to(torch.int8), B, 600), TypeError, "x: expected dtype uint8"),
    ("bp k", lambda: cuda_ext.bitplane_matmul(BYTES, B, 599), ValueError, r"x: expected shape \[M, 599\]"),
    (
        "bp big",
        lambda: cuda_ext.bitplane_matmul(meta(1, 9_000_000, dtype=torch.uint8), B, 9_000_000),
        ValueError,
        "k: expected 1 to 8421504, got 9000000",
    ),
    ("i8 k", lambda: cuda_ext.int8_matmul(INT8, INT8[:, :7]), ValueError, r"b: expected shape \[N, 8\]"),
    ("i8 0", lambda: cuda_ext.int8_matmul(INT8[:, :0], INT8[:, :0]), ValueError, r"a.shape\[1\]: expected 1 to"),
    ("i8 d", lambda: cuda_ext.int8_matmul(INT8, INT8.to(torch.uint8)), TypeError, "b: expected dtype int8, got uint8"),
    (
        "i8 big",
        lambda: cuda_ext.int8_matmul(meta(1, 131072, dtype=torch.int8), meta(1, 131072, dtype=torch.int8)),
        ValueError,
        r"a.shape\[1\]: expected 1 to 131071, got 131072",
    ),
    ("pre k", lambda: cuda_ext.xnor_matmul(A, MATRIX, 599), ValueError, "b_bits: .*prepacked for k = 599, got 600"),
    ("pre kind", lambda: cuda_ext.xnor_matmul(A, FILTERS, 600), ValueError, "b_bits: .*as matrix, got filter"),
    ("pre conv", lambda: cuda_ext.xnor_conv2d(IMAGE, MATRIX, 40), ValueError, "w_bits: .*as filter, got matrix"),
    ("pre 3d", lambda: cuda_ext.prepack(B[None], 600), ValueError, "w_bits: expected 2 or 4 dimensions"),
    (
        "pre isa",
        lambda: cuda_ext.xnor_matmul(A, replace(MATRIX, isa="other"), 600),
        ValueError,
        "b_bits: expected weights prepacked for the ISA .*, got other",
    ),
    ("sign", lambda: cuda_ext.sign_threshold_pack(torch.ones(2, 5), TAU, UP), TypeError, "threshold: .*float32"),
    (
        "sign c",
        lambda: cuda_ext.sign_threshold_pack(torch.ones(2, 6).int(), TAU, UP),
        ValueError,
        r"threshold: .*\[6\]",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
