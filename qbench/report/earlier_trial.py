"""A trial that lies in a sweep's folder and is none of its last plan."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from qbench.report.visible import writable
from qbench.trial.record import TrialRecord, read_record


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier plan, or of an earlier version of the code: its identity is none of those planned now.

    Attributes:
        trial_id: its identity, and the name of its file.
        record: what is kept of it; None where the file is damaged.
        damage: what is wrong with the file; None where it is whole.
        written: when its file was written, UTC: `2026-11-30 14:05`.
    """

    trial_id: str
    record: TrialRecord | None
    damage: str | None
    written: str


def read_earlier(folder: Path, planned: Collection[str]) -> tuple[EarlierTrial, ...]:
    """Return the trials of a sweep's folder whose identities are not among `planned`, the oldest first."""
    found = [(path, _time(path)) for path in (folder / "trials").glob("*.json") if path.stem not in planned]
    return tuple(_read(path, time) for path, time in sorted(found, key=lambda each: (each[1], each[0].name)))


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def _read(path: Path, time: float) -> EarlierTrial:
    written = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")
    name = str(writable(path.stem))
    try:
        record = read_record(path)
    except (OSError, ValueError) as error:
        return EarlierTrial(name, None, str(writable(str(error))), written)
    return EarlierTrial(name, replace(record, row=writable(record.row), error=writable(record.error)), None, written)
