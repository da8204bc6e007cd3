// What the AVX-512 ISAs share. Each includes this file under its own target pragma; everything here has internal
// linkage, so the linker cannot give one ISA's code to another (see rows.h).
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "kernels.h"

namespace qbench {
namespace {

// A tile's loops are unrolled before anything else is done to them: its sums have to become registers.
#define QBENCH_UNROLL _Pragma("GCC unroll 8")

inline __mmask16 lanes(int64_t n) { return n >= 16 ? __mmask16(0xffff) : __mmask16((1u << n) - 1); }

// 16 rows of 16 words, `stride` apart -> 16 words of 16 columns, kColumns apart
inline void transpose16(const uint32_t* rows, int64_t stride, int64_t valid, __mmask16 words, uint32_t* out) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; i++) {
    r[i] = i < valid ? _mm512_maskz_loadu_epi32(words, rows + i * stride) : _mm512_setzero_si512();
  }
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 4; i++) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  // r[4i + j] holds, in its 128-bit lane l, word 4l + j of rows 4i to 4i + 3
  for (int j = 0; j < 4; j++) {
    t[j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);
    t[4 + j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
    t[8 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    t[12 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
  }
  for (int j = 0; j < 4; j++) {
    r[j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0x88);
    r[8 + j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0xdd);
    r[4 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0x88);
    r[12 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0xdd);
  }
  for (int i = 0; i < 16; i++) {
    if (words >> i & 1) _mm512_storeu_si512(out + i * kColumns, r[i]);
  }
}

// What a tile's sums become: int32, or the bits of a comparison.
struct Integers {
  int32_t* out;
  int64_t ldo;
  __mmask16 last;
  bool stream;

  Integers rows_from(int64_t r) const { return {out + r * ldo, ldo, last, stream}; }

  template <int NR>
  void store(int r, const __m512i* values) const {
    int32_t* row = out + r * ldo;
    if (stream) {
      QBENCH_UNROLL for (int c = 0; c < NR; c++) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(row + 16 * c), values[c]);
      }
      return;
    }
    QBENCH_UNROLL for (int c = 0; c < NR - 1; c++) _mm512_storeu_si512(row + 16 * c, values[c]);
    _mm512_mask_storeu_epi32(row + 16 * (NR - 1), last, values[NR - 1]);
  }
};

struct Bits {
  const Comparison& c;
  uint32_t* out;
  int64_t ldo;

  Bits rows_from(int64_t r) const { return {c, out + r * ldo, ldo}; }

  template <int NR>
  void store(int r, const __m512i* values) const {
    uint32_t words[2] = {0, 0};
    QBENCH_UNROLL for (int i = 0; i < NR; i++) {
      const __m512i v = _mm512_xor_si512(values[i], _mm512_loadu_si512(c.flip + 16 * i));
      const uint32_t mask = _mm512_cmpge_epi32_mask(v, _mm512_loadu_si512(c.threshold + 16 * i));
      words[i / 2] |= mask << (16 * (i % 2));
    }
    out[r * ldo] = (words[0] & c.keep[0]) | c.set[0];
    if (NR > 2) out[r * ldo + 1] = (words[1] & c.keep[1]) | c.set[1];
  }
};

}  // namespace
}  // namespace qbench
