// Operations on each row apart: packing, unpacking, comparing.
#include "blocking.h"
#include "floats.h"

namespace qbench {
namespace {

// Rows per task so that a task is worth a thread's start.
int64_t row_grain(int64_t k) { return std::max<int64_t>(1, 32768 / k); }

}  // namespace

void pack_signs(const Machine& on, const void* x, Float type, int64_t rows, int64_t k, uint32_t* out) {
  const Kernels& p = on.kernels;
  const int64_t words = row_words(k);
  clear_tails(out, rows, k);
  on.parallel(rows, row_grain(k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      uint32_t* to = out + r * words;
      switch (type) {
        case Float::kFloat32: p.pack_f32(static_cast<const float*>(x) + r * k, k, to); break;
        case Float::kFloat64: p.pack_f64(static_cast<const double*>(x) + r * k, k, to); break;
        case Float::kFloat16: p.pack_16(static_cast<const uint16_t*>(x) + r * k, k, 0x7c00, to); break;
        case Float::kBFloat16: p.pack_16(static_cast<const uint16_t*>(x) + r * k, k, 0x7f80, to); break;
      }
    }
  });
}

void pack_random(const Machine& on, const void* x, Float type, int64_t rows, int64_t k, uint64_t seed, uint64_t offset,
                 uint32_t* out) {
  const int64_t words = row_words(k);
  clear_tails(out, rows, k);
  on.parallel(rows, row_grain(k), [&](int64_t begin, int64_t end) {
    Scratch<float> row(type == Float::kFloat32 ? 0 : k);
    for (int64_t r = begin; r < end; r++) {
      const float* source = row.get();
      switch (type) {
        case Float::kFloat32: source = static_cast<const float*>(x) + r * k; break;
        case Float::kFloat64:
          for (int64_t i = 0; i < k; i++) row.get()[i] = to_float(static_cast<const double*>(x)[r * k + i]);
          break;
        case Float::kFloat16:
          for (int64_t i = 0; i < k; i++) row.get()[i] = to_float(static_cast<const Half*>(x)[r * k + i]);
          break;
        case Float::kBFloat16:
          for (int64_t i = 0; i < k; i++) row.get()[i] = to_float(static_cast<const BFloat*>(x)[r * k + i]);
          break;
      }
      on.kernels.pack_random(source, k, uint64_t(r) * uint64_t(k), seed, offset, out + r * words);
    }
  });
}

void unpack_signs(const Machine& on, const uint32_t* bits, int64_t rows, int64_t k, float* out) {
  const int64_t words = row_words(k);
  on.parallel(rows, row_grain(k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) on.kernels.unpack(bits + r * words, k, out + r * k);
  });
}

void threshold_pack(const Machine& on, const void* x, bool integers, int64_t rows, int64_t channels,
                    const void* threshold, const int8_t* direction, uint32_t* out) {
  const Compiled compiled(threshold, direction, channels, integers ? kFlipInt : kFlipFloat, integers);
  const Comparison comparison = compiled.from(0);
  const int64_t words = row_words(channels);
  clear_tails(out, rows, channels);
  on.parallel(rows, row_grain(channels), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      if (integers) {
        on.kernels.compare_i32(static_cast<const int32_t*>(x) + r * channels, channels, comparison, out + r * words);
      } else {
        on.kernels.compare_f32(static_cast<const float*>(x) + r * channels, channels, comparison, out + r * words);
      }
    }
  });
}

}  // namespace qbench
