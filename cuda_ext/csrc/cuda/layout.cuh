// The packed layout in numbers (cuda_ext/layout.py says why), and the order in which blocks take tiles.
// Not run on a GPU yet; run on the host by the emulator's tests.
#pragma once

#include "device.cuh"

namespace cuda_ext {

// One step is the granule of a packed row: 512 signs, 16 words, 64 bytes, 4 chunks of 16 bytes.
constexpr int kStepSigns = 512;
constexpr int kStepWords = 16;
constexpr int kStepChunks = 4;

CUDA_EXT_BOTH int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

CUDA_EXT_BOTH int64_t packed_steps(int64_t k) { return ceil_div(k, kStepSigns); }

CUDA_EXT_BOTH int64_t packed_words(int64_t k) { return packed_steps(k) * kStepWords; }

// The bits of word `word` of a row of `k` signs that are signs, the rest being padding.
CUDA_EXT_BOTH uint32_t sign_mask(int64_t word, int64_t k) {
  const int64_t first = word * 32;
  if (first + 32 <= k) return 0xffffffffu;
  if (first >= k) return 0u;
  return (1u << static_cast<int>(k - first)) - 1u;
}

struct Tile {
  int64_t m, n;
};

// Tiles of the output, numbered so that blocks running at the same time share operands: bands of 8 tile rows, within
// a band column by column. One-dimensional, because gridDim.y and .z end at 65535.
struct TileOrder {
  int64_t tiles_m, tiles_n;

  CUDA_EXT_BOTH int64_t count() const { return tiles_m * tiles_n; }

  CUDA_EXT_BOTH Tile at(int64_t block) const {
    constexpr int64_t kBand = 8;
    const int64_t band = block / (kBand * tiles_n);
    const int64_t first = band * kBand;
    const int64_t height = tiles_m - first < kBand ? tiles_m - first : kBand;
    const int64_t inside = block - first * tiles_n;
    return {first + inside % height, inside / height};
  }
};

}  // namespace cuda_ext
