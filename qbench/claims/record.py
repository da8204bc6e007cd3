"""A sweep's folder as a stored result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import qbench
from qbench.claims.stored import Origin, StoredSweep, StoredTrial, UnfinishedTrial, pack_correct
from qbench.errors import UserError
from qbench.report.doctor import examine
from qbench.sweep.config import load_sweep
from qbench.sweep.plug_ins import make_importable
from qbench.sweep.search import search_of
from qbench.sweep.store import NOT_RUN, RESULTS_JSON, Store
from qbench.trial.config import TrialConfig
from qbench.trial.identity import digest
from qbench.trial.resolved import resolve

# Where a trial ran; not what it computes.
PLACE = ("device", "threads")
_FIGURES = ("test/", "val/", "training/", "filters/", "kernel/", "time/", "cost/weight")
_IDENTITY = ("trial_id", "training_key", "shared")


def record(folder: Path, file: Path | None = None, note: str = "") -> StoredSweep:
    """The finished trials of a sweep's folder, and which others its file plans: failed, or not run.

    Args:
        folder: of `qbench sweep`.
        file: the sweep's; None looks for `sweeps/<name of the folder>.yaml` here, then beside the package.
        note: one line that is shown with the figures.

    The date is that of the trial that ended last. Machine and versions are those of the recording: record where the
    sweep ran. Whether the sources have changed since is seen from the trials' identities.

    Raises:
        UserError: no such folder or file, no finished trial, a trial that the file does not plan, or one that was
            trained on a GPU where this machine has none; a note of several lines.
    """
    if len(note.splitlines()) > 1:
        raise UserError("a note is one line")
    sweep_file = _sweep_file(folder, file)
    sweep = load_sweep(sweep_file)
    planned = [TrialConfig.from_mapping(point) for point in search_of(sweep).points(sweep.run_cap)]
    missing = {_identity(trial): trial for trial in planned}
    known, failed = set(missing), set()
    store = Store(folder)
    trials, last = [], 0.0
    configs: dict[str, TrialConfig] = {}
    for row in _rows(folder):
        kept = store.get(row["trial_id"])  # is written before the row: a kill between them leaves that behind
        status = row["status"] if kept is None else kept.status
        if status == NOT_RUN:
            continue
        if status != "done":
            failed.add(_identity(TrialConfig.from_flat(row)))
            continue
        if kept is None:
            raise UserError(f"{folder}: {RESULTS_JSON} names trial {row['trial_id']}, whose record is missing")
        config = kept.config
        if _identity(config) not in known:
            raise UserError(
                f"{folder}: trial {kept.trial_id} ({row.get('scheme')}, seed {row.get('seed')}) is not one of "
                f"{sweep_file}; name the sweep's file with --sweep"
            )
        missing.pop(_identity(config), None)
        configs[kept.trial_id] = config
        last = max(last, (store.trials / f"{kept.trial_id}.json").stat().st_mtime)
        figures = {key: value for key, value in kept.row.items() if key.startswith(_FIGURES) or key in _IDENTITY}
        right = pack_correct(kept.predictions, kept.labels)
        trials.append(StoredTrial(config.flat() | figures, len(kept.labels), right, digest(kept.labels)))
    if not trials:
        raise UserError(f"{folder}: holds no finished trial of {len(planned)} planned")
    devices = {trial.row.get("device") for trial in trials}
    machine = this_machine()
    if "cuda" in devices and "GPU" not in machine:
        raise UserError(f"{folder}: was trained on a GPU, which this machine has not; record it where it ran")
    command = f"qbench sweep {_shown(sweep_file)}" + (" (device: cuda)" if "cuda" in devices else "")
    origin = origin_now(command, datetime.fromtimestamp(last, UTC).date().isoformat(), machine)
    make_importable(sweep.folder)  # its plug-ins, as when it ran
    same_code = all(resolve(config).trial_id == id for id, config in configs.items())
    unfinished = [
        UnfinishedTrial(trial.flat(), "failed" if identity in failed else "not run")
        for identity, trial in missing.items()
    ]
    return StoredSweep(sweep.name, origin, tuple(trials), tuple(unfinished), same_code, note)


def origin_now(command: str, day: str | None = None, machine: str | None = None) -> Origin:
    """An origin on this machine, with this code; today without `day`."""
    today = datetime.now(UTC).date().isoformat()
    return Origin(day or today, machine or this_machine(), command, qbench.__version__, version("torch"))


def this_machine() -> str:
    """Processor, CPUs and GPU: `AMD EPYC 9B14, 2 CPUs, GPU NVIDIA H200`. No name of the machine."""
    facts = examine()
    text = f"{facts['machine']['processor']}, {facts['machine']['cpus']} CPUs"
    gpus = [device["name"] for device in facts["cuda"]["devices"]]
    return f"{text}, GPU {gpus[0]}" if gpus else text


def _sweep_file(folder: Path, file: Path | None) -> Path:
    if file is not None:
        return file
    name = f"{folder.resolve().name}.yaml"
    for root in (Path("sweeps"), Path(qbench.__path__[0]).parent / "sweeps"):
        if (root / name).is_file():
            return root / name
    raise UserError(f"{folder}: there is no sweeps/{name}; name the sweep's file with --sweep")


def _shown(file: Path) -> str:
    """The file as a reader types it: relative to the project, without this machine's folders."""
    return f"sweeps/{file.name}" if file.resolve().parent.name == "sweeps" else file.name


def _rows(folder: Path) -> list[dict[str, Any]]:
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
    return digest(config.model_dump(exclude=set(PLACE)))
