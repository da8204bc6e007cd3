"""SVHN: 630,420 house-number digits of 32×32 pixels, cropped (format 2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor

from qbench.data.contrast import global_contrast, local_contrast
from qbench.data.download import PublishedFile, provide
from qbench.data.folder import DataError, data_folder
from qbench.data.splits import Examples, Splits
from qbench.data.structure import check_counts, warn_of_own_copies
from qbench.seeds import derive

_URL = "http://ufldl.stanford.edu/housenumbers/"
_MD5 = {
    "train": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test": "eb5a983be6a315427106f1b164d9cef3",
    "extra": "a93ce644f1a588dc4d68dda5feec44a7",
}
FILES = {part: PublishedFile(f"svhn/{part}_32x32.mat", (f"{_URL}{part}_32x32.mat",), md5) for part, md5 in _MD5.items()}
# Numbers of the digits 0 to 9 in each file.
COUNTS: dict[str, tuple[int, ...]] = {
    "train": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
    "test": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
    "extra": (45550, 90560, 74740, 60765, 50633, 53490, 41582, 43997, 35358, 34456),
}
VALIDATION = {"train": 400, "extra": 200}  # validation images of each digit, by the file they are taken from
_CHUNK = 2000


def read_mat(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels, uint8 [N, 3, 32, 32], and the digits, uint8 [N], of one file.

    The file holds X [32, 32, 3, N] and y [N, 1], in which 10 stands for the digit 0.

    Raises:
        DataError: a file that is damaged or of another structure.
    """
    try:
        content = loadmat(path, variable_names=["X", "y"])
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file scipy raises whatever its parsing runs into
        raise DataError(f"{path}: cannot be read as a .mat file, perhaps truncated: {error}") from error
    missing = [name for name in ("X", "y") if name not in content]
    if missing:
        raise DataError(f"{path}: has no variable {' and '.join(missing)}")
    x, y = content["X"], content["y"]
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (32, 32, 3):
        raise DataError(f"{path}: X is {x.dtype} {x.shape}, expected uint8 (32, 32, 3, N)")
    labels = y.reshape(-1)
    if y.size != x.shape[3] or not np.isin(labels, np.arange(1, 11)).all():
        raise DataError(f"{path}: y is {y.dtype} {y.shape}, expected {x.shape[3]:,} digits from 1 to 10")
    return np.ascontiguousarray(x.transpose(3, 2, 0, 1)), (labels % 10).astype(np.uint8)


def read(folder: Path, part: str, counts: Sequence[int] | None = None) -> Examples:
    """Return the pixels and digits of `folder/svhn/PART_32x32.mat`.

    Args:
        folder: the data folder.
        part: train, test or extra.
        counts: expected number of each digit; None expects the published ones.

    Raises:
        DataError: a damaged file, or other numbers of digits.
    """
    path = folder / FILES[part].path
    images, labels = read_mat(path)
    check_counts(path, labels, COUNTS[part] if counts is None else counts)
    return Examples(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))


def split(
    parts: dict[str, Examples], test: Examples, seed: int, validation: dict[str, int] | None = None
) -> Splits[Examples]:
    """Return splits whose validation images are drawn by `seed`, an equal number of each digit.

    Args:
        parts: the training images by the file they come from: train, perhaps extra.
        test: the test images.
        seed: of the validation images.
        validation: how many of each digit are drawn from each file; None draws 400 from train and 200 from extra.
    """
    numbers = VALIDATION if validation is None else validation
    held: list[Examples] = []
    kept: list[Examples] = []
    for name, examples in parts.items():
        generator = torch.Generator().manual_seed(derive(seed, "svhn", name))
        chosen = torch.zeros(len(examples), dtype=torch.bool)
        for digit in range(10):
            places = (examples.labels == digit).nonzero().flatten()
            chosen[places[torch.randperm(len(places), generator=generator)[: numbers[name]]]] = True
        held.append(examples[chosen])
        kept.append(examples[~chosen])
    return Splits(_joined(kept), _joined(held), test)


def _joined(parts: list[Examples]) -> Examples:
    if len(parts) == 1:
        return parts[0]
    return Examples(torch.cat([part.stored for part in parts]), torch.cat([part.labels for part in parts]))


def _load(split_seed: int, names: tuple[str, ...]) -> Splits[Examples]:
    folder = data_folder()
    files = [FILES[name] for name in (*names, "test")]
    provide("SVHN", files, folder)
    parts = {name: read(folder, name) for name in names}
    test = read(folder, "test")
    warn_of_own_copies("SVHN", files, folder)
    return split(parts, test, split_seed)


def load(split_seed: int = 0) -> Splits[Examples]:
    """Return SVHN as BinaryNet takes it: `2x/255 - 1`, 598,388 / 6,000 / 26,032 images [N, 3, 32, 32].

    The training images are those of the training and the extra file that are no validation images (see `split`).

    Raises:
        DataError: files that are missing and cannot be downloaded, damaged, or of another structure.

    Source: Netzer et al., Reading digits in natural images with unsupervised feature learning, 2011; the validation
    set is that of Sermanet, Chintala, LeCun, Convolutional neural networks applied to house numbers digit
    classification, 2012.
    """
    return _load(split_seed, ("train", "extra"))


def load_without_extra(split_seed: int = 0) -> Splits[Examples]:
    """Return SVHN without its extra file (1.3 GB): 69,257 / 4,000 / 26,032 images, otherwise as `load`."""
    return _load(split_seed, ("train",))


def load_lcn(split_seed: int = 0) -> Splits[Examples]:
    """Return SVHN as BinaryConnect takes it: global, then local contrast normalization; otherwise as `load`.

    It is float32 and takes 7.4 GB. Since local normalization divides by local contrast, global normalization matters
    only in that it subtracts an image's mean.
    """
    splits = load(split_seed)
    parts = (splits.train, splits.validation, splits.test)
    return Splits(*(Examples(normalized(part.stored), part.labels) for part in parts))


def digest(split_seed: int) -> str:
    """Return the digest of the pixels that `load_lcn` normalizes: its 7.4 GB of float32 follow from them."""
    return load(split_seed).digest()


def normalized(pixels: Tensor) -> Tensor:
    """Return pixels after global contrast normalization (length sqrt(3072)), then local; float32 [N, 3, 32, 32]."""
    result = torch.empty(pixels.shape, dtype=torch.float32)
    for start in range(0, len(pixels), _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = local_contrast(global_contrast(pixels[part], length=pixels[0].numel() ** 0.5))
    return result
