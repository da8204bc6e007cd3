"""What applying a scheme does to a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError
from qbench.nn.activation import Activation
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import quant_layers
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import Sign, StochasticSign


def test_first_and_last_layer_rules() -> None:
    chosen = get_scheme("binarynet", first_layer="float", last_layer="float")
    first, *middle, last = [
        layer for _, layer in quant_layers(apply_scheme(get_model("digits-convnet").make({}), chosen))
    ]
    for end in (first, last):
        assert end.weight_quantizer is None
        assert end.input_quantizer is None
    assert all(layer.weight_quantizer is not None for layer in middle)


def test_applying_another_scheme_replaces_everything() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet"))
    apply_scheme(net, get_scheme("fp32"))
    assert {m.function for m in net.modules() if isinstance(m, Activation)} == {"relu"}
    assert all(layer.weight_quantizer is None and layer.input_quantizer is None for _, layer in quant_layers(net))


def test_every_layer_draws_from_its_own_stream() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binaryconnect-stochastic"), seed=3)
    seeds = [layer.weight_quantizer.seed for _, layer in quant_layers(net)]
    other = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binaryconnect-stochastic"), seed=4)
    seeds += [layer.weight_quantizer.seed for _, layer in quant_layers(other)]
    assert len(set(seeds)) == len(seeds)
    assert all(isinstance(layer.weight_quantizer, StochasticSign) for _, layer in quant_layers(net))


def test_overrides_decide_instead_of_the_scheme() -> None:
    net = apply_scheme(
        get_model("digits-mlp").make({}),
        get_scheme("binarynet"),
        weight_quantizer=lambda layer: None if layer.position == 0 else Sign(clip=0.5),
        activation_quantizer=lambda layer: None,
    )
    layers = [layer for _, layer in quant_layers(net)]
    assert layers[0].weight_quantizer is None
    assert layers[1].weight_quantizer.clip == 0.5
    assert all(layer.input_quantizer is None for layer in layers)


def test_quantizers_know_their_place() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("int8-kl"))
    assert net.fc2.input_quantizer.layer_name == "fc2.input"
    assert net.fc2.weight_quantizer.layer_name == "fc2.weight"


def test_one_module_in_two_places_is_replaced_in_both() -> None:
    relu, tied = nn.ReLU(), nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(4, 4), relu, tied, relu, tied)
    apply_scheme(net, get_scheme("binarynet"))
    assert isinstance(net[1], Activation)
    assert net[1] is net[3]
    assert net[2] is net[4]
    assert len(quant_layers(net)) == 2
    assert not any(isinstance(module, nn.ReLU) for module in net.modules())


def test_conv_inside_a_users_module_is_found() -> None:
    class Users(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleDict({"a": nn.Conv2d(1, 2, 3)})
            self.head = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body["a"](x).mean((2, 3)))

    net = apply_scheme(Users(), get_scheme("binarynet"))
    assert [name for name, _ in quant_layers(net)] == ["body.a", "head"]
    assert isinstance(net.body["a"], QuantConv2d)


def norms(net: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in net.named_modules() if "bn" in name}


def test_shift_norm_replaces_all_but_the_output_layers() -> None:
    net = apply_scheme(get_model("digits-convnet").make({}), get_scheme("bnn-shift"))
    found = {name: type(module) for name, module in norms(net).items()}
    assert found.pop("bn_out") is nn.BatchNorm1d  # the authors' output layer has a plain one
    assert found.pop("bn_fc1") is ShiftBatchNorm1d
    assert set(found.values()) == {ShiftBatchNorm2d}
    assert all(module.momentum == 0.125 for name, module in norms(net).items() if name != "bn_out")
    assert apply_scheme(net, get_scheme("bnn-shift")).bn1 is net.bn1  # a second time changes nothing


def test_a_shift_norm_takes_over_parameters_and_statistics() -> None:
    net = get_model("digits-mlp").make({"hidden": 4, "layers": 1})
    plain = net.bn1
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([0.5, -1.0, 2.0, 0.0]))
        plain.running_mean.copy_(torch.arange(4.0))
        plain.running_var.fill_(0.0625)
    apply_scheme(net, get_scheme("bnn-shift"))
    assert net.bn1.weight is plain.weight
    assert net.bn1.running_mean.tolist() == [0, 1, 2, 3]
    # eps is 1e-5: 1/sqrt(0.0625 + 1e-5) = 3.9997, AP2 of it 4.
    assert net.bn1.factor().tolist() == [2, -4, 8, 0]


def test_no_norm_and_a_momentum_of_ones_own() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet", norm="none"))
    assert all(type(module) is nn.Identity for module in norms(net).values())
    for name in ("binarynet", "bnn-shift"):
        net = apply_scheme(get_model("digits-mlp").make({}), get_scheme(name, norm_momentum=0.15))
        assert {module.momentum for module in norms(net).values()} == {0.15}


def test_a_norm_in_two_places_stays_one() -> None:
    norm = nn.BatchNorm1d(5)
    net = nn.Sequential(nn.Linear(3, 5), norm, nn.Linear(5, 5), norm, nn.Linear(5, 2))
    apply_scheme(net, get_scheme("bnn-shift"))
    assert net[1] is net[3]
    assert isinstance(net[1], ShiftBatchNorm1d)


def test_with_a_shape_execution_says_which_norm_is_the_last() -> None:
    class Backwards(nn.Module):
        """Declares its last norm first."""

        def __init__(self) -> None:
            super().__init__()
            self.bn_out, self.out = nn.BatchNorm1d(2), nn.Linear(8, 2)
            self.bn, self.fc = nn.BatchNorm1d(8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.bn_out(self.out(self.bn(self.fc(x))))

    net = apply_scheme(Backwards(), get_scheme("bnn-shift"), input_shape=(8,))
    assert type(net.bn_out) is nn.BatchNorm1d
    assert type(net.bn) is ShiftBatchNorm1d


def test_conv1d_and_tables_are_layers_and_indices_have_no_quantizer() -> None:
    net = nn.Sequential(nn.Embedding(9, 6), nn.Conv1d(7, 5, 3), nn.Linear(4, 2))
    tokens = torch.randint(9, (3, 7))
    apply_scheme(net, get_scheme("binarynet"), input_shape=tokens)
    assert [layer.position for _, layer in quant_layers(net)] == [0, 1, 2]
    assert [layer.weight_format.name for _, layer in quant_layers(net)] == ["binary"] * 3
    assert [layer.input_format.name for _, layer in quant_layers(net)] == ["float32", "binary", "binary"]
    assert net.eval()(tokens).shape == (3, 5, 2)


def test_a_padding_entry_without_a_zero_is_refused_or_left_float() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Embedding(9, 6, padding_idx=0), nn.Linear(6, 2))

    tokens = torch.randint(9, (3, 7))
    with pytest.raises(ConfigError, match=r"0 \(QuantEmbedding\): entry 0 is padding, and its zeros would become"):
        apply_scheme(make(), get_scheme("binarynet"), input_shape=tokens)
    net = apply_scheme(make(), get_scheme("binarynet", allow_float=["0"]), input_shape=tokens)
    assert net[0].weight_quantizer is None
    assert net[1].weight_quantizer is not None


@pytest.mark.parametrize("scheme", ["fp32", "binaryconnect"])
def test_parameters_without_values_are_refused_by_name(scheme: str) -> None:
    for layer, message in (
        (nn.LazyLinear(6), r"0 \(LazyLinear\) has no weights before its first batch: run one"),
        (nn.Linear(8, 6, device="meta"), r"0 \(Linear\) is on the meta device"),
    ):
        for shape in (None, (8,)):
            with pytest.raises(ConfigError, match=message):
                apply_scheme(nn.Sequential(layer, nn.ReLU(), nn.Linear(6, 4)), get_scheme(scheme), input_shape=shape)


class Named(nn.Module):
    """Calls its layers by torch's name of their argument."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 6), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(input=self.first(input=x).relu())
        return y


def test_layers_that_are_called_by_name_of_their_argument() -> None:
    torch.manual_seed(0)
    network, x = Named(), torch.randn(5, 8)
    signs = [torch.where(layer.weight.detach().double() >= 0, 1.0, -1.0).double() for layer in network.children()]
    biases = [layer.bias.detach().double() for layer in network.children()]
    right = (x.double() @ signs[0].T + biases[0]).clamp(min=0) @ signs[1].T + biases[1]
    quantized = apply_scheme(network, get_scheme("binaryconnect"), input_shape=(8,)).eval()
    torch.testing.assert_close(quantized(x).detach().double(), right, rtol=1e-5, atol=1e-5)
