// What the kernels have to give, by plain loops over int64, and random operands whose buffers end where their data does.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "emulator.h"

namespace oracle {

using emulator::Order;

inline std::mt19937_64& generator() {
  static std::mt19937_64 numbers(20240607);
  return numbers;
}

inline uint64_t draw() { return generator()(); }

inline int64_t words(int64_t k) { return 16 * ((k + 511) / 512); }

// 16-byte aligned memory of exactly `count` values: the address sanitizer sees a read past its end.
template <class T>
struct Buffer {
  explicit Buffer(size_t count, T value = T()) : size(count), data(new (std::align_val_t(16)) T[count]) {
    std::fill(data, data + count, value);
  }
  ~Buffer() { ::operator delete[](data, std::align_val_t(16)); }
  Buffer(const Buffer&) = delete;
  T& operator[](size_t i) { return data[i]; }
  const T& operator[](size_t i) const { return data[i]; }

  size_t size;
  T* data;
};

// Random packed rows with zero padding; `ones` in 0..8 is how many eighths of the bits are set.
inline void fill_signs(Buffer<uint32_t>& bits, int64_t rows, int64_t k, int ones = 4) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < k; ++i) {
      if (static_cast<int>(draw() % 8) < ones) bits[row * words(k) + i / 32] |= 1u << (i % 32);
    }
  }
}

inline int64_t sign_at(const Buffer<uint32_t>& bits, int64_t row, int64_t k, int64_t i) {
  return bits[row * words(k) + i / 32] >> (i % 32) & 1 ? 1 : -1;
}

inline std::vector<int8_t> signs_of(const Buffer<uint32_t>& bits, int64_t rows, int64_t k) {
  std::vector<int8_t> signs(rows * k);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < k; ++i) signs[row * k + i] = static_cast<int8_t>(sign_at(bits, row, k, i));
  }
  return signs;
}

// Σ left[i]·right[i] over `count` elements.
inline int64_t dot(const int8_t* left, const int8_t* right, int64_t count) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += left[i] * right[i];
  return sum;
}

inline bool threshold_bit(int64_t value, int64_t threshold, int direction) {
  return direction > 0 ? value >= threshold : direction < 0 ? value <= threshold : threshold >= 0;
}

inline void expect(int64_t got, int64_t expected, const std::string& where) {
  if (got != expected) {
    emulator::fail(where + ": expected " + std::to_string(expected) + ", got " + std::to_string(got));
  }
}

// Every word of packed rows, padding included, against bit(row, column).
template <class Bit>
void expect_packed(const Buffer<uint32_t>& out, int64_t rows, int64_t columns, const std::string& where, Bit bit) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t word = 0; word < words(columns); ++word) {
      uint32_t expected = 0;
      for (int i = 0; i < 32; ++i) {
        const int64_t column = word * 32 + i;
        if (column < columns && bit(row, column)) expected |= 1u << i;
      }
      expect(out[row * words(columns) + word], expected,
             where + " row " + std::to_string(row) + " word " + std::to_string(word));
    }
  }
}

inline Order order_of(const char* name) {
  const std::string order = name;
  if (order == "forward") return Order::forward;
  if (order == "backward") return Order::backward;
  if (order == "shuffled") return Order::shuffled;
  emulator::fail("expected forward, backward or shuffled, got " + order);
}

}  // namespace oracle
