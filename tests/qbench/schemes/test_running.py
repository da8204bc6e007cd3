"""Quantized networks with and without gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.running import check_running, check_takes
from quantizers import Sign


def encoder(layers: int = 2) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, layers), nn.Linear(8, 3))


@pytest.mark.parametrize("name", ["binaryconnect", "binarynet", "int8-qat"])
def test_an_encoder_evaluates_with_its_quantized_weights(name: str) -> None:
    scheme = get_scheme(name, allow_float=["*.self_attn"])
    net = apply_scheme(encoder(), scheme, input_shape=(6, 8))
    x = torch.randn(64, 6, 8)
    net.train()(x)  # ranges, where the scheme has any
    net.double().eval()
    x = x.double()
    with_gradients = net(x).detach()
    with torch.no_grad():
        without = net(x)
    with torch.inference_mode():
        inferred = net(x)
    torch.testing.assert_close(without, with_gradients)
    torch.testing.assert_close(inferred, with_gradients)


def test_a_fused_form_that_reads_float_weights_is_refused() -> None:
    scheme = get_scheme("binaryconnect", allow_float=["*.self_attn"])
    net: Any = apply_scheme(encoder(1), scheme, input_shape=(6, 8))
    net[0].layers[0].activation_relu_or_gelu = 1  # what torch chose for it
    with pytest.raises(ConfigError, match="Sequential computes otherwise without gradients than with them, by"):
        check_running(net, (6, 8))


def test_a_float_encoder_keeps_its_fused_form() -> None:
    net: Any = apply_scheme(encoder(), get_scheme("fp32"), input_shape=(6, 8))
    assert net[0].layers[0].activation_relu_or_gelu == 1
    assert net[0].use_nested_tensor


def test_numbers_of_float32_and_dropout_left_on_are_no_fault() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(self.fc(x) @ torch.eye(8), 0.5)

    check_running(Own(), (8,))


def test_a_network_that_cannot_be_copied_is_said_not_to_be_run(caplog: pytest.LogCaptureFixture) -> None:
    net: Any = nn.Sequential(nn.Linear(8, 8))
    net.computed = net[0].weight * 2
    check_running(net, (8,))
    assert "Sequential was not run on random numbers, for it cannot be copied: RuntimeError" in caplog.text


def test_networks_that_take_tokens_are_run_on_the_example() -> None:
    net = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 2))
    check_running(net, torch.tensor([[1, 2, 3], [4, 5, 9]]))
    with pytest.raises(IndexError):
        check_running(net, torch.tensor([[10]]))


class Raises(Sign):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no such shape")


def test_a_quantizer_that_raises_is_named_in_place_of_the_network() -> None:
    net = apply_scheme(nn.Sequential(nn.Linear(4, 3)), get_scheme("binaryconnect"))
    net[0].weight_quantizer = Raises()
    with pytest.raises(
        ConfigError, match=r"scheme: 0\.weight_quantizer \(Raises\) does not .*RuntimeError: no such shape"
    ):
        check_takes(net, (4,))


def test_no_global_generator_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's would be the same for every seed of a trial from then on."""

    def refuse(seed: int) -> None:
        raise AssertionError("seeds the generators of every device")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    before = torch.get_rng_state()
    check_running(net, (6,))
    assert torch.equal(torch.get_rng_state(), before)
