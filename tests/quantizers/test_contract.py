"""The statements quantizers make about themselves: true of every one, and not inherited by other values."""

import pytest
import torch
from torch import nn

from quantizers import (
    LSQ,
    PIXEL8,
    QUANTIZERS,
    UINT8,
    Encoding,
    Quantized,
    Quantizer,
    ScaledSign,
    Sign,
    StochasticSign,
    TanhSign,
    Uniform,
    make,
    saturated_gradient,
    straight_through,
)

NAMES = [
    "group_integer",
    "int8",
    "int8_qat",
    "lsq",
    "odd",
    "pixel8",
    "scaled_sign",
    "sign",
    "stochastic_sign",
    "table",
    "tanh_sign",
    "ternary",
    "uint8",
    "uniform",
    "unit_range",
]
X = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
PER_CHANNEL = {
    "int8": {"channel_axis": 0},
    "uint8": {"channel_axis": 0},
    "int8_qat": {"channel_axis": 0},
    "lsq": {"channels": 6},
}
EVERY = [*((name, {}) for name in NAMES), *PER_CHANNEL.items()]


def ready(name, **options):
    quantizer = make(name, **options)
    quantizer.start_observing()
    quantizer.observe(X)
    quantizer.freeze()
    assert quantizer.is_ready
    return quantizer


def test_these_are_all_of_them():
    own = [name for name, kind in QUANTIZERS._items.items() if kind.__module__.startswith("quantizers.")]
    assert sorted(own) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_is_binary_is_what_forward_gives(name):
    found, quantizer = set(), ready(name)
    for training in (False, True):
        for relaxed in (False, True):
            quantizer.set_relaxed(relaxed)
            found |= set(quantizer.train(training)(X).unique().tolist())
    assert quantizer.is_binary == (found == {-1.0, 1.0})
    assert quantizer.is_binary == (name in ("sign", "stochastic_sign"))


@pytest.mark.parametrize("name", NAMES)
def test_only_calibration_readies_what_needs_it(name):
    quantizer = make(name).train()
    quantizer(X)
    assert quantizer.needs_calibration == (not quantizer.is_ready)
    assert quantizer.needs_calibration == (name in ("int8", "uint8", "uniform"))


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_encoding_is_what_tensors_are_quantized_with(name, options):
    quantizer = ready(name, **options)
    encoding = quantizer.encoding()
    if name in ("ternary", "scaled_sign", "group_integer", "odd", "table"):
        assert encoding is None
        return
    for x in (X, 100 * X):
        quantized = quantizer.quantize(x)
        assert encoding.format == quantized.format
        assert torch.equal(encoding.scale, quantized.scale.reshape(encoding.scale.shape))
        assert (encoding.zero_point is None) == (quantized.zero_point is None)
        if encoding.zero_point is not None:
            assert torch.equal(encoding.zero_point, quantized.zero_point.reshape(encoding.zero_point.shape))
    assert encoding.scale.shape == ((6,) if options else ())
    assert encoding.scale.dtype == torch.float32
    assert not encoding.scale.requires_grad


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_low_and_high_are_the_values_beyond_which_forward_saturates(name, options):
    quantizer = ready(name, **options).eval()
    encoding = quantizer.encoding()
    if encoding is None:
        return
    assert encoding.low.dtype == encoding.high.dtype == torch.float64
    assert encoding.low.shape == encoding.high.shape == ((6,) if options else (1,))
    for bound, end in ((-1e30, encoding.low), (1e30, encoding.high)):
        with torch.no_grad():
            saturated = quantizer(torch.full((6, 2), bound)).double()
        assert torch.equal(saturated, end.expand(6).unsqueeze(1).expand(6, 2))


@pytest.mark.parametrize("name", ["int8", "uint8", "int8_qat", "lsq"])
def test_encoding_waits_until_the_quantizer_is_ready(name):
    quantizer = make(name)
    assert quantizer.encoding() is None
    quantizer.observe(X)
    assert quantizer.encoding() is None
    quantizer.freeze()
    assert quantizer.encoding() is not None


def test_encoding_by_hand():
    encoding = Encoding(UINT8, torch.tensor([0.5, 2.0]), torch.tensor([2, 0], dtype=torch.int32))
    assert encoding.low.tolist() == [-1.0, 0.0]
    assert encoding.high.tolist() == [126.5, 510.0]
    pixels = make("pixel8", multiplier=1, offset=8, divisor=8).encoding()
    assert (pixels.format, pixels.scale.item(), pixels.zero_point.item()) == (PIXEL8, 0.125, 8.0)
    assert (pixels.low.item(), pixels.high.item()) == (-1.0, 30.875)


def test_encoding_of_a_step_pushed_below_zero_is_that_of_forward():
    quantizer = ready("lsq")
    with torch.no_grad():
        quantizer.step.fill_(-0.5)
    assert quantizer.encoding().scale.item() == 2.0**-126


class TestClaimsAreNotInherited:
    def test_by_other_values(self):
        class MedianSign(Sign):
            def forward(self, x):
                return x.abs().median() * super().forward(x)

            def quantize(self, x):
                return Quantized(super().quantize(x).codes, x.abs().median(), None, self.format)

        assert not MedianSign().is_binary
        assert MedianSign().encoding() is None

    @pytest.mark.parametrize("method", ["forward", "quantize"])
    @pytest.mark.parametrize("base", [Sign, StochasticSign, TanhSign, Uniform, LSQ])
    def test_whichever_of_the_two_is_replaced(self, base, method):
        other = type("Other", (base,), {method: getattr(base, method)})
        quantizer = other()
        quantizer.observe(X)
        quantizer.freeze()
        assert quantizer.is_ready
        assert quantizer.encoding() is None
        assert not quantizer.is_binary

    def test_through_a_mixin(self):
        class Loud:
            def forward(self, x):
                return 2 * super().forward(x)

        class LoudSign(Loud, Sign): ...

        assert LoudSign()(torch.ones(1)).item() == 2
        assert not LoudSign().is_binary
        assert LoudSign().encoding() is None

    def test_nor_by_the_subclass_of_such_a_class(self):
        class Louder(Sign):
            def forward(self, x):
                return 2 * super().forward(x)

        class Same(Louder): ...

        assert not Same().is_binary
        assert Same().encoding() is None

    def test_but_may_be_stated_again(self):
        class Logged(Sign):
            def forward(self, x):
                return super().forward(x)

            @property
            def is_binary(self):
                return True

        assert Logged().is_binary
        assert Logged().encoding() is None

    def test_and_are_kept_where_the_values_are(self):
        class Renamed(Sign):
            def extra_repr(self):
                return "mine"

        assert Renamed().is_binary
        assert Renamed().encoding().scale.item() == 1
        assert Sign().is_binary
        assert not ScaledSign().is_binary


def test_defaults_do_nothing():
    class Identity(Quantizer):
        def quantize(self, x):
            return Quantized(x, torch.ones(()), None, self.format)

        def forward(self, x):
            return x

    quantizer = Identity()
    quantizer.start_observing()
    quantizer.observe(X)
    quantizer.freeze()
    quantizer.set_relaxed(True)
    quantizer.reseed(1)
    quantizer.clip_latent_(X)
    assert quantizer.is_ready
    assert not quantizer.needs_calibration
    assert not quantizer.is_binary
    assert quantizer.encoding() is None
    assert quantizer.observer is None
    assert quantizer.learned_parameters() == []
    assert quantizer.named("text") == "text"
    quantizer.layer_name = "fc"
    assert quantizer.named("text") == "fc: text"


def test_learned_parameters_are_the_parameters():
    for name in NAMES:
        quantizer = make(name)
        assert [id(each.parameter) for each in quantizer.learned_parameters()] == [
            id(each) for each in quantizer.parameters()
        ]
    (step,) = make("lsq").learned_parameters()
    assert isinstance(step.parameter, nn.Parameter)
    assert (step.rate, step.weight_decay) == (0.01, 0.0)


def test_observers():
    for name in NAMES:
        assert (make(name).observer is not None) == (name in ("int8", "uint8", "uniform", "int8_qat"))


def test_set_relaxed():
    quantizer = TanhSign().train()
    quantizer.set_relaxed(True)
    assert torch.equal(quantizer(X), X.tanh())
    quantizer.set_relaxed(False)
    assert set(quantizer(X).unique().tolist()) == {-1.0, 1.0}


class TestEarlierNames:
    def test_are_accepted_by_make(self):
        for name in ("int8", "uint8", "uniform", "quantizers.uniform.Uniform"):
            quantizer = make(name, rule="percentile", rule_options={"percentile": 90.0})
            assert (quantizer.method, quantizer.method_options) == ("percentile", {"percentile": 90.0})
        mixed = make("int8", method="percentile", rule_options={"percentile": 90.0})
        assert (mixed.method, mixed.method_options) == ("percentile", {"percentile": 90.0})

    def test_both_names_are_one_too_many(self):
        with pytest.raises(TypeError, match="quantizer 'int8': 'rule' is the earlier name of 'method'"):
            make("int8", rule="kl", method="kl")
        with pytest.raises(TypeError, match="'rule_options' is the earlier name of 'method_options'"):
            make("int8", rule_options={}, method_options={})

    def test_are_nothing_to_the_constructor_or_to_other_quantizers(self):
        with pytest.raises(TypeError, match="'rule'"):
            Uniform(rule="kl")
        with pytest.raises(TypeError, match=r"quantizer 'sign': .*'rule'"):
            make("sign", rule="kl")

    def test_of_a_users_quantizer(self):
        QUANTIZERS.add("renamed", type("Renamed", (Sign,), {"earlier_names": {"bound": "clip"}}))
        try:
            assert make("renamed", bound=0.5).clip == 0.5
        finally:
            del QUANTIZERS._items["renamed"]


@pytest.mark.parametrize("option", ["method", "rule", "observer"])
def test_a_moving_average_has_its_own_method_and_observer(option):
    with pytest.raises(TypeError, match="quantizer 'int8_qat'"):
        make("int8_qat", **{option: None})


class TestStraightThrough:
    def test_values_and_gradient(self):
        x = torch.tensor([0.4, 0.6, 3.0], requires_grad=True)
        y = straight_through(x, torch.round, saturated_gradient)
        assert y.tolist() == [0, 1, 3]
        y.backward(torch.tensor([2.0, 3.0, 4.0]))
        assert x.grad.tolist() == [2, 3, 0]

    @pytest.mark.parametrize("quantizer", [Sign("identity"), StochasticSign(0, "identity"), make("ternary")])
    def test_the_identity_keeps_no_tensor(self, quantizer):
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor), lambda nothing: nothing):
            quantizer(X.clone().requires_grad_())
        assert saved == []

    @pytest.mark.parametrize("quantizer", [Sign(), StochasticSign(), TanhSign()])
    def test_the_others_keep_their_input_alone(self, quantizer):
        saved, x = [], X.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
            quantizer(x)
        assert [each.data_ptr() for each in saved] == [x.data_ptr()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make_ready", [make, ready])
def test_a_batch_without_examples_is_nothing(name, make_ready):
    quantizer, x = make_ready(name), torch.empty(0, 40, requires_grad=True)
    for training in (True, False):
        y = quantizer.train(training)(x)
        assert y.shape == x.shape
        y.sum().backward()
    quantizer.observe(x.detach())
    if quantizer.is_ready:
        assert quantizer.quantize(x.detach()).codes.shape == x.shape
    assert quantizer.negative_inputs is None
