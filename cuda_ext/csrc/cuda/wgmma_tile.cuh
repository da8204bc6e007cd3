// The binary product on Hopper's warpgroup tensor cores (sm_90a). Not run on a GPU yet, and taken only when
// CUDA_EXT_XNOR_KERNEL=wgmma asks for it; run on the host by the emulator's tests, its copies and products landing as
// late as the instructions allow.
//
// The arithmetic is mma_tile.cuh's: popcount of AND, corrected by the rows' popcounts.
//
// A block is one warpgroup that copies and kWgmmaConsumers that multiply, each 64 of the tile's 192 rows by all of its
// 128 columns. A slab is 1024 signs of each row, 128 bytes, two steps: what the 128-byte swizzle spans. Slabs go through
// kWgmmaStages slots. Slot s has two barriers: `full[s]` completes when a slab's bytes are there, `empty[s]` when every
// consuming warp has finished with them. Slab i uses slot i % S in round i / S: consumers wait for `full` of parity
// round % 2; the copying thread waits for `empty` of the round before, parity (round - 1) % 2, from round 1 on.
#pragma once

#include "fragment.cuh"
#include "hopper.cuh"
#include "mma_tile.cuh"

namespace cuda_ext {

constexpr int kWgmmaConsumers = 3;
constexpr int kWgmmaM = 64 * kWgmmaConsumers, kWgmmaN = 128;
constexpr int kWgmmaThreads = 128 * (kWgmmaConsumers + 1);
constexpr int kWgmmaStages = 4;
constexpr int kSlabBytes = 128, kSlabWords = kSlabBytes / 4;
constexpr int kSlotA = kWgmmaM * kSlabBytes, kSlotB = kWgmmaN * kSlabBytes, kWgmmaSlot = kSlotA + kSlotB;
static_assert(kSlotA % 1024 == 0 && kSlotB % 1024 == 0, "the swizzle repeats every 1024 bytes");

// The swizzle counts from multiples of 1024, which the start of the block's memory is rounded up to.
constexpr int wgmma_shared_bytes() { return kWgmmaStages * kWgmmaSlot + 1024; }
static_assert(wgmma_shared_bytes() + 5 * kWgmmaM + 4 * kWgmmaN + 16 * kWgmmaStages <= 227 * 1024,
              "more shared memory than a block may have");

// The matrix descriptor of a tile in shared memory (PTX ISA, "Matrix descriptor format"), rows of 128 bytes along K,
// 128-byte swizzle: bits 0-13 the address / 16; bits 16-29 the leading offset, unused with this swizzle and set to 1;
// bits 32-45 the distance of 8 rows / 16; bits 49-51 zero, the tile starting on 1024 bytes; bits 62-63 the swizzle, 1.
// Bits 256·i to 256·i + 255 of every row begin 32·i bytes further: the hardware applies the swizzle to the address, so
// the offset is added to the first field as it is.
CUDA_EXT_BOTH uint64_t tile_descriptor(uint32_t address) {
  return static_cast<uint64_t>((address & 0x3ffffu) >> 4) | (uint64_t{1} << 16) | (uint64_t{1024 >> 4} << 32) |
         (uint64_t{1} << 62);
}

template <class Sink>
__global__ void __launch_bounds__(kWgmmaThreads, 1)
    wgmma_tile_kernel(const __grid_constant__ TensorMap a_map, const __grid_constant__ TensorMap b_map, PackedRows a,
                      PackedRows b, Sink sink, Counts counts, TileOrder order) {
  CUDA_EXT_DYNAMIC_SHARED(raw);
  __shared__ int32_t row_terms[kWgmmaM];
  __shared__ uint8_t row_borders[kWgmmaM];
  __shared__ uint32_t column_counts[kWgmmaN];
  __shared__ Barrier full[kWgmmaStages], empty[kWgmmaStages];
  unsigned char* slots = raw + (1024 - shared_address(raw) % 1024) % 1024;

  const Tile tile = order.at(blockIdx.x);
  const int64_t m0 = tile.m * kWgmmaM, n0 = tile.n * kWgmmaN;
  const int thread = threadIdx.x, lane = thread % 32, group = thread / 128;
  // A tile past the last column holds only a sign sink's padding. The condition is the whole block's.
  const int slabs = n0 < b.rows ? static_cast<int>(ceil_div(a.step_count, 2)) : 0;

  if (thread == 0) {
    for (int slot = 0; slot < kWgmmaStages; ++slot) {
      barrier_init(&full[slot], 1);
      barrier_init(&empty[slot], 4 * kWgmmaConsumers);  // one arrival a warp
    }
    barriers_ready();
  }
  // Ends with the block's only barrier: from here on the warpgroups go their own ways.
  load_terms<kWgmmaM, kWgmmaN, kWgmmaThreads>(a, b, counts, m0, n0, thread, row_terms, row_borders, column_counts);

  if (group == kWgmmaConsumers) {
    if (thread == 128 * kWgmmaConsumers) {
      for (int slab = 0; slab < slabs; ++slab) {
        const int slot = slab % kWgmmaStages, round = slab / kWgmmaStages;
        if (round > 0) barrier_wait(&empty[slot], (round - 1) % 2);
        unsigned char* to = slots + slot * kWgmmaSlot;
        barrier_arrive_expecting(&full[slot], kWgmmaSlot);
        copy_box(to, a_map, slab * kSlabWords, static_cast<int>(m0), &full[slot]);
        copy_box(to + kSlotA, b_map, slab * kSlabWords, static_cast<int>(n0), &full[slot]);
      }
    }
    return;
  }

  int32_t sum[1][kWgmmaN / kFragmentN][4] = {};
  for (int slab = 0; slab < slabs; ++slab) {
    const int slot = slab % kWgmmaStages, round = slab / kWgmmaStages;
    barrier_wait(&full[slot], round % 2);
    const uint32_t address = shared_address(slots + slot * kWgmmaSlot);
    const uint64_t a_tile = tile_descriptor(address + group * 64 * kSlabBytes);
    const uint64_t b_tile = tile_descriptor(address + kSlotA);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < kSlabBytes / 32; ++i) wgmma_bits(sum[0], a_tile + 2 * i, b_tile + 2 * i);
    wgmma_commit();
    // This slab's products stay under way while the one before is given back.
    wgmma_wait<1>();
    if (slab > 0 && lane == 0) barrier_arrive(&empty[(slab - 1) % kWgmmaStages]);
  }
  wgmma_wait<0>();
  wgmma_settle(sum[0]);

  const int m_local = 64 * group + 16 * (thread % 128 / 32);
  finish_fragments<1, kWgmmaN / kFragmentN>(sum, a, sink, counts, row_terms, row_borders, column_counts, m0, n0,
                                            m_local, 0, lane, b.rows);
}

}  // namespace cuda_ext
