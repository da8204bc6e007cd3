"""Uniform quantization: hand-computed codes, error bounds, gradients, states and restoring."""

import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantizers import (
    CALIBRATION_METHODS,
    INT8,
    HistogramObserver,
    MinMaxObserver,
    QuantizerState,
    Range,
    Uniform,
    affine_parameters,
    fake_quantize,
    make,
    unsigned_integer,
)

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
SUBNORMAL_TOO = st.one_of(FINITE, st.floats(-(2.0**-120), 2.0**-120, width=32), st.just(0.0), st.just(-0.0))
OPTIONS = st.fixed_dictionaries(
    {
        "bits": st.integers(2, 8),
        "signed": st.booleans(),
        "power_of_two": st.booleans(),
        "channel_axis": st.sampled_from([None, 0]),
    }
)


def calibrated(x, name="uniform", **options):
    quantizer = make(name, **options)
    quantizer.observe(x)
    quantizer.freeze()
    return quantizer


def same_bits(a, b):
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


class TestHandComputed:
    def test_int8_per_tensor(self):
        quantizer = calibrated(torch.tensor([-2.54, 1.0]), "int8")
        assert quantizer.scale.item() == pytest.approx(0.02, rel=1e-6)
        x = torch.tensor([0.0, 0.0099, 0.0101, -2.54, 2.54, 99.0, -99.0])
        assert quantizer.quantize(x).codes.tolist() == [0, 0, 1, -127, 127, 127, -127]
        assert quantizer.quantize(x).zero_point is None
        assert quantizer.quantize(x).codes.dtype == torch.int8

    def test_int8_per_channel(self):
        weight = torch.tensor([[1.27, -0.5], [0.0, -127.0], [0.0, 0.0]])
        quantizer = calibrated(weight, "int8", channel_axis=0)
        torch.testing.assert_close(quantizer.scale, torch.tensor([0.01, 1.0, 1.0]))
        quantized = quantizer.quantize(weight)
        assert quantized.codes.tolist() == [[127, -50], [0, -127], [0, 0]]
        assert quantized.scale.shape == (3, 1)

    def test_halves_round_to_even(self):
        quantizer = calibrated(torch.tensor([127.0]), "int8")
        assert quantizer.scale == 1
        codes = quantizer.quantize(torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])).codes
        assert codes.tolist() == [0, 2, 2, 0, -2, -2]

    def test_full_range_adds_one_code_at_the_bottom(self):
        quantizer = calibrated(torch.tensor([127.0]), "int8", full_range=True)
        assert quantizer.quantize(torch.tensor([-128.0, -200.0, 128.0])).codes.tolist() == [-128, -128, 127]
        assert calibrated(torch.tensor([127.0]), "int8").quantize(torch.tensor([-128.0])).codes.tolist() == [-127]

    def test_uint8_of_jacob(self):
        # S = 3/255, Z = round(1/S) = 85: -1 -> 0, 0 -> 85, 2 -> 255.
        quantizer = calibrated(torch.tensor([-1.0, 2.0]), "uint8")
        assert quantizer.scale.item() == pytest.approx(3 / 255, rel=1e-6)
        quantized = quantizer.quantize(torch.tensor([-1.0, 0.0, 2.0, -5.0, 5.0]))
        assert quantized.codes.tolist() == [0, 85, 255, 0, 255]
        assert quantized.codes.dtype == torch.uint8
        assert quantized.zero_point.item() == 85

    def test_a_range_without_zero_is_widened_to_hold_it(self):
        above = calibrated(torch.tensor([5.0, 10.0]), "uint8")
        assert (above.zero_point.item(), above.scale.item()) == (0, pytest.approx(10 / 255, rel=1e-6))
        below = calibrated(torch.tensor([-10.0, -5.0]), "uint8")
        assert (below.zero_point.item(), below.scale.item()) == (255, pytest.approx(10 / 255, rel=1e-6))

    def test_after_relu_signed_uses_half_of_the_codes_and_unsigned_all(self):
        x = torch.linspace(0, 4, 1001)
        signed, unsigned = calibrated(x, "int8"), calibrated(x, "uint8")
        assert (signed.quantize(x).codes.min(), signed.quantize(x).codes.max()) == (0, 127)
        assert (unsigned.quantize(x).codes.min(), unsigned.quantize(x).codes.max()) == (0, 255)

    @pytest.mark.parametrize(("bits", "top"), [(2, 1), (3, 3), (4, 7), (8, 127)])
    def test_bits(self, bits, top):
        quantizer = calibrated(torch.tensor([-1.0, 1.0]), "int8", bits=bits)
        assert quantizer.quantize(torch.tensor([1.0, -9.0])).codes.tolist() == [top, -top]
        assert quantizer.format.bits == bits

    @pytest.mark.parametrize("largest", [1.0, 127.0, 127.00001, 130.0, 3e-5])
    def test_power_of_two_scale_is_rounded_up(self, largest):
        quantizer = calibrated(torch.tensor([largest]), "int8", power_of_two=True)
        largest = torch.tensor([largest]).item()  # as float32
        exponent = math.ceil(math.log2(largest / 127) - 1e-12)
        assert quantizer.scale.item() == 2.0**exponent
        assert quantizer.fractional_length.item() == -exponent

    def test_channel_axis_one_of_a_transposed_weight(self):
        weight = torch.tensor([[127.0, 254.0], [1.0, -2.0]])
        quantizer = calibrated(weight, "int8", channel_axis=1)
        assert quantizer.scale.tolist() == [1.0, 2.0]
        assert quantizer.quantize(weight).codes.tolist() == [[127, 127], [1, -1]]


class TestProperties:
    @given(values=st.lists(SUBNORMAL_TOO, min_size=2, max_size=30), options=OPTIONS)
    @settings(max_examples=150)
    def test_error_inside_the_range_is_at_most_half_a_step(self, values, options):
        x = torch.tensor(values).reshape(2, -1) if len(values) % 2 == 0 else torch.tensor(values).reshape(1, -1)
        quantizer = calibrated(x, **options)
        scale = quantizer.scale.double().reshape(-1, 1)
        error = (quantizer(x).double() - x.double()).abs()
        assert torch.isfinite(quantizer.scale).all()
        assert (quantizer.scale > 0).all()
        # float32 rounds x / S and code · S: relative errors of 2^-24 each on up to 255 steps.
        assert (error <= scale * (0.5 + 255 * 2.0**-23)).all()

    @given(values=st.lists(SUBNORMAL_TOO, min_size=1, max_size=30), options=OPTIONS)
    @settings(max_examples=150)
    def test_zero_is_exact_and_quantization_idempotent(self, values, options):
        x = torch.tensor([values])
        quantizer = calibrated(x, **options)
        once = quantizer(x)
        assert same_bits(quantizer(torch.zeros(1, 3)), torch.zeros(1, 3))
        assert same_bits(quantizer(once), once)
        codes = quantizer.quantize(x)
        assert torch.equal(quantizer.quantize(codes.dequantize()).codes, codes.codes)

    @given(values=st.lists(SUBNORMAL_TOO, min_size=1, max_size=30), options=OPTIONS, beyond=FINITE)
    @settings(max_examples=150)
    def test_forward_is_the_dequantization_of_the_codes_bit_for_bit(self, values, options, beyond):
        quantizer = calibrated(torch.tensor([values]), **options)
        x = torch.tensor([[*values, beyond, -0.0, math.inf, -math.inf]])
        assert same_bits(quantizer(x), quantizer.quantize(x).dequantize())

    @given(values=st.lists(SUBNORMAL_TOO, min_size=1, max_size=10), bits=st.integers(2, 8))
    def test_observed_extremes_are_inside_a_symmetric_min_max_range(self, values, bits):
        x = torch.tensor(values, requires_grad=True)
        quantizer = calibrated(x, bits=bits)
        quantizer(x).sum().backward()
        assert x.grad.eq(1).all()


class TestGradient:
    def test_straight_through_inside_inclusive_zero_outside(self):
        quantizer = calibrated(torch.tensor([127.0]), "int8")
        x = torch.tensor([-127.01, -127.0, -0.4, 0.0, 3.3, 127.0, 127.01, 1e9], requires_grad=True)
        grad = torch.arange(1.0, 9.0)
        quantizer(x).backward(grad)
        assert x.grad.tolist() == [0, 2, 3, 4, 5, 6, 0, 0]

    def test_asymmetric_range_has_its_own_ends(self):
        scale, zero_point = torch.tensor(0.5), torch.tensor(2)  # codes 0..15 mean -1.0 .. 6.5
        x = torch.tensor([-1.01, -1.0, 6.5, 6.51], requires_grad=True)
        y = fake_quantize(x, scale, zero_point, 0, 15)
        assert y.tolist() == [-1.0, -1.0, 6.5, 6.5]
        y.sum().backward()
        assert x.grad.tolist() == [0, 1, 1, 0]

    def test_per_channel_masks(self):
        quantizer = calibrated(torch.tensor([[1.0], [10.0]]), "int8", channel_axis=0)
        x = torch.tensor([[5.0, 0.5], [5.0, 11.0]], requires_grad=True)
        quantizer(x).sum().backward()
        assert x.grad.tolist() == [[0, 1], [1, 0]]

    def test_input_may_be_changed_in_place_after_forward(self):
        quantizer = calibrated(torch.tensor([1.0]), "int8")
        leaf = torch.tensor([0.5, 2.0], requires_grad=True)
        x = leaf * 1
        y = quantizer(x)
        x.detach().mul_(100)
        y.sum().backward()
        assert leaf.grad.tolist() == [1, 0]


class TestDtypes:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_result_has_the_dtype_of_the_input(self, dtype):
        x = torch.linspace(-3, 3, 50).to(dtype)
        quantizer = calibrated(x, "int8")
        assert quantizer(x).dtype == dtype
        assert torch.equal(quantizer(x), quantizer.quantize(x).dequantize().to(dtype))

    @pytest.mark.parametrize("cast", ["half", "bfloat16", "double"])
    def test_the_scale_stays_float32_when_the_module_is_cast(self, cast):
        quantizer = calibrated(torch.tensor([1e-6]), "int8")
        before = quantizer.scale.clone()
        getattr(torch.nn.Sequential(quantizer), cast)()
        assert quantizer.scale.dtype == torch.float32
        assert torch.equal(quantizer.scale, before)


class TestStates:
    def test_life(self):
        quantizer = make("int8")
        x = torch.tensor([0.1, -12.7])
        assert quantizer.state is QuantizerState.PASS_THROUGH
        assert not quantizer.is_ready
        assert quantizer(x) is x
        assert quantizer.observer.is_empty
        quantizer.start_observing()
        assert quantizer(x) is x
        assert quantizer.observer.count == 2
        quantizer.freeze()
        assert quantizer.state is QuantizerState.QUANTIZING
        assert quantizer.is_ready
        assert quantizer(x).tolist() == [pytest.approx(0.1), pytest.approx(-12.7)]
        assert quantizer.observer.count == 2  # quantizing records nothing

    def test_switching_a_calibrated_quantizer_off_and_on(self):
        quantizer = calibrated(torch.tensor([127.0]), "int8")
        x = torch.tensor([0.3])
        quantizer.state = QuantizerState.PASS_THROUGH
        assert quantizer(x) is x
        quantizer.state = QuantizerState.QUANTIZING
        assert quantizer(x).item() == 0

    def test_not_calibrated(self):
        quantizer = make("int8")
        quantizer.layer_name = "fc1.input"
        with pytest.raises(RuntimeError, match=r"fc1\.input: cannot quantize in state PASS_THROUGH"):
            quantizer.quantize(torch.ones(3))
        with pytest.raises(RuntimeError, match=r"fc1\.input: not calibrated"):
            quantizer.state = QuantizerState.QUANTIZING
        with pytest.raises(ValueError, match=r"fc1\.input: no values observed"):
            quantizer.freeze()

    def test_errors_of_the_method_name_the_layer_once(self):
        quantizer = make("int8", method="kl", observer=HistogramObserver(bins=64))
        quantizer.layer_name = "fc1.input"
        quantizer.observe(torch.ones(3))
        with pytest.raises(ValueError, match=r"^fc1\.input: the KL method needs more bins"):
            quantizer.freeze()
        quantizer.observer.reset()
        with pytest.raises(ValueError, match=r"^fc1\.input: no values observed"):
            quantizer.freeze()

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_bad_values_name_the_layer_and_record_nothing(self, bad):
        quantizer = make("int8", method="kl")
        quantizer.layer_name = "conv2.weight"
        with pytest.raises(ValueError, match=r"conv2\.weight: NaN or infinity"):
            quantizer.observe(torch.tensor([1.0, bad]))
        assert quantizer.observer.is_empty

    def test_nan_stays_visible_in_forward_and_has_no_code(self):
        quantizer = calibrated(torch.tensor([1.0]), "int8")
        assert quantizer(torch.tensor([math.nan])).isnan().all()
        with pytest.raises(ValueError, match="NaN has no code"):
            quantizer.quantize(torch.tensor([math.nan]))

    def test_a_stored_observer_serves_another_method(self):
        torch.manual_seed(0)
        x = torch.randn(10_000)
        first = calibrated(x, "int8", method="minmax")
        second = make("int8", method="percentile", method_options={"percentile": 99.0})
        second.observer = HistogramObserver.from_tensors(first.observer.to_tensors())
        second.freeze()
        assert second.scale.item() * 127 == pytest.approx(
            x.abs().quantile(0.99).item(), abs=x.abs().max().item() / 1024
        )

    def test_default_observers(self):
        for method in CALIBRATION_METHODS.names():
            assert type(make("int8", method=method).observer) is HistogramObserver
        assert type(make("int8", channel_axis=0, method="kl").observer) is HistogramObserver
        for method in ("minmax", "mean_extremes"):
            assert type(make("int8", channel_axis=0, method=method).observer) is MinMaxObserver
        chosen = HistogramObserver(64, channel_axis=0)
        assert make("int8", channel_axis=0, observer=chosen).observer is chosen

    def test_wrong_number_of_channels(self):
        quantizer = calibrated(torch.ones(3, 2), "int8", channel_axis=0)
        with pytest.raises(ValueError, match="4 channels in dimension 0, calibrated for 3"):
            quantizer(torch.ones(4, 2))


class TestRestoring:
    @staticmethod
    def through_file(module):
        buffer = io.BytesIO()
        torch.save(module.state_dict(), buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)

    @pytest.mark.parametrize("name", ["int8", "uint8"])
    @pytest.mark.parametrize("axis", [None, 0])
    def test_frozen(self, name, axis):
        torch.manual_seed(1)
        x = torch.randn(4, 100)
        trained = torch.nn.Sequential(calibrated(x, name, channel_axis=axis))
        restored = torch.nn.Sequential(make(name, channel_axis=axis))
        restored.load_state_dict(self.through_file(trained))
        assert restored[0].is_ready
        assert same_bits(restored(x), trained(x))

    def test_in_the_middle_of_calibration(self):
        torch.manual_seed(1)
        first, second = torch.randn(2, 1000)
        whole = make("int8", method="kl", channel_axis=None)
        interrupted = make("int8", method="kl")
        for quantizer in (whole, interrupted):
            quantizer.start_observing()
            quantizer(first)
        restored = make("int8", method="kl")
        restored.load_state_dict(self.through_file(interrupted))
        for quantizer in (whole, restored):
            assert quantizer.state is QuantizerState.OBSERVING
            quantizer(second)
            quantizer.freeze()
        assert torch.equal(whole.scale, restored.scale)

    def test_uncalibrated(self):
        restored = calibrated(torch.ones(2), "int8")
        restored.load_state_dict(self.through_file(make("int8")))
        assert restored.state is QuantizerState.PASS_THROUGH
        assert restored.scale == 0

    def test_another_format_is_refused(self):
        state = self.through_file(calibrated(torch.ones(2), "int8"))
        with pytest.raises(ValueError, match="stored for bits, codes"):
            make("int8", bits=4).load_state_dict(state)


class TestExtremeRanges:
    def test_all_zero(self):
        for name in ("int8", "uint8"):
            quantizer = calibrated(torch.zeros(5), name)
            assert quantizer.scale == 1
            assert quantizer.quantize(torch.zeros(5)).codes.tolist() == [0] * 5
            assert quantizer(torch.zeros(5)).tolist() == [0] * 5

    @pytest.mark.parametrize("method", ["minmax", "mean_extremes", "percentile", "mse", "kl"])
    @pytest.mark.parametrize("name", ["int8", "uint8"])
    @pytest.mark.parametrize("value", [0.0, -0.0, 3.7, -3.7, 1e-40, -1e-45, 3e38, -3e38])
    def test_constant_tensors_and_single_values(self, name, value, method):
        for x in (torch.full((64,), value), torch.tensor([value])):
            quantizer = calibrated(x, name, method=method)
            assert torch.isfinite(quantizer.scale)
            error = (quantizer(x) - x).abs().max()
            assert error <= max(quantizer.scale.item() / 2, abs(value) * 1e-6)

    def test_subnormal_range_has_the_smallest_normal_scale(self):
        quantizer = calibrated(torch.tensor([1e-40]), "int8")
        assert quantizer.scale.item() == 2.0**-126
        assert quantizer(torch.tensor([1e-40])).item() == 0

    def test_too_wide_for_float32(self):
        quantizer = make("uint8", power_of_two=True)
        quantizer.layer_name = "fc"
        quantizer.observe(torch.tensor([3e38, -3e38]))
        with pytest.raises(ValueError, match=r"fc: a range of .* is too wide"):
            quantizer.freeze()
        with pytest.raises(ValueError, match="too wide"):
            calibrated(torch.tensor([1e300], dtype=torch.float64), "int8")

    def test_empty_tensor_has_no_range(self):
        with pytest.raises(ValueError, match="no values observed"):
            calibrated(torch.empty(0, 3), "int8")

    @pytest.mark.parametrize("bits", [1, 9, 0, -3, 8.0, True, "8"])
    def test_bits_outside_2_to_8(self, bits):
        with pytest.raises(ValueError, match="bits must be an integer from 2 to 8"):
            make("int8", bits=bits)

    def test_bad_options(self):
        with pytest.raises(ValueError, match="full_range"):
            make("uint8", full_range=True)
        with pytest.raises(ValueError, match="unsigned"):
            make("uint8", signed=True)
        with pytest.raises(ValueError, match="did you mean 'minmax'"):
            make("int8", method="minimax")
        with pytest.raises(ValueError, match="channel_axis"):
            Uniform(channel_axis=0, observer=MinMaxObserver())


def test_affine_parameters_of_a_hand_made_range():
    ranges = Range(torch.tensor([-1.0, 0.0], dtype=torch.float64), torch.tensor([6.5, 15.0], dtype=torch.float64))
    scale, zero_point = affine_parameters(ranges, unsigned_integer(4))
    assert scale.tolist() == [0.5, 1.0]
    assert zero_point.tolist() == [2, 0]
    symmetric, zero = affine_parameters(Range(-ranges.high, ranges.high), INT8)
    torch.testing.assert_close(symmetric, torch.tensor([6.5 / 127, 15 / 127]))
    assert zero.tolist() == [0, 0]
    assert ((symmetric * 127).double() >= ranges.high).all()
