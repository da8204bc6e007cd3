"""A quantizer with one threshold for each input channel, trained in every kind of layer."""

from __future__ import annotations

from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule
from quantizers import BINARY, LayerPlace, Quantized, Quantizer


class RSign(Quantizer):
    """+1 where x >= its channel's threshold, else -1 (ReActNet eq. 1); straight-through where |x - threshold| <= 1."""

    format = BINARY

    def __init__(self, channels: int, axis: int = 1) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(channels))
        self.axis = axis

    @classmethod
    def for_layer(cls, place: LayerPlace, **options: Any) -> Self:
        return cls(place.input_channels, place.input_axis, **options)

    @property
    def is_binary(self) -> bool:
        return True

    def shifted(self, x: Tensor) -> Tensor:
        shape = [1] * x.dim()
        shape[self.axis] = -1
        return x - self.threshold.reshape(shape)

    def quantize(self, x: Tensor) -> Quantized:
        signs = torch.where(self.shifted(x) >= 0, 1, -1).to(torch.int8)
        return Quantized(signs, torch.ones(()), None, BINARY)

    def forward(self, x: Tensor) -> Tensor:
        shifted = self.shifted(x)
        clipped = shifted.clamp(-1, 1)
        signs = torch.where(shifted >= 0, 1.0, -1.0)
        # In this order both terms that carry gradients are exact zeros, or cancel exactly.
        return signs.detach() + (clipped - clipped.detach())


RSIGN = f"{__name__}.RSign"


class Kinds(nn.Module):
    """Conv2d (grouped, too), Conv1d, and linear layers on rows and on vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 12, 3, groups=4)
        self.conv1d = nn.Conv1d(12, 5, 3)
        self.rows = nn.Linear(34, 6)
        self.out = nn.Linear(30, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x))
        x = self.conv1d(self.grouped(x).flatten(2))
        return self.out(self.rows(x).flatten(1))


CHANNELS = {"grouped": 8, "conv1d": 12, "rows": 34, "out": 30}


def module_of(**options: Any) -> QuantModule:
    torch.manual_seed(0)
    scheme = get_scheme("fp32", activations=RSIGN, activation_function="identity", **options)
    return QuantModule(Kinds(), scheme, input_shape=(1, 8, 8))


def test_each_layer_has_as_many_thresholds_as_its_input_has_channels() -> None:
    found = {name: layer.input_quantizer for name, layer in quant_layers(module_of().model)}
    assert found.pop("first") is None
    assert {name: tuple(each.threshold.shape) for name, each in found.items()} == {  # type: ignore[union-attr]
        name: (channels,) for name, channels in CHANNELS.items()
    }


def test_thresholds_train_and_the_loss_falls() -> None:
    module = module_of()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(64, 1, 8, 8, generator=generator)
    labels = torch.randint(10, (64,), generator=generator)
    optimizer = module.make_optimizer()
    module.start_epoch(0, 1)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = module.loss(images, labels)
        loss.backward()
        optimizer.step()
        module.clip_latents()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    for name, layer in quant_layers(module.model):
        if name != "first":
            assert layer.input_quantizer is not None
            assert int(layer.input_quantizer.get_parameter("threshold").count_nonzero()) > CHANNELS[name] // 2


def test_an_override_is_built_for_its_layer() -> None:
    torch.manual_seed(0)
    scheme = get_scheme("fp32", layers={"rows": {"activations": RSIGN}}, activation_function="identity")
    found = dict(quant_layers(QuantModule(Kinds(), scheme, input_shape=(1, 8, 8)).model))
    assert found["rows"].input_quantizer is not None
    assert found["rows"].input_quantizer.get_parameter("threshold").shape == (34,)
    assert found["out"].input_quantizer is None


class Picky(RSign):
    @classmethod
    def for_layer(cls, place: LayerPlace, **options: Any) -> Self:
        if place.kind == "conv1d":
            raise ValueError("is not for sequences")
        return super().for_layer(place, **options)


def test_a_refusal_names_the_key_and_the_layer() -> None:
    scheme = get_scheme("fp32", activations=f"{__name__}.Picky", activation_function="identity")
    with pytest.raises(
        ConfigError, match=r"scheme_options.activations: .*: conv1d \(conv1d, weights .* not for sequences"
    ):
        QuantModule(Kinds(), scheme, input_shape=(1, 8, 8))
