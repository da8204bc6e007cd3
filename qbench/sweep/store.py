"""What a sweep has found, on disk: one file a trial, and the tables made of them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from qbench.errors import UserError
from qbench.io import finite, replacing
from qbench.trial.details import DETAILS, HISTORIES
from qbench.trial.record import TrialRecord, read_record

if TYPE_CHECKING:
    from qbench.sweep.plan import PlannedTrial
    from qbench.trial.result import TrialResult

_FORMAT = 1
_MARKER = "store.json"
RESULTS_CSV, RESULTS_JSON, SUMMARY = "results.csv", "results.json", "summary.json"
ORIGIN = "origin.json"
NOT_RUN = "not run"


class Store:
    """The folder of one sweep. A file is whole or absent: it is written under another name, synced, and renamed.

    Layout: `trials/<trial id>.json`, `trials/<trial id>.traceback.txt` (of a failure), `trainings/` (trained weights,
    written by training), `details/<trial id>.json` and `histories/<trial id>.csv` (written by a trial), `wandb/`;
    before the first trial `origin.json`, after each trial `results.csv` and `results.json`, after each run
    `summary.json`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials = folder / "trials"

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, prove that it can be written, and hold it against a second sweep meanwhile.

        Raises:
            UserError: it cannot be written, belongs to something else, or another process has it open.
        """
        self._check_ours()
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            _write(self.folder / _MARKER, _json({"format": _FORMAT}))
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written: {error.strerror or error}") from None
        # The kernel drops the lock with the process, so a killed sweep leaves none behind.
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except OSError as error:
            if not isinstance(error, Timeout):
                raise UserError(f"{self.folder}: cannot be locked: {error.strerror or error}") from None
            raise UserError(
                f"{self.folder}: another qbench is writing here; wait for it, or choose another --output"
            ) from None
        for place in (self.folder, self.trials, self.folder / DETAILS, self.folder / HISTORIES):
            for leftover in place.glob(".*.tmp"):  # of a killed run
                leftover.unlink()
        try:
            yield
        finally:
            lock.release()

    def _check_ours(self) -> None:
        try:
            marker = (self.folder / _MARKER).read_text()
        except FileNotFoundError:
            for name in (RESULTS_CSV, RESULTS_JSON, SUMMARY, "trials"):
                if (self.folder / name).exists():
                    raise UserError(
                        f"{self.folder}: holds a {name} that qbench did not write; choose another --output"
                    ) from None
            return
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written: {error.strerror or error}") from None
        try:
            found = json.loads(marker)["format"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.folder / _MARKER}: is not a qbench store's; choose another --output") from None
        if found != _FORMAT:
            raise UserError(f"{self.folder}: was written by another qbench (format {found}); choose another --output")

    def get(self, trial_id: str) -> TrialRecord | None:
        """Return the record of a trial; None if it never finished.

        Raises:
            UserError: its file is damaged.
        """
        path = self.trials / f"{trial_id}.json"
        try:
            return read_record(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise UserError(f"{path}: is damaged ({error}); delete it to run the trial again") from None

    def put_result(self, trial: PlannedTrial, result: TrialResult) -> TrialRecord:
        """Keep a trial's result; a number that is not finite is kept as null, for JSON has no other."""
        # The plan's identity: the process that trained may read the sources again after an edit, but runs the old.
        identity = {"trial_id": trial.id, "training_key": trial.training_key}
        row = {**{key: finite(value) for key, value in result.row.items()}, **identity}
        record = TrialRecord(trial.id, "done", row, list(result.predictions), list(result.labels), folder=self.folder)
        self._put(record)
        self.traceback_file(trial.id).unlink(missing_ok=True)
        return record

    def put_failure(self, trial: PlannedTrial, error: str, traceback: str) -> TrialRecord:
        """Keep a trial's failure: the one-line reason in its record, the traceback in a file beside it."""
        record = TrialRecord(trial.id, "failed", _bare_row(trial), [], [], error, self.folder)
        _write(self.traceback_file(trial.id), traceback)
        self._put(record)
        return record

    def traceback_file(self, trial_id: str) -> Path:
        """Return where a failed trial's traceback is."""
        return self.trials / f"{trial_id}.traceback.txt"

    def _put(self, record: TrialRecord) -> None:
        _write(self.trials / f"{record.trial_id}.json", record.to_json())

    def write_results(self, trials: Iterable[PlannedTrial], records: Mapping[str, TrialRecord]) -> None:
        """Write `results.json`, a list of rows, and `results.csv`, the same with empty cells where a row has no value.

        Each trial has a row: its record's, with `status` and `error` added. A trial without a record has its config
        keys alone and the status `not run`, so that an unfinished sweep is seen to be unfinished.
        """
        rows = []
        for trial in trials:
            if (record := records.get(trial.id)) is not None:
                rows.append({**record.row, "status": record.status, "error": record.error})
            else:
                rows.append({**_bare_row(trial), "status": NOT_RUN, "error": None})
        _write(self.folder / RESULTS_JSON, _json(rows))
        columns = list(dict.fromkeys(key for row in rows for key in row))
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(column)) for column in columns])
        _write(self.folder / RESULTS_CSV, table.getvalue())

    def write_origin(self, facts: Mapping[str, Any], run: Mapping[str, Any] | None = None) -> None:
        """Write `origin.json`: how the results were obtained.

        Args:
            facts: `name`, `metric`, `goal`, `description`, `file` (the sweep file's text) and, where the sweep has one,
                `label` (a template of rows' names), in place of earlier ones.
            run: of an invocation that runs trials: `date`, `command`, `versions`, `machine`. It is added to those of
                earlier invocations, the list `runs`.

        Raises:
            UserError: the earlier file is damaged.
        """
        path = self.folder / ORIGIN
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            runs = found["runs"]
            if not isinstance(runs, list):
                raise TypeError
        except FileNotFoundError:
            runs = []
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path}: cannot be read or is damaged; delete it to go on without it") from None
        _write(path, _json({**facts, "runs": [*runs, *([] if run is None else [dict(run)])]}))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write `summary.json`: the comparison."""
        _write(self.folder / SUMMARY, _json(summary))

    def drop_summary(self) -> None:
        """Remove `summary.json`, which is that of an earlier run, before the first trial of another ends."""
        (self.folder / SUMMARY).unlink(missing_ok=True)


def _bare_row(trial: PlannedTrial) -> dict[str, Any]:
    return {**trial.config.flat(), "trial_id": trial.id, "training_key": trial.training_key}


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
