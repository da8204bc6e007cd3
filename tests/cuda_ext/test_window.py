"""The windows of convolutions and poolings, against torch's own."""

import pytest
import torch
import torch.nn.functional as F

import cuda_ext

# size, kernel, stride, padding, dilation: each (vertical, horizontal)
WINDOWS = [
    ((5, 7), (3, 2), (1, 1), (0, 0), (1, 1)),
    ((5, 7), (3, 3), (2, 1), (1, 2), (1, 2)),
    ((9, 6), (2, 3), (3, 2), (0, 1), (4, 1)),
    ((3, 3), (3, 3), (5, 5), (0, 0), (1, 1)),
    ((4, 4), (1, 1), (1, 3), (0, 0), (1, 1)),
]
Pair = tuple[int, int]
windows = pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation"), WINDOWS)


@windows
def test_output_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    out = F.conv2d(torch.zeros(1, 1, *size), torch.zeros(1, 1, *kernel), None, stride, padding, dilation)
    assert cuda_ext.conv_output_size(size, kernel, stride, padding, dilation) == tuple(out.shape[2:])


def test_a_kernel_that_does_not_fit() -> None:
    assert min(cuda_ext.conv_output_size((4, 4), (3, 3), (1, 1), (0, 0), (2, 1))) < 1


@windows
def test_taps_are_the_columns_of_im2col(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    x = torch.randn(2, 3, *size)
    pixels = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).permute(0, 2, 3, 1)
    output_size = cuda_ext.conv_output_size(size, kernel, stride, padding, dilation)
    found = list(cuda_ext.taps(pixels, kernel, stride, dilation, output_size))
    assert [(i, j) for i, j, _ in found] == [(i, j) for i in range(kernel[0]) for j in range(kernel[1])]
    columns = F.unfold(x, kernel, dilation, padding, stride)  # [B, C·kh·kw, Ho·Wo]
    expected = columns.view(2, 3, *kernel, *output_size).permute(2, 3, 0, 4, 5, 1)
    for i, j, view in found:
        assert torch.equal(view, expected[i, j])


def test_taps_are_views_of_any_dtype() -> None:
    pixels = torch.zeros(1, 3, 3, 1, dtype=torch.int32)
    for i, j, view in cuda_ext.taps(pixels, (2, 2), (1, 1), (1, 1), (2, 2)):
        view += 10 * i + j + 1
    assert pixels.view(3, 3).tolist() == [[1, 3, 2], [12, 26, 14], [11, 23, 12]]
