// The operations of cuda_ext/schemas.py on the CPU, through LibTorch's stable ABI. The Python wrappers check arguments;
// the checks here only keep a direct call of torch.ops.cuda_ext.* from reading past a tensor.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "../common/layout.h"
#include "dispatch.h"
#include "drivers.h"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

void parallel(int64_t n, int64_t grain, const qbench::Body& body) { torch::stable::parallel_for(0, n, grain, body); }

qbench::Machine machine() {
  return {qbench::selected_kernels(), parallel, int64_t(torch::stable::get_num_threads())};
}

Tensor make(const std::vector<int64_t>& size, ScalarType type) {
  return torch::stable::empty({size.data(), size.size()}, type);
}

std::vector<int64_t> with_last(const Tensor& t, int64_t last) {
  std::vector<int64_t> size(t.sizes().begin(), t.sizes().end());
  size.back() = last;
  return size;
}

int64_t rows_of(const Tensor& t) {
  int64_t rows = 1;
  for (int64_t i = 0; i + 1 < t.dim(); i++) rows *= t.size(i);
  return rows;
}

void expect(const Tensor& t, const char* name, ScalarType type, int64_t dim, int64_t last) {
  STD_TORCH_CHECK(t.is_cpu() && t.is_contiguous(), name, ": expected a contiguous CPU tensor");
  STD_TORCH_CHECK(t.scalar_type() == type, name, ": wrong dtype");
  STD_TORCH_CHECK(dim < 0 || t.dim() == dim, name, ": expected ", dim, " dimensions, got ", t.dim());
  STD_TORCH_CHECK(t.dim() > 0 && t.size(-1) == last, name, ": expected last dimension ", last);
}

const uint32_t* words(const Tensor& t) { return static_cast<const uint32_t*>(t.const_data_ptr()); }
uint32_t* mutable_words(const Tensor& t) { return static_cast<uint32_t*>(t.mutable_data_ptr()); }

qbench::Float float_type(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Float: return qbench::Float::kFloat32;
    case ScalarType::Double: return qbench::Float::kFloat64;
    case ScalarType::Half: return qbench::Float::kFloat16;
    case ScalarType::BFloat16: return qbench::Float::kBFloat16;
    default: STD_TORCH_CHECK(false, "x: expected a floating dtype");
  }
}

Tensor pack_signs(const Tensor& x) {
  expect(x, "x", x.scalar_type(), -1, x.size(-1));
  const int64_t k = x.size(-1);
  STD_TORCH_CHECK(k > 0, "x: expected a last dimension of at least 1");
  Tensor out = make(with_last(x, qbench::row_words(k)), ScalarType::Int);
  qbench::pack_signs(machine(), x.const_data_ptr(), float_type(x), rows_of(x), k, mutable_words(out));
  return out;
}

Tensor pack_signs_stochastic(const Tensor& x, const Tensor& seed) {
  expect(x, "x", x.scalar_type(), -1, x.size(-1));
  expect(seed, "seed", ScalarType::Long, 1, 2);
  const int64_t k = x.size(-1);
  STD_TORCH_CHECK(k > 0, "x: expected a last dimension of at least 1");
  const uint64_t* key = static_cast<const uint64_t*>(seed.const_data_ptr());
  Tensor out = make(with_last(x, qbench::row_words(k)), ScalarType::Int);
  qbench::pack_random(machine(), x.const_data_ptr(), float_type(x), rows_of(x), k, key[0], key[1], mutable_words(out));
  return out;
}

Tensor unpack_signs(const Tensor& bits, int64_t k) {
  expect(bits, "bits", ScalarType::Int, -1, qbench::row_words(k));
  Tensor out = make(with_last(bits, k), ScalarType::Float);
  qbench::unpack_signs(machine(), words(bits), rows_of(bits), k, static_cast<float*>(out.mutable_data_ptr()));
  return out;
}

Tensor sign_threshold_pack(const Tensor& x, const Tensor& threshold, const Tensor& direction) {
  const bool integers = x.scalar_type() == ScalarType::Int;
  const ScalarType type = integers ? ScalarType::Int : ScalarType::Float;
  const int64_t channels = x.size(-1);
  STD_TORCH_CHECK(channels > 0, "x: expected a last dimension of at least 1");
  expect(x, "x", type, -1, channels);
  expect(threshold, "threshold", type, 1, channels);
  expect(direction, "direction", ScalarType::Char, 1, channels);
  Tensor out = make(with_last(x, qbench::row_words(channels)), ScalarType::Int);
  qbench::threshold_pack(machine(), x.const_data_ptr(), integers, rows_of(x), channels, threshold.const_data_ptr(),
                         static_cast<const int8_t*>(direction.const_data_ptr()), mutable_words(out));
  return out;
}

// The right operand of a matrix product, plain or prepacked (n columns).
qbench::Weights matrix(const Tensor& w, int64_t k, std::optional<int64_t> n) {
  if (!n) {
    expect(w, "weights", ScalarType::Int, 2, qbench::row_words(k));
    return {.plain = words(w),
            .blocks = nullptr,
            .n = w.size(0),
            .taps = 1,
            .stride = qbench::row_words(k),
            .words = qbench::used_words(k)};
  }
  expect(w, "weights", ScalarType::Int, 1, qbench::prepacked_size(*n, 1, qbench::used_words(k)));
  return {.plain = nullptr, .blocks = words(w), .n = *n, .taps = 1, .stride = 0, .words = qbench::used_words(k)};
}

struct Signs {
  qbench::Thresholds thresholds;
  Signs(const Tensor& threshold, const Tensor& direction, int64_t n) {
    expect(threshold, "threshold", ScalarType::Int, 1, n);
    expect(direction, "direction", ScalarType::Char, 1, n);
    thresholds = {static_cast<const int32_t*>(threshold.const_data_ptr()),
                  static_cast<const int8_t*>(direction.const_data_ptr())};
  }
};

Tensor matmul(const Tensor& a, const qbench::Weights& b, int64_t k, const qbench::Thresholds* thresholds) {
  expect(a, "a_bits", ScalarType::Int, 2, qbench::row_words(k));
  Tensor out = make({a.size(0), thresholds ? qbench::row_words(b.n) : b.n}, ScalarType::Int);
  qbench::xnor_matmul(machine(), words(a), a.size(1), a.size(0), b, k, thresholds, out.mutable_data_ptr());
  return out;
}

Tensor xnor_matmul(const Tensor& a, const Tensor& b, int64_t k) { return matmul(a, matrix(b, k, {}), k, nullptr); }

Tensor xnor_matmul_prepacked(const Tensor& a, const Tensor& b, int64_t n, int64_t k) {
  return matmul(a, matrix(b, k, n), k, nullptr);
}

Tensor xnor_matmul_sign(const Tensor& a, const Tensor& b, int64_t k, const Tensor& threshold, const Tensor& direction) {
  const Signs signs(threshold, direction, b.size(0));
  return matmul(a, matrix(b, k, {}), k, &signs.thresholds);
}

Tensor xnor_matmul_sign_prepacked(const Tensor& a, const Tensor& b, int64_t n, int64_t k, const Tensor& threshold,
                                  const Tensor& direction) {
  const Signs signs(threshold, direction, n);
  return matmul(a, matrix(b, k, n), k, &signs.thresholds);
}

// filter: (outputs, kernel height, kernel width)
Tensor conv2d(const Tensor& x, const Tensor& w, const std::vector<int64_t>& filter, bool prepacked, int64_t channels,
              const std::vector<int64_t>& stride, const std::vector<int64_t>& padding,
              const std::vector<int64_t>& dilation, int64_t pad_value, const qbench::Thresholds* thresholds) {
  const int64_t in_words = qbench::row_words(channels), used = qbench::used_words(channels);
  const int64_t n = filter.at(0), taps = filter.at(1) * filter.at(2);
  expect(x, "x_bits", ScalarType::Int, 4, in_words);
  qbench::Weights weights{
      .plain = nullptr, .blocks = nullptr, .n = n, .taps = taps, .stride = in_words, .words = used};
  if (prepacked) {
    expect(w, "weights", ScalarType::Int, 1, qbench::prepacked_size(n, taps, used));
    weights.blocks = words(w);
  } else {
    expect(w, "w_bits", ScalarType::Int, 4, in_words);
    weights.plain = words(w);
  }
  qbench::Window v{
      .height = x.size(1),
      .width = x.size(2),
      .kernel_h = filter[1],
      .kernel_w = filter[2],
      .stride_h = stride.at(0),
      .stride_w = stride.at(1),
      .pad_h = padding.at(0),
      .pad_w = padding.at(1),
      .dilation_h = dilation.at(0),
      .dilation_w = dilation.at(1),
      .out_h = 0,  // below, once the arguments are known to be in range
      .out_w = 0,
      .pad_value = int32_t(pad_value),
  };
  STD_TORCH_CHECK(v.stride_h > 0 && v.stride_w > 0 && v.dilation_h > 0 && v.dilation_w > 0 && v.pad_h >= 0 &&
                      v.pad_w >= 0 && n > 0 && taps > 0 && pad_value >= -1 && pad_value <= 1,
                  "convolution: stride, padding, dilation, kernel or pad value out of range");
  const int64_t room_h = v.height + 2 * v.pad_h - v.dilation_h * (v.kernel_h - 1) - 1;
  const int64_t room_w = v.width + 2 * v.pad_w - v.dilation_w * (v.kernel_w - 1) - 1;
  STD_TORCH_CHECK(room_h >= 0 && room_w >= 0, "convolution: the kernel does not fit into the image");
  v.out_h = room_h / v.stride_h + 1;
  v.out_w = room_w / v.stride_w + 1;
  Tensor out = make({x.size(0), v.out_h, v.out_w, thresholds ? qbench::row_words(n) : n}, ScalarType::Int);
  qbench::xnor_conv2d(machine(), words(x), x.size(0), channels, v, weights, thresholds, out.mutable_data_ptr());
  return out;
}

using Ints = std::vector<int64_t>;

Ints filter_of(const Tensor& w) {
  STD_TORCH_CHECK(w.dim() == 4, "w_bits: expected 4 dimensions");
  return {w.size(0), w.size(1), w.size(2)};
}

Tensor xnor_conv2d(const Tensor& x, const Tensor& w, int64_t channels, Ints stride, Ints padding, Ints dilation,
                   int64_t pad_value) {
  return conv2d(x, w, filter_of(w), false, channels, stride, padding, dilation, pad_value, nullptr);
}

Tensor xnor_conv2d_sign(const Tensor& x, const Tensor& w, int64_t channels, Ints stride, Ints padding, Ints dilation,
                        int64_t pad_value, const Tensor& threshold, const Tensor& direction) {
  const Signs signs(threshold, direction, w.size(0));
  return conv2d(x, w, filter_of(w), false, channels, stride, padding, dilation, pad_value, &signs.thresholds);
}

Tensor xnor_conv2d_prepacked(const Tensor& x, const Tensor& w, Ints filter, int64_t channels, Ints stride,
                             Ints padding, Ints dilation, int64_t pad_value) {
  return conv2d(x, w, filter, true, channels, stride, padding, dilation, pad_value, nullptr);
}

Tensor xnor_conv2d_sign_prepacked(const Tensor& x, const Tensor& w, Ints filter, int64_t channels, Ints stride,
                                  Ints padding, Ints dilation, int64_t pad_value, const Tensor& threshold,
                                  const Tensor& direction) {
  const Signs signs(threshold, direction, filter.at(0));
  return conv2d(x, w, filter, true, channels, stride, padding, dilation, pad_value, &signs.thresholds);
}

Tensor real(const Tensor& x, qbench::Real type, const qbench::Weights& w, int64_t k) {
  expect(x, "x", x.scalar_type(), 2, k);
  Tensor out = make({x.size(0), w.n}, type == qbench::Real::kUint8 ? ScalarType::Int : ScalarType::Float);
  qbench::real_matmul(machine(), x.const_data_ptr(), type, x.size(0), k, w, out.mutable_data_ptr());
  return out;
}

qbench::Real real_type(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Float: return qbench::Real::kFloat32;
    case ScalarType::Half: return qbench::Real::kFloat16;
    case ScalarType::BFloat16: return qbench::Real::kBFloat16;
    default: STD_TORCH_CHECK(false, "x: expected float32, float16 or bfloat16");
  }
}

Tensor binary_weight_matmul(const Tensor& x, const Tensor& w, int64_t k) {
  return real(x, real_type(x), matrix(w, k, {}), k);
}

Tensor binary_weight_matmul_prepacked(const Tensor& x, const Tensor& w, int64_t n, int64_t k) {
  return real(x, real_type(x), matrix(w, k, n), k);
}

Tensor bitplane_matmul(const Tensor& x, const Tensor& w, int64_t k) {
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Byte, "x: expected uint8");
  return real(x, qbench::Real::kUint8, matrix(w, k, {}), k);
}

Tensor bitplane_matmul_prepacked(const Tensor& x, const Tensor& w, int64_t n, int64_t k) {
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Byte, "x: expected uint8");
  return real(x, qbench::Real::kUint8, matrix(w, k, n), k);
}

Tensor int8(const Tensor& a, const int8_t* plain, const uint32_t* blocks, int64_t n, int64_t k) {
  expect(a, "a", ScalarType::Char, 2, k);
  Tensor out = make({a.size(0), n}, ScalarType::Int);
  qbench::int8_matmul(machine(), static_cast<const int8_t*>(a.const_data_ptr()), a.size(0), k, plain, blocks, n,
                      static_cast<int32_t*>(out.mutable_data_ptr()));
  return out;
}

Tensor int8_matmul(const Tensor& a, const Tensor& b) {
  expect(b, "b", ScalarType::Char, 2, a.size(-1));
  STD_TORCH_CHECK(a.size(-1) > 0, "a: expected a last dimension of at least 1");
  return int8(a, static_cast<const int8_t*>(b.const_data_ptr()), nullptr, b.size(0), a.size(-1));
}

Tensor int8_matmul_prepacked(const Tensor& a, const Tensor& b, int64_t n) {
  const int64_t k = a.size(-1);
  STD_TORCH_CHECK(k > 0, "a: expected a last dimension of at least 1");
  expect(b, "b", ScalarType::Int, 1, qbench::int8_prepacked_size(qbench::selected_kernels(), n, k));
  return int8(a, nullptr, words(b), n, k);
}

// w_bits: [n, W(k)], or [o, kh, kw, W(k)] with k the channels
Tensor prepack_signs(const Tensor& w, int64_t k) {
  STD_TORCH_CHECK(w.dim() == 2 || w.dim() == 4, "w_bits: expected 2 or 4 dimensions");
  expect(w, "w_bits", ScalarType::Int, -1, qbench::row_words(k));
  const int64_t taps = w.dim() == 4 ? w.size(1) * w.size(2) : 1;
  const qbench::Weights plain{.plain = words(w),
                              .blocks = nullptr,
                              .n = w.size(0),
                              .taps = taps,
                              .stride = qbench::row_words(k),
                              .words = qbench::used_words(k)};
  Tensor out = make({qbench::prepacked_size(plain.n, taps, plain.words)}, ScalarType::Int);
  qbench::prepack(machine(), plain, mutable_words(out));
  return out;
}

Tensor prepack_int8(const Tensor& b) {
  const int64_t n = b.size(0), k = b.size(-1);
  expect(b, "b", ScalarType::Char, 2, k);
  Tensor out = make({qbench::int8_prepacked_size(qbench::selected_kernels(), n, k)}, ScalarType::Int);
  qbench::int8_prepack(machine(), static_cast<const int8_t*>(b.const_data_ptr()), n, k, mutable_words(out));
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(cuda_ext, CPU, m) {
  m.impl("pack_signs", TORCH_BOX(&pack_signs));
  m.impl("pack_signs_stochastic", TORCH_BOX(&pack_signs_stochastic));
  m.impl("unpack_signs", TORCH_BOX(&unpack_signs));
  m.impl("sign_threshold_pack", TORCH_BOX(&sign_threshold_pack));
  m.impl("xnor_matmul", TORCH_BOX(&xnor_matmul));
  m.impl("xnor_matmul_sign", TORCH_BOX(&xnor_matmul_sign));
  m.impl("xnor_conv2d", TORCH_BOX(&xnor_conv2d));
  m.impl("xnor_conv2d_sign", TORCH_BOX(&xnor_conv2d_sign));
  m.impl("binary_weight_matmul", TORCH_BOX(&binary_weight_matmul));
  m.impl("bitplane_matmul", TORCH_BOX(&bitplane_matmul));
  m.impl("int8_matmul", TORCH_BOX(&int8_matmul));
  m.impl("prepack_signs", TORCH_BOX(&prepack_signs));
  m.impl("prepack_int8", TORCH_BOX(&prepack_int8));
  m.impl("xnor_matmul_prepacked", TORCH_BOX(&xnor_matmul_prepacked));
  m.impl("xnor_matmul_sign_prepacked", TORCH_BOX(&xnor_matmul_sign_prepacked));
  m.impl("xnor_conv2d_prepacked", TORCH_BOX(&xnor_conv2d_prepacked));
  m.impl("xnor_conv2d_sign_prepacked", TORCH_BOX(&xnor_conv2d_sign_prepacked));
  m.impl("binary_weight_matmul_prepacked", TORCH_BOX(&binary_weight_matmul_prepacked));
  m.impl("bitplane_matmul_prepacked", TORCH_BOX(&bitplane_matmul_prepacked));
  m.impl("int8_matmul_prepacked", TORCH_BOX(&int8_matmul_prepacked));
}
