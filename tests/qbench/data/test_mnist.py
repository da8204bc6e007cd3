"""MNIST from small files in the original format."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qbench.data import mnist
from qbench.data.datasets import get_dataset
from qbench.data.download import PublishedFile
from qbench.data.folder import DataError

SMALL = mnist.Counts(training=(6,) * 10, test=(2,) * 10, validation=20)


def content(kit, counts, seed):
    labels = np.repeat(np.arange(10, dtype=np.uint8), counts)
    np.random.default_rng(seed).shuffle(labels)
    images = np.random.default_rng(seed + 1).integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    return images, labels


@pytest.fixture
def small(data_folder, kit, monkeypatch):
    """MNIST with 60 + 20 images in the data folder, whose MD5 are the published ones; its arrays."""
    monkeypatch.setattr(mnist, "PUBLISHED", SMALL)
    (data_folder / "mnist").mkdir()
    arrays, files = {}, []
    for prefix, counts, seed in (("train", SMALL.training, 1), ("t10k", SMALL.test, 5)):
        arrays[prefix] = content(kit, counts, seed)
        for kind, array in zip(("images-idx3", "labels-idx1"), arrays[prefix], strict=True):
            path = f"mnist/{prefix}-{kind}-ubyte.gz"
            packed = kit.zipped(kit.idx(array))
            (data_folder / path).write_bytes(packed)
            files.append(PublishedFile(path, ("http://127.0.0.1:9/none",), kit.md5(packed)))
    monkeypatch.setattr(mnist, "FILES", tuple(files))
    return arrays


def test_it_is_read_as_pixels_and_served_as_numbers(small, caplog):
    splits = get_dataset("mnist").load(0)
    images, labels = small["train"]
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 20, 20]
    assert splits.train.stored.dtype == torch.uint8
    assert splits.train.images.shape == (40, 1, 28, 28)
    np.testing.assert_array_equal(splits.train.stored[:, 0].numpy(), images[:40])
    np.testing.assert_array_equal(splits.validation.labels.numpy(), labels[40:])  # the last ones, for seed 0
    np.testing.assert_array_equal(splits.test.stored[:, 0].numpy(), small["t10k"][0])
    np.testing.assert_array_equal(splits.test.labels.numpy(), small["t10k"][1])
    assert splits.test.labels.dtype == torch.int64
    expected = (2.0 * images[:40] / 255 - 1).astype(np.float32)
    np.testing.assert_array_equal(splits.train.images[:, 0].numpy(), expected)
    assert caplog.text == ""


def test_another_seed_draws_a_stratified_validation_set(small):
    splits, again, other = (get_dataset("mnist").load(seed) for seed in (3, 3, 4))
    assert splits.validation.labels.bincount().tolist() == [2] * 10
    assert torch.equal(splits.validation.stored, again.validation.stored)
    assert not torch.equal(splits.validation.stored, other.validation.stored)
    assert torch.equal(splits.test.stored, other.test.stored)
    together = torch.cat([splits.train.stored, splits.validation.stored]).flatten(1).numpy()
    assert sorted(map(bytes, together)) == sorted(map(bytes, small["train"][0].reshape(60, -1)))


def test_another_copy_is_used_with_one_warning(small, data_folder, kit, caplog):
    """The same values, compressed otherwise: the structure holds, the MD5 does not."""
    path = data_folder / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(kit.zipped(kit.idx(small["t10k"][0])) + kit.zipped(b""))
    for _ in range(2):
        assert len(mnist.load().test) == 20
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "t10k-images-idx3-ubyte.gz" in caplog.text
    assert "not the published MD5" in caplog.text


def test_it_is_downloaded_when_absent(small, data_folder, server, kit, monkeypatch, capsys):
    files = []
    for file in mnist.FILES:
        server.files[file.name] = (data_folder / file.path).read_bytes()
        files.append(PublishedFile(file.path, (server.url + file.name,), file.md5))
        (data_folder / file.path).unlink()
    (data_folder / "mnist").rmdir()
    monkeypatch.setattr(mnist, "FILES", tuple(files))
    assert len(mnist.load().train) == 40
    assert len(mnist.load().train) == 40
    assert sorted(name for name, _ in server.requests) == sorted(file.name for file in files)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "downloading train-images-idx3-ubyte.gz: 100 % of" in captured.err


def test_absent_and_offline_it_names_the_files_and_the_folder(small, data_folder):
    for name in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (data_folder / "mnist" / name).unlink()
    expected = r"place train-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz in .*data/mnist \(QBENCH_DATA"
    with pytest.raises(DataError, match=f"^MNIST: cannot download train-images-idx3-ubyte.gz .*{expected}"):
        mnist.load()


def test_the_default_folder_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("QBENCH_DATA", raising=False)
    monkeypatch.setattr(mnist, "FILES", (PublishedFile("mnist/a.gz", ("http://127.0.0.1:9/a.gz",), "0" * 32),))
    with pytest.raises(DataError) as caught:
        mnist.load()
    assert f"place a.gz in {tmp_path / 'home' / '.cache' / 'qbench' / 'mnist'}" in str(caught.value)


def damaged(kit):
    images, labels = content(kit, SMALL.training, 1)
    good = kit.zipped(kit.idx(images))
    header = kit.idx(images)[:16]
    wrong = labels.copy()
    wrong[np.flatnonzero(labels == 3)[0]] = 4
    unknown = labels.copy()
    unknown[0] = 10
    return {
        "truncated": ("images", good[: len(good) // 2], "cannot be unpacked, perhaps truncated"),
        "empty": ("images", b"", "no idx file of bytes: it starts with nothing"),
        "not compressed": ("images", kit.idx(images), "cannot be unpacked.*Not a gzipped file"),
        "corrupt": ("images", good[:50] + b"\xff\xff\xff" + good[53:], "cannot be unpacked"),
        "web page": ("images", kit.zipped(b"<html>"), "no idx file of bytes: it starts with 3c 68 74 6d"),
        "short": ("images", kit.zipped(kit.idx(images)[:-1]), "47,055 bytes, expected 47,056 for shape"),
        "long": ("images", kit.zipped(kit.idx(images) + b"\0"), "47,057 bytes, expected 47,056"),
        "header only": ("images", kit.zipped(header[:9]), "ends within its header, after 9 bytes"),
        "other size": ("images", kit.zipped(kit.idx(images[:, :27])), r"shape \(60, 27, 28\), expected \(60, 28, 28\)"),
        "fewer": ("images", kit.zipped(kit.idx(images[:59])), r"shape \(59, 28, 28\), expected"),
        "labels of rank 2": ("labels", kit.zipped(kit.idx(labels[:, None])), r"shape \(60, 1\), expected \(60,\)"),
        "fewer labels": ("labels", kit.zipped(kit.idx(labels[:59])), "59 examples, expected 60"),
        "other classes": ("labels", kit.zipped(kit.idx(wrong)), "5 examples of class 3, expected 6"),
        "unknown class": ("labels", kit.zipped(kit.idx(unknown)), "label 10, expected 0 to 9"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "truncated",
        "empty",
        "not compressed",
        "corrupt",
        "web page",
        "short",
        "long",
        "header only",
        "other size",
        "fewer",
        "labels of rank 2",
        "fewer labels",
        "other classes",
        "unknown class",
    ],
)
def test_damaged_files_are_one_clear_line(small, data_folder, kit, case):
    kind, broken, message = damaged(kit)[case]
    name = {"images": "train-images-idx3-ubyte.gz", "labels": "train-labels-idx1-ubyte.gz"}[kind]
    (data_folder / "mnist" / name).write_bytes(broken)
    with pytest.raises(DataError, match=f"{name}: .*{message}") as caught:
        mnist.load()
    assert "\n" not in str(caught.value)
