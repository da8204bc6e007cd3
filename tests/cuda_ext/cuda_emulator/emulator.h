// A CUDA block on the host: kernels of cuda_ext/csrc/cuda compile against this instead of nvcc, and run as written.
//
// Every thread of a block is a fiber. A fiber runs until it waits at a barrier or a warp's exchange; then the next one
// runs, in an order that the test chooses, so that a missing barrier shows as a wrong result. Asynchronous copies land
// at the last moment that the instructions allow, and what is under way holds poison until then. The tensor-core
// instructions are computed from the formulas of the PTX ISA, independently of the kernels' own maps.
// Addresses are checked for alignment here and, under the address sanitizer, for everything else.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
#define CUDA_EXT_DYNAMIC_SHARED(name) unsigned char* name = emulator::block().shared

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) int2 {
  int32_t x, y;
};
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
inline int2 make_int2(int32_t x, int32_t y) { return {x, y}; }

// Stored as float: the conversions are CUDA's own, not what is tested.
struct __half {
  float value;
};
struct __nv_bfloat16 {
  float value;
};
inline float __half2float(__half x) { return x.value; }
inline float __bfloat162float(__nv_bfloat16 x) { return x.value; }
inline __half __float2half_rn(float x) { return {static_cast<float>(static_cast<_Float16>(x))}; }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __uint_as_float(uint32_t x) { return std::bit_cast<float>(x); }
inline int __popc(uint32_t x) { return std::popcount(x); }

struct Index {
  unsigned x;
};

namespace emulator {

constexpr size_t kStack = 32 * 1024;

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "emulator: %s\n", what.c_str());
  std::abort();
}

inline void check(bool condition, const char* what) {
  if (!condition) fail(what);
}

// A place where `size` threads meet: the last to arrive opens it for all.
struct Meeting {
  int size = 0, arrived = 0;
  uint64_t generation = 0;
};

// A copy that was started and has not landed.
struct Copy {
  void* to;
  const void* from;  // nullptr: zeros
};

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  bool done = false;
  std::vector<Copy> open;                  // copies of the group not committed yet
  std::vector<std::vector<Copy>> groups;  // committed, not landed
};

struct Warp {
  Meeting meeting;
  // What each lane brought to the exchange under way.
  uint32_t values[32];
  const void* rows[32];
  uint32_t a[32][4], b[32][2];
  uint32_t left[16][8], right[8][8];  // rows of A and columns of B, 256 bits each
  uint64_t assembled = 0;  // the meeting after which left and right were put together
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Meeting everyone;
  unsigned char* shared = nullptr;
  size_t shared_bytes = 0;
  ucontext_t scheduler;
  int current = 0;
  unsigned block_index = 0, grid = 1;
  uint64_t serial = 0;  // no two blocks of a process have the same
  const std::function<void()>* kernel = nullptr;
  uint64_t progress = 0;  // meetings opened and threads ended: none of either in a whole round is a deadlock
};

inline Block*& current_block() {
  static Block* block = nullptr;
  return block;
}
inline Block& block() { return *current_block(); }
inline int thread_index() { return block().current; }
inline Thread& thread() { return block().threads[thread_index()]; }
inline Warp& warp() { return block().warps[thread_index() / 32]; }
inline int lane() { return thread_index() % 32; }

inline void leave() { swapcontext(&thread().context, &block().scheduler); }

inline void meet(Meeting& meeting) {
  const uint64_t generation = meeting.generation;
  if (++meeting.arrived == meeting.size) {
    meeting.arrived = 0;
    ++meeting.generation;
    ++block().progress;
  }
  while (meeting.generation == generation) leave();
}

// Waits until `condition` holds; another thread has to make it so.
template <class Condition>
void wait_until(Condition condition) {
  while (!condition()) leave();
}

inline void run_fiber() {
  (*block().kernel)();
  thread().done = true;
  ++block().progress;
  leave();
}

enum class Order { forward, backward, shuffled };

// Runs `kernel` for every thread of every block, blocks one after another, threads in `order`.
inline void launch(unsigned grid, int threads, size_t shared_bytes, Order order, const std::function<void()>& kernel) {
  check(threads % 32 == 0, "a block of whole warps");
  std::vector<unsigned char> memory(shared_bytes + 1024);
  uint64_t random = 88172645463325252ull;
  for (unsigned index = 0; index < grid; ++index) {
    Block b;
    current_block() = &b;
    b.threads.resize(threads);
    b.warps.resize(threads / 32);
    for (Warp& w : b.warps) w.meeting.size = 32;
    b.everyone.size = threads;
    static uint64_t blocks = 0;
    b.block_index = index;
    b.serial = ++blocks;
    b.grid = grid;
    b.kernel = &kernel;
    b.shared_bytes = shared_bytes;
    b.shared = reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(memory.data()) + 1023) / 1024 * 1024);
    std::fill(memory.begin(), memory.end(), 0xa5);
    for (Thread& t : b.threads) {
      t.stack.reset(new char[kStack]);
      getcontext(&t.context);
      t.context.uc_stack.ss_sp = t.stack.get();
      t.context.uc_stack.ss_size = kStack;
      t.context.uc_link = nullptr;
      makecontext(&t.context, run_fiber, 0);
    }
    std::vector<int> turns(threads);
    for (int i = 0; i < threads; ++i) turns[i] = order == Order::backward ? threads - 1 - i : i;
    bool alive = true;
    int idle = 0;
    while (alive) {
      if (order == Order::shuffled) {
        for (int i = threads - 1; i > 0; --i) {
          random ^= random << 13, random ^= random >> 7, random ^= random << 17;
          std::swap(turns[i], turns[random % (i + 1)]);
        }
      }
      alive = false;
      const uint64_t before = b.progress;
      for (int i : turns) {
        if (b.threads[i].done) continue;
        alive = true;
        b.current = i;
        swapcontext(&b.scheduler, &b.threads[i].context);
      }
      idle = b.progress == before ? idle + 1 : 0;
      check(!alive || idle < 4, "deadlock: every thread waits");
    }
    for (const Thread& t : b.threads) {
      for (const auto& group : t.groups) check(group.empty(), "the block ended with copies under way");
      check(t.open.empty(), "the block ended with copies not committed");
    }
  }
  current_block() = nullptr;
}

inline void land(const Copy& copy) {
  if (copy.from == nullptr) {
    std::memset(copy.to, 0, 16);
  } else {
    std::memcpy(copy.to, copy.from, 16);
  }
}

inline bool in_shared(const void* pointer, size_t bytes) {
  const auto* p = static_cast<const unsigned char*>(pointer);
  return p >= block().shared && p + bytes <= block().shared + block().shared_bytes;
}

inline bool aligned(const void* pointer, size_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

// Lane values go in, all lanes meet, `result` is read, all lanes meet again before the next exchange.
template <class Give, class Take>
auto exchange(Give give, Take take) {
  Warp& w = warp();
  give(w, lane());
  meet(w.meeting);
  auto result = take(w, lane());
  meet(w.meeting);
  return result;
}

}  // namespace emulator

#define threadIdx (Index{static_cast<unsigned>(emulator::thread_index())})
#define blockIdx (Index{emulator::block().block_index})
#define gridDim (Index{emulator::block().grid})

inline void __syncthreads() { emulator::meet(emulator::block().everyone); }
inline void __syncwarp() { emulator::meet(emulator::warp().meeting); }

inline uint32_t __ballot_sync(unsigned mask, bool on) {
  emulator::check(mask == 0xffffffffu, "ballot of a whole warp");
  return emulator::exchange([&](auto& w, int lane) { w.values[lane] = on ? 1u : 0u; },
                            [](auto& w, int) {
                              uint32_t bits = 0;
                              for (int i = 0; i < 32; ++i) bits |= w.values[i] << i;
                              return bits;
                            });
}

template <class T>
T __shfl_sync(unsigned mask, T value, int from) {
  static_assert(sizeof(T) == 4);
  emulator::check(mask == 0xffffffffu, "exchange of a whole warp");
  return emulator::exchange([&](auto& w, int lane) { w.values[lane] = std::bit_cast<uint32_t>(value); },
                            [&](auto& w, int) { return std::bit_cast<T>(w.values[from % 32]); });
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with) {
  return __shfl_sync(mask, value, emulator::lane() ^ with);
}

namespace cuda_ext {

inline int32_t dot4_unsigned_signed(uint32_t a, uint32_t b, int32_t sum) {
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<int32_t>(static_cast<uint8_t>(a >> (8 * i))) * static_cast<int8_t>(b >> (8 * i));
  }
  return sum;
}

inline int32_t dot4_signed_signed(uint32_t a, uint32_t b, int32_t sum) {
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<int32_t>(static_cast<int8_t>(a >> (8 * i))) * static_cast<int8_t>(b >> (8 * i));
  }
  return sum;
}

inline void copy_async_16(void* shared, const void* global, bool present) {
  emulator::check(emulator::in_shared(shared, 16) && emulator::aligned(shared, 16), "cp.async: shared address");
  emulator::check(emulator::aligned(global, 16), "cp.async: global address");
  std::memset(shared, 0xa5, 16);
  emulator::thread().open.push_back({shared, present ? global : nullptr});
}

inline void copy_async_commit() {
  emulator::Thread& t = emulator::thread();
  t.groups.push_back(std::move(t.open));
  t.open.clear();
}

template <int kPending>
void copy_async_wait() {
  emulator::Thread& t = emulator::thread();
  while (t.groups.size() > kPending) {
    for (const emulator::Copy& copy : t.groups.front()) emulator::land(copy);
    t.groups.erase(t.groups.begin());
  }
}

inline void load_matrices(uint32_t (&out)[4], const void* row) {
  emulator::check(emulator::in_shared(row, 16) && emulator::aligned(row, 16), "ldmatrix: address");
  struct Four {
    uint32_t value[4];
  };
  const Four four = emulator::exchange([&](auto& w, int lane) { w.rows[lane] = row; },
                                       [](auto& w, int lane) {
                                         Four words;
                                         for (int i = 0; i < 4; ++i) {
                                           const auto* from = static_cast<const unsigned char*>(w.rows[8 * i + lane / 4]);
                                           std::memcpy(&words.value[i], from + 4 * (lane % 4), 4);
                                         }
                                         return words;
                                       });
  std::copy(four.value, four.value + 4, out);
}

// mma.m16n8k256, .b1, .and.popc: the ISA's formulas. A fragment's bits i count 0 to 127 over its 4 registers; those of
// one register are neighbours in a row of A or a column of B, + (i & 0x1f).
inline void multiply_bits(int32_t (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Four {
    int32_t value[4];
  };
  const Four added = emulator::exchange(
      [&](auto& w, int lane) {
        std::copy(a, a + 4, w.a[lane]);
        w.b[lane][0] = b0, w.b[lane][1] = b1;
      },
      [](auto& w, int lane) {
        for (int l = 0; l < 32 && w.assembled != w.meeting.generation; ++l) {
          const int group = l >> 2, member = l % 4;
          for (int i = 0; i < 128; i += 32) {
            const int row = (i < 32 || (i >= 64 && i < 96)) ? group : group + 8;
            const int column = i < 64 ? member * 32 : member * 32 + 128;
            w.left[row][column / 32] = w.a[l][i / 32];
          }
          for (int i = 0; i < 64; i += 32) {
            const int row = i < 32 ? member * 32 : member * 32 + 128;
            w.right[group][row / 32] = w.b[l][i / 32];
          }
        }
        w.assembled = w.meeting.generation;
        Four out;
        for (int i = 0; i < 4; ++i) {
          const int row = i < 2 ? lane >> 2 : (lane >> 2) + 8, column = (lane % 4) * 2 + (i & 1);
          out.value[i] = 0;
          for (int word = 0; word < 8; ++word) out.value[i] += std::popcount(w.left[row][word] & w.right[column][word]);
        }
        return out;
      });
  for (int i = 0; i < 4; ++i) sum[i] += added.value[i];
}

}  // namespace cuda_ext
