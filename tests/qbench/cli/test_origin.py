"""How trials were obtained, as commands write it."""

import json
import re
import socket
from pathlib import Path

import pytest
from command import GRID, qbench, write

from qbench.cli.origin import run_facts, typed_command


def test_a_command_names_no_place_of_this_machine(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "work"
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    typed = [
        "/usr/bin/qbench", "sweep", str(here / "sweeps" / "a.yaml"), f"--output={home}/runs", "--workers", "2",
        "-o", f"module={here}/m.py", str(tmp_path / "other"), "a=b", str(here),
    ]  # fmt: skip
    assert typed_command(typed) == [
        "qbench", "sweep", "sweeps/a.yaml", "--output=~/runs", "--workers", "2",
        "-o", "module=m.py", "../other", "a=b", ".",
    ]  # fmt: skip


def test_facts_have_date_versions_and_machine(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: 1 / 0)
    facts = run_facts(["qbench", "train"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", facts["date"])
    assert set(facts["versions"]) == {"qbench", "torch", "numpy", "scipy", "pytorch-lightning", "python"}
    assert all(facts["versions"].values())
    assert re.search(r"\d+ CPUs", facts["machine"])
    assert set(facts) == {"date", "command", "versions", "machine"}


@pytest.mark.usefixtures("workplace")
class TestACommand:
    def origin(self, folder):
        return json.loads(Path(folder, "origin.json").read_text())

    def test_a_sweep_says_how_it_was_obtained(self, faked, monkeypatch):
        text = GRID + "metric: {name: test/accuracy, goal: maximize}\ndescription: why\n"
        file = write(text)
        for workers in ("1", "2"):
            monkeypatch.setattr("sys.argv", ["/usr/bin/qbench", "sweep", file, "--output", "out", "--workers", workers])
            qbench(
                "sweep", file, "--output", "out", "--workers", workers, *(["--max-runs", 1] if workers == "1" else [])
            )
        found = self.origin("out")
        runs = found.pop("runs")
        assert found == {
            "name": "tiny", "metric": "test/accuracy", "goal": "maximize", "description": "why", "file": text,
        }  # fmt: skip
        assert [run["command"][-1] for run in runs] == ["1", "2"]
        assert runs[0]["command"][:3] == ["qbench", "sweep", "tiny.yaml"]

    def test_a_sweep_that_has_nothing_to_run_adds_no_run(self, faked):
        for metric in ("test/accuracy", "cost/weight_bytes"):
            qbench("sweep", write(GRID + f"metric: {{name: {metric}, goal: minimize}}\n"), "--output", "out")
        found = self.origin("out")
        assert (found["metric"], found["goal"], len(found["runs"])) == ("cost/weight_bytes", "minimize", 1)

    def test_it_is_written_before_trials_run(self, faked, monkeypatch):
        def interrupted(*_, **__):
            assert self.origin("out")["runs"]
            raise KeyboardInterrupt

        monkeypatch.setattr("qbench.sweep.sweep.run_sweep", interrupted)
        qbench("sweep", write(GRID), "--output", "out")
        assert len(self.origin("out")["runs"]) == 1

    def test_train_keeps_it_too(self, faked):
        qbench("train", "--scheme", "fp32", "--epochs", 1, "--output", "out")
        found = self.origin("out")
        assert (found["name"], found["metric"], found["file"], len(found["runs"])) == (None, None, None, 1)

    def test_a_damaged_one_stops_the_command(self, faked):
        Path("out").mkdir()
        Path("out/origin.json").write_text("{")
        result = qbench("sweep", write(GRID), "--output", "out")
        assert result.exit_code == 2
        assert "out/origin.json: cannot be read or is damaged" in result.stderr
        assert not Path("out/ran.txt").exists()
