"""A group of commands, and how its errors are shown."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from qbench.cli.exit_codes import BAD_INPUT, INTERRUPTED
from qbench.cli.usage import UsageError, usage_text
from qbench.report.visible import visible


class Commands(TyperGroup):
    """A group of commands in which bad input is one line and exit code 2, and Ctrl-C is exit code 130.

    `qbench: error: no such option --dryrun (did you mean --dry-run?); see qbench sweep --help`
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the group's own options."""
        path = f"{parent.command_path} {info_name}" if parent else str(info_name)
        with _exit_codes(lambda: path):
            return super().make_context(info_name, args, parent, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name, or name the nearest ones."""
        name = args[0]
        if self.get_command(ctx, name) is None:
            near = ", ".join(map(repr, difflib.get_close_matches(name, self.list_commands(ctx))))
            ctx.fail(f"no such command {name!r}" + (f" (did you mean {near}?)" if near else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Parse and run the command that the arguments name."""
        with _exit_codes(lambda: " ".join(filter(None, [ctx.command_path, ctx.invoked_subcommand]))):
            found = super().invoke(ctx)
            sys.stdout.flush()  # here a full disk is one line; while Python leaves it is a traceback
            return found


@contextlib.contextmanager
def _exit_codes(path: Callable[[], str]) -> Iterator[None]:
    """Turn an error of the user's, and Ctrl-C, into one line and an exit code.

    Args:
        path: the command whose help a usage error points to, where the error does not know it.
    """
    try:
        yield
    except typer.Exit:
        raise
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a bare `qbench`, which is shown its help
            raise
        where = error.ctx.command_path if error.ctx else path()
        _leave(f"error: {usage_text(error)}; see {where} --help", BAD_INPUT)
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - what is left to write has no place
        where = f"{error.filename}: " if error.filename else ""
        _leave(f"error: {where}cannot be written: {error.strerror}", BAD_INPUT)
    except Exception as error:
        if not _is_the_users(error):
            if (text := _of_a_plug_in(error)) is None:
                raise
            _leave(f"error: {text}", BAD_INPUT)
        details = getattr(error, "details", ())
        _leave(f"error: {error.args[0] if details else error}", BAD_INPUT, details)


def _leave(text: str, code: int, details: Sequence[str] = ()) -> None:
    print(f"qbench: {visible(text)}", *(f"  {visible(line)}" for line in details), sep="\n", file=sys.stderr)
    raise typer.Exit(code) from None


def _of_a_plug_in(error: Exception) -> str | None:
    """Return what a user's own code raised, in one line with its file and line; None where it is the project's."""
    from qbench.sweep.user_code import place_of, reason

    return None if place_of(error) is None else reason(error)


def _is_the_users(error: Exception) -> bool:
    """Whether the user can mend it. cuda_ext has no errors of its own: it names the variable that is wrong."""
    from qbench.errors import UserError  # imports pydantic: only errors wait for it

    return isinstance(error, UserError) or (isinstance(error, ValueError) and str(error).startswith("QBENCH_KERNELS: "))
