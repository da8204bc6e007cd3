// Products of packed signs.
#include "blocking.h"

namespace qbench {
namespace {

// Rows of the left operand that one task runs against a block of columns.
constexpr int64_t kRowChunk = 256;
// The carry-save popcount pays from these sizes on, for each thread: below, rewriting the operands costs more than it
// saves (docs/kernels.md). Then the bytes of rewritten rows that are kept, in the last-level cache, and of the
// rewritten blocks that share a pass over them, in the second-level cache.
constexpr int64_t kCarrySaveLeastRows = 96, kCarrySaveLeastWords = 64, kCarrySaveLeastBlocks = 8;
constexpr int64_t kCarrySaveRowBytes = int64_t(4) << 20, kCarrySaveBlockBytes = int64_t(512) << 10;

// What becomes of a product: int32 [m][n], or bits [m][row_words(n)] of a comparison.
struct Result {
  int64_t n;
  int32_t* sums;
  uint32_t* bits;
  const Compiled* compiled;  // null for int32
  bool stream;

  int32_t* sums_at(int64_t row, int64_t block) const { return sums + row * n + block * kColumns; }
  uint32_t* bits_at(int64_t row, int64_t block) const { return bits + row * row_words(n) + block * 2; }
};

// `rows` rows from a on, the first being row `row` of the result, by a block of columns.
void multiply(const Kernels& kernels, const uint32_t* a, int64_t lda, int64_t rows, const uint32_t* columns,
              int64_t words, const int32_t* const* bases, const Result& out, int64_t row, int64_t block) {
  const int64_t valid = columns_in(out.n, block);
  if (out.compiled) {
    kernels.xnor_sign(a, lda, rows, columns, words, bases, out.compiled->from(block * kColumns),
                      out.bits_at(row, block), row_words(out.n), valid);
  } else {
    kernels.xnor(a, lda, rows, columns, words, bases, out.sums_at(row, block), out.n, valid, out.stream);
  }
}

// The same for a tile of rewritten rows by a rewritten block.
void multiply(const CarrySave& kernels, const uint32_t* tile, const uint32_t* columns, int64_t words,
              const int32_t* const* bases, const Result& out, int64_t row, int64_t block) {
  const int64_t valid = columns_in(out.n, block);
  if (out.compiled) {
    kernels.xnor_sign(tile, columns, words, bases, out.compiled->from(block * kColumns), out.bits_at(row, block),
                      row_words(out.n), valid);
  } else {
    kernels.xnor(tile, columns, words, bases, out.sums_at(row, block), out.n, valid, out.stream);
  }
}

// A product's cut into one part for each thread, or fewer: the largest part is the smallest that there can be with
// parts of at least the least size.
struct CarrySaveParts {
  int64_t columns = 0, rows = 0;
  bool pay = false;

  CarrySaveParts(int64_t threads, int64_t m, int64_t words, int64_t column_blocks) {
    if (words < kCarrySaveLeastWords || words > kCarrySaveMaxWords) return;
    const int64_t tiles = m / kCarrySaveRows;
    int64_t least = 0;
    for (int64_t c = 1; c <= std::min(threads, column_blocks / kCarrySaveLeastBlocks); c++) {
      const int64_t r = std::min(threads / c, m / kCarrySaveLeastRows);
      if (r == 0) continue;
      const int64_t largest = ceil_div(column_blocks, c) * ceil_div(tiles, r);
      if (least == 0 || largest < least) {
        least = largest;
        columns = c;
        rows = r;
      }
    }
    // what uneven parts cost must stay below what the carry-save popcount saves
    pay = least > 0 && 10 * least * threads <= 11 * column_blocks * tiles;
  }
};

// Memory that a thread keeps from call to call, so that no call pays for its pages: at most kCarrySaveRowBytes and
// kCarrySaveBlockBytes, or one block where k is long.
uint32_t* kept_scratch(int64_t count) {
  thread_local std::unique_ptr<Scratch<uint32_t>> scratch;
  thread_local int64_t size = 0;
  if (count > size) {
    scratch.reset();
    size = 0;
    scratch = std::make_unique<Scratch<uint32_t>>(count);
    size = count;
  }
  return scratch->get();
}

// The product by carry-save popcount; rows that fill no tile are counted directly.
void carry_save_matmul(const Machine& on, const CarrySaveParts& parts, const uint32_t* a, int64_t lda, int64_t m,
                       const Weights& b, const int32_t* const* bases, const Result& out) {
  const Kernels& kernels = on.kernels;
  const int64_t words = b.row(), column_blocks = ceil_div(b.n, kColumns), tiles = m / kCarrySaveRows;
  const int64_t tile_size = words * kCarrySaveTileWord + kCarrySaveTail;
  const int64_t block_size = words * kCarrySaveBlockWord + kCarrySaveTail;
  const int64_t chunk = std::min(tiles, std::max<int64_t>(8, kCarrySaveRowBytes / (4 * tile_size)));
  const int64_t together = std::max<int64_t>(1, kCarrySaveBlockBytes / (4 * block_size));
  on.parallel(parts.columns * parts.rows, 1, [&](int64_t begin, int64_t end) {
    Blocks blocks(kernels, b);
    uint32_t* rewritten_rows = kept_scratch(chunk * tile_size + together * block_size);
    uint32_t* rewritten_blocks = rewritten_rows + chunk * tile_size;
    for (int64_t part = begin; part < end; part++) {
      const int64_t column = part % parts.columns, row = part / parts.columns;
      const int64_t first_block = column * column_blocks / parts.columns;
      const int64_t last_block = (column + 1) * column_blocks / parts.columns;
      const int64_t first_tile = row * tiles / parts.rows, last_tile = (row + 1) * tiles / parts.rows;
      const int64_t rest = last_tile == tiles ? m - tiles * kCarrySaveRows : 0;
      for (int64_t start = first_tile; start < last_tile; start += chunk) {
        const int64_t stop = std::min(last_tile, start + chunk);
        for (int64_t t = start; t < stop; t++) {
          kernels.carry_save->rewrite_rows(a + t * kCarrySaveRows * lda, lda, words,
                                           rewritten_rows + (t - start) * tile_size);
        }
        for (int64_t from = first_block; from < last_block; from += together) {
          const int64_t until = std::min(last_block, from + together);
          for (int64_t i = from; i < until; i++) {
            const uint32_t* block = blocks.get(i);
            kernels.carry_save->rewrite_columns(block, words, rewritten_blocks + (i - from) * block_size);
            if (rest && stop == last_tile) {
              const int64_t r = tiles * kCarrySaveRows;
              multiply(kernels, a + r * lda, lda, rest, block, words, bases, out, r, i);
            }
          }
          for (int64_t t = start; t < stop; t++) {
            for (int64_t i = from; i < until; i++) {
              multiply(*kernels.carry_save, rewritten_rows + (t - start) * tile_size,
                       rewritten_blocks + (i - from) * block_size, words, bases, out, t * kCarrySaveRows, i);
            }
          }
        }
      }
    }
    finish_stores(out.stream);
  });
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

void xnor_matmul(const Machine& on, const uint32_t* a, int64_t lda, int64_t m, const Weights& b, int64_t k,
                 const Thresholds* thresholds, void* out) {
  if (m == 0 || b.n == 0) return;
  const Kernels& kernels = on.kernels;
  const int64_t words = b.row();
  Result result{b.n, static_cast<int32_t*>(out), static_cast<uint32_t*>(out), nullptr, false};

  if (!thresholds && b.plain && m <= 2) {
    // too few rows to pay for arranging b
    on.parallel(b.n, 256, [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < m; r++) {
        kernels.xnor_row(a + r * lda, b.plain + begin * b.stride, end - begin, b.stride, int32_t(k),
                         result.sums + r * b.n + begin);
      }
    });
    return;
  }

  std::unique_ptr<Compiled> compiled;
  if (thresholds) {
    compiled = std::make_unique<Compiled>(thresholds->threshold, thresholds->direction, b.n, kFlipInt, true);
    result.compiled = compiled.get();
    clear_tails(result.bits, m, b.n);
  } else if (is_large(m, b.n)) {
    ask_for_large_pages(out, m * b.n * int64_t(sizeof(int32_t)));
    result.stream = can_stream(out, b.n);
  }

  alignas(64) int32_t base[kColumns];
  std::fill_n(base, kColumns, int32_t(k));
  const int32_t* bases[kRowChunk];
  std::fill_n(bases, kRowChunk, base);
  if (kernels.carry_save) {
    const CarrySaveParts parts(on.threads, m, words, ceil_div(b.n, kColumns));
    if (parts.pay) return carry_save_matmul(on, parts, a, lda, m, b, bases, result);
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
      const int64_t block = task / row_chunks;
      const int64_t first = task % row_chunks * chunk, last = std::min(m, first + chunk);
      const uint32_t* columns = blocks.get(block);
      for (int64_t r = first; r < last; r += kRowChunk) {
        multiply(kernels, a + r * lda, lda, std::min(kRowChunk, last - r), columns, words, bases, result, r, block);
      }
    }
    finish_stores(result.stream);
  });
}

}  // namespace qbench
