"""Files that appear whole or not at all; tensors on disk: round trips, nested states, no pickle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from qbench.io import finite, flat_state, load_state, load_tensors, replacing, save_tensors
from qbench.nn.models.catalogue import get_model
from qbench.ptq.calibration import calibrate
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


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


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(pipe) as target:
        target.write_text("all")
    assert os.read(reader, 10) == b"all"
    os.close(reader)
    assert pipe.is_fifo()  # a device is no other file: root would lose /dev/null


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("old")
    link.symlink_to(there)
    with replacing(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert there.read_text() == "new"


def test_contents_reach_the_disk_before_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.read_text()))
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert seen == ["old", "new"]  # the contents, then the folder that holds the name


@pytest.mark.parametrize("name", ["binarynet-stochastic", "int8-kl"])
def test_round_trip_of_quantizers_with_a_state(name: str, tmp_path: Path) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return apply_scheme(get_model("digits-mlp").make({"hidden": 16}), get_scheme(name))

    images = torch.rand(64, 1, 8, 8)
    net = build()
    if name == "int8-kl":
        calibrate(net, images)
    else:
        net.train()(images)  # the generators have drawn
    save_tensors(flat_state(net.state_dict()), tmp_path / "w.safetensors")
    fresh = build()
    load_state(fresh, load_tensors(tmp_path / "w.safetensors"))
    assert torch.equal(fresh.eval()(images), net.eval()(images))
    assert torch.equal(fresh.train()(images), net.train()(images))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".w")] == []


def test_another_networks_state_is_refused(tmp_path: Path) -> None:
    save_tensors(flat_state(nn.Linear(2, 3).state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_state(nn.Linear(2, 4), load_tensors(tmp_path / "w.safetensors"))


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(Exception, match=r"(?i)header"):
        load_tensors(tmp_path / "w.safetensors")


def test_json_holds_no_number_that_is_not_finite():
    inf, nan = float("inf"), float("nan")
    assert finite({"a": [1.5, nan, (inf, "x")], "b": {"c": -inf, "d": None, "e": True, "f": 3}}) == {
        "a": [1.5, None, [None, "x"]],
        "b": {"c": None, "d": None, "e": True, "f": 3},
    }
