"""Predicted classes, and how many of them are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qbench.data.batches import EVALUATION_BATCH
from qbench.data.classification import check_scores, count_right, predicted_classes, share
from qbench.data.folder import DataError
from qbench.data.splits import Part

__all__ = ["Predictions", "accuracy", "predict", "predictions_on", "share"]


@dataclass(frozen=True)
class Predictions:
    """What a network predicts for a part of a data set, and what is right.

    Attributes:
        classes: predicted, int64 [N].
        labels: int64 [N].
    """

    classes: Tensor
    labels: Tensor

    @property
    def accuracy(self) -> float:
        """The share of right predictions."""
        return share(self.classes == self.labels)

    def agreement(self, other: Predictions) -> float:
        """Return the share of examples for which another run over the same part predicts the same.

        Raises:
            DataError: the two runs saw other labels, so that their predictions are not of the same examples.
        """
        if not torch.equal(self.labels, other.labels):
            raise DataError(
                "the data's loader gives other examples, or another order, each time it is iterated: an evaluation "
                "compares several passes over the same examples"
            )
        return share(self.classes == other.classes)


@torch.no_grad()
def predictions_on(network: Callable[[Tensor], Tensor], part: Part, classes: int | None = None) -> Predictions:
    """Return the predictions of a network in evaluation mode, batch by batch, with the labels.

    Args:
        network: maps images to scores.
        part: of the data; only a batch of it is in memory, if it is read by a loader.
        classes: how many scores the network has to give; None takes any number.

    Raises:
        ScoresError: no scores [B, classes].
    """
    found: list[Tensor] = []
    labels: list[Tensor] = []
    for images, right in part.batches():
        scores = network(images)
        check_scores(scores, right, classes)
        found.append(predicted_classes(scores))
        labels.append(right)
    return Predictions(torch.cat(found), torch.cat(labels))


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Return the predicted classes, int64 [N], of a network in evaluation mode."""
    return torch.cat([predicted_classes(network(batch)) for batch in images.split(EVALUATION_BATCH)])


@torch.no_grad()
def accuracy(network: nn.Module, part: Part) -> float:
    """Return the share of examples whose class `network` predicts.

    The network runs in the mode that it is in (so call `network.eval()` first), on the device of the part's batches,
    which is waited for once, at the end.

    Raises:
        ZeroDivisionError: no examples.
        ScoresError: the network gives no scores [B, classes].
    """
    right = torch.zeros((), dtype=torch.int64)
    count = 0
    for images, labels in part.batches():
        scores = network(images)
        check_scores(scores, labels)
        right = right.to(labels.device) + count_right(scores, labels)
        count += len(labels)
    return int(right) / count
