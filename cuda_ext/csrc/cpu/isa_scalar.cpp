// The ISA of any machine: plain C++ that the compiler may vectorize with the baseline instructions (SSE2, NEON).
// Block form: [word][column] dwords.
#include "rows.h"

namespace qbench {
namespace {

struct Scalar {
  static uint32_t nonnegative_f32(const float* x) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i++) word |= uint32_t(x[i] >= 0.0f) << i;
    return word;
  }

  static uint32_t nonnegative_f64(const double* x) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i++) word |= uint32_t(x[i] >= 0.0) << i;
    return word;
  }

  // 0x8000 is -0.0; a positive pattern above infinity's is NaN
  static uint32_t nonnegative_16(const uint16_t* x, uint16_t infinity) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i++) word |= uint32_t(x[i] <= infinity || x[i] == 0x8000) << i;
    return word;
  }

  static uint32_t at_least_i32(const int32_t* x, const uint32_t* threshold, const uint32_t* flip) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i++) word |= uint32_t(int32_t(uint32_t(x[i]) ^ flip[i]) >= int32_t(threshold[i])) << i;
    return word;
  }

  static uint32_t at_least_f32(const float* x, const uint32_t* threshold, const uint32_t* flip) {
    uint32_t word = 0;
    for (int i = 0; i < 32; i++) {
      uint32_t raw;
      float a, b;
      memcpy(&raw, x + i, 4);
      raw ^= flip[i];
      memcpy(&a, &raw, 4);
      memcpy(&b, threshold + i, 4);
      word |= uint32_t(a >= b) << i;
    }
    return word;
  }

  static void unpack(uint32_t word, float* out) {
    for (int i = 0; i < 32; i++) out[i] = (word >> i) & 1 ? 1.0f : -1.0f;
  }
};

// Bits of a 32-bit word, without the popcnt instruction so that it vectorizes
inline uint32_t popcount(uint32_t v) {
  v -= (v >> 1) & 0x55555555u;
  v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
  return (((v + (v >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

void arrange(const uint32_t* rows, int64_t stride, int64_t valid, int64_t words, uint32_t* block) {
  for (int64_t w = 0; w < words; w++) {
    for (int64_t n = 0; n < kColumns; n++) block[w * kColumns + n] = n < valid ? rows[n * stride + w] : 0;
  }
}

void xnor(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t words, const int32_t* const* base,
          int32_t* out, int64_t ldo, int64_t valid, bool) {
  for (int64_t r = 0; r < m; r++) {
    uint32_t pops[kColumns] = {};
    for (int64_t w = 0; w < words; w++) {
      const uint32_t x = a[r * lda + w];
      for (int64_t n = 0; n < kColumns; n++) pops[n] += popcount(x ^ block[w * kColumns + n]);
    }
    for (int64_t n = 0; n < valid; n++) out[r * ldo + n] = base[r][n] - 2 * int32_t(pops[n]);
  }
}

void xnor_row(const uint32_t* a, const uint32_t* b, int64_t n, int64_t row_words, int32_t k, int32_t* out) {
  for (int64_t j = 0; j < n; j++, b += row_words) {
    uint32_t pops = 0;
    for (int64_t w = 0; w < row_words; w++) pops += popcount(a[w] ^ b[w]);
    out[j] = k - 2 * int32_t(pops);
  }
}

// The table is the row itself.
template <class T>
void table(const T* x, int64_t words, T* out) {
  memcpy(out, x, sizeof(T) * 32 * words);
}

template <class T>
void real(const T* x, int64_t ldt, int64_t m, const uint32_t* block, int64_t words, T* out, int64_t ldo, int64_t valid,
          bool first) {
  for (int64_t r = 0; r < m; r++) {
    T sums[kColumns] = {};
    for (int64_t w = 0; w < words; w++) {
      for (int j = 0; j < 32; j++) {
        const T plus = x[r * ldt + w * 32 + j], minus = -plus;
        for (int64_t n = 0; n < kColumns; n++) sums[n] += (block[w * kColumns + n] >> j) & 1 ? plus : minus;
      }
    }
    for (int64_t n = 0; n < valid; n++) out[r * ldo + n] = sums[n] + (first ? T(0) : out[r * ldo + n]);
  }
}

void int8(const uint32_t* a, int64_t lda, int64_t m, const uint32_t* block, int64_t dwords,
          const int32_t* corrections, int32_t* out, int64_t ldo, int64_t valid, bool first, bool) {
  for (int64_t r = 0; r < m; r++) {
    int32_t sums[kColumns] = {};
    for (int64_t i = 0; i < dwords; i++) {
      const int32_t low = int16_t(a[r * lda + i]), high = int16_t(a[r * lda + i] >> 16);
      for (int64_t n = 0; n < kColumns; n++) {
        const uint32_t b = block[i * kColumns + n];
        sums[n] += low * int16_t(b) + high * int16_t(b >> 16);
      }
    }
    for (int64_t n = 0; n < valid; n++) {
      int32_t& to = out[r * ldo + n];
      to = sums[n] - corrections[n] + (first ? 0 : to);
    }
  }
}

}  // namespace

const Kernels& scalar_kernels() {
  using R = Rows<Scalar>;
  static const Kernels table_of_kernels = {
      .name = "scalar",
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
      .table_size = 32,
      .table_f32 = table<float>,
      .table_i32 = table<int32_t>,
      .real_f32 = real<float>,
      .real_i32 = real<int32_t>,
      .group = 2,
      .int8_row = Int16Pairs<Scalar>::row,
      .int8_arrange = Int16Pairs<Scalar>::arrange,
      .int8 = int8,
      .peak = nullptr,
  };
  return table_of_kernels;
}

}  // namespace qbench
