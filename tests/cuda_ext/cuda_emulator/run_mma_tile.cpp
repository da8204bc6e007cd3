// mma_tile.cuh and popcounts.cuh on the host: every tile size, matrices and convolutions, fewer and more steps than slots.
#include "mma_tile.cuh"
#include "popcounts.cuh"
#include "products.h"

using namespace cuda_ext;
using namespace oracle;

namespace {

template <int kM, int kN>
auto launcher(Order order) {
  return [order](auto a, const PackedRows& b, const auto& sink, int64_t a_rows, int64_t b_rows, int steps,
                 int64_t channels) {
    Buffer<int32_t> counts(a_rows + b_rows, -1);
    Buffer<uint32_t> ones(channels > 0 ? steps * kStepWords : 0, 0xdeadbeefu);
    const CountedRows first{reinterpret_cast<const uint4*>(a.bits), a_rows};
    const CountedRows second{reinterpret_cast<const uint4*>(b.bits), b_rows};
    uint32_t* pixel = channels > 0 ? ones.data : nullptr;
    emulator::launch(2, kCountThreads, 0, order,
                     [&] { popcounts_kernel(first, second, steps, counts.data, pixel, channels); });
    for (int64_t row = 0; row < a_rows + b_rows; ++row) {
      const uint32_t* bits = row < a_rows ? a.bits + row * steps * 16 : b.bits + (row - a_rows) * steps * 16;
      int64_t expected = 0;
      for (int i = 0; i < steps * 16; ++i) expected += std::popcount(bits[i]);
      expect(counts[row], expected, "popcounts");
    }
    if constexpr (requires { a.ones; }) a.ones = pixel;
    const TileOrder tiles{ceil_div(sink.rows, kM), ceil_div(sink.covered(), kN)};
    emulator::launch(static_cast<unsigned>(tiles.count()), kMmaThreads, mma_shared_bytes<kM, kN>(), order, [&] {
      mma_tile_kernel<kM, kN>(a, b, sink, Counts{counts.data, counts.data + a_rows}, tiles);
    });
  };
}

// What ldmatrix reads at once, 8 rows at one chunk, lies in 8 different groups of 4 banks; so does what 8 neighbouring
// threads copy, 2 rows of 4 chunks. And no two chunks share a place.
void check_swizzle() {
  for (int first = 0; first < 128; first += 8) {
    for (int chunk = 0; chunk < kStepChunks; ++chunk) {
      int groups = 0;
      for (int row = first; row < first + 8; ++row) groups |= 1 << (swizzled_offset(row, chunk) / 16 % 8);
      expect(groups, 0xff, "bank groups that ldmatrix reads");
    }
  }
  for (int row = 0; row < 128; row += 2) {
    int groups = 0;
    for (int i = 0; i < 8; ++i) groups |= 1 << (swizzled_offset(row + i / 4, i % 4) / 16 % 8);
    expect(groups, 0xff, "bank groups that a copy writes");
  }
  std::vector<int> seen(128 * kStepChunks);
  for (int row = 0; row < 128; ++row) {
    for (int chunk = 0; chunk < kStepChunks; ++chunk) ++seen.at(swizzled_offset(row, chunk) / 16);
  }
  for (int count : seen) expect(count, 1, "chunks at a place");
}

}  // namespace

int main(int, char** arguments) {
  const Order order = order_of(arguments[1]);
  check_swizzle();
  const int64_t small[][3] = {{1, 1, 1}, {64, 64, 512}, {65, 70, 513}, {130, 2, 31}, {10, 520, 40}, {17, 9, 3000}};
  for (const auto& [m, n, k] : small) check_matrix(m, n, k, 4, launcher<64, 64>(order));
  const int64_t large[][3] = {{3, 5, 33}, {129, 70, 513}, {20, 130, 1537}};
  for (const auto& [m, n, k] : large) check_matrix(m, n, k, 7, launcher<128, 128>(order));
  check_matrix(9, 9, 700, 8, launcher<64, 64>(order));
  check_matrix(9, 9, 700, 0, launcher<128, 128>(order));
  check_convolutions(launcher<128, 64>(order));
  std::puts("ok");
}
