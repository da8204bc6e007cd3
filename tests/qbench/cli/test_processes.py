"""`qbench sweep` as a process: signals, pipes, terminals, and once the real training."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from command import FAKED, GRID, MAIN, alive, qbench, results, start, wait_for, write

pytestmark = pytest.mark.usefixtures("workplace")


def test_kill_9_in_the_middle_loses_only_the_running_trials(faked):
    file = write(GRID.replace("[0, 1]", "[0, 1, 2]") + "  scheme_options: {value: {act: hang-2}}\n")
    sweep = start("sweep", file, "--output", "out", "--workers", 2)
    try:
        wait_for(lambda: Path("out/trials").exists() and len(results("out")) == 4)
        wait_for(lambda: Path("out/ran.txt").read_text().count(" 2 ") == 2)  # the two others hang
        workers = {line.split()[2] for line in Path("out/ran.txt").read_text().splitlines() if line.split()[1] == "2"}
        assert len(workers) == 2
    finally:
        sweep.kill()
        sweep.communicate()
    wait_for(lambda: not any(alive(worker) for worker in workers), seconds=10)
    kept = {path.name: path.read_text() for path in Path("out/trials").glob("*.json")}
    assert len(kept) == 4
    rows = json.loads(Path("out/results.json").read_text())
    assert {row["seed"]: row["status"] for row in rows} == {0: "done", 1: "done", 2: "not run"}
    assert len(rows) == 6
    assert not Path("out/summary.json").exists()

    listed = qbench("sweep", file, "--output", "out", "--dry-run").stdout
    assert [line.split("  to run  ")[1] for line in listed.splitlines() if "  to run" in line] == [
        "fp32 seed=2",
        "binarynet seed=2",
    ]
    assert {path.name: path.read_text() for path in Path("out/trials").glob("*.json")} == kept


def test_ctrl_c_stops_the_running_trials_keeps_the_rest_and_exits_130(faked):
    file = write(GRID + "  scheme_options: {value: {act: hang-1}}\n")
    # A process group of its own, as a terminal gives it: Ctrl-C goes to the workers too.
    sweep = start("sweep", file, "--output", "out", "--workers", 2, start_new_session=True)
    try:
        wait_for(lambda: Path("out/ran.txt").exists() and Path("out/ran.txt").read_text().count(" 1 ") == 2)
        workers = {line.split()[2] for line in Path("out/ran.txt").read_text().splitlines()}
        begun = time.monotonic()
        os.killpg(sweep.pid, signal.SIGINT)
        out, err = sweep.communicate(timeout=30)
    finally:
        sweep.kill()
    assert time.monotonic() - begun < 20  # the trials hang for 60 s
    assert sweep.returncode == 130
    assert "interrupted: what is done is kept" in err
    assert "Traceback" not in err
    assert "incomplete: 2 of 4 trials have not run" in out
    assert not any(alive(worker) for worker in workers)
    assert len(results("out")) == 2
    rows = json.loads(Path("out/results.json").read_text())
    assert [row["status"] for row in rows] == ["done", "not run", "done", "not run"]
    assert json.loads(Path("out/summary.json").read_text())["planned"] == 4


def test_ctrl_c_while_loading_is_130_without_a_traceback():
    # As torch and Lightning do, which take seconds.
    Path("slow_to_load.py").write_text("import time\nopen('loading', 'w').close()\ntime.sleep(60)\n")
    sweep = start("sweep", write(GRID), code=FAKED.replace("fake_training", "slow_to_load"))
    try:
        wait_for(Path("loading").exists)
        sweep.send_signal(signal.SIGINT)
        _, err = sweep.communicate(timeout=30)
    finally:
        sweep.kill()
    assert (sweep.returncode, err) == (130, "qbench: interrupted\n")
    assert not Path("runs").exists()


def test_a_reader_that_leaves_is_no_crash(faked):
    sweep = start("sweep", write(GRID), "--max-runs", "1")
    sweep.stdout.close()
    assert "Traceback" not in sweep.stderr.read()
    sweep.wait(timeout=60)


def test_a_terminal_gets_bars_and_a_table_that_fits(faked):
    import pty

    master, slave = pty.openpty()
    terminal = {"stdin": slave, "stdout": slave, "stderr": slave, "env": {"TERM": "xterm-256color", "COLUMNS": "80"}}
    sweep = start("sweep", write(GRID), "--workers", "1", **terminal)
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(master)
    assert sweep.wait(timeout=60) == 0
    text = shown.decode()
    assert "trials ━" in text or "━" in text
    assert "\x1b[" in text
    table = text[text.rindex("[4/4]") :]
    assert "Pareto" in table
    assert "…" not in table


SLOW = """
import os, time
from qbench.training.module import QuantModule

class Slow(QuantModule):
    def on_fit_start(self):
        super().on_fit_start()
        if self.seed == 1 and not os.path.exists("go"):
            open("waiting", "w").close()
            time.sleep(120)

class Broken(QuantModule):
    def on_fit_start(self):
        raise ValueError(f"broken on purpose with seed {self.seed}")
"""

REAL = """
method: grid
name: real
parameters:
  scheme: {values: [fp32, int8-minmax]}
  seed: {values: [0, 1]}
  model: {value: digits-mlp}
  model_options: {value: {hidden: 32, layers: 2}}
  epochs: {value: 2}
  module: {value: plug_in.Slow}
"""


def test_the_real_thing_from_a_killed_start_to_the_table(monkeypatch):
    Path("plug_in.py").write_text(SLOW)
    file = write(REAL)
    monkeypatch.setenv("WANDB_MODE", "offline")
    sweep = start("sweep", file, "--workers", 1, code=MAIN)
    try:
        wait_for(lambda: Path("waiting").exists() and len(results("runs/real")) >= 1)
    finally:
        sweep.kill()
        sweep.communicate()
    first = {path.name: path.read_text() for path in Path("runs/real/trials").glob("*.json")}
    Path("go").touch()
    done = start("sweep", file, "--workers", 1, code=MAIN)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    assert f"4 trials, {len(first)} done already, {4 - len(first)} to run" in err
    after = {path.name: path.read_text() for path in Path("runs/real/trials").glob("*.json")}
    assert len(after) == 4
    assert {name: after[name] for name in first} == first

    rows = json.loads(Path("runs/real/results.json").read_text())
    by_seed = {(row["scheme"], row["seed"]): row for row in rows}
    for seed in (0, 1):
        fp32, int8 = by_seed["fp32", seed], by_seed["int8-minmax", seed]
        assert fp32["training_key"] == int8["training_key"]
        assert {fp32["shared"], int8["shared"]} == {True, False}
        assert fp32["test/accuracy"] > 0.5
        assert int8["cost/weight_bytes"] < fp32["cost/weight_bytes"] / 3
    assert "one training per seed is shared by fp32, int8-minmax" in out
    # A run for each trial, and one for the comparison.
    assert len(list(Path("runs/real/wandb").glob("offline-run-*"))) == 5
    assert not [path for path in Path(os.environ["HOME"]).rglob("*") if path.is_file()]
