"""The images of a batch, and its labels where it has some."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qbench.data.classification import check_labels
from qbench.errors import ConfigError


def images_of(batch: Any) -> Tensor:
    """Return a batch's images: the batch itself, or the first of a tuple or list, whatever follows.

    Raises:
        ConfigError: a batch of another kind, such as a dict, whose images nothing names.
    """
    found = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if isinstance(found, Tensor):
        return found
    kind = type(batch).__name__ if found is batch else f"{type(batch).__name__} of {type(found).__name__}"
    raise ConfigError(
        f"predict takes batches of images, or tuples that begin with them; the loader gives a {kind}: override "
        "predict_step, or let the data set give tensors",
        "predict",
    )


def check_labelled(batch: Any, classes: int | None) -> None:
    """Refuse a batch that is no (images, labels), or that has an int64 label which is no class.

    Labels of another kind are left to the loss, which may be one's own; those on a GPU to its kernels, for reading them
    waits for it. (`cross_entropy` takes -100 for "leave this one out", without a word.)

    Raises:
        ConfigError: a batch of another kind, such as a dict.
        DataError: a label outside 0..classes - 1.
    """
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise ConfigError(
            f"QuantModule trains and tests on batches (images, labels); the loader gives a {type(batch).__name__}: "
            "override training_step, validation_step and test_step, or let the data set give pairs",
            "data",
        )
    labels = batch[1]
    if (
        classes is None
        or torch.compiler.is_compiling()
        or not isinstance(labels, Tensor)
        or labels.device.type != "cpu"
    ):
        return
    if labels.dtype == torch.int64 and labels.dim() == 1:
        check_labels(labels, classes, "a batch")
