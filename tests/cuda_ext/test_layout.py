"""The file form of packed rows."""

import pytest
import torch

import cuda_ext


@pytest.mark.parametrize(("k", "words"), [(1, 16), (512, 16), (513, 32), (4096, 128), (5000, 160)])
def test_packed_words(k: int, words: int) -> None:
    assert cuda_ext.packed_words(k) == words


@pytest.mark.parametrize("k", [1, 7, 8, 9, 511, 512, 784, 1000])
def test_bytes_round_trip(k: int) -> None:
    bits = cuda_ext.pack_signs(torch.randn(3, 2, k))
    data = cuda_ext.to_bytes(bits, k)
    assert data.dtype == torch.uint8
    assert data.shape == (3, 2, (k + 7) // 8)
    assert torch.equal(cuda_ext.from_bytes(data, k), bits)


def test_byte_order() -> None:
    x = -torch.ones(1, 12)
    x[0, 0] = x[0, 9] = 1
    assert cuda_ext.to_bytes(cuda_ext.pack_signs(x), 12).tolist() == [[1, 2]]


def test_bits_past_k_are_cleared_on_reading() -> None:
    data = torch.full((2, 2), 255, dtype=torch.uint8)
    assert torch.equal(cuda_ext.from_bytes(data, 11), cuda_ext.pack_signs(torch.ones(2, 11)))


def test_wrong_files_are_refused() -> None:
    with pytest.raises(ValueError, match="data: expected last dimension 2 for k = 11"):
        cuda_ext.from_bytes(torch.zeros(1, 3, dtype=torch.uint8), 11)
    with pytest.raises(TypeError, match="data: expected uint8"):
        cuda_ext.from_bytes(torch.zeros(1, 2), 11)
    with pytest.raises(TypeError, match="bits: expected int32"):
        cuda_ext.to_bytes(torch.zeros(1, 16), 11)
    with pytest.raises(ValueError, match="k: expected at least 1"):
        cuda_ext.packed_words(0)
