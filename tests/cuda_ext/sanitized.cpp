// Every kernel of every instruction-set architecture (ISA) that this machine has, on buffers of exactly the right size,
// compared with plain loops; built with -fsanitize=address,undefined by test_sanitizers.py, and for arm64 by
// test_neon_emulated.py. A read past a buffer aborts it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "common/layout.h"
#include "cpu/dispatch.h"
#include "cpu/drivers.h"

using namespace qbench;

namespace {

std::mt19937 generator(1);
int64_t below(int64_t n) { return int64_t(generator() % uint64_t(n)); }

// Threads are torch's concern: here the ranges run one after the other, cut in three so that tasks begin in the middle.
int regions = 0;
void serial(int64_t n, int64_t grain, const Body& body) {
  regions++;
  if (n <= 0) return;
  const int64_t step = std::max(grain, (n + 2) / 3);
  for (int64_t i = 0; i < n; i += step) body(i, std::min(n, i + step));
}

std::vector<int> random_signs(int64_t count) {
  std::vector<int> signs(static_cast<size_t>(count));
  for (int& s : signs) s = generator() & 1 ? 1 : -1;
  return signs;
}

std::vector<uint32_t> pack(const std::vector<int>& signs, int64_t rows, int64_t k) {
  std::vector<uint32_t> out(static_cast<size_t>(rows * row_words(k)));
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t i = 0; i < k; i++) {
      if (signs[size_t(r * k + i)] > 0) out[size_t(r * row_words(k) + i / 32)] |= uint32_t(1) << (i % 32);
    }
  }
  return out;
}

// n rows of `taps` runs of k signs each.
Weights plain_weights(const std::vector<uint32_t>& bits, int64_t n, int64_t taps, int64_t k) {
  return {.plain = bits.data(),
          .blocks = nullptr,
          .n = n,
          .taps = taps,
          .stride = row_words(k),
          .words = used_words(k)};
}
Weights arranged_weights(const std::vector<uint32_t>& blocks, int64_t n, int64_t taps, int64_t k) {
  return {.plain = nullptr, .blocks = blocks.data(), .n = n, .taps = taps, .stride = 0, .words = used_words(k)};
}

#define EXPECT(condition)                                                                  \
  if (!(condition)) {                                                                      \
    std::printf("%s: line %d: %s\n", on.kernels.name, __LINE__, #condition);               \
    std::exit(1);                                                                          \
  }

struct Random {
  std::vector<int32_t> threshold;
  std::vector<int8_t> direction;
  explicit Random(int64_t n) {
    for (int64_t i = 0; i < n; i++) {
      threshold.push_back(int32_t(below(9)) - 4);
      direction.push_back(int8_t(below(3) - 1));
    }
  }
  bool bit(int64_t n, int64_t x) const {
    const int64_t t = threshold[size_t(n)];
    return direction[size_t(n)] > 0 ? x >= t : direction[size_t(n)] < 0 ? x <= t : t >= 0;
  }
};

void expect_bits(const Machine& on, const std::vector<int64_t>& sums, const Random& t, int64_t rows, int64_t n,
                 const std::vector<uint32_t>& bits) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < row_words(n) * 32; c++) {
      const bool got = bits[size_t(r * row_words(n) + c / 32)] >> (c % 32) & 1;
      EXPECT(got == (c < n && t.bit(c, sums[size_t(r * n + c)])));
    }
  }
}

// `opposite`: every sign of a differs from every one of b, so that counts are as large as they get.
void matmul(const Machine& on, int64_t m, int64_t n, int64_t k, bool opposite = false) {
  auto a = random_signs(m * k), b = random_signs(n * k);
  if (opposite) {
    std::fill(a.begin(), a.end(), 1);
    std::fill(b.begin(), b.end(), -1);
  }
  const auto pa = pack(a, m, k), pb = pack(b, n, k);
  std::vector<int64_t> expected(static_cast<size_t>(m * n));
  for (int64_t r = 0; r < m; r++) {
    for (int64_t c = 0; c < n; c++) {
      for (int64_t i = 0; i < k; i++) expected[size_t(r * n + c)] += a[size_t(r * k + i)] * b[size_t(c * k + i)];
    }
  }
  const Weights plain = plain_weights(pb, n, 1, k);
  std::vector<uint32_t> blocks(static_cast<size_t>(prepacked_size(n, 1, used_words(k))));
  prepack(on, plain, blocks.data());
  const Weights arranged = arranged_weights(blocks, n, 1, k);
  const Random t(n);
  const Thresholds thresholds{t.threshold.data(), t.direction.data()};

  std::vector<float> x(static_cast<size_t>(m * k));
  std::vector<uint8_t> bytes(static_cast<size_t>(m * k));
  for (float& v : x) v = float(below(17)) - 8;
  for (uint8_t& v : bytes) v = uint8_t(below(256));

  for (const Weights& w : {plain, arranged}) {
    std::vector<int32_t> out(static_cast<size_t>(m * n));
    xnor_matmul(on, pa.data(), row_words(k), m, w, k, nullptr, out.data());
    for (size_t i = 0; i < out.size(); i++) EXPECT(out[i] == expected[i]);
    std::vector<uint32_t> bits(static_cast<size_t>(m * row_words(n)), 0xdeadbeef);
    xnor_matmul(on, pa.data(), row_words(k), m, w, k, &thresholds, bits.data());
    expect_bits(on, expected, t, m, n, bits);

    std::vector<float> real(static_cast<size_t>(m * n));
    real_matmul(on, x.data(), Real::kFloat32, m, k, w, real.data());
    std::vector<int32_t> planes(static_cast<size_t>(m * n));
    real_matmul(on, bytes.data(), Real::kUint8, m, k, w, planes.data());
    for (int64_t r = 0; r < m; r++) {
      for (int64_t c = 0; c < n; c++) {
        int64_t sum = 0, plane = 0;
        for (int64_t i = 0; i < k; i++) {
          sum += int64_t(x[size_t(r * k + i)]) * b[size_t(c * k + i)];
          plane += int64_t(bytes[size_t(r * k + i)]) * b[size_t(c * k + i)];
        }
        EXPECT(real[size_t(r * n + c)] == float(sum));  // small integers: exact in any order
        EXPECT(planes[size_t(r * n + c)] == plane);
      }
    }
  }
}

void int8(const Machine& on, int64_t m, int64_t n, int64_t k, bool largest = false) {
  std::vector<int8_t> a(static_cast<size_t>(m * k)), b(static_cast<size_t>(n * k));
  for (int8_t& v : a) v = int8_t(below(256));
  for (int8_t& v : b) v = int8_t(below(256));
  a[0] = b[0] = -128;
  if (largest) {
    std::fill(a.begin(), a.end(), int8_t(-128));
    std::fill(b.begin(), b.end(), int8_t(-128));
  }
  std::vector<uint32_t> blocks(static_cast<size_t>(int8_prepacked_size(on.kernels, n, k)));
  int8_prepack(on, b.data(), n, k, blocks.data());
  for (const bool plain : {true, false}) {
    std::vector<int32_t> out(static_cast<size_t>(m * n));
    int8_matmul(on, a.data(), m, k, plain ? b.data() : nullptr, plain ? nullptr : blocks.data(), n, out.data());
    for (int64_t r = 0; r < m; r++) {
      for (int64_t c = 0; c < n; c++) {
        int64_t sum = 0;
        for (int64_t i = 0; i < k; i++) sum += int64_t(a[size_t(r * k + i)]) * b[size_t(c * k + i)];
        EXPECT(out[size_t(r * n + c)] == sum);
      }
    }
  }
}

// What one thread multiplies, in rows of a block of columns, and the most that any did.
int64_t threads, work, most_work;
decltype(Kernels::real_f32) multiply;

void counted(const float* tables, int64_t ldt, int64_t rows, const uint32_t* block, int64_t words, float* out,
             int64_t ldo, int64_t valid, bool first) {
  work += rows;
  multiply(tables, ldt, rows, block, words, out, ldo, valid, first);
}

// One range for each thread, as torch cuts them.
void by_thread(int64_t n, int64_t, const Body& body) {
  const int64_t step = (n + threads - 1) / threads;
  for (int64_t i = 0; i < n; i += step) {
    work = 0;
    body(i, std::min(n, i + step));
    most_work = std::max(most_work, work);
  }
}

void even_shares(const Machine& on, int64_t of, int64_t m, int64_t n) {
  Kernels kernels = on.kernels;
  multiply = kernels.real_f32;
  kernels.real_f32 = counted;
  threads = of;
  most_work = 0;
  const std::vector<float> x(static_cast<size_t>(m), 1.0f);
  const std::vector<uint32_t> w(static_cast<size_t>(n * row_words(1)), 1);
  std::vector<float> out(static_cast<size_t>(m * n));
  real_matmul({kernels, by_thread, of}, x.data(), Real::kFloat32, m, 1, plain_weights(w, n, 1, 1), out.data());
  for (const float value : out) EXPECT(value == 1.0f);
  const int64_t blocks = (n + 63) / 64;
  // at a cut, the rows of one tile in the blocks that share its tables
  EXPECT(most_work <= blocks * m / of + kRealRows * (blocks / of + 1));
}

void convolution(const Machine& on) {
  const int64_t batch = 1 + below(2), channels = 1 + below(140), n = 1 + below(140);
  Window v{};
  v.kernel_h = 1 + below(3), v.kernel_w = 1 + below(3);
  v.stride_h = 1 + below(2), v.stride_w = 1 + below(3);
  v.dilation_h = 1 + below(2), v.dilation_w = 1 + below(2);
  v.pad_h = below(3), v.pad_w = below(3);
  v.height = v.dilation_h * (v.kernel_h - 1) + 1 + below(6);
  v.width = v.dilation_w * (v.kernel_w - 1) + 1 + below(6);
  v.out_h = (v.height + 2 * v.pad_h - v.dilation_h * (v.kernel_h - 1) - 1) / v.stride_h + 1;
  v.out_w = (v.width + 2 * v.pad_w - v.dilation_w * (v.kernel_w - 1) - 1) / v.stride_w + 1;
  v.pad_value = int32_t(below(3)) - 1;
  const int64_t taps = v.kernel_h * v.kernel_w, pixels = batch * v.out_h * v.out_w;
  const auto x = random_signs(batch * v.height * v.width * channels), w = random_signs(n * taps * channels);
  const auto px = pack(x, batch * v.height * v.width, channels), pw = pack(w, n * taps, channels);
  std::vector<int64_t> expected(static_cast<size_t>(pixels * n));
  for (int64_t p = 0; p < pixels; p++) {
    const int64_t image = p / (v.out_h * v.out_w), oy = p / v.out_w % v.out_h, ox = p % v.out_w;
    for (int64_t c = 0; c < n; c++) {
      for (int64_t t = 0; t < taps; t++) {
        const int64_t y = oy * v.stride_h - v.pad_h + t / v.kernel_w * v.dilation_h;
        const int64_t z = ox * v.stride_w - v.pad_w + t % v.kernel_w * v.dilation_w;
        const bool inside = y >= 0 && y < v.height && z >= 0 && z < v.width;
        for (int64_t i = 0; i < channels; i++) {
          const int pixel = inside ? x[size_t(((image * v.height + y) * v.width + z) * channels + i)] : v.pad_value;
          expected[size_t(p * n + c)] += pixel * w[size_t((c * taps + t) * channels + i)];
        }
      }
    }
  }
  const Weights plain = plain_weights(pw, n, taps, channels);
  std::vector<uint32_t> blocks(static_cast<size_t>(prepacked_size(n, taps, used_words(channels))));
  prepack(on, plain, blocks.data());
  const Random t(n);
  const Thresholds thresholds{t.threshold.data(), t.direction.data()};
  for (const Weights& weights : {plain, arranged_weights(blocks, n, taps, channels)}) {
    std::vector<int32_t> out(static_cast<size_t>(pixels * n));
    regions = 0;
    xnor_conv2d(on, px.data(), batch, channels, v, weights, nullptr, out.data());
    EXPECT(regions == 1);  // at batch 1 each one costs
    for (size_t i = 0; i < out.size(); i++) EXPECT(out[i] == expected[i]);
    std::vector<uint32_t> bits(static_cast<size_t>(pixels * row_words(n)), 0xdeadbeef);
    xnor_conv2d(on, px.data(), batch, channels, v, weights, &thresholds, bits.data());
    expect_bits(on, expected, t, pixels, n, bits);
  }
}

template <class T>
void packing(const Machine& on, Float type, int64_t rows, int64_t k, T plus, T minus) {
  const auto signs = random_signs(rows * k);
  std::vector<T> x(static_cast<size_t>(rows * k));
  for (size_t i = 0; i < x.size(); i++) x[i] = signs[i] > 0 ? plus : minus;
  const auto expected = pack(signs, rows, k);
  std::vector<uint32_t> bits(expected.size(), 0xdeadbeef);
  pack_signs(on, x.data(), type, rows, k, bits.data());
  EXPECT(bits == expected);
  // ±1 are certain: the random signs are the signs
  std::fill(bits.begin(), bits.end(), 0xdeadbeef);
  pack_random(on, x.data(), type, rows, k, 3, 4, bits.data());
  EXPECT(bits == expected);
  std::vector<float> back(static_cast<size_t>(rows * k));
  unpack_signs(on, bits.data(), rows, k, back.data());
  for (size_t i = 0; i < back.size(); i++) EXPECT(back[i] == float(signs[i]));
}

// `patterns`: the bits of 0, -0, NaN, -NaN, ∞, -∞ and the smallest numbers of both signs.
template <class T>
void special(const Machine& on, Float type, int64_t k, const std::vector<T>& patterns) {
  const int sign_of[8] = {1, 1, -1, -1, 1, -1, 1, -1};
  std::vector<T> x;
  std::vector<int> signs;
  for (int64_t i = 0; i < k; i++) {
    const int64_t which = below(8);
    x.push_back(patterns[size_t(which)]);
    signs.push_back(sign_of[which]);
  }
  std::vector<uint32_t> bits(static_cast<size_t>(row_words(k)), 0xdeadbeef);
  pack_signs(on, x.data(), type, 1, k, bits.data());
  EXPECT(bits == pack(signs, 1, k));
}

// Number i of the stream of cuda_ext/philox.py.
uint32_t philox(uint64_t i, uint64_t seed, uint64_t offset) {
  uint64_t c[4] = {i / 4 & 0xffffffff, i / 4 >> 32, offset & 0xffffffff, offset >> 32};
  uint64_t key[2] = {seed & 0xffffffff, seed >> 32};
  for (int round = 0; round < 10; round++) {
    const uint64_t p = 0xD2511F53u * c[0], q = 0xCD9E8D57u * c[2];
    const uint64_t next[4] = {q >> 32 ^ c[1] ^ key[0], q & 0xffffffff, p >> 32 ^ c[3] ^ key[1], p & 0xffffffff};
    std::copy(next, next + 4, c);
    key[0] = (key[0] + 0x9E3779B9u) & 0xffffffff;
    key[1] = (key[1] + 0xBB67AE85u) & 0xffffffff;
  }
  return uint32_t(c[i % 4]);
}

void chances(const Machine& on, int64_t rows, int64_t k) {
  const uint64_t seed = uint64_t(generator()) << 32 | generator(), offset = uint64_t(generator()) << 32 | generator();
  std::vector<float> x(static_cast<size_t>(rows * k));
  std::vector<int> signs(x.size());
  for (size_t i = 0; i < x.size(); i++) {
    const int64_t sixteenths = below(21) - 2;  // (x + 1)/2 is so many, below 0 and above 1, too
    x[i] = float(sixteenths - 8) / 8;
    signs[i] = int64_t(philox(i, seed, offset) >> 8) < sixteenths << 20 ? 1 : -1;
  }
  std::vector<uint32_t> bits(static_cast<size_t>(rows * row_words(k)), 0xdeadbeef);
  pack_random(on, x.data(), Float::kFloat32, rows, k, seed, offset, bits.data());
  EXPECT(bits == pack(signs, rows, k));
}

void comparing(const Machine& on, int64_t rows, int64_t channels) {
  const Random t(channels);
  std::vector<int32_t> x(static_cast<size_t>(rows * channels));
  for (int32_t& v : x) v = below(8) ? int32_t(below(9)) - 4 : below(2) ? INT32_MIN : INT32_MAX;
  const std::vector<float> fx(x.begin(), x.end()), ft(t.threshold.begin(), t.threshold.end());
  const std::vector<int64_t> sums(x.begin(), x.end());
  for (const bool integers : {true, false}) {
    std::vector<uint32_t> bits(static_cast<size_t>(rows * row_words(channels)), 0xdeadbeef);
    const void* values = integers ? static_cast<const void*>(x.data()) : fx.data();
    const void* threshold = integers ? static_cast<const void*>(t.threshold.data()) : ft.data();
    threshold_pack(on, values, integers, rows, channels, threshold, t.direction.data(), bits.data());
    expect_bits(on, sums, t, rows, channels, bits);
  }
  // NaN compares with nothing: only constant channels are left
  const std::vector<float> none(static_cast<size_t>(channels), __builtin_nanf(""));
  std::vector<int> signs;
  for (int64_t c = 0; c < channels; c++) signs.push_back(!t.direction[size_t(c)] && ft[size_t(c)] >= 0 ? 1 : -1);
  std::vector<uint32_t> bits(static_cast<size_t>(row_words(channels)), 0xdeadbeef);
  threshold_pack(on, none.data(), false, 1, channels, ft.data(), t.direction.data(), bits.data());
  EXPECT(bits == pack(signs, 1, channels));
}

// Carry-save popcount: the kernels alone on one tile and one block; where `opposite`, all bits differ.
void carry_save(const Machine& on, int64_t n, int64_t k, bool opposite = false) {
  const CarrySave& kernels = *on.kernels.carry_save;
  const int64_t m = kCarrySaveRows, words = used_words(k);
  std::vector<int> a(size_t(m * k), 1), b(size_t(n * k), -1);
  if (!opposite) a = random_signs(m * k), b = random_signs(n * k);
  const auto pa = pack(a, m, k), pb = pack(b, n, k);
  std::vector<uint32_t> block(size_t(words * kColumns)), tile(size_t(words * kCarrySaveTileWord + kCarrySaveTail)),
      columns(size_t(words * kCarrySaveBlockWord + kCarrySaveTail));
  on.kernels.arrange(pb.data(), row_words(k), n, words, block.data());
  kernels.rewrite_rows(pa.data(), row_words(k), words, tile.data());
  kernels.rewrite_columns(block.data(), words, columns.data());
  // a base of its own for each row, as at a convolution's border
  std::vector<int32_t> base(size_t(m * kColumns));
  for (int32_t& x : base) x = int32_t(below(1000));
  std::vector<const int32_t*> bases;
  std::vector<int64_t> expected(size_t(m * n));
  for (int64_t r = 0; r < m; r++) {
    bases.push_back(base.data() + r * kColumns);
    for (int64_t c = 0; c < n; c++) {
      int64_t different = 0;
      for (int64_t i = 0; i < k; i++) different += a[size_t(r * k + i)] != b[size_t(c * k + i)];
      expected[size_t(r * n + c)] = base[size_t(r * kColumns + c)] - 2 * different;
    }
  }
  std::vector<int32_t> out(size_t(m * n));
  kernels.xnor(tile.data(), columns.data(), words, bases.data(), out.data(), n, n, false);
  for (size_t i = 0; i < out.size(); i++) EXPECT(out[i] == expected[i]);

  std::vector<uint32_t> threshold(kColumns), flip(kColumns), keep(2), set(2), bits(size_t(m * ((n + 31) / 32)));
  for (int64_t c = 0; c < n; c++) {
    flip[size_t(c)] = below(2) ? 0xffffffff : 0;
    threshold[size_t(c)] = uint32_t(int32_t(expected[size_t(c)])) ^ flip[size_t(c)];  // row 0 is equal to it everywhere
    keep[size_t(c / 32)] |= uint32_t(1) << (c % 32);
  }
  set[0] = uint32_t(below(2));
  const Comparison rule{threshold.data(), flip.data(), keep.data(), set.data()};
  kernels.xnor_sign(tile.data(), columns.data(), words, bases.data(), rule, bits.data(), (n + 31) / 32, n);
  for (int64_t r = 0; r < m; r++) {
    for (int64_t c = 0; c < (n + 31) / 32 * 32; c++) {
      const int64_t x = c < n ? expected[size_t(r * n + c)] : 0, t = c < n ? expected[size_t(c)] : 1;
      const bool want = (c == 0 && set[0]) || (c < n && (flip[size_t(c)] ? x <= t : x >= t));
      EXPECT((bits[size_t(r * ((n + 31) / 32) + c / 32)] >> (c % 32) & 1) == want);
    }
  }
}

decltype(CarrySave::xnor) multiply_carry_save;

void counted_carry_save(const uint32_t* tile, const uint32_t* columns, int64_t words, const int32_t* const* base,
                        int32_t* out, int64_t ldo, int64_t valid, bool stream) {
  work++;
  multiply_carry_save(tile, columns, words, base, out, ldo, valid, stream);
}

// The tiles by blocks of a product that the busiest of `of` threads does by carry-save popcount; 0: it is not done so.
int64_t by_carry_save(const Machine& on, int64_t of, int64_t m, int64_t n, int64_t k) {
  Kernels kernels = on.kernels;
  CarrySave counting = *kernels.carry_save;
  multiply_carry_save = counting.xnor;
  counting.xnor = counted_carry_save;
  kernels.carry_save = &counting;
  threads = of;
  most_work = 0;
  std::vector<int> b(size_t(n * k));
  for (size_t i = 0; i < b.size(); i++) b[i] = int64_t(i) / k % 3 ? 1 : -1;
  const auto pa = pack(std::vector<int>(size_t(m * k), 1), m, k), pb = pack(b, n, k);
  std::vector<int32_t> out(size_t(m * n));
  xnor_matmul({kernels, by_thread, of}, pa.data(), row_words(k), m, plain_weights(pb, n, 1, k), k, nullptr, out.data());
  for (size_t i = 0; i < out.size(); i++) EXPECT(out[i] == (int64_t(i) % n % 3 ? k : -k));
  return most_work;
}

void carry_save_where_it_pays(const Machine& on) {
  EXPECT(by_carry_save(on, 1, 96, 449, 2017) == 6 * 8);
  EXPECT(by_carry_save(on, 1, 95, 449, 2017) == 0);
  EXPECT(by_carry_save(on, 1, 96, 448, 2017) == 0);
  EXPECT(by_carry_save(on, 1, 96, 449, 2016) == 0);
  EXPECT(by_carry_save(on, 1, 96, 449, 32736) == 6 * 8);
  EXPECT(by_carry_save(on, 1, 96, 449, 32737) == 0);
  EXPECT(by_carry_save(on, 2, 96, 449, 2017) == 0);     // a thread would have less than that
  EXPECT(by_carry_save(on, 2, 192, 449, 2017) == 6 * 8);
  EXPECT(by_carry_save(on, 2, 96, 961, 2017) == 6 * 8);
  EXPECT(by_carry_save(on, 1, 300, 705, 32000) == 18 * 12);  // rows in more than one chunk, blocks in ragged groups
  // even shares, or none
  EXPECT(by_carry_save(on, 7, 1024, 1024, 2048) == 160);
  EXPECT(by_carry_save(on, 12, 1024, 4096, 2048) == 352);
  EXPECT(by_carry_save(on, 16, 200, 1024, 2048) == 0);
}

}  // namespace

int main() {
  std::string isas = qbench_supported_isas();
  isas += ',';
  for (size_t start = 0, end; (end = isas.find(',', start)) != std::string::npos; start = end + 1) {
    if (qbench_select_isa(isas.substr(start, end - start).c_str())) return 2;
    const Machine on{selected_kernels(), serial, 2};
    int8(on, 130, 70, 8300);  // k in two passes, rows in two chunks
    int8(on, 5, 70, 300, true);
    matmul(on, 2, 70, 2600, true);
    matmul(on, 5, 70, 2600, true);
    matmul(on, 6, 70, 2600);  // more than one table's depth
    EXPECT(!on.kernels.peak || on.kernels.peak(3) == 3 * on.kernels.peak(1));
    if (on.kernels.carry_save) {
      EXPECT(on.kernels.carry_save->peak(3) == 3 * on.kernels.carry_save->peak(1));
      for (int64_t k : {1, 2, 31, 32, 33, 63, 64, 65, 511, 512, 513}) carry_save(on, 1 + below(64), k);
      for (int64_t n : {1, 15, 16, 17, 33, 48, 49, 64}) carry_save(on, n, 1 + below(1200));
      for (int64_t words : {1, 2, 3, 4, 7, 8, 15, 16, 31, 64, 500, 1022, 1023}) {
        carry_save(on, 5, 32 * words - below(2), true);
      }
      carry_save_where_it_pays(on);
      matmul(on, 205, 8 * 64 - 7, 64 * 32);
    }
    even_shares(on, 2, 200, 192);
    even_shares(on, 16, 200, 17 * 64);
    even_shares(on, 5, 200, 70);
    for (int i = 0; i < 12; i++) {
      matmul(on, 1 + below(i < 4 ? 4 : 20), 1 + below(200), 1 + below(1200));
      int8(on, 1 + below(20), 1 + below(140), 1 + below(300));
      convolution(on);
      packing<float>(on, Float::kFloat32, 1 + below(5), 1 + below(1100), 1.0f, -1.0f);
      packing<double>(on, Float::kFloat64, 1 + below(5), 1 + below(1100), 1.0, -1.0);
      packing<uint16_t>(on, Float::kFloat16, 1 + below(5), 1 + below(1100), 0x3c00, 0xbc00);
      packing<uint16_t>(on, Float::kBFloat16, 1 + below(5), 1 + below(1100), 0x3f80, 0xbf80);
      comparing(on, 1 + below(5), 1 + below(1100));
      chances(on, 1 + below(5), 1 + below(1100));
      constexpr uint64_t sign = uint64_t(1) << 63, infinity = uint64_t(0x7ff) << 52, nan = infinity | 1;
      special<uint64_t>(on, Float::kFloat64, 1 + below(600),
                        {0, sign, nan, sign | nan, infinity, sign | infinity, 1, sign | 1});
      special<uint32_t>(on, Float::kFloat32, 1 + below(600),
                        {0, 1u << 31, 0x7f800001, 0xff800001, 0x7f800000, 0xff800000, 1, 1u << 31 | 1});
      special<uint16_t>(on, Float::kFloat16, 1 + below(600), {0, 0x8000, 0x7c01, 0xfc01, 0x7c00, 0xfc00, 1, 0x8001});
      special<uint16_t>(on, Float::kBFloat16, 1 + below(600), {0, 0x8000, 0x7f81, 0xff81, 0x7f80, 0xff80, 1, 0x8001});
    }
    std::printf("%s ok\n", on.kernels.name);
  }
}
