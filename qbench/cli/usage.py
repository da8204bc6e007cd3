"""The text of a usage error: a wrong option, a missing argument."""

from __future__ import annotations

from typing import Any

import typer

# Click is inside typer from 0.26 on and beside it before; of this class both export a subclass alone.
UsageError: Any = typer.BadParameter.__base__


def usage_text(error: Any) -> str:
    """Return a usage error in one line, without a full stop, the nearest known options in brackets.

    >>> usage_text(error)
    'no such option --dryrun (did you mean --dry-run?)'
    """
    if hasattr(error, "option_name") and hasattr(error, "possibilities"):
        near = f" (did you mean {', '.join(error.possibilities)}?)" if error.possibilities else ""
        return f"no such option {error.option_name}{near}"
    if hasattr(error.__cause__, "errors"):
        error.message = _reason(error.__cause__.errors()[0])
    # The choices of a missing argument are in no attribute that all versions have, only in the sentence.
    text, _, choices = " ".join(error.format_message().split()).partition(". Choose from: ")
    text = f"{text}: one of {choices}" if choices else text.rstrip(".")
    return text[:1].lower() + text[1:]


def _reason(fault: Any) -> str:
    """Return what pydantic, by which typer reads values, has against one: a check's own words, or its template's."""
    if "error" in fault.get("ctx", {}):
        return str(fault["ctx"]["error"])
    return str(fault["msg"]).removeprefix("Input ")
