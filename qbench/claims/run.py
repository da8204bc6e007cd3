"""Results made now: sweeps recorded and measurements taken, kept in a folder of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qbench.claims.claim import Claim
from qbench.claims.record import record
from qbench.claims.stored import StoredMeasurement, results_folder, write_measurements, write_sweep
from qbench.claims.table import measure_all

_INCOMPLETE = "a scheme that lacks some of its seeds is shown, not judged; one that lacks all has no value"


def record_sweeps(
    folders: Sequence[Path], file: Path | None, note: str, results: Path | None, say: Callable[[str], None]
) -> None:
    """Record the results of sweeps, one after the other.

    Args:
        folders: of `qbench sweep`.
        file: the sweep's file; None looks for it by the folder's name.
        note: one line that is shown with the results.
        results: where they are kept; None is the checkout's `docs/results`.
        say: told of each file written, and of what its sweep lacks.

    Raises:
        UserError: what `record` and `write_sweep` refuse; no folder of results.
    """
    for folder in folders:
        sweep = record(folder, file, note)
        say(f"recorded: {write_sweep(sweep, results_folder(results))}")
        if sweep.missing:
            say(f"incomplete: {sweep.missing}; {_INCOMPLETE}")


def measure_claims(
    claims: Sequence[Claim], results: Path | None, keep: bool, on_step: Callable[[int, int, str], None]
) -> dict[str, StoredMeasurement | str]:
    """Return each measurement that the claims need, by name: its result, or why there is none.

    Args:
        claims: whose measurements are taken.
        results: where results are kept; None is the checkout's `docs/results`.
        keep: write each result there as soon as it is measured, so that an interrupt loses one at most.
        on_step: told, before each, its number from 1, how many there are, and what it measures.

    Raises:
        UserError: no folder of results to keep them in, or it cannot be written.
    """
    folder = results_folder(results) if keep else None
    measured = {}
    for name, found in measure_all(claims, on_step):
        measured[name] = found
        if folder is not None and isinstance(found, StoredMeasurement):
            write_measurements({name: found}, folder)
    return measured
