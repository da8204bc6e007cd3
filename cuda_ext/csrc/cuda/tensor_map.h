// The descriptions of tensors that Hopper's copy engine reads, made on the host. Not run on a GPU yet.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>

#include "runtime.h"

namespace cuda_ext {

// Packed rows int32 [rows, words], copied in boxes of `box_rows` × 128 bytes with the 128-byte swizzle; zeros outside.
inline CUtensorMap tensor_map(const Tensor& bits, int64_t words, int box_rows) {
  // Through the runtime, so that the library does not need the driver's at link time.
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
             "cudaGetDriverEntryPointByVersion");
  STD_TORCH_CHECK(found == cudaDriverEntryPointSuccess && function != nullptr,
                  "cuda_ext: the driver has no cuTensorMapEncodeTiled");
  const auto encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);

  CUtensorMap map{};
  const cuuint64_t size[2] = {static_cast<cuuint64_t>(words), static_cast<cuuint64_t>(bits.size(0))};
  const cuuint64_t pitch[1] = {static_cast<cuuint64_t>(words) * 4};
  const cuuint32_t box[2] = {32, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t step[2] = {1, 1};
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_INT32, 2, bits.data_ptr(), size, pitch, box, step,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  STD_TORCH_CHECK(result == CUDA_SUCCESS, "cuda_ext: cuTensorMapEncodeTiled failed with ", static_cast<int>(result));
  return map;
}

}  // namespace cuda_ext
