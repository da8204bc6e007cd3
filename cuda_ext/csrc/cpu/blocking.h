// What the drivers share: scratch memory, thresholds, blocks of columns and a product's cut into even shares.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "../common/layout.h"
#include "drivers.h"

namespace qbench {

// Results this large do not stay in a cache: their stores bypass it, and their pages are asked for in large sizes (the
// first touch of 4 KB pages costs more than the arithmetic), as are those of arranged weights, read block after block.
constexpr int64_t kStreamBytes = int64_t(16) << 20;

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The columns of block `block` of n columns: the last block may hold fewer than the others.
inline int64_t columns_in(int64_t n, int64_t block) { return std::min(kColumns, n - block * kColumns); }

// Whether a result [rows][n] of int32 is too large for a cache.
inline bool is_large(int64_t rows, int64_t n) { return rows * n * int64_t(sizeof(int32_t)) >= kStreamBytes; }

// Whether such a result can be stored past the caches, a whole register at a time.
inline bool can_stream(const void* out, int64_t n) {
  return n % 16 == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
}

// Scratch aligned to a cache line, uninitialized.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : data_(static_cast<T*>(std::aligned_alloc(64, size_t(ceil_div(std::max<int64_t>(count, 1) * sizeof(T), 64)) * 64))) {
    if (!data_) throw std::bad_alloc();
  }
  T* get() { return data_.get(); }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
};

inline void ask_for_large_pages(void* data, int64_t bytes) {
#if defined(__linux__)
  constexpr uintptr_t kPage = uintptr_t(2) << 20;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + uintptr_t(bytes)) / kPage * kPage;
  // advice only: a kernel without large pages refuses it, and nothing is lost
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}

// Once in each thread that stored past the caches, before anybody reads the result.
inline void finish_stores([[maybe_unused]] bool stream) {
#if defined(__x86_64__)
  if (stream) __builtin_ia32_sfence();
#endif
}

// Thresholds as one comparison per channel, padded to whole blocks of 64 channels.
class Compiled {
 public:
  Compiled(const void* threshold, const int8_t* direction, int64_t channels, uint32_t falling_flip, bool integers)
      : threshold_(padded(channels)), flip_(padded(channels)), keep_(padded(channels) / 32), set_(padded(channels) / 32) {
    for (int64_t c = 0; c < channels; c++) {
      uint32_t raw;
      std::memcpy(&raw, static_cast<const char*>(threshold) + 4 * c, 4);
      float as_float;
      std::memcpy(&as_float, &raw, 4);
      flip_[c] = direction[c] < 0 ? falling_flip : 0;
      threshold_[c] = raw ^ flip_[c];
      const uint32_t bit = uint32_t(1) << (c % 32);
      if (direction[c] != 0) {
        keep_[c / 32] |= bit;
      } else if (integers ? int32_t(raw) >= 0 : as_float >= 0.0f) {
        set_[c / 32] |= bit;
      }
    }
  }
  // of the channels from `first`, a multiple of 32
  Comparison from(int64_t first) const {
    return {threshold_.data() + first, flip_.data() + first, keep_.data() + first / 32, set_.data() + first / 32};
  }

 private:
  static size_t padded(int64_t channels) { return size_t(ceil_div(channels, kColumns) * kColumns); }
  std::vector<uint32_t> threshold_, flip_, keep_, set_;
};

// What flips the order of numbers of a type: see Comparison.
constexpr uint32_t kFlipInt = 0xffffffffu, kFlipFloat = 0x80000000u;

// Hands out blocks: those prepacked, or arranged on demand into this thread's scratch.
class Blocks {
 public:
  Blocks(const Kernels& kernels, const Weights& w)
      : kernels_(kernels), w_(w), scratch_(w.blocks ? 0 : w.row() * kColumns) {}

  const uint32_t* get(int64_t block) {
    if (w_.blocks) return w_.blocks + block * w_.row() * kColumns;
    if (block != held_) {
      arrange(kernels_, w_, block, scratch_.get());
      held_ = block;
    }
    return scratch_.get();
  }

  static void arrange(const Kernels& kernels, const Weights& w, int64_t block, uint32_t* to) {
    const int64_t first = block * kColumns, valid = columns_in(w.n, block);
    for (int64_t t = 0; t < w.taps; t++) {
      const uint32_t* rows = w.plain + (first * w.taps + t) * w.stride;
      kernels.arrange(rows, w.taps * w.stride, valid, w.words, to + t * w.words * kColumns);
    }
  }

 private:
  const Kernels& kernels_;
  const Weights& w_;
  Scratch<uint32_t> scratch_;
  int64_t held_ = -1;
};

struct Range {
  int64_t begin, end;
};

// A product's work in even shares, at most one for each thread. Its units are `row_step` rows of one block of columns;
// the blocks form groups of at most `most`, as many for each thread, whose units follow one another row step by row
// step. A group that two shares have part in is cut between rows, so that there are few to arrange twice.
class Grid {
 public:
  Grid(const Machine& on, int64_t n, int64_t most, int64_t m, int64_t row_step)
      : column_blocks_(ceil_div(n, kColumns)),
        groups_(std::min(column_blocks_, ceil_div(ceil_div(column_blocks_, most), on.threads) * on.threads)),
        m_(m),
        row_step_(row_step),
        row_steps_(ceil_div(m, row_step)),
        shares_(std::min(column_blocks_ * row_steps_, on.threads)) {}

  int64_t shares() const { return shares_; }
  int64_t largest_group() const { return ceil_div(column_blocks_, groups_); }
  // Runs work(blocks, rows) for each group with rows in the shares of [begin, end), once.
  template <class Work>
  void run(int64_t begin, int64_t end, Work work) const {
    const int64_t units = column_blocks_ * row_steps_;
    const int64_t from = units * begin / shares_, until = units * end / shares_;
    for (int64_t g = 0; g < groups_; g++) {
      const Range blocks{g * column_blocks_ / groups_, (g + 1) * column_blocks_ / groups_};
      const Range rows{row(from, blocks), row(until, blocks)};
      if (rows.begin < rows.end) work(blocks, rows);
    }
  }

 private:
  // The row before which a border between shares at `unit` cuts a group.
  int64_t row(int64_t unit, Range blocks) const {
    const int64_t inside = std::max<int64_t>(0, unit - blocks.begin * row_steps_);
    return std::min(m_, inside / (blocks.end - blocks.begin) * row_step_);
  }

  int64_t column_blocks_, groups_, m_, row_step_, row_steps_, shares_;
};

inline void clear_tails(uint32_t* out, int64_t rows, int64_t channels) {
  const int64_t used = used_words(channels), all = row_words(channels);
  for (int64_t r = 0; r < rows; r++) std::memset(out + r * all + used, 0, sizeof(uint32_t) * size_t(all - used));
}

}  // namespace qbench
