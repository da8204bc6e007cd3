// float16 and bfloat16 as float32, without the processor's help.
#pragma once
#include <cstdint>
#include <cstring>

namespace qbench {

inline float from_bits(uint32_t raw) {
  float value;
  std::memcpy(&value, &raw, 4);
  return value;
}

inline float from_half(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
  if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = float(fraction) * 0x1p-24f;
  return sign ? -small : small;
}

inline float to_float(float x) { return x; }
inline float to_float(double x) { return float(x); }

struct Half {
  uint16_t raw;
};
struct BFloat {
  uint16_t raw;
};
inline float to_float(Half x) { return from_half(x.raw); }
inline float to_float(BFloat x) { return from_bits(uint32_t(x.raw) << 16); }

}  // namespace qbench
