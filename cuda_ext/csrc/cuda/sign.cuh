// The three questions whose answer is one bit. Not run on a GPU yet. NaN answers false to all of them.
#pragma once

#include "device.cuh"

namespace cuda_ext {

CUDA_EXT_BOTH float as_float(float x) { return x; }
// Rounds to nearest, as torch's conversion.
CUDA_EXT_BOTH float as_float(double x) { return static_cast<float>(x); }
CUDA_EXT_BOTH float as_float(__half x) { return __half2float(x); }
CUDA_EXT_BOTH float as_float(__nv_bfloat16 x) { return __bfloat162float(x); }

// x >= 0. A double is compared as one: a tiny negative would round to -0.0f, which counts as positive.
CUDA_EXT_BOTH bool is_positive(double x) { return x >= 0.0; }
CUDA_EXT_BOTH bool is_positive(float x) { return x >= 0.0f; }
CUDA_EXT_BOTH bool is_positive(__half x) { return as_float(x) >= 0.0f; }
CUDA_EXT_BOTH bool is_positive(__nv_bfloat16 x) { return as_float(x) >= 0.0f; }

// ⌊random/2^8⌋ < 2^24·clip((x + 1)/2, 0, 1): both sides are exact in float32 (see reference.pack_signs_stochastic).
CUDA_EXT_BOTH bool is_drawn(float x, uint32_t random) {
  const float p = (x + 1.0f) * 0.5f;
  if (!(p > 0.0f)) return false;  // p <= 0 is never drawn, and NaN ends here
  const float bound = p < 1.0f ? p * 16777216.0f : 16777216.0f;
  return static_cast<float>(random >> 8) < bound;
}

// The folded BatchNorm of sign_threshold_pack.
template <class T>
CUDA_EXT_BOTH bool is_above(T x, T threshold, int8_t direction) {
  if (direction > 0) return x >= threshold;
  if (direction < 0) return x <= threshold;
  return threshold >= T(0);
}

}  // namespace cuda_ext
