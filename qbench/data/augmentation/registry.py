"""The registry of augmentations, and what is made of a trial's list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from qbench.data.augmentation.crop import Crop
from qbench.data.augmentation.cutout import Cutout
from qbench.data.augmentation.flip import Flip
from qbench.data.augmentation.normalize import Normalize
from qbench.errors import ConfigError, check_options, named_in
from quantizers import Registry

Augmentation = Callable[..., Tensor]
"""Changes a batch: `(images, generator) -> images`, float32 [B, C, H, W] of one shape, on the images' device.

What it draws it draws from `generator`, on the CPU. One whose attribute `everywhere` is true draws nothing: it is
applied to validation and test images as well.
"""

AUGMENTATIONS: Registry[Callable[..., Any]] = Registry("augmentation", group="qbench.augmentations")
"""The augmentations by name: a class, whose options are its constructor's, or a function
`(images, generator, **options)`."""

AUGMENTATIONS.add("flip", Flip)
AUGMENTATIONS.add("crop", Crop)
AUGMENTATIONS.add("cutout", Cutout)
AUGMENTATIONS.add("normalize", Normalize)

_KEY = "augment"
_BATCH = 2


def build_augmentation(name: str, options: Mapping[str, Any]) -> Augmentation:
    """Return the augmentation called `name`, or at a dotted path, with its options.

    Raises:
        ConfigError: a name that is not known, with the nearest; options that it does not take, lacks or refuses.
    """
    found = named_in(AUGMENTATIONS, name, _KEY)
    if not callable(found):
        raise ConfigError(f"{name!r} is {type(found).__name__}, expected a class, or a function of images", _KEY)
    what = f"augmentation {name!r}"
    if not isinstance(found, type):
        check_options(what, found, options, _KEY, given=("images", "generator"))
        return partial(found, **options)
    check_options(what, found, options, _KEY)
    try:
        built: Any = found(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what}: {error}", _KEY) from error
    if not callable(built):
        raise ConfigError(f"{what} builds {type(built).__name__}, which cannot be called", _KEY)
    augmentation: Augmentation = built
    return augmentation


def applies_everywhere(augmentation: Augmentation) -> bool:
    """Whether an augmentation changes validation and test images, too."""
    return bool(getattr(augmentation, "everywhere", False))


def check_augmentations(steps: Iterable[tuple[str, Augmentation]], input_shape: tuple[int, ...], data: str) -> None:
    """Refuse steps that do not suit a data set's images, or whose order cannot be kept.

    Args:
        steps: with their names, in their order.
        input_shape: of one image, without the batch.
        data: the data set's name, for messages.

    Raises:
        ConfigError: images that are not [C, H, W]; a step that fails on them, or gives another shape or type; one that
            is applied everywhere after one that is not: evaluation would see it without what comes before it.
    """
    images, training_only = torch.zeros(_BATCH, *input_shape), ""
    for name, step in steps:
        if len(input_shape) != 3:
            raise ConfigError(f"{name!r} changes images [C, H, W]; data {data!r} has {tuple(input_shape)}", _KEY)
        if applies_everywhere(step) and training_only:
            raise ConfigError(
                f"{name!r} is applied to all images, also in evaluation, and {training_only!r} in training alone: put "
                f"{name!r} before it",
                _KEY,
            )
        training_only = training_only if applies_everywhere(step) else training_only or name
        try:
            found: Any = step(images, torch.Generator().manual_seed(0))
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            raise ConfigError(
                f"{name!r} fails on images {tuple(input_shape)} of data {data!r}: {error}", _KEY
            ) from error
        if not isinstance(found, Tensor) or found.shape != images.shape or found.dtype != torch.float32:
            kind = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(
                f"{name!r} gives {kind} for images float32 {list(images.shape)}: both must be equal", _KEY
            )
