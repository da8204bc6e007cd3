// row_product.cuh on the host: one to eight rows, tails in columns and K.
#include "products.h"
#include "row_product.cuh"

using namespace cuda_ext;
using namespace oracle;

int main(int, char** arguments) {
  const Order order = order_of(arguments[1]);
  auto launch = [&](const PackedRows& a, const PackedRows& b, const auto& sink, int64_t, int64_t, int, int64_t) {
    emulator::launch(static_cast<unsigned>(ceil_div(sink.covered(), kRowColumns)), kRowThreads, 0, order,
                     [&] { row_product_kernel(a, b, sink); });
  };
  const int64_t shapes[][3] = {{1, 1, 1}, {1, 33, 513}, {8, 70, 1600}, {3, 520, 40}, {1, 10, 4096}, {7, 31, 512}};
  for (const auto& [m, n, k] : shapes) check_matrix(m, n, k, 4, launch);
  check_matrix(2, 9, 700, 8, launch);
  std::puts("ok");
}
