// AVX2 and FMA (Intel Haswell, AMD Zen and later), for machines without a vector popcount. Block form: [byte of the
// row][column] bytes, so that a byte of weights of 32 columns is one register of look-up indices.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2,popcnt")
#include "rows.h"

namespace qbench {
namespace {

struct Avx2 {
  static uint32_t nonnegative_f32(const float* x) {
    uint32_t word = 0;
    for (int i = 0; i < 4; i++) {
      const __m256 mask = _mm256_cmp_ps(_mm256_loadu_ps(x + 8 * i), _mm256_setzero_ps(), _CMP_GE_OQ);
      word |= uint32_t(_mm256_movemask_ps(mask)) << (8 * i);
    }
    return word;
  }

  static uint32_t nonnegative_f64(const double* x) {
    uint32_t word = 0;
    for (int i = 0; i < 8; i++) {
      const __m256d mask = _mm256_cmp_pd(_mm256_loadu_pd(x + 4 * i), _mm256_setzero_pd(), _CMP_GE_OQ);
      word |= uint32_t(_mm256_movemask_pd(mask)) << (4 * i);
    }
    return word;
  }

  static __m256i nonnegative_half(const uint16_t* x, __m256i infinity) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    const __m256i in_range = _mm256_cmpeq_epi16(_mm256_min_epu16(v, infinity), v);
    return _mm256_or_si256(in_range, _mm256_cmpeq_epi16(v, _mm256_set1_epi16(int16_t(0x8000))));
  }

  static uint32_t nonnegative_16(const uint16_t* x, uint16_t infinity) {
    const __m256i top = _mm256_set1_epi16(int16_t(infinity));
    // packs works in 128-bit lanes: the permutation puts the four groups of eight in order
    const __m256i both = _mm256_packs_epi16(nonnegative_half(x, top), nonnegative_half(x + 16, top));
    return uint32_t(_mm256_movemask_epi8(_mm256_permute4x64_epi64(both, 0xd8)));
  }

  static __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

  static uint32_t at_least_i32(const int32_t* x, const uint32_t* threshold, const uint32_t* flip) {
    uint32_t less = 0;
    for (int i = 0; i < 32; i += 8) {
      const __m256i v = _mm256_xor_si256(load(x + i), load(flip + i));
      const __m256i mask = _mm256_cmpgt_epi32(load(threshold + i), v);
      less |= uint32_t(_mm256_movemask_ps(_mm256_castsi256_ps(mask))) << i;
    }
    return ~less;
  }

  static uint32_t at_least_f32(const float* x, const uint32_t* threshold, const uint32_t* flip) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i += 8) {
      const __m256 v = _mm256_castsi256_ps(_mm256_xor_si256(load(x + i), load(flip + i)));
      const __m256 mask = _mm256_cmp_ps(v, _mm256_castsi256_ps(load(threshold + i)), _CMP_GE_OQ);
      word |= uint32_t(_mm256_movemask_ps(mask)) << i;
    }
    return word;
  }

  static void unpack(uint32_t word, float* out) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    for (int i = 0; i < 4; i++) {
      const __m256i byte = _mm256_set1_epi32(int32_t(word >> (8 * i) & 255));
      const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(byte, bit), bit);
      _mm256_storeu_ps(out + 8 * i, _mm256_blendv_ps(_mm256_set1_ps(-1.0f), _mm256_set1_ps(1.0f),
                                                     _mm256_castsi256_ps(set)));
    }
  }
};

void arrange(const uint32_t* rows, int64_t stride, int64_t valid, int64_t words, uint32_t* block) {
  uint8_t* out = reinterpret_cast<uint8_t*>(block);
  for (int64_t w = 0; w < words; w++) {
    for (int64_t n = 0; n < kColumns; n++) {
      const uint32_t word = n < valid ? rows[n * stride + w] : 0;
      for (int j = 0; j < 4; j++) out[(4 * w + j) * kColumns + n] = uint8_t(word >> (8 * j));
    }
  }
}

// popcount(a ^ i) for a nibble a and each nibble i, in both 128-bit lanes
struct alignas(32) Tables {
  uint8_t of[16][32];
  constexpr Tables() : of{} {
    for (int a = 0; a < 16; a++) {
      for (int i = 0; i < 32; i++) {
        const int v = a ^ (i & 15);
        of[a][i] = uint8_t((v & 1) + (v >> 1 & 1) + (v >> 2 & 1) + (v >> 3 & 1));
      }
    }
  }
};
constexpr Tables kTables;

// The row's nibble picks a constant table, the columns' nibbles index it: no xor, and no arithmetic on the counts.
template <int MR>
inline void xnor_tile(const uint8_t* a, int64_t lda, const uint8_t* block, int64_t bytes, const int32_t* const* base,
                      int32_t* out, int64_t ldo, int64_t valid) {
  uint32_t total[MR][kColumns] = {};
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int64_t start = 0; start < bytes; start += 31) {  // a byte adds at most 8: 31 of them fit a uint8
    const int64_t end = start + 31 < bytes ? start + 31 : bytes;
    __m256i acc[MR][2];
    for (int r = 0; r < MR; r++) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (int64_t i = start; i < end; i++) {
      const __m256i b0 = Avx2::load(block + i * kColumns), b1 = Avx2::load(block + i * kColumns + 32);
      const __m256i low0 = _mm256_and_si256(b0, nibble), high0 = _mm256_and_si256(_mm256_srli_epi16(b0, 4), nibble);
      const __m256i low1 = _mm256_and_si256(b1, nibble), high1 = _mm256_and_si256(_mm256_srli_epi16(b1, 4), nibble);
      for (int r = 0; r < MR; r++) {
        const uint32_t x = a[r * lda + i];
        const __m256i tl = Avx2::load(kTables.of[x & 15]), th = Avx2::load(kTables.of[x >> 4]);
        acc[r][0] = _mm256_add_epi8(acc[r][0], _mm256_shuffle_epi8(tl, low0));
        acc[r][1] = _mm256_add_epi8(acc[r][1], _mm256_shuffle_epi8(tl, low1));
        acc[r][0] = _mm256_add_epi8(acc[r][0], _mm256_shuffle_epi8(th, high0));
        acc[r][1] = _mm256_add_epi8(acc[r][1], _mm256_shuffle_epi8(th, high1));
      }
    }
    for (int r = 0; r < MR; r++) {
      alignas(32) uint8_t counts[kColumns];
      _mm256_store_si256(reinterpret_cast<__m256i*>(counts), acc[r][0]);
      _mm256_store_si256(reinterpret_cast<__m256i*>(counts + 32), acc[r][1]);
      for (int64_t n = 0; n < kColumns; n++) total[r][n] += counts[n];
    }
  }
  for (int r = 0; r < MR; r++) {
    for (int64_t n = 0; n < valid; n++) out[r * ldo + n] = base[r][n] - 2 * int32_t(total[r][n]);
  }
}

void xnor(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words, const int32_t* const* base,
          int32_t* out, int64_t ldo, int64_t valid, bool) {
  const uint8_t* rows = reinterpret_cast<const uint8_t*>(a);
  const uint8_t* columns = reinterpret_cast<const uint8_t*>(block);
  int64_t r = 0;
  for (; r + 4 <= m; r += 4) {
    xnor_tile<4>(rows + r * 4 * lda, 4 * lda, columns, 4 * words, base + r, out + r * ldo, ldo, valid);
  }
  for (; r < m; r++) {
    xnor_tile<1>(rows + r * 4 * lda, 4 * lda, columns, 4 * words, base + r, out + r * ldo, ldo, valid);
  }
}

void xnor_row(const uint32_t* a, const uint32_t* b, int64_t n, int64_t row_words, int32_t k, int32_t* out) {
  // Mula's popcount: a nibble's count by pshufb, bytes summed by psadbw
  const __m256i table = Avx2::load(kTables.of[0]), nibble = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
  for (int64_t j = 0; j < n; j++, b += row_words) {
    __m256i sums = zero;
    for (int64_t w = 0; w < row_words; w += 8) {
      const __m256i v = _mm256_xor_si256(Avx2::load(a + w), Avx2::load(b + w));
      const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, nibble));
      const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
      sums = _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_add_epi8(low, high), zero));
    }
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    out[j] = k - 2 * int32_t(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
  }
}

// Real activations: a byte of weights is cut 3 + 3 + 2 bits, each an index into eight sums ±x0 ±x1 ±x2 for vpermps.
constexpr int64_t kTable = 4 * 3 * 8;

template <class T>
void table(const T* x, int64_t words, T* out) {
  for (int64_t byte = 0; byte < 4 * words; byte++, x += 8) {
    for (int g = 0; g < 3; g++, out += 8) {
      const T a = x[3 * g], b = x[3 * g + 1], c = g < 2 ? x[3 * g + 2] : T(0);
      for (int i = 0; i < 8; i++) out[i] = (i & 1 ? a : -a) + (i & 2 ? b : -b) + (i & 4 ? c : -c);
    }
  }
}

struct Float {
  using T = float;
  using V = __m256;
  static V zero() { return _mm256_setzero_ps(); }
  static V load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, V v) { _mm256_storeu_ps(p, v); }
  static V look_up(__m256i index, V table) { return _mm256_permutevar8x32_ps(table, index); }
  static V add(V a, V b) { return _mm256_add_ps(a, b); }
};

struct Int {
  using T = int32_t;
  using V = __m256i;
  static V zero() { return _mm256_setzero_si256(); }
  static V load(const int32_t* p) { return Avx2::load(p); }
  static void store(int32_t* p, V v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static V look_up(__m256i index, V table) { return _mm256_permutevar8x32_epi32(table, index); }
  static V add(V a, V b) { return _mm256_add_epi32(a, b); }
};

template <class N, int MR>
inline void real_tile(const typename N::T* table, int64_t ldt, const uint8_t* block, int64_t words,
                      typename N::T* out, int64_t ldo, int64_t valid, bool first) {
  for (int64_t n = 0; n < valid; n += 16) {
    typename N::V acc[MR][2];
    for (int r = 0; r < MR; r++) acc[r][0] = acc[r][1] = N::zero();
    for (int64_t i = 0; i < 4 * words; i++) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + i * kColumns + n));
      __m256i index0 = _mm256_cvtepu8_epi32(bytes), index1 = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
      for (int g = 0; g < 3; g++) {
        for (int r = 0; r < MR; r++) {
          const typename N::V t = N::load(table + r * ldt + (3 * i + g) * 8);
          acc[r][0] = N::add(acc[r][0], N::look_up(index0, t));
          acc[r][1] = N::add(acc[r][1], N::look_up(index1, t));
        }
        index0 = _mm256_srli_epi32(index0, 3);
        index1 = _mm256_srli_epi32(index1, 3);
      }
    }
    const int64_t count = valid - n < 16 ? valid - n : 16;
    for (int r = 0; r < MR; r++) {
      typename N::T sums[16];
      N::store(sums, acc[r][0]);
      N::store(sums + 8, acc[r][1]);
      for (int64_t j = 0; j < count; j++) {
        typename N::T& to = out[r * ldo + n + j];
        to = first ? sums[j] : to + sums[j];
      }
    }
  }
}

template <class N>
void real(const typename N::T* table, int64_t ldt, int64_t m, const uint32_t* block, int64_t words,
          typename N::T* out, int64_t ldo, int64_t valid, bool first) {
  const uint8_t* columns = reinterpret_cast<const uint8_t*>(block);
  switch (m) {
    case 4: return real_tile<N, 4>(table, ldt, columns, words, out, ldo, valid, first);
    case 3: return real_tile<N, 3>(table, ldt, columns, words, out, ldo, valid, first);
    case 2: return real_tile<N, 2>(table, ldt, columns, words, out, ldo, valid, first);
    case 1: return real_tile<N, 1>(table, ldt, columns, words, out, ldo, valid, first);
  }
}

// int8 as int16 pairs: pmaddubsw would saturate, pmaddwd is exact
template <int MR>
inline void int8_tile(const uint32_t* a, int64_t lda, const uint32_t* block, int64_t dwords, const int32_t* corrections,
                      int32_t* out, int64_t ldo, int64_t valid, bool first) {
  for (int64_t n = 0; n < valid; n += 16) {
    __m256i acc[MR][2];
    for (int r = 0; r < MR; r++) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (int64_t i = 0; i < dwords; i++) {
      const __m256i b0 = Avx2::load(block + i * kColumns + n), b1 = Avx2::load(block + i * kColumns + n + 8);
      for (int r = 0; r < MR; r++) {
        const __m256i x = _mm256_set1_epi32(int32_t(a[r * lda + i]));
        acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x, b0));
        acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x, b1));
      }
    }
    const int64_t count = valid - n < 16 ? valid - n : 16;
    for (int r = 0; r < MR; r++) {
      int32_t sums[16];
      Int::store(sums, acc[r][0]);
      Int::store(sums + 8, acc[r][1]);
      for (int64_t j = 0; j < count; j++) {
        int32_t& to = out[r * ldo + n + j];
        to = sums[j] - corrections[n + j] + (first ? 0 : to);
      }
    }
  }
}

void int8(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t dwords, const int32_t* sums,
          int32_t* out, int64_t ldo, int64_t valid, bool first, bool) {
  int64_t r = 0;
  for (; r + 4 <= m; r += 4) int8_tile<4>(a + r * lda, lda, block, dwords, sums, out + r * ldo, ldo, valid, first);
  for (; r < m; r++) int8_tile<1>(a + r * lda, lda, block, dwords, sums, out + r * ldo, ldo, valid, first);
}

#define QBENCH_STEP(sum, x) "vpshufb %%ymm14, %%ymm15, %%ymm" #x "\n vpaddb %%ymm" #x ", %%ymm" #sum ", %%ymm" #sum "\n"

// Seven independent chains of look-up and addition in registers: 32 columns × 4 k each.
int64_t peak(int64_t steps) {
  for (int64_t i = 0; i < steps; i++) {
    asm volatile(QBENCH_STEP(0, 7) QBENCH_STEP(1, 8) QBENCH_STEP(2, 9) QBENCH_STEP(3, 10) QBENCH_STEP(4, 11)
                     QBENCH_STEP(5, 12) QBENCH_STEP(6, 13)::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                           "xmm11", "xmm12", "xmm13");
  }
  return steps * 7 * 2 * 128;
}
#undef QBENCH_STEP

}  // namespace

const Kernels& avx2_kernels() {
  using R = Rows<Avx2>;
  static const Kernels table_of_kernels = {
      .name = "avx2",
      .pack_f32 = R::pack_f32,
      .pack_f64 = R::pack_f64,
      .pack_16 = R::pack_16,
      .pack_random = R::pack_random,
      .unpack = R::unpack,
      .compare_i32 = R::compare_i32,
      .compare_f32 = R::compare_f32,
      .arrange = arrange,
      .xnor = xnor,
      .xnor_sign = R::xnor_sign<xnor>,
      .xnor_row = xnor_row,
      .table_size = kTable,
      .table_f32 = table<float>,
      .table_i32 = table<int32_t>,
      .real_f32 = real<Float>,
      .real_i32 = real<Int>,
      .group = 2,
      .int8_row = Int16Pairs<Avx2>::row,
      .int8_arrange = Int16Pairs<Avx2>::arrange,
      .int8 = int8,
      .peak = peak,
  };
  return table_of_kernels;
}

}  // namespace qbench
#pragma GCC pop_options
#endif
