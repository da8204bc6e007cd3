"""One claim beside what this project found: a row of `qbench claims`."""

from __future__ import annotations

from dataclasses import dataclass

JSON_KEYS = ("claim", "source", "paper", "here", "how", "verdict")


@dataclass(frozen=True)
class ClaimRow:
    """A claim, the value here, and the verdict.

    Attributes:
        id: the claim's name for `--only`.
        section: the heading under which it is shown.
        statement: what is claimed.
        rule: what the verdict depends on; empty where nothing is judged.
        source: where the claim stands.
        paper, here: the value there and the value here, as text; `-` for none.
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
        """Return plain values under JSON_KEYS; `claim` is `id: statement (rule)`."""
        rule = f" ({self.rule})" if self.rule else ""
        values = (f"{self.id}: {self.statement}{rule}", self.source, self.paper, self.here, self.how, self.verdict)
        return dict(zip(JSON_KEYS, values, strict=True))
