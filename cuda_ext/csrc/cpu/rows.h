// Row operations shared by every ISA, written over the ISA's 32-element primitives P. Each ISA includes this file
// under its own target pragma and with P in an anonymous namespace: the instantiations have internal linkage, so the
// linker cannot give one ISA's code to another.
#pragma once
#include <cstdint>
#include <cstring>

#include "../common/layout.h"
#include "../common/philox.h"
#include "kernels.h"

namespace qbench {

template <class P>
struct Rows {
  // The tail is padded with NaN, whose bit is 0.
  static void pack_f32(const float* x, int64_t k, uint32_t* out) {
    int64_t i = 0;
    for (; i + 32 <= k; i += 32) *out++ = P::nonnegative_f32(x + i);
    if (i < k) {
      float tail[32];
      for (int64_t j = 0; j < 32; j++) tail[j] = i + j < k ? x[i + j] : __builtin_nanf("");
      *out = P::nonnegative_f32(tail);
    }
  }

  static void pack_f64(const double* x, int64_t k, uint32_t* out) {
    int64_t i = 0;
    for (; i + 32 <= k; i += 32) *out++ = P::nonnegative_f64(x + i);
    if (i < k) {
      double tail[32];
      for (int64_t j = 0; j < 32; j++) tail[j] = i + j < k ? x[i + j] : __builtin_nan("");
      *out = P::nonnegative_f64(tail);
    }
  }

  static void pack_16(const uint16_t* x, int64_t k, uint16_t infinity, uint32_t* out) {
    int64_t i = 0;
    for (; i + 32 <= k; i += 32) *out++ = P::nonnegative_16(x + i, infinity);
    if (i < k) {
      uint16_t tail[32];
      for (int64_t j = 0; j < 32; j++) tail[j] = i + j < k ? x[i + j] : uint16_t(0x7fff);
      *out = P::nonnegative_16(tail, infinity);
    }
  }

  static void unpack(const uint32_t* bits, int64_t k, float* out) {
    int64_t i = 0;
    for (; i + 32 <= k; i += 32) P::unpack(*bits++, out + i);
    if (i < k) {
      float tail[32];
      P::unpack(*bits, tail);
      memcpy(out + i, tail, sizeof(float) * (k - i));
    }
  }

  template <class T, uint32_t (*mask)(const T*, const uint32_t*, const uint32_t*)>
  static void compare(const T* x, int64_t channels, const Comparison& c, uint32_t* out) {
    for (int64_t i = 0, w = 0; i < channels; i += 32, w++) {
      T tail[32] = {};
      const T* at = x + i;
      if (i + 32 > channels) {
        memcpy(tail, x + i, sizeof(T) * (channels - i));
        at = tail;
      }
      out[w] = (mask(at, c.threshold + i, c.flip + i) & c.keep[w]) | c.set[w];
    }
  }

  static void compare_i32(const int32_t* x, int64_t channels, const Comparison& c, uint32_t* out) {
    compare<int32_t, P::at_least_i32>(x, channels, c, out);
  }

  static void compare_f32(const float* x, int64_t channels, const Comparison& c, uint32_t* out) {
    compare<float, P::at_least_f32>(x, channels, c, out);
  }

  // xnor_sign out of the ISA's xnor and its comparison
  template <void (*xnor)(const uint32_t*, int64_t, int64_t, const uint32_t*, int64_t, const int32_t* const*, int32_t*,
                         int64_t, int64_t, bool)>
  static void xnor_sign(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words,
                        const int32_t* const* base, const Comparison& c, uint32_t* out, int64_t ldo, int64_t valid) {
    constexpr int64_t kRows = 16;
    int32_t sums[kRows * kColumns];
    for (int64_t r = 0; r < m; r += kRows) {
      const int64_t rows = m - r < kRows ? m - r : kRows;
      xnor(a + r * lda, lda, rows, block, words, base + r, sums, kColumns, valid, false);
      for (int64_t i = 0; i < rows; i++) compare_i32(sums + i * kColumns, valid, c, out + (r + i) * ldo);
    }
  }

  static constexpr int64_t kLanes = 16;

  // 4·kLanes numbers of the stream, beginning with block `block`
  static void philox(uint64_t block, uint64_t seed, uint64_t offset, uint32_t* out) {
    uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
    for (int64_t i = 0; i < kLanes; i++) {
      c0[i] = uint32_t(block + i);
      c1[i] = uint32_t((block + i) >> 32);
      c2[i] = uint32_t(offset);
      c3[i] = uint32_t(offset >> 32);
    }
    uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
    for (int round = 0; round < kPhiloxRounds; round++) {
      for (int64_t i = 0; i < kLanes; i++) {
        const uint64_t p0 = uint64_t(kPhiloxM0) * c0[i], p1 = uint64_t(kPhiloxM1) * c2[i];
        const uint32_t n0 = uint32_t(p1 >> 32) ^ c1[i] ^ k0, n2 = uint32_t(p0 >> 32) ^ c3[i] ^ k1;
        c0[i] = n0;
        c1[i] = uint32_t(p1);
        c2[i] = n2;
        c3[i] = uint32_t(p0);
      }
      k0 += kPhiloxW0;
      k1 += kPhiloxW1;
    }
    for (int64_t i = 0; i < kLanes; i++) {
      out[4 * i] = c0[i];
      out[4 * i + 1] = c1[i];
      out[4 * i + 2] = c2[i];
      out[4 * i + 3] = c3[i];
    }
  }

  static void pack_random(const float* x, int64_t k, uint64_t first, uint64_t seed, uint64_t offset, uint32_t* out) {
    constexpr int64_t kChunk = 512;
    // a chunk may begin inside a block of four: one more batch of blocks covers its end
    uint32_t numbers[kChunk + 4 * kLanes];
    for (int64_t start = 0; start < k; start += kChunk) {
      const int64_t count = k - start < kChunk ? k - start : kChunk;
      const uint64_t index = first + start, skip = index % 4;
      for (int64_t n = 0; n < count + int64_t(skip); n += 4 * kLanes) {
        philox(index / 4 + n / 4, seed, offset, numbers + n);
      }
      float margin[kChunk];  // p·2^24 - u: positive where the bit is 1, and NaN where x is
      for (int64_t i = 0; i < count; i++) {
        float p = (x[start + i] + 1.0f) * 0.5f;
        p = p < 0.0f ? 0.0f : p;
        p = p > 1.0f ? 1.0f : p;
        margin[i] = p * 16777216.0f - float(int32_t(numbers[skip + i] >> 8));
      }
      for (int64_t i = 0; i < count; i += 32) {
        uint32_t word = 0;
        for (int64_t j = 0; j < 32 && i + j < count; j++) word |= uint32_t(margin[i + j] > 0.0f) << j;
        out[(start + i) / 32] = word;
      }
    }
  }
};

// The int16 form of the int8 product, for the ISAs without VNNI: two consecutive k share a dword, no offset.
template <class P>
struct Int16Pairs {
  static uint32_t pair(const int8_t* x, int64_t i, int64_t k) {
    const uint16_t low = uint16_t(int16_t(x[i])), high = i + 1 < k ? uint16_t(int16_t(x[i + 1])) : uint16_t(0);
    return low | uint32_t(high) << 16;
  }

  static void row(const int8_t* x, int64_t k, uint32_t* out) {
    for (int64_t i = 0; i < k; i += 2) out[i / 2] = pair(x, i, k);
  }

  static void arrange(const int8_t* rows, int64_t stride, int64_t valid, int64_t k, uint32_t* block, int32_t* sums) {
    memset(block, 0, sizeof(uint32_t) * kColumns * ((k + 1) / 2));
    memset(sums, 0, sizeof(int32_t) * kColumns);
    for (int64_t n = 0; n < valid; n++) {
      for (int64_t i = 0; i < k; i += 2) block[i / 2 * kColumns + n] = pair(rows + n * stride, i, k);
    }
  }
};

}  // namespace qbench
