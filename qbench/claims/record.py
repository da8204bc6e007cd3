"""A sweep's folder as a stored result: what `qbench claims --record` keeps."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import qbench
from qbench.claims.origin import Origin, origin_now
from qbench.claims.stored import StoredSweep, StoredTrial, UnfinishedTrial, pack_correct
from qbench.errors import UserError
from qbench.report.commands.machine_facts import machine_text
from qbench.sweep.config import load_sweep
from qbench.sweep.plug_ins import make_importable
from qbench.sweep.search import search_of
from qbench.sweep.store import NOT_RUN, RESULTS_JSON, Store
from qbench.trial.config import TrialConfig
from qbench.trial.identity import digest
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import resolve

PLACE = ("device", "threads")
"""Keys of a configuration that say where a trial runs, not what it computes."""
# The metrics that claims use, by the beginnings of their names.
_METRICS = ("test/", "val/", "training/", "filters/", "kernel/", "time/", "cost/weight")
_IDENTITY = ("trial_id", "training_key", "shared")


@dataclass(frozen=True)
class _Ended:
    """The trials of a sweep's folder that have ended.

    Attributes:
        done: records of those that finished, in the order of the rows.
        failed: identities of those that failed.
    """

    done: tuple[TrialRecord, ...]
    failed: frozenset[str]


def record(folder: Path, file: Path | None = None, note: str = "") -> StoredSweep:
    """Return the finished trials of a sweep's folder, and which others its file plans: failed, or not run.

    The origin's date is the day on which the last trial ended. Its machine and versions are those of the recording, so
    record where the sweep ran. The trials' identities tell whether the sources have changed since they were trained.

    Args:
        folder: what `qbench sweep` wrote.
        file: the sweep's file; None looks for `sweeps/<name of the folder>.yaml` here, then beside the package.
        note: one line that is shown with the sweep's results.

    Raises:
        UserError: no such folder or file; no finished trial; a trial that the file does not plan; a trial that was
            trained on a GPU, where this machine has none; a note of several lines.
    """
    if len(note.splitlines()) > 1:
        raise UserError("a note is one line")
    sweep_file = _sweep_file(folder, file)
    sweep = load_sweep(sweep_file)
    configs = [TrialConfig.from_mapping(point) for point in search_of(sweep).points(sweep.run_cap)]
    planned = {_identity(config): config for config in configs}
    ended = _ended(folder)
    _check_planned(ended.done, planned, folder, sweep_file)
    if not ended.done:
        raise UserError(f"{folder}: holds no finished trial of {len(configs)} planned")
    origin = _origin(ended.done, folder, sweep_file)
    make_importable(sweep.folder)  # its plug-ins, as when it ran
    same_code = all(resolve(trial.config).trial_id == trial.trial_id for trial in ended.done)
    finished = {_identity(trial.config) for trial in ended.done}
    unfinished = tuple(
        UnfinishedTrial(config.flat(), "failed" if identity in ended.failed else "not run")
        for identity, config in planned.items()
        if identity not in finished
    )
    return StoredSweep(sweep.name, origin, tuple(map(_stored, ended.done)), unfinished, same_code, note)


def _ended(folder: Path) -> _Ended:
    """Read the trials that ended.

    A trial's record is written before its row in the tables. If the sweep was killed between the two, the row is out of
    date: where there is a record, its status counts.
    """
    store, done, failed = Store(folder), [], set()
    for row in _rows(folder):
        found = store.get(row["trial_id"])
        status = row["status"] if found is None else found.status
        if status == NOT_RUN:
            continue
        if status != "done":
            failed.add(_identity(TrialConfig.from_flat(row)))
        elif found is None:
            raise UserError(f"{folder}: {RESULTS_JSON} names trial {row['trial_id']}, whose record is missing")
        else:
            done.append(found)
    return _Ended(tuple(done), frozenset(failed))


def _check_planned(done: Sequence[TrialRecord], planned: Container[str], folder: Path, sweep_file: Path) -> None:
    for trial in done:
        if _identity(trial.config) not in planned:
            name = f"trial {trial.trial_id} ({trial.row.get('scheme')}, seed {trial.row.get('seed')})"
            raise UserError(f"{folder}: {name} is not one of {sweep_file}; name the sweep's file with --sweep")


def _origin(done: Sequence[TrialRecord], folder: Path, sweep_file: Path) -> Origin:
    on_gpu = any(trial.config.device == "cuda" for trial in done)
    machine = machine_text()
    if on_gpu and "GPU" not in machine:
        raise UserError(f"{folder}: was trained on a GPU, which this machine has not; record it where it ran")
    trials = Store(folder).trials
    last = max((trials / f"{trial.trial_id}.json").stat().st_mtime for trial in done)
    command = f"qbench sweep {_shown(sweep_file)}" + (" (device: cuda)" if on_gpu else "")
    return origin_now(command, datetime.fromtimestamp(last, UTC).date().isoformat(), machine)


def _stored(trial: TrialRecord) -> StoredTrial:
    kept = {key: value for key, value in trial.row.items() if key.startswith(_METRICS) or key in _IDENTITY}
    right = pack_correct(trial.predictions, trial.labels)
    return StoredTrial(trial.config.flat() | kept, len(trial.labels), right, digest(trial.labels))


def _sweep_file(folder: Path, file: Path | None) -> Path:
    if file is not None:
        return file
    name = f"{folder.resolve().name}.yaml"
    for root in (Path("sweeps"), Path(qbench.__path__[0]).parent / "sweeps"):
        if (root / name).is_file():
            return root / name
    raise UserError(f"{folder}: there is no sweeps/{name}; name the sweep's file with --sweep")


def _shown(file: Path) -> str:
    """Return the file as a reader types it: relative to the project, without this machine's folders."""
    return f"sweeps/{file.name}" if file.resolve().parent.name == "sweeps" else file.name


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Read a sweep's table: a row for each trial, run or not."""
    path = folder / RESULTS_JSON
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(row["trial_id"], str) and isinstance(row["status"], str) for row in rows):
            raise TypeError
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); name the folder of a sweep") from None
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path}: is no sweep's results") from None
    return list(rows)


def _identity(config: TrialConfig) -> str:
    """Return what tells a trial's configuration from others, wherever it runs."""
    return digest(config.model_dump(exclude=set(PLACE)))
