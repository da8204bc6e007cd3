// Where the elements of a product go: as int32, scaled and shifted as float16, or compared with a threshold and packed,
// 32 columns to a word.
// Not run on a GPU yet; run on the host by the emulator's tests.
#pragma once

#include "layout.cuh"
#include "sign.cuh"

namespace cuda_ext {

struct Int32Sink {
  static constexpr bool kPacks = false;

  int32_t* out;
  int64_t rows, columns;

  // Columns that tiles have to cover.
  CUDA_EXT_BOTH int64_t covered() const { return columns; }
  CUDA_EXT_BOTH void store(int64_t m, int64_t n, int32_t value) const {
    if (m < rows && n < columns) out[m * columns + n] = value;
  }
  // Columns n and n + 1, n even: one 8-byte store where every row starts on 8 bytes.
  CUDA_EXT_BOTH void store_pair(int64_t m, int64_t n, int32_t first, int32_t second) const {
    if (columns % 2 == 0 && m < rows && n < columns) {
      *reinterpret_cast<int2*>(out + m * columns + n) = make_int2(first, second);
    } else {
      store(m, n, first);
      store(m, n + 1, second);
    }
  }
};

struct HalfSink {
  static constexpr bool kPacks = false;

  __half* out;
  const float* scale;
  const float* shift;
  int64_t rows, columns;

  CUDA_EXT_BOTH int64_t covered() const { return columns; }
  // Each step rounds to nearest: no multiply-add, so that the bits are the reference's.
  __device__ void store(int64_t m, int64_t n, int32_t value) const {
    if (m < rows && n < columns) {
      out[m * columns + n] = __float2half_rn(__fadd_rn(__fmul_rn(__int2float_rn(value), scale[n]), shift[n]));
    }
  }
  __device__ void store_pair(int64_t m, int64_t n, int32_t first, int32_t second) const {
    store(m, n, first);
    store(m, n + 1, second);
  }
};

struct SignSink {
  static constexpr bool kPacks = true;

  uint32_t* out;
  const int32_t* threshold;
  const int8_t* direction;
  int64_t rows, columns;

  // The padding of a row is written too.
  CUDA_EXT_BOTH int64_t covered() const { return packed_words(columns) * 32; }
  CUDA_EXT_BOTH bool bit(int64_t n, int32_t value) const {
    return n < columns && is_above(value, threshold[n], direction[n]);
  }
  // The word of columns 32·word to 32·word + 31.
  CUDA_EXT_BOTH void store_word(int64_t m, int64_t word, uint32_t bits) const {
    const int64_t words = packed_words(columns);
    if (m < rows && word < words) out[m * words + word] = bits;
  }
  // The byte of columns 8·byte to 8·byte + 7.
  CUDA_EXT_BOTH void store_byte(int64_t m, int64_t byte, uint32_t bits) const {
    const int64_t bytes = packed_words(columns) * 4;
    if (m < rows && byte < bytes) reinterpret_cast<uint8_t*>(out)[m * bytes + byte] = static_cast<uint8_t>(bits);
  }
};

}  // namespace cuda_ext
