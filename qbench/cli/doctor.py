"""`qbench doctor`."""

from __future__ import annotations

from qbench.cli.options import Json
from qbench.cli.output import print_json


def doctor(as_json: Json = False) -> None:
    """Print what this machine runs and what a bug report needs: versions, kernels and why, CUDA, wandb, data, cache.

    \b
    Example:
      qbench doctor
      qbench doctor --json
    """
    from qbench.report.commands.doctor import doctor_lines
    from qbench.report.commands.machine_facts import examine

    found = examine()
    if as_json:
        print_json(found)
    else:
        print("\n".join(doctor_lines(found)))
