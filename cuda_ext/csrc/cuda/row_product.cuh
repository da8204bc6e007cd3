// The binary product for few rows, a batch of 1 to 8: every weight is used that often only, so they go from memory to
// registers once and no tile is made. Not run on a GPU yet; run on the host by the emulator's tests.
//
// A block of 4 warps has 32 columns, a warp 8 of them, four lanes one: lane l has column l / 4 of the warp's and, of
// every step, the chunk l % 4. The four add up what they counted. A warp's 8 columns are one byte of a packed result: byte
// `warp` of the block's word, as bit i of a word is in byte i / 8.
#pragma once

#include "sinks.cuh"
#include "sources.cuh"
#include "word_tile.cuh"

namespace cuda_ext {

constexpr int kRowLimit = 8;
constexpr int kRowThreads = 128, kRowColumns = 32;

template <class Sink>
__global__ void __launch_bounds__(kRowThreads) row_product_kernel(PackedRows a, PackedRows b, Sink sink) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, member = lane % 4;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kRowColumns + warp * 8 + lane / 4;
  const PackedRows::Row weights = b.row(column);
  int32_t sum[kRowLimit] = {};
#pragma unroll 4
  for (int step = 0; step < a.step_count; ++step) {
    const uint4 w = b.chunk(weights, step, member);
#pragma unroll
    for (int m = 0; m < kRowLimit; ++m) {
      if (m < a.rows) {
        const uint4 x = a.chunk(a.row(m), step, member);
        sum[m] += __popc(x.x ^ w.x) + __popc(x.y ^ w.y) + __popc(x.z ^ w.z) + __popc(x.w ^ w.w);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < kRowLimit; ++m) {
    if (m < a.rows) {  // the same for every lane
      sum[m] += __shfl_xor_sync(kWholeWarp, sum[m], 1);
      sum[m] += __shfl_xor_sync(kWholeWarp, sum[m], 2);
      const int32_t value = SignProduct::finish(sum[m], a.signs);
      if constexpr (!Sink::kPacks) {
        if (member == 0) sink.store(m, column, value);
      } else {
        const uint32_t on = __ballot_sync(kWholeWarp, sink.bit(column, value));
        uint32_t byte = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) byte |= ((on >> (4 * i)) & 1u) << i;
        if (lane == 0) sink.store_byte(m, static_cast<int64_t>(blockIdx.x) * 4 + warp, byte);
      }
    }
  }
}

}  // namespace cuda_ext
