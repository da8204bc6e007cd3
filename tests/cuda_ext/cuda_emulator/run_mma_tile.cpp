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

}  // namespace

int main(int, char** arguments) {
  const Order order = order_of(arguments[1]);
  const int64_t shapes[][3] = {{1, 1, 1},      {3, 5, 33},    {64, 64, 512}, {65, 70, 513},
                               {20, 130, 1537}, {130, 2, 31}, {10, 600, 40}, {17, 9, 3000}};
  for (const auto& [m, n, k] : shapes) {
    check_matrix(m, n, k, 4, launcher<64, 64>(order));
    check_matrix(m, n, k, 7, launcher<128, 128>(order));
  }
  check_matrix(9, 9, 700, 8, launcher<64, 64>(order));
  check_matrix(9, 9, 700, 0, launcher<128, 128>(order));
  check_convolutions(launcher<128, 64>(order));
  std::puts("ok");
}
