// AVX-512 with VPOPCNTDQ and VNNI (Intel Ice Lake, AMD Zen 4 and later). Block form: [word][column] dwords: the columns
// lie in the lanes, so a sum over k never has to cross lanes.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>
#include <cstring>

// After the system headers: their inline functions must not be compiled for this target (see rows.h).
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vnni,bmi,bmi2,fma,popcnt")
#include "avx512.h"
#include "rows.h"

namespace qbench {
namespace {

struct Avx512 {
  static uint32_t nonnegative_f32(const float* x) {
    const __m512 zero = _mm512_setzero_ps();
    const uint32_t low = _mm512_cmp_ps_mask(_mm512_loadu_ps(x), zero, _CMP_GE_OQ);
    const uint32_t high = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + 16), zero, _CMP_GE_OQ);
    return low | high << 16;
  }

  static uint32_t nonnegative_f64(const double* x) {
    uint32_t word = 0;
    for (int i = 0; i < 4; i++) {
      word |= uint32_t(_mm512_cmp_pd_mask(_mm512_loadu_pd(x + 8 * i), _mm512_setzero_pd(), _CMP_GE_OQ)) << (8 * i);
    }
    return word;
  }

  static uint32_t nonnegative_16(const uint16_t* x, uint16_t infinity) {
    const __m512i v = _mm512_loadu_si512(x);
    return _mm512_cmple_epu16_mask(v, _mm512_set1_epi16(int16_t(infinity))) |
           _mm512_cmpeq_epi16_mask(v, _mm512_set1_epi16(int16_t(0x8000)));
  }

  static uint32_t at_least_i32(const int32_t* x, const uint32_t* threshold, const uint32_t* flip) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i += 16) {
      const __m512i v = _mm512_xor_si512(_mm512_loadu_si512(x + i), _mm512_loadu_si512(flip + i));
      word |= uint32_t(_mm512_cmpge_epi32_mask(v, _mm512_loadu_si512(threshold + i))) << i;
    }
    return word;
  }

  static uint32_t at_least_f32(const float* x, const uint32_t* threshold, const uint32_t* flip) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i += 16) {
      const __m512i v = _mm512_xor_si512(_mm512_loadu_si512(x + i), _mm512_loadu_si512(flip + i));
      const __m512 t = _mm512_castsi512_ps(_mm512_loadu_si512(threshold + i));
      word |= uint32_t(_mm512_cmp_ps_mask(_mm512_castsi512_ps(v), t, _CMP_GE_OQ)) << i;
    }
    return word;
  }

  static void unpack(uint32_t word, float* out) {
    const __m512 plus = _mm512_set1_ps(1.0f), minus = _mm512_set1_ps(-1.0f);
    _mm512_storeu_ps(out, _mm512_mask_blend_ps(__mmask16(word), minus, plus));
    _mm512_storeu_ps(out + 16, _mm512_mask_blend_ps(__mmask16(word >> 16), minus, plus));
  }
};

void arrange(const uint32_t* rows, int64_t stride, int64_t valid, int64_t words, uint32_t* block) {
  for (int64_t n = 0; n < kColumns; n += 16) {
    for (int64_t w = 0; w < words; w += 16) {
      transpose16(rows + n * stride + w, stride, valid - n, lanes(words - w), block + w * kColumns + n);
    }
  }
}

// sum += x. As assembly, because g++ keeps the tile's sums of one step beside those of the next and copies all of them
// at every step otherwise, which costs a tenth of the speed.
inline void accumulate(__m512i& sum, __m512i x) { asm("vpaddd %1, %0, %0" : "+v"(sum) : "v"(x)); }
inline void accumulate(__m512& sum, __m512 x) { asm("vaddps %1, %0, %0" : "+v"(sum) : "v"(x)); }

template <int MR, int NR, class Sink>
inline void xnor_tile(const uint32_t* a, int64_t lda, const uint32_t* block, int64_t words, const int32_t* const* base,
                      const Sink& sink) {
  __m512i acc[MR][NR];
  QBENCH_UNROLL for (int r = 0; r < MR; r++) {
    QBENCH_UNROLL for (int c = 0; c < NR; c++) acc[r][c] = _mm512_setzero_si512();
  }
  for (int64_t w = 0; w < words; w++) {
    __m512i b[NR];
    QBENCH_UNROLL for (int c = 0; c < NR; c++) b[c] = _mm512_loadu_si512(block + w * kColumns + 16 * c);
    QBENCH_UNROLL for (int r = 0; r < MR; r++) {
      const __m512i x = _mm512_set1_epi32(int32_t(a[r * lda + w]));
      QBENCH_UNROLL for (int c = 0; c < NR; c++) {
        accumulate(acc[r][c], _mm512_popcnt_epi32(_mm512_xor_si512(x, b[c])));
      }
    }
  }
  QBENCH_UNROLL for (int r = 0; r < MR; r++) {
    QBENCH_UNROLL for (int c = 0; c < NR; c++) {
      acc[r][c] = _mm512_sub_epi32(_mm512_loadu_si512(base[r] + 16 * c), _mm512_slli_epi32(acc[r][c], 1));
    }
    sink.template store<NR>(r, acc[r]);
  }
}

template <int NR, class Sink>
void xnor_columns(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words,
                  const int32_t* const* base, const Sink& sink) {
  int64_t r = 0;
  for (; r + 4 <= m; r += 4) xnor_tile<4, NR>(a + r * lda, lda, block, words, base + r, sink.rows_from(r));
  a += r * lda;
  base += r;
  switch (m - r) {
    case 3: return xnor_tile<3, NR>(a, lda, block, words, base, sink.rows_from(r));
    case 2: return xnor_tile<2, NR>(a, lda, block, words, base, sink.rows_from(r));
    case 1: return xnor_tile<1, NR>(a, lda, block, words, base, sink.rows_from(r));
  }
}

template <class Sink>
void xnor_into(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words,
               const int32_t* const* base, int64_t valid, const Sink& sink) {
  switch ((valid + 15) / 16) {
    case 1: return xnor_columns<1>(a, lda, m, block, words, base, sink);
    case 2: return xnor_columns<2>(a, lda, m, block, words, base, sink);
    case 3: return xnor_columns<3>(a, lda, m, block, words, base, sink);
    case 4: return xnor_columns<4>(a, lda, m, block, words, base, sink);
  }
}

void xnor(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words, const int32_t* const* base,
          int32_t* out, int64_t ldo, int64_t valid, bool stream) {
  xnor_into(a, lda, m, block, words, base, valid, Integers{out, ldo, lanes((valid - 1) % 16 + 1), stream});
}

void xnor_sign(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words,
               const int32_t* const* base, const Comparison& c, uint32_t* out, int64_t ldo, int64_t valid) {
  xnor_into(a, lda, m, block, words, base, valid, Bits{c, out, ldo});
}

// Sums over the lanes of four registers -> four int32
inline __m128i sums_of_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

void xnor_row(const uint32_t* a, const uint32_t* b, int64_t n, int64_t row_words, int32_t k, int32_t* out) {
  const __m128i base = _mm_set1_epi32(k);
  for (int64_t j = 0; j < n; j += 4) {
    __m512i acc[4];
    for (int r = 0; r < 4; r++) acc[r] = _mm512_setzero_si512();
    // past the last row, the last row again: its result is not stored
    const uint32_t* rows[4];
    for (int r = 0; r < 4; r++) rows[r] = b + (j + r < n ? j + r : n - 1) * row_words;
    for (int64_t w = 0; w < row_words; w += 16) {
      const __m512i x = _mm512_loadu_si512(a + w);
      for (int r = 0; r < 4; r++) {
        const __m512i y = _mm512_xor_si512(x, _mm512_loadu_si512(rows[r] + w));
        acc[r] = _mm512_add_epi32(acc[r], _mm512_popcnt_epi32(y));
      }
    }
    const __m128i pops = sums_of_four(acc[0], acc[1], acc[2], acc[3]);
    const __mmask8 mask = n - j >= 4 ? __mmask8(15) : __mmask8((1u << (n - j)) - 1);
    _mm_mask_storeu_epi32(out + j, mask, _mm_sub_epi32(base, _mm_slli_epi32(pops, 1)));
  }
}

// Real activations: four weight bits select one of the sixteen sums ±x0 ±x1 ±x2 ±x3, and a vpermps on the bits
// themselves selects it for 16 columns at once: 64 multiply-adds for a look-up and an addition.
constexpr int64_t kTable = 8 * 16;

// all ones in lane i where bit q of i is clear: there x_q is subtracted
inline __m512i subtract_mask(int q) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_sub_epi32(_mm512_and_si512(_mm512_srli_epi32(lane, unsigned(q)), _mm512_set1_epi32(1)),
                          _mm512_set1_epi32(1));
}

void table_f32(const float* x, int64_t words, float* table) {
  __m512i sign[4];
  for (int q = 0; q < 4; q++) sign[q] = _mm512_slli_epi32(subtract_mask(q), 31);
  for (int64_t g = 0; g < 8 * words; g++) {
    __m512 term[4];
    for (int q = 0; q < 4; q++) {
      const __m512i value = _mm512_castps_si512(_mm512_set1_ps(x[4 * g + q]));
      term[q] = _mm512_castsi512_ps(_mm512_xor_si512(value, sign[q]));
    }
    _mm512_storeu_ps(table + 16 * g,
                     _mm512_add_ps(_mm512_add_ps(term[0], term[1]), _mm512_add_ps(term[2], term[3])));
  }
}

void table_i32(const int32_t* x, int64_t words, int32_t* table) {
  __m512i mask[4];
  for (int q = 0; q < 4; q++) mask[q] = subtract_mask(q);
  for (int64_t g = 0; g < 8 * words; g++) {
    __m512i sum = _mm512_setzero_si512();
    for (int q = 0; q < 4; q++) {
      // (x ^ -1) - (-1) = -x
      const __m512i value = _mm512_xor_si512(_mm512_set1_epi32(x[4 * g + q]), mask[q]);
      sum = _mm512_add_epi32(sum, _mm512_sub_epi32(value, mask[q]));
    }
    _mm512_storeu_si512(table + 16 * g, sum);
  }
}

struct Float {
  using T = float;
  using V = __m512;
  static V zero() { return _mm512_setzero_ps(); }
  static V load(const float* p) { return _mm512_loadu_ps(p); }
  static V load(__mmask16 m, const float* p) { return _mm512_maskz_loadu_ps(m, p); }
  static void store(float* p, __mmask16 m, V v) { _mm512_mask_storeu_ps(p, m, v); }
  static V look_up(__m512i index, V table) { return _mm512_permutexvar_ps(index, table); }
};

struct Int {
  using T = int32_t;
  using V = __m512i;
  static V zero() { return _mm512_setzero_si512(); }
  static V load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static V load(__mmask16 m, const int32_t* p) { return _mm512_maskz_loadu_epi32(m, p); }
  static void store(int32_t* p, __mmask16 m, V v) { _mm512_mask_storeu_epi32(p, m, v); }
  static V look_up(__m512i index, V table) { return _mm512_permutexvar_epi32(index, table); }
};

template <class N, int MR, int NR>
inline void real_tile(const typename N::T* table, int64_t ldt, const uint32_t* block, int64_t words,
                      typename N::T* out, int64_t ldo, __mmask16 last, bool first) {
  typename N::V acc[MR][NR];
  QBENCH_UNROLL for (int r = 0; r < MR; r++) {
    QBENCH_UNROLL for (int c = 0; c < NR; c++) {
      acc[r][c] = first ? N::zero() : N::load(c == NR - 1 ? last : __mmask16(0xffff), out + r * ldo + 16 * c);
    }
  }
  for (int64_t w = 0; w < words; w++) {
    __m512i b[NR];
    QBENCH_UNROLL for (int c = 0; c < NR; c++) b[c] = _mm512_loadu_si512(block + w * kColumns + 16 * c);
    QBENCH_UNROLL for (int g = 0; g < 8; g++) {
      QBENCH_UNROLL for (int r = 0; r < MR; r++) {
        const typename N::V t = N::load(table + r * ldt + w * kTable + 16 * g);
        // vpermps reads the low four bits of an index and ignores the rest
        QBENCH_UNROLL for (int c = 0; c < NR; c++) accumulate(acc[r][c], N::look_up(b[c], t));
      }
      QBENCH_UNROLL for (int c = 0; c < NR; c++) b[c] = _mm512_srli_epi32(b[c], 4);
    }
  }
  QBENCH_UNROLL for (int r = 0; r < MR; r++) {
    QBENCH_UNROLL for (int c = 0; c < NR; c++) N::store(out + r * ldo + 16 * c, c == NR - 1 ? last : __mmask16(0xffff), acc[r][c]);
  }
}

template <class N, int NR>
void real_columns(const typename N::T* table, int64_t ldt, int64_t m, const uint32_t* block, int64_t words,
                  typename N::T* out, int64_t ldo, __mmask16 last, bool first) {
  switch (m) {
    case 4: return real_tile<N, 4, NR>(table, ldt, block, words, out, ldo, last, first);
    case 3: return real_tile<N, 3, NR>(table, ldt, block, words, out, ldo, last, first);
    case 2: return real_tile<N, 2, NR>(table, ldt, block, words, out, ldo, last, first);
    case 1: return real_tile<N, 1, NR>(table, ldt, block, words, out, ldo, last, first);
  }
}

template <class N>
void real(const typename N::T* table, int64_t ldt, int64_t m, const uint32_t* block, int64_t words,
          typename N::T* out, int64_t ldo, int64_t valid, bool first) {
  const __mmask16 last = lanes((valid - 1) % 16 + 1);
  switch ((valid + 15) / 16) {
    case 1: return real_columns<N, 1>(table, ldt, m, block, words, out, ldo, last, first);
    case 2: return real_columns<N, 2>(table, ldt, m, block, words, out, ldo, last, first);
    case 3: return real_columns<N, 3>(table, ldt, m, block, words, out, ldo, last, first);
    case 4: return real_columns<N, 4>(table, ldt, m, block, words, out, ldo, last, first);
  }
}

// int8: vpdpbusd multiplies unsigned by signed bytes, so a is stored as a + 128 and 128·Σb is taken off at the end.
void int8_row(const int8_t* x, int64_t k, uint32_t* out) {
  int64_t i = 0;
  const __m512i offset = _mm512_set1_epi8(int8_t(0x80));
  for (; i + 64 <= k; i += 64) {
    _mm512_storeu_si512(out + i / 4, _mm512_xor_si512(_mm512_loadu_si512(x + i), offset));
  }
  if (i < k) {
    // past k a' is 0, as b is
    const __mmask64 tail = (__mmask64(1) << (k - i)) - 1;
    const __m512i v = _mm512_xor_si512(_mm512_maskz_loadu_epi8(tail, x + i), offset);
    _mm512_mask_storeu_epi32(out + i / 4, lanes((k - i + 3) / 4), _mm512_maskz_mov_epi8(tail, v));
  }
}

void int8_arrange(const int8_t* rows, int64_t stride, int64_t valid, int64_t k, uint32_t* block, int32_t* sums) {
  const int64_t dwords = (k + 3) / 4;
  const __m512i ones = _mm512_set1_epi8(1);
  for (int64_t n = 0; n < kColumns; n += 16) {
    // four chains, over what was written just before
    __m512i sum[4];
    QBENCH_UNROLL for (int q = 0; q < 4; q++) sum[q] = _mm512_setzero_si512();
    for (int64_t i = 0; i < dwords; i += 16) {
      // whole dwords by the 16×16 transpose; the last, cut one would read past the row
      const int64_t whole = k / 4 - i;
      if (whole > 0) {
        // the rows need not begin on a dword, nor lie whole dwords apart
        __m512i staged[16];
        const __mmask16 mask = lanes(whole);
        for (int r = 0; r < 16; r++) {
          staged[r] = n + r < valid ? _mm512_maskz_loadu_epi32(mask, rows + (n + r) * stride + 4 * i)
                                    : _mm512_setzero_si512();
        }
        transpose16(reinterpret_cast<const uint32_t*>(staged), 16, 16, mask, block + i * kColumns + n);
      }
      if (i + 16 > k / 4 && k % 4) {
        for (int64_t r = 0; r < 16; r++) {
          uint32_t cut = 0;
          if (n + r < valid) memcpy(&cut, rows + (n + r) * stride + k / 4 * 4, size_t(k % 4));
          block[(dwords - 1) * kColumns + n + r] = cut;
        }
      }
      const int64_t end = i + 16 < dwords ? i + 16 : dwords;
      int64_t w = i;
      for (; w + 4 <= end; w += 4) {
        QBENCH_UNROLL for (int q = 0; q < 4; q++) {
          sum[q] = _mm512_dpbusd_epi32(sum[q], ones, _mm512_loadu_si512(block + (w + q) * kColumns + n));
        }
      }
      for (; w < end; w++) sum[0] = _mm512_dpbusd_epi32(sum[0], ones, _mm512_loadu_si512(block + w * kColumns + n));
    }
    const __m512i all = _mm512_add_epi32(_mm512_add_epi32(sum[0], sum[1]), _mm512_add_epi32(sum[2], sum[3]));
    _mm512_storeu_si512(sums + n, _mm512_slli_epi32(all, 7));
  }
}

inline void multiply_accumulate(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

template <int MR, int NR>
inline void int8_tile(const uint32_t* a, int64_t lda, const uint32_t* block, int64_t dwords, const int32_t* sums,
                      const Integers& sink, bool first) {
  __m512i acc[MR][NR];
  QBENCH_UNROLL for (int c = 0; c < NR; c++) {
    const __mmask16 valid = c == NR - 1 ? sink.last : __mmask16(0xffff);
    QBENCH_UNROLL for (int r = 0; r < MR; r++) {
      const __m512i before = first ? _mm512_setzero_si512()
                                   : _mm512_maskz_loadu_epi32(valid, sink.out + r * sink.ldo + 16 * c);
      acc[r][c] = _mm512_sub_epi32(before, _mm512_loadu_si512(sums + 16 * c));
    }
  }
  for (int64_t i = 0; i < dwords; i++) {
    __m512i b[NR];
    QBENCH_UNROLL for (int c = 0; c < NR; c++) b[c] = _mm512_loadu_si512(block + i * kColumns + 16 * c);
    QBENCH_UNROLL for (int r = 0; r < MR; r++) {
      const __m512i x = _mm512_set1_epi32(int32_t(a[r * lda + i]));
      QBENCH_UNROLL for (int c = 0; c < NR; c++) multiply_accumulate(acc[r][c], x, b[c]);
    }
  }
  QBENCH_UNROLL for (int r = 0; r < MR; r++) sink.store<NR>(r, acc[r]);
}

template <int NR>
void int8_columns(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t dwords,
                  const int32_t* sums, const Integers& sink, bool first) {
  int64_t r = 0;
  for (; r + 6 <= m; r += 6) int8_tile<6, NR>(a + r * lda, lda, block, dwords, sums, sink.rows_from(r), first);
  a += r * lda;
  switch (m - r) {
    case 5: return int8_tile<5, NR>(a, lda, block, dwords, sums, sink.rows_from(r), first);
    case 4: return int8_tile<4, NR>(a, lda, block, dwords, sums, sink.rows_from(r), first);
    case 3: return int8_tile<3, NR>(a, lda, block, dwords, sums, sink.rows_from(r), first);
    case 2: return int8_tile<2, NR>(a, lda, block, dwords, sums, sink.rows_from(r), first);
    case 1: return int8_tile<1, NR>(a, lda, block, dwords, sums, sink.rows_from(r), first);
  }
}

void int8(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t dwords, const int32_t* sums,
          int32_t* out, int64_t ldo, int64_t valid, bool first, bool stream) {
  const Integers sink{out, ldo, lanes((valid - 1) % 16 + 1), stream};
  switch ((valid + 15) / 16) {
    case 1: return int8_columns<1>(a, lda, m, block, dwords, sums, sink, first);
    case 2: return int8_columns<2>(a, lda, m, block, dwords, sums, sink, first);
    case 3: return int8_columns<3>(a, lda, m, block, dwords, sums, sink, first);
    case 4: return int8_columns<4>(a, lda, m, block, dwords, sums, sink, first);
  }
}

#define QBENCH_STEP(sum, x) \
  "vpxord %%zmm30, %%zmm31, %%zmm" #x "\n vpopcntd %%zmm" #x ", %%zmm" #x "\n vpaddd %%zmm" #x ", %%zmm" #sum ", %%zmm" #sum "\n"

// Twelve independent chains in registers, and nothing else.
int64_t peak(int64_t steps) {
  for (int64_t i = 0; i < steps; i++) {
    asm volatile(QBENCH_STEP(0, 16) QBENCH_STEP(1, 17) QBENCH_STEP(2, 18) QBENCH_STEP(3, 19) QBENCH_STEP(4, 20)
                     QBENCH_STEP(5, 21) QBENCH_STEP(6, 22) QBENCH_STEP(7, 23) QBENCH_STEP(8, 24) QBENCH_STEP(9, 25)
                         QBENCH_STEP(10, 26) QBENCH_STEP(11, 27)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                               "xmm11", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
                               "xmm25", "xmm26", "xmm27");
  }
  return steps * 12 * 2 * 512;
}
#undef QBENCH_STEP

}  // namespace

const Kernels& avx512_kernels() {
  using R = Rows<Avx512>;
  static const Kernels table_of_kernels = {
      .name = "avx512",
      .pack_f32 = R::pack_f32,
      .pack_f64 = R::pack_f64,
      .pack_16 = R::pack_16,
      .pack_random = R::pack_random,
      .unpack = R::unpack,
      .compare_i32 = R::compare_i32,
      .compare_f32 = R::compare_f32,
      .arrange = arrange,
      .xnor = xnor,
      .xnor_sign = xnor_sign,
      .xnor_row = xnor_row,
      .table_size = kTable,
      .table_f32 = table_f32,
      .table_i32 = table_i32,
      .real_f32 = real<Float>,
      .real_i32 = real<Int>,
      .group = 4,
      .int8_row = int8_row,
      .int8_arrange = int8_arrange,
      .int8 = int8,
      .peak = peak,
  };
  return table_of_kernels;
}

}  // namespace qbench
#pragma GCC pop_options
#endif
