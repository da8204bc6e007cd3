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
// first touch of 4 KB pages costs more than the arithmetic).
constexpr int64_t kStreamBytes = int64_t(16) << 20;
// Rows of the left operand that one task runs against a block of columns.
constexpr int64_t kRowChunk = 256;
// Output pixels whose input bits are gathered at a time.
constexpr int64_t kPixels = 32;

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

// 64 int32 columns of one row -> their two words (the second only where the row has it)
void store_signs(const Kernels& kernels, const Compiled& compiled, const int32_t* sums, int64_t block, int64_t valid,
                 uint32_t* row) {
  kernels.compare_i32(sums, valid, compiled.from(block * kColumns), row + block * 2);
}

void clear_tails(uint32_t* out, int64_t rows, int64_t channels) {
  const int64_t used = used_words(channels), all = row_words(channels);
  for (int64_t r = 0; r < rows; r++) std::memset(out + r * all + used, 0, sizeof(uint32_t) * size_t(all - used));
}

}  // namespace

int64_t prepacked_size(int64_t n, int64_t taps, int64_t words) {
  return ceil_div(n, kColumns) * kColumns * taps * words;
}

void prepack(const Machine& on, const Weights& plain, uint32_t* blocks) {
  on.parallel(ceil_div(plain.n, kColumns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      Blocks::arrange(on.kernels, plain, b, blocks + b * plain.row() * kColumns);
    }
  });
}

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

  // Tasks run through the row chunks of one block of columns before the next block, so that a block that has to be
  // arranged is arranged once per thread; they cut the rows only where the columns are too few for the threads.
  const int64_t column_blocks = ceil_div(b.n, kColumns);
  const int64_t chunk = column_blocks >= 2 * on.threads
                            ? std::max<int64_t>(kRowChunk, ceil_div(m, 4))
                            : std::max<int64_t>(8, ceil_div(ceil_div(m, 4 * on.threads), 4) * 4);
  const int64_t row_chunks = ceil_div(m, chunk);
  on.parallel(column_blocks * row_chunks, 1, [&](int64_t begin, int64_t end) {
    Blocks blocks(kernels, b);
    Scratch<int32_t> tile(thresholds ? kRowChunk * kColumns : 0);
    for (int64_t task = begin; task < end; task++) {
      const int64_t block = task / row_chunks, valid = blocks.valid(block);
      const int64_t first = task % row_chunks * chunk, last = std::min(m, first + chunk);
      const uint32_t* columns = blocks.get(block);
      if (!thresholds) {
        kernels.xnor(a + first * lda, lda, last - first, columns, words, int32_t(k),
                     sums + first * b.n + block * kColumns, b.n, valid, stream);
        continue;
      }
      for (int64_t r = first; r < last; r += kRowChunk) {
        const int64_t rows = std::min(kRowChunk, last - r);
        kernels.xnor(a + r * lda, lda, rows, columns, words, int32_t(k), tile.get(), kColumns, valid, false);
        for (int64_t i = 0; i < rows; i++) {
          store_signs(kernels, *compiled, tile.get() + i * kColumns, block, valid, bits + (r + i) * row_words(b.n));
        }
      }
    }
#if defined(__x86_64__)
    if (stream) __builtin_ia32_sfence();
#endif
  });
}

void xnor_conv2d(const Machine& on, const uint32_t* x, int64_t batch, int64_t channels, const Window& v,
                 const Weights& w, const Thresholds* thresholds, void* out) {
  const int64_t pixels = batch * v.out_h * v.out_w;
  if (pixels == 0) return;
  const Kernels& kernels = on.kernels;
  const int64_t words = w.words, row = w.row(), in_words = row_words(channels), out_words = row_words(w.n);
  const int32_t k = int32_t(channels * w.taps);
  int32_t* sums = static_cast<int32_t*>(out);
  uint32_t* bits = static_cast<uint32_t*>(out);
  std::unique_ptr<Compiled> compiled;
  if (thresholds) {
    compiled = std::make_unique<Compiled>(thresholds->threshold, thresholds->direction, w.n, kFlipInt, true);
    clear_tails(bits, pixels, w.n);
  }

  // What a tap outside the image reads: the bits of +1, or those of -1. Pad value 0 reads -1 too, and the sum of that
  // tap's weights, which the -1 took away, is given back below.
  std::vector<uint32_t> outside(size_t(words), 0);
  if (v.pad_value > 0) {
    for (int64_t c = 0; c < channels; c++) outside[size_t(c / 32)] |= uint32_t(1) << (c % 32);
  }
  const int64_t column_blocks = ceil_div(w.n, kColumns);
  std::vector<int32_t> tap_sums;  // [taps][column_blocks · 64]
  if (v.pad_value == 0 && (v.pad_h > 0 || v.pad_w > 0)) {
    // as convolutions of a pixel of -1: k - 2·popcount(0 ^ w) = -Σ w
    tap_sums.resize(size_t(w.taps * column_blocks * kColumns));
    on.parallel(column_blocks, 1, [&](int64_t begin, int64_t end) {
      Blocks blocks(kernels, w);
      const std::vector<uint32_t> minus(size_t(words), 0);
      for (int64_t b = begin; b < end; b++) {
        for (int64_t t = 0; t < w.taps; t++) {
          int32_t* to = tap_sums.data() + (t * column_blocks + b) * kColumns;
          kernels.xnor(minus.data(), words, 1, blocks.get(b) + t * words * kColumns, words, int32_t(channels), to,
                       kColumns, blocks.valid(b), false);
        }
      }
    });
  }

  // Few pixels: cut the columns as well. The gathered bits of a pixel are kh·kw·words words, no image of floats.
  const int64_t pixel_chunks = ceil_div(pixels, kPixels);
  const int64_t column_groups = std::min(column_blocks, ceil_div(4 * on.threads, pixel_chunks));
  on.parallel(pixel_chunks * column_groups, 1, [&](int64_t begin, int64_t end) {
    Blocks blocks(kernels, w);
    Scratch<uint32_t> gathered(kPixels * row);
    Scratch<int32_t> tile(thresholds ? kPixels * kColumns : 0);
    std::vector<std::pair<int32_t, int32_t>> missing;  // (pixel of the chunk, tap)
    for (int64_t task = begin; task < end; task++) {
      const int64_t first = task / column_groups * kPixels, count = std::min(kPixels, pixels - first);
      const int64_t group = task % column_groups;
      missing.clear();
      for (int64_t i = 0; i < count; i++) {
        const int64_t image = (first + i) / (v.out_h * v.out_w), place = (first + i) % (v.out_h * v.out_w);
        const int64_t top = place / v.out_w * v.stride_h - v.pad_h, left = place % v.out_w * v.stride_w - v.pad_w;
        uint32_t* to = gathered.get() + i * row;
        for (int64_t ky = 0, tap = 0; ky < v.kernel_h; ky++) {
          const int64_t y = top + ky * v.dilation_h;
          for (int64_t kx = 0; kx < v.kernel_w; kx++, tap++, to += words) {
            const int64_t z = left + kx * v.dilation_w;
            const bool inside = y >= 0 && y < v.height && z >= 0 && z < v.width;
            const uint32_t* from = inside ? x + ((image * v.height + y) * v.width + z) * in_words : outside.data();
            switch (words) {  // sizes the compiler can turn into one move
              case 2: std::memcpy(to, from, 8); break;
              case 4: std::memcpy(to, from, 16); break;
              case 8: std::memcpy(to, from, 32); break;
              case 16: std::memcpy(to, from, 64); break;
              default: std::memcpy(to, from, sizeof(uint32_t) * size_t(words));
            }
            if (!inside && v.pad_value == 0) missing.emplace_back(int32_t(i), int32_t(tap));
          }
        }
      }
      const int64_t from = group * column_blocks / column_groups, until = (group + 1) * column_blocks / column_groups;
      for (int64_t b = from; b < until; b++) {
        const int64_t valid = blocks.valid(b);
        int32_t* to = thresholds ? tile.get() : sums + first * w.n + b * kColumns;
        const int64_t ldo = thresholds ? kColumns : w.n;
        kernels.xnor(gathered.get(), row, count, blocks.get(b), row, k, to, ldo, valid, false);
        for (const auto& [pixel, tap] : missing) {
          // the tap counted -Σw: take it off
          const int32_t* wrong = tap_sums.data() + (tap * column_blocks + b) * kColumns;
          for (int64_t n = 0; n < valid; n++) to[pixel * ldo + n] -= wrong[n];
        }
        if (!thresholds) continue;
        for (int64_t i = 0; i < count; i++) {
          store_signs(kernels, *compiled, to + i * kColumns, b, valid, bits + (first + i) * out_words);
        }
      }
    }
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
  const int64_t words = w.row(), column_blocks = ceil_div(w.n, kColumns);
  // Words of k at a time, so that the tables of kRealRows rows stay in the first-level cache.
  const int64_t depth = std::max<int64_t>(1, 32 * 1024 / (kRealRows * on.kernels.table_size * int64_t(sizeof(T))));
  // At most 64 blocks of columns share one building of the tables: it bounds the scratch for arranged weights.
  const int64_t groups = std::max(std::min(on.threads, column_blocks), ceil_div(column_blocks, 64));
  const int64_t row_chunks = groups >= on.threads ? 1 : std::min(ceil_div(m, kRealRows), on.threads);
  on.parallel(groups * row_chunks, 1, [&](int64_t begin, int64_t end) {
    Scratch<T> numbers(depth * 32), tables(kRealRows * depth * on.kernels.table_size);
    Scratch<uint32_t> arranged(w.blocks ? 0 : ceil_div(column_blocks, groups) * words * kColumns);
    const int64_t ldt = depth * on.kernels.table_size;
    for (int64_t task = begin; task < end; task++) {
      const int64_t g = task / row_chunks, part = task % row_chunks;
      const int64_t from = g * column_blocks / groups, until = (g + 1) * column_blocks / groups;
      const int64_t row_steps = ceil_div(m, kRealRows);
      const int64_t row_from = part * row_steps / row_chunks * kRealRows;
      const int64_t row_until = std::min(m, (part + 1) * row_steps / row_chunks * kRealRows);
      if (!w.blocks) {
        for (int64_t b = from; b < until; b++) {
          Blocks::arrange(on.kernels, w, b, arranged.get() + (b - from) * words * kColumns);
        }
      }
      for (int64_t r = row_from; r < row_until; r += kRealRows) {
        const int64_t rows = std::min(kRealRows, row_until - r);
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
          for (int64_t b = from; b < until; b++) {
            const uint32_t* block =
                w.blocks ? w.blocks + b * words * kColumns : arranged.get() + (b - from) * words * kColumns;
            real(tables.get(), ldt, rows, block + start * kColumns, count, out + r * w.n + b * kColumns, w.n,
                 std::min(kColumns, w.n - b * kColumns), start == 0);
          }
        }
      }
    }
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

// A block of int8 weights: its dwords, then the 64 corrections.
int64_t int8_prepacked_size(const Kernels& kernels, int64_t n, int64_t k) {
  return ceil_div(n, kColumns) * kColumns * (ceil_div(k, kernels.group) + 1);
}

void int8_prepack(const Machine& on, const int8_t* b, int64_t n, int64_t k, uint32_t* blocks) {
  const int64_t dwords = ceil_div(k, on.kernels.group), size = kColumns * (dwords + 1);
  on.parallel(ceil_div(n, kColumns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      on.kernels.int8_arrange(b + i * kColumns * k, k, std::min(kColumns, n - i * kColumns), k, blocks + i * size,
                              reinterpret_cast<int32_t*>(blocks + i * size + kColumns * dwords));
    }
  });
}

void int8_matmul(const Machine& on, const int8_t* a, int64_t m, int64_t k, const int8_t* b, const uint32_t* blocks,
                 int64_t n, int32_t* out) {
  if (m == 0 || n == 0) return;
  const Kernels& kernels = on.kernels;
  const int64_t dwords = ceil_div(k, kernels.group), size = kColumns * (dwords + 1);
  Scratch<uint32_t> rows(m * dwords);
  on.parallel(m, std::max<int64_t>(1, 65536 / k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) kernels.int8_row(a + r * k, k, rows.get() + r * dwords);
  });
  const int64_t column_blocks = ceil_div(n, kColumns);
  const int64_t chunk = column_blocks >= 2 * on.threads
                            ? m
                            : std::max<int64_t>(12, ceil_div(ceil_div(m, 4 * on.threads), 12) * 12);
  const int64_t row_chunks = ceil_div(m, chunk);
  on.parallel(column_blocks * row_chunks, 1, [&](int64_t begin, int64_t end) {
    Scratch<uint32_t> arranged(blocks ? 0 : size);
    int64_t held = -1;
    for (int64_t task = begin; task < end; task++) {
      const int64_t block = task / row_chunks, valid = std::min(kColumns, n - block * kColumns);
      const int64_t first = task % row_chunks * chunk, last = std::min(m, first + chunk);
      if (!blocks && held != block) {
        kernels.int8_arrange(b + block * kColumns * k, k, valid, k, arranged.get(),
                             reinterpret_cast<int32_t*>(arranged.get() + kColumns * dwords));
        held = block;
      }
      const uint32_t* columns = blocks ? blocks + block * size : arranged.get();
      kernels.int8(rows.get() + first * dwords, dwords, last - first, columns, dwords,
                   reinterpret_cast<const int32_t*>(columns + kColumns * dwords), out + first * n + block * kColumns, n,
                   valid);
    }
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
