"""The comparison of a sweep as a table for a terminal, and as plain text for a file or a pipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.statistics.confidence_interval import DRAWS
from qbench.trial.metrics import show

# By the interval's method: the mark in its cell.
_MARKS = {"crossed": "", "images": " [1]", "exact": " [2]"}


@dataclass(frozen=True)
class _Column:
    heading: str
    cell: Callable[[Group], str]
    right: bool = True


def _metric(name: str, text: str) -> Callable[[Group], str]:
    """Return what shows one metric of a group in the format `text`; a fraction as percent, `-` for none."""

    def cell(group: Group) -> str:
        value = group.metrics.get(name)
        return "-" if value is None else text.format(100 * value if text.endswith("%") else value)

    return cell


def _accuracy(group: Group) -> str:
    return "-" if group.accuracy is None else f"{100 * group.accuracy.mean:.2f} %"


def _interval(group: Group) -> str:
    found = group.accuracy
    if found is None:
        return "-"
    return f"{100 * found.low:.2f} to {100 * found.high:.2f}{_MARKS[found.method]}"


def _runs(group: Group) -> str:
    return f"{group.runs}" + (f" ({len(group.failed)} failed)" if group.failed else "")


_COLUMNS = (
    _Column("scheme", lambda group: group.name, right=False),
    _Column("accuracy", _accuracy),
    _Column("95 % interval", _interval),
    _Column("weight bytes", _metric("cost/weight_bytes", "{:,.0f}")),
    _Column("×", _metric("cost/weight_compression", "{:.1f}")),
    _Column("energy µJ", _metric("cost/energy_uj", "{:.3g}")),
    _Column("×", _metric("cost/energy_compression", "{:.1f}")),
    _Column("unique filters", _metric("filters/unique_fraction", "{:.1f} %")),
    _Column("kernel agrees", _metric("kernel/agreement", "{:.2f} %")),
    _Column("training s", _metric("time/train_s", "{:.1f}")),
    _Column("runs", _runs),
    _Column("Pareto", lambda group: {True: "*", False: "", None: "-"}[group.pareto]),
)


def notes(model: ReportModel) -> list[str]:
    """Return what a reader must know to read the table, a line each."""
    return [
        *_intervals(model),
        "counted from shapes and formats: weight bytes; estimated: energy of one inference (operations and memory "
        "accesses at Horowitz's 45 nm prices, binary ones at our own); ×: how many times less than float32",
        "measured: accuracy, unique filters, kernel agreement (packed against fake-quantized), training time",
        *_random_filters(model),
        *_energy_spread(model),
        "Pareto *: no other scheme is as accurate or better with no more weight bytes and energy, by means",
        *(f"other budget: {note}" for note in model.budgets),
        *_shared_trainings(model),
        *_best(model),
        *_incomplete(model),
    ]


def _intervals(model: ReportModel) -> list[str]:
    methods = {group.accuracy.method for group in model.groups if group.accuracy is not None}
    lines = []
    if methods:
        lines.append(
            f"accuracy: mean over runs on the test images; interval: 95 %, bootstrap over seeds and test images "
            f"({DRAWS:,} draws, Owen 2007)"
        )
    if "images" in methods:
        lines.append("[1] one seed: the interval is over test images alone and says nothing of other seeds")
    if "exact" in methods:
        lines.append("[2] every prediction alike, nothing to resample: Clopper-Pearson over the test images")
    return lines


def _random_filters(model: ReportModel) -> list[str]:
    random = sorted({value for group in model.groups if (value := group.metrics.get("filters/random_fraction"))})
    if not random:
        return []
    shares = " and ".join(f"{100 * value:.1f} %" for value in random)
    return [f"unique filters: per input map, a filter and its inverse counted once; random weights would have {shares}"]


def _energy_spread(model: ReportModel) -> list[str]:
    spread = max((_spread(group) for group in model.groups), default=0.0)
    text = f"energy: the middle of a low and a high estimate, at most {100 * spread:.0f} % away (results.csv has both)"
    return [text] if spread else []


def _spread(group: Group) -> float:
    """Return half the distance between the low and the high energy, as a fraction of their middle."""
    low, mid, high = (group.metrics.get(f"cost/energy_uj{end}") for end in ("_low", "", "_high"))
    return 0.0 if low is None or high is None or not mid else (high - low) / 2 / mid


def _shared_trainings(model: ReportModel) -> list[str]:
    lines, seen = [], set[str]()
    for group in model.groups:
        if group.shares_training and group.name not in seen:
            seen |= {group.name, *group.shares_training}
            lines.append(f"one training per seed is shared by {', '.join((group.name, *group.shares_training))}")
    return lines


def _best(model: ReportModel) -> list[str]:
    if model.best is None:
        return []
    best = model.best
    return [f"best {best.metric}: {show(best.metric, best.value)} by {best.name} seed={best.seed}"]


def _incomplete(model: ReportModel) -> list[str]:
    waiting = model.planned - model.done - model.failed
    return [f"incomplete: {waiting} of {model.planned} trials have not run"] if waiting > 0 else []


def plain(model: ReportModel) -> str:
    """Return the table and its notes as lines of text, without colours, boxes or wrapping."""
    cells = _cells(model)
    widths = _widths(cells)
    lines = []
    for row in cells:
        parts = [
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, _COLUMNS, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join([*lines, "", *notes(model)])


def draw(model: ReportModel, console: Console) -> None:
    """Print the table and its notes on a terminal.

    A table that is too wide is cut into several, each of which begins with the column of schemes.
    """
    cells = _cells(model)
    for columns in _pack(_widths(cells), console.width):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index in columns:
            column = _COLUMNS[index]
            table.add_column(column.heading, justify="right" if column.right else "left", no_wrap=True)
        for group, row in zip(model.groups, cells[1:], strict=True):
            # Text, not markup: a name may hold square brackets, and [1] is a note's mark.
            table.add_row(*(Text(row[index]) for index in columns), style="bold" if group.pareto else "")
        console.print(table)
        console.print()
    for note in notes(model):
        console.print(Text(note, style="dim"))


def _cells(model: ReportModel) -> list[list[str]]:
    """Return the headings, then the cells of each group."""
    return [
        [column.heading for column in _COLUMNS],
        *([column.cell(group) for column in _COLUMNS] for group in model.groups),
    ]


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[index]) for row in cells) for index in range(len(_COLUMNS))]


def _pack(widths: Sequence[int], total: int) -> list[list[int]]:
    """Return the columns of each table, as many tables as the width needs; the first column is in each."""
    gap = 3  # padding, divider, padding
    tables = [[0]]
    used = widths[0]
    for index in range(1, len(widths)):
        if used + gap + widths[index] > total and len(tables[-1]) > 1:
            tables.append([0])
            used = widths[0]
        tables[-1].append(index)
        used += gap + widths[index]
    return tables
