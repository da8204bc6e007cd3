"""The table of all groups as a command prints it: the columns that were asked for, or those that fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qbench.errors import UserError, nearest
from qbench.report.model.report_model import ReportModel
from qbench.report.render.terminal import fitting_columns
from qbench.report.view import Column, View
from qbench.report.views.overview import COLUMNS, importance, overview
from qbench.trial.metrics import METRICS

ALL = "all"
_INTERVAL = "interval"
_ENDS = ("test/accuracy_low", "test/accuracy_high")


def overview_table(model: ReportModel, columns: str | None, width: int, on_terminal: bool = False) -> View:
    """Return the table with the columns that `columns` names, or those that fit; a note names the others.

    Args:
        model: what was read.
        columns: `all`, or names behind commas: `accuracy,energy_uj`; None for what fits.
        width: of the terminal, in characters.
        on_terminal: whether it is drawn; else it is plain text.

    Raises:
        UserError: a name that is no column's.
    """
    if columns is not None:
        metrics = dict.fromkeys(name for group in model.groups for name in group.metrics)
        return overview(model, named_columns(columns, metrics))
    whole = overview(model)
    kept = fitting_columns(whole, width, importance(model), on_terminal)
    left = [column for column in whole.columns if column.name not in kept]
    if not left:
        return whole
    note = f"left out, for they do not fit {width} characters: {_listed(left)}; --columns all shows every column"
    view = overview(model, kept)
    return replace(view, notes=(*view.notes, note))


def check_columns(columns: str) -> None:
    """Refuse, before trials run, what can be no column's name; a metric of a module's own must be named whole.

    Raises:
        UserError: as `named_columns`.
    """
    named_columns(columns, [*METRICS, *(name.strip() for name in columns.split(",") if "/" in name)])


def named_columns(columns: str, metrics: Iterable[str]) -> list[str] | None:
    """Return the names of the columns that `columns` names, in its order; None for all.

    A column is named as in CSV (`test/accuracy`), by that name's last part (`accuracy`), or by its heading (`weight
    bytes`); `interval` is both ends of the accuracy's.

    Args:
        columns: what the user wrote.
        metrics: names of the trials' metrics, each of which can be a column.

    Raises:
        UserError: no column has such a name, with the nearest; or several do, with their names.
    """
    if columns.strip() == ALL:
        return None
    own, metrics = COLUMNS[1:], list(metrics)
    known = list(dict.fromkeys([*(column.name for column in own), *metrics]))
    spoken: dict[str, list[str]] = {}
    for column in own:
        for word in {column.heading.lower(), _word(column.name)}:
            spoken.setdefault(word, []).append(column.name)
    for word in {_word(name) for name in metrics} - set(spoken):
        spoken[word] = [name for name in metrics if _word(name) == word]
    found: list[str] = []
    for asked in filter(None, (part.strip() for part in columns.split(","))):
        if asked in known:
            names = [asked]
        elif asked == _INTERVAL:
            names = list(_ENDS)
        else:
            names = spoken.get(asked.lower(), [])
            if len(names) > 1:
                raise UserError(f"--columns: {asked!r} is several columns: name one of {', '.join(names)}")
        if not names:
            words = list(dict.fromkeys([ALL, _INTERVAL, *(_word(name) for name in known)]))
            raise UserError(f"--columns: no column {asked!r}{nearest(asked, words)}")
        found += [name for name in names if name not in found]
    if not found:
        raise UserError(f"--columns: expected {ALL}, or names with commas between them, got {columns!r}")
    return found


def _word(name: str) -> str:
    return name.rpartition("/")[2]


def _listed(left: list[Column]) -> str:
    names = [_INTERVAL if column.name in _ENDS else _word(column.name) for column in left]
    return ", ".join(dict.fromkeys(names))
