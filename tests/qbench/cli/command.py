"""`qbench` run by a test: in this process, or in one of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from typer.testing import CliRunner

from qbench.cli.app import app

ROOT = Path(__file__).parents[3]
GRID = "method: grid\nparameters:\n  scheme: {values: [fp32, binarynet]}\n  seed: {values: [0, 1]}\n"
MAIN = "from qbench.cli.app import main; main()"
# With the fake training below it.
FAKED = f"import qbench.sweep.plan as p; p.TRAINING = 'fake_training'; {MAIN}"
# As a terminal starts it. Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
_INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def qbench(*arguments):
    """Runs the command in this process; stdout is no terminal."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def start(*arguments, code=FAKED, **options):
    """Starts the command in a process of its own; its streams are pipes unless `options` say otherwise."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.getcwd()]), **options.pop("env", {})}
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", _INTERRUPTIBLE + code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, env=environment, **{**pipes, **options})


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


def write(text, name="tiny.yaml"):
    Path(name).write_text(text)
    return name


def written(folder):
    """Every file and folder but the test's own."""
    own = {"home", "fake_training.py", "__pycache__"}
    return {path.name for path in Path(folder).iterdir()} - own


def results(folder):
    return {path.name for path in Path(folder, "trials").glob("*.json")}
