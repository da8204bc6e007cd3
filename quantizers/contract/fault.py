"""What is wrong with a quantizer."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

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


def first(where: Tensor) -> int:
    """Return the place, in the flattened tensor, of the first True."""
    return int(where.reshape(-1).int().argmax())


def number(x: Tensor, place: int) -> str:
    """Return a value of the flattened tensor as text: all digits of a float32."""
    return f"{float(x.detach().reshape(-1)[place]):.9g}"


def not_finite(x: Tensor) -> str | None:
    """Return the first value that is NaN or infinite, as text; None where all are finite."""
    bad = ~torch.isfinite(x)
    return number(x, first(bad)) if bool(bad.any()) else None
