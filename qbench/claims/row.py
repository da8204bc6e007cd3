"""The papers' figures beside this project's, as text and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from qbench.report.columns import aligned

JSON_KEYS = ("claim", "source", "paper", "here", "how", "verdict")


@dataclass(frozen=True)
class ClaimRow:
    """One claim and what this project has to say to it.

    Attributes:
        id: its name for `--only`.
        section: heading under which it is shown.
        statement: what is claimed.
        rule: what its verdict takes; empty where none is judged.
        source: where the claim stands.
        paper, here: the two values, as text; `-` for none.
        how: how the value here was obtained.
        verdict: one of `qbench.claims.judge.VERDICTS`.
    """

    id: str
    section: str
    statement: str
    rule: str
    source: str
    paper: str
    here: str
    how: str
    verdict: str

    def to_dict(self) -> dict[str, str]:
        """Plain values under JSON_KEYS; the claim's text is `id: statement (rule)`."""
        rule = f" ({self.rule})" if self.rule else ""
        values = (f"{self.id}: {self.statement}{rule}", self.source, self.paper, self.here, self.how, self.verdict)
        return dict(zip(JSON_KEYS, values, strict=True))


def claims_text(rows: Sequence[ClaimRow]) -> str:
    """A line of values and two of text for each claim, under its section; then the count of verdicts.

    Stored results, whose machine and command many claims share, are numbered and written out once at the end.
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
    kind, colon, _ = how.partition(":")
    if not colon or kind != "stored result":
        return how
    return f"{kind} [{notes.setdefault(how, len(notes) + 1)}]"
