"""The windows of a convolution or a pooling: how many there are, and the pixels under each position of the kernel."""

from collections.abc import Iterator, Sequence

from torch import Tensor


def conv_output_size(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, int]:
    """Compute the output size of a convolution or pooling: `⌊(H + 2p - d·(k - 1) - 1)/s⌋ + 1` in each direction.

    Every argument is (vertical, horizontal). The result is below 1 where the kernel does not fit into the padded image.
    Source: PyTorch's Conv2d.
    """
    high = (size[0] + 2 * padding[0] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    wide = (size[1] + 2 * padding[1] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    return high, wide


def taps(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    output_size: Sequence[int],
) -> Iterator[tuple[int, int, Tensor]]:
    """Iterate over the positions of the kernel, row by row: `(i, j, x[:, i·d + y·s, j·d + x·s])` over all outputs y, x.

    Written side by side the views are the im2col of x; summed up, or combined otherwise, they make a convolution or a
    pooling without that copy.

    x: [B, H, W, C] of any dtype, channels last and already padded; kernel, stride, dilation and output_size (what
    `conv_output_size` gives): (vertical, horizontal).
    Yields i, j and a view [B, Ho, Wo, C] of x: writing into it writes into x.
    """
    high, wide = output_size
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            bottom, right = top + (high - 1) * stride[0] + 1, left + (wide - 1) * stride[1] + 1
            yield i, j, x[:, top : bottom : stride[0], left : right : stride[1]]
