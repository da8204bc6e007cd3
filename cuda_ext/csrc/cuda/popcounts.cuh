// The number of set bits of every packed row, which products by AND need: a·b = K - 2·p(a) - 2·p(b) + 4·p(a & b).
// Not run on a GPU yet; run on the host by the emulator's tests.
#pragma once

#include "layout.cuh"

namespace cuda_ext {

constexpr int kCountThreads = 256;
constexpr int kCountRows = kCountThreads / 4;  // of a block: four lanes count a row, 16 bytes at a time

struct CountedRows {
  const uint4* bits;
  int64_t rows;
};

// counts[0 .. first.rows) of the first matrix, then those of the second; their rows have the same number of steps. Where
// `ones` is given, a packed row of `channels` set bits is written there too.
static __global__ void __launch_bounds__(kCountThreads)
    popcounts_kernel(CountedRows first, CountedRows second, int steps, int32_t* counts, uint32_t* ones,
                     int64_t channels) {
  if (ones != nullptr && blockIdx.x == 0) {
    for (int word = threadIdx.x; word < steps * kStepWords; word += kCountThreads) {
      ones[word] = sign_mask(word, channels);
    }
  }
  const int64_t all = first.rows + second.rows;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kCountRows;
  const int member = threadIdx.x % 4;
  // Every lane of a warp takes part in the exchange, so the loop runs over the block's base row.
  for (int64_t base = static_cast<int64_t>(blockIdx.x) * kCountRows; base < all; base += stride) {
    const int64_t row = base + threadIdx.x / 4;
    int32_t count = 0;
    if (row < all) {
      const uint4* bits = row < first.rows ? first.bits + row * steps * kStepChunks
                                           : second.bits + (row - first.rows) * steps * kStepChunks;
      for (int64_t chunk = member; chunk < static_cast<int64_t>(steps) * kStepChunks; chunk += 4) {
        const uint4 four = bits[chunk];
        count += __popc(four.x) + __popc(four.y) + __popc(four.z) + __popc(four.w);
      }
    }
    count += __shfl_xor_sync(kWholeWarp, count, 1);
    count += __shfl_xor_sync(kWholeWarp, count, 2);
    if (member == 0 && row < all) counts[row] = count;
  }
}

}  // namespace cuda_ext
