// The PTX instructions that the kernels use and CUDA C++ has no function for. Not run on a GPU yet.
//
// Each is a thin wrapper with the meaning of the PTX ISA's instruction of that name. An instruction that the target of
// this compilation lacks traps: the host side chooses kernels by the device's compute capability and by the target
// that was really loaded (runtime.h), so that reaching such a trap is a mistake in the dispatch, and is loud.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace cuda_ext {

// dp4a: four byte products added to an accumulator, lowest byte with lowest byte (sm_61).
__device__ __forceinline__ int32_t dot4_unsigned_signed(uint32_t a, uint32_t b, int32_t sum) {
  int32_t out;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(sum));
  return out;
}

__device__ __forceinline__ int32_t dot4_signed_signed(uint32_t a, uint32_t b, int32_t sum) {
  int32_t out;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(sum));
  return out;
}

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// cp.async: 16 bytes from global to shared memory, past the registers; zeros where `present` is false, and then
// nothing is read. Both addresses are multiples of 16 (sm_80).
__device__ __forceinline__ void copy_async_16(void* shared, const void* global, bool present) {
#if __CUDA_ARCH__ >= 800
  const int bytes = present ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
               : "memory");
#else
  __trap();
#endif
}

__device__ __forceinline__ void copy_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  __trap();
#endif
}

// Waits until at most `kPending` of this thread's latest groups are still under way.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#else
  __trap();
#endif
}

// ldmatrix.x4: four matrices of 8 rows × 16 bytes. Lane l gives the address of row l % 8 of matrix l / 8; it receives,
// of every matrix, the 32-bit word l % 4 of row l / 4.
__device__ __forceinline__ void load_matrices(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}

// mma.m16n8k256 on bits: sum[i] += popcount(a & b) over 256 bits; fragments as in fragment.cuh (sm_80).
__device__ __forceinline__ void multiply_bits(int32_t (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  __trap();
#endif
}

}  // namespace cuda_ext
