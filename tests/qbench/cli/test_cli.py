"""The command line as a user meets it. Most tests put a fake training below it; the last ones run the real thing."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import qbench.sweep.plan as plan_module
from qbench.cli.app import app
from qbench.trial.config import TrialConfig

HERE = Path(__file__).parent
GRID = "method: grid\nparameters:\n  scheme: {values: [fp32, binarynet]}\n  seed: {values: [0, 1]}\n"
# Runs the command with the fake training below it, in a process of its own.
FAKED = "import qbench.sweep.plan as p; p.TRAINING = 'fake_training'; from qbench.cli.app import main; main()"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(sys, "path", list(sys.path))
    shutil.copy(HERE.parent / "sweep" / "fake_training.py", tmp_path)
    return tmp_path


@pytest.fixture
def faked(workplace, monkeypatch):
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setattr(plan_module, "TRAINING", "fake_training")


def qbench(*arguments):
    """Runs the command in this process; stdout is no terminal."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(text, name="tiny.yaml"):
    Path(name).write_text(text)
    return name


def written(folder):
    """Every file and folder but the test's own."""
    own = {"home", "fake_training.py", "__pycache__"}
    return {path.name for path in Path(folder).iterdir()} - own


# Reading the file: bad input.

MODEL_OPTION = "parameters.model_options.parameters.widht.value"
BAD = {
    "unknown scheme": (GRID.replace("binarynet", "binarynett"), "parameters.scheme.values", "did you mean 'binarynet'"),
    "unknown trial key": (GRID + "  learning_rat: {value: 1e-3}", "parameters.learning_rat", "mean 'learning_rate'"),
    "unknown top key": (GRID + "metrics: {}", "metrics", "did you mean 'metric'"),
    "string for a number": (GRID + "  epochs: {value: many}", "parameters.epochs.value", "valid integer, got 'many'"),
    "quoted number": (GRID + "  learning_rate: {value: '1e-4'}", "parameters.learning_rate.value", "valid number"),
    "empty grid": (GRID.replace("[0, 1]", "[]"), "parameters.seed.values", "empty list"),
    "no parameters": ("method: grid\nparameters: {}", "parameters", "is empty"),
    "infinite grid": (GRID + "  learning_rate: {min: 1e-4, max: 1e-2}", "parameters.learning_rate", "finite list"),
    "not YAML": ("method: [grid", None, "is not valid YAML: line 1"),
    "empty file": ("", None, "is empty"),
    "a list": ("- method", None, "must hold keys and values"),
    "duplicate key": (GRID + "method: random\n", None, "key 'method' occurs twice"),
    "bayes": (GRID.replace("grid", "bayes"), "method", "use one of grid, random"),
    "unknown model": (GRID + "  model: {value: digits-convnot}", "parameters.model.value", "mean 'digits-convnet'"),
    "unknown data": (GRID + "  data: {value: digit}", "parameters.data.value", "did you mean 'digits'"),
    "unknown module": (GRID + "  module: {value: nowhere.Module}", "parameters.module.value", "import 'nowhere'"),
    "unknown model option": (
        GRID + "  model_options: {parameters: {widht: {value: 8}}}", MODEL_OPTION, "did you mean 'width'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("command", ["sweep", "validate"])
def test_bad_files_get_one_line_exit_code_2_and_nothing_written(case, command, tmp_path):
    text, key, message = BAD[case]
    file = write(text)
    result = qbench(command, file)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"qbench: error: {file}: {key + ': ' if key else ''}")
    assert message in line
    assert result.stdout == ""
    assert written(tmp_path) == {file}


def test_a_random_search_needs_an_end(faked, tmp_path):
    result = qbench("sweep", write(GRID.replace("grid", "random")))
    assert result.exit_code == 2
    assert result.stderr.startswith("qbench: error: tiny.yaml: run_cap: a random search has no end")
    assert written(tmp_path) == {"tiny.yaml"}


def test_a_missing_file_is_bad_input(tmp_path):
    result = qbench("sweep", "none.yaml")
    assert (result.exit_code, result.stderr) == (2, "qbench: error: none.yaml: no such file\n")
    assert written(tmp_path) == set()


def test_a_number_in_yaml_1_2_is_a_number(faked):
    write(GRID + "  learning_rate: {values: [1e-4, 1E-3]}\n")
    result = qbench("sweep", "tiny.yaml", "--dry-run", "--json")
    assert {trial["learning_rate"] for trial in json.loads(result.stdout)} == {1e-4, 1e-3}


def test_an_output_folder_that_cannot_be_written_is_said_before_any_training(faked, tmp_path):
    Path("occupied").write_text("")
    result = qbench("sweep", write(GRID), "--output", "occupied/out")
    assert result.exit_code == 2
    assert result.stderr == "qbench: error: occupied/out: cannot be written: Not a directory\n"
    assert written(tmp_path) == {"tiny.yaml", "occupied"}


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--max-runs", "0"], ["--max-runs", "x"], ["--nonsense"]])
def test_bad_options_exit_with_2(faked, arguments, tmp_path):
    assert qbench("sweep", write(GRID), *arguments).exit_code == 2
    assert written(tmp_path) == {"tiny.yaml"}


def test_an_unknown_wandb_mode_is_bad_input(faked, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "onlin")
    result = qbench("sweep", write(GRID))
    assert (result.exit_code, "unknown mode 'onlin'" in result.stderr) == (2, True)
    assert written(tmp_path) == {"tiny.yaml"}


# A sweep, with the fake training.


def test_dry_run_lists_the_trials_and_writes_nothing(faked, tmp_path):
    result = qbench("sweep", write(GRID), "--dry-run", "--max-runs", 3)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split("to run")[1].strip() for line in lines[:3]] == ["fp32 seed=0", "fp32 seed=1", "binarynet seed=0"]
    assert lines[3] == "3 trials, 3 trainings, 3 to run; output: runs/tiny/"
    assert written(tmp_path) == {"tiny.yaml"}


def test_validate_counts_trials_and_trainings(faked, tmp_path):
    result = qbench("validate", write(GRID.replace("binarynet", "int8-kl")))
    assert (result.exit_code, result.stdout) == (0, "tiny.yaml: ok: grid search, 4 trials, 2 trainings\n")
    endless = qbench("validate", write(GRID.replace("grid", "random")))
    assert (endless.exit_code, "--max-runs is needed" in endless.stdout) == (0, True)
    assert written(tmp_path) == {"tiny.yaml"}


def test_a_sweep_ends_with_the_table_the_path_and_every_file(faked, tmp_path):
    result = qbench("sweep", write(GRID + "metric: {name: test/accuracy, goal: maximize}\n"), "--workers", 2)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("4 trials, 4 to run\n")
    assert result.stderr.count("accuracy") == 4
    assert "[4/4]" in result.stderr
    table = result.stdout
    assert "\x1b" not in result.output
    assert [line.split()[0] for line in table.splitlines()[:3]] == ["scheme", "fp32", "binarynet"]
    assert "best test/accuracy: 97.50 % by fp32 seed=0" in table
    assert table.rstrip().splitlines()[-1].startswith("Results: runs/tiny/ ")

    folder = tmp_path / "runs" / "tiny"
    rows = json.loads((folder / "results.json").read_text())
    with (folder / "results.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [(row["scheme"], str(row["seed"])) for row in rows] == [(row["scheme"], row["seed"]) for row in cells]
    assert [row["test/accuracy"] for row in rows] == pytest.approx([0.975, 0.95, 0.9, 0.875])
    assert {"cost/weight_bytes", "cost/energy_uj", "time/train_s", "kernel/agreement"} <= set(rows[0])
    summary = json.loads((folder / "summary.json").read_text())
    assert [group["name"] for group in summary["groups"]] == ["fp32", "binarynet"]
    assert summary["groups"][0]["accuracy"]["method"] == "crossed"


def test_a_finished_sweep_trains_nothing_and_says_so(faked, tmp_path):
    file = write(GRID)
    qbench("sweep", file, "--output", "out")
    ran = Path("out/ran.txt").read_text()
    result = qbench("sweep", file, "--output", "out")
    assert result.exit_code == 0
    assert result.stderr == "4 trials, all done already: nothing to train\n"
    assert "binarynet" in result.stdout
    assert Path("out/ran.txt").read_text() == ran
    assert "done" in qbench("sweep", file, "--output", "out", "--dry-run").stdout


def test_json_is_all_that_stdout_holds(faked):
    result = qbench("sweep", write(GRID), "--json")
    found = json.loads(result.stdout)
    assert (found["name"], found["output"], found["done"], found["ran"]) == ("tiny", "runs/tiny", 4, 4)
    assert (found["failed"], found["failures"], found["interrupted"]) == (0, [], False)
    assert found["groups"][1]["figures"]["kernel/agreement"] == 1.0


def test_failed_trials_are_named_the_rest_finishes_and_they_are_tried_again(faked):
    file = write(GRID + "  scheme_options: {value: {act: raise-1}}\n")
    result = qbench("sweep", file, "--output", "out")
    assert result.exit_code == 1
    for scheme in ("fp32", "binarynet"):
        assert f"failed: {scheme} seed=1: ValueError: the loss is not a number" in result.stderr
    tracebacks = [line.split("traceback: ")[1] for line in result.stderr.splitlines() if "traceback: " in line]
    assert len(tracebacks) == 2
    assert "in run_trial" in Path(tracebacks[0]).read_text()
    assert "1 (1 failed)" in result.stdout
    again = qbench("sweep", file, "--output", "out", "--json")
    assert again.exit_code == 1
    found = json.loads(again.stdout)
    assert (found["ran"], found["done"], found["failed"], len(found["failures"])) == (2, 2, 2, 2)


def test_a_folder_with_other_files_in_it_is_fine(faked):
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    assert qbench("sweep", write(GRID), "--output", "out", "--max-runs", 1).exit_code == 0
    assert Path("out/notes.txt").read_text() == "mine"


# One trial.


def test_train_prints_a_trials_figures_and_answers_again_from_the_store(faked):
    arguments = ("train", "--scheme", "binarynet", "--seed", 3, "--epochs", 2, "-o", "model_options.width=8")
    first = qbench(*arguments)
    assert first.exit_code == 0, first.output
    assert "binarynet seed=3: epoch 1/2" in first.stderr
    assert "test/accuracy" in first.stdout
    assert "82.50 %" in first.stdout
    again = qbench(*arguments)
    assert again.stderr == "1 trial, done already: nothing to train\n"
    assert again.stdout == first.stdout
    assert len(Path("runs/train/ran.txt").read_text().splitlines()) == 1
    qbench(*arguments, "--force")
    assert len(Path("runs/train/ran.txt").read_text().splitlines()) == 2
    row = json.loads(qbench(*arguments, "--json").stdout)["row"]
    assert (row["model_options.width"], row["epochs"], row["seed"]) == (8, 2, 3)


def test_train_fails_with_1_and_refuses_bad_input_with_2(faked, tmp_path):
    failed = qbench("train", "--scheme", "fp32", "--option", "scheme_options.act=raise-0")
    assert (failed.exit_code, "ValueError: the loss is not a number" in failed.stderr) == (1, True)
    shutil.rmtree("runs")
    for arguments, message in (
        (["--scheme", "fp23"], "scheme: unknown scheme 'fp23'; did you mean 'fp32'"),
        (["--scheme", "fp32", "--epochs", "0"], "epochs: input should be greater than or equal to 1, got 0"),
        (["--scheme", "fp32", "--option", "epochs"], "--option: expected KEY=VALUE"),
    ):
        result = qbench("train", *arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"qbench: error: {message}")
        assert result.stderr.count("\n") == 1
    assert written(tmp_path) == set()


# Help and version.


@pytest.mark.parametrize("command", ["doctor", "ls backends"])
def test_a_path_of_kernels_that_is_not_here_is_bad_input(command, tmp_path):
    environment = {**os.environ, "QBENCH_KERNELS": "altivec"}
    arguments = [sys.executable, "-m", "qbench.cli", *command.split()]
    ended = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("qbench: error: QBENCH_KERNELS: expected ")
    assert ended.stderr.endswith(", got 'altivec'\n")
    assert ended.stderr.count("\n") == 1


def test_help_teaches_with_a_first_example():
    for command in ("sweep", "validate", "train"):
        text = qbench(command, "--help").stdout
        assert f"  qbench {command} " in text, command
    assert "qbench sweep sweeps/binary_vs_int8.yaml" in qbench("--help").stdout


def test_help_says_each_command_in_one_line():
    listed = qbench("--help").stdout.partition("Commands:")[2].splitlines()
    assert len([line for line in listed if line.strip()]) == 12
    assert "..." not in "".join(listed)


def test_help_names_every_key_of_a_trial():
    text = " ".join(qbench("train", "--help").stdout.split())
    for key in TrialConfig.model_fields:
        assert key in text or f"--{key.replace('_', '-')}" in text, key


HEAVY = {"torch", "numpy", "pytorch_lightning", "wandb", "scipy", "sklearn", "matplotlib"}
LIGHT = {
    "help": (["--help"], 0, "Usage: "),
    "a command's help": (["sweep", "--help"], 0, "Usage: "),
    "version": (["--version"], 0, "qbench "),
    "wrong option": (["sweep", "--nonsense"], 2, "--nonsense"),
    "wrong command": (["sweeep"], 2, "sweeep"),
    "nothing to list": (["ls"], 2, "schemes"),
    "no such file": (["sweep", "none.yaml"], 2, "none.yaml: no such file"),
    "no YAML": (["validate", "broken.yaml"], 2, "is not valid YAML"),
    "options that need another": (["claims", "--store"], 2, "give both"),
    "no value": (["train", "--scheme", "fp32", "--option", "epochs"], 2, "expected KEY=VALUE"),
}


# Writes the names of the modules that were loaded by the command's end.
NAMED = """import atexit, sys
atexit.register(lambda: open('loaded', 'w').write(' '.join(sys.modules)))
from qbench.cli.app import main; main()"""


@pytest.mark.parametrize("case", LIGHT)
def test_what_needs_no_torch_does_not_wait_for_it(case):
    arguments, code, text = LIGHT[case]
    write("method: [grid", "broken.yaml")
    found = start(*arguments, code=NAMED)
    out, err = found.communicate(timeout=60)
    assert (found.returncode, text in out + err) == (code, True), out + err
    loaded = set(Path("loaded").read_text().split())
    assert "typer" in loaded
    assert not HEAVY & loaded


@pytest.mark.parametrize("kind", ["quantizers", "schemes", "models"])
def test_ls_waits_for_torch_alone(kind):
    found = start("ls", kind, code=NAMED)
    out, err = found.communicate(timeout=60)
    assert (found.returncode, err) == (0, "")
    assert len(out.splitlines()) > 3
    assert HEAVY & set(Path("loaded").read_text().split()) == {"torch", "numpy"}


def test_version():
    from importlib.metadata import version

    assert qbench("--version").stdout == f"qbench {version('qbench')}\n"


# Processes: signals, pipes, terminals.


def start(*arguments, code=FAKED, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[2]), os.getcwd()])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def alive(process):
    """Running, and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def results(folder):
    return {path.name for path in Path(folder, "trials").glob("*.json")}


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
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[2]), os.getcwd()])}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "80"}
    command = [sys.executable, "-c", FAKED, "sweep", write(GRID), "--workers", "1"]
    sweep = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
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


# The real thing.

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
    main = "from qbench.cli.app import main; main()"
    sweep = start("sweep", file, "--workers", 1, code=main)
    try:
        wait_for(lambda: Path("waiting").exists() and len(results("runs/real")) >= 1)
    finally:
        sweep.kill()
        sweep.communicate()
    first = {path.name: path.read_text() for path in Path("runs/real/trials").glob("*.json")}
    Path("go").touch()
    done = start("sweep", file, "--workers", 1, code=main)
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
    assert len(list(Path("runs/real/wandb").glob("offline-run-*"))) == 4
    assert not [path for path in Path(os.environ["HOME"]).rglob("*") if path.is_file()]


def test_the_file_that_make_sweep_runs_is_valid():
    sweeps = HERE.parents[2] / "sweeps" / "binary_vs_int8.yaml"
    result = qbench("sweep", sweeps, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    trials = json.loads(result.stdout)
    assert len(trials) == 35
    assert len({trial["training_key"] for trial in trials}) == 25
    values = yaml.safe_load(sweeps.read_text())
    assert values["name"] == "binary_vs_int8"
