"""What is wrong with a quantizer."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Fault:
    """A part of the contract that a quantizer breaks.

    Attributes:
        check: the name of the check that found it.
        message: what was found, with the value, and what can be done.
    """

    check: str
    message: str

    def __str__(self) -> str:
        """Return `check: message`."""
        return f"{self.check}: {self.message}"


def raised(error: Exception, doing: str) -> str:
    """Return an exception of a quantizer in one line: what was being done, its class and text, its file and line."""
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{doing} raised {type(error).__name__}: {text or 'no message'}{_place(error)}"


def _place(error: Exception) -> str:
    """Return where the exception comes from: the innermost line outside torch and these checks."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if "torch" not in Path(f.filename).parts and Path(f.filename).parent != _HERE]
    return f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""
