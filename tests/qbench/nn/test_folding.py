"""Folding changes a network's form and not its function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.folding import DirectedMaxPool2d, fold_batch_norms
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_linear import QuantLinear
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


def trained_like(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random BatchNorm parameters and statistics, negative gammas and a zero among them."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                if tensor is not None:
                    tensor.data.copy_(torch.randn(tensor.shape, generator=generator))
            if module.running_var is None:
                continue
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.1)
            module.weight.data[0] = 0.0
    return network.eval()


@pytest.mark.parametrize("name", ["digits-mlp", "digits-convnet"])
def test_a_folded_network_computes_the_same(name: str) -> None:
    network = trained_like(apply_scheme(get_model(name).make({}), get_scheme("fp32"))).double()
    images = torch.rand(20, 1, 8, 8, dtype=torch.float64) - 0.5
    expected = network(images)
    folded = fold_batch_norms(network, (1, 8, 8))
    assert folded == [key for key, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)


def test_shift_based_norms_fold_by_their_power_of_two() -> None:
    generator = torch.Generator().manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.MaxPool2d(2), ShiftBatchNorm2d(6), nn.Flatten(), nn.Linear(54, 5), ShiftBatchNorm1d(5)
    )
    for norm in (network[2], network[5]):
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator))
        norm.running_inverse_std.copy_(torch.rand(norm.num_features, generator=generator) + 0.1)
        norm.weight.data[1] = 0.0
    assert bool((network[2].weight < 0).any())
    network = network.double().eval()
    images = torch.randn(7, 1, 8, 8, dtype=torch.float64, generator=generator)
    expected = network(images)
    assert fold_batch_norms(network, (1, 8, 8)) == ["0", "4"]
    assert isinstance(network[1], DirectedMaxPool2d)
    torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)


def test_a_negative_gamma_after_a_pool_takes_the_smallest() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(2, eps=0.0)).eval()
    chain[0].weight.data.fill_(1.0)
    chain[2].weight.data.copy_(torch.tensor([2.0, -2.0]))
    fold_batch_norms(chain, (1, 4, 4))
    assert isinstance(chain[1], DirectedMaxPool2d)
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert chain(image).flatten().tolist() == [8.0, -8.0]


def test_pools_of_positive_gammas_stay_as_they_are() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(2), nn.BatchNorm2d(2)).eval()
    pool = chain[1]
    assert fold_batch_norms(chain, (1, 4, 4)) == ["0"]
    assert chain[1] is pool


class Net(nn.Module):
    """Layers and a BatchNorm, called by a function of theirs and the input; `others` are known to Python alone."""

    def __init__(self, how: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.others = list(parts.values())
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        return self.how(self, x)


def a_pool_in_between(net: Any, x: Tensor) -> Tensor:
    return F.relu(net.bn(F.max_pool2d(net.a(x), 2)))


SHARED = nn.BatchNorm1d(4)
CASES: dict[str, tuple[nn.Module, tuple[int, ...], list[str]]] = {
    # Folded.
    "functions": (Net(a_pool_in_between, bn=nn.BatchNorm2d(3), a=nn.Conv2d(1, 3, 3)), (1, 6, 6), ["a"]),
    "residual": (
        Net(lambda net, x: F.relu(net.bn(net.a(x)) + x), a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4)),
        (4,),
        ["a"],
    ),
    "dropout off": (
        Net(lambda net, x: net.bn(F.dropout(net.a(x), 0.5, net.training)), a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4)),
        (4,),
        ["a"],
    ),
    "conv1d": (nn.Sequential(nn.Conv1d(2, 3, 3), nn.MaxPool1d(2), nn.BatchNorm1d(3)), (2, 9), ["0"]),
    # Not folded: the ReLU, or the BatchNorm, or the layer serves twice.
    "shared norm": (nn.Sequential(nn.Linear(4, 4), SHARED, nn.Linear(4, 4), SHARED), (4,), []),
    "shared layer": (Net(lambda net, x: net.bn(net.a(net.a(x))), a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4)), (4,), []),
    "no statistics": (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)), (4,), []),
    "after a ReLU": (nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4)), (4,), []),
    "two readers": (Net(lambda net, x: net.bn(y := net.a(x)) + y, a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4)), (4,), []),
    "its weight is read": (
        Net(lambda net, x: net.bn(net.a(x)) + F.linear(x, net.a.weight), a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4)),
        (4,),
        [],
    ),
    "its shift is read": (
        Net(lambda net, x: net.bn(net.a(x)) + net.bn.bias, a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4)),
        (4,),
        [],
    ),
    "rows are normalized": (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), (4, 4), []),
    "channels are pooled": (nn.Sequential(nn.Linear(4, 4), nn.MaxPool1d(3, 1, 1), nn.BatchNorm1d(4)), (4,), []),
    "called from a list": (
        Net(lambda net, x: net.others[1](net.others[0](x)), a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4)),
        (4,),
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_what_is_folded_computes_the_same(name: str) -> None:
    network, shape, folded = CASES[name]
    network = trained_like(copy.deepcopy(network)).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and name in ("functions", "conv1d"):
            module.weight.abs_()  # such max-pools cannot take the smallest
    x = torch.randn(7, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    expected = network(x)
    random = torch.get_rng_state()
    assert fold_batch_norms(network, shape) == folded
    torch.testing.assert_close(network(x), expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(torch.get_rng_state(), random)
    left = sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())
    assert left == (0 if folded else 1)


@torch.no_grad()
def test_a_negative_gamma_stays_behind_a_pool_that_cannot_be_exchanged() -> None:
    pool = nn.MaxPool2d(2)
    shared = nn.Sequential(
        nn.Conv2d(1, 2, 3), pool, nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3), pool, nn.BatchNorm2d(2), nn.Flatten()
    )
    function = Net(a_pool_in_between, a=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2))
    x = torch.randn(5, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for network, norms in ((shared, (2, 5)), (function, ("bn",))):
        trained_like(network).double()
        for name in norms:
            network.get_submodule(str(name)).weight.copy_(torch.tensor([2.0, -2.0]))
        expected = network(x)
        assert fold_batch_norms(network, (1, 12, 12)) == []
        assert torch.equal(network(x), expected)
    shared[2].weight.abs_()
    assert fold_batch_norms(shared, (1, 12, 12)) == ["0"]


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("weight_norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.parametrize("layer", [nn.Linear, QuantLinear])
@torch.no_grad()
def test_a_weight_that_is_made_anew_at_each_call_takes_nothing_in(
    weight_norm: Callable[[nn.Module], nn.Module], layer: type[nn.Linear]
) -> None:
    network = trained_like(nn.Sequential(weight_norm(layer(4, 4)), nn.BatchNorm1d(4)))
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(3))
    expected = network(x)
    assert fold_batch_norms(network, (4,)) == []
    assert torch.equal(network(x), expected)


def test_a_network_that_cannot_be_captured_is_left_alone_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    network = Net(lambda net, x: net.bn(net.a(x)) if bool(x.sum() > 0) else x, a=nn.Linear(4, 4), bn=nn.BatchNorm1d(4))
    assert fold_batch_norms(network, (4,)) == []
    assert "no BatchNorm is folded: the operations of Net cannot be read" in caplog.text


def test_folding_turns_no_code_of_per_channel_weights() -> None:
    """A channel's factor goes into its scale: codes keep their magnitude, and change sign where gamma is negative."""
    codes, gammas = [], None
    for fold in (False, True):
        torch.manual_seed(0)
        network = trained_like(apply_scheme(get_model("digits-mlp").make({"hidden": 12}), get_scheme("int8-minmax")))
        if fold:
            gammas = network.bn1.weight.detach()
            fold_batch_norms(network, (1, 8, 8))
            apply_scheme(network, get_scheme("int8-minmax"))
        quantizer = network.fc1.weight_quantizer
        quantizer.observe(network.fc1.weight)
        quantizer.freeze()
        codes.append(quantizer.quantize(network.fc1.weight).codes.int())
    assert gammas is not None
    live = gammas != 0
    turned = codes[0] * torch.sign(gammas).int()[:, None]
    assert torch.equal(codes[1][live], turned[live])
    assert not codes[1][~live].any()
