"""The trials of a sweep that cannot run, as one error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qbench.errors import ConfigError

_LINES = 20


@dataclass(frozen=True)
class Fault:
    """Why a trial cannot run.

    Attributes:
        group: the trial but for its seed, for people: `binarynet epochs=3`.
        seed: the trial's; None for one whose configuration cannot be read.
        error: the reason, as for a sweep whose trials all have it.
        unforeseen: an exception of a plug-in's, which names no key of the file: the trial must be named.
    """

    group: str
    seed: int | None
    error: ConfigError
    unforeseen: bool = False

    @property
    def reason(self) -> str:
        """The reason, with its key."""
        return str(self.error)


def fault_error(faults: Sequence[Fault], trials: int) -> ConfigError:
    """Return the error that names every fault.

    Where all have one reason it is that reason, after the first trial if a plug-in raised it. Else a line for each
    reason, the trials that have it below it, and at most 20 lines altogether.

    Args:
        faults: one or more.
        trials: how many there are, those without a fault included.
    """
    by_reason: dict[str, list[Fault]] = {}
    for fault in faults:
        by_reason.setdefault(fault.reason, []).append(fault)
    first = faults[0]
    if len(by_reason) == 1 and (not first.unforeseen or len(faults) == 1):
        named = f"{_named(first.group, [first.seed])}: " if first.unforeseen else ""
        return ConfigError(f"{named}{first.error.message}", first.error.key, first.error.file)
    lines = [line for reason, having in by_reason.items() for line in ((reason, 0), *_trials(having))]
    shown, hidden = (lines, []) if len(lines) <= _LINES else (lines[: _LINES - 1], lines[_LINES - 1 :])
    details = [text for text, _ in shown]
    if hidden:
        details.append(f"and {sum(count for _, count in hidden)} more trials")
    return ConfigError(f"{len(faults)} of {trials} trials cannot run", details=tuple(details))


def _trials(faults: Iterable[Fault]) -> list[tuple[str, int]]:
    """Return a line for each group, with its seeds, and how many trials it stands for."""
    seeds: dict[str, list[int | None]] = {}
    for fault in faults:
        seeds.setdefault(fault.group, []).append(fault.seed)
    return [(f"  {_named(group, of)}", len(of)) for group, of in seeds.items()]


def _named(group: str, seeds: Sequence[int | None]) -> str:
    known = [str(seed) for seed in seeds if seed is not None]
    return f"{group} seed={', '.join(known)}" if known else group
