#include "drivers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "../common/layout.h"

namespace qbench {
namespace {

// Results this large do not stay in a cache: their stores bypass it, and their pages are asked for in large sizes (the
// first touch of 4 KB pages costs more than the arithmetic), as are those of arranged weights, read block after block.
constexpr int64_t kStreamBytes = int64_t(16) << 20;
// Rows of the left operand that one task runs against a block of columns.
constexpr int64_t kRowChunk = 256;
// Products by carries gain from these sizes on, for each thread: below, rewriting the operands costs more than it saves
// (measured on a processor that counts two registers a cycle, the hardest to beat). Bytes of the rewritten rows that are
// kept, and blocks that share a pass over them.
constexpr int64_t kCarryLeastRows = 96, kCarryLeastWords = 64, kCarryLeastBlocks = 8;
constexpr int64_t kCarryRowBytes = int64_t(4) << 20, kCarryBlocks = 4;
// int8: bytes of a block that one pass over k reads, of the rows it is used for, of the blocks that share those rows.
constexpr int64_t kBlockBytes = int64_t(512) << 10, kChunkBytes = int64_t(1) << 20, kGroupBytes = int64_t(8) << 20;
// A multiple of every path's rows in a tile.
constexpr int64_t kInt8Rows = 12;
// Output pixels whose input bits are gathered at a time.
constexpr int64_t kPixels = 32;
// Pixels that a share of them is a multiple of: the direct kernel's rows in a tile.
constexpr int64_t kPixelStep = 4;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

void ask_for_large_pages(void* data, int64_t bytes) {
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

constexpr uint32_t kFlipInt = 0xffffffffu, kFlipFloat = 0x80000000u;

// Hands out blocks: those prepacked, or arranged on demand into this thread's scratch.
class Blocks {
 public:
  Blocks(const Kernels& kernels, const Weights& w)
      : kernels_(kernels), w_(w), scratch_(w.blocks ? 0 : w.row() * kColumns) {}

  int64_t valid(int64_t block) const { return std::min(kColumns, w_.n - block * kColumns); }

  const uint32_t* get(int64_t block) {
    if (w_.blocks) return w_.blocks + block * w_.row() * kColumns;
    if (block != held_) {
      arrange(kernels_, w_, block, scratch_.get());
      held_ = block;
    }
    return scratch_.get();
  }

  static void arrange(const Kernels& kernels, const Weights& w, int64_t block, uint32_t* to) {
    const int64_t first = block * kColumns, valid = std::min(kColumns, w.n - first);
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

void clear_tails(uint32_t* out, int64_t rows, int64_t channels) {
  const int64_t used = used_words(channels), all = row_words(channels);
  for (int64_t r = 0; r < rows; r++) std::memset(out + r * all + used, 0, sizeof(uint32_t) * size_t(all - used));
}

}  // namespace

int64_t prepacked_size(int64_t n, int64_t taps, int64_t words) {
  return ceil_div(n, kColumns) * kColumns * taps * words;
}

void prepack(const Machine& on, const Weights& plain, uint32_t* blocks) {
  ask_for_large_pages(blocks, 4 * prepacked_size(plain.n, plain.taps, plain.words));
  on.parallel(ceil_div(plain.n, kColumns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      Blocks::arrange(on.kernels, plain, b, blocks + b * plain.row() * kColumns);
    }
  });
}

namespace {

// What becomes of a product: int32 [m][n], or bits [m][row_words(n)] of a comparison.
struct Result {
  int32_t* sums;
  uint32_t* bits;
  const Compiled* compiled;
  bool stream;
};

// A product's cut into parts of at least the least size of a product by carries.
struct CarryParts {
  int64_t columns, rows;

  CarryParts(const Machine& on, int64_t m, int64_t column_blocks)
      : columns(std::min(on.threads, column_blocks / kCarryLeastBlocks)),
        rows(columns ? std::min(ceil_div(on.threads, columns), m / kCarryLeastRows) : 0) {}
  int64_t count() const { return columns * rows; }
};

bool carries_pay(const Machine& on, int64_t m, const Weights& b) {
  return on.kernels.carries && b.row() >= kCarryLeastWords && b.row() <= kCarryMaxWords &&
         CarryParts(on, m, ceil_div(b.n, kColumns)).count() >= on.threads;
}

// Rewritten rows lie in the last-level cache, a few rewritten blocks in the second: a tile of rows is read once for them.
// Rows that fill no tile are counted directly.
void carry_matmul(const Machine& on, const uint32_t* a, int64_t lda, int64_t m, const Weights& b,
                  const int32_t* const* bases, const Result& out) {
  const Kernels& kernels = on.kernels;
  const int64_t words = b.row(), column_blocks = ceil_div(b.n, kColumns), tiles = m / kCarryRows;
  const int64_t tile_size = words * kCarryTileWord + kCarryTail, block_size = words * kCarryBlockWord + kCarryTail;
  const int64_t chunk = std::min(tiles, std::max<int64_t>(8, kCarryRowBytes / (4 * tile_size)));
  const CarryParts parts(on, m, column_blocks);
  const auto store = [&](auto by_sums, auto by_bits, int64_t r, int64_t block) {
    const int64_t valid = std::min(kColumns, b.n - block * kColumns);
    if (out.compiled) {
      by_bits(out.compiled->from(block * kColumns), out.bits + r * row_words(b.n) + block * 2, row_words(b.n), valid);
    } else {
      by_sums(out.sums + r * b.n + block * kColumns, b.n, valid, out.stream);
    }
  };
  on.parallel(parts.count(), 1, [&](int64_t begin, int64_t end) {
    Blocks blocks(kernels, b);
    Scratch<uint32_t> rewritten(chunk * tile_size), carries(kCarryBlocks * block_size);
    for (int64_t part = begin; part < end; part++) {
      const int64_t column = part % parts.columns, row = part / parts.columns;
      const int64_t first_block = column * column_blocks / parts.columns;
      const int64_t last_block = (column + 1) * column_blocks / parts.columns;
      const int64_t first_tile = row * tiles / parts.rows, last_tile = (row + 1) * tiles / parts.rows;
      const int64_t rest = last_tile == tiles ? m - tiles * kCarryRows : 0;
      for (int64_t start = first_tile; start < last_tile; start += chunk) {
        const int64_t stop = std::min(last_tile, start + chunk);
        for (int64_t t = start; t < stop; t++) {
          kernels.carries->rows(a + t * kCarryRows * lda, lda, words, rewritten.get() + (t - start) * tile_size);
        }
        for (int64_t from = first_block; from < last_block; from += kCarryBlocks) {
          const int64_t until = std::min(last_block, from + kCarryBlocks);
          for (int64_t i = from; i < until; i++) {
            const uint32_t* block = blocks.get(i);
            kernels.carries->columns(block, words, carries.get() + (i - from) * block_size);
            if (rest && stop == last_tile) {
              const uint32_t* last = a + tiles * kCarryRows * lda;
              store([&](auto... to) { kernels.xnor(last, lda, rest, block, words, bases, to...); },
                    [&](auto... to) { kernels.xnor_sign(last, lda, rest, block, words, bases, to...); },
                    tiles * kCarryRows, i);
            }
          }
          for (int64_t t = start; t < stop; t++) {
            const uint32_t* tile = rewritten.get() + (t - start) * tile_size;
            for (int64_t i = from; i < until; i++) {
              const uint32_t* block = carries.get() + (i - from) * block_size;
              store([&](auto... to) { kernels.carries->xnor(tile, block, words, bases, to...); },
                    [&](auto... to) { kernels.carries->xnor_sign(tile, block, words, bases, to...); },
                    t * kCarryRows, i);
            }
          }
        }
      }
    }
#if defined(__x86_64__)
    if (out.stream) __builtin_ia32_sfence();
#endif
  });
}

}  // namespace

void xnor_matmul(const Machine& on, const uint32_t* a, int64_t lda, int64_t m, const Weights& b, int64_t k,
                 const Thresholds* thresholds, void* out) {
  if (m == 0 || b.n == 0) return;
  int32_t* sums = static_cast<int32_t*>(out);
  uint32_t* bits = static_cast<uint32_t*>(out);
  const Kernels& kernels = on.kernels;
  const int64_t words = b.row();

  if (!thresholds && b.plain && m <= 2) {
    // too few rows to pay for arranging b
    on.parallel(b.n, 256, [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < m; r++) {
        kernels.xnor_row(a + r * lda, b.plain + begin * b.stride, end - begin, b.stride, int32_t(k),
                         sums + r * b.n + begin);
      }
    });
    return;
  }

  bool stream = false;
  std::unique_ptr<Compiled> compiled;
  if (thresholds) {
    compiled = std::make_unique<Compiled>(thresholds->threshold, thresholds->direction, b.n, kFlipInt, true);
    clear_tails(bits, m, b.n);
  } else if (m * b.n * int64_t(sizeof(int32_t)) >= kStreamBytes) {
    ask_for_large_pages(out, m * b.n * int64_t(sizeof(int32_t)));
    stream = b.n % 16 == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
  }

  alignas(64) int32_t base[kColumns];
  std::fill_n(base, kColumns, int32_t(k));
  const int32_t* bases[kRowChunk];
  std::fill_n(bases, kRowChunk, base);
  if (carries_pay(on, m, b)) {
    return carry_matmul(on, a, lda, m, b, bases, {sums, bits, compiled.get(), stream});
  }

  // Tasks run through the row chunks of one block of columns before the next block, so that a block that has to be
  // arranged is arranged once per thread; they cut the rows only where the columns are too few for the threads.
  const int64_t column_blocks = ceil_div(b.n, kColumns);
  const int64_t chunk = column_blocks >= 2 * on.threads
                            ? std::max<int64_t>(kRowChunk, ceil_div(m, 4))
                            : std::max<int64_t>(8, ceil_div(ceil_div(m, 4 * on.threads), 4) * 4);
  const int64_t row_chunks = ceil_div(m, chunk);
  on.parallel(column_blocks * row_chunks, 1, [&](int64_t begin, int64_t end) {
    Blocks blocks(kernels, b);
    for (int64_t task = begin; task < end; task++) {
      const int64_t block = task / row_chunks, valid = blocks.valid(block);
      const int64_t first = task % row_chunks * chunk, last = std::min(m, first + chunk);
      const uint32_t* columns = blocks.get(block);
      for (int64_t r = first; r < last; r += kRowChunk) {
        const int64_t rows = std::min(kRowChunk, last - r);
        if (thresholds) {
          kernels.xnor_sign(a + r * lda, lda, rows, columns, words, bases, compiled->from(block * kColumns),
                            bits + r * row_words(b.n) + block * 2, row_words(b.n), valid);
        } else {
          kernels.xnor(a + r * lda, lda, rows, columns, words, bases, sums + r * b.n + block * kColumns, b.n, valid,
                       stream);
        }
      }
    }
#if defined(__x86_64__)
    if (stream) __builtin_ia32_sfence();
#endif
  });
}

namespace {

// The positions of one direction by which taps fall inside the image: `of[position]` numbers the class, whose taps
// from `first[class]` to before `last[class]` are inside.
struct Classes {
  std::vector<int64_t> of, first, last;

  Classes(int64_t out, int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
    of.reserve(size_t(out));
    // both borders fall from position to position: the positions of a class follow one another
    int64_t from = kernel, until = kernel;
    for (int64_t o = 0; o < out; o++) {
      const int64_t at = o * stride - pad;
      while (from > 0 && at + (from - 1) * dilation >= 0) from--;
      while (until > 0 && at + (until - 1) * dilation >= size) until--;
      if (o == 0 || from != first.back() || until != last.back()) {
        first.push_back(from);
        last.push_back(until);
      }
      of.push_back(int64_t(first.size()) - 1);
    }
  }
  int64_t size() const { return int64_t(first.size()); }
  bool inside(int64_t which, int64_t tap) const { return tap >= first[size_t(which)] && tap < last[size_t(which)]; }
};

// An output pixel, counted image by image and row by row.
struct Pixel {
  int64_t image, y, x;
  Pixel(const Window& v, int64_t index)
      : image(index / (v.out_w * v.out_h)), y(index / v.out_w % v.out_h), x(index % v.out_w) {}
  void step(const Window& v) {
    if (++x < v.out_w) return;
    x = 0;
    if (++y == v.out_h) y = 0, image++;
  }
};

// Copies the bits that `count` output pixels from `at` on see: for each, kernel_h·kernel_w runs of `words` words (W at
// compile time, 0: not known).
template <int64_t W>
void gather(const uint32_t* images, const Window& v, int64_t in_words, int64_t words, Pixel at, int64_t count,
            const uint32_t* outside, uint32_t* to) {
  const int64_t run = W ? W : words, step = v.dilation_w * in_words;
  const int64_t wide = v.width * in_words, reach = (v.kernel_w - 1) * v.dilation_w;
  for (; count > 0; count--, at.step(v)) {
    const uint32_t* image = images + at.image * v.height * wide;
    const int64_t top = at.y * v.stride_h - v.pad_h, left = at.x * v.stride_w - v.pad_w;
    const bool all_columns = left >= 0 && left + reach < v.width;
    for (int64_t ky = 0; ky < v.kernel_h; ky++) {
      const int64_t y = top + ky * v.dilation_h;
      const bool row = y >= 0 && y < v.height;
      if (row && all_columns) {
        const uint32_t* from = image + y * wide + left * in_words;
        for (int64_t kx = 0; kx < v.kernel_w; kx++, to += run, from += step) std::memcpy(to, from, size_t(4 * run));
        continue;
      }
      for (int64_t kx = 0; kx < v.kernel_w; kx++, to += run) {
        const int64_t x = left + kx * v.dilation_w;
        const bool inside = row && x >= 0 && x < v.width;
        std::memcpy(to, inside ? image + y * wide + x * in_words : outside, size_t(4 * run));
      }
    }
  }
}

using Gather = void (*)(const uint32_t*, const Window&, int64_t, int64_t, Pixel, int64_t, const uint32_t*, uint32_t*);

// Run lengths that the compiler turns into one move each.
Gather gather_of(int64_t words) {
  switch (words) {
    case 1: return gather<1>;
    case 2: return gather<2>;
    case 4: return gather<4>;
    case 8: return gather<8>;
    case 16: return gather<16>;
    default: return gather<0>;
  }
}

// Of one block: takes from base[class][column], `stride` numbers a class, what a tap outside the image adds to a column
// by reading -1: channels - 2·popcount(0 ^ w) = -Σ w.
void take_off_outside(const Kernels& kernels, const Window& v, const uint32_t* block, int64_t words, int64_t channels,
                      int64_t valid, const Classes& rows, const Classes& places, int32_t* base, int64_t stride) {
  const std::vector<uint32_t> minus(static_cast<size_t>(words), 0);
  alignas(64) int32_t none[kColumns], sums[kColumns] = {};
  std::fill_n(none, kColumns, int32_t(channels));
  const int32_t* bases[1] = {none};
  for (int64_t ky = 0; ky < v.kernel_h; ky++) {
    for (int64_t kx = 0; kx < v.kernel_w; kx++, block += words * kColumns) {
      bool summed = false;
      int32_t* of_class = base;
      for (int64_t r = 0; r < rows.size(); r++) {
        for (int64_t p = 0; p < places.size(); p++, of_class += stride) {
          if (rows.inside(r, ky) && places.inside(p, kx)) continue;
          if (!summed) kernels.xnor(minus.data(), words, 1, block, words, bases, sums, kColumns, valid, false);
          summed = true;
          for (int64_t n = 0; n < kColumns; n++) of_class[n] -= sums[n];
        }
      }
    }
  }
}

// How a convolution is cut into even shares, at most one for each thread: its pixels, and its blocks of columns. Each
// share gathers the bits of its own pixels, and sums up, or arranges, its own blocks; the cut that repeats least is the
// best. Costs are in words of a pixel's product with a block, and only their order matters.
struct Shares {
  int64_t of_pixels = 1, of_columns = 1;

  Shares(int64_t threads, int64_t pixels, int64_t column_blocks, const Weights& w, bool zeros) {
    constexpr int64_t kGatherTap = 2, kSumTap = 40, kArrangeWord = 32;
    int64_t least = 0;
    for (int64_t columns = 1; columns <= std::min(threads, column_blocks); columns++) {
      const int64_t cut = std::min(threads / columns, ceil_div(pixels, kPixelStep));
      const int64_t blocks = ceil_div(column_blocks, columns);
      const int64_t cost = ceil_div(pixels, cut) * (w.taps * kGatherTap + blocks * w.row()) +
                           blocks * ((zeros ? w.taps * kSumTap : 0) + (w.blocks ? 0 : w.row() * kArrangeWord));
      if (columns == 1 || cost < least) {
        least = cost;
        of_pixels = cut;
        of_columns = columns;
      }
    }
  }
};

}  // namespace

void xnor_conv2d(const Machine& on, const uint32_t* x, int64_t batch, int64_t channels, const Window& v,
                 const Weights& w, const Thresholds* thresholds, void* out) {
  const int64_t pixels = batch * v.out_h * v.out_w;
  if (pixels == 0) return;
  const Kernels& kernels = on.kernels;
  const int64_t words = w.words, row = w.row(), in_words = row_words(channels), out_words = row_words(w.n);
  const int32_t k = int32_t(channels * w.taps);
  int32_t* sums = static_cast<int32_t*>(out);
  uint32_t* bits = static_cast<uint32_t*>(out);

  const bool zeros = v.pad_value == 0 && (v.pad_h > 0 || v.pad_w > 0);
  bool stream = false;
  if (const int64_t bytes = pixels * w.n * int64_t(sizeof(int32_t)); !thresholds && bytes >= kStreamBytes) {
    ask_for_large_pages(out, bytes);
    stream = w.n % 16 == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
  }
  const Gather gather_pixels = gather_of(words);
  const int64_t column_blocks = ceil_div(w.n, kColumns), pixel_steps = ceil_div(pixels, kPixelStep);
  const Shares shares(on.threads, pixels, column_blocks, w, zeros);
  // All of a call in one parallel region, whose threads make what they need by themselves from what the closure holds:
  // at batch 1 a second region, or lines fetched from the other core's cache, would cost a tenth of the products each.
  on.parallel(shares.of_pixels * shares.of_columns, 1, [=, &kernels](int64_t begin, int64_t end) {
    // What a tap outside the image reads: the bits of +1, or those of -1. Pad value 0 reads -1 too, and `base` gives
    // back what that -1 took away; it depends on which taps are outside, hence on the class of the pixel's row and
    // column.
    std::vector<uint32_t> outside(size_t(words), 0);
    for (int64_t c = 0; c < channels && v.pad_value > 0; c++) outside[size_t(c / 32)] |= uint32_t(1) << (c % 32);
    const Classes rows(zeros ? v.out_h : 1, v.height, v.kernel_h, v.stride_h, v.pad_h, v.dilation_h);
    const Classes places(zeros ? v.out_w : 1, v.width, v.kernel_w, v.stride_w, v.pad_w, v.dilation_w);
    for (int64_t share = begin; share < end; share++) {
      const int64_t part = share / shares.of_columns, group = share % shares.of_columns;
      const int64_t start = pixel_steps * part / shares.of_pixels * kPixelStep;
      const int64_t stop = std::min(pixels, pixel_steps * (part + 1) / shares.of_pixels * kPixelStep);
      const int64_t from = group * column_blocks / shares.of_columns;
      const int64_t blocks = (group + 1) * column_blocks / shares.of_columns - from, columns = blocks * kColumns;

      Scratch<uint32_t> arranged(w.blocks ? 0 : row * columns), gathered(kPixels * row);
      for (int64_t b = 0; b < blocks && !w.blocks; b++) {
        Blocks::arrange(kernels, w, from + b, arranged.get() + b * row * kColumns);
      }
      const uint32_t* arrangement = w.blocks ? w.blocks + from * row * kColumns : arranged.get();
      const auto valid = [&](int64_t b) { return std::min(kColumns, w.n - (from + b) * kColumns); };
      // base[class][column]: at most as many numbers as one image of the int32 result
      Scratch<int32_t> base(rows.size() * places.size() * columns);
      std::fill_n(base.get(), rows.size() * places.size() * columns, k);
      for (int64_t b = 0; b < blocks && zeros; b++) {
        take_off_outside(kernels, v, arrangement + b * row * kColumns, words, channels, valid(b), rows, places,
                         base.get() + b * kColumns, columns);
      }
      std::unique_ptr<Compiled> compiled;
      if (thresholds) {
        compiled = std::make_unique<Compiled>(thresholds->threshold + from * kColumns,
                                              thresholds->direction + from * kColumns,
                                              std::min(columns, w.n - from * kColumns), kFlipInt, true);
      }

      // The gathered bits of a pixel are kh·kw·words words, no image of floats.
      const int32_t* pixel_base[kPixels];
      for (int64_t first = start; first < stop; first += kPixels) {
        const int64_t count = std::min(kPixels, stop - first);
        Pixel at(v, first);
        gather_pixels(x, v, in_words, words, at, count, outside.data(), gathered.get());
        for (int64_t i = 0; i < count; i++, at.step(v)) {
          pixel_base[i] =
              base.get() + (zeros ? rows.of[size_t(at.y)] * places.size() + places.of[size_t(at.x)] : 0) * columns;
        }
        if (thresholds && group == 0) clear_tails(bits + first * out_words, count, w.n);
        for (int64_t b = 0; b < blocks; b++) {
          const uint32_t* block = arrangement + b * row * kColumns;
          if (thresholds) {
            kernels.xnor_sign(gathered.get(), row, count, block, row, pixel_base, compiled->from(b * kColumns),
                              bits + first * out_words + (from + b) * 2, out_words, valid(b));
          } else {
            kernels.xnor(gathered.get(), row, count, block, row, pixel_base, sums + first * w.n + (from + b) * kColumns,
                         w.n, valid(b), stream);
          }
          for (int64_t i = 0; i < count; i++) pixel_base[i] += kColumns;
        }
      }
    }
#if defined(__x86_64__)
    if (stream) __builtin_ia32_sfence();
#endif
  });
}

namespace {

float from_bits(uint32_t raw) {
  float value;
  std::memcpy(&value, &raw, 4);
  return value;
}

float from_half(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
  if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = float(fraction) * 0x1p-24f;
  return sign ? -small : small;
}

float to_float(float x) { return x; }
float to_float(double x) { return float(x); }

struct Half {
  uint16_t raw;
};
struct BFloat {
  uint16_t raw;
};
float to_float(Half x) { return from_half(x.raw); }
float to_float(BFloat x) { return from_bits(uint32_t(x.raw) << 16); }
int32_t to_number(uint8_t x) { return x; }
template <class S>
float to_number(S x) {
  return to_float(x);
}

// x: [m][k] of S; the path's tables are of T
template <class S, class T>
void real_products(const Machine& on, const S* x, int64_t m, int64_t k, const Weights& w, T* out,
                   void (*table)(const T*, int64_t, T*),
                   void (*real)(const T*, int64_t, int64_t, const uint32_t*, int64_t, T*, int64_t, int64_t, bool)) {
  const int64_t words = w.row();
  // Words of k at a time, so that the tables of kRealRows rows stay in the first-level cache.
  const int64_t depth = std::max<int64_t>(1, 32 * 1024 / (kRealRows * on.kernels.table_size * int64_t(sizeof(T))));
  // At most 64 blocks of columns share one building of the tables: it bounds the scratch for arranged weights.
  const Grid grid(on, w.n, 64, m, kRealRows);
  on.parallel(grid.shares(), 1, [&](int64_t begin, int64_t end) {
    Scratch<T> numbers(depth * 32), tables(kRealRows * depth * on.kernels.table_size);
    Scratch<uint32_t> arranged(w.blocks ? 0 : grid.largest_group() * words * kColumns);
    const int64_t ldt = depth * on.kernels.table_size;
    grid.run(begin, end, [&](Range group, Range part) {
      const uint32_t* first = w.blocks ? w.blocks + group.begin * words * kColumns : arranged.get();
      if (!w.blocks) {
        for (int64_t b = group.begin; b < group.end; b++) {
          Blocks::arrange(on.kernels, w, b, arranged.get() + (b - group.begin) * words * kColumns);
        }
      }
      for (int64_t r = part.begin; r < part.end; r += kRealRows) {
        const int64_t rows = std::min(kRealRows, part.end - r);
        for (int64_t start = 0; start < words; start += depth) {
          const int64_t count = std::min(depth, words - start);
          for (int64_t i = 0; i < rows; i++) {
            const S* source = x + (r + i) * k + start * 32;
            const int64_t have = std::min(count * 32, k - start * 32);
            for (int64_t j = 0; j < have; j++) numbers.get()[j] = to_number(source[j]);
            // past k the value is 0: whatever the weight's bit, it adds nothing
            for (int64_t j = have; j < count * 32; j++) numbers.get()[j] = 0;
            table(numbers.get(), count, tables.get() + i * ldt);
          }
          for (int64_t b = group.begin; b < group.end; b++) {
            const uint32_t* block = first + (b - group.begin) * words * kColumns;
            real(tables.get(), ldt, rows, block + start * kColumns, count, out + r * w.n + b * kColumns, w.n,
                 std::min(kColumns, w.n - b * kColumns), start == 0);
          }
        }
      }
    });
  });
}

}  // namespace

void real_matmul(const Machine& on, const void* x, Real type, int64_t m, int64_t k, const Weights& w, void* out) {
  if (m == 0 || w.n == 0) return;
  const Kernels& p = on.kernels;
  switch (type) {
    case Real::kFloat32:
      return real_products(on, static_cast<const float*>(x), m, k, w, static_cast<float*>(out), p.table_f32,
                           p.real_f32);
    case Real::kFloat16:
      return real_products(on, static_cast<const Half*>(x), m, k, w, static_cast<float*>(out), p.table_f32, p.real_f32);
    case Real::kBFloat16:
      return real_products(on, static_cast<const BFloat*>(x), m, k, w, static_cast<float*>(out), p.table_f32,
                           p.real_f32);
    case Real::kUint8:
      return real_products(on, static_cast<const uint8_t*>(x), m, k, w, static_cast<int32_t*>(out), p.table_i32,
                           p.real_i32);
  }
}

namespace {

// An int8 block: its dwords, then the 64 corrections.
int64_t int8_block(int64_t dwords) { return kColumns * (dwords + 1); }

// Block `block` of b, of the `run` values of k from `start` on.
void int8_arrange(const Kernels& kernels, const int8_t* b, int64_t n, int64_t k, int64_t block, int64_t start,
                  int64_t run, uint32_t* to) {
  kernels.int8_arrange(b + block * kColumns * k + start, k, std::min(kColumns, n - block * kColumns), run, to,
                       reinterpret_cast<int32_t*>(to + kColumns * ceil_div(run, kernels.group)));
}

}  // namespace

int64_t int8_prepacked_size(const Kernels& kernels, int64_t n, int64_t k) {
  return ceil_div(n, kColumns) * int8_block(ceil_div(k, kernels.group));
}

void int8_prepack(const Machine& on, const int8_t* b, int64_t n, int64_t k, uint32_t* blocks) {
  ask_for_large_pages(blocks, 4 * int8_prepacked_size(on.kernels, n, k));
  const int64_t size = int8_block(ceil_div(k, on.kernels.group));
  on.parallel(ceil_div(n, kColumns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) int8_arrange(on.kernels, b, n, k, i, 0, k, blocks + i * size);
  });
}

void int8_matmul(const Machine& on, const int8_t* a, int64_t m, int64_t k, const int8_t* b, const uint32_t* blocks,
                 int64_t n, int32_t* out) {
  if (m == 0 || n == 0) return;
  const Kernels& kernels = on.kernels;
  // k is cut into runs of which a block stays in the second-level cache for a chunk of rows; the chunk and the group's
  // blocks stay in the last, so that the rows come from memory once per group. Where one chunk and one run are all
  // of a, a group has no use.
  const int64_t dwords = ceil_div(k, kernels.group), depth = std::min(dwords, kBlockBytes / (4 * kColumns));
  const int64_t steps = std::max<int64_t>(1, kChunkBytes / (4 * depth * kInt8Rows));
  const int64_t chunk = std::min(steps, ceil_div(m, kInt8Rows)) * kInt8Rows;
  const Grid grid(on, n, m <= chunk && depth == dwords ? 1 : kGroupBytes / (4 * kColumns * depth), m, kInt8Rows);
  // No large pages for the result: they save a tenth of the time at most, and on a virtual machine whose free ones go
  // back to the host they cost more than that.
  const bool stream = m * n * int64_t(sizeof(int32_t)) >= kStreamBytes && depth == dwords && n % 16 == 0 &&
                      reinterpret_cast<uintptr_t>(out) % 64 == 0;
  alignas(64) const int32_t no_sums[kColumns] = {};
  on.parallel(grid.shares(), 1, [&](int64_t begin, int64_t end) {
    Scratch<uint32_t> rows(chunk * depth), arranged(blocks ? 0 : grid.largest_group() * int8_block(depth));
    int64_t held_row = -1, held_start = -1;
    grid.run(begin, end, [&](Range group, Range part) {
      for (int64_t start = 0; start < dwords; start += depth) {
        const int64_t used = std::min(depth, dwords - start), from = start * kernels.group;
        const int64_t run = std::min(used * kernels.group, k - from);
        for (int64_t i = group.begin; i < group.end && !blocks; i++) {
          int8_arrange(kernels, b, n, k, i, from, run, arranged.get() + (i - group.begin) * int8_block(depth));
        }
        for (int64_t r = part.begin; r < part.end; r += chunk) {
          const int64_t count = std::min(chunk, part.end - r);
          // the same r never comes with more rows: only a share's last group ends before m
          if (r != held_row || start != held_start) {
            for (int64_t i = 0; i < count; i++) kernels.int8_row(a + (r + i) * k + from, run, rows.get() + i * depth);
            held_row = r;
            held_start = start;
          }
          for (int64_t i = group.begin; i < group.end; i++) {
            // prepacked blocks hold the correction of all of k
            const uint32_t* block =
                blocks ? blocks + i * int8_block(dwords) : arranged.get() + (i - group.begin) * int8_block(depth);
            const int32_t* sums = reinterpret_cast<const int32_t*>(block + kColumns * (blocks ? dwords : used));
            kernels.int8(rows.get(), depth, count, blocks ? block + start * kColumns : block, used,
                         blocks && start > 0 ? no_sums : sums, out + r * n + i * kColumns, n,
                         std::min(kColumns, n - i * kColumns), start == 0, stream);
          }
        }
      }
    });
#if defined(__x86_64__)
    if (stream) __builtin_ia32_sfence();
#endif
  });
}

namespace {

// Rows per task so that a task is worth a thread's start.
int64_t row_grain(int64_t k) { return std::max<int64_t>(1, 32768 / k); }

}  // namespace

void pack_signs(const Machine& on, const void* x, Float type, int64_t rows, int64_t k, uint32_t* out) {
  const Kernels& p = on.kernels;
  const int64_t words = row_words(k);
  clear_tails(out, rows, k);
  on.parallel(rows, row_grain(k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      uint32_t* to = out + r * words;
      switch (type) {
        case Float::kFloat32: p.pack_f32(static_cast<const float*>(x) + r * k, k, to); break;
        case Float::kFloat64: p.pack_f64(static_cast<const double*>(x) + r * k, k, to); break;
        case Float::kFloat16: p.pack_16(static_cast<const uint16_t*>(x) + r * k, k, 0x7c00, to); break;
        case Float::kBFloat16: p.pack_16(static_cast<const uint16_t*>(x) + r * k, k, 0x7f80, to); break;
      }
    }
  });
}

void pack_random(const Machine& on, const void* x, Float type, int64_t rows, int64_t k, uint64_t seed, uint64_t offset,
                 uint32_t* out) {
  const int64_t words = row_words(k);
  clear_tails(out, rows, k);
  on.parallel(rows, row_grain(k), [&](int64_t begin, int64_t end) {
    Scratch<float> row(type == Float::kFloat32 ? 0 : k);
    for (int64_t r = begin; r < end; r++) {
      const float* source = row.get();
      switch (type) {
        case Float::kFloat32: source = static_cast<const float*>(x) + r * k; break;
        case Float::kFloat64:
          for (int64_t i = 0; i < k; i++) row.get()[i] = to_float(static_cast<const double*>(x)[r * k + i]);
          break;
        case Float::kFloat16:
          for (int64_t i = 0; i < k; i++) row.get()[i] = to_float(static_cast<const Half*>(x)[r * k + i]);
          break;
        case Float::kBFloat16:
          for (int64_t i = 0; i < k; i++) row.get()[i] = to_float(static_cast<const BFloat*>(x)[r * k + i]);
          break;
      }
      on.kernels.pack_random(source, k, uint64_t(r) * uint64_t(k), seed, offset, out + r * words);
    }
  });
}

void unpack_signs(const Machine& on, const uint32_t* bits, int64_t rows, int64_t k, float* out) {
  const int64_t words = row_words(k);
  on.parallel(rows, row_grain(k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) on.kernels.unpack(bits + r * words, k, out + r * k);
  });
}

void threshold_pack(const Machine& on, const void* x, bool integers, int64_t rows, int64_t channels,
                    const void* threshold, const int8_t* direction, uint32_t* out) {
  const Compiled compiled(threshold, direction, channels, integers ? kFlipInt : kFlipFloat, integers);
  const Comparison comparison = compiled.from(0);
  const int64_t words = row_words(channels);
  clear_tails(out, rows, channels);
  on.parallel(rows, row_grain(channels), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      if (integers) {
        on.kernels.compare_i32(static_cast<const int32_t*>(x) + r * channels, channels, comparison, out + r * words);
      } else {
        on.kernels.compare_f32(static_cast<const float*>(x) + r * channels, channels, comparison, out + r * words);
      }
    }
  });
}

}  // namespace qbench
