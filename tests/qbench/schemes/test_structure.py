"""What a scheme refuses of other people's networks, by name, and what it leaves alone."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.quant_layer import QuantLayer
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.structure import check_structure


class Net(nn.Module):
    """A linear layer, something in the middle, and a linear layer: [B, 6, 8] to [B, 6, 4]."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.middle = middle
        self.norm = nn.LayerNorm(8)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(self.first(x))
        return self.last(self.norm(x[0] if isinstance(x, tuple) else x))


SHAPE = (6, 8)


class Attends(nn.Module):
    """Self-attention of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return y


class Scaled(nn.Linear):
    """A layer with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * F.linear(x, self.weight, self.bias)


class Twin(nn.Bilinear):
    """A bilinear form of a tensor with itself."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, x)


def hooked() -> nn.Module:
    layer = nn.Linear(8, 8)
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    return layer


def old_weight_norm() -> nn.Module:
    return nn.utils.weight_norm(nn.Linear(8, 8))


def forward_of_its_own() -> nn.Module:
    layer = nn.Linear(8, 8)
    layer.forward = lambda x: 2 * x @ layer.weight  # type: ignore[method-assign]
    return layer


KEPT = {
    "subclass": (lambda: Scaled(8, 8), r"middle \(Scaled\) has a forward, parameters or a parametrization of its own"),
    "weight_norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)),
        r"middle \(ParametrizedLinear\) has a forward, parameters or a parametrization of its own",
    ),
    "old weight_norm": (old_weight_norm, r"middle \(Linear\) has a forward, parameters or a parametrization"),
    "spectral_norm": (
        lambda: nn.utils.spectral_norm(nn.Linear(8, 8)),
        r"middle \(Linear\) has a forward, parameters or a parametrization",
    ),
    "hooks": (hooked, r"middle \(Linear\) has hooks, which a quantized layer would lose"),
    "a forward set on it": (forward_of_its_own, r"middle \(Linear\) has a forward, parameters or a parametrization"),
}

# MACs by hand, of one example of 6 tokens of 8 features.
PRODUCTS = {
    "attention": (Attends, "middle.attention", r"middle\.attention \(MultiheadAttention\) by linear, scaled_dot", 2112),
    "lstm": (lambda: nn.LSTM(8, 8, batch_first=True), "middle", r"middle \(LSTM\) by lstm", 6 * 4 * 8 * 16),
    "gru": (lambda: nn.GRU(8, 8, batch_first=True), "middle", r"middle \(GRU\) by gru", 6 * 3 * 8 * 16),
    "transposed": (lambda: nn.ConvTranspose1d(6, 6, 1), "middle", r"middle \(ConvTranspose1d\) by conv_tr", 6 * 6 * 8),
    "bilinear": (lambda: Twin(8, 8, 8), "middle", r"middle \(Twin\) by bilinear", 6 * 8 * 8 * 8),
}

QUANTIZING = ("binaryconnect", "binarynet", "xnor-net", "int8-kl", "int8-qat", "int8-lsq", "ternary-binary")


@pytest.mark.parametrize("case", KEPT)
def test_a_layer_whose_own_ways_would_be_lost_is_refused_and_kept_where_it_may_stay(case: str) -> None:
    make, message = KEPT[case]
    torch.manual_seed(0)
    plain = Net(make()).eval()
    x = torch.randn(3, *SHAPE)
    expected = plain(x)
    assert torch.equal(apply_scheme(plain, get_scheme("fp32"), input_shape=SHAPE).eval()(x), expected)
    for shape in (SHAPE, None):
        with pytest.raises(ConfigError, match=message):
            apply_scheme(Net(make()), get_scheme("binarynet"), input_shape=shape)
    for options in ({"allow_float": ["middle"]}, {"layers": {"middle": "float"}}):
        net: Any = apply_scheme(Net(make()), get_scheme("binarynet", **options), input_shape=SHAPE)
        assert not isinstance(net.middle, QuantLayer)
        assert net.last.input_quantizer is not None


@pytest.mark.parametrize("case", PRODUCTS)
def test_what_would_stay_float_is_refused_with_its_macs_unless_allowed(case: str) -> None:
    make, path, message, macs = PRODUCTS[case]
    if case == "attention":
        macs = 6 * (24 * 8 + 8 * 8) + 2 * 6 * 6 * 8  # projections in and out, scores and sums of values
    for name in ("binarynet", "int8-qat"):
        with pytest.raises(ConfigError, match=rf"model: {macs:,} multiply-acc.*: {message}.*allow_float: \[{path}\]"):
            apply_scheme(Net(make()), get_scheme(name), input_shape=SHAPE)
        for pattern in (path, "mid*", "*"):
            apply_scheme(Net(make()), get_scheme(name, allow_float=[pattern]), input_shape=SHAPE)
    apply_scheme(Net(make()), get_scheme("fp32"), input_shape=SHAPE)


def test_what_is_allowed_is_float_and_nothing_else() -> None:
    net: Any = apply_scheme(Net(Attends()), get_scheme("binarynet", allow_float=["*"]), input_shape=SHAPE)
    assert isinstance(net.first, QuantLayer)
    assert net.last.weight_quantizer is not None
    assert type(net.middle.attention.out_proj) is nn.modules.linear.NonDynamicallyQuantizableLinear


def test_an_allowance_that_matches_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"allow_float: 'midle' matches no module; did you mean 'middle'"):
        apply_scheme(Net(nn.Tanh()), get_scheme("binarynet", allow_float=["midle"]), input_shape=SHAPE)


class Functions(nn.Module):
    """Multiplies by parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 8))
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x @ self.weight.t())


def test_functions_of_the_networks_own_forward_have_the_empty_name() -> None:
    with pytest.raises(
        ConfigError, match=r"32 multiply-acc.*the forward of Functions by .*: 32\..*allow_float: \[\"\"\]"
    ):
        apply_scheme(Functions(), get_scheme("binarynet"), input_shape=(8,))
    net: Any = apply_scheme(Functions(), get_scheme("binarynet", allow_float=[""]), input_shape=(8,))
    assert net.fc.position == 1  # the product in front of it is the first
    assert net.fc.input_quantizer is not None


class Reads(nn.Module):
    """Reads the weights of `fc` in another way, or calls it as a layer."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.fc = nn.Linear(8, 8)
        if how == "tied":
            self.table = nn.Embedding(8, 8)
            self.table.weight = self.fc.weight
        if how == "by another name":
            self.same = self.fc.weight

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        match self.how:
            case "linear":
                return F.linear(y, self.fc.weight)
            case "element-wise":
                return y * self.fc.weight.mean()
            case "tied":
                return y + self.table(torch.zeros(1, dtype=torch.int64))
        return y @ self.same


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("linear", r"the weights of fc \(QuantLinear\) are also read by aten\.linear\.default in Reads\.forward"),
        ("element-wise", r"the weights of fc \(QuantLinear\) are also read by aten\.mean"),
        ("tied", r"the weights of table \(QuantEmbedding\) are also those of fc"),
        ("by another name", r"the weights of fc \(QuantLinear\) are also read by aten\.matmul"),
    ],
)
def test_weights_that_something_else_reads_are_refused(how: str, message: str) -> None:
    for name in QUANTIZING:
        if get_scheme(name).post_training is None:
            with pytest.raises(ConfigError, match=message):
                apply_scheme(Reads(how), get_scheme(name), input_shape=(8,))
    apply_scheme(Reads(how), get_scheme("fp32"), input_shape=(8,))


def test_a_tied_table_may_be_float() -> None:
    for float_one, quantized in (("fc", "table"), ("table", "fc")):
        net: Any = Reads("tied")
        apply_scheme(net, get_scheme("binaryconnect", layers={float_one: "float"}), input_shape=(8,))
        assert net.get_submodule(float_one).weight_quantizer is None
        assert net.get_submodule(quantized).weight_quantizer is not None
        assert net.fc.weight is net.table.weight


class LooksUp(nn.Module):
    """Token numbers to scores, by a table that is no layer's."""

    def __init__(self, bag: bool) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(10, 8) if bag else None
        self.table = nn.Parameter(torch.randn(10, 8))
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.embedding(x, self.table).mean(1) if self.bag is None else self.bag(x))


@pytest.mark.parametrize(("bag", "name", "place"), [(False, "table", '""'), (True, "bag.weight", "bag")])
def test_a_table_that_no_layer_looks_up_is_refused_unless_allowed(bag: bool, name: str, place: str) -> None:
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ConfigError, match=f"{name}, a table that .* allow_float: \\[{place}\\]"):
        apply_scheme(LooksUp(bag), get_scheme("binaryconnect"), input_shape=tokens)
    allowed = get_scheme("binaryconnect", allow_float=[place.strip('"')])
    apply_scheme(LooksUp(bag), allowed, input_shape=tokens)


@pytest.mark.parametrize("scheme", ["fp32", "binarynet"])
def test_a_network_that_takes_no_single_tensor_is_refused(scheme: str) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.fc(x) + y

    with pytest.raises(ConfigError, match=r"Two does not run on one tensor \[2, 4\] of torch.float32: TypeError"):
        apply_scheme(Two(), get_scheme(scheme), input_shape=(4,))


class Calls(nn.Module):
    """Calls its layers in training and evaluation as often as it is told."""

    def __init__(self, training: int, evaluation: int) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(8, 8), nn.Linear(8, 8)
        self.times = {True: training, False: evaluation}

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times[self.training]):
            x = self.fc(x)
        return self.out(x)


@pytest.mark.parametrize(
    ("training", "evaluation", "message"),
    [
        (2, 1, r"fc \(QuantLinear\) is called 2 times in training and 1 times in evaluation"),
        (0, 1, r"fc \(QuantLinear\) is called 0 times in training and 1 times in evaluation"),
        (1, 0, r"fc \(Linear\) is never called in evaluation"),
        (0, 0, r"fc \(Linear\) is never called in evaluation"),
    ],
)
def test_a_layer_must_be_called_alike_in_training_and_evaluation(training: int, evaluation: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_scheme(Calls(training, evaluation), get_scheme("binarynet"), input_shape=(8,))
    options = {"layers": {"fc": "float"}}
    apply_scheme(Calls(training, evaluation), get_scheme("binarynet", **options), input_shape=(8,))
    apply_scheme(Calls(training, evaluation), get_scheme("fp32"), input_shape=(8,))


def test_a_layer_may_be_called_twice() -> None:
    net: Any = apply_scheme(Calls(2, 2), get_scheme("binarynet"), input_shape=(8,))
    assert (net.fc.position, net.out.position, net.fc.layer_count) == (0, 1, 2)


def test_what_no_shape_showed_is_refused_as_soon_as_it_is_known() -> None:
    for make, message in ((Attends, "multiply-accumulates"), (lambda: nn.LSTM(8, 8, batch_first=True), "LSTM")):
        net = apply_scheme(Net(make()), get_scheme("binarynet"))
        with pytest.raises(ConfigError, match=message):
            check_structure(net, get_scheme("binarynet"), SHAPE)
    fine = apply_scheme(Net(nn.Tanh()), get_scheme("binarynet"))
    check_structure(fine, get_scheme("binarynet"), SHAPE)


class Backwards(nn.Module):
    """Declares its layers in the order that is not theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = nn.Linear(8, 4), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))


def test_positions_are_those_of_execution() -> None:
    net: Any = apply_scheme(Backwards(), get_scheme("binarynet"), input_shape=(8,))
    assert (net.first.position, net.last.position) == (0, 1)
    assert net.first.input_quantizer is None
    assert net.last.input_quantizer is not None
    declared = apply_scheme(Backwards(), get_scheme("binarynet"))
    message = r"first \(QuantLinear\) is number 1 of 2 in the order of execution.*number 2 of 2.*input_shape"
    with pytest.raises(ConfigError, match=message):
        check_structure(declared, get_scheme("binarynet"), (8,))
    # Where every layer has the same quantizers, their order is no matter.
    alike = apply_scheme(Backwards(), get_scheme("binaryconnect"))
    check_structure(alike, get_scheme("binaryconnect"), (8,))


def test_a_post_training_scheme_refuses_before_the_training() -> None:
    scheme = get_scheme("int8-kl")
    for make, message in ((Attends, "multiply-accumulates"), (lambda: Scaled(8, 8), r"middle \(Scaled\)")):
        net = apply_scheme(Net(make()), scheme.training_scheme(), input_shape=SHAPE)
        with pytest.raises(ConfigError, match=message):
            check_structure(net, scheme, SHAPE)
    check_structure(apply_scheme(Net(nn.ReLU()), scheme.training_scheme(), input_shape=SHAPE), scheme, SHAPE)


class Depends(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.fc, self.part = nn.Linear(8, 8), part

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        return y if y.sum() > 0 else self.part(y)


def test_what_cannot_be_read_is_warned_of_and_judged_by_its_modules(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        apply_scheme(Depends(nn.Linear(8, 8)), get_scheme("binarynet"), input_shape=(8,))
    (record,) = caplog.records
    assert "the operations of Depends cannot be read (Depends.forward, line" in record.getMessage()
    with pytest.raises(ConfigError, match=r"part \(LSTM\) would stay float32.*allow_float: \[part\]"):
        apply_scheme(Depends(nn.LSTM(8, 8)), get_scheme("binarynet"), input_shape=(8,))
    with pytest.raises(ConfigError, match=r"part \(Scaled\) has a forward"):
        apply_scheme(Depends(Scaled(8, 8)), get_scheme("binarynet"), input_shape=(8,))
    apply_scheme(Depends(nn.LSTM(8, 8)), get_scheme("fp32"), input_shape=(8,))


class ReadsPast(nn.Module):
    """Multiplies by its layer's weights without the layer, where the data decide what runs."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) @ self.fc.weight if float(x.sum()) < 1e9 else x


def test_products_that_cannot_be_read_are_refused_by_what_runs() -> None:
    """6 · 8 = 48 for one example, beside the layer's own 48."""
    with pytest.raises(ConfigError, match=r"48 multiply-accumulates .* the forward of ReadsPast by mm: 48\b"):
        apply_scheme(ReadsPast(), get_scheme("binaryconnect"), input_shape=(8,))
    apply_scheme(ReadsPast(), get_scheme("fp32"), input_shape=(8,))


class Unread(nn.Module):
    """Operations that depend on the data, and a functional ReLU that no scheme can see without them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.fc(x))
        return self.out(y) if y.sum() > 1e9 else 2 * self.out(y)


def test_what_cannot_be_read_is_run_nevertheless() -> None:
    with pytest.raises(ConfigError, match=r"out \(QuantLinear\): its binary input is never negative"):
        apply_scheme(Unread(), get_scheme("binarynet"), input_shape=(8,))


def test_a_layer_without_a_quantized_form_is_refused_for_its_own_reason() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(32, 2))
    apply_scheme(network, get_scheme("fp32"), input_shape=(1, 4, 4))
    with pytest.raises(ConfigError, match=r"0 \(Conv2d\): padding_mode must be 'zeros'.*allow_float\): \[.0.\]"):
        check_structure(network, get_scheme("int8-kl"), (1, 4, 4))


def test_a_parametrization_of_a_quantized_layer_is_refused() -> None:
    net: Any = apply_scheme(Net(nn.Tanh()), get_scheme("binarynet"), input_shape=SHAPE)
    nn.utils.parametrizations.weight_norm(net.last)
    with pytest.raises(
        ConfigError, match=r"last \(ParametrizedQuantLinear\) computes its weight from other parameters"
    ):
        check_structure(net, get_scheme("binarynet"), SHAPE)


def test_checking_leaves_the_network_as_it_is() -> None:
    net = apply_scheme(Net(nn.ReLU()), get_scheme("int8-lsq")).train()
    before = {key: value.clone() for key, value in net.state_dict().items() if isinstance(value, Tensor)}
    random = torch.get_rng_state()
    check_structure(net, get_scheme("int8-lsq"), SHAPE)
    assert torch.equal(torch.get_rng_state(), random)
    assert net.training
    assert before
    for key, value in before.items():
        assert torch.equal(value, net.state_dict()[key]), key
    assert not any(layer.input_quantizer.is_ready for layer in (net.middle, net.last) if isinstance(layer, QuantLayer))


def test_input_quantizers_hear_what_can_come_in() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(torch.tanh(self.b(F.relu(self.a(x)))))

    net: Any = apply_scheme(Two(), get_scheme("int8-lsq"), input_shape=(8,))
    assert net.b.input_quantizer.format.minimum == 0
    assert net.c.input_quantizer.format.minimum < 0
    x = torch.randn(64, 8)
    net.train()(x)
    net.eval()
    hidden = torch.tanh(net.b(F.relu(net.a(x))))
    assert hidden.min() < -0.1
    # Rounded to signed codes, no value moves by more than the outermost code allows.
    assert (net.c.input_quantizer(hidden) < -0.05).any()


def test_a_remedy_names_numbered_modules_as_a_sweep_file_must() -> None:
    layers = [nn.Conv2d(1, 4, 3), nn.ConvTranspose2d(4, 2, 2), nn.Flatten(), nn.Linear(98, 10)]
    with pytest.raises(ConfigError, match=r'allow_float: \["1"\]'):
        apply_scheme(copy.deepcopy(nn.Sequential(*layers)), get_scheme("int8-kl"), input_shape=(1, 8, 8))
    with pytest.raises(ConfigError, match=r'Known: "", "0", "1", "2", "3"$'):
        apply_scheme(nn.Sequential(*layers), get_scheme("int8-kl", allow_float=["9"]), input_shape=(1, 8, 8))


def test_tokens_by_a_shape_alone_are_refused_with_what_to_give_instead() -> None:
    network = nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(48, 4))
    with pytest.raises(ConfigError, match=r"does not run on one tensor .*indices.*token numbers, give such a batch"):
        apply_scheme(network, get_scheme("int8-qat"), input_shape=(6,))
