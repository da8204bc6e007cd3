"""Where a stored result comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import qbench
from qbench.report.commands.machine_facts import machine_text


@dataclass(frozen=True)
class Origin:
    """When, where and with what a result was made.

    Attributes:
        date: the day on which its last value was made, ISO.
        machine: processor, CPUs, GPU. Of a sweep it is the machine that recorded it, because a trial's row names none.
        command: what makes the result again.
        qbench, torch: their versions; of a sweep, those that recorded it.
    """

    date: str
    machine: str
    command: str
    qbench: str
    torch: str

    def __str__(self) -> str:
        return f"stored result: {self.date}, {self.machine}, qbench {self.qbench}, torch {self.torch}, {self.command}"


def origin_now(command: str, day: str | None = None, machine: str | None = None) -> Origin:
    """Return the origin of a result of this machine and this code; `day` is ISO, today by default."""
    today = datetime.now(UTC).date().isoformat()
    return Origin(day or today, machine or machine_text(), command, qbench.__version__, version("torch"))
