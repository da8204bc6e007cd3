// int8_matmul and bitplane_matmul on CUDA. Not run on a GPU yet.
#include "runtime.h"
#include "word_tile.cuh"

namespace cuda_ext {
namespace {

// The largest K whose dot product cannot leave int32 (cuda_ext/ops.py).
constexpr int64_t kBitplaneMaxK = INT32_MAX / 255;
constexpr int64_t kInt8MaxK = INT32_MAX / (128 * 128);

ByteRows byte_rows(const Tensor& tensor) {
  const int64_t k = tensor.size(1);
  const bool aligned = reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) % 16 == 0 && k % 16 == 0;
  return {read<uint8_t>(tensor), tensor.size(0), k, aligned};
}

TileOrder order_of(int64_t rows, int64_t columns) { return {ceil_div(rows, kWordTile), ceil_div(columns, kWordTile)}; }

Tensor int8_matmul(const Tensor& a, const Tensor& b) {
  check_tensor("a", a, ScalarType::Char, 2);
  check_tensor("b", b, ScalarType::Char, 2);
  check_same_device(a, b);
  STD_TORCH_CHECK(a.size(1) == b.size(1), "b: expected as many columns as a");
  STD_TORCH_CHECK(a.size(1) >= 1 && a.size(1) <= kInt8MaxK, "a: expected 1 to ", kInt8MaxK, " columns, got ",
                  a.size(1));
  const Context context(a);
  Tensor out = new_tensor(a, {a.size(0), b.size(0)}, ScalarType::Int);
  if (out.numel() == 0) return out;
  const Int32Sink sink{write<int32_t>(out), a.size(0), b.size(0)};
  const TileOrder order = order_of(a.size(0), b.size(0));
  launch(context, word_tile_kernel<ByteProduct<true>, ByteRows, ByteRows, Int32Sink>, whole_grid(order.count()),
         kWordThreads, 0, byte_rows(a), byte_rows(b), sink, order);
  return out;
}

Tensor bitplane_matmul(const Tensor& x, const Tensor& w_bits, int64_t k) {
  check_tensor("x", x, ScalarType::Byte, 2);
  check_packed("w_bits", w_bits, k, 2);
  check_same_device(x, w_bits);
  STD_TORCH_CHECK(k <= kBitplaneMaxK, "k: expected at most ", kBitplaneMaxK, ", got ", k);
  STD_TORCH_CHECK(x.size(1) == k, "x: expected ", k, " columns, got ", x.size(1));
  const Context context(x);
  Tensor out = new_tensor(x, {x.size(0), w_bits.size(0)}, ScalarType::Int);
  if (out.numel() == 0) return out;
  const SignBytes weights{read<uint32_t>(w_bits), w_bits.size(0), packed_words(k), k};
  const Int32Sink sink{write<int32_t>(out), x.size(0), w_bits.size(0)};
  const TileOrder order = order_of(x.size(0), w_bits.size(0));
  launch(context, word_tile_kernel<ByteProduct<false>, ByteRows, SignBytes, Int32Sink>, whole_grid(order.count()),
         kWordThreads, 0, byte_rows(x), weights, sink, order);
  return out;
}

}  // namespace
}  // namespace cuda_ext

STABLE_TORCH_LIBRARY_IMPL(cuda_ext, CUDA, m) {
  m.impl("int8_matmul", TORCH_BOX(&cuda_ext::int8_matmul));
  m.impl("bitplane_matmul", TORCH_BOX(&cuda_ext::bitplane_matmul));
}
