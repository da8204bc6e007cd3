// Products of packed signs.
#include "blocking.h"

namespace qbench {
namespace {

// Rows of the left operand that one task runs against a block of columns.
constexpr int64_t kRowChunk = 256;
// Products by carries gain from these sizes on, for each thread: below, rewriting the operands costs more than it saves
// (measured on a processor that counts two registers a cycle, the hardest to beat). Bytes of the rewritten rows that are
// kept, and blocks that share a pass over them.
constexpr int64_t kCarryLeastRows = 96, kCarryLeastWords = 64, kCarryLeastBlocks = 8;
constexpr int64_t kCarryRowBytes = int64_t(4) << 20, kCarryBlocks = 4;

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
    finish_stores(stream);
  });
}

}  // namespace qbench
