"""The place of a model's nonlinearity."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Activation(nn.Module):
    """An activation slot: the place of a model's nonlinearity, whose function the scheme decides.

    With binary activations the slot is the identity, and the next layer's input quantizer is the nonlinearity: a ReLU
    before it would make every sign +1.

    Args:
        function: "relu", "relu6" (clip to [0, 6]), "hardtanh" (clip to [-1, 1]) or "identity".
        own: "relu" or "relu6": the function of the place itself, which a scheme with ReLUs keeps.
        inplace: writes into its input, as the ReLU did whose place it is.
    """

    FUNCTIONS = ("relu", "relu6", "hardtanh", "identity")

    def __init__(self, function: str = "relu", *, own: str = "relu", inplace: bool = False) -> None:
        super().__init__()
        self.function = function
        self.own = own
        self.inplace = inplace

    def fill(self, function: str) -> None:
        """Let the slot compute a scheme's `function`; "relu" is the place's own, be it bounded or not."""
        self.function = self.own if function == "relu" else function

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of `x`, any shape."""
        if self.function == "relu":
            return F.relu(x, self.inplace)
        if self.function == "relu6":
            return F.relu6(x, self.inplace)
        if self.function == "hardtanh":
            return F.hardtanh(x, inplace=self.inplace)
        return x

    def extra_repr(self) -> str:
        """Return the function's name for `repr`."""
        return self.function
