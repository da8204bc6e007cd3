"""From torch's layers to quantizable ones: the same results, parameters and settings, or a refusal by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, weight_norm

from qbench.errors import ConfigError
from qbench.nn.from_float import from_float
from qbench.nn.quant_conv1d import QuantConv1d
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_embedding import QuantEmbedding
from qbench.nn.quant_linear import QuantLinear

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")
SIGNAL, IMAGE = torch.randn(2, 4, 9), torch.randn(2, 4, 7, 8)
TOKENS = torch.tensor([[0, 3, 1], [2, 2, 4]])


@pytest.mark.parametrize(
    ("layer", "kind", "x"),
    [
        (nn.Linear(4, 3), QuantLinear, torch.randn(2, 5, 4)),
        (nn.Linear(4, 3, bias=False), QuantLinear, torch.randn(2, 4)),
        (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), QuantConv1d, SIGNAL),
        (nn.Conv1d(4, 6, 4, padding="same", dilation=3, bias=False), QuantConv1d, SIGNAL),
        (nn.Conv1d(4, 6, 4), QuantConv1d, SIGNAL[0]),
        (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), QuantConv2d, IMAGE),
        (nn.Conv2d(4, 6, (2, 4), padding="same"), QuantConv2d, IMAGE),
        (nn.Conv2d(4, 6, 3, padding="valid", stride=2), QuantConv2d, IMAGE),
        (nn.Embedding(5, 3, padding_idx=2), QuantEmbedding, TOKENS),
        (nn.Embedding(5, 3, scale_grad_by_freq=True), QuantEmbedding, TOKENS.int()),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_without_quantizers_it_is_the_same_layer(
    layer: nn.Module, kind: type[nn.Module], x: Tensor, training: bool
) -> None:
    new = from_float(layer.train(training))
    assert type(new) is kind
    assert new.training == training
    assert dict(new.named_parameters()) == dict(layer.named_parameters())  # the same objects
    result, expected = new(x), layer(x)
    assert torch.equal(result, expected)
    parameters = list(layer.parameters())
    for found, right in zip(
        torch.autograd.grad(result.square().sum(), parameters),
        torch.autograd.grad(expected.square().sum(), parameters),
        strict=True,
    ):
        assert torch.equal(found, right)


class Doubled(nn.Linear):
    """Computes otherwise than nn.Linear."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Named(nn.Linear):
    """Computes as nn.Linear."""


def hooked() -> nn.Module:
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda module, args, output: output + 1)
    return layer


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Doubled(2, 2), r"^head \(Doubled\) has a forward, parameters or a parametrization of its own"),
        (weight_norm(nn.Linear(2, 2)), r"^head \(Linear\) has a forward, parameters or a parametrization of its own"),
        (parametrizations.weight_norm(nn.Conv1d(2, 2, 3)), "a parametrization of its own"),
        (parametrizations.spectral_norm(nn.Conv2d(2, 2, 3)), "a parametrization of its own"),
        (prune.l1_unstructured(nn.Linear(2, 2), "weight", 0.5), "parameters or a parametrization of its own"),
        (hooked(), r"^head \(Linear\) has hooks, which a quantized layer would lose"),
        (nn.Conv3d(1, 1, 3), r"^head \(Conv3d\) is no nn\.Linear, nn\.Conv1d, nn\.Conv2d or nn\.Embedding"),
        (nn.ConvTranspose2d(1, 1, 3), "ConvTranspose2d"),
        (nn.LSTM(2, 2), "LSTM"),
        (nn.Embedding(3, 2, max_norm=1.0), r"^head \(Embedding\): max_norm must not be set, got 1\.0"),
        (nn.Embedding(3, 2, sparse=True), "sparse must not be set, got True"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_a_quantized_layer_would_lose_is_refused_by_name(layer: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_float(layer, "head")
    assert "allow_float" in str(refusal.value)


def test_a_subclass_that_computes_alike_is_converted() -> None:
    assert type(from_float(Named(2, 2))) is QuantLinear
