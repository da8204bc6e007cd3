"""A data set cut into training, validation and test examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Images, float32 [N, C, H, W], and their classes, int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> Examples:
        return Examples(self.images[index], self.labels[index])

    def to(self, device: torch.device | str) -> Examples:
        return Examples(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """Training, validation and test examples; no image is in two of them."""

    train: Examples
    validation: Examples
    test: Examples


def stratified(examples: Examples, seed: int, validation: float = 0.2, test: float = 0.2) -> Splits:
    """Split so that every part has the classes' shares; the same `seed` gives the same split.

    Args:
        validation, test: their shares of the whole; training gets the rest.
    """
    labels = examples.labels.numpy()
    everything = np.arange(len(labels))
    rest, held_out = train_test_split(everything, test_size=test, stratify=labels, random_state=seed)
    train, chosen = train_test_split(rest, test_size=validation / (1 - test), stratify=labels[rest], random_state=seed)
    parts = (examples[torch.from_numpy(np.sort(part))] for part in (train, chosen, held_out))
    return Splits(*parts)
