// NEON as every 64-bit Arm processor has it (Armv8.0), whose `cnt` counts the bits of bytes. Block form: [word][column]
// dwords, as in isa_scalar.cpp.
#if defined(__aarch64__)
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "rows.h"

namespace qbench {
namespace {

struct Neon {
  // The four masks side by side, a byte for each lane.
  static uint8x16_t narrow(uint32x4_t a, uint32x4_t b, uint32x4_t c, uint32x4_t d) {
    const uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
    const uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u32(c), vreinterpretq_u16_u32(d));
    return vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
  }

  // A bit for each of 32 bytes, all ones or zero: every byte keeps its bit of eight, and three pairwise additions join.
  static uint32_t bits(uint8x16_t low, uint8x16_t high) {
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    uint8x16_t sums = vpaddq_u8(vandq_u8(low, bit), vandq_u8(high, bit));
    sums = vpaddq_u8(sums, sums);
    sums = vpaddq_u8(sums, sums);
    return vgetq_lane_u32(vreinterpretq_u32_u8(sums), 0);
  }

  // mask(i): of the four elements from 4i on
  template <class Mask>
  static uint32_t bits_of(Mask mask) {
    return bits(narrow(mask(0), mask(1), mask(2), mask(3)), narrow(mask(4), mask(5), mask(6), mask(7)));
  }

  static uint32_t nonnegative_f32(const float* x) {
    return bits_of([=](int i) { return vcgezq_f32(vld1q_f32(x + 4 * i)); });
  }

  static uint32_t nonnegative_f64(const double* x) {
    return bits_of([=](int i) {
      const uint64x2_t low = vcgezq_f64(vld1q_f64(x + 4 * i)), high = vcgezq_f64(vld1q_f64(x + 4 * i + 2));
      return vuzp1q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high));
    });
  }

  static uint8x16_t nonnegative_half(const uint16_t* x, uint16x8_t infinity) {
    uint16x8_t mask[2];
    for (int i = 0; i < 2; i++) {
      const uint16x8_t v = vld1q_u16(x + 8 * i);
      mask[i] = vorrq_u16(vcleq_u16(v, infinity), vceqq_u16(v, vdupq_n_u16(0x8000)));
    }
    return vuzp1q_u8(vreinterpretq_u8_u16(mask[0]), vreinterpretq_u8_u16(mask[1]));
  }

  static uint32_t nonnegative_16(const uint16_t* x, uint16_t infinity) {
    const uint16x8_t top = vdupq_n_u16(infinity);
    return bits(nonnegative_half(x, top), nonnegative_half(x + 16, top));
  }

  static uint32_t at_least_i32(const int32_t* x, const uint32_t* threshold, const uint32_t* flip) {
    return bits_of([=](int i) {
      const uint32x4_t v = veorq_u32(vreinterpretq_u32_s32(vld1q_s32(x + 4 * i)), vld1q_u32(flip + 4 * i));
      return vcgeq_s32(vreinterpretq_s32_u32(v), vreinterpretq_s32_u32(vld1q_u32(threshold + 4 * i)));
    });
  }

  static uint32_t at_least_f32(const float* x, const uint32_t* threshold, const uint32_t* flip) {
    return bits_of([=](int i) {
      const uint32x4_t v = veorq_u32(vreinterpretq_u32_f32(vld1q_f32(x + 4 * i)), vld1q_u32(flip + 4 * i));
      return vcgeq_f32(vreinterpretq_f32_u32(v), vreinterpretq_f32_u32(vld1q_u32(threshold + 4 * i)));
    });
  }

  static void unpack(uint32_t word, float* out) {
    const uint32_t first[4] = {1, 2, 4, 8};
    uint32x4_t bit = vld1q_u32(first);
    for (int i = 0; i < 8; i++, bit = vshlq_n_u32(bit, 4)) {
      const uint32x4_t set = vtstq_u32(vdupq_n_u32(word), bit);
      vst1q_f32(out + 4 * i, vbslq_f32(set, vdupq_n_f32(1.0f), vdupq_n_f32(-1.0f)));
    }
  }
};

uint8x16_t different_bits(uint32x4_t a, uint32x4_t b) { return vcntq_u8(vreinterpretq_u8_u32(veorq_u32(a, b))); }

// Words whose counts a byte can hold: each adds at most 8.
constexpr int64_t kWordsPerByte = 31;

// 16 columns of so many words at a time, whose sums are bytes; that part of the block stays in the first-level cache.
template <int MR>
inline void xnor_tile(const uint32_t* a, int64_t lda, const uint32_t* block, int64_t words, const int32_t* const* base,
                      int32_t* out, int64_t ldo, int64_t valid) {
  uint32_t total[MR][kColumns] = {};
  for (int64_t start = 0; start < words; start += kWordsPerByte) {
    const int64_t end = start + kWordsPerByte < words ? start + kWordsPerByte : words;
    for (int64_t n = 0; n < valid; n += 16) {
      uint8x16_t acc[MR][4];
      for (int r = 0; r < MR; r++) acc[r][0] = acc[r][1] = acc[r][2] = acc[r][3] = vdupq_n_u8(0);
      for (int64_t w = start; w < end; w++) {
        uint32x4_t b[4];
        for (int c = 0; c < 4; c++) b[c] = vld1q_u32(block + w * kColumns + n + 4 * c);
        for (int r = 0; r < MR; r++) {
          const uint32x4_t x = vdupq_n_u32(a[r * lda + w]);
          for (int c = 0; c < 4; c++) acc[r][c] = vaddq_u8(acc[r][c], different_bits(x, b[c]));
        }
      }
      for (int r = 0; r < MR; r++) {
        for (int c = 0; c < 4; c++) {
          uint32_t* to = total[r] + n + 4 * c;
          vst1q_u32(to, vpadalq_u16(vld1q_u32(to), vpaddlq_u8(acc[r][c])));
        }
      }
    }
  }
  for (int r = 0; r < MR; r++) {
    for (int64_t n = 0; n < valid; n++) out[r * ldo + n] = base[r][n] - 2 * int32_t(total[r][n]);
  }
}

void xnor(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words, const int32_t* const* base,
          int32_t* out, int64_t ldo, int64_t valid, bool) {
  int64_t r = 0;
  for (; r + 4 <= m; r += 4) xnor_tile<4>(a + r * lda, lda, block, words, base + r, out + r * ldo, ldo, valid);
  for (; r < m; r++) xnor_tile<1>(a + r * lda, lda, block, words, base + r, out + r * ldo, ldo, valid);
}

void xnor_row(const uint32_t* a, const uint32_t* b, int64_t n, int64_t row_words, int32_t k, int32_t* out) {
  for (int64_t j = 0; j < n; j++, b += row_words) {
    uint32x4_t sums = vdupq_n_u32(0);
    for (int64_t w = 0; w < row_words; w += kWordsPerStep) {
      uint8x16_t counts = vdupq_n_u8(0);
      for (int64_t i = w; i < w + kWordsPerStep; i += 4) {
        counts = vaddq_u8(counts, different_bits(vld1q_u32(a + i), vld1q_u32(b + i)));
      }
      sums = vpadalq_u16(sums, vpaddlq_u8(counts));
    }
    out[j] = k - 2 * int32_t(vaddvq_u32(sums));
  }
}

// Real activations, whose table is the row itself: a weight is made into a register once for the rows of the tile, for
// float32 as the sign bit to turn (with vfmaq by ±1 g++ 12 stores every sum in every step), for int32 as ±1.
struct Float {
  using T = float;
  using V = float32x4_t;
  using W = uint32x4_t;
  static V zero() { return vdupq_n_f32(0.0f); }
  static W weights(uint32x4_t sign) { return vandq_u32(sign, vdupq_n_u32(0x80000000u)); }
  static V add(V sum, W w, float x) {
    return vaddq_f32(sum, vreinterpretq_f32_u32(veorq_u32(w, vreinterpretq_u32_f32(vdupq_n_f32(x)))));
  }
  static void store(float* p, V v) { vst1q_f32(p, v); }
};

struct Int {
  using T = int32_t;
  using V = int32x4_t;
  using W = int32x4_t;
  static V zero() { return vdupq_n_s32(0); }
  static W weights(uint32x4_t sign) { return vorrq_s32(vshrq_n_s32(vreinterpretq_s32_u32(sign), 31), vdupq_n_s32(1)); }
  static V add(V sum, W w, int32_t x) { return vmlaq_n_s32(sum, w, x); }
  static void store(int32_t* p, V v) { vst1q_s32(p, v); }
};

template <class N, int MR>
inline void real_tile(const typename N::T* x, int64_t ldt, const uint32_t* block, int64_t words, typename N::T* out,
                      int64_t ldo, int64_t valid, bool first) {
  for (int64_t n = 0; n < valid; n += 16) {
    typename N::V acc[MR][4];
    for (int r = 0; r < MR; r++) acc[r][0] = acc[r][1] = acc[r][2] = acc[r][3] = N::zero();
    for (int64_t w = 0; w < words; w++) {
      uint32x4_t sign[4];  // the weights' complement: -1 is bit 0
      for (int c = 0; c < 4; c++) sign[c] = vmvnq_u32(vld1q_u32(block + w * kColumns + n + 4 * c));
      for (int64_t j = 32 * w + 31; j >= 32 * w; j--) {  // the last weight is in the sign bit
        for (int c = 0; c < 4; c++) {
          const typename N::W weights = N::weights(sign[c]);
          for (int r = 0; r < MR; r++) acc[r][c] = N::add(acc[r][c], weights, x[r * ldt + j]);
          sign[c] = vshlq_n_u32(sign[c], 1);
        }
      }
    }
    const int64_t count = valid - n < 16 ? valid - n : 16;
    for (int r = 0; r < MR; r++) {
      typename N::T sums[16];
      for (int c = 0; c < 4; c++) N::store(sums + 4 * c, acc[r][c]);
      for (int64_t j = 0; j < count; j++) {
        typename N::T& to = out[r * ldo + n + j];
        to = first ? sums[j] : to + sums[j];
      }
    }
  }
}

template <class N>
void real(const typename N::T* x, int64_t ldt, int64_t m, const uint32_t* block, int64_t words, typename N::T* out,
          int64_t ldo, int64_t valid, bool first) {
  int64_t r = 0;
  for (; r + 4 <= m; r += 4) real_tile<N, 4>(x + r * ldt, ldt, block, words, out + r * ldo, ldo, valid, first);
  for (; r < m; r++) real_tile<N, 1>(x + r * ldt, ldt, block, words, out + r * ldo, ldo, valid, first);
}

// int8: four consecutive k share a dword.
void int8_row(const int8_t* x, int64_t k, uint32_t* out) {
  if (k % 4) out[k / 4] = 0;
  memcpy(out, x, size_t(k));
}

void int8_arrange(const int8_t* rows, int64_t stride, int64_t valid, int64_t k, uint32_t* block, int32_t* sums) {
  memset(sums, 0, sizeof(int32_t) * kColumns);
  for (int64_t i = 0; i < k; i += 4, block += kColumns) {
    memset(block, 0, sizeof(uint32_t) * kColumns);
    for (int64_t n = 0; n < valid; n++) memcpy(block + n, rows + n * stride + i, size_t(k - i < 4 ? k - i : 4));
  }
}

// A product is at most 2^14 and fits int16, the sum of two may not: each pair is added into 32 bits, and a column's two
// pairs of a dword stay apart until the end.
template <int MR>
inline void int8_tile(const uint32_t* a, int64_t lda, const uint32_t* block, int64_t dwords, const int32_t* corrections,
                      int32_t* out, int64_t ldo, int64_t valid, bool first) {
  for (int64_t n = 0; n < valid; n += 16) {
    int32x4_t acc[MR][8];
    for (int r = 0; r < MR; r++) {
      for (int c = 0; c < 8; c++) acc[r][c] = vdupq_n_s32(0);
    }
    for (int64_t i = 0; i < dwords; i++) {
      int8x16_t b[4];
      for (int c = 0; c < 4; c++) b[c] = vreinterpretq_s8_u32(vld1q_u32(block + i * kColumns + n + 4 * c));
      for (int r = 0; r < MR; r++) {
        const int8x16_t x = vreinterpretq_s8_u32(vdupq_n_u32(a[r * lda + i]));
        for (int c = 0; c < 4; c++) {
          acc[r][2 * c] = vpadalq_s16(acc[r][2 * c], vmull_s8(vget_low_s8(x), vget_low_s8(b[c])));
          acc[r][2 * c + 1] = vpadalq_s16(acc[r][2 * c + 1], vmull_high_s8(x, b[c]));
        }
      }
    }
    const int64_t count = valid - n < 16 ? valid - n : 16;
    for (int r = 0; r < MR; r++) {
      int32_t sums[16];
      for (int c = 0; c < 4; c++) vst1q_s32(sums + 4 * c, vpaddq_s32(acc[r][2 * c], acc[r][2 * c + 1]));
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
  for (; r + 2 <= m; r += 2) int8_tile<2>(a + r * lda, lda, block, dwords, sums, out + r * ldo, ldo, valid, first);
  for (; r < m; r++) int8_tile<1>(a + r * lda, lda, block, dwords, sums, out + r * ldo, ldo, valid, first);
}

#define QBENCH_STEP(sum, x)                                                                            \
  "eor v" #x ".16b, v24.16b, v25.16b\n cnt v" #x ".16b, v" #x ".16b\n add v" #sum ".16b, v" #sum ".16b, v" #x ".16b\n"

// Eight independent chains of xor, count and addition in registers: 128 bits each.
int64_t peak(int64_t steps) {
  for (int64_t i = 0; i < steps; i++) {
    asm volatile(QBENCH_STEP(0, 16) QBENCH_STEP(1, 17) QBENCH_STEP(2, 18) QBENCH_STEP(3, 19) QBENCH_STEP(4, 20)
                     QBENCH_STEP(5, 21) QBENCH_STEP(6, 22) QBENCH_STEP(7, 23)::
                         : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21",
                           "v22", "v23");
  }
  return steps * 8 * 2 * 128;
}
#undef QBENCH_STEP

}  // namespace

const Kernels& neon_kernels() {
  using R = Rows<Neon>;
  const Kernels& plain = scalar_kernels();  // moves words alone, in the same block form
  static const Kernels table_of_kernels = {
      .name = "neon",
      .pack_f32 = R::pack_f32,
      .pack_f64 = R::pack_f64,
      .pack_16 = R::pack_16,
      .pack_random = R::pack_random,
      .unpack = R::unpack,
      .compare_i32 = R::compare_i32,
      .compare_f32 = R::compare_f32,
      .arrange = plain.arrange,
      .xnor = xnor,
      .xnor_sign = R::xnor_sign<xnor>,
      .xnor_row = xnor_row,
      .table_size = plain.table_size,
      .table_f32 = plain.table_f32,
      .table_i32 = plain.table_i32,
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
#endif
