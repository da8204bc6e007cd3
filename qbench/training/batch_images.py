"""The images of a batch, with labels or without."""

from __future__ import annotations

from typing import Any

from torch import Tensor

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
