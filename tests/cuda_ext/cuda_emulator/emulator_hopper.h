// Hopper's asynchronous instructions on the host: csrc/cuda/hopper.cuh includes this where there is no nvcc.
//
// A bulk copy lands when somebody waits for its barrier, a wgmma is computed when its group is waited for: each as late as
// it may, so that a slot given back too early, or read too early, gives wrong sums. Where a descriptor's bytes lie is
// computed from the PTX ISA's matrix-descriptor format, the swizzle as exclusive-or of address bits 4-6 with bits 7-9.
#pragma once

#include <map>
#include <utility>

#include "emulator.h"

namespace emulator {

struct PendingBox {
  unsigned char* to;
  const unsigned char* base;
  int64_t words, rows, box_rows, word, row;
};

struct BarrierState {
  int arrivals = 0, pending = 0;
  int64_t bytes = 0;
  int phase = 0;
  std::vector<PendingBox> boxes;
};

struct PendingProduct {
  uint64_t a, b;
};

// A thread's products: under way, and finished but not in the registers that the compiler reads before they settle.
struct Products {
  bool fenced = false;
  std::vector<PendingProduct> open;
  std::vector<std::vector<PendingProduct>> groups;
  int32_t finished[16][4] = {};
};

struct Hopper {
  uint64_t block = 0;  // whose state this is
  std::map<const void*, BarrierState> barriers;
  std::map<int, Products> products;
  bool barriers_ready = false;
};

inline Hopper& hopper() {
  static Hopper state;
  if (state.block != block().serial) {
    state = Hopper();
    state.block = block().serial;
  }
  return state;
}

inline Products& products() { return hopper().products[thread_index()]; }

inline uint32_t swizzle_128(uint32_t address) { return address ^ ((address >> 3) & 0x70u); }

inline void complete_if_due(BarrierState& barrier) {
  if (barrier.pending == 0 && barrier.bytes == 0) {
    ++barrier.phase;
    barrier.pending = barrier.arrivals;
    ++block().progress;
  }
}

inline BarrierState& barrier_of(const void* barrier) {
  auto found = hopper().barriers.find(barrier);
  check(found != hopper().barriers.end(), "a barrier that was not initialized");
  return found->second;
}

inline void land(BarrierState& barrier, const PendingBox& box) {
  for (int64_t row = 0; row < box.box_rows; ++row) {
    for (int64_t word = 0; word < 32; ++word) {
      const bool inside = box.row + row < box.rows && box.word + word < box.words;
      const uint32_t offset = static_cast<uint32_t>(box.to - block().shared + row * 128 + word * 4);
      unsigned char* to = block().shared + swizzle_128(offset);
      check(in_shared(to, 4), "bulk copy: shared address");
      if (inside) {
        std::memcpy(to, box.base + ((box.row + row) * box.words + box.word + word) * 4, 4);
      } else {
        std::memset(to, 0, 4);
      }
    }
  }
  barrier.bytes -= box.box_rows * 128;
}

// The word that holds bits 32·word to 32·word + 31 of a row of the tile that a descriptor describes.
inline uint32_t tile_word(uint64_t descriptor, int row, int word) {
  check(descriptor >> 62 == 1, "descriptor: 128-byte swizzle");
  check(((descriptor >> 49) & 7) == 0, "descriptor: base offset 0");
  check((descriptor & 0x3ff1c000c000c000u) == 0, "descriptor: reserved bits");
  const uint32_t start = static_cast<uint32_t>(descriptor & 0x3fff) << 4;
  const uint32_t stride = static_cast<uint32_t>((descriptor >> 32) & 0x3fff) << 4;
  const uint32_t at = swizzle_128(start + row / 8 * stride + row % 8 * 128 + word * 4);
  check(in_shared(block().shared + at, 4), "wgmma: shared address");
  uint32_t bits;
  std::memcpy(&bits, block().shared + at, 4);
  return bits;
}

// This thread's share of a product: D's fragment for m64nNk256 by the ISA's formulas.
inline void multiply(const PendingProduct& product, int32_t (&sum)[16][4]) {
  const int warp = thread_index() % 128 / 32;
  for (int i = 0; i < 64; ++i) {
    const int row = 16 * warp + lane() / 4 + 8 * (i % 4 / 2), column = 8 * (i / 4) + 2 * (lane() % 4) + i % 2;
    for (int word = 0; word < 8; ++word) {
      sum[i / 4][i % 4] += std::popcount(tile_word(product.a, row, word) & tile_word(product.b, column, word));
    }
  }
}

}  // namespace emulator

namespace cuda_ext {

using Barrier = uint64_t;

struct TensorMap {
  const void* base;
  int64_t words, rows, box_rows;
};

inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(static_cast<const unsigned char*>(pointer) - emulator::block().shared);
}

inline void barrier_init(Barrier* barrier, int arrivals) {
  emulator::BarrierState state;
  state.arrivals = state.pending = arrivals;
  emulator::hopper().barriers[barrier] = state;
  emulator::hopper().barriers_ready = false;
}

inline void barriers_ready() { emulator::hopper().barriers_ready = true; }

inline void barrier_arrive(Barrier* barrier) {
  emulator::BarrierState& state = emulator::barrier_of(barrier);
  emulator::check(state.pending > 0, "more arrivals than the barrier expects");
  --state.pending;
  emulator::complete_if_due(state);
}

inline void barrier_arrive_expecting(Barrier* barrier, int bytes) {
  emulator::barrier_of(barrier).bytes += bytes;
  barrier_arrive(barrier);
}

inline void barrier_wait(Barrier* barrier, int parity) {
  emulator::wait_until([&] {
    emulator::BarrierState& state = emulator::barrier_of(barrier);
    if (!state.boxes.empty()) {
      for (const auto& box : state.boxes) emulator::land(state, box);
      state.boxes.clear();
      emulator::complete_if_due(state);
    }
    return state.phase % 2 != parity;
  });
}

inline void copy_box(void* shared, const TensorMap& map, int word, int row, Barrier* barrier) {
  emulator::check(emulator::hopper().barriers_ready, "bulk copy: barriers that the copy engine does not see");
  emulator::check(emulator::aligned(shared, 128) && emulator::in_shared(shared, map.box_rows * 128), "bulk copy: address");
  emulator::check(map.box_rows <= 256 && emulator::aligned(map.base, 16) && map.words % 4 == 0, "tensor map");
  std::memset(shared, 0xa5, map.box_rows * 128);
  emulator::barrier_of(barrier).boxes.push_back({static_cast<unsigned char*>(shared),
                                                 static_cast<const unsigned char*>(map.base), map.words, map.rows,
                                                 map.box_rows, word, row});
}

inline void wgmma_fence() { emulator::products().fenced = true; }

inline void wgmma_bits(int32_t (&)[16][4], uint64_t a, uint64_t b) {
  emulator::check(emulator::products().fenced, "wgmma: no fence before the first");
  emulator::products().open.push_back({a, b});
}

inline void wgmma_commit() {
  emulator::Products& mine = emulator::products();
  mine.groups.push_back(std::move(mine.open));
  mine.open.clear();
}

template <int kPending>
void wgmma_wait() {
  emulator::Products& mine = emulator::products();
  while (mine.groups.size() > kPending) {
    for (const auto& product : mine.groups.front()) emulator::multiply(product, mine.finished);
    mine.groups.erase(mine.groups.begin());
  }
}

inline void wgmma_settle(int32_t (&sum)[16][4]) {
  emulator::Products& mine = emulator::products();
  emulator::check(mine.open.empty() && mine.groups.empty(), "wgmma: settled before the wait");
  for (int i = 0; i < 64; ++i) sum[i / 4][i % 4] += std::exchange(mine.finished[i / 4][i % 4], 0);
}

}  // namespace cuda_ext
