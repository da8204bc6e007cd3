// Real activations times ±1 weights: out[m, n] = Σ ±x[m, i]. Not run on a GPU yet; run on the host by the emulator's tests.
//
// A block of 256 threads makes a tile of 128 × 64, 32 columns of x (one word of a weight row) at a time. Thread
// t = 16·ty + tx makes the 8 × 4 elements (ty + 16i, tx + 16j): it keeps its 4 weight words in registers and takes one
// bit of each as a float of ±1, so that only x goes through shared memory. The multiply-add by ±1 rounds exactly as the
// addition or subtraction. x is transposed there, with columns 129 floats apart: both the stores (32 lanes, one row,
// consecutive columns) and the loads (2 rows a warp, one column) meet no bank twice.
#pragma once

#include "layout.cuh"
#include "sign.cuh"

namespace cuda_ext {

constexpr int kRealTileM = 128, kRealTileN = 64, kRealThreads = 256;
constexpr int kRealRows = kRealTileM / 16, kRealColumns = kRealTileN / 16;
constexpr int kRealPitch = kRealTileM + 1;

// +1.0f where bit i of the word is set, else -1.0f: the sign bit of 1.0f is the bit's complement.
__device__ __forceinline__ float weight_of(uint32_t word, int i) {
  return __uint_as_float(0x3f800000u | (((~word >> i) & 1u) << 31));
}

template <class T>
__global__ void __launch_bounds__(kRealThreads)
    binary_weight_kernel(const T* x, const uint32_t* w_bits, float* out, int64_t rows, int64_t columns, int64_t k,
                         TileOrder order) {
  __shared__ float x_tile[32][kRealPitch];
  const Tile tile = order.at(blockIdx.x);
  const int64_t m0 = tile.m * kRealTileM, n0 = tile.n * kRealTileN;
  const int thread = threadIdx.x, tx = thread % 16, ty = thread / 16;
  const int lane = thread % 32, warp = thread / 32;
  const int64_t words = packed_words(k), used = ceil_div(k, 32);
  float sum[kRealRows][kRealColumns] = {};

  for (int64_t word = 0; word < used; ++word) {
    __syncthreads();  // everyone is done with the columns before
    // Warp v brings rows v, v + 8, ... ; lane l column 32·word + l of each. Zeros past k: a weight bit there is a zero,
    // which is -1, and adds -0.
    const int64_t column = word * 32 + lane;
#pragma unroll
    for (int i = 0; i < kRealTileM / 8; ++i) {
      const int row = warp + 8 * i;
      const bool present = m0 + row < rows && column < k;
      x_tile[lane][row] = present ? as_float(x[(m0 + row) * k + column]) : 0.0f;
    }
    __syncthreads();
    uint32_t weights[kRealColumns];
#pragma unroll
    for (int j = 0; j < kRealColumns; ++j) {
      const int64_t n = n0 + tx + 16 * j;
      weights[j] = n < columns ? w_bits[n * words + word] : 0u;
    }
#pragma unroll 8
    for (int i = 0; i < 32; ++i) {
      float weight[kRealColumns];
#pragma unroll
      for (int j = 0; j < kRealColumns; ++j) weight[j] = weight_of(weights[j], i);
#pragma unroll
      for (int r = 0; r < kRealRows; ++r) {
        const float value = x_tile[i][ty + 16 * r];
#pragma unroll
        for (int j = 0; j < kRealColumns; ++j) sum[r][j] += value * weight[j];
      }
    }
  }

#pragma unroll
  for (int r = 0; r < kRealRows; ++r) {
#pragma unroll
    for (int j = 0; j < kRealColumns; ++j) {
      const int64_t m = m0 + ty + 16 * r, n = n0 + tx + 16 * j;
      if (m < rows && n < columns) out[m * columns + n] = sum[r][j];
    }
  }
}

}  // namespace cuda_ext
