// NEON with the dot product of bytes (optional from Armv8.2 on, e.g. Cortex-A76, Neoverse N1): the int8 product by it,
// the rest is isa_neon.cpp's.
#if defined(__aarch64__)
#include <arm_neon.h>

#include <cstdint>

#include "kernels.h"

#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")

namespace qbench {
namespace {

template <int MR>
inline void int8_tile(const uint32_t* a, int64_t lda, const uint32_t* block, int64_t dwords, const int32_t* corrections,
                      int32_t* out, int64_t ldo, int64_t valid, bool first) {
  for (int64_t n = 0; n < valid; n += 16) {
    int32x4_t acc[MR][4];
    for (int r = 0; r < MR; r++) acc[r][0] = acc[r][1] = acc[r][2] = acc[r][3] = vdupq_n_s32(0);
    for (int64_t i = 0; i < dwords; i++) {
      int8x16_t b[4];
      for (int c = 0; c < 4; c++) b[c] = vreinterpretq_s8_u32(vld1q_u32(block + i * kColumns + n + 4 * c));
      for (int r = 0; r < MR; r++) {
        const int8x16_t x = vreinterpretq_s8_u32(vdupq_n_u32(a[r * lda + i]));
        for (int c = 0; c < 4; c++) acc[r][c] = vdotq_s32(acc[r][c], x, b[c]);
      }
    }
    const int64_t count = valid - n < 16 ? valid - n : 16;
    for (int r = 0; r < MR; r++) {
      int32_t sums[16];
      for (int c = 0; c < 4; c++) vst1q_s32(sums + 4 * c, acc[r][c]);
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

}  // namespace
}  // namespace qbench
#pragma GCC pop_options

const qbench::Kernels& qbench::dotprod_kernels() {
  static const Kernels table_of_kernels = [] {
    Kernels table = neon_kernels();
    table.name = "dotprod";
    table.int8 = int8;
    return table;
  }();
  return table_of_kernels;
}
#endif
