// wgmma_tile.cuh on the host: tails in every dimension, fewer and more slabs than slots.
#include "popcounts.cuh"
#include "products.h"
#include "wgmma_tile.cuh"

using namespace cuda_ext;
using namespace oracle;

int main(int, char** arguments) {
  const Order order = order_of(arguments[1]);
  auto launch = [&](const PackedRows& a, const PackedRows& b, const auto& sink, int64_t a_rows, int64_t b_rows, int steps,
                    int64_t) {
    Buffer<int32_t> counts(a_rows + b_rows, -1);
    const CountedRows first{reinterpret_cast<const uint4*>(a.bits), a_rows};
    const CountedRows second{reinterpret_cast<const uint4*>(b.bits), b_rows};
    emulator::launch(2, kCountThreads, 0, order, [&] { popcounts_kernel(first, second, steps, counts.data, nullptr, 0); });
    const TensorMap a_map{a.bits, steps * kStepWords, a_rows, kWgmmaM}, b_map{b.bits, steps * kStepWords, b_rows, kWgmmaN};
    const TileOrder tiles{ceil_div(sink.rows, kWgmmaM), ceil_div(sink.covered(), kWgmmaN)};
    emulator::launch(static_cast<unsigned>(tiles.count()), kWgmmaThreads, wgmma_shared_bytes(), order, [&] {
      wgmma_tile_kernel(a_map, b_map, a, b, sink, Counts{counts.data, counts.data + a_rows}, tiles);
    });
  };
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 33}, {192, 128, 1024}, {193, 130, 513}, {70, 300, 1537}, {65, 9, 5200}, {5, 5, 9000}};
  for (const auto& [m, n, k] : shapes) check_matrix(m, n, k, 4, launch);
  check_matrix(9, 9, 700, 8, launch);
  std::puts("ok");
}
