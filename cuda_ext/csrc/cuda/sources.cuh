// Where the rows of a product come from. Not run on a GPU yet; run on the host by the emulator's tests.
//
// A product is out[m, n] = Σ over steps of row m of A with row n of B, a step being 64 bytes in 4 chunks of 16. A source
// answers, for a row and a step,
//   steps()                    how many steps a row has
//   rows                       how many rows there are; rows at and past it read as zeros
//   row(m)                     what is computed once per row
//   chunk(row, step, chunk)    its 16 bytes, zeros where nothing is
//   kMasked                    whether some steps count as nothing
// and, where it is the left operand of a binary product,
//   mask(row, step)            no bit set where the step counts as nothing, else all
//   length(row)                how many products the row's dot product has
//   address(row, step, chunk)  where the 16 bytes lie, nullptr for zeros: for copies past the registers
#pragma once

#include "layout.cuh"

namespace cuda_ext {

CUDA_EXT_BOTH uint4 zero_chunk() { return make_uint4(0u, 0u, 0u, 0u); }

// Packed rows as they lie: int32 [rows, 16·steps], 16-byte aligned.
struct PackedRows {
  static constexpr bool kMasked = false;
  struct Row {
    const uint4* start;
  };

  const uint32_t* bits;
  int64_t rows;
  int step_count;
  int32_t signs;

  CUDA_EXT_BOTH int steps() const { return step_count; }
  CUDA_EXT_BOTH Row row(int64_t m) const {
    return {m < rows ? reinterpret_cast<const uint4*>(bits + m * step_count * kStepWords) : nullptr};
  }
  CUDA_EXT_BOTH const uint4* address(const Row& row, int step, int chunk) const {
    return row.start == nullptr ? nullptr : row.start + static_cast<int64_t>(step) * kStepChunks + chunk;
  }
  CUDA_EXT_BOTH uint4 chunk(const Row& row, int step, int chunk) const {
    const uint4* from = address(row, step, chunk);
    return from == nullptr ? zero_chunk() : *from;
  }
  CUDA_EXT_BOTH uint32_t mask(const Row&, int) const { return 0xffffffffu; }
  CUDA_EXT_BOTH int32_t length(const Row&) const { return signs; }
};

// Rows of bytes, [rows, k], at any alignment.
struct ByteRows {
  static constexpr bool kMasked = false;
  struct Row {
    const uint8_t* start;
  };

  const uint8_t* bytes;
  int64_t rows;
  int64_t k;
  bool aligned;  // the first row and k are multiples of 16

  CUDA_EXT_BOTH int steps() const { return static_cast<int>(ceil_div(k, 64)); }
  CUDA_EXT_BOTH Row row(int64_t m) const { return {m < rows ? bytes + m * k : nullptr}; }
  CUDA_EXT_BOTH uint4 chunk(const Row& row, int step, int chunk) const {
    const int64_t first = static_cast<int64_t>(step) * 64 + chunk * 16;
    if (row.start == nullptr || first >= k) return zero_chunk();
    if (aligned) return *reinterpret_cast<const uint4*>(row.start + first);
    uint32_t words[4] = {0u, 0u, 0u, 0u};
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      if (first + i < k) words[i / 4] |= static_cast<uint32_t>(row.start[first + i]) << (8 * (i % 4));
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
};

// Four signs, the low bits of `nibble`, as four bytes of +1 (0x01) and -1 (0xff), bit i in byte i. The product puts bit
// i at bit 8i (and elsewhere, which the mask drops); a byte of 1 - b is then spread to 0xff where b = 0.
CUDA_EXT_BOTH uint32_t sign_bytes(uint32_t nibble) {
  const uint32_t ones = (nibble * 0x00204081u) & 0x01010101u;
  return ((0x01010101u - ones) * 0xffu) | ones;
}

// Packed rows read as bytes of ±1, 64 signs a step. Past k they read as -1: the other operand is zero there.
struct SignBytes {
  struct Row {
    const uint32_t* start;
  };

  const uint32_t* bits;
  int64_t rows;
  int64_t words;  // of a row
  int64_t k;

  CUDA_EXT_BOTH int steps() const { return static_cast<int>(ceil_div(k, 64)); }
  CUDA_EXT_BOTH Row row(int64_t m) const { return {m < rows ? bits + m * words : nullptr}; }
  CUDA_EXT_BOTH uint4 chunk(const Row& row, int step, int chunk) const {
    if (row.start == nullptr) return zero_chunk();
    // A step is 2 words, a chunk half a word; words 2·step + 1 exist because rows are 16·⌈k/512⌉ words.
    const uint32_t half = row.start[2 * static_cast<int64_t>(step) + chunk / 2] >> (16 * (chunk % 2));
    return make_uint4(sign_bytes(half & 15u), sign_bytes((half >> 4) & 15u), sign_bytes((half >> 8) & 15u),
                      sign_bytes((half >> 12) & 15u));
  }
};

// The geometry of a convolution, in pixels.
struct Window {
  int64_t batch, height, width, out_height, out_width;
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;

  CUDA_EXT_BOTH int64_t taps() const { return kernel_h * kernel_w; }
};

// The rows of a convolution's implicit im2col matrix: row m is output pixel m (batch, then y, then x), its steps are
// the filter's taps in order, each as many steps as a pixel has. kPad is the value of a position outside the image.
//   kPad = -1: zero bits, a constant; kPad = +1: one bit per channel; kPad = 0: the step is masked out of the sum, and
// the dot product is shorter by `channels` for each such tap.
template <int kPad>
struct ImageRows {
  static constexpr bool kMasked = kPad == 0;
  struct Row {
    int64_t image;      // index of the image's first pixel
    int64_t top, left;  // of the window
    bool present;
  };

  const uint32_t* bits;
  int64_t rows;
  Window window;
  int64_t channels;
  int pixel_steps;
  // A pixel of +1, for the kernels that take addresses; the others make it from `channels`.
  const uint32_t* ones;

  CUDA_EXT_BOTH int steps() const { return static_cast<int>(window.taps()) * pixel_steps; }

  CUDA_EXT_BOTH Row row(int64_t m) const {
    const int64_t pixels = window.out_height * window.out_width;
    const int64_t image = m / pixels, pixel = m - image * pixels;
    const int64_t y = pixel / window.out_width, x = pixel - y * window.out_width;
    return {image * window.height * window.width, y * window.stride_h - window.pad_h,
            x * window.stride_w - window.pad_w, m < rows};
  }

  // The pixel under a tap, or -1 outside the image.
  CUDA_EXT_BOTH int64_t pixel(const Row& row, int64_t tap) const {
    const int64_t i = tap / window.kernel_w, j = tap - i * window.kernel_w;
    const int64_t y = row.top + i * window.dilation_h, x = row.left + j * window.dilation_w;
    const bool inside = y >= 0 && y < window.height && x >= 0 && x < window.width;
    return inside ? row.image + y * window.width + x : -1;
  }

  CUDA_EXT_BOTH const uint4* address(const Row& row, int step, int chunk) const {
    if (!row.present) return nullptr;
    const int64_t tap = step / pixel_steps, inner = step - tap * pixel_steps;
    const int64_t at = pixel(row, tap);
    if (at >= 0) return reinterpret_cast<const uint4*>(bits) + (at * pixel_steps + inner) * kStepChunks + chunk;
    if (kPad != 1 || ones == nullptr) return nullptr;
    return reinterpret_cast<const uint4*>(ones) + inner * kStepChunks + chunk;
  }

  CUDA_EXT_BOTH uint4 chunk(const Row& row, int step, int chunk) const {
    const uint4* from = address(row, step, chunk);
    if (from != nullptr) return *from;
    if (kPad != 1 || !row.present) return zero_chunk();
    const int64_t word = static_cast<int64_t>(step % pixel_steps) * kStepWords + chunk * 4;
    return make_uint4(sign_mask(word, channels), sign_mask(word + 1, channels), sign_mask(word + 2, channels),
                      sign_mask(word + 3, channels));
  }

  CUDA_EXT_BOTH uint32_t mask(const Row& row, int step) const {
    return row.present && pixel(row, step / pixel_steps) >= 0 ? 0xffffffffu : 0u;
  }

  CUDA_EXT_BOTH int32_t length(const Row& row) const {
    int64_t taps = window.taps();
    if (kPad == 0) {
      // The taps inside form a rectangle: rows that are inside times columns that are.
      int64_t high = 0, wide = 0;
      for (int64_t i = 0; i < window.kernel_h; ++i) {
        const int64_t y = row.top + i * window.dilation_h;
        high += y >= 0 && y < window.height ? 1 : 0;
      }
      for (int64_t j = 0; j < window.kernel_w; ++j) {
        const int64_t x = row.left + j * window.dilation_w;
        wide += x >= 0 && x < window.width ? 1 : 0;
      }
      taps = high * wide;
    }
    return static_cast<int32_t>(channels * taps);
  }
};

}  // namespace cuda_ext
