// What a kernel file needs of the machine: CUDA's own headers and the PTX instructions under nvcc, the emulator's
// stand-ins of the same names under a host compiler (tests/cuda_ext/cuda_emulator), which runs these same kernels.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "instructions.cuh"

// Memory handed to the block at launch.
#define CUDA_EXT_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#else
#include "emulator.h"
#endif

namespace cuda_ext {

#define CUDA_EXT_BOTH __host__ __device__ __forceinline__

constexpr unsigned kWholeWarp = 0xffffffffu;

}  // namespace cuda_ext
