"""Stored results, as `docs/results/` keeps them: a JSON file for each sweep, and one for all measurements.

The program writes them, never a hand: every file holds `format`, `kind` and a `digest` of the rest, so that an edit is
noticed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import qbench
from qbench.claims.origin import Origin
from qbench.errors import UserError
from qbench.io import replacing
from qbench.trial.identity import digest

FORMATS = {"sweep": 2, "measurements": 1}
MEASUREMENTS_JSON = "measurements.json"


@dataclass(frozen=True)
class StoredTrial:
    """A trial that finished.

    Attributes:
        row: its configuration and metrics.
        images: number of test images.
        right: base64 of a bit for each test image, 1 if it was predicted right; the first image is the highest bit of
            the first byte.
        labels: digest of the true labels; trials of equal digests were tested on the same images in the same order.
    """

    row: dict[str, Any]
    images: int
    right: str
    labels: str

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each test image was predicted right, [images]."""
        packed = np.frombuffer(base64.b64decode(self.right, validate=True), dtype=np.uint8)
        return np.unpackbits(packed, count=self.images).astype(np.bool_)

    @property
    def error(self) -> float:
        """Test error, percent."""
        return 100 * (1 - float(self.row["test/accuracy"]))


def pack_correct(predictions: list[int], labels: list[int]) -> str:
    """Return `StoredTrial.right` of a trial's predictions."""
    return base64.b64encode(np.packbits(np.asarray(predictions) == np.asarray(labels)).tobytes()).decode()


@dataclass(frozen=True)
class UnfinishedTrial:
    """A trial that the sweep's file plans and that has no result.

    Attributes:
        row: its configuration.
        status: whether it failed or has not run.
    """

    row: dict[str, Any]
    status: Literal["failed", "not run"]


def missing(finished: int, unfinished: Sequence[UnfinishedTrial], what: str) -> str:
    """Return how many planned trials lack a result, in words; empty if none does.

    Example: `1 of 8 planned seeds failed, 2 of 8 planned seeds not run`, where `what` is `seeds`.
    """
    counts = Counter(trial.status for trial in unfinished)
    planned = finished + len(unfinished)
    return ", ".join(f"{counts[status]} of {planned} planned {what} {status}" for status in sorted(counts))


@dataclass(frozen=True)
class StoredSweep:
    """The trials of a sweep.

    Attributes:
        name: of the sweep, and of the stored file.
        origin: where the results come from.
        trials: those that finished.
        unfinished: the other trials that the sweep's file plans.
        same_code: whether every trial was trained by the sources that recorded it.
        note: what a reader must know about the results, in the words of whoever recorded them; empty for nothing.
    """

    name: str
    origin: Origin
    trials: tuple[StoredTrial, ...]
    unfinished: tuple[UnfinishedTrial, ...] = ()
    same_code: bool = True
    note: str = ""

    @property
    def missing(self) -> str:
        """How many planned trials lack a result, in words; empty if none does."""
        return missing(len(self.trials), self.unfinished, "trials")

    def __str__(self) -> str:
        made = self.origin
        parts = [
            f"stored result: {made.date}, {made.command}",
            f"recorded on {made.machine}, with qbench {made.qbench}, torch {made.torch}",
            *([] if self.same_code else ["trained by other sources of qbench than it was recorded with"]),
            *([f"note: {self.note}"] if self.note else []),
        ]
        return "; ".join(parts)


@dataclass(frozen=True)
class StoredMeasurement:
    """The values of one measurement, and where they come from."""

    values: dict[str, Any]
    origin: Origin


@dataclass(frozen=True)
class StoredResults:
    """Everything in a results folder."""

    sweeps: tuple[StoredSweep, ...] = ()
    measurements: tuple[tuple[str, StoredMeasurement], ...] = ()

    def measurement(self, name: str) -> StoredMeasurement | None:
        """Return the measurement of this name; None where it is not stored."""
        return dict(self.measurements).get(name)


def default_results_folder() -> Path | None:
    """Return `docs/results` beside the package, which a checkout has; None where an installed package has none."""
    folder = Path(qbench.__path__[0]).parent / "docs" / "results"
    return folder if folder.is_dir() else None


def results_folder(named: Path | None) -> Path:
    """Return the folder to write to: the one that is named, or else the default.

    Raises:
        UserError: no folder is named, and there is no default.
    """
    folder = named or default_results_folder()
    if folder is None:
        raise UserError("this qbench is installed without docs/results: name a folder with --results")
    return folder


def load_results(folder: Path | None) -> StoredResults:
    """Read all files of a results folder; None and an empty folder hold nothing.

    Raises:
        UserError: no such folder; a file that is damaged, of another format, or edited.
    """
    if folder is None:
        return StoredResults()
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; name one with --results")
    sweeps: list[StoredSweep] = []
    measurements: dict[str, StoredMeasurement] = {}
    for path in sorted(folder.glob("*.json")):
        content = _read(path)
        try:
            if content["kind"] == "sweep":
                sweeps.append(_sweep(content))
            else:
                measurements |= {
                    name: StoredMeasurement(dict(found["values"]), Origin(**found["origin"]))
                    for name, found in content["measurements"].items()
                }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path}: is damaged ({type(error).__name__}: {error}); record it again") from None
    return StoredResults(tuple(sweeps), tuple(measurements.items()))


def _read(path: Path) -> dict[str, Any]:
    """Read a file and check that this version of the program wrote it, and nobody after it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"{path}: is no JSON ({error}); record it again") from None
    if not isinstance(content, dict) or content.get("kind") not in FORMATS:
        raise UserError(f"{path}: is no stored result of qbench")
    known = FORMATS[content["kind"]]
    if content.get("format") != known:
        raise UserError(
            f"{path}: has format {content.get('format')!r}, this qbench reads format {known}; record it again"
        )
    stated = content.pop("digest", None)
    if stated != digest(content):
        raise UserError(f"{path}: was changed after qbench wrote it (its digest does not match); record it again")
    return content


def _sweep(content: dict[str, Any]) -> StoredSweep:
    """Return the sweep of a file's content; each accuracy must be that of the stored predictions."""
    trials = tuple(StoredTrial(**each) for each in content["trials"])
    for trial in trials:
        try:
            right = int(trial.correct.sum())
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        if right != round(trial.row["test/accuracy"] * trial.images):
            raise ValueError(f"trial {trial.row['trial_id']}: its accuracy is not that of its predictions")
    unfinished = tuple(UnfinishedTrial(**each) for each in content["unfinished"])
    origin = Origin(**content["origin"])
    return StoredSweep(content["name"], origin, trials, unfinished, content["same_code"], content["note"])


def write_sweep(sweep: StoredSweep, folder: Path) -> Path:
    """Write `<name>.json` and return its path; an older one is replaced in one step.

    Raises:
        UserError: it cannot be written; or the sweep is unfinished, and the older file holds results of more trials.
    """
    path = folder / f"{sweep.name}.json"
    if sweep.unfinished and (kept := _trials_kept(path)) > len(sweep.trials):
        raise UserError(
            f"{path}: holds results of {kept} trials, which those of {len(sweep.trials)} would replace "
            f"({sweep.missing}); finish the sweep first, or give --sweep a copy of its file with another `name`"
        )
    content = {
        "kind": "sweep",
        "name": sweep.name,
        "origin": asdict(sweep.origin),
        "same_code": sweep.same_code,
        "note": sweep.note,
        "trials": [asdict(trial) for trial in sweep.trials],
        "unfinished": [asdict(trial) for trial in sweep.unfinished],
    }
    return _write(path, content)


def _trials_kept(path: Path) -> int:
    """Return how many trials a stored sweep holds; 0 where there is none, or none that can be read and kept."""
    try:
        return len(_sweep(_read(path)).trials)
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return 0


def write_measurements(measurements: dict[str, StoredMeasurement], folder: Path) -> Path:
    """Add measurements to `measurements.json` and return its path; one of the same name replaces the older one."""
    kept = dict(load_results(folder).measurements) if folder.is_dir() else {}
    merged = kept | measurements
    content = {"kind": "measurements", "measurements": {name: asdict(merged[name]) for name in sorted(merged)}}
    return _write(folder / MEASUREMENTS_JSON, content)


def _write(path: Path, content: dict[str, Any]) -> Path:
    content = {"format": FORMATS[content["kind"]], **content}
    text = json.dumps({**content, "digest": digest(content)}, indent=1, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path
