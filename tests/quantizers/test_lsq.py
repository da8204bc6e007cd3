"""LSQ against the formulas of the paper, written out per element."""

import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantizers import LSQ, UINT8, QuantizerState, make, signed_integer
from quantizers.lsq import learned_step_quantize

INT8_FULL = signed_integer(8, full_range=True)


def paper(v, s, qn, qp):
    """v̂, ∂v̂/∂v and ∂v̂/∂s of Esser et al., eq. 1-3 and 5, in Python floats (round half to even)."""
    ratio = v / s
    value = s * round(min(max(ratio, -qn), qp))
    if ratio <= -qn:
        return value, 0.0, -qn
    if ratio >= qp:
        return value, 0.0, qp
    return value, 1.0, round(ratio) - ratio


def trained(x, **options):
    quantizer = make("lsq", **options)
    quantizer.observe(x)
    quantizer.freeze()
    return quantizer


@given(
    # Multiples of 2^-10 make every quotient exact in float32.
    ks=st.lists(st.integers(-20_000, 20_000), min_size=1, max_size=20),
    exponent=st.integers(-6, 2),
    bits=st.integers(2, 8),
)
@settings(max_examples=200)
def test_values_and_gradients_are_the_papers(ks, exponent, bits):
    qn, qp = 2 ** (bits - 1), 2 ** (bits - 1) - 1
    x = torch.tensor([k / 1024 for k in ks], requires_grad=True)
    step = torch.tensor(2.0**exponent, requires_grad=True)
    upstream = torch.arange(1.0, len(ks) + 1)
    y = learned_step_quantize(x, step, -qn, qp, gradient_scale=0.5)
    y.backward(upstream)
    expected = [paper(k / 1024, 2.0**exponent, qn, qp) for k in ks]
    assert y.tolist() == [value for value, _, _ in expected]
    assert x.grad.tolist() == [dv * g for (_, dv, _), g in zip(expected, upstream.tolist(), strict=True)]
    ds = 0.5 * sum(ds * g for (_, _, ds), g in zip(expected, upstream.tolist(), strict=True))
    assert step.grad.item() == pytest.approx(ds, rel=1e-5, abs=1e-4)


def test_borders_belong_to_the_saturated_branch():
    x = torch.tensor([-4.0, -3.999, 2.999, 3.0], requires_grad=True)
    step = torch.tensor(1.0, requires_grad=True)
    learned_step_quantize(x, step, -4, 3, 1.0).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]
    assert step.grad.item() == pytest.approx(-4 + (-4 + 3.999) + (3 - 2.999) + 3, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "shape", "n"),
    [
        ({}, (8, 3, 5, 5), 600),  # the weights of a layer
        ({"channels": 8}, (8, 3, 5, 5), 75),  # the weights of a channel
        ({"batch_axis": 0, "signed": False}, (32, 10), 10),  # the features of a sample
    ],
)
def test_gradient_scale_is_one_over_root_n_qp(options, shape, n):
    quantizer = make("lsq", bits=4, **options)
    qp = 7 if options.get("signed", True) else 15
    assert quantizer.gradient_scale(torch.zeros(shape)) == pytest.approx(1 / math.sqrt(n * qp))


def test_module_gradient_includes_the_scale():
    x = torch.tensor([0.3, 10.0, -10.0, 1.9])
    quantizer = make("lsq", bits=3)
    quantizer(x)  # initializes
    with torch.no_grad():
        quantizer.step.fill_(1.0)
    quantizer(x).sum().backward()
    assert quantizer.step.grad.item() == pytest.approx((-0.3 + 3 - 4 + 0.1) / math.sqrt(4 * 3), rel=1e-5)


def test_initial_step():
    x = torch.tensor([[1.0, -3.0], [0.5, 0.5]])
    assert trained(x, bits=4).step.item() == pytest.approx(2 * 1.25 / math.sqrt(7))
    per_channel = trained(x, bits=4, channels=2).step
    torch.testing.assert_close(per_channel.detach(), 2 * torch.tensor([2.0, 0.5]) / math.sqrt(7))
    assert trained(torch.zeros(3)).step.item() == 1.0


def test_several_batches_are_averaged_before_freezing():
    quantizer = make("lsq", bits=8)
    quantizer.observe(torch.full((3,), 1.0))
    quantizer.observe(torch.full((1,), -5.0))
    quantizer.freeze()
    assert quantizer.step.item() == pytest.approx(2 * 2.0 / math.sqrt(127))


def test_first_training_batch_initializes_and_evaluation_before_passes_through():
    quantizer = make("lsq", bits=4)
    x = torch.randn(100, generator=torch.Generator().manual_seed(0))
    quantizer.eval()
    assert quantizer(x) is x
    assert quantizer.state is QuantizerState.PASS_THROUGH
    quantizer.train()
    assert quantizer(torch.empty(0)).numel() == 0
    assert not quantizer.is_ready
    quantizer(x)
    assert quantizer.is_ready
    assert quantizer.step.item() == pytest.approx(2 * x.abs().mean().item() / math.sqrt(7), rel=1e-5)
    before = quantizer.step.item()
    quantizer(10 * x)
    assert quantizer.step.item() == before


@pytest.mark.parametrize("options", [{}, {"channels": 3}, {"signed": False}, {"bits": 2, "full_range": False}])
def test_forward_is_the_dequantization_of_the_codes_bit_for_bit(options):
    x = torch.cat([torch.randn(3, 200, generator=torch.Generator().manual_seed(1)) * 3, torch.zeros(3, 1)], 1)
    quantizer = trained(x, **options)
    quantized = quantizer.quantize(x)
    assert torch.equal(quantizer(x).detach().view(torch.int32), quantized.dequantize().view(torch.int32))
    assert quantized.codes.dtype == (torch.uint8 if options.get("signed") is False else torch.int8)
    assert quantized.codes.min() >= quantizer.format.minimum
    assert quantized.zero_point is None


def test_training_learns_the_step():
    x = torch.randn(2000, generator=torch.Generator().manual_seed(2))
    quantizer = trained(x, bits=3)
    with torch.no_grad():
        quantizer.step.fill_(2.0)
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.04)

    def error():
        return (quantizer(x) - x).square().mean()

    for _ in range(100):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    # The best uniform 8-level step for a normal distribution is 0.586 (Max 1960), error 0.037; here one level is lost.
    assert 0.45 < quantizer.step.item() < 0.75
    assert error().item() < 0.05


def test_a_step_pushed_below_zero_stays_finite_and_can_return():
    quantizer = trained(torch.ones(4), bits=4)
    with torch.no_grad():
        quantizer.step.fill_(-0.5)
    y = quantizer(torch.tensor([0.0, 1.0, -1.0]))
    assert torch.isfinite(y).all()
    (y - 1).square().sum().backward()
    assert torch.isfinite(quantizer.step.grad)
    assert quantizer.step.grad != 0


@pytest.mark.parametrize("step", [-0.05, 0.0, -1e30, 1e-40])
def test_every_way_reads_a_step_below_the_smallest_as_the_smallest(step):
    quantizer = trained(torch.ones(4), bits=4)
    with torch.no_grad():
        quantizer.step.fill_(step)
    quantizer.eval()
    x = torch.tensor([0.0, 0.3, -0.3, 5.0])
    quantized = quantizer.quantize(x)
    assert quantized.scale == quantizer.encoding().scale == 2.0**-126
    assert quantized.codes.tolist() == [0, 7, -8, 7]
    assert torch.equal(quantized.dequantize(), quantizer(x))


def test_state_dict_round_trip():
    x = torch.randn(2, 50, generator=torch.Generator().manual_seed(3))
    quantizer = trained(x, channels=2)
    buffer = io.BytesIO()
    torch.save(quantizer.state_dict(), buffer)
    buffer.seek(0)
    restored = make("lsq", channels=2)
    restored.load_state_dict(torch.load(buffer, weights_only=True))
    assert restored.is_ready
    assert torch.equal(restored(x), quantizer(x))


def test_sums_for_the_initial_step_are_restored():
    quantizer = make("lsq")
    quantizer.observe(torch.tensor([1.0, 3.0]))
    restored = make("lsq")
    restored.load_state_dict(quantizer.state_dict())
    restored.observe(torch.tensor([5.0]))
    restored.freeze()
    assert restored.step.item() == pytest.approx(2 * 3 / math.sqrt(127))


class TestSign:
    """Codes that are signed only where something can be below zero."""

    X = torch.tensor([[-0.954, 0.2], [0.7, 0.953]])

    @pytest.mark.parametrize(
        ("told", "batch", "format"),
        [
            (None, X, INT8_FULL),
            (None, X.abs(), UINT8),
            (None, -torch.zeros(2, 2), UINT8),  # -0.0 is not below zero
            (False, X.abs(), INT8_FULL),  # a first batch without negative values says nothing
            (True, X, UINT8),
        ],
    )
    def test_is_what_is_told_or_what_the_first_batch_shows(self, told, batch, format):
        quantizer = make("lsq", signed=None, batch_axis=0)
        if told is not None:
            quantizer.expect_nonnegative(told)
        quantizer(batch)
        assert quantizer.format == quantizer.encoding().format == quantizer.quantize(batch.abs()).format == format
        mean = float(batch.abs().mean())
        assert quantizer.step.item() == pytest.approx(2 * mean / math.sqrt(format.maximum) if mean else 1.0)

    def test_values_below_zero_are_kept(self):
        quantizer = make("lsq", signed=None, batch_axis=0)
        with torch.no_grad():
            quantizer(self.X)
            quantizer.step.fill_(1 / 127)
            assert (quantizer(self.X) - self.X).abs().max() <= 0.5 / 127 + 1e-6
        assert quantizer.negative_inputs is None

    def test_a_given_sign_is_not_changed(self):
        for signed, told in ((True, True), (False, False)):
            quantizer = make("lsq", signed=signed)
            quantizer.expect_nonnegative(told)
            quantizer(self.X)
            assert (quantizer.format.minimum < 0) is signed

    def test_is_not_changed_once_there_is_a_step(self):
        quantizer = make("lsq", signed=None)
        quantizer(self.X)
        quantizer.expect_nonnegative(True)
        assert quantizer.format == INT8_FULL

    def test_observed_values_decide_where_freeze_is_called(self):
        quantizer = make("lsq", signed=None)
        quantizer.observe(self.X.abs())
        quantizer.observe(self.X)
        quantizer.observe(self.X.abs())
        quantizer.freeze()
        assert quantizer.format == INT8_FULL

    def test_negative_inputs_of_unsigned_codes_are_counted(self):
        quantizer = make("lsq", signed=None, batch_axis=0)
        assert quantizer.negative_inputs is None
        quantizer(self.X.abs())
        assert quantizer.negative_inputs == 0
        quantizer(torch.tensor([-1.0, -0.0, 0.0, math.nan, -math.inf, -1e-30]))
        assert quantizer.negative_inputs == 3
        quantizer.eval()
        quantizer(self.X)
        quantizer.quantize(self.X)
        assert quantizer.negative_inputs == 5
        restored = make("lsq", signed=None, batch_axis=0)
        restored.load_state_dict(quantizer.state_dict())
        assert (restored.negative_inputs, restored.format) == (5, UINT8)

    def test_a_first_batch_that_belies_what_was_told_is_counted(self):
        quantizer = make("lsq", signed=None)
        quantizer.expect_nonnegative(True)
        assert quantizer.negative_inputs == 0
        quantizer(self.X)
        assert quantizer.negative_inputs == 1

    @pytest.mark.parametrize("batch", [X, X.abs()])
    def test_is_restored(self, batch):
        quantizer = make("lsq", signed=None)
        quantizer(batch)
        restored = make("lsq", signed=None)
        restored.expect_nonnegative(bool((batch < 0).any()))  # wrongly: the stored step is of the stored format
        restored.load_state_dict(quantizer.state_dict())
        assert restored.format == quantizer.format
        assert torch.equal(restored(self.X), quantizer(self.X))

    def test_sums_of_the_sign_are_restored(self):
        quantizer = make("lsq", signed=None)
        quantizer.observe(self.X)
        restored = make("lsq", signed=None)
        restored.load_state_dict(quantizer.state_dict())
        restored.freeze()
        assert restored.format == INT8_FULL

    def test_a_state_of_the_other_sign_is_refused(self):
        quantizer = make("lsq", signed=False)
        quantizer(self.X)
        other = make("lsq")
        other.layer_name = "fc"
        with pytest.raises(ValueError, match="fc: stored for unsigned codes, this quantizer has int8"):
            other.load_state_dict(quantizer.state_dict())

    @pytest.mark.parametrize("signed", [True, False])
    def test_states_of_earlier_versions_have_the_constructors_sign(self, signed):
        quantizer = make("lsq", signed=signed)
        fresh = quantizer.state_dict()
        quantizer(self.X)
        for state, ready in ((quantizer.state_dict(), True), (fresh, False)):
            del state["code_sign"], state["_extra_state"]["negative"], state["_extra_state"]["negative_inputs"]
            restored = make("lsq", signed=signed)
            restored.load_state_dict(state)
            assert restored.is_ready is ready
            assert restored.state_dict()["code_sign"] == (ready and (-1 if signed else 1))
            unknown = make("lsq", signed=None)
            if ready:
                with pytest.raises(RuntimeError, match="does not say whether codes are signed"):
                    unknown.load_state_dict(state)


@pytest.mark.parametrize("options", [{}, {"channels": 3, "channel_axis": 1}, {"batch_axis": 0, "signed": None}])
def test_a_batch_without_examples_changes_nothing(options):
    quantizer = make("lsq", **options)
    empty = torch.empty(0, 3, requires_grad=True)
    assert quantizer(empty).shape == (0, 3)
    assert not quantizer.is_ready
    quantizer(torch.ones(2, 3))
    step = quantizer.step.detach().clone()
    quantizer(empty).sum().backward()
    assert quantizer.step.grad.abs().sum() == 0
    assert empty.grad.shape == (0, 3)
    assert quantizer.quantize(empty).codes.shape == (0, 3)
    assert torch.equal(quantizer.step, step)


def test_errors():
    quantizer = LSQ()
    quantizer.layer_name = "fc"
    with pytest.raises(RuntimeError, match="fc: cannot quantize"):
        quantizer.quantize(torch.ones(1))
    with pytest.raises(ValueError, match="fc: no values observed"):
        quantizer.freeze()
    with pytest.raises(ValueError, match="fc: NaN or infinity"):
        quantizer.observe(torch.tensor([math.nan]))
    with pytest.raises(ValueError, match="NaN has no code"):
        trained(torch.ones(2)).quantize(torch.tensor([math.nan]))
    with pytest.raises(ValueError, match="bits"):
        LSQ(bits=1)
