"""Networks under schemes, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from qbench.conformance.cell import Cell
from qbench.conformance.check import check_cell
from qbench.conformance.subject import Subject

SCHEMES = ("fp32", "binaryconnect", "binarynet", "xnor-net", "int8-kl", "int8-qat", "int8-lsq", "ternary-binary")
"""The columns of the matrix."""


def make_matrix(
    subjects: Iterable[Subject],
    schemes: Sequence[str] = SCHEMES,
    allow_float: Sequence[str] | None = None,
    say: Callable[[Cell], None] | None = None,
) -> list[Cell]:
    """Return each network's cells, network by network.

    A network that is refused is tried again with what its subject allows to stay in float32: it then has two cells
    under that scheme, the refusal first.

    Args:
        subjects: the rows.
        schemes: the columns, by name.
        allow_float: None for the above; otherwise what every network is tried with, once.
        say: is told of each cell as it is done.
    """
    cells: list[Cell] = []
    for subject in subjects:
        for scheme in schemes:
            cells.append(check_cell(subject, scheme, allow_float or ()))
            if say is not None:
                say(cells[-1])
            if cells[-1].verdict == "refused" and allow_float is None and subject.allow_float:
                cells.append(check_cell(subject, scheme, subject.allow_float))
                if say is not None:
                    say(cells[-1])
    return cells
