// Which kernel makes a binary product, and its launch. Not run on a GPU yet.
//
// A matrix of at most kRowLimit rows goes to `rows`. Otherwise the choice is by the device: mma from compute capability
// 8.0 to 9.x, popc elsewhere (7.5 has other binary instructions, 10 and later none). The environment variable
// CUDA_EXT_XNOR_KERNEL forces rows, popc, mma or wgmma; what the device or the operation cannot do is then an error.
// wgmma is taken only when it is forced, until it has been run.
#pragma once

#include "mma_tile.cuh"
#include "popcounts.cuh"
#include "row_product.cuh"
#include "runtime.h"
#include "word_tile.cuh"

namespace cuda_ext {

enum class XnorKernel { rows, popc, mma, wgmma };

// The architecture for which the code that this device loaded was compiled, in capability's numbers.
template <class Kernel>
int loaded_target(Kernel kernel) {
  cudaFuncAttributes attributes{};
  check_cuda(cudaFuncGetAttributes(&attributes, kernel), "cudaFuncGetAttributes");
  return attributes.ptxVersion;
}

// `kernel` is any mma kernel: on a device that runs older code, its instructions are missing from it. `few` says whether
// `rows` can serve.
template <class Kernel>
XnorKernel choose_xnor_kernel(const Context& context, Kernel kernel, bool few) {
  const int capability = context.capability();
  const bool has_mma = capability >= 80 && capability < 100 && loaded_target(kernel) >= 80;
  const char* forced = std::getenv("CUDA_EXT_XNOR_KERNEL");
  if (forced == nullptr || *forced == '\0') {
    return few ? XnorKernel::rows : has_mma ? XnorKernel::mma : XnorKernel::popc;
  }
  const std::string name = forced;
  if (name == "rows") {
    STD_TORCH_CHECK(few, "CUDA_EXT_XNOR_KERNEL=rows: expected a matrix of at most ", kRowLimit, " rows");
    return XnorKernel::rows;
  }
  if (name == "popc") return XnorKernel::popc;
  if (name == "mma") {
    STD_TORCH_CHECK(has_mma, "CUDA_EXT_XNOR_KERNEL=mma: expected compute capability 8.0 to 9.x, got ", capability);
    return XnorKernel::mma;
  }
  STD_TORCH_CHECK(name == "wgmma", "CUDA_EXT_XNOR_KERNEL: expected rows, popc, mma or wgmma, got ", name);
  STD_TORCH_CHECK(capability == 90, "CUDA_EXT_XNOR_KERNEL=wgmma: expected compute capability 9.0, got ", capability);
  return XnorKernel::wgmma;
}

template <class A, class Sink>
void launch_popc(const Context& context, const A& a, const PackedRows& b, const Sink& sink) {
  const TileOrder order{ceil_div(sink.rows, kWordTile), ceil_div(sink.covered(), kWordTile)};
  launch(context, word_tile_kernel<SignProduct, A, PackedRows, Sink>, whole_grid(order.count()), kWordThreads, 0, a, b,
         sink, order);
}

template <class Sink>
void launch_rows(const Context& context, const PackedRows& a, const PackedRows& b, const Sink& sink) {
  launch(context, row_product_kernel<Sink>, whole_grid(ceil_div(sink.covered(), kRowColumns)), kRowThreads, 0, a, b,
         sink);
}

// The workspace of the kernels that multiply by AND: popcounts of A's rows or pixels, then of B's rows or taps, then
// (on 16 bytes) a pixel of +1.
struct CountedOperands {
  Tensor workspace;
  Counts counts;
  const uint32_t* ones;
};

// `a_rows` and `b_rows` packed rows of `steps` steps each; `channels` is 0 where no pixel of +1 is needed.
inline CountedOperands count_operands(const Context& context, const Tensor& a, int64_t a_rows, const Tensor& b,
                                      int64_t b_rows, int steps, int64_t channels) {
  const int64_t counted = ceil_div(a_rows + b_rows, 4) * 4;
  Tensor workspace = new_tensor(a, {counted + (channels > 0 ? steps * kStepWords : 0)}, ScalarType::Int);
  int32_t* counts = write<int32_t>(workspace);
  uint32_t* ones = channels > 0 ? reinterpret_cast<uint32_t*>(counts + counted) : nullptr;
  launch(context, popcounts_kernel, looping_grid(a_rows + b_rows, kCountRows), kCountThreads, 0,
         CountedRows{read<uint4>(a), a_rows}, CountedRows{read<uint4>(b), b_rows}, steps, counts, ones, channels);
  return {workspace, {counts, counts + a_rows}, ones};
}

template <int kM, int kN, class A, class Sink>
void launch_mma_tile(const Context& context, const A& a, const PackedRows& b, const Sink& sink, const Counts& counts) {
  const TileOrder order{ceil_div(sink.rows, kM), ceil_div(sink.covered(), kN)};
  launch(context, mma_tile_kernel<kM, kN, A, Sink>, whole_grid(order.count()), kMmaThreads,
         mma_shared_bytes<kM, kN>(), a, b, sink, counts, order);
}

// Large tiles reuse more of what they load; small ones keep all multiprocessors busy on small products.
template <class Sink>
void launch_mma(const Context& context, const PackedRows& a, const PackedRows& b, const Sink& sink,
                const Counts& counts) {
  const int64_t large = ceil_div(sink.rows, 128) * ceil_div(sink.covered(), 128);
  if (large >= context.attribute(cudaDevAttrMultiProcessorCount)) {
    launch_mma_tile<128, 128>(context, a, b, sink, counts);
  } else {
    launch_mma_tile<64, 64>(context, a, b, sink, counts);
  }
}

// An image's rows take registers of their own, so its tile is smaller than a matrix's.
template <int kPad, class Sink>
void launch_mma(const Context& context, const ImageRows<kPad>& a, const PackedRows& b, const Sink& sink,
                const Counts& counts) {
  launch_mma_tile<128, 64>(context, a, b, sink, counts);
}

}  // namespace cuda_ext
