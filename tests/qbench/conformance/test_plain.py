"""A network without anything of qbench."""

from __future__ import annotations

import torch
from torch import nn

from qbench.conformance.plain import plain_copy
from qbench.nn.models.convnet import convnet
from qbench.nn.quant_conv2d import QuantConv2d


def test_only_torchs_modules_are_left_and_compute_the_same() -> None:
    network = convnet(1, 8, (4,), (6,), 3).eval()
    plain = plain_copy(network)
    assert {type(module).__module__.split(".")[0] for module in plain.modules()} == {"torch"}
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(plain(x.double()), network(x).double(), rtol=1e-5, atol=1e-5)


def test_settings_of_a_convolution_are_kept() -> None:
    layer = QuantConv2d(4, 6, (3, 1), stride=2, padding=(2, 0), dilation=(2, 1), groups=2)
    plain = plain_copy(nn.Sequential(layer))
    x = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    right = nn.functional.conv2d(x, layer.weight.double(), layer.bias.double(), 2, (2, 0), (2, 1), 2)
    torch.testing.assert_close(plain(x), right)


def test_the_network_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    plain_copy(network)
    assert network.training
    assert network[0].weight.dtype == torch.float32


def test_a_module_in_two_places_remains_one() -> None:
    relu = nn.ReLU()
    plain = plain_copy(nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu))
    assert plain[1] is plain[3]
