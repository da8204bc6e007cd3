// word_tile.cuh on the host: its four operations, tails in every dimension; and the order of tiles.
#include "products.h"
#include "word_tile.cuh"

using namespace cuda_ext;
using namespace oracle;

namespace {

void check_bytes(int64_t m, int64_t n, int64_t k, int64_t shift, Order order) {
  // `shift` moves the first row off its 16 bytes.
  Buffer<uint8_t> a(m * k + shift), b(n * k + shift);
  for (size_t i = 0; i < a.size; ++i) a[i] = static_cast<uint8_t>(draw() % 4 == 0 ? 0x80 : draw());
  for (size_t i = 0; i < b.size; ++i) b[i] = static_cast<uint8_t>(draw() % 4 == 0 ? 0x80 : draw());
  const bool aligned = shift == 0 && k % 16 == 0;
  const ByteRows left{a.data + shift, m, k, aligned}, right{b.data + shift, n, k, aligned};
  Buffer<uint32_t> w(n * oracle::words(k));
  fill_signs(w, n, k);
  const SignBytes weights{w.data, n, oracle::words(k), k};
  const TileOrder tiles{ceil_div(m, kWordTile), ceil_div(n, kWordTile)};
  const unsigned grid = static_cast<unsigned>(tiles.count());
  Buffer<int32_t> out(m * n, 0x5eadbeef), planes(m * n, 0x5eadbeef);
  emulator::launch(grid, kWordThreads, 0, order, [&] {
    word_tile_kernel<ByteProduct<true>>(left, right, Int32Sink{out.data, m, n}, tiles);
  });
  emulator::launch(grid, kWordThreads, 0, order, [&] {
    word_tile_kernel<ByteProduct<false>>(left, weights, Int32Sink{planes.data, m, n}, tiles);
  });
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      int64_t expected = 0, expected_plane = 0;
      for (int64_t i = 0; i < k; ++i) {
        const uint8_t x = a[shift + row * k + i];
        expected += static_cast<int8_t>(x) * static_cast<int8_t>(b[shift + column * k + i]);
        expected_plane += x * sign_at(w, column, k, i);
      }
      expect(out[row * n + column], expected, "int8_matmul");
      expect(planes[row * n + column], expected_plane, "bitplane_matmul");
    }
  }
}

void check_tile_order() {
  for (int64_t down = 1; down < 40; ++down) {
    for (int64_t across = 1; across < 20; ++across) {
      const TileOrder order{down, across};
      std::vector<int> seen(down * across);
      for (int64_t block = 0; block < order.count(); ++block) {
        const Tile tile = order.at(block);
        if (tile.m < 0 || tile.m >= down || tile.n < 0 || tile.n >= across) emulator::fail("a tile outside");
        ++seen[tile.m * across + tile.n];
      }
      for (int count : seen) expect(count, 1, "tile order");
    }
  }
}

}  // namespace

int main(int, char** arguments) {
  const Order order = order_of(arguments[1]);
  check_tile_order();
  auto launch = [&](const auto& a, const PackedRows& b, const auto& sink, int64_t, int64_t, int, int64_t) {
    const TileOrder tiles{ceil_div(sink.rows, kWordTile), ceil_div(sink.covered(), kWordTile)};
    emulator::launch(static_cast<unsigned>(tiles.count()), kWordThreads, 0, order,
                     [&] { word_tile_kernel<SignProduct>(a, b, sink, tiles); });
  };
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 33}, {64, 64, 512}, {65, 70, 513}, {2, 130, 1600}, {130, 2, 31}, {70, 600, 40}};
  for (const auto& [m, n, k] : shapes) check_matrix(m, n, k, 4, launch);
  check_matrix(9, 9, 700, 8, launch);
  check_convolutions(launch);
  const int64_t byte_shapes[][4] = {{1, 1, 1, 0}, {3, 5, 17, 0}, {65, 66, 64, 0}, {2, 3, 128, 1}, {5, 70, 131, 3}, {4, 4, 48, 0}, {2, 2, 4000, 0}};
  for (const auto& [m, n, k, shift] : byte_shapes) check_bytes(m, n, k, shift, order);
  std::puts("ok");
}
