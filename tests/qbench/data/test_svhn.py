"""SVHN from small files in the original .mat layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import savemat

from qbench.data import svhn
from qbench.data.datasets import get_dataset
from qbench.data.download import PublishedFile
from qbench.data.folder import DataError

COUNTS = {"train": (5,) * 10, "test": (2,) * 10, "extra": (4,) * 10}
KEPT = {"train": 2, "extra": 1}


def content(part):
    """Images [N, 32, 32, 3] in the order of people, and their digits."""
    numbers = np.random.default_rng(len(part))
    digits = numbers.permutation(np.repeat(np.arange(10), COUNTS[part]))
    return numbers.integers(0, 256, (len(digits), 32, 32, 3), dtype=np.uint8), digits


def write(path, images, digits):
    y = np.where(digits == 0, 10, digits).astype(np.uint8).reshape(-1, 1)
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": y}, do_compression=True)


@pytest.fixture
def small(data_folder, kit, monkeypatch):
    (data_folder / "svhn").mkdir()
    for part in COUNTS:
        path = data_folder / "svhn" / f"{part}_32x32.mat"
        write(path, *content(part))
        monkeypatch.setitem(svhn.COUNTS, part, COUNTS[part])
        monkeypatch.setitem(
            svhn.FILES,
            part,
            PublishedFile(f"svhn/{path.name}", ("http://127.0.0.1:9/none",), kit.md5(path.read_bytes())),
        )
    for part, count in KEPT.items():
        monkeypatch.setitem(svhn.VALIDATION, part, count)
    return data_folder / "svhn"


def test_pixels_and_digits_are_read(small, caplog):
    images, digits = content("test")
    test = get_dataset("svhn").load(0).test
    assert test.stored.dtype == torch.uint8
    np.testing.assert_array_equal(test.stored.numpy(), images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(test.labels.numpy(), digits)  # 10 is the digit 0
    np.testing.assert_array_equal(
        test.images.numpy(), (2.0 * images / 255 - 1).astype(np.float32).transpose(0, 3, 1, 2)
    )
    assert caplog.text == ""


def rows(*stored):
    return sorted(map(bytes, np.concatenate([np.asarray(each).reshape(len(each), -1) for each in stored])))


def test_validation_is_drawn_from_both_files(small):
    splits, again, other = (get_dataset("svhn").load(seed) for seed in (0, 0, 1))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [60, 30, 20]
    assert splits.validation.labels.bincount().tolist() == [3] * 10
    originals = [content(part)[0].transpose(0, 3, 1, 2) for part in ("train", "extra")]
    assert rows(splits.train.stored, splits.validation.stored) == rows(*originals)
    held = set(rows(splits.validation.stored))
    assert [len(held & set(rows(part))) for part in originals] == [20, 10]
    assert torch.equal(splits.validation.stored, again.validation.stored)
    assert not torch.equal(splits.validation.stored, other.validation.stored)


def test_without_extra_the_extra_file_is_not_needed(small):
    (small / "extra_32x32.mat").unlink()
    splits = get_dataset("svhn-no-extra").load(0)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [30, 20, 20]
    with pytest.raises(DataError, match=r"SVHN: .*place extra_32x32.mat in .*svhn \(QBENCH_DATA"):
        get_dataset("svhn").load(0)


def test_lcn_normalizes_every_part(small):
    plain, lcn = get_dataset("svhn").load(0), get_dataset("svhn-lcn").load(0)
    for name in ("train", "validation", "test"):
        before, after = getattr(plain, name), getattr(lcn, name)
        assert after.images.dtype == torch.float32
        assert torch.equal(before.labels, after.labels)
        # Image by image, whatever its company.
        torch.testing.assert_close(after.images[3:4], svhn.normalized(before.stored[3:4]), rtol=1e-5, atol=1e-5)
        assert 0.3 < after.images.std() < 3


def test_another_copy_is_used_with_one_warning(small, caplog):
    write(small / "train_32x32.mat", *(each[::-1] for each in content("train")))
    for _ in range(2):
        get_dataset("svhn").load(0)
    assert len(caplog.records) == 1
    assert "train_32x32.mat" in caplog.text
    assert "not the published MD5" in caplog.text


def damaged(path, case):
    images, digits = content("train")
    if case == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
        return "cannot be read as a .mat file"
    if case == "web page":
        path.write_bytes(b"<html>moved</html>")
        return "cannot be read as a .mat file"
    if case == "empty":
        path.write_bytes(b"")
        return "cannot be read as a .mat file"
    if case == "other variables":
        savemat(path, {"Z": images})
        return "has no variable X and y"
    if case == "grey":
        savemat(path, {"X": images[..., :1].transpose(1, 2, 3, 0), "y": digits})
        return r"X is uint8 \(32, 32, 1, 50\), expected uint8 \(32, 32, 3, N\)"
    if case == "float":
        savemat(path, {"X": images.transpose(1, 2, 3, 0) / 255, "y": digits})
        return "X is float64"
    if case == "zero":
        savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": digits.astype(np.uint8)})
        return "expected 50 digits from 1 to 10"
    if case == "fewer labels":
        savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": np.ones((49, 1), np.uint8)})
        return r"y is uint8 \(49, 1\), expected 50 digits"
    write(path, images[:-1], digits[:-1])
    return "49 examples, expected 50"


@pytest.mark.parametrize(
    "case",
    ["truncated", "web page", "empty", "other variables", "grey", "float", "zero", "fewer labels", "fewer"],
)
def test_damaged_files_are_one_clear_line(small, case):
    message = damaged(small / "train_32x32.mat", case)
    with pytest.raises(DataError, match=f"train_32x32.mat: .*{message}") as caught:
        get_dataset("svhn").load(0)
    assert "\n" not in str(caught.value)


def test_the_published_numbers_add_up():
    assert [sum(svhn.COUNTS[part]) for part in ("train", "test", "extra")] == [73_257, 26_032, 531_131]
    assert sum(10 * count for count in svhn.VALIDATION.values()) == 6000
