"""Usage errors: one line that says what, where and what to do; exit code 2."""

import re

import pytest
from typer.testing import CliRunner

from qbench.cli.app import app

KINDS = ["quantizers", "schemes", "models", "data"]
KINDS += ["augmentations", "activations", "losses", "optimizers", "schedules", "backends"]


def qbench(*arguments):
    return CliRunner().invoke(app, list(arguments), prog_name="qbench")


WRONG = {
    "option": (["sweep", "--nonsense"], "qbench sweep", "no such option --nonsense"),
    "nearly one": (["sweep", "--dryrun", "x"], "qbench sweep", "no such option --dryrun (did you mean --dry-run?)"),
    "nearly some": (
        ["bench", "kernels", "--round"],
        "qbench bench kernels",
        "no such option --round (did you mean --rounds, --only, --json?)",
    ),
    "option of the group": (["--nonsense"], "qbench", "no such option --nonsense"),
    "option of the inner group": (["bench", "--no"], "qbench bench", "no such option --no"),
    "none": (["sweep", "--workers"], "qbench sweep", "option '--workers' requires an argument"),
    "none within": (["bench", "kernels", "--rounds"], "qbench bench kernels", "option '--rounds' requires an argument"),
    "no value wanted": (["--version=3"], "qbench", "option '--version' does not take a value"),
    "no argument": (["sweep"], "qbench sweep", "missing argument 'FILE'"),
    "option missing": (["train"], "qbench train", "missing option '--scheme'"),
    "no choice": (["ls"], "qbench ls", f"missing argument 'KIND': one of {', '.join(KINDS)}"),
}  # fmt: skip
# typer's own words, which change between its versions.
WORDED = {
    "command": (["sweeep", "x"], r"no such command 'sweeep'.*; see qbench --help"),
    "inner command": (["bench", "kernel"], r"no such command 'kernel'.*; see qbench bench --help"),
    "choice": (
        ["ls", "scheme"],
        r"invalid value for 'KIND': 'scheme' is not one of .*; see qbench ls --help",
    ),
    "number": (
        ["train", "--seed", "x", "--scheme", "fp32"],
        r"invalid value for '--seed': .*integer.*; see qbench train --help",
    ),
    "range": (["sweep", "--workers", "0", "x"], r"invalid value for '--workers': .*; see qbench sweep --help"),
    "too many": (["sweep", "a", "b"], r"got unexpected extra argument.* \(b\); see qbench sweep --help"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_usage_error_is_one_line(case):
    arguments, where, what = WRONG[case]
    result = qbench(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"qbench: error: {what}; see {where} --help\n")


@pytest.mark.parametrize("case", WORDED)
def test_and_so_is_one_in_typers_words(case):
    arguments, pattern = WORDED[case]
    result = qbench(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert re.fullmatch(f"qbench: error: {pattern}", line), line
    assert "Value error" not in line
    assert "Input should" not in line


@pytest.mark.parametrize("arguments", [[], ["bench"]])
def test_a_group_alone_shows_its_help(arguments):
    result = qbench(*arguments)
    assert "Commands:" in result.output
    assert "see qbench" not in result.output
