"""What has no packed form is refused, with the layer and the reason."""

from collections import OrderedDict

import pytest
import torch
from random_networks import evaluated, quantized
from torch import nn

from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.network import PackedNetwork
from qbench.deploy.packed.norm import scale_and_shift
from qbench.deploy.packed.packable import NotPackableError
from qbench.nn.quant_linear import QuantLinear
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule
from quantizers import Pixel8, Pixels, Quantized, Sign, StochasticSign, TanhSign


def net(*more, **changed):
    parts = OrderedDict(
        conv=nn.Conv2d(1, 4, 3, bias=False),
        pool=nn.MaxPool2d(2),
        bn=nn.BatchNorm2d(4),
        act=nn.ReLU(),
        flat=nn.Flatten(),
        out=nn.Linear(4 * 9, 3, bias=False),
        bn_out=nn.BatchNorm1d(3),
    )
    parts.update(changed)
    parts.update(more)
    return nn.Sequential(OrderedDict((name, part) for name, part in parts.items() if part is not None))


class MeanSign(Sign):
    """Its answer to one value depends on the others."""

    def quantize(self, x):
        return super().quantize(x - x.mean())

    def forward(self, x):
        return super().forward(x - x.mean())


def refused(network, match, shape=(1, 8, 8)):
    with pytest.raises(NotPackableError, match=match):
        pack(network, shape)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"conv": nn.Conv2d(1, 4, 3)}, "conv: has a bias.*build it with bias=False"),
        ({"conv": nn.Conv2d(1, 4, 3, bias=False), "pool": nn.AvgPool2d(2)}, "pool: AvgPool2d is not known here"),
        ({"pool": nn.MaxPool2d(2, ceil_mode=True)}, "pool: max-pool with ceil_mode"),
        ({"bn": nn.BatchNorm2d(4, track_running_stats=False)}, "bn: has no running statistics"),
        ({"bn": nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4))}, r"bn\.1: a BatchNorm after another"),
        ({"act": nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))}, r"act\.1: a BatchNorm after another or after an act"),
        ({"act": nn.Tanh()}, "act: Tanh is not known here"),
        ({"act": nn.Sequential(nn.ReLU(), nn.MaxPool2d(1))}, r"act\.1: a second max-pool"),
        ({"flat": None, "out": nn.Linear(3, 3, bias=False)}, r"out: a linear layer on an image needs an nn\.Flatten"),
        ({"flat": nn.Flatten(2), "out": nn.Linear(9, 3, bias=False)}, r"flat: makes \[4, 9\] of \[4, 3, 3\]"),
        (
            {"out": nn.Linear(35, 3, bias=False)},
            r"cannot be read \(in out\): .*expected 35 inputs, got",
        ),
        ({"flat": None, "out": nn.Conv2d(4, 3, 1, bias=False), "bn_out": None}, "out: the last layer gives no scores"),
    ],
)
def test_structures(changed, match):
    refused(apply_scheme(net(**changed), get_scheme("binarynet")).eval(), match)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_unequal_padding():
    network = net(conv=nn.Conv2d(1, 4, 2, padding="same", bias=False), out=nn.Linear(64, 3, bias=False))
    refused(apply_scheme(network, get_scheme("binarynet")), r"conv: pads \(0, 0, 1, 1\) unequally")


def test_groups():
    network = net(conv=nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.Conv2d(4, 4, 1, groups=2, bias=False)))
    refused(apply_scheme(network, get_scheme("binarynet")), r"conv\.1: has 2 groups")


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("fp32", {}, "conv: evaluation uses float32 weights"),
        ("binaryconnect-stochastic", {}, "conv: evaluation uses float32 weights, its latent ones"),
        ("binarynet", {"first_layer": "float"}, "conv: evaluation uses float32 weights; a packed layer's are binary"),
        ("binarynet", {"last_layer": "float"}, "out: evaluation uses float32 weights"),
        ("binarynet", {"activations": {"name": "int8"}, "weights": "sign"}, "out: reads int8"),
    ],
)
def test_formats(name, options, match):
    refused(apply_scheme(net(), get_scheme(name, **options)), match)


def test_parameters_that_give_no_number():
    network = quantized(net())
    network.bn.running_var[1] = -1.0
    refused(network, "conv: its BatchNorm's mean, scale or shift is infinite or NaN")
    network.bn.running_var[1] = 1.0
    network.bn.weight.data[2] = float("inf")
    refused(network, "conv: its BatchNorm's mean, scale or shift is infinite or NaN")


def test_what_cannot_be_seen_through():
    class Branching(nn.Module):
        pass

    refused(Branching(), "the operations of Branching cannot be read: .*missing the required .forward. function")

    class Own(QuantLinear):
        pass

    own = Own(4, 2, bias=False)
    own.weight_quantizer = get_scheme("binarynet").quantization.weights.build()
    refused(nn.Sequential(own), "0: Own may compute otherwise", shape=(4,))

    class Twice(QuantModule):
        def forward(self, x):
            return 2 * super().forward(x)

    refused(Twice(net(), "binarynet", classes=3), "Twice: overrides forward")
    refused(nn.Sequential(), "the network has no layer")
    refused(nn.Sequential(nn.ReLU(), *net()), "0: ReLU comes before the first layer")
    refused(apply_scheme(net().double(), get_scheme("binarynet")), r"conv: is torch\.float64 on cpu")


@pytest.mark.parametrize(
    ("scale", "zero_point", "match"),
    [
        (torch.full((3, 1), -0.5), None, "a scale of its binary weights is negative, infinite or NaN"),
        (torch.full((3, 1), float("nan")), None, "a scale of its binary weights is negative, infinite or NaN"),
        (torch.tensor(float("inf")), None, "a scale of its binary weights is negative, infinite or NaN"),
        (torch.full((1, 36), 0.5), None, "more scales than one an output channel"),
        (torch.full((36,), 0.5), None, "more scales than one an output channel"),
        (torch.tensor(1.0), torch.tensor(1), "a zero point"),
    ],
)
def test_scales_of_weights_that_have_no_packed_form(scale, zero_point, match):
    class Scaled(Sign):
        def quantize(self, x):
            return Quantized(super().quantize(x).codes, scale, zero_point, self.format)

    network = quantized(net())
    network.out.weight_quantizer = Scaled()
    refused(network, f"out: .*{match}")


def test_scaled_inputs():
    class Scaled(Sign):
        def quantize(self, x):
            return Quantized(super().quantize(x).codes, torch.tensor(0.5), None, self.format)

    network = quantized(net())
    network.out.input_quantizer = Scaled()
    refused(network, "out: its binary inputs are scaled")


def test_nested_sequentials_and_a_module_in_training_mode():
    network = quantized(nn.Sequential(nn.Sequential(*list(net())[:4]), nn.Dropout(0.3), *list(net())[4:]))
    images = torch.randint(-4, 5, (6, 1, 8, 8)).float()
    expected = evaluated(network, images)
    assert torch.equal(PackedNetwork(pack(network.train(), (1, 8, 8)))(images), expected)


def test_scale_and_shift_are_the_modules_own():
    norm = nn.BatchNorm1d(50, eps=1e-3).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 9)
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    with torch.no_grad():
        scale, shift = scale_and_shift(norm)
    exact = norm.weight.double() / torch.sqrt(norm.running_var.double() + 1e-3)
    torch.testing.assert_close(scale.double(), exact.detach(), rtol=1e-6, atol=0)
    expected = norm.bias.double() - norm.running_mean.double() * exact
    torch.testing.assert_close(shift.double(), expected.detach(), rtol=1e-5, atol=1e-6)


class Late(Sign):
    """+1 from 0.75 on."""

    def forward(self, x):
        return super().forward(x - 0.75)

    def quantize(self, x):
        return super().quantize(x - 0.75)


def test_a_network_input_is_packed_where_evaluation_takes_its_sign():
    images = torch.randn(6, 1, 8, 8)
    network = quantized(net())
    for quantizer in (Sign(), StochasticSign(), TanhSign()):
        network.conv.input_quantizer = quantizer.eval()
        model = pack(network, (1, 8, 8))
        assert model.spec.input.kind == "sign"
        assert torch.equal(PackedNetwork(model)(images), evaluated(network, images))
    network.conv.input_quantizer = Late()
    refused(network, "the network's input passes through Late; only a sign, 8-bit pixels and float32")
    network.conv.input_quantizer = MeanSign()
    refused(network, "the network's input passes through MeanSign; only a sign, 8-bit pixels and float32")


def test_another_quantizer_to_pixels_says_which_they_are():
    class Own(Pixel8):
        pass

    class Inverted(Pixel8):
        def quantize(self, x):
            return super().quantize(-x)

    network = quantized(net())
    network.conv.input_quantizer = Own(1, 8, 8)
    assert pack(network, (1, 8, 8)).spec.input.pixels == Pixels(multiplier=1, offset=8, divisor=8)
    network.conv.input_quantizer = Inverted(1, 8, 8)
    refused(network, "the network's input passes through Inverted")
