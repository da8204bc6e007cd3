"""What all commands share: help, version, and what is loaded for them."""

from pathlib import Path

import pytest
from command import MAIN, qbench, start, write

pytestmark = pytest.mark.usefixtures("workplace")


def test_help_teaches_with_a_first_example():
    for command in ("sweep", "validate", "train"):
        text = qbench(command, "--help").stdout
        assert f"  qbench {command} " in text, command
    assert "qbench sweep sweeps/binary_vs_int8.yaml" in qbench("--help").stdout


def test_help_says_each_command_in_one_line():
    listed = qbench("--help").stdout.partition("Commands:")[2].splitlines()
    assert len([line for line in listed if line.strip()]) == 17
    assert "..." not in "".join(listed)


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
    "no folder": (["show"], 2, "FOLDER"),
    "no value": (["train", "--scheme", "fp32", "--option", "epochs"], 2, "expected KEY=VALUE"),
}


# Writes the names of the modules that were loaded by the command's end.
NAMED = f"import atexit, sys; atexit.register(lambda: open('loaded', 'w').write(' '.join(sys.modules))); {MAIN}"


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


@pytest.mark.parametrize("option", ["--method", "--rule"])
def test_the_earlier_name_of_an_option_is_understood(option):
    result = qbench("calibrate", "none", option, "kl")
    assert (result.exit_code, "none" in result.stderr, "option" in result.stderr) == (2, True, False)
