"""Claims as text: what `qbench claims` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from qbench.claims.row import ClaimRow
from qbench.report.commands.columns import aligned


def claims_text(rows: Sequence[ClaimRow]) -> str:
    """Return three lines for each claim, section by section, then the number of claims with each verdict.

    Many claims share a stored result: each is numbered, and its machine and command are written out once, at the end.
    """
    notes: dict[str, int] = {}
    lines: list[str] = []
    for section, group in groupby(rows, key=lambda row: row.section):
        members = list(group)
        lines += ["", section] if lines else [section]
        cells = [(row.id, row.verdict, f"paper: {row.paper}", f"here: {row.here}") for row in members]
        for row, head in zip(members, aligned(cells, left=4), strict=True):
            rule = f" ({row.rule})" if row.rule else ""
            lines += [f"  {head}", f"    {row.statement}{rule}", f"    {row.source}; {_how(row.how, notes)}"]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(row.verdict for row in rows).most_common())
    total = f"{len(rows)} claim{'s' * (len(rows) != 1)}"
    lines += ["", f"{total}: {counts}"] if rows else [total]
    lines += [f"[{number}] {text}" for text, number in notes.items()]
    return "\n".join(lines)


def _how(how: str, notes: dict[str, int]) -> str:
    """Return `how`, with a number in the place of a stored result; `notes` maps each result to its number."""
    kind, colon, _ = how.partition(":")
    if not colon or kind != "stored result":
        return how
    return f"{kind} [{notes.setdefault(how, len(notes) + 1)}]"
