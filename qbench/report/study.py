"""A sweep's folder as a report reads it: the trials planned, their records and details, and how they were obtained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qbench.errors import UserError
from qbench.report.earlier_trial import EarlierTrial, read_earlier
from qbench.report.study_format import origin_fault, rows_fault
from qbench.report.visible import writable
from qbench.sweep.store import NOT_RUN, ORIGIN, RESULTS_JSON
from qbench.trial.details import TrialDetails, read_details
from qbench.trial.label import render
from qbench.trial.record import TrialRecord, read_record
from qbench.trial.record_format import costs_fault
from qbench.trial.strict_json import loads

_AGAIN = "`qbench sweep` with the same file writes it again"
_WITHOUT = "delete it to have a report without it"


@dataclass(frozen=True)
class Study:
    """One folder's trials.

    Attributes:
        name: of the sweep, or of the folder where the sweep did not leave its name.
        folder: where it lies.
        records: of the trials that are done or failed, in the plan's order.
        details: what is kept of each trial, by its id; a trial without details is not among them.
        not_run: the configurations of the planned trials that have no record, flat.
        origin: what `Store.write_origin` kept: `metric`, `goal`, `description`, `file` (the sweep file's text), `label`
            (the template of its rows' names), `runs` (when, by which command, with which versions, on which machine).
            Empty for an earlier version's folder.
        earlier: the folder's trials that are none of the plan's: of an earlier plan, or version of the code.
    """

    name: str
    folder: Path
    records: tuple[TrialRecord, ...]
    details: dict[str, TrialDetails] = field(default_factory=dict)
    not_run: tuple[dict[str, Any], ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)
    earlier: tuple[EarlierTrial, ...] = ()

    @property
    def planned(self) -> int:
        """Number of trials, run or not."""
        return len(self.records) + len(self.not_run)

    def label_of(self, settings: Mapping[str, Any]) -> str | None:
        """Return what the sweep's `label` makes of a trial's configuration, flat; None where it has none."""
        template = self.origin.get("label")
        return None if template is None else render(template, settings)

    @property
    def place(self) -> str:
        """The folder as a report names it, without a path of this machine: reports are handed on.

        As it was typed; of an absolute path what comes after the working folder, or its last name where it lies
        elsewhere.
        """
        place = self.folder
        if place.is_absolute():
            place = place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else Path(place.name)
        return str(writable(str(place)))


def read_study(folder: Path) -> Study:
    """Read what a sweep has left in its folder.

    Raises:
        UserError: no such folder, one that no sweep wrote, or a damaged file in it.
    """
    rows = _rows(folder)
    records: list[TrialRecord] = []
    not_run: list[dict[str, Any]] = []
    for row in rows:
        if row.get("status") == NOT_RUN:
            not_run.append(writable({k: v for k, v in row.items() if k not in ("status", "error")}))
        else:
            records.append(_record(folder, row["trial_id"]))
    details = {r.trial_id: found for r in records if (found := _details(folder, r)) is not None}
    origin = _origin(folder)
    return Study(
        writable(str(origin.get("name") or folder.resolve().name)),
        folder,
        tuple(records),
        details,
        tuple(not_run),
        origin,
        read_earlier(folder, {str(row["trial_id"]) for row in rows if row.get("trial_id") is not None}),
    )


def _rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / RESULTS_JSON
    try:
        rows = loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        what = "is no folder" if not folder.is_dir() else f"holds no {RESULTS_JSON}: no sweep has written here"
        raise UserError(f"{folder}: {what}; name the folder that `qbench sweep` printed") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}); {_AGAIN}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: is damaged (expected a list of rows); {_AGAIN}")
    if (wrong := rows_fault(rows, NOT_RUN)) is not None:
        raise UserError(f"{path}: is damaged ({wrong}); {_AGAIN}")
    return rows


def _record(folder: Path, trial_id: str) -> TrialRecord:
    path = folder / "trials" / f"{trial_id}.json"
    try:
        record = read_record(path)
        if record.trial_id != trial_id:
            raise ValueError(f"it is of trial {record.trial_id}")
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; `qbench sweep` with the same file runs the trial again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise _damaged_record(path, error) from None
    return replace(record, row=writable(record.row), error=writable(record.error))


def _damaged_record(path: Path, why: object) -> UserError:
    return UserError(
        f"{path}: is damaged ({why}); delete it, and `qbench sweep` with the same file runs the trial again"
    )


def _details(folder: Path, record: TrialRecord) -> TrialDetails | None:
    details = read_details(folder, record.trial_id)
    if details is not None and record.status == "done" and (wrong := costs_fault(record.row)) is not None:
        raise _damaged_record(folder / "trials" / f"{record.trial_id}.json", wrong)
    return None if details is None else TrialDetails(**writable(vars(details)))


def _origin(folder: Path) -> dict[str, Any]:
    path = folder / ORIGIN
    try:
        found = loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}); {_WITHOUT}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: is damaged (expected a mapping); {_WITHOUT}")
    if (wrong := origin_fault(found)) is not None:
        raise UserError(f"{path}: is damaged ({wrong}); {_WITHOUT}")
    return dict(writable(found))
