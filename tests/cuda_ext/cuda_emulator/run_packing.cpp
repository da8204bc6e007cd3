// packing.cuh on the host: every element type, tails, more units than the grid has warps.
#include <cmath>
#include <limits>

#include "oracle.h"
#include "packing.cuh"

using namespace cuda_ext;
using namespace oracle;

namespace {

// The stream in plain 64-bit arithmetic: number `index` of (seed, offset).
uint32_t random_number(uint64_t seed, uint64_t offset, uint64_t index) {
  const uint64_t block = index / 4, mask = 0xffffffffu;
  uint64_t c[4] = {block & mask, block >> 32, offset & mask, offset >> 32}, key[2] = {seed & mask, seed >> 32};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = c[0] * 0xD2511F53u, p1 = c[2] * 0xCD9E8D57u;
    const uint64_t next[4] = {(p1 >> 32) ^ c[1] ^ key[0], p1 & mask, (p0 >> 32) ^ c[3] ^ key[1], p0 & mask};
    std::copy(next, next + 4, c);
    key[0] = (key[0] + 0x9E3779B9u) & mask, key[1] = (key[1] + 0xBB67AE85u) & mask;
  }
  return static_cast<uint32_t>(c[index % 4]);
}

double number_of(double x) { return x; }
double number_of(__half x) { return x.value; }
double number_of(__nv_bfloat16 x) { return x.value; }

template <class T>
T element() {
  constexpr double kSpecial[] = {0.0, -0.0, 1.0, -1.0, -1e-300, 1e30, -1e30};
  const auto pick = draw() % 12;
  double value = std::uniform_real_distribution<double>(-1.5, 1.5)(generator());
  if (pick < 7) value = kSpecial[pick];
  if (pick == 7) value = std::numeric_limits<double>::quiet_NaN();
  if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return T{static_cast<float>(value)};
  }
}

template <class T>
void run_float(int64_t rows, int64_t k, unsigned grid, Order order) {
  const std::string where = "rows " + std::to_string(rows) + " k " + std::to_string(k);
  Buffer<T> x(rows * k);
  for (size_t i = 0; i < x.size; ++i) x[i] = element<T>();
  const int64_t units = rows * packed_steps(k);
  Buffer<uint32_t> out(rows * words(k), 0xdeadbeefu);
  emulator::launch(grid, kPackThreads, 0, order, [&] { pack_signs_kernel<T>(x.data, out.data, units, k); });
  expect_packed(out, rows, k, "pack_signs " + where,
                [&](int64_t row, int64_t i) { return number_of(x[row * k + i]) >= 0.0; });

  Buffer<int64_t> seed(2);
  seed[0] = static_cast<int64_t>(draw()), seed[1] = static_cast<int64_t>(draw());
  std::fill(out.data, out.data + out.size, 0xdeadbeefu);
  emulator::launch(grid, kPackThreads, 0, order,
                   [&] { pack_signs_stochastic_kernel<T>(x.data, seed.data, out.data, units, k); });
  expect_packed(out, rows, k, "pack_signs_stochastic " + where, [&](int64_t row, int64_t i) {
    const float p = (static_cast<float>(number_of(x[row * k + i])) + 1.0f) * 0.5f;
    const double u = random_number(seed[0], seed[1], row * k + i) >> 8;
    return u < 16777216.0 * (std::isnan(p) ? 0.0 : std::fmin(std::fmax(p, 0.0f), 1.0f));
  });
}

template <class T>
void run_threshold(int64_t rows, int64_t k, unsigned grid, Order order) {
  Buffer<T> x(rows * k), threshold(k);
  Buffer<int8_t> direction(k);
  // Few values, so that many sit on the threshold.
  for (size_t i = 0; i < x.size; ++i) x[i] = static_cast<T>(static_cast<int>(draw() % 7) - 3);
  for (int64_t i = 0; i < k; ++i) {
    threshold[i] = static_cast<T>(static_cast<int>(draw() % 5) - 2);
    direction[i] = static_cast<int8_t>(static_cast<int>(draw() % 3) - 1);
  }
  if constexpr (std::is_same_v<T, float>) x[0] = std::numeric_limits<float>::quiet_NaN();
  Buffer<uint32_t> out(rows * words(k), 0xdeadbeefu);
  emulator::launch(grid, kPackThreads, 0, order, [&] {
    sign_threshold_pack_kernel<T>(x.data, threshold.data, direction.data, out.data, rows * packed_steps(k), k);
  });
  expect_packed(out, rows, k, "sign_threshold_pack", [&](int64_t row, int64_t i) {
    const T value = x[row * k + i];
    return direction[i] > 0 ? value >= threshold[i] : direction[i] < 0 ? value <= threshold[i] : threshold[i] >= 0;
  });
}

void run_unpack(int64_t rows, int64_t k, unsigned grid, Order order) {
  Buffer<uint32_t> bits(rows * words(k));
  fill_signs(bits, rows, k);
  Buffer<float> out(rows * k, 7.0f);
  emulator::launch(grid, kPackThreads, 0, order,
                   [&] { unpack_signs_kernel(bits.data, out.data, rows * packed_steps(k), k); });
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < k; ++i) {
      expect(static_cast<int64_t>(out[row * k + i]), sign_at(bits, row, k, i), "unpack_signs");
    }
  }
}

}  // namespace

int main(int, char** arguments) {
  const Order order = order_of(arguments[1]);
  const int64_t shapes[][2] = {{1, 1}, {3, 31}, {2, 32}, {5, 33}, {2, 511}, {3, 512}, {2, 513}, {1, 1537}, {7, 100}, {20, 5}};
  for (const auto& [rows, k] : shapes) {
    for (unsigned grid : {1u, 3u}) {
      run_float<float>(rows, k, grid, order);
      run_float<double>(rows, k, grid, order);
      run_float<__half>(rows, k, grid, order);
      run_float<__nv_bfloat16>(rows, k, grid, order);
      run_threshold<int32_t>(rows, k, grid, order);
      run_threshold<float>(rows, k, grid, order);
      run_unpack(rows, k, grid, order);
    }
  }
  std::puts("ok");
}
