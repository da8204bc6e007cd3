"""Folding changes a network's form and not its function."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from qbench.nn.folding import DirectedMaxPool2d, fold_batch_norms
from qbench.nn.models.catalogue import get_model
from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


def trained_like(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random BatchNorm parameters and statistics, negative gammas and a zero among them."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                tensor.data.copy_(torch.randn(tensor.shape, generator=generator))
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


def test_what_is_not_certain_stays() -> None:
    shared = nn.BatchNorm1d(4)
    twice = nn.Sequential(nn.Linear(4, 4), shared, nn.Linear(4, 4), shared)
    batch_dependent = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False))
    activated = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4))
    unordered = nn.ModuleDict({"layer": nn.Linear(4, 4), "norm": nn.BatchNorm1d(4)})
    for network in (twice, batch_dependent, activated, unordered):
        before = copy.deepcopy(network)
        assert fold_batch_norms(network, (4,)) == []
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters(), strict=True))


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
