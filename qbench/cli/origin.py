"""How a command's trials were obtained: by which command, with what, and on which machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("qbench", "torch", "numpy", "scipy", "pytorch-lightning")


def run_facts(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the facts on an invocation that runs trials, as plain values; no name of the machine or of its user.

    Returns: `date` (ISO, UTC, to the minute), `command` (see `typed_command`), `versions` and `machine`.

    Args:
        arguments: `sys.argv`.
    """
    from qbench.report.commands.machine_facts import machine_text

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "command": typed_command(arguments),
        "versions": {**{name: version(name) for name in _PACKAGES}, "python": platform.python_version()},
        "machine": machine_text(),
    }


def typed_command(arguments: Sequence[str]) -> list[str]:
    """Return the command as it can be typed elsewhere: the program is `qbench`, and no path begins with `/`.

    A path in the working folder is written relative to it, one in the home folder with `~`, any other one relative to
    the working folder. Values after `=` are looked at, too.

    >>> typed_command(["/usr/bin/qbench", "sweep", "a.yaml", "--workers", "2"])
    ['qbench', 'sweep', 'a.yaml', '--workers', '2']
    """
    return ["qbench", *(_portable(argument) for argument in arguments[1:])]


def _portable(argument: str) -> str:
    name, equals, value = argument.rpartition("=")
    if not value.startswith("/"):
        return argument
    return f"{name}{equals}{_portable_path(Path(value))}"


def _portable_path(path: Path) -> str:
    here, home = Path.cwd(), Path.home()
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    if path.is_relative_to(home):
        return str("~" / path.relative_to(home))
    return os.path.relpath(path, here)
