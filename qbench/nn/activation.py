"""The place of a model's nonlinearity."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Activation(nn.Module):
    """An activation slot: the place of a model's nonlinearity, whose function the scheme decides.

    A binary activation *replaces* the ReLU (sign(relu(x)) is +1 everywhere): the slot is then the identity, and the
    next layer's input quantizer is the nonlinearity.

    Args:
        function: "relu", "hardtanh" (clip to [-1, 1]) or "identity".
    """

    FUNCTIONS = ("relu", "hardtanh", "identity")

    def __init__(self, function: str = "relu") -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        if self.function == "relu":
            return F.relu(x)
        if self.function == "hardtanh":
            return F.hardtanh(x)
        return x

    def extra_repr(self) -> str:
        return self.function
