// The binary product on tensor cores, from sm_80: mma.m16n8k256 with AND and popcount. Not run on a GPU yet; run on the
// host by the emulator's tests, its shared-memory copies landing as late as the instructions allow.
//
// AND, because from sm_90 on XOR is emulated by two of it. With bits for signs, a·b = Σ (2a - 1)(2b - 1) =
// K - 2·p(a) - 2·p(b) + 4·p(a & b), p counting set bits; p(a) and p(b) come from popcounts_kernel.
//
// A block of 4 warps, 2 × 2, makes a tile of kM × kN, a warp a quarter of it in fragments of 16 × 8. Steps (512 signs,
// two instructions deep) go through kMmaStages slots of shared memory: while one is multiplied, the next two are under
// way. A row of a slot is 64 bytes, its chunks exchanged as `swizzled_offset` says.
#pragma once

#include "fragment.cuh"
#include "sinks.cuh"
#include "sources.cuh"

namespace cuda_ext {

constexpr int kMmaThreads = 128;
constexpr int kMmaStages = 3;

template <int kM, int kN>
constexpr int mma_shared_bytes() {
  return kMmaStages * (kM + kN) * 64;
}

// The counts of an operand's rows. A matrix has one a row. An image has one a pixel, a row being the pixels under the
// window, and its filters one a tap.
struct Counts {
  const int32_t* a;
  const int32_t* b;
};

// K - 2·p(a) for a row of a matrix, and whether the row lacks taps (never).
CUDA_EXT_BOTH int32_t row_term(const PackedRows& a, const Counts& counts, int64_t m, bool& border) {
  border = false;
  return static_cast<int32_t>(static_cast<uint32_t>(a.signs) - 2u * static_cast<uint32_t>(counts.a[m]));
}

// The same for the pixels under a window. Outside the image lie zero bits (-1), channels set bits (+1), or nothing (0).
template <int kPad>
CUDA_EXT_BOTH int32_t row_term(const ImageRows<kPad>& a, const Counts& counts, int64_t m, bool& border) {
  const typename ImageRows<kPad>::Row row = a.row(m);
  const int64_t taps = a.window.taps();
  uint32_t count = 0, missing = 0;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t at = a.pixel(row, tap);
    if (at >= 0) {
      count += static_cast<uint32_t>(counts.a[at]);
    } else {
      count += kPad == 1 ? static_cast<uint32_t>(a.channels) : 0u;
      ++missing;
    }
  }
  border = kPad == 0 && missing > 0;
  const uint32_t length = static_cast<uint32_t>(a.channels) * (static_cast<uint32_t>(taps) - (border ? missing : 0u));
  return static_cast<int32_t>(length - 2u * count);
}

// p(b) of a row of B over all its taps.
CUDA_EXT_BOTH int64_t taps_of(const PackedRows&) { return 1; }
template <int kPad>
CUDA_EXT_BOTH int64_t taps_of(const ImageRows<kPad>& a) {
  return a.window.taps();
}

// The full p(b) counts the taps that a border row lacks; this takes them out of the row's sums again. `sums` are the
// products of row m with columns n + 8·nt + pair.
template <int kTilesN, int kPad>
__device__ __forceinline__ void restore_missing(int32_t (&sums)[kTilesN][2], const ImageRows<kPad>& a,
                                                const Counts& counts, int64_t m, int64_t n, int64_t columns) {
  const typename ImageRows<kPad>::Row row = a.row(m);
  const int64_t taps = a.window.taps();
#pragma unroll 1
  for (int64_t tap = 0; tap < taps; ++tap) {
    if (a.pixel(row, tap) >= 0) continue;
#pragma unroll
    for (int nt = 0; nt < kTilesN; ++nt) {
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        const int64_t column = n + nt * kFragmentN + pair;
        if (column < columns) {
          sums[nt][pair] = static_cast<int32_t>(static_cast<uint32_t>(sums[nt][pair]) +
                                                2u * static_cast<uint32_t>(counts.b[column * taps + tap]));
        }
      }
    }
  }
}

// Brings one step of kRows rows of an operand into a slot. Thread t has chunk t % 4 of rows t / 4, t / 4 + 32, ...
template <int kRows, class Source>
__device__ __forceinline__ void copy_step(unsigned char* slot, const Source& source,
                                          const typename Source::Row (&rows)[kRows / 32], int step, int thread) {
  const int chunk = thread % kStepChunks;
#pragma unroll
  for (int i = 0; i < kRows / 32; ++i) {
    const uint4* from = source.address(rows[i], step, chunk);
    const bool present = from != nullptr;
    // An absent chunk is filled with zeros and reads nothing, but its address still has to be one.
    copy_async_16(slot + swizzled_offset(thread / kStepChunks + 32 * i, chunk),
                  present ? static_cast<const void*>(from) : static_cast<const void*>(source.bits), present);
  }
}

// What a warp's lane still has to do with its sums: from popcounts of AND to products, and out. `sum` is
// [fragments down][fragments across][4]; (m_local, n_local) is the corner of the warp's part in the tile at (m0, n0).
template <int kTilesM, int kTilesN, class A, class Sink>
__device__ __forceinline__ void finish_fragments(const int32_t (&sum)[kTilesM][kTilesN][4], const A& a, const Sink& sink,
                                                 const Counts& counts, const int32_t* row_terms,
                                                 const uint8_t* row_borders, const uint32_t* column_counts, int64_t m0,
                                                 int64_t n0, int m_local, int n_local, int lane, int64_t b_rows) {
#pragma unroll
  for (int mt = 0; mt < kTilesM; ++mt) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = m_local + mt * kFragmentM + c_row_of(lane) + 8 * half;
      const int64_t m = m0 + row;
      const uint32_t term = static_cast<uint32_t>(row_terms[row]);
      const int64_t n = n0 + n_local + c_column_of(lane);
      int32_t products[kTilesN][2];
#pragma unroll
      for (int nt = 0; nt < kTilesN; ++nt) {
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
          const uint32_t b_count = column_counts[n_local + nt * kFragmentN + c_column_of(lane) + pair];
          const uint32_t both = static_cast<uint32_t>(sum[mt][nt][2 * half + pair]);
          products[nt][pair] = static_cast<int32_t>(term - 2u * b_count + 4u * both);
        }
      }
      if constexpr (A::kMasked) {
        if (row_borders[row]) restore_missing(products, a, counts, m, n, b_rows);
      }
      if constexpr (!Sink::kPacks) {
#pragma unroll
        for (int nt = 0; nt < kTilesN; ++nt) {
          sink.store_pair(m, n + nt * kFragmentN, products[nt][0], products[nt][1]);
        }
      } else {
        // A word is 4 fragments across; the four lanes of a group hold 2 of every 8 columns each, and OR theirs.
#pragma unroll
        for (int word = 0; word < kTilesN / 4; ++word) {
          uint32_t bits = 0;
#pragma unroll
          for (int nt = 0; nt < 4; ++nt) {
#pragma unroll
            for (int pair = 0; pair < 2; ++pair) {
              const bool on = sink.bit(n + (4 * word + nt) * kFragmentN + pair, products[4 * word + nt][pair]);
              if (on) bits |= 1u << (nt * kFragmentN + c_column_of(lane) + pair);
            }
          }
          bits |= __shfl_xor_sync(kWholeWarp, bits, 1);
          bits |= __shfl_xor_sync(kWholeWarp, bits, 2);
          if (lane % 4 == 0) sink.store_word(m, (n0 + n_local) / 32 + word, bits);
        }
      }
    }
  }
}

// Fills the block's terms; ends with a barrier. Rows and columns past the end get zeros and are not stored.
template <int kM, int kN, int kThreads, class A, class B>
__device__ __forceinline__ void load_terms(const A& a, const B& b, const Counts& counts, int64_t m0, int64_t n0,
                                           int thread, int32_t* row_terms, uint8_t* row_borders,
                                           uint32_t* column_counts) {
  for (int row = thread; row < kM; row += kThreads) {
    bool border = false;
    row_terms[row] = m0 + row < a.rows ? row_term(a, counts, m0 + row, border) : 0;
    row_borders[row] = border ? 1 : 0;
  }
  const int64_t taps = taps_of(a);
  for (int column = thread; column < kN; column += kThreads) {
    uint32_t count = 0;
    if (n0 + column < b.rows) {
      for (int64_t tap = 0; tap < taps; ++tap) count += static_cast<uint32_t>(counts.b[(n0 + column) * taps + tap]);
    }
    column_counts[column] = count;
  }
  __syncthreads();
}

template <int kM, int kN, class A, class Sink>
__global__ void __launch_bounds__(kMmaThreads, 2)
    mma_tile_kernel(A a, PackedRows b, Sink sink, Counts counts, TileOrder order) {
  static_assert(kM % 64 == 0 && kN % 64 == 0, "a warp makes whole fragments and whole words");
  constexpr int kWarpM = kM / 2, kWarpN = kN / 2;
  constexpr int kTilesM = kWarpM / kFragmentM, kTilesN = kWarpN / kFragmentN;
  constexpr int kSlot = (kM + kN) * 64;
  // 99 KiB is what a block may have on sm_86 and sm_89, the least of those with this instruction.
  static_assert(kMmaStages * kSlot + 5 * kM + 4 * kN <= 99 * 1024, "more shared memory than a block may have");
  CUDA_EXT_DYNAMIC_SHARED(slots);
  __shared__ int32_t row_terms[kM];
  __shared__ uint8_t row_borders[kM];
  __shared__ uint32_t column_counts[kN];

  const Tile tile = order.at(blockIdx.x);
  const int64_t m0 = tile.m * kM, n0 = tile.n * kN;
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const int m_local = warp / 2 * kWarpM, n_local = warp % 2 * kWarpN;
  int32_t sum[kTilesM][kTilesN][4] = {};

  load_terms<kM, kN, kMmaThreads>(a, b, counts, m0, n0, thread, row_terms, row_borders, column_counts);

  // A tile past the last column holds only a sign sink's padding. The condition is the whole block's.
  if (n0 < b.rows) {
    typename A::Row a_rows[kM / 32];
    PackedRows::Row b_rows[kN / 32];
#pragma unroll
    for (int i = 0; i < kM / 32; ++i) a_rows[i] = a.row(m0 + thread / kStepChunks + 32 * i);
#pragma unroll
    for (int i = 0; i < kN / 32; ++i) b_rows[i] = b.row(n0 + thread / kStepChunks + 32 * i);

    const int steps = a.steps();
    auto copy = [&](int step) {
      unsigned char* slot = slots + step % kMmaStages * kSlot;
      copy_step<kM>(slot, a, a_rows, step, thread);
      copy_step<kN>(slot + kM * 64, b, b_rows, step, thread);
    };
    // One group is committed for every step, empty at the end, so that waiting counts steps.
#pragma unroll
    for (int step = 0; step < kMmaStages - 1; ++step) {
      if (step < steps) copy(step);
      copy_async_commit();
    }
    for (int step = 0; step < steps; ++step) {
      copy_async_wait<kMmaStages - 2>();  // this thread's share of `step` has landed
      __syncthreads();                    // everyone's has, and everyone is done with step - 1, whose slot is next
      if (step + kMmaStages - 1 < steps) copy(step + kMmaStages - 1);
      copy_async_commit();

      const unsigned char* a_slot = slots + step % kMmaStages * kSlot;
      const unsigned char* b_slot = a_slot + kM * 64;
#pragma unroll
      for (int half = 0; half < kStepChunks / kHalfChunks; ++half) {
        uint32_t b_bits[kTilesN / 2][4];
#pragma unroll
        for (int nt = 0; nt < kTilesN / 2; ++nt) {
          load_matrices(b_bits[nt], b_slot + swizzled_offset(n_local + nt * 2 * kFragmentN + b_row_of(lane),
                                                             half * kHalfChunks + b_chunk_of(lane)));
        }
#pragma unroll
        for (int mt = 0; mt < kTilesM; ++mt) {
          uint32_t a_bits[4];
          load_matrices(a_bits, a_slot + swizzled_offset(m_local + mt * kFragmentM + a_row_of(lane),
                                                         half * kHalfChunks + a_chunk_of(lane)));
#pragma unroll
          for (int nt = 0; nt < kTilesN; ++nt) {
            multiply_bits(sum[mt][nt], a_bits, b_bits[nt / 2][nt % 2 * 2], b_bits[nt / 2][nt % 2 * 2 + 1]);
          }
        }
      }
    }
  }

  finish_fragments<kTilesM, kTilesN>(sum, a, sink, counts, row_terms, row_borders, column_counts, m0, n0, m_local,
                                     n_local, lane, b.rows);
}

}  // namespace cuda_ext
