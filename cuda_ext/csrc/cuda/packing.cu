// pack_signs, pack_signs_stochastic, sign_threshold_pack and unpack_signs on CUDA. Not run on a GPU yet.
#include "packing.cuh"

#include "runtime.h"

namespace cuda_ext {
namespace {

struct Shape {
  int64_t rows, k;
  std::vector<int64_t> result;

  int64_t units() const { return rows * packed_steps(k); }
};

// Rows of `tensor`, whose last dimension becomes `last`.
Shape shape_with_last(const Tensor& tensor, int64_t k, int64_t last) {
  std::vector<int64_t> result = shape_of(tensor);
  STD_TORCH_CHECK(k >= 1, "expected a row length of at least 1, got ", k);
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < result.size(); ++i) rows *= result[i];
  result.back() = last;
  return {rows, k, result};
}

Shape shape_to_pack(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() >= 1, "x: expected at least 1 dimension");
  const int64_t k = x.size(x.dim() - 1);
  return shape_with_last(x, k, packed_words(k));
}

// Calls `launch_as` with a null pointer of x's element type.
template <class LaunchAs>
void for_float_type(const Tensor& x, LaunchAs launch_as) {
  const ScalarType dtype = x.scalar_type();
  if (dtype == ScalarType::Float) return launch_as(static_cast<const float*>(nullptr));
  if (dtype == ScalarType::Double) return launch_as(static_cast<const double*>(nullptr));
  if (dtype == ScalarType::Half) return launch_as(static_cast<const __half*>(nullptr));
  if (dtype == ScalarType::BFloat16) return launch_as(static_cast<const __nv_bfloat16*>(nullptr));
  STD_TORCH_CHECK(false, "x: expected float32, float64, float16 or bfloat16");
}

Tensor pack_signs(const Tensor& x) {
  check_tensor("x", x, x.scalar_type(), -1);
  const Shape shape = shape_to_pack(x);
  const Context context(x);
  Tensor out = new_tensor(x, shape.result, ScalarType::Int);
  if (shape.rows == 0) return out;
  for_float_type(x, [&](auto type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    launch(context, pack_signs_kernel<T>, looping_grid(shape.units(), kPackWarps), kPackThreads, 0, read<T>(x),
           write<uint32_t>(out), shape.units(), shape.k);
  });
  return out;
}

Tensor pack_signs_stochastic(const Tensor& x, const Tensor& seed) {
  check_tensor("x", x, x.scalar_type(), -1);
  check_tensor("seed", seed, ScalarType::Long, 1);
  STD_TORCH_CHECK(seed.size(0) == 2, "seed: expected shape [2], got [", seed.size(0), "]");
  check_same_device(x, seed);
  const Shape shape = shape_to_pack(x);
  const Context context(x);
  Tensor out = new_tensor(x, shape.result, ScalarType::Int);
  if (shape.rows == 0) return out;
  for_float_type(x, [&](auto type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    launch(context, pack_signs_stochastic_kernel<T>, looping_grid(shape.units(), kPackWarps), kPackThreads, 0,
           read<T>(x), read<int64_t>(seed), write<uint32_t>(out), shape.units(), shape.k);
  });
  return out;
}

Tensor sign_threshold_pack(const Tensor& x, const Tensor& threshold, const Tensor& direction) {
  const ScalarType dtype = x.scalar_type();
  STD_TORCH_CHECK(dtype == ScalarType::Int || dtype == ScalarType::Float, "x: expected int32 or float32");
  check_tensor("x", x, dtype, -1);
  const Shape shape = shape_to_pack(x);
  check_thresholds(x, threshold, direction, dtype, shape.k);
  const Context context(x);
  Tensor out = new_tensor(x, shape.result, ScalarType::Int);
  if (shape.rows == 0) return out;
  const unsigned grid = looping_grid(shape.units(), kPackWarps);
  if (dtype == ScalarType::Int) {
    launch(context, sign_threshold_pack_kernel<int32_t>, grid, kPackThreads, 0, read<int32_t>(x),
           read<int32_t>(threshold), read<int8_t>(direction), write<uint32_t>(out), shape.units(), shape.k);
  } else {
    launch(context, sign_threshold_pack_kernel<float>, grid, kPackThreads, 0, read<float>(x), read<float>(threshold),
           read<int8_t>(direction), write<uint32_t>(out), shape.units(), shape.k);
  }
  return out;
}

Tensor unpack_signs(const Tensor& bits, int64_t k) {
  check_packed("bits", bits, k, -1);
  const Shape shape = shape_with_last(bits, k, k);
  const Context context(bits);
  Tensor out = new_tensor(bits, shape.result, ScalarType::Float);
  if (shape.rows == 0) return out;
  launch(context, unpack_signs_kernel, looping_grid(shape.units(), kPackWarps), kPackThreads, 0, read<uint32_t>(bits),
         write<float>(out), shape.units(), k);
  return out;
}

}  // namespace
}  // namespace cuda_ext

STABLE_TORCH_LIBRARY_IMPL(cuda_ext, CUDA, m) {
  m.impl("pack_signs", TORCH_BOX(&cuda_ext::pack_signs));
  m.impl("pack_signs_stochastic", TORCH_BOX(&cuda_ext::pack_signs_stochastic));
  m.impl("sign_threshold_pack", TORCH_BOX(&cuda_ext::sign_threshold_pack));
  m.impl("unpack_signs", TORCH_BOX(&cuda_ext::unpack_signs));
}
