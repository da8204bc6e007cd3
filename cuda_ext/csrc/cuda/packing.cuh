// Kernels between one number a sign and one bit a sign. Not run on a GPU yet; run on the host by the emulator's tests.
//
// The unit of work is one step of one row (512 signs), taken by one warp: unit u is step u % steps of row u / steps.
// In turn j of 16, lane l has sign 32j + l of the step, so that a turn's 32 elements lie side by side, its ballot is
// word j with sign 32j + l at bit l, and lane j keeps it; lanes 0 to 15 then hold the step's 16 words in order. Signs at
// and past K answer 0, which writes the padding.
#pragma once

#include "layout.cuh"
#include "philox.cuh"
#include "sign.cuh"

namespace cuda_ext {

constexpr int kPackThreads = 256;
constexpr int kPackWarps = kPackThreads / 32;

// Where a unit's signs are: `first` is the index in the row, `flat` that in the tensor.
struct Unit {
  int64_t row, first, flat;
  int64_t words;  // index of the step's first packed word

  CUDA_EXT_BOTH static Unit at(int64_t unit, int64_t k) {
    const int64_t steps = packed_steps(k);
    const int64_t row = unit / steps, first = (unit - row * steps) * kStepSigns;
    return {row, first, row * k + first, unit * kStepWords};
  }
};

// bit(i, flat): the answer for sign i of its row, element `flat` of the tensor; asked only for i < k.
template <class Bit>
__device__ __forceinline__ void pack_unit(const Unit& unit, int64_t k, int lane, uint32_t* out, Bit bit) {
  uint32_t mine = 0;
#pragma unroll
  for (int j = 0; j < kStepWords; ++j) {
    const int64_t i = unit.first + j * 32 + lane;
    const bool on = i < k && bit(i, j * 32 + lane);
    const uint32_t word = __ballot_sync(kWholeWarp, on);
    if (lane == j) mine = word;
  }
  if (lane < kStepWords) out[unit.words + lane] = mine;
}

template <class T>
__global__ void __launch_bounds__(kPackThreads) pack_signs_kernel(const T* x, uint32_t* out, int64_t units, int64_t k) {
  const int lane = threadIdx.x % 32;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kPackWarps;
  for (int64_t u = static_cast<int64_t>(blockIdx.x) * kPackWarps + threadIdx.x / 32; u < units; u += stride) {
    const Unit unit = Unit::at(u, k);
    const T* step = x + unit.flat;
    pack_unit(unit, k, lane, out, [&](int64_t, int inside) { return is_positive(step[inside]); });
  }
}

// Element e of the tensor uses number e of the stream, which is word e % 4 of Philox block ⌊e/4⌋. A step's 512 elements
// touch 128 blocks, or 129 when its first element is not a multiple of 4: the warp computes them 32 at a time into
// shared memory, and number e - 4·⌊flat/4⌋ there belongs to element e.
constexpr int kPhiloxNumbers = 4 * (kStepSigns / 4 + 1);

template <class T>
__global__ void __launch_bounds__(kPackThreads)
    pack_signs_stochastic_kernel(const T* x, const int64_t* seed, uint32_t* out, int64_t units, int64_t k) {
  __shared__ __align__(16) uint32_t numbers[kPackWarps][kPhiloxNumbers];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const uint64_t key = static_cast<uint64_t>(seed[0]), offset = static_cast<uint64_t>(seed[1]);
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kPackWarps;
  for (int64_t u = static_cast<int64_t>(blockIdx.x) * kPackWarps + warp; u < units; u += stride) {
    const Unit unit = Unit::at(u, k);
    const uint64_t first_block = static_cast<uint64_t>(unit.flat) / 4;
    const int skip = static_cast<int>(unit.flat % 4);
    for (int block = lane; block < kPhiloxNumbers / 4; block += 32) {
      uint32_t four[4];
      philox_block(key, offset, first_block + block, four);
      *reinterpret_cast<uint4*>(&numbers[warp][4 * block]) = make_uint4(four[0], four[1], four[2], four[3]);
    }
    __syncwarp();
    const T* step = x + unit.flat;
    pack_unit(unit, k, lane, out,
              [&](int64_t, int inside) { return is_drawn(as_float(step[inside]), numbers[warp][skip + inside]); });
    __syncwarp();  // the next unit overwrites the numbers
  }
}

template <class T>
__global__ void __launch_bounds__(kPackThreads)
    sign_threshold_pack_kernel(const T* x, const T* threshold, const int8_t* direction, uint32_t* out, int64_t units,
                               int64_t k) {
  const int lane = threadIdx.x % 32;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kPackWarps;
  for (int64_t u = static_cast<int64_t>(blockIdx.x) * kPackWarps + threadIdx.x / 32; u < units; u += stride) {
    const Unit unit = Unit::at(u, k);
    const T* step = x + unit.flat;
    pack_unit(unit, k, lane, out,
              [&](int64_t i, int inside) { return is_above(step[inside], threshold[i], direction[i]); });
  }
}

// The way back: lane j < 16 loads word j, and in turn j every lane writes one sign of it.
static __global__ void __launch_bounds__(kPackThreads)
    unpack_signs_kernel(const uint32_t* bits, float* out, int64_t units, int64_t k) {
  const int lane = threadIdx.x % 32;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kPackWarps;
  for (int64_t u = static_cast<int64_t>(blockIdx.x) * kPackWarps + threadIdx.x / 32; u < units; u += stride) {
    const Unit unit = Unit::at(u, k);
    const uint32_t mine = lane < kStepWords ? bits[unit.words + lane] : 0u;
#pragma unroll
    for (int j = 0; j < kStepWords; ++j) {
      const uint32_t word = __shfl_sync(kWholeWarp, mine, j);
      const int inside = j * 32 + lane;
      if (unit.first + inside < k) out[unit.flat + inside] = (word >> lane) & 1u ? 1.0f : -1.0f;
    }
  }
}

}  // namespace cuda_ext
