"""Examples, and a data set split into training, validation and test examples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from qbench.data.batches import EVALUATION_BATCH, Batches
from qbench.data.training_batches import Batch, TrainingBatches


class Part(Protocol):
    """A part of a data set, in memory (`Examples`) or read batch by batch (`LoadedExamples`).

    A batch is images, float32 [B, C, H, W], with their labels, int64 [B].
    """

    @property
    def has_places(self) -> bool:
        """Whether its examples have numbers, by which some can be taken."""
        ...

    def __len__(self) -> int:
        """Return how many examples it has."""
        ...

    def __getitem__(self, places: Tensor) -> Examples:
        """Return the examples of these numbers, in memory."""
        ...

    def first(self, count: int) -> Examples:
        """Return the first `count` examples, or all where there are fewer, in memory."""
        ...

    def batches(self) -> Iterable[Batch]:
        """Return its batches for evaluation: the same examples in the same order whenever they are iterated."""
        ...

    def training_batches(self, batch_size: int, seed: int) -> TrainingBatches:
        """Return its batches for training, whose order depends on (seed, epoch) alone."""
        ...

    def to(self, device: torch.device | str) -> Part:
        """Return the part, whose batches are on `device`."""
        ...

    def changed(self, change: Callable[[Tensor], Tensor]) -> Part:
        """Return the part with other images, of the same shape: `change` maps float32 [N, C, H, W] to that."""
        ...


@dataclass(frozen=True)
class Examples:
    """Images with their classes.

    Large data sets stay 8-bit pixels in memory, a quarter of float32, and become float32 batch by batch.

    Attributes:
        stored: the images, float32 [N, C, H, W], or their pixels, uint8 [N, C, H, W].
        labels: the classes, int64 [N].

    Raises:
        TypeError: images of another type.
        ValueError: another number of labels than of images.
    """

    stored: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.stored.dtype not in (torch.uint8, torch.float32):
            raise TypeError(f"images are float32, or uint8 pixels, got {self.stored.dtype}")
        if len(self.stored) != len(self.labels):
            raise ValueError(f"{len(self.stored)} images with {len(self.labels)} labels")

    @property
    def images(self) -> Tensor:
        """The images as float32 [N, C, H, W]: a pixel p stands for `2p/255 - 1`, computed as `(2p - 255)/255`.

        The quotient rounds once, so it is the float32 nearest to the true value, and odd around 127.5. For pixels each
        call computes a new tensor.
        """
        if self.stored.dtype != torch.uint8:
            return self.stored
        return self.stored.to(torch.float32).mul_(2).sub_(255).div_(255)

    has_places = True

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> Examples:
        return Examples(self.stored[index], self.labels[index])

    def first(self, count: int) -> Examples:
        """Return the first `count` examples, or all where there are fewer."""
        return self[:count]

    def batches(self) -> Batches:
        """Return the examples in their order, EVALUATION_BATCH at a time."""
        return Batches(self, EVALUATION_BATCH)

    def training_batches(self, batch_size: int, seed: int) -> Batches:
        """Return the examples in an order that `seed` and the epoch decide, `batch_size` at a time."""
        return Batches(self, batch_size, seed)

    def to(self, device: torch.device | str) -> Examples:
        """Return the examples on `device`."""
        return Examples(self.stored.to(device), self.labels.to(device))

    def changed(self, change: Callable[[Tensor], Tensor]) -> Examples:
        """Return the examples with other images, which are float32 from then on."""
        return Examples(change(self.images), self.labels)


P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Splits(Generic[P]):
    """Training, validation and test examples; no image is in two of them."""

    train: P
    validation: P
    test: P

    def digest(self) -> str:
        """Return the content as 64 hexadecimal digits: SHA-256 over type, shape and bytes of all that is stored.

        CIFAR-10's 184 MB take 0.15 s.

        Raises:
            TypeError: a part that is not in memory.
        """
        hashed = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            if not isinstance(part, Examples):
                raise TypeError(f"a digest is of Examples, not of {type(part).__name__}")
            for tensor in (part.stored, part.labels):
                hashed.update(f"{tensor.dtype} {tuple(tensor.shape)}\0".encode())
                hashed.update(tensor.cpu().contiguous().reshape(-1).numpy().view(np.uint8).data)
        return hashed.hexdigest()


def stratified(examples: Examples, seed: int, validation: float = 0.2, test: float = 0.2) -> Splits[Examples]:
    """Return a split in which every class has the same share of each part.

    Args:
        examples: what to split.
        seed: the same seed gives the same split.
        validation, test: their shares of the whole; training gets the rest.
    """
    labels = examples.labels.numpy()
    everything = np.arange(len(labels))
    rest, held_out = train_test_split(everything, test_size=test, stratify=labels, random_state=seed)
    train, chosen = train_test_split(rest, test_size=validation / (1 - test), stratify=labels[rest], random_state=seed)
    parts = (examples[torch.from_numpy(np.sort(part))] for part in (train, chosen, held_out))
    return Splits(*parts)


def hold_out(training: Examples, test: Examples, seed: int, validation: int) -> Splits[Examples]:
    """Return splits whose validation set is cut from the published training set; the test set stays whole.

    Args:
        training, test: the published sets.
        seed: 0 takes the last examples, as BinaryConnect's and BinaryNet's scripts do; any other seed draws them, every
            class with its share.
        validation: number of validation examples.
    """
    count = len(training)
    if seed == 0:
        return Splits(training[: count - validation], training[count - validation :], test)
    labels = training.labels.numpy()
    rest, chosen = train_test_split(np.arange(count), test_size=validation, stratify=labels, random_state=seed)
    parts = [training[torch.from_numpy(np.sort(part))] for part in (rest, chosen)]
    return Splits(parts[0], parts[1], test)
