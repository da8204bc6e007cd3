"""Finds the record of a finished trial, as `qbench train` and `qbench sweep` leave it."""

from __future__ import annotations

from pathlib import Path

from qbench.errors import UserError
from qbench.trial.record import TrialRecord, read_record


def find_record(path: Path) -> TrialRecord:
    """Return the record of `.../trials/<id>.json`, or of a folder in which one trial has finished.

    Raises:
        UserError: no such file, a failed trial, a folder with more trials than one, or none.
    """
    if path.is_dir():
        found = {file: _read(file) for file in sorted((path / "trials").glob("*.json"))}
        done = {file: record for file, record in found.items() if record.status == "done"}
        if not done:
            raise UserError(f"{path}: holds no finished trial (trials/*.json)")
        if len(done) > 1:
            first, record = next(iter(done.items()))
            text = f"{record.row.get('scheme')}, seed {record.row.get('seed')}"
            raise UserError(
                f"{path}: holds {len(done)} finished trials; name one, as {first} ({text}); results.csv has their ids"
            )
        return next(iter(done.values()))
    record = _read(path)
    if record.status != "done":
        raise UserError(f"{path}: the trial failed: {record.error}")
    return record


def _read(path: Path) -> TrialRecord:
    try:
        return read_record(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise UserError(f"{path}: is no trial's record; name a trials/<id>.json of a sweep's folder") from None
