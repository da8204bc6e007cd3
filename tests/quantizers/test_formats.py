"""Number formats, quantized tensors and their size in bytes."""

import dataclasses

import pytest
import torch

from quantizers import (
    BINARY,
    FLOAT16,
    FLOAT32,
    INT8,
    TERNARY,
    UINT8,
    Quantized,
    Sign,
    make,
    signed_integer,
    storage_bytes,
    unsigned_integer,
)


@pytest.mark.parametrize(
    ("format", "bits", "minimum", "maximum", "levels"),
    [
        (BINARY, 1, -1, 1, 2),
        (TERNARY, 2, -1, 1, 3),
        (INT8, 8, -127, 127, 255),
        (UINT8, 8, 0, 255, 256),
        (signed_integer(8, full_range=True), 8, -128, 127, 256),
        (signed_integer(2), 2, -1, 1, 3),
        (unsigned_integer(4), 4, 0, 15, 16),
    ],
)
def test_integer_formats(format, bits, minimum, maximum, levels):
    assert (format.bits, format.minimum, format.maximum, format.levels) == (bits, minimum, maximum, levels)


@pytest.mark.parametrize(("format", "dtype"), [(FLOAT32, torch.float32), (FLOAT16, torch.float16)])
def test_float_formats_have_torchs_limits(format, dtype):
    assert format.levels is None
    assert (format.minimum, format.maximum) == (torch.finfo(dtype).min, torch.finfo(dtype).max)
    assert format.bits == torch.finfo(dtype).bits


@pytest.mark.parametrize("bits", [1, 9, 0, -1, 4.0, True, None])
@pytest.mark.parametrize("make_format", [signed_integer, unsigned_integer])
def test_bits(make_format, bits):
    with pytest.raises(ValueError, match="bits must be an integer from 2 to 8"):
        make_format(bits)


def test_formats_are_values():
    assert signed_integer(8) == INT8
    assert signed_integer(8, full_range=True) != INT8
    assert len({INT8, signed_integer(8), UINT8}) == 2
    assert str(unsigned_integer(3)) == "uint3"
    with pytest.raises(dataclasses.FrozenInstanceError):
        INT8.bits = 4


@pytest.mark.parametrize(
    ("format", "rows", "length", "expected"),
    [(BINARY, 10, 9, 20), (BINARY, 1, 8, 1), (TERNARY, 2, 5, 4), (signed_integer(4), 3, 3, 6), (FLOAT32, 2, 3, 24)],
)
def test_rows_are_padded_to_whole_bytes(format, rows, length, expected):
    assert format.packed_bytes(rows, length) == expected


def test_dequantize_by_hand():
    codes = torch.tensor([[0, 85, 255]], dtype=torch.uint8)
    quantized = Quantized(codes, torch.tensor(0.5), torch.tensor(85, dtype=torch.int32), UINT8)
    assert quantized.dequantize().tolist() == [[-42.5, 0.0, 85.0]]
    per_channel = Quantized(torch.tensor([[1], [-2]], dtype=torch.int8), torch.tensor([[0.5], [3.0]]), None, INT8)
    assert per_channel.dequantize().tolist() == [[0.5], [-6.0]]
    floats = Quantized(torch.tensor([1.5]), torch.tensor(1.0), None, FLOAT32)
    assert floats.dequantize().tolist() == [1.5]


def test_storage_bytes():
    weight = torch.randn(10, 9)
    assert storage_bytes(Sign().quantize(weight)) == 20  # codes alone: the scale is 1

    def calibrated(name, **options):
        quantizer = make(name, **options)
        quantizer.observe(weight)
        quantizer.freeze()
        return quantizer.quantize(weight)

    assert storage_bytes(calibrated("int8")) == 90 + 4
    assert storage_bytes(calibrated("int8", channel_axis=0)) == 90 + 40
    assert storage_bytes(calibrated("uint8")) == 90 + 4 + 1
    assert storage_bytes(calibrated("int8", bits=4)) == 10 * 5 + 4
    assert storage_bytes(make("ternary").quantize(weight)) == 10 * 3 + 4
    assert storage_bytes(Quantized(weight, torch.tensor(1.0), None, FLOAT32)) == 360
