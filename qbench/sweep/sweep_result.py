"""What a run of a sweep did."""

from __future__ import annotations

from dataclasses import dataclass, field

from qbench.trial.record import TrialRecord


@dataclass
class SweepResult:
    """What a run of a sweep did.

    Attributes:
        records: of the trials shown, in the plan's order; a trial without one has not run.
        ran: trials run now.
        interrupted: by Ctrl-C, before the end.
    """

    records: dict[str, TrialRecord] = field(default_factory=dict)
    ran: int = 0
    interrupted: bool = False

    @property
    def failed(self) -> list[TrialRecord]:
        """The records of the trials that failed."""
        return [record for record in self.records.values() if record.status == "failed"]
