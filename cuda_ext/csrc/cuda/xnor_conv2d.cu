// xnor_conv2d, xnor_conv2d_scale and xnor_conv2d_sign on CUDA. Not run on a GPU yet.
//
// A matrix product over an implicit im2col: a row is an output pixel, a column a filter, and the rows' bits are read
// where the image has them (ImageRows); no im2col matrix is written to memory.
#include "xnor_dispatch.h"

namespace cuda_ext {
namespace {

using Pair = std::vector<int64_t>;

// What the schema's arguments say, checked, with the result's shape.
Window window_of(const Tensor& x_bits, const Tensor& w_bits, int64_t channels, const Pair& stride, const Pair& padding,
                 const Pair& dilation, int64_t pad_value) {
  check_packed("x_bits", x_bits, channels, 4);
  check_packed("w_bits", w_bits, channels, 4);
  check_same_device(x_bits, w_bits);
  STD_TORCH_CHECK(stride.size() == 2 && padding.size() == 2 && dilation.size() == 2,
                  "stride, padding, dilation: expected two ints each");
  STD_TORCH_CHECK(pad_value >= -1 && pad_value <= 1, "pad_value: expected -1, 0 or +1, got ", pad_value);
  for (int i = 0; i < 2; ++i) {
    STD_TORCH_CHECK(stride[i] >= 1 && dilation[i] >= 1 && padding[i] >= 0,
                    "stride, dilation: expected at least 1; padding: at least 0");
  }
  const int64_t kernel_h = w_bits.size(1), kernel_w = w_bits.size(2);
  STD_TORCH_CHECK(w_bits.size(0) >= 1 && kernel_h >= 1 && kernel_w >= 1,
                  "w_bits: expected at least one filter and tap");
  STD_TORCH_CHECK(kernel_h <= INT32_MAX / channels / kernel_w, "channels·kh·kw: expected at most 2^31 - 1");
  const int64_t room_h = x_bits.size(1) + 2 * padding[0] - dilation[0] * (kernel_h - 1) - 1;
  const int64_t room_w = x_bits.size(2) + 2 * padding[1] - dilation[1] * (kernel_w - 1) - 1;
  STD_TORCH_CHECK(room_h >= 0 && room_w >= 0, "x_bits: expected an image that the kernel fits into");
  return {
      .batch = x_bits.size(0),
      .height = x_bits.size(1),
      .width = x_bits.size(2),
      .out_height = room_h / stride[0] + 1,
      .out_width = room_w / stride[1] + 1,
      .kernel_h = kernel_h,
      .kernel_w = kernel_w,
      .stride_h = stride[0],
      .stride_w = stride[1],
      .pad_h = padding[0],
      .pad_w = padding[1],
      .dilation_h = dilation[0],
      .dilation_w = dilation[1],
  };
}

template <int kPad, class Sink>
void convolve_padded(const Context& context, const Tensor& x_bits, const Tensor& w_bits, int64_t channels,
                     const Window& window, const Sink& sink) {
  const Tensor x = aligned_16(x_bits), w = aligned_16(w_bits);
  const int pixel_steps = static_cast<int>(packed_steps(channels));
  ImageRows<kPad> rows{
      .bits = read<uint32_t>(x),
      .rows = sink.rows,
      .window = window,
      .channels = channels,
      .pixel_steps = pixel_steps,
      .ones = nullptr,
  };
  const int64_t filters = w.size(0), pixels = window.batch * window.height * window.width;
  const PackedRows columns{read<uint32_t>(w), filters, rows.steps(), static_cast<int32_t>(channels * window.taps())};
  const XnorKernel kernel = choose_xnor_kernel(context, mma_tile_kernel<128, 64, ImageRows<kPad>, Sink>, false);
  if (kernel == XnorKernel::popc) return launch_popc(context, rows, columns, sink);
  STD_TORCH_CHECK(kernel == XnorKernel::mma,
                  "CUDA_EXT_XNOR_KERNEL: wgmma is not written for convolutions, expected mma or popc");
  const CountedOperands counted =
      count_operands(context, x, pixels, w, filters * window.taps(), pixel_steps, kPad == 1 ? channels : 0);
  rows.ones = counted.ones;
  launch_mma(context, rows, columns, sink, counted.counts);
}

template <class Sink>
void convolve(const Tensor& x_bits, const Tensor& w_bits, int64_t channels, const Window& window, int64_t pad_value,
              const Context& context, const Sink& sink) {
  if (pad_value == 0) return convolve_padded<0>(context, x_bits, w_bits, channels, window, sink);
  if (pad_value == 1) return convolve_padded<1>(context, x_bits, w_bits, channels, window, sink);
  return convolve_padded<-1>(context, x_bits, w_bits, channels, window, sink);
}

Tensor xnor_conv2d(const Tensor& x_bits, const Tensor& w_bits, int64_t channels, Pair stride, Pair padding,
                   Pair dilation, int64_t pad_value) {
  const Window window = window_of(x_bits, w_bits, channels, stride, padding, dilation, pad_value);
  const int64_t filters = w_bits.size(0), pixels = window.batch * window.out_height * window.out_width;
  const Context context(x_bits);
  Tensor out = new_tensor(x_bits, {window.batch, window.out_height, window.out_width, filters}, ScalarType::Int);
  if (out.numel() == 0) return out;
  convolve(x_bits, w_bits, channels, window, pad_value, context, Int32Sink{write<int32_t>(out), pixels, filters});
  return out;
}

Tensor xnor_conv2d_scale(const Tensor& x_bits, const Tensor& w_bits, int64_t channels, Pair stride, Pair padding,
                         Pair dilation, int64_t pad_value, const Tensor& scale, const Tensor& shift) {
  const Window window = window_of(x_bits, w_bits, channels, stride, padding, dilation, pad_value);
  const int64_t filters = w_bits.size(0), pixels = window.batch * window.out_height * window.out_width;
  check_scales(x_bits, scale, shift, filters);
  const Context context(x_bits);
  Tensor out = new_tensor(x_bits, {window.batch, window.out_height, window.out_width, filters}, ScalarType::Half);
  if (out.numel() == 0) return out;
  convolve(x_bits, w_bits, channels, window, pad_value, context,
           HalfSink{write<__half>(out), read<float>(scale), read<float>(shift), pixels, filters});
  return out;
}

Tensor xnor_conv2d_sign(const Tensor& x_bits, const Tensor& w_bits, int64_t channels, Pair stride, Pair padding,
                        Pair dilation, int64_t pad_value, const Tensor& threshold, const Tensor& direction) {
  const Window window = window_of(x_bits, w_bits, channels, stride, padding, dilation, pad_value);
  const int64_t filters = w_bits.size(0), pixels = window.batch * window.out_height * window.out_width;
  check_thresholds(x_bits, threshold, direction, ScalarType::Int, filters);
  const Context context(x_bits);
  Tensor out =
      new_tensor(x_bits, {window.batch, window.out_height, window.out_width, packed_words(filters)}, ScalarType::Int);
  if (out.numel() == 0) return out;
  convolve(x_bits, w_bits, channels, window, pad_value, context,
           SignSink{write<uint32_t>(out), read<int32_t>(threshold), read<int8_t>(direction), pixels, filters});
  return out;
}

}  // namespace
}  // namespace cuda_ext

STABLE_TORCH_LIBRARY_IMPL(cuda_ext, CUDA, m) {
  m.impl("xnor_conv2d", TORCH_BOX(&cuda_ext::xnor_conv2d));
  m.impl("xnor_conv2d_scale", TORCH_BOX(&cuda_ext::xnor_conv2d_scale));
  m.impl("xnor_conv2d_sign", TORCH_BOX(&cuda_ext::xnor_conv2d_sign));
}
