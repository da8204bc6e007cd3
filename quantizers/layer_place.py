"""The layer that a quantizer is built for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LayerPlace:
    """The layer that a quantizer is built for, and what of it the quantizer serves.

    Attributes:
        name: of the layer in its network.
        role: whether the weights are quantized, or the layer's input.
        kind: `linear`, `conv1d`, `conv2d` or `embedding`.
        weight_shape: of the layer's weights: [N, K], [N, C, k] or [N, C, kh, kw], output channels first; of an
            embedding [entries, width].
        position: from 0, in the order in which the network calls its layers.
        count: how many layers there are.
        groups: of a convolution; 1 for other layers.
    """

    name: str
    role: Literal["weights", "activations"]
    kind: Literal["linear", "conv1d", "conv2d", "embedding"]
    weight_shape: tuple[int, ...]
    position: int
    count: int
    groups: int = 1

    @property
    def out_channels(self) -> int:
        """How many output channels the layer has: rows of its weights."""
        return self.weight_shape[0]

    @property
    def in_channels(self) -> int:
        """How many input channels a filter reads (of a grouped convolution those of one group)."""
        return self.weight_shape[1]

    @property
    def input_channels(self) -> int:
        """How many channels the layer's input has: of a grouped convolution those of all groups."""
        return self.weight_shape[1] * self.groups

    @property
    def input_axis(self) -> int:
        """The dimension of the layer's input that its channels are: the last of rows of features, else 1."""
        return -1 if self.kind == "linear" else 1

    @property
    def label(self) -> str:
        """The layer for a message: `fc1 (linear, weights [10, 64])`."""
        return f"{self.name} ({self.kind}, weights {list(self.weight_shape)})"
