"""CIFAR-10: 60,000 photographs of 32×32 pixels in ten classes, from its binary version (no pickle)."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from qbench.data.contrast import global_contrast
from qbench.data.download import PublishedFile, md5_of, provide
from qbench.data.folder import DataError, data_folder
from qbench.data.splits import Examples, Splits, hold_out
from qbench.data.structure import check_counts, say_once
from qbench.data.whitening import whitening_of

ARCHIVE = PublishedFile(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    "c32a1d4ab5d03f1284b67883e8d87530",
)
FOLDER = "cifar-10-batches-bin"
TRAINING_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
_ORIGIN = ".archive-md5"  # beside the unpacked files; holds the MD5 of the archive they came from
_RECORD = 1 + 3 * 32 * 32
CLASSES = 10

# As in pylearn2's CIFAR-10: the length to which images are scaled, at which the mean variance is near 1, and what the
# ZCA adds to every variance.
CONTRAST = 55.0
EPSILON = 0.1


@dataclass(frozen=True)
class Counts:
    """Sizes of a copy of CIFAR-10.

    Attributes:
        training, test: images of each class in the training and in the test set.
        validation: how many of the training set are the validation set.
    """

    training: int
    test: int
    validation: int


PUBLISHED = Counts(training=5000, test=1000, validation=5000)


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels, uint8 [N, 3, 32, 32], and the labels, uint8 [N], of one file.

    A record is a label byte and 3072 pixels, channels first.

    Raises:
        DataError: a file that cannot be read, or whose size is no whole number of records.
    """
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if len(content) == 0 or len(content) % _RECORD:
        raise DataError(f"{path}: {len(content):,} bytes are no whole number of records of {_RECORD:,}: truncated?")
    records = content.reshape(-1, _RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def read(folder: Path, counts: Counts = PUBLISHED) -> tuple[Examples, Examples]:
    """Return the training and the test set in `folder/cifar-10-batches-bin`, as pixels, in the files' order.

    Raises:
        DataError: a missing or damaged file, or other numbers of images.
    """
    place = folder / FOLDER
    sets = []
    for names, per_class in ((TRAINING_FILES, counts.training), (TEST_FILES, counts.test)):
        pixels = np.empty((CLASSES * per_class, 3, 32, 32), np.uint8)
        labels = np.empty(CLASSES * per_class, np.uint8)
        size = CLASSES * per_class // len(names)
        for number, name in enumerate(names):
            images, classes = read_batch(place / name)
            if len(images) != size:
                raise DataError(f"{place / name}: {len(images):,} images, expected {size:,}")
            pixels[number * size : (number + 1) * size] = images
            labels[number * size : (number + 1) * size] = classes
        check_counts(place if len(names) > 1 else place / names[0], labels, [per_class] * CLASSES)
        sets.append(Examples(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))))
    return sets[0], sets[1]


def unpack(archive: Path, target: Path) -> None:
    """Unpack the six data files of `archive` to the folder `target`, which appears whole or not at all.

    Raises:
        DataError: a damaged archive, one that lacks a file, or a folder that cannot be written.
    """
    wanted = {*TRAINING_FILES, *TEST_FILES}
    try:
        with FileLock(target.with_name(f".{target.name}.lock")):
            if target.exists():
                return
            temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            try:
                with tarfile.open(archive) as tar:
                    for member in tar:
                        name = Path(member.name).name
                        source = tar.extractfile(member) if name in wanted and member.isfile() else None
                        if source is not None:
                            with (temporary / name).open("wb") as out:
                                shutil.copyfileobj(source, out)
                            wanted.discard(name)
                if wanted:
                    raise DataError(f"{archive}: has no {', '.join(sorted(wanted))}")
                (temporary / _ORIGIN).write_text(md5_of(archive))
                temporary.chmod(0o755)
                temporary.replace(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive}: cannot be unpacked, perhaps truncated: {error}") from error
    except OSError as error:
        raise DataError(f"cannot unpack {archive} to {target}: {error.strerror or error}") from error


def _provide_folder(folder: Path) -> None:
    """Download and unpack what `folder` lacks, and warn of files of unknown origin."""
    place = folder / FOLDER
    if not place.exists():
        there = (folder / ARCHIVE.path).exists()
        if not there:
            provide("CIFAR-10", [ARCHIVE], folder)
        unpack(folder / ARCHIVE.path, place)
        if not there:
            (folder / ARCHIVE.path).unlink(missing_ok=True)
    missing = [name for name in TRAINING_FILES + TEST_FILES if not (place / name).is_file()]
    if missing:
        raise DataError(f"{place}: has no {', '.join(missing)}: add it, or remove the folder to download it")
    origin = (place / _ORIGIN).read_text().strip() if (place / _ORIGIN).exists() else "unknown"
    if origin != ARCHIVE.md5:
        say_once(
            f"CIFAR-10: {place}: the MD5 of the archive it comes from is {origin}, published is {ARCHIVE.md5}; "
            "used after a check of the structure"
        )


def load(split_seed: int = 0) -> Splits[Examples]:
    """Return CIFAR-10 as BinaryNet takes it: `2x/255 - 1`, 45,000 / 5,000 / 10,000 images [N, 3, 32, 32].

    For the validation set see `hold_out`.

    Raises:
        DataError: files that are missing and cannot be downloaded, damaged, or of another structure.

    Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    folder = data_folder()
    _provide_folder(folder)
    training, test = read(folder, PUBLISHED)
    return hold_out(training, test, split_seed, PUBLISHED.validation)


def load_whitened(split_seed: int = 0) -> Splits[Examples]:
    """Return CIFAR-10 as BinaryConnect takes it: global contrast normalization to length 55, then ZCA; else as `load`.

    The ZCA is computed from the 45,000 training images alone, with 0.1 added to every variance; BinaryConnect's, by
    pylearn2, was computed from all 50,000. See `global_contrast` and `Whitening`.

    Raises:
        DataError: as `load`.
    """
    splits = load(split_seed)

    def normalize(pixels: torch.Tensor) -> torch.Tensor:
        return global_contrast(pixels, length=CONTRAST)

    whitening = whitening_of(splits.train.stored, normalize, f"gcn {CONTRAST}", EPSILON)
    parts = (splits.train, splits.validation, splits.test)
    return Splits(*(Examples(whitening.apply(part.stored, normalize), part.labels) for part in parts))


def digest(split_seed: int) -> str:
    """Return the digest of the pixels that `load_whitened` whitens: a minute's work, at first, follows from them."""
    return load(split_seed).digest()
