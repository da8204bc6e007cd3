// xnor_matmul, xnor_matmul_scale and xnor_matmul_sign on CUDA. Not run on a GPU yet.
#include "tensor_map.h"
#include "wgmma_tile.cuh"
#include "xnor_dispatch.h"

namespace cuda_ext {
namespace {

PackedRows packed_rows(const Tensor& bits, int64_t k) {
  return {read<uint32_t>(bits), bits.size(0), static_cast<int>(packed_steps(k)), static_cast<int32_t>(k)};
}

template <class Sink>
void launch_wgmma(const Context& context, const Tensor& a_bits, const Tensor& b_bits, const PackedRows& a,
                  const PackedRows& b, const Sink& sink, const Counts& counts) {
  const int64_t words = static_cast<int64_t>(a.step_count) * kStepWords;
  const TileOrder order{ceil_div(sink.rows, kWgmmaM), ceil_div(sink.covered(), kWgmmaN)};
  launch(context, wgmma_tile_kernel<Sink>, whole_grid(order.count()), kWgmmaThreads, wgmma_shared_bytes(),
         tensor_map(a_bits, words, kWgmmaM), tensor_map(b_bits, words, kWgmmaN), a, b, sink, counts, order);
}

template <class Sink>
void multiply(const Context& context, const Tensor& a_bits, const Tensor& b_bits, int64_t k, const Sink& sink) {
  const Tensor a_aligned = aligned_16(a_bits), b_aligned = aligned_16(b_bits);
  const PackedRows a = packed_rows(a_aligned, k), b = packed_rows(b_aligned, k);
  const auto any_mma = mma_tile_kernel<64, 64, PackedRows, Sink>;
  const XnorKernel kernel = choose_xnor_kernel(context, any_mma, a.rows <= kRowLimit);
  if (kernel == XnorKernel::rows) return launch_rows(context, a, b, sink);
  if (kernel == XnorKernel::popc) return launch_popc(context, a, b, sink);
  const CountedOperands counted = count_operands(context, a_aligned, a.rows, b_aligned, b.rows, a.step_count, 0);
  if (kernel == XnorKernel::mma) return launch_mma(context, a, b, sink, counted.counts);
  launch_wgmma(context, a_aligned, b_aligned, a, b, sink, counted.counts);
}

void check_operands(const Tensor& a_bits, const Tensor& b_bits, int64_t k) {
  check_packed("a_bits", a_bits, k, 2);
  check_packed("b_bits", b_bits, k, 2);
  check_same_device(a_bits, b_bits);
}

Tensor xnor_matmul(const Tensor& a_bits, const Tensor& b_bits, int64_t k) {
  check_operands(a_bits, b_bits, k);
  const int64_t rows = a_bits.size(0), columns = b_bits.size(0);
  const Context context(a_bits);
  Tensor out = new_tensor(a_bits, {rows, columns}, ScalarType::Int);
  if (out.numel() == 0) return out;
  multiply(context, a_bits, b_bits, k, Int32Sink{write<int32_t>(out), rows, columns});
  return out;
}

Tensor xnor_matmul_scale(const Tensor& a_bits, const Tensor& b_bits, int64_t k, const Tensor& scale,
                         const Tensor& shift) {
  check_operands(a_bits, b_bits, k);
  const int64_t rows = a_bits.size(0), columns = b_bits.size(0);
  check_scales(a_bits, scale, shift, columns);
  const Context context(a_bits);
  Tensor out = new_tensor(a_bits, {rows, columns}, ScalarType::Half);
  if (out.numel() == 0) return out;
  multiply(context, a_bits, b_bits, k,
           HalfSink{write<__half>(out), read<float>(scale), read<float>(shift), rows, columns});
  return out;
}

Tensor xnor_matmul_sign(const Tensor& a_bits, const Tensor& b_bits, int64_t k, const Tensor& threshold,
                        const Tensor& direction) {
  check_operands(a_bits, b_bits, k);
  const int64_t rows = a_bits.size(0), columns = b_bits.size(0);
  check_thresholds(a_bits, threshold, direction, ScalarType::Int, columns);
  const Context context(a_bits);
  Tensor out = new_tensor(a_bits, {rows, packed_words(columns)}, ScalarType::Int);
  if (out.numel() == 0) return out;
  multiply(context, a_bits, b_bits, k,
           SignSink{write<uint32_t>(out), read<int32_t>(threshold), read<int8_t>(direction), rows, columns});
  return out;
}

}  // namespace
}  // namespace cuda_ext

STABLE_TORCH_LIBRARY_IMPL(cuda_ext, CUDA, m) {
  m.impl("xnor_matmul", TORCH_BOX(&cuda_ext::xnor_matmul));
  m.impl("xnor_matmul_scale", TORCH_BOX(&cuda_ext::xnor_matmul_scale));
  m.impl("xnor_matmul_sign", TORCH_BOX(&cuda_ext::xnor_matmul_sign));
}
