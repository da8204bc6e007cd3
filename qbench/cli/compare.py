"""`qbench compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.options import Json
from qbench.cli.output import print_json, print_view

if TYPE_CHECKING:
    from qbench.report.model.report_model import ReportModel


def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER... [A B]",
            help="Results of `qbench sweep`; then two groups, named as in its table, or by scheme.",
            show_default=False,
        ),
    ],
    at_accuracy: Annotated[
        list[float] | None,
        typer.Option(
            metavar="PERCENT",
            help="An accuracy to reach; may be repeated.",
            show_default="fp32's, and 0.5 and 1 point less",
        ),
    ] = None,
    reference_width: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="The size of fp32's network whose accuracy is meant.",
            show_default="the smallest within two standard errors of its best",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how two groups differ, or what each scheme costs at the same accuracy; nothing is trained.

    \b
    Example:
      qbench compare runs/binary_vs_int8 binarynet fp32
      qbench compare runs/first runs/second "fp32 folder=first" "fp32 folder=second"
      qbench compare runs/width "binarynet model_options.hidden=512" "fp32 model_options.hidden=128"
      qbench compare runs/width                                     (at fp32's accuracy)
      qbench compare runs/width --at-accuracy 98 --at-accuracy 97
      qbench compare runs/width --reference-width 256

    Two groups: the difference in accuracy with its interval and p-values, what one costs beside the other, and how
    many seeds would tell a difference of that size.

    No groups: a sweep over an option of the model, such as sweeps/width.yaml, gives each scheme a curve of accuracy
    over size. It is read at the same accuracy for all: size, bytes, energy, and how many times less than fp32's.
    Between measured sizes accuracy is taken as linear in the logarithm of the cost, beyond them nothing is said.
    """
    folders, names = _split(what)
    _check(names, at_accuracy or [], reference_width)

    from qbench.report.model.report_model import make_report
    from qbench.report.study import read_study

    model = make_report([read_study(folder) for folder in folders])
    if names:
        _print_pair(model, names[0], names[1], as_json)
    else:
        _print_table(model, [each / 100 for each in at_accuracy or []], reference_width, as_json)


def _split(what: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the folders, which come first, and the names behind them."""
    count = next((index for index, text in enumerate(what) if not _is_folder(text)), len(what))
    count = max(count, 1)  # the first is a folder, even if it is mistyped
    return [Path(text) for text in what[:count]], list(what[count:])


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except OSError:  # a group's name that is too long for a file's
        return False


def _check(names: Sequence[str], at_accuracy: Sequence[float], reference_width: float | None) -> None:
    """Raise a UserError for arguments that do not go together."""
    from qbench.errors import UserError

    if len(names) not in (0, 2):
        raise UserError(f"name two groups behind the folders, got {len(names)}: {', '.join(map(repr, names))}")
    if names and (at_accuracy or reference_width is not None):
        raise UserError("--at-accuracy and --reference-width compare all schemes: name no groups")
    wrong = next((each for each in at_accuracy if not 1 < each <= 100), None)
    if wrong is not None:
        raise UserError(f"--at-accuracy {wrong:g}: expected percent, above 1 and at most 100, such as 98")


def _print_pair(model: ReportModel, first: str, second: str, as_json: bool) -> None:
    from dataclasses import asdict

    from qbench.errors import UserError
    from qbench.report.model.comparison import compare as compare_groups
    from qbench.report.model.named import named
    from qbench.report.model.paragraph import paragraph
    from qbench.report.visible import visible

    one, other = named(model, first), named(model, second)
    if one is other:
        raise UserError(f"{one.name}: named twice, and a group does not differ from itself")
    found = compare_groups(one, other)
    text = visible(paragraph(one, other, found, model.budgets))
    if as_json:
        comparison = asdict(found) | {"distinguishable": found.distinguishable}
        print_json({"text": text, "comparison": comparison, "groups": [one.as_dict(), other.as_dict()]})
    else:
        print(_wrapped(text))


def _wrapped(text: str) -> str:
    """Return the text in lines of the terminal's width; as it is for a file or a pipe."""
    import shutil
    import textwrap

    return textwrap.fill(text, shutil.get_terminal_size().columns) if sys.stdout.isatty() else text


def _print_table(model: ReportModel, at_accuracy: list[float], reference_size: float | None, as_json: bool) -> None:
    from qbench.errors import UserError
    from qbench.report.model.wording import listed
    from qbench.report.views.equal_accuracy import equal_accuracy

    view = equal_accuracy(model, at_accuracy, reference_size)
    if not view.rows:
        names = listed([f'"{group.name}"' for group in model.groups])
        pair = "" if at_accuracy or len(model.groups) < 2 else f"; or name two groups of {names}"
        raise UserError("; ".join([str(view.missing), *view.notes]) + pair)
    if as_json:
        print_json(view.as_dict())
        return

    from functools import partial

    from qbench.report.render.terminal import narrowed
    from qbench.report.views.equal_accuracy import by_target

    for each in by_target(view):
        print(f"{each.title}\n")
        print_view(partial(narrowed, each, whole="--json has every column"))
        print()
    print("\n".join(view.notes))
