"""MNIST: 70,000 handwritten digits of 28×28 pixels."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch

from qbench.data.download import PublishedFile, provide
from qbench.data.folder import DataError, data_folder
from qbench.data.splits import Examples, Splits, hold_out
from qbench.data.structure import check_counts, warn_of_own_copies

_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
FILES = tuple(
    PublishedFile(f"mnist/{name}", tuple(mirror + name for mirror in _MIRRORS), md5) for name, md5 in _MD5.items()
)


@dataclass(frozen=True)
class Counts:
    """Sizes of a copy of MNIST.

    Attributes:
        training, test: examples of each digit in the two published sets.
        validation: how many of the training set are the validation set.
    """

    training: tuple[int, ...]
    test: tuple[int, ...]
    validation: int


PUBLISHED = Counts(
    training=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    test=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    validation=10_000,
)


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array in a gzipped idx file.

    An idx file is the bytes 0, 0, 8 (unsigned bytes), the rank, then each size as a big-endian int32, then the values
    in C order.

    Source: http://yann.lecun.com/exdb/mnist/.

    Raises:
        DataError: a file that is damaged or of another kind.
    """
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked, perhaps truncated: {error}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path}: no idx file of bytes: it starts with {content[:4].hex(' ') or 'nothing'}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: ends within its header, after {len(content)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    if len(content) != start + prod(shape):
        raise DataError(f"{path}: {len(content):,} bytes, expected {start + prod(shape):,} for shape {shape}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def read(folder: Path, counts: Counts = PUBLISHED) -> tuple[Examples, Examples]:
    """Return the training and the test set in `folder/mnist`, as pixels, uint8 [N, 1, 28, 28].

    Raises:
        DataError: a damaged file, or one of another structure.
    """
    sets = []
    for prefix, expected in (("train", counts.training), ("t10k", counts.test)):
        images_file, labels_file = (
            folder / "mnist" / f"{prefix}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")
        )
        images, labels = read_idx(images_file), read_idx(labels_file)
        if images.shape != (sum(expected), 28, 28):
            raise DataError(f"{images_file}: shape {images.shape}, expected {(sum(expected), 28, 28)}")
        if labels.ndim != 1:
            raise DataError(f"{labels_file}: shape {labels.shape}, expected {(sum(expected),)}")
        check_counts(labels_file, labels, expected)
        pixels = torch.from_numpy(images.copy()).unsqueeze(1)
        sets.append(Examples(pixels, torch.from_numpy(labels.astype(np.int64))))
    return sets[0], sets[1]


def load(split_seed: int = 0) -> Splits[Examples]:
    """Return MNIST as BinaryNet takes it: `2x/255 - 1`, 50,000 / 10,000 / 10,000 images [N, 1, 28, 28].

    For the validation set see `hold_out`.

    Raises:
        DataError: files that are missing and cannot be downloaded, damaged, or of another structure.

    Source: LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998.
    """
    folder = data_folder()
    provide("MNIST", FILES, folder)
    training, test = read(folder, PUBLISHED)
    warn_of_own_copies("MNIST", FILES, folder)
    return hold_out(training, test, split_seed, PUBLISHED.validation)
