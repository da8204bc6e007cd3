"""A file takes another's place whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qbench.io import replacing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with older contents, alone in its folder."""
    path = tmp_path / "folder" / "a.json"
    path.parent.mkdir()
    path.write_text("old")
    return path


def test_the_file_appears_at_the_end(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.json"]


def test_a_failure_leaves_the_old_file_alone(path: Path) -> None:
    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["a.json"]


def test_contents_reach_the_disk_before_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.read_text()))
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert seen == ["old", "new"]  # the contents, then the folder that holds the name
