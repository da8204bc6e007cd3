"""Number formats, quantized tensors and their size in bytes."""

import dataclasses

import pytest
import torch

from quantizers import (
    BFLOAT16,
    BINARY,
    FLOAT16,
    FLOAT32,
    INT8,
    TERNARY,
    UINT8,
    Encoding,
    Quantized,
    Sign,
    make,
    signed_integer,
    storage_bytes,
    unsigned_integer,
    value_table,
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


class TestFormatsOfPublishedQuantizers:
    def test_float_formats_hold_what_their_dtypes_do(self):
        values = torch.tensor([1.0, 1 + 2.0**-10, 1 + 2.0**-7, 65504.0, 2.0**100, float("inf"), float("nan"), 0.1])
        assert FLOAT16.holds(values).tolist() == [True, True, True, True, False, True, True, False]
        assert BFLOAT16.holds(values).tolist() == [True, False, True, False, True, True, True, False]
        assert FLOAT32.holds(values).tolist() == [True] * 8
        assert FLOAT32.holds(torch.tensor([0.1, 0.5], dtype=torch.float64)).tolist() == [False, True]
        assert (BFLOAT16.minimum, BFLOAT16.maximum) == (
            torch.finfo(torch.bfloat16).min,
            torch.finfo(torch.bfloat16).max,
        )
        with pytest.raises(ValueError, match="int8 has codes"):
            _ = INT8.dtype

    def test_groups_scales(self):
        grouped = signed_integer(4).grouped(32, 8)
        assert grouped.group_scale_bytes(10, 65) == 10 * 3
        assert grouped.group_scale_bytes(10, 5) == 10
        assert INT8.group_scale_bytes(10, 65) == 0

    def test_each_code_has_its_groups_scale_and_zero_point(self):
        codes = torch.arange(10, dtype=torch.uint8).reshape(2, 5)
        scale = torch.tensor([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
        zero_point = torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.int32)
        quantized = Quantized(codes, scale, zero_point, UINT8.grouped(2))
        assert quantized.dequantize().tolist() == [[0, 1, 2, 4, 8], [20, 30, 60, 80, 160]]
        assert storage_bytes(quantized) == 10 + 6 * 2 + 6

    def test_a_group_size_beyond_all_rows_costs_no_memory(self):
        quantized = Quantized(torch.ones(1000, 4), torch.full((1000, 1), 2.0), None, INT8.grouped(10**12))
        assert quantized.dequantize().unique().tolist() == [2.0]

    def test_low_and_high_of_tables_and_groups(self):
        table = value_table("mine", [3.0, -0.5, 1.0])
        encoding = Encoding(table, torch.tensor([2.0, 4.0]), None)
        assert (encoding.low.tolist(), encoding.high.tolist()) == ([-1.0, -2.0], [6.0, 12.0])
        groups = Encoding(signed_integer(3).grouped(8), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), None)
        assert groups.low.tolist() == [-3.0, -6.0, -9.0, -12.0]
