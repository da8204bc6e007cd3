"""The place of a model's nonlinearity."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Activation(nn.Module):
    """An activation slot: the place of a model's nonlinearity, whose function the scheme decides.

    With binary activations the slot is the identity, and the next layer's input quantizer is the nonlinearity: a ReLU
    before it would make every sign +1.

    Args:
        function: "relu", "hardtanh" (clip to [-1, 1]) or "identity".
    """

    FUNCTIONS = ("relu", "hardtanh", "identity")

    def __init__(self, function: str = "relu") -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of `x`, any shape."""
        if self.function == "relu":
            return F.relu(x)
        if self.function == "hardtanh":
            return F.hardtanh(x)
        return x

    def extra_repr(self) -> str:
        """Return the function's name for `repr`."""
        return self.function
