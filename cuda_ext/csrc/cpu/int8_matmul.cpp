// Products of bytes.
#include "blocking.h"

namespace qbench {
namespace {

// Bytes of a block that one pass over k reads, of the rows it is used for, of the blocks that share those rows.
constexpr int64_t kBlockBytes = int64_t(512) << 10, kChunkBytes = int64_t(1) << 20, kGroupBytes = int64_t(8) << 20;
// A multiple of every ISA's rows in a tile.
constexpr int64_t kInt8Rows = 12;

// An int8 block: its dwords, then the 64 corrections.
int64_t int8_block(int64_t dwords) { return kColumns * (dwords + 1); }

// Block `block` of b, of the `run` values of k from `start` on.
void int8_arrange(const Kernels& kernels, const int8_t* b, int64_t n, int64_t k, int64_t block, int64_t start,
                  int64_t run, uint32_t* to) {
  kernels.int8_arrange(b + block * kColumns * k + start, k, columns_in(n, block), run, to,
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
  const bool stream = is_large(m, n) && depth == dwords && can_stream(out, n);
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
                         columns_in(n, i), start == 0, stream);
          }
        }
      }
    });
    finish_stores(stream);
  });
}

}  // namespace qbench
