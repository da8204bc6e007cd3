"""Schemas of the raw operations, in the namespace `cuda_ext`. A backend implements these names and nothing else.

Notation: W(K) = 16·⌈K/512⌉ int32 words (see `layout`); every tensor is contiguous; every result is new memory.

| operation | arguments | result |
|---|---|---|
| pack_signs | x float [..., K] | int32 [..., W(K)] |
| pack_signs_stochastic | x float [..., K], seed int64 [2] | int32 [..., W(K)] |
| unpack_signs | bits int32 [..., W(k)] | float32 [..., k] |
| xnor_matmul | a_bits int32 [M, W(k)], b_bits int32 [N, W(k)] | int32 [M, N] |
| xnor_matmul_scale | the same, scale float32 [N], shift float32 [N] | float16 [M, N] |
| xnor_matmul_sign | as xnor_matmul, threshold int32 [N], direction int8 [N] | int32 [M, W(N)] |
| xnor_conv2d | x_bits int32 [B, H, W, W(C)], w_bits int32 [O, kh, kw, W(C)] | int32 [B, Ho, Wo, O] |
| xnor_conv2d_scale | the same, scale float32 [O], shift float32 [O] | float16 [B, Ho, Wo, O] |
| xnor_conv2d_sign | as xnor_conv2d, threshold int32 [O], direction int8 [O] | int32 [B, Ho, Wo, W(O)] |
| binary_weight_matmul | x float32, float16 or bfloat16 [M, k], w_bits int32 [N, W(k)] | float32 [M, N] |
| bitplane_matmul | x uint8 [M, k], w_bits int32 [N, W(k)] | int32 [M, N] |
| int8_matmul | a int8 [M, K], b int8 [N, K] | int32 [M, N] |
| sign_threshold_pack | x int32 or float32 [..., C], threshold x.dtype [C], direction int8 [C] | int32 [..., W(C)] |

Float x: float32, float64, float16 or bfloat16. `stride`, `padding` and `dilation` are (vertical, horizontal).
What each computes is said once, in the public wrapper of the same name (`ops`); the arithmetic that a backend has to
reproduce bit for bit is in `reference` (and `philox` for the random bits).

Files of a backend: `csrc/common/*.h` is shared, `csrc/cpu/*.cpp` and `csrc/cuda/*.cu` register kernels of these
schemas with `STABLE_TORCH_LIBRARY_IMPL(cuda_ext, CPU | CUDA, m)`. The builder compiles whatever lies there. An
operation that a backend does not register runs on the reference.

`PREPACKED_SCHEMAS` are the CPU's alone: the same operations on weights arranged once by `prepack_signs` or
`prepack_int8` (an opaque int32 [size]; the wrappers take a `Prepacked` where they take weights). A device whose kernels
read the plain layout has no need of them: there a `Prepacked` holds the plain tensor.
"""

NAMESPACE = "cuda_ext"

_WINDOW = "int channels, int[] stride, int[] padding, int[] dilation, int pad_value"
_CONV = f"Tensor x_bits, Tensor w_bits, {_WINDOW}"
_CONV_PREPACKED = f"Tensor x_bits, Tensor w, int[] filter, {_WINDOW}"
_SCALE = "Tensor scale, Tensor shift"
_SIGN = "Tensor threshold, Tensor direction"

SCHEMAS: dict[str, str] = {
    "pack_signs": "(Tensor x) -> Tensor",
    "pack_signs_stochastic": "(Tensor x, Tensor seed) -> Tensor",
    "unpack_signs": "(Tensor bits, int k) -> Tensor",
    "xnor_matmul": "(Tensor a_bits, Tensor b_bits, int k) -> Tensor",
    "xnor_matmul_scale": f"(Tensor a_bits, Tensor b_bits, int k, {_SCALE}) -> Tensor",
    "xnor_matmul_sign": f"(Tensor a_bits, Tensor b_bits, int k, {_SIGN}) -> Tensor",
    "xnor_conv2d": f"({_CONV}) -> Tensor",
    "xnor_conv2d_scale": f"({_CONV}, {_SCALE}) -> Tensor",
    "xnor_conv2d_sign": f"({_CONV}, {_SIGN}) -> Tensor",
    "binary_weight_matmul": "(Tensor x, Tensor w_bits, int k) -> Tensor",
    "bitplane_matmul": "(Tensor x, Tensor w_bits, int k) -> Tensor",
    "int8_matmul": "(Tensor a, Tensor b) -> Tensor",
    "sign_threshold_pack": "(Tensor x, Tensor threshold, Tensor direction) -> Tensor",
}

PREPACKED_SCHEMAS: dict[str, str] = {
    "prepack_signs": "(Tensor w_bits, int k) -> Tensor",
    "prepack_int8": "(Tensor b) -> Tensor",
    "xnor_matmul_prepacked": "(Tensor a_bits, Tensor b, int n, int k) -> Tensor",
    "xnor_matmul_sign_prepacked": f"(Tensor a_bits, Tensor b, int n, int k, {_SIGN}) -> Tensor",
    "xnor_conv2d_prepacked": f"({_CONV_PREPACKED}) -> Tensor",
    "xnor_conv2d_sign_prepacked": f"({_CONV_PREPACKED}, {_SIGN}) -> Tensor",
    "binary_weight_matmul_prepacked": "(Tensor x, Tensor w, int n, int k) -> Tensor",
    "bitplane_matmul_prepacked": "(Tensor x, Tensor w, int n, int k) -> Tensor",
    "int8_matmul_prepacked": "(Tensor a, Tensor b, int n) -> Tensor",
}
