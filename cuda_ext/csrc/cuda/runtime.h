// The host's side of every CUDA operation: the current device and stream, new tensors, checks, launches.
// Not run on a GPU yet.
//
// A launch goes to torch's current stream, waits for nothing and allocates only through torch, so that the operations
// can be captured in a CUDA graph. The arguments were checked by the Python wrappers (cuda_ext/ops.py); what is checked
// here again is what keeps a direct call of the raw operation from reading outside a tensor. The stable ABI turns an
// exception into a RuntimeError.
#pragma once

// Declares the stream of torch's CUDA part in the stable ABI's C header.
#ifndef USE_CUDA
#define USE_CUDA
#endif
#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "layout.cuh"

namespace cuda_ext {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline void check_cuda(cudaError_t error, const char* what) {
  STD_TORCH_CHECK(error == cudaSuccess, "cuda_ext: ", what, ": ", cudaGetErrorString(error));
}

// Makes a tensor's device the current one for as long as it lives, and knows that device's current stream.
class Context {
 public:
  explicit Context(const Tensor& tensor) : guard_(tensor.get_device_index()), device_(tensor.get_device_index()) {
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_, &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  cudaStream_t stream() const { return stream_; }
  int device() const { return device_; }

  int attribute(cudaDeviceAttr which) const {
    int value = 0;
    check_cuda(cudaDeviceGetAttribute(&value, which, device_), "cudaDeviceGetAttribute");
    return value;
  }
  // Compute capability as 10·major + minor: 75, 80, 90.
  int capability() const {
    return 10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
  }

 private:
  torch::stable::accelerator::DeviceGuard guard_;
  int device_;
  cudaStream_t stream_ = nullptr;
};

inline void check_tensor(const char* name, const Tensor& tensor, ScalarType dtype, int64_t dim) {
  STD_TORCH_CHECK(tensor.is_cuda(), name, ": expected a CUDA tensor");
  STD_TORCH_CHECK(tensor.scalar_type() == dtype, name, ": expected another dtype");
  STD_TORCH_CHECK(tensor.is_contiguous(), name, ": expected a contiguous tensor");
  STD_TORCH_CHECK(dim < 0 ? tensor.dim() >= 1 : tensor.dim() == dim, name, ": expected another number of dimensions");
}

inline void check_same_device(const Tensor& first, const Tensor& second) {
  STD_TORCH_CHECK(first.get_device_index() == second.get_device_index(), "expected tensors on one device");
}

// Packed rows of `k` signs.
inline void check_packed(const char* name, const Tensor& bits, int64_t k, int64_t dim) {
  check_tensor(name, bits, ScalarType::Int, dim);
  STD_TORCH_CHECK(k >= 1 && k <= INT32_MAX, name, ": expected a row length of 1 to 2^31 - 1, got ", k);
  STD_TORCH_CHECK(bits.size(bits.dim() - 1) == packed_words(k), name, ": expected last dimension ", packed_words(k),
                  ", got ", bits.size(bits.dim() - 1));
}

inline void check_thresholds(const Tensor& like, const Tensor& threshold, const Tensor& direction, ScalarType dtype,
                             int64_t channels) {
  check_tensor("threshold", threshold, dtype, 1);
  check_tensor("direction", direction, ScalarType::Char, 1);
  check_same_device(like, threshold);
  check_same_device(like, direction);
  STD_TORCH_CHECK(channels >= 1, "expected at least 1 channel");
  STD_TORCH_CHECK(threshold.size(0) == channels && direction.size(0) == channels,
                  "threshold, direction: expected shape [", channels, "]");
}

inline void check_scales(const Tensor& like, const Tensor& scale, const Tensor& shift, int64_t channels) {
  check_tensor("scale", scale, ScalarType::Float, 1);
  check_tensor("shift", shift, ScalarType::Float, 1);
  check_same_device(like, scale);
  check_same_device(like, shift);
  STD_TORCH_CHECK(scale.size(0) == channels && shift.size(0) == channels, "scale, shift: expected shape [", channels,
                  "]");
}

// Loads of 16 bytes need it. torch's own memory is aligned to 256; a view may begin anywhere, and is then copied.
inline Tensor aligned_16(const Tensor& tensor) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) % 16 == 0;
  return aligned ? tensor : torch::stable::clone(tensor);
}

inline Tensor new_tensor(const Tensor& like, const std::vector<int64_t>& shape, ScalarType dtype) {
  return torch::stable::new_empty(like, shape, dtype);
}

inline std::vector<int64_t> shape_of(const Tensor& tensor) {
  const auto sizes = tensor.sizes();
  return std::vector<int64_t>(sizes.begin(), sizes.end());
}

template <class T>
const T* read(const Tensor& tensor) {
  return static_cast<const T*>(tensor.data_ptr());
}
template <class T>
T* write(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

// A grid of one block a tile: all of them at once, or an error.
inline unsigned whole_grid(int64_t blocks) {
  STD_TORCH_CHECK(blocks <= INT32_MAX, "cuda_ext: expected at most 2^31 - 1 tiles, got ", blocks);
  return static_cast<unsigned>(blocks);
}

// A grid for kernels whose blocks loop: enough for every unit of work, no more than the limit.
inline unsigned looping_grid(int64_t units, int64_t units_per_block) {
  return static_cast<unsigned>(std::min<int64_t>(ceil_div(units, units_per_block), INT32_MAX));
}

template <class... Parameters, class... Arguments>
void launch(const Context& context, void (*kernel)(Parameters...), unsigned grid, int threads, int shared_bytes,
            Arguments... arguments) {
  // The limit of 48 KiB without this counts the kernel's own __shared__ arrays, too.
  if (shared_bytes > 0) {
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes),
               "cudaFuncSetAttribute");
  }
  kernel<<<grid, threads, shared_bytes, context.stream()>>>(arguments...);
  check_cuda(cudaGetLastError(), "kernel launch");
}

}  // namespace cuda_ext
