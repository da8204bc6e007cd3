"""A classifier of sentences: an embedding, an LSTM, a linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTMClassifier(nn.Module):
    """Tokens' vectors, a bidirectional LSTM, and scores of both last hidden states.

    tokens: int64 [B, T], in 0..vocabulary-1. Result: float [B, classes].

    Args:
        vocabulary: different tokens.
        width: of a token's vector.
        hidden: units of the LSTM in each direction.
        classes: how many scores it gives.
    """

    def __init__(self, vocabulary: int = 1000, width: int = 64, hidden: int = 64, classes: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(2 * hidden, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the scores, [B, classes]."""
        _, (hidden, _) = self.lstm(self.embedding(tokens))
        both = torch.cat([hidden[-2], hidden[-1]], dim=1)
        scores: Tensor = self.fc(self.dropout(both))
        return scores
