// Binary products, as matrices and as convolutions, for whichever kernel `Launch` starts: launch(a, b, sink, ...).
#pragma once

#include "oracle.h"
#include "sinks.cuh"
#include "sources.cuh"

namespace oracle {

struct Thresholds {
  explicit Thresholds(int64_t columns, int64_t k) : threshold(columns), direction(columns) {
    for (int64_t n = 0; n < columns; ++n) {
      threshold[n] = static_cast<int32_t>(draw() % 9) - 4 + static_cast<int32_t>(k % 2);
      direction[n] = static_cast<int8_t>(static_cast<int>(draw() % 3) - 1);
    }
  }
  Buffer<int32_t> threshold;
  Buffer<int8_t> direction;
};

struct Scales {
  explicit Scales(int64_t columns) : scale(columns), shift(columns) {
    for (int64_t n = 0; n < columns; ++n) {
      scale[n] = static_cast<float>(static_cast<int>(draw() % 2001) - 1000) / 3000.0f;
      shift[n] = static_cast<float>(static_cast<int>(draw() % 2001) - 1000) / 700.0f;
    }
  }
  Buffer<float> scale, shift;
};

// The reference's bits: product, sum and float16 each rounded (the programs are compiled without contraction).
inline void expect_halves(const Buffer<__half>& out, const std::vector<int64_t>& sums, const Scales& s,
                          const std::string& where) {
  for (size_t i = 0; i < out.size; ++i) {
    const size_t n = i % s.scale.size;
    const auto half = static_cast<_Float16>(static_cast<float>(sums[i]) * s.scale[n] + s.shift[n]);
    if (out[i].value != static_cast<float>(half)) emulator::fail(where + " element " + std::to_string(i));
  }
}

// launch(a, b, sink, a_rows, b_rows, steps): packed rows counted one by one, of `steps` steps each.
template <class Launch>
void check_matrix(int64_t m, int64_t n, int64_t k, int ones, Launch launch) {
  const std::string where = std::to_string(m) + "×" + std::to_string(n) + "×" + std::to_string(k);
  Buffer<uint32_t> a_bits(m * words(k)), b_bits(n * words(k));
  fill_signs(a_bits, m, k, ones);
  fill_signs(b_bits, n, k);
  const int steps = static_cast<int>(words(k) / 16);
  const cuda_ext::PackedRows a{a_bits.data, m, steps, static_cast<int32_t>(k)};
  const cuda_ext::PackedRows b{b_bits.data, n, steps, static_cast<int32_t>(k)};
  const std::vector<int8_t> a_signs = signs_of(a_bits, m, k), b_signs = signs_of(b_bits, n, k);
  std::vector<int64_t> expected(m * n);
  for (int64_t i = 0; i < m * n; ++i) expected[i] = dot(&a_signs[i / n * k], &b_signs[i % n * k], k);
  Buffer<int32_t> out(m * n, 0x5eadbeef);
  launch(a, b, cuda_ext::Int32Sink{out.data, m, n}, m, n, steps, int64_t{0});
  for (int64_t i = 0; i < m * n; ++i) expect(out[i], expected[i], "product " + where + " element " + std::to_string(i));

  Scales s(n);
  Buffer<__half> halves(m * n, __half{-7.0f});
  launch(a, b, cuda_ext::HalfSink{halves.data, s.scale.data, s.shift.data, m, n}, m, n, steps, int64_t{0});
  expect_halves(halves, expected, s, "halves " + where);

  Thresholds t(n, k);
  Buffer<uint32_t> packed(m * words(n), 0xdeadbeefu);
  launch(a, b, cuda_ext::SignSink{packed.data, t.threshold.data, t.direction.data, m, n}, m, n, steps, int64_t{0});
  expect_packed(packed, m, n, "signs " + where, [&](int64_t row, int64_t column) {
    return threshold_bit(expected[row * n + column], t.threshold[column], t.direction[column]);
  });
}

struct Convolution {
  int64_t batch, height, width, channels, filters;
  int64_t kernel[2], stride[2], padding[2], dilation[2];
};

template <int kPad, class Launch>
void check_convolution(const Convolution& c, Launch launch) {
  const auto out_size = [&](int axis, int64_t size) {
    return (size + 2 * c.padding[axis] - c.dilation[axis] * (c.kernel[axis] - 1) - 1) / c.stride[axis] + 1;
  };
  const int64_t out_h = out_size(0, c.height), out_w = out_size(1, c.width), taps = c.kernel[0] * c.kernel[1];
  const int64_t pixels = c.batch * c.height * c.width, rows = c.batch * out_h * out_w;
  Buffer<uint32_t> x(pixels * words(c.channels)), w(c.filters * taps * words(c.channels));
  fill_signs(x, pixels, c.channels);
  fill_signs(w, c.filters * taps, c.channels, 3);
  const cuda_ext::Window window{
      .batch = c.batch,
      .height = c.height,
      .width = c.width,
      .out_height = out_h,
      .out_width = out_w,
      .kernel_h = c.kernel[0],
      .kernel_w = c.kernel[1],
      .stride_h = c.stride[0],
      .stride_w = c.stride[1],
      .pad_h = c.padding[0],
      .pad_w = c.padding[1],
      .dilation_h = c.dilation[0],
      .dilation_w = c.dilation[1],
  };
  const int pixel_steps = static_cast<int>(words(c.channels) / 16);
  const cuda_ext::ImageRows<kPad> a{
      .bits = x.data,
      .rows = rows,
      .window = window,
      .channels = c.channels,
      .pixel_steps = pixel_steps,
      .ones = nullptr,
  };
  const cuda_ext::PackedRows b{w.data, c.filters, static_cast<int>(taps) * pixel_steps,
                               static_cast<int32_t>(taps * c.channels)};
  const std::vector<int8_t> x_signs = signs_of(x, pixels, c.channels), w_signs = signs_of(w, c.filters * taps, c.channels);
  const std::vector<int8_t> pad(c.channels, static_cast<int8_t>(kPad));
  std::vector<int64_t> expected(rows * c.filters);
  for (int64_t image = 0, at = 0; image < c.batch; ++image) {
    for (int64_t oy = 0; oy < out_h; ++oy) {
      for (int64_t ox = 0; ox < out_w; ++ox) {
        for (int64_t o = 0; o < c.filters; ++o, ++at) {
          for (int64_t i = 0; i < c.kernel[0]; ++i) {
            for (int64_t j = 0; j < c.kernel[1]; ++j) {
              const int64_t y = oy * c.stride[0] + i * c.dilation[0] - c.padding[0];
              const int64_t z = ox * c.stride[1] + j * c.dilation[1] - c.padding[1];
              const bool inside = y >= 0 && y < c.height && z >= 0 && z < c.width;
              const int64_t pixel = (image * c.height + y) * c.width + z;
              expected[at] += dot(inside ? &x_signs[pixel * c.channels] : pad.data(),
                                  &w_signs[(o * taps + i * c.kernel[1] + j) * c.channels], c.channels);
            }
          }
        }
      }
    }
  }
  const int64_t ones = kPad == 1 ? c.channels : 0;
  Buffer<int32_t> out(rows * c.filters, 0x5eadbeef);
  launch(a, b, cuda_ext::Int32Sink{out.data, rows, c.filters}, pixels, c.filters * taps, pixel_steps, ones);
  for (size_t i = 0; i < out.size; ++i) {
    expect(out[i], expected[i], "convolution, pad " + std::to_string(kPad) + ", element " + std::to_string(i));
  }
  Scales s(c.filters);
  Buffer<__half> halves(rows * c.filters, __half{-7.0f});
  launch(a, b, cuda_ext::HalfSink{halves.data, s.scale.data, s.shift.data, rows, c.filters}, pixels, c.filters * taps,
         pixel_steps, ones);
  expect_halves(halves, expected, s, "convolution halves");

  Thresholds t(c.filters, c.channels);
  Buffer<uint32_t> packed(rows * words(c.filters), 0xdeadbeefu);
  launch(a, b, cuda_ext::SignSink{packed.data, t.threshold.data, t.direction.data, rows, c.filters}, pixels,
         c.filters * taps, pixel_steps, ones);
  expect_packed(packed, rows, c.filters, "convolution signs", [&](int64_t row, int64_t column) {
    return threshold_bit(expected[row * c.filters + column], t.threshold[column], t.direction[column]);
  });
}

template <class Launch>
void check_convolutions(Launch launch) {
  const Convolution cases[] = {
      {1, 5, 6, 33, 7, {3, 3}, {1, 1}, {1, 1}, {1, 1}},   {2, 4, 4, 520, 70, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
      {1, 7, 5, 64, 5, {2, 3}, {2, 1}, {0, 2}, {1, 2}},   {2, 9, 8, 100, 3, {5, 1}, {3, 2}, {4, 3}, {1, 1}},
      {1, 6, 6, 512, 33, {1, 1}, {1, 1}, {0, 0}, {1, 1}}, {1, 3, 3, 31, 2, {3, 3}, {2, 2}, {5, 5}, {3, 3}},
  };
  for (const Convolution& c : cases) {
    check_convolution<0>(c, launch);
    check_convolution<1>(c, launch);
    check_convolution<-1>(c, launch);
  }
}

}  // namespace oracle
