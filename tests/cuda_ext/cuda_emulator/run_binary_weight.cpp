// binary_weight.cuh on the host. The values are integers, so that every order of additions gives the same float.
#include "binary_weight.cuh"
#include "oracle.h"

using namespace cuda_ext;
using namespace oracle;

namespace {

template <class T>
void check_product(int64_t m, int64_t n, int64_t k, Order order) {
  Buffer<T> x(m * k);
  for (size_t i = 0; i < x.size; ++i) x[i] = T{static_cast<float>(static_cast<int>(draw() % 200) - 100)};
  Buffer<uint32_t> w(n * oracle::words(k));
  fill_signs(w, n, k);
  Buffer<float> out(m * n, 0.5f);
  const TileOrder tiles{ceil_div(m, kRealTileM), ceil_div(n, kRealTileN)};
  emulator::launch(static_cast<unsigned>(tiles.count()), kRealThreads, 0, order,
                   [&] { binary_weight_kernel<T>(x.data, w.data, out.data, m, n, k, tiles); });
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      int64_t expected = 0;
      for (int64_t i = 0; i < k; ++i) {
        expected += static_cast<int64_t>(as_float(x[row * k + i])) * sign_at(w, column, k, i);
      }
      if (out[row * n + column] != static_cast<float>(expected)) {
        expect(static_cast<int64_t>(2 * out[row * n + column]), 2 * expected, "twice binary_weight_matmul");
      }
    }
  }
}

}  // namespace

int main(int, char** arguments) {
  const Order order = order_of(arguments[1]);
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 33}, {129, 65, 64}, {2, 130, 513}, {128, 64, 32}, {5, 70, 1000}};
  for (const auto& [m, n, k] : shapes) {
    check_product<float>(m, n, k, order);
    check_product<__half>(m, n, k, order);
    check_product<__nv_bfloat16>(m, n, k, order);
  }
  std::puts("ok");
}
