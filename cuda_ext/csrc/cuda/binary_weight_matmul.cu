// binary_weight_matmul on CUDA. Not run on a GPU yet.
#include "binary_weight.cuh"

#include "runtime.h"

namespace cuda_ext {
namespace {

Tensor binary_weight_matmul(const Tensor& x, const Tensor& w_bits, int64_t k) {
  check_tensor("x", x, x.scalar_type(), 2);
  check_packed("w_bits", w_bits, k, 2);
  check_same_device(x, w_bits);
  STD_TORCH_CHECK(x.size(1) == k, "x: expected ", k, " columns, got ", x.size(1));
  const int64_t rows = x.size(0), columns = w_bits.size(0);
  const Context context(x);
  Tensor out = new_tensor(x, {rows, columns}, ScalarType::Float);
  if (out.numel() == 0) return out;
  const TileOrder order{ceil_div(rows, kRealTileM), ceil_div(columns, kRealTileN)};
  auto launch_as = [&](auto type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    launch(context, binary_weight_kernel<T>, whole_grid(order.count()), kRealThreads, 0, read<T>(x),
           read<uint32_t>(w_bits), write<float>(out), rows, columns, k, order);
  };
  const ScalarType dtype = x.scalar_type();
  if (dtype == ScalarType::Float) {
    launch_as(static_cast<const float*>(nullptr));
  } else if (dtype == ScalarType::Half) {
    launch_as(static_cast<const __half*>(nullptr));
  } else if (dtype == ScalarType::BFloat16) {
    launch_as(static_cast<const __nv_bfloat16*>(nullptr));
  } else {
    STD_TORCH_CHECK(false, "x: expected float32, float16 or bfloat16");
  }
  return out;
}

}  // namespace
}  // namespace cuda_ext

STABLE_TORCH_LIBRARY_IMPL(cuda_ext, CUDA, m) {
  m.impl("binary_weight_matmul", TORCH_BOX(&cuda_ext::binary_weight_matmul));
}
