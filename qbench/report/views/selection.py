"""Which groups a view of many rows shows, and how it says which it leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.view import Value
from qbench.trial.details import TrialDetails

Row = tuple[Value, ...]

MAX_ROWS = 3000
"""The rows of one view, at most: about 0.4 MB as JSON, so that a page of many views stays readable and quick."""
CHART_GROUPS = 8
"""The groups in one chart, at most: as many as there are colours that everyone can tell apart."""
CHART_BARS = 40
"""The bars in one chart, at most: about as many lines as a page has."""


def by_interest(groups: Sequence[Group]) -> list[Group]:
    """Return the groups so that the first few show most: one of each scheme, then a second of each, and so on.

    Of a scheme's groups float32 references come first, then those on the Pareto front, then the others in the order of
    the trials.
    """
    references = {group.reference for group in groups}
    ranked = sorted(groups, key=lambda group: 0 if group.name in references else 1 if group.pareto else 2)
    seen: Counter[str] = Counter()
    places = []
    for group in ranked:
        places.append(seen[group.scheme])
        seen[group.scheme] += 1
    return [group for _, group in sorted(zip(places, ranked, strict=True), key=lambda each: each[0])]


def blocks(
    model: ReportModel, rows_of: Callable[[Group], list[Row]], limit: int = CHART_GROUPS
) -> list[tuple[str, list[Row]]]:
    """Return the name and the rows of each group that has rows, in the order of the trials.

    Of more groups than `limit` those come first that show most; see `by_interest`.
    """
    found = {group.name: own for group in model.groups if (own := rows_of(group))}
    groups = by_interest(model.groups) if len(found) > limit else model.groups
    return [(group.name, found[group.name]) for group in groups if group.name in found]


def of_one(rows_of: Callable[[Group, int, TrialDetails], list[Row]]) -> Callable[[Group], list[Row]]:
    """Return a function for `blocks`: the rows of a group's first trial with details, none of a group without any.

    Args:
        rows_of: makes the rows of the group, of that trial's seed and details.
    """

    def rows(group: Group) -> list[Row]:
        found = group.first_details()
        return [] if found is None else rows_of(group, found[0].row["seed"], found[1])

    return rows


def bounded(
    groups: Iterable[tuple[str, Sequence[Row]]], limit: int = MAX_ROWS, where: str = "details/"
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the rows of the first groups that fit in `limit`, and a note that names the groups left out.

    Args:
        groups: each group's name and rows; the first group is cut where it alone is too large.
        limit: of rows.
        where: the part of a sweep's folder that holds everything.
    """
    rows: list[Row] = []
    left: list[str] = []
    notes: list[str] = []
    for name, block in groups:
        if left or (rows and len(rows) + len(block) > limit):
            left.append(name)
            continue
        if len(block) > limit:
            notes.append(f"{name}: the first {limit:,} of {len(block):,} rows; `{where}` in its folder holds all")
        rows += block[:limit]
    if left:
        notes.append(f"left out, to keep the report small: {listed(left)}; `{where}` in the sweep's folder holds them")
    return tuple(rows), tuple(notes)


def chart_note(names: Sequence[str], limit: int = CHART_GROUPS, of: str = "schemes") -> tuple[str, ...]:
    """Return the note that the chart draws fewer than the table holds; none where it draws all."""
    if len(names) <= limit:
        return ()
    order = "; of each scheme its reference or one on the Pareto front comes first" if of == "schemes" else ""
    return (f"the chart draws the first {limit} of the {len(names)} {of} in the table{order}",)


def every(total: int, most: int) -> int:
    """Return k, so that every k-th of `total` things are at most `most`."""
    return max(1, -(-total // most))


def names(rows: Iterable[Row]) -> list[str]:
    """Return the groups of rows whose first value is the group's name, in their order."""
    return list(dict.fromkeys(str(row[0]) for row in rows))


def layer_names(rows: Iterable[Row]) -> list[str]:
    """Return the layers, each with its group, of rows that start with the two."""
    return list(dict.fromkeys(f"{row[0]} {row[1]}" for row in rows))
