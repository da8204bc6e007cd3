"""Usage errors of the command line, one line each as the project's own."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

BAD_INPUT = 2  # the exit code, of the project's own errors too
# Click's, which is inside typer from 0.26 on and beside it before; typer names only this subclass of it.
_UsageError: Any = typer.BadParameter.__base__


class Commands(TyperGroup):
    """A group of commands whose usage errors (a wrong option, a missing argument) are one line and exit code 2.

    `qbench: error: no such option --dryrun (did you mean --dry-run?); see qbench sweep --help`
    """

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """As a group's; errors are those of its own options."""
        with _one_line(info_name or ""):
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: Any) -> Any:
        """As a group's; errors are those of the command that is run."""
        with _one_line(ctx.command_path, ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_line(path: str, group: Any = None) -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        if type(error).show is not _UsageError.show:  # a bare `qbench` is shown its help, as an error of its own kind
            raise
        if error.ctx is not None:
            path = error.ctx.command_path
        elif group is not None and group.invoked_subcommand:
            path = f"{path} {group.invoked_subcommand}"
        print(f"qbench: error: {usage_text(error)}; see {path} --help", file=sys.stderr)
        raise typer.Exit(BAD_INPUT) from None


def usage_text(error: Any) -> str:
    """A usage error's message in one line, the nearest known names in brackets."""
    near = getattr(error, "possibilities", None)
    text = error.message if near else error.format_message()  # which would name them in brackets of its own
    text = " ".join(text.split()).rstrip(".")
    text = text.replace("No such option: ", "No such option ")
    text = text.replace("Value error, ", "").replace(": Input should", ": should")  # pydantic's, inside typer
    text = text.replace(". Choose from: ", ": one of ")
    text = re.sub(r"\. Did you mean (.*)\?$", r" (did you mean \1?)", text)
    if near:
        text = f"{text.partition(' Did you')[0]} (did you mean {', '.join(near)}?)"
    return text[:1].lower() + text[1:]
