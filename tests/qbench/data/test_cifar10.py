"""CIFAR-10 from small files in the official binary layout, and whitened."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qbench.data import cifar10
from qbench.data.datasets import get_dataset
from qbench.data.download import PublishedFile
from qbench.data.folder import DataError
from qbench.data.whitening import Whitening

SMALL = cifar10.Counts(training=5, test=2, validation=10)  # ten images a file, twenty to test


def batches(seed=0):
    """Records of a label and 3 planes of 32×32, by file; and the pixels and labels that went in."""
    numbers = np.random.default_rng(seed)
    files, pixels, labels = {}, [], []
    for name in cifar10.TRAINING_FILES + cifar10.TEST_FILES:
        count = 10 * SMALL.test if name == "test_batch.bin" else 10 * SMALL.training // 5
        classes = numbers.permutation(np.arange(count) % 10).astype(np.uint8)
        images = numbers.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        files[name] = b"".join(bytes([label]) + image.tobytes() for label, image in zip(classes, images, strict=True))
        pixels.append(images)
        labels.append(classes)
    return files, np.concatenate(pixels), np.concatenate(labels)


@pytest.fixture
def small(data_folder, monkeypatch):
    monkeypatch.setattr(cifar10, "PUBLISHED", SMALL)
    monkeypatch.setattr(cifar10, "ARCHIVE", PublishedFile(cifar10.ARCHIVE.path, ("http://127.0.0.1:9/none",), "0" * 32))
    files, pixels, labels = batches()
    (data_folder / cifar10.FOLDER).mkdir()
    for name, content in files.items():
        (data_folder / cifar10.FOLDER / name).write_bytes(content)
    return pixels, labels


def test_it_is_read_in_the_files_order(small):
    pixels, labels = small
    splits = get_dataset("cifar10").load(0)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 10, 20]
    stored = torch.cat([part.stored for part in (splits.train, splits.validation, splits.test)])
    assert stored.dtype == torch.uint8
    np.testing.assert_array_equal(stored.numpy(), pixels)
    found = torch.cat([part.labels for part in (splits.train, splits.validation, splits.test)])
    np.testing.assert_array_equal(found.numpy(), labels)
    expected = (2.0 * pixels[50:] / 255 - 1).astype(np.float32)
    np.testing.assert_array_equal(splits.test.images.numpy(), expected)


def test_a_users_folder_is_used_with_one_warning(small, caplog):
    for _ in range(2):
        cifar10.load()
    assert len(caplog.records) == 1
    assert f"the MD5 of the archive it comes from is unknown, published is {'0' * 32}" in caplog.text


def archive(kit):
    content = {f"{cifar10.FOLDER}/{name}": data for name, data in batches()[0].items()}
    return kit.tar({f"{cifar10.FOLDER}/readme.html": b"hello", **content})


def test_it_is_downloaded_and_unpacked_when_absent(data_folder, server, kit, monkeypatch, caplog):
    monkeypatch.setattr(cifar10, "PUBLISHED", SMALL)
    packed = archive(kit)
    server.files["c.tar.gz"] = packed
    monkeypatch.setattr(
        cifar10, "ARCHIVE", PublishedFile("cifar-10-binary.tar.gz", (server.url + "c.tar.gz",), kit.md5(packed))
    )
    for _ in range(2):
        np.testing.assert_array_equal(cifar10.load().test.stored.numpy(), batches()[1][50:])
    assert len(server.requests) == 1
    assert caplog.text == ""  # it comes from the published archive
    assert [path.name for path in data_folder.iterdir() if not path.name.endswith(".lock")] == [cifar10.FOLDER]


def test_a_users_archive_is_unpacked_and_kept(data_folder, kit, monkeypatch, caplog):
    monkeypatch.setattr(cifar10, "PUBLISHED", SMALL)
    packed = archive(kit)
    (data_folder / "cifar-10-binary.tar.gz").write_bytes(packed)
    assert len(cifar10.load().train) == 40
    assert (data_folder / "cifar-10-binary.tar.gz").read_bytes() == packed
    assert f"comes from is {kit.md5(packed)}, published is c32a1d4ab5d03f1284b67883e8d87530" in caplog.text


def test_a_damaged_archive_leaves_nothing(data_folder, kit):
    packed = archive(kit)
    path = data_folder / "cifar-10-binary.tar.gz"
    for content, message in (
        (packed[: len(packed) // 2], "cannot be unpacked, perhaps truncated"),
        (b"<html>", "cannot be unpacked"),
        (kit.tar({"cifar-10-batches-bin/test_batch.bin": b"x"}), "has no data_batch_1.bin, data_batch_2.bin"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            cifar10.load()
        assert [each for each in data_folder.iterdir() if each.is_dir()] == []


def test_an_archive_writes_nowhere_else(data_folder, kit, tmp_path):
    (data_folder / "cifar-10-binary.tar.gz").write_bytes(kit.tar({"../../evil.bin": b"x", "/tmp/evil.bin": b"x"}))
    with pytest.raises(DataError, match=r"has no data_batch_1\.bin"):
        cifar10.load()
    assert list(tmp_path.rglob("evil*")) == []


def test_absent_and_offline_it_names_the_archive(data_folder, monkeypatch):
    monkeypatch.setattr(cifar10, "ARCHIVE", PublishedFile("cifar-10-binary.tar.gz", ("http://127.0.0.1:9/c",), ""))
    with pytest.raises(DataError, match=r"CIFAR-10: .*place cifar-10-binary.tar.gz in .*data \(QBENCH_DATA"):
        cifar10.load()


def test_a_folder_that_lacks_files_is_not_filled_up(small, data_folder):
    for name in ("data_batch_2.bin", "test_batch.bin"):
        (data_folder / cifar10.FOLDER / name).unlink()
    with pytest.raises(DataError, match=r"has no data_batch_2.bin, test_batch.bin: add it"):
        cifar10.load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "data_batch_3.bin: 30,729 bytes are no whole number of records of 3,073"),
        (lambda content: b"", "data_batch_3.bin: 0 bytes are no whole number"),
        (lambda content: content[:-3073], "data_batch_3.bin: 9 images, expected 10"),
        (lambda content: bytes([(content[0] + 1) % 10]) + content[1:], "examples of class .*, expected 5"),
        (lambda content: bytes([17]) + content[1:], "label 17, expected 0 to 9"),
    ],
)
def test_damaged_files_are_one_clear_line(small, data_folder, change, message):
    path = data_folder / cifar10.FOLDER / "data_batch_3.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        cifar10.load()
    assert "\n" not in str(caught.value)


def test_whitened_is_of_the_training_images_after_global_contrast(small, monkeypatch):
    """The ZCA itself is tested on smaller images: the eigenvectors of 3,072 pixels take half a minute."""
    asked = []

    def fake(images, normalize, kind, epsilon):
        asked.append((images, kind, epsilon))
        return Whitening(torch.full((3072,), 0.25, dtype=torch.float64), 2 * torch.eye(3072, dtype=torch.float64))

    monkeypatch.setattr(cifar10, "whitening_of", fake)
    splits = get_dataset("cifar10-whitened").load(0)
    (images, kind, epsilon) = asked[0]
    np.testing.assert_array_equal(images.numpy(), small[0][:40])
    assert (kind, epsilon) == ("gcn 55.0", 0.1)
    pixels = small[0].reshape(70, -1).astype(np.float64)
    centred = pixels - pixels.mean(1, keepdims=True)
    contrast = 55 * centred / np.sqrt((centred**2).sum(1, keepdims=True))
    found = torch.cat([part.images for part in (splits.train, splits.validation, splits.test)])
    assert found.dtype == torch.float32
    assert found.shape == (70, 3, 32, 32)
    np.testing.assert_allclose(found.flatten(1).numpy(), 2 * (contrast - 0.25), rtol=1e-4, atol=1e-4)
    assert splits.train.labels.tolist() == small[1][:40].tolist()
