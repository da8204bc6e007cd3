"""A classifier of sequences around torch's own nn.TransformerEncoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TransformerClassifier(nn.Module):
    """Vectors, a learned position each, nn.TransformerEncoder, the mean over the sequence, scores.

    x: float [B, steps, inputs]. Result: float [B, classes].

    Args:
        inputs: of each vector.
        steps: of a sequence.
        width: of the encoder; a multiple of heads.
        depth: encoder layers.
        heads: of the attention.
        classes: how many scores it gives.

    Source: Vaswani et al., Attention is all you need (NIPS 2017) section 3.1.
    """

    def __init__(
        self, inputs: int = 40, steps: int = 50, width: int = 128, depth: int = 2, heads: int = 4, classes: int = 10
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.position = nn.Parameter(torch.randn(steps, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        x = self.encoder(self.embed(x) + self.position)
        scores: Tensor = self.head(x.mean(dim=1))
        return scores
