"""Residual blocks whose shortcut carries real values past a binary convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn.activation import Activation
from qbench.nn.quant_conv2d import QuantConv2d


class ResidualBlock(nn.Module):
    """A residual block, `y = act(BatchNorm(conv(x)) + shortcut(x))`, with one 3×3 convolution beside the shortcut.

    With binary activations the activation slot is the identity and the convolution's input quantizer takes signs:
    `y = BatchNorm(W_b ⊛ sign(x)) + shortcut(x)`. The shortcut carries the real x past the sign, while the convolution
    stays a product of signs: packed execution gives the same sums.

    The shortcut has no parameters: it is x; with stride 2, its 2×2 means; with twice the channels, two copies of that.

    x: float [B, inputs, H, W]. Result: float [B, outputs, ⌈H/stride⌉, ⌈W/stride⌉].

    Args:
        inputs, outputs: channels; outputs is a multiple of inputs.
        stride: 1 or 2.
        eps: of the BatchNorm.

    Raises:
        ValueError: other channels or another stride.

    Source: Liu et al., Bi-Real Net (arXiv 1808.00278) section 3.1; there a real-valued 1×1 convolution changes the
    shortcut's channels.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, eps: float = 1e-5) -> None:
        super().__init__()
        if inputs < 1 or outputs % inputs:
            raise ValueError(f"outputs must be a multiple of inputs, got {inputs} and {outputs}")
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2, got {stride}")
        self.copies, self.stride = outputs // inputs, stride
        self.conv = QuantConv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=eps)
        self.act = Activation()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's result; see the class."""
        shortcut = F.avg_pool2d(x, 2, ceil_mode=True) if self.stride == 2 else x
        if self.copies > 1:
            shortcut = torch.cat([shortcut] * self.copies, dim=1)
        y: Tensor = self.act(self.bn(self.conv(x)) + shortcut)
        return y
