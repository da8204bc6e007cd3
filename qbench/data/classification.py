"""What is particular to classification: labels, scores, predictions and the metric. Another task would be another file.

A label is a class, int64, from 0 on. A network gives scores [B, classes], and predicts the class of the largest. The
metric is accuracy, the share of right predictions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qbench.data.folder import DataError
from qbench.errors import UserError

_ONLY = "qbench compares classifiers, whose labels are whole numbers [N], int64"


class ScoresError(UserError):
    """What a network gives cannot be the scores of classes."""


def predicted_classes(scores: Tensor) -> Tensor:
    """Return the class of the largest score, the first of equals: int64 [B] of scores [B, classes]."""
    return scores.argmax(1)


def count_right(scores: Tensor, labels: Tensor) -> Tensor:
    """Return how many of the predictions are right, int64 [], on the scores' device."""
    return (predicted_classes(scores) == labels).sum()


def share(equal: Tensor) -> float:
    """Return the share of true values in a bool tensor [N]: of right predictions it is the accuracy.

    Raises:
        ValueError: a tensor of another shape, such as a comparison that broadcasting has made a table.
        ZeroDivisionError: no values.
    """
    if equal.dim() != 1 or equal.dtype != torch.bool:
        raise ValueError(f"expected bool [N], got {type_of(equal)}")
    return int(equal.sum()) / len(equal)


def check_scores(scores: Any, labels: Tensor | None = None, classes: int | None = None) -> None:
    """Refuse what are no scores [B, classes]; only shapes and types are looked at, so that no device is waited for.

    Args:
        scores: what the network gave.
        labels: of the same batch, int64 [B]; None compares no numbers.
        classes: how many there are; None takes any number.

    Raises:
        ScoresError: other scores.
        DataError: labels that are not int64 [B].
    """
    expected = f"expected scores [batch, {classes or 'classes'}], float"
    if not isinstance(scores, Tensor):
        raise ScoresError(f"the network gives a {type(scores).__name__}; {expected}")
    if scores.dim() != 2 or not scores.is_floating_point() or classes not in (None, scores.shape[1]):
        raise ScoresError(f"the network gives {type_of(scores)}; {expected}")
    if labels is None:
        return
    if labels.dim() != 1 or labels.dtype != torch.int64:
        raise DataError(f"labels are {type_of(labels)}; {_ONLY}")
    if len(labels) != len(scores):
        raise ScoresError(f"the network gives {type_of(scores)} for {len(labels)} labels; {expected}")


def check_labels(labels: Any, classes: int, where: str) -> None:
    """Refuse labels that are not int64 [N] within 0..classes - 1.

    Args:
        labels: of a part of a data set, or of a batch.
        classes: how many there are.
        where: what the message begins with, `data 'mine'`.

    Raises:
        DataError: other labels: of a segmentation, of a regression, one-hot, of another type or range.
    """
    if not isinstance(labels, Tensor):
        raise DataError(f"{where}: labels are a {type(labels).__name__}; {_ONLY}")
    if labels.dim() != 1:
        raise DataError(f"{where}: labels are {type_of(labels)}; {_ONLY}")
    if labels.dtype != torch.int64:
        hint = "" if labels.is_floating_point() else "; .long() makes them so"
        raise DataError(f"{where}: labels are {type_of(labels)}; {_ONLY}{hint}")
    if len(labels):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            found = low if low < 0 else high
            raise DataError(f"{where}: label {found}, expected 0 to {classes - 1} for {classes} classes")


def type_of(tensor: Tensor) -> str:
    """Return a tensor's type and shape for a message: `float32 [8, 10]`."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
