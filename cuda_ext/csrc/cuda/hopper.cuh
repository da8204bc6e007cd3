// Hopper's asynchronous instructions (sm_90a): barriers in shared memory, bulk tensor copies, wgmma on bits.
// Not run on a GPU yet; a host compiler gets the emulator's stand-ins.
//
// An instruction that the target lacks traps, as in instructions.cuh.
#pragma once

#include "device.cuh"

#if !defined(__CUDACC__)
#include "emulator_hopper.h"
#else

#include <cuda.h>

namespace cuda_ext {

using TensorMap = CUtensorMap;
using Barrier = uint64_t;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define CUDA_EXT_HOPPER 1
#else
#define CUDA_EXT_HOPPER 0
#endif

// A barrier that completes a phase after `arrivals` arrivals and all bytes that were announced. Phases count from 0.
__device__ __forceinline__ void barrier_init(Barrier* barrier, int arrivals) {
#if CUDA_EXT_HOPPER
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#else
  __trap();
#endif
}

// Makes initialized barriers visible to the copy engine; every thread still has to pass a block barrier.
__device__ __forceinline__ void barriers_ready() {
#if CUDA_EXT_HOPPER
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
  __trap();
#endif
}

__device__ __forceinline__ void barrier_arrive(Barrier* barrier) {
#if CUDA_EXT_HOPPER
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#else
  __trap();
#endif
}

// Arrives, and announces bytes that copies will bring before the phase completes.
__device__ __forceinline__ void barrier_arrive_expecting(Barrier* barrier, int bytes) {
#if CUDA_EXT_HOPPER
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
#else
  __trap();
#endif
}

// Waits until a phase of this parity (phase % 2) has completed. A new barrier counts as past parity 1.
__device__ __forceinline__ void barrier_wait(Barrier* barrier, int parity) {
#if CUDA_EXT_HOPPER
  uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{\n"
        ".reg .pred complete;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\n"
        "selp.u32 %0, 1, 0, complete;\n"
        "}"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  }
#else
  __trap();
#endif
}

// Starts the copy of the map's box at (word, row) to `shared`; it completes bytes on the barrier. What lies outside the
// tensor arrives as zeros and counts as bytes.
__device__ __forceinline__ void copy_box(void* shared, const TensorMap& map, int word, int row, Barrier* barrier) {
#if CUDA_EXT_HOPPER
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
          shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(word), "r"(row)
      : "memory");
#else
  __trap();
#endif
}

// Orders this warpgroup's register accesses before the wgmma that follow.
__device__ __forceinline__ void wgmma_fence() {
#if CUDA_EXT_HOPPER
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  __trap();
#endif
}

__device__ __forceinline__ void wgmma_commit() {
#if CUDA_EXT_HOPPER
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  __trap();
#endif
}

// Waits until at most `kPending` of the latest groups are still under way.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
#if CUDA_EXT_HOPPER
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
#else
  __trap();
#endif
}

// To the compiler a product's sums are there when the instruction is; only the wait makes them so, and nothing ties the
// two. This does: what is computed from the sums stays behind it (CUTLASS's warpgroup_fence_operand).
__device__ __forceinline__ void wgmma_settle(int32_t (&sum)[16][4]) {
#if CUDA_EXT_HOPPER
#pragma unroll
  for (int i = 0; i < 16; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) asm volatile("" : "+r"(sum[i][j])::"memory");
  }
#else
  __trap();
#endif
}

// wgmma.m64n128k256 on bits: sum += popcount(a & b) of 64 rows of A and 128 of B, both in shared memory as the
// descriptors say. Warp w of the warpgroup has rows 16w to 16w + 15; sum[j] is a fragment of 16 × 8 at column 8j.
__device__ __forceinline__ void wgmma_bits(int32_t (&sum)[16][4], uint64_t a, uint64_t b) {
#if CUDA_EXT_HOPPER
  asm volatile(
      "{\n"
      ".reg .pred accumulate;\n"
      "setp.ne.b32 accumulate, 1, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k256.s32.b1.b1.and.popc {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
      "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, "
      "%38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "
      "%56, %57, %58, %59, %60, %61, %62, %63"
      "}, %64, %65, accumulate;\n"
      "}"
      : "+r"(sum[0][0]), "+r"(sum[0][1]), "+r"(sum[0][2]), "+r"(sum[0][3]), "+r"(sum[1][0]), "+r"(sum[1][1]),
        "+r"(sum[1][2]), "+r"(sum[1][3]), "+r"(sum[2][0]), "+r"(sum[2][1]), "+r"(sum[2][2]), "+r"(sum[2][3]),
        "+r"(sum[3][0]), "+r"(sum[3][1]), "+r"(sum[3][2]), "+r"(sum[3][3]), "+r"(sum[4][0]), "+r"(sum[4][1]),
        "+r"(sum[4][2]), "+r"(sum[4][3]), "+r"(sum[5][0]), "+r"(sum[5][1]), "+r"(sum[5][2]), "+r"(sum[5][3]),
        "+r"(sum[6][0]), "+r"(sum[6][1]), "+r"(sum[6][2]), "+r"(sum[6][3]), "+r"(sum[7][0]), "+r"(sum[7][1]),
        "+r"(sum[7][2]), "+r"(sum[7][3]), "+r"(sum[8][0]), "+r"(sum[8][1]), "+r"(sum[8][2]), "+r"(sum[8][3]),
        "+r"(sum[9][0]), "+r"(sum[9][1]), "+r"(sum[9][2]), "+r"(sum[9][3]), "+r"(sum[10][0]), "+r"(sum[10][1]),
        "+r"(sum[10][2]), "+r"(sum[10][3]), "+r"(sum[11][0]), "+r"(sum[11][1]), "+r"(sum[11][2]), "+r"(sum[11][3]),
        "+r"(sum[12][0]), "+r"(sum[12][1]), "+r"(sum[12][2]), "+r"(sum[12][3]), "+r"(sum[13][0]), "+r"(sum[13][1]),
        "+r"(sum[13][2]), "+r"(sum[13][3]), "+r"(sum[14][0]), "+r"(sum[14][1]), "+r"(sum[14][2]), "+r"(sum[14][3]),
        "+r"(sum[15][0]), "+r"(sum[15][1]), "+r"(sum[15][2]), "+r"(sum[15][3])
      : "l"(a), "l"(b));
#else
  __trap();
#endif
}

}  // namespace cuda_ext

#endif  // __CUDACC__
