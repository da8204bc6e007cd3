"""The activation functions that are there, by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.activation_registry import ACTIVATIONS, register_activation
from qbench.nn.function_facts import FACTS, FunctionFacts


class RPReLU(nn.Module):
    """PReLU between two shifts, all three learned for each channel: ReActNet's activation function.

        y = x - γ + ζ          where x > γ
            β · (x - γ) + ζ    elsewhere

    γ, ζ and β have one entry for each channel. It starts as a PReLU of the same slope: γ = ζ = 0.

    Args:
        channels: C, of inputs [B, C, ...].
        slope: the initial β.

    Source: Liu et al., ReActNet (ECCV 2020) eq. 2.
    """

    def __init__(self, channels: int, slope: float = 0.25) -> None:
        super().__init__()
        self.shift_in = nn.Parameter(torch.zeros(channels))
        self.slope = nn.Parameter(torch.full((channels,), slope))
        self.shift_out = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of `x` [B, C, ...]."""
        shape = (-1, *[1] * (x.dim() - 2))
        return F.prelu(x - self.shift_in.reshape(shape), self.slope) + self.shift_out.reshape(shape)


class ClippedReLU(nn.Module):
    """ReLU clipped at a learned value: PACT's activation function, without its quantization.

        y = min(max(x, 0), α),   ∂y/∂x = 1 where 0 < x < α, else 0;   ∂y/∂α = 1 where x >= α, else 0

    One α for a layer. An α that training pushed below 0 is read as 0, with the same gradient. The paper adds a decay of
    α to the loss: here α has the optimizer's decay.

    Args:
        clip: the initial α; one that few activations reach.

    Source: Choi et al., PACT (2018) eq. 1 and 3.
    """

    def __init__(self, clip: float = 10.0) -> None:
        super().__init__()
        if not clip > 0:
            raise ValueError(f"clip must be positive, got {clip}")
        self.clip = nn.Parameter(torch.tensor(float(clip)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of `x`, any shape."""
        clip = self.clip + (self.clip.clamp_min(0) - self.clip).detach()
        return torch.where(x < clip, F.relu(x), clip)


def _prelu(channels: int, slope: float = 0.25) -> nn.Module:
    """PReLU with a slope for each channel."""
    return nn.PReLU(channels, slope)


def _torchs(kind: type[nn.Module], **options: Any) -> nn.Module:
    """One of torch's modules, whose options are its arguments."""
    if "inplace" in options:
        raise ValueError("a slot decides itself whether it writes into its input: leave inplace out")
    return kind(**options)


for _name, _kind in {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}.items():
    register_activation(_name, FACTS.get(_name))(partial(_torchs, _kind))
register_activation("hardtanh", FunctionFacts(rising=True))(partial(_torchs, nn.Hardtanh))
register_activation("prelu", FACTS["prelu"])(_prelu)
register_activation("rprelu")(RPReLU)
register_activation("clipped_relu", FunctionFacts(rising=True, nonnegative=True, keeps_sign=True))(ClippedReLU)

__all__ = ["ACTIVATIONS", "ClippedReLU", "RPReLU"]
