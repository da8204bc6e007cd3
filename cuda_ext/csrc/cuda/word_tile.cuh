// The plain product on ordinary arithmetic units: out[m, n] = Σ over words of product(A[m, word], B[n, word]).
// Not run on a GPU yet; run on the host by the emulator's tests.
//
// One kernel serves four operations, which differ in what a word is and in the product of two words:
//   xnor_matmul, xnor_conv2d   32 signs; popcount(a xor b), as the BinaryNet paper's kernel (section 4)
//   int8_matmul                4 bytes; dp4a
//   bitplane_matmul            4 bytes, of pixels and of ±1; dp4a. The paper's bit planes take 8 AND and 8 popcounts
//                              for 32 products, dp4a 8 instructions; the sum is the same integer
//
// A block of 256 threads makes a tile of 64 × 64. Thread t = 16·ty + tx makes the 4 × 4 elements (ty + 16i, tx + 16j).
// A step (16 words of each row) goes through shared memory; its rows are 17 words apart there, so that the 16 rows
// tx + 16j that a warp reads at one word lie in 16 banks.
#pragma once

#include "sinks.cuh"
#include "sources.cuh"

namespace cuda_ext {

// Σ popcount(a xor b) counts the products that are -1: the dot product is length - 2·sum. Unsigned, since 2·sum alone
// may pass 2^31 where the difference does not.
struct SignProduct {
  static constexpr bool kBinary = true;
  __device__ static __forceinline__ int32_t add(int32_t sum, uint32_t a, uint32_t b, uint32_t mask) {
    return sum + __popc((a ^ b) & mask);
  }
  CUDA_EXT_BOTH static int32_t finish(int32_t sum, int32_t length) {
    return static_cast<int32_t>(static_cast<uint32_t>(length) - 2u * static_cast<uint32_t>(sum));
  }
};

template <bool kSignedA>
struct ByteProduct {
  static constexpr bool kBinary = false;
  __device__ static __forceinline__ int32_t add(int32_t sum, uint32_t a, uint32_t b, uint32_t) {
    return kSignedA ? dot4_signed_signed(a, b, sum) : dot4_unsigned_signed(a, b, sum);
  }
};

constexpr int kWordTile = 64;
constexpr int kWordThreads = 256;
constexpr int kWordEach = 4;  // rows and columns of a thread
constexpr int kWordPitch = kStepWords + 1;

template <class Product, class A, class B, class Sink>
__global__ void __launch_bounds__(kWordThreads) word_tile_kernel(A a, B b, Sink sink, TileOrder order) {
  __shared__ uint32_t a_tile[kWordTile][kWordPitch], b_tile[kWordTile][kWordPitch];
  __shared__ uint32_t a_mask[kWordTile];

  const Tile tile = order.at(blockIdx.x);
  const int64_t m0 = tile.m * kWordTile, n0 = tile.n * kWordTile;
  const int thread = threadIdx.x, tx = thread % 16, ty = thread / 16;
  int32_t sum[kWordEach][kWordEach] = {};

  // A tile past the last column holds only a sign sink's padding. The condition is the whole block's.
  if (n0 < b.rows) {
    // Loading: thread t brings chunk t % 4 of row t / 4, of both tiles.
    const int load_row = thread / kStepChunks, chunk = thread % kStepChunks;
    const typename A::Row a_row = a.row(m0 + load_row);
    const typename B::Row b_row = b.row(n0 + load_row);
    const int steps = a.steps();
    uint4 a_next = a.chunk(a_row, 0, chunk), b_next = b.chunk(b_row, 0, chunk);
    for (int step = 0; step < steps; ++step) {
      __syncthreads();  // everyone is done with the step before
      uint32_t* a_to = &a_tile[load_row][chunk * 4];
      uint32_t* b_to = &b_tile[load_row][chunk * 4];
      a_to[0] = a_next.x, a_to[1] = a_next.y, a_to[2] = a_next.z, a_to[3] = a_next.w;
      b_to[0] = b_next.x, b_to[1] = b_next.y, b_to[2] = b_next.z, b_to[3] = b_next.w;
      if constexpr (A::kMasked) {
        if (chunk == 0) a_mask[load_row] = a.mask(a_row, step);
      }
      __syncthreads();
      if (step + 1 < steps) {
        a_next = a.chunk(a_row, step + 1, chunk);
        b_next = b.chunk(b_row, step + 1, chunk);
      }
      uint32_t mask[kWordEach];
#pragma unroll
      for (int i = 0; i < kWordEach; ++i) {
        mask[i] = 0xffffffffu;
        if constexpr (A::kMasked) mask[i] = a_mask[ty + 16 * i];
      }
#pragma unroll
      for (int word = 0; word < kStepWords; ++word) {
        uint32_t left[kWordEach], right[kWordEach];
#pragma unroll
        for (int i = 0; i < kWordEach; ++i) left[i] = a_tile[ty + 16 * i][word];
#pragma unroll
        for (int j = 0; j < kWordEach; ++j) right[j] = b_tile[tx + 16 * j][word];
#pragma unroll
        for (int i = 0; i < kWordEach; ++i) {
#pragma unroll
          for (int j = 0; j < kWordEach; ++j) sum[i][j] = Product::add(sum[i][j], left[i], right[j], mask[i]);
        }
      }
    }
  }

  if constexpr (Product::kBinary) {
#pragma unroll
    for (int i = 0; i < kWordEach; ++i) {
      const int64_t m = m0 + ty + 16 * i;
      const int32_t length = m < a.rows ? a.length(a.row(m)) : 0;
#pragma unroll
      for (int j = 0; j < kWordEach; ++j) sum[i][j] = Product::finish(sum[i][j], length);
    }
  }

  if constexpr (!Sink::kPacks) {
#pragma unroll
    for (int i = 0; i < kWordEach; ++i) {
#pragma unroll
      for (int j = 0; j < kWordEach; ++j) sink.store(m0 + ty + 16 * i, n0 + tx + 16 * j, sum[i][j]);
    }
  } else {
    // A warp holds two values of ty: lanes 0 to 15 have the even one, lanes 16 to 31 the odd one, both with tx = lane % 16.
    // The ballot over (i, j) has at bit `lane` the sign of column 16j + tx: its low half belongs to the even row, its
    // high half to the odd one. Columns 32c to 32c + 31 are j = 2c, then j = 2c + 1.
#pragma unroll
    for (int i = 0; i < kWordEach; ++i) {
#pragma unroll
      for (int c = 0; c < kWordTile / 32; ++c) {
        const int64_t n = n0 + tx + 32 * c;
        const uint32_t low = __ballot_sync(kWholeWarp, sink.bit(n, sum[i][2 * c]));
        const uint32_t high = __ballot_sync(kWholeWarp, sink.bit(n + 16, sum[i][2 * c + 1]));
        const uint32_t word = ty % 2 == 0 ? (low & 0xffffu) | (high << 16) : (low >> 16) | (high & 0xffff0000u);
        if (tx == 0) sink.store_word(m0 + ty + 16 * i, n0 / 32 + c, word);
      }
    }
  }
}

}  // namespace cuda_ext
