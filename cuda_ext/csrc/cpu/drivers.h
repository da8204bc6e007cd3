// From whole tensors to the inner kernels: blocking, threads, scratch memory. Knows pointers and sizes, not torch.
#pragma once
#include <cstdint>
#include <functional>

#include "kernels.h"

namespace qbench {

// Runs body(begin, end) over [0, n) on the caller's threads; what torch::stable::parallel_for does.
using Body = std::function<void(int64_t, int64_t)>;
using ParallelFor = void (*)(int64_t n, int64_t grain, const Body& body);

struct Machine {
  const Kernels& kernels;
  ParallelFor parallel;
  int64_t threads;
};

// A right operand of n rows, each `taps` runs of `words` words (a matrix has one tap, a convolution kh·kw):
// plain, or the blocks that `prepack` made of it.
struct Weights {
  const uint32_t* plain;    // [n][taps][stride]; null where prepacked
  const uint32_t* blocks;   // null where plain
  int64_t n, taps, stride, words;
  int64_t row() const { return taps * words; }
};

struct Window {
  int64_t height, width, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, out_h, out_w;
  int32_t pad_value;
};

struct Thresholds {
  const int32_t* threshold;
  const int8_t* direction;
};

// Dwords of the prepacked form of `n` rows: ⌈n/64⌉ blocks.
int64_t prepacked_size(int64_t n, int64_t taps, int64_t words);
void prepack(const Machine& on, const Weights& plain, uint32_t* blocks);

// thresholds: null for an int32 result [m][n]; else the result is packed, [m][row_words(n)].
void xnor_matmul(const Machine& on, const uint32_t* a, int64_t lda, int64_t m, const Weights& b, int64_t k,
                 const Thresholds* thresholds, void* out);
void xnor_conv2d(const Machine& on, const uint32_t* x, int64_t batch, int64_t channels, const Window& window,
                 const Weights& w, const Thresholds* thresholds, void* out);

enum class Real { kFloat32, kFloat16, kBFloat16, kUint8 };
// out is float [m][n], for uint8 int32 [m][n]
void real_matmul(const Machine& on, const void* x, Real type, int64_t m, int64_t k, const Weights& w, void* out);

int64_t int8_prepacked_size(const Kernels& kernels, int64_t n, int64_t k);
void int8_prepack(const Machine& on, const int8_t* b, int64_t n, int64_t k, uint32_t* blocks);
void int8_matmul(const Machine& on, const int8_t* a, int64_t m, int64_t k, const int8_t* b, const uint32_t* blocks,
                 int64_t n, int32_t* out);

enum class Float { kFloat32, kFloat64, kFloat16, kBFloat16 };
void pack_signs(const Machine& on, const void* x, Float type, int64_t rows, int64_t k, uint32_t* out);
void pack_random(const Machine& on, const void* x, Float type, int64_t rows, int64_t k, uint64_t seed, uint64_t offset,
                 uint32_t* out);
void unpack_signs(const Machine& on, const uint32_t* bits, int64_t rows, int64_t k, float* out);
// `integers`: x and threshold are int32, else float32
void threshold_pack(const Machine& on, const void* x, bool integers, int64_t rows, int64_t channels,
                    const void* threshold, const int8_t* direction, uint32_t* out);

}  // namespace qbench
