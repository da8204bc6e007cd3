"""The matrix as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.conformance.cell import Cell

LEGEND = """\
right: every call of a layer, and the result, are those of an independent computation in float64. Below: the largest
difference, over the largest value of its tensor; the examples of which packed execution predicts the same class; the
share of the multiply-accumulates with a quantized operand. [n]: refused, by message n. +: with allow_float."""


def matrix_text(cells: Sequence[Cell]) -> str:
    """Return a table with a row for each network and a column for each scheme, and the messages below it."""
    schemes = list(dict.fromkeys(cell.scheme for cell in cells))
    rows = list(dict.fromkeys((cell.network, cell.allow_float) for cell in cells))
    # A network's second try stands below its first.
    rows.sort(key=lambda row: list(dict.fromkeys(cell.network for cell in cells)).index(row[0]))
    notes: dict[str, int] = {}
    table = [["", *schemes]]
    for network, allowed in rows:
        found = {cell.scheme: cell for cell in cells if (cell.network, cell.allow_float) == (network, allowed)}
        shown = [_cell(found[scheme], notes) if scheme in found else ("", "") for scheme in schemes]
        first = allowed and any(cell.network == network and not cell.allow_float for cell in cells)
        table.append(["  + " + ", ".join(allowed) if first else network, *(upper for upper, _ in shown)])
        table.append(["", *(lower for _, lower in shown)])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in table]
    lines = [line for line in lines if line]
    lines += ["", LEGEND] + ([""] if notes else [])
    lines += [f"[{number}] {message}" for message, number in notes.items()]
    return "\n".join([*lines, "", _summary(cells)])


def _cell(cell: Cell, notes: dict[str, int]) -> tuple[str, str]:
    """Return the two lines of a cell, and number its message among `notes`."""
    if cell.verdict != "right":
        number = notes.setdefault(cell.message, len(notes) + 1)
        return ("refused" if cell.verdict == "refused" else "WRONG") + f" [{number}]", ""
    packed = "-" if cell.agreement is None else _percent(cell.agreement)
    share = "-" if cell.quantized_share is None else _percent(cell.quantized_share)
    return f"right {cell.error:.0e}", f"{packed} / {share}"


def _percent(share: float) -> str:
    """Return a share in whole per cent, 100 only where it is all."""
    return "100%" if share == 1 else f"{min(share, 0.99):.0%}"


def _summary(cells: Sequence[Cell]) -> str:
    count = {verdict: sum(cell.verdict == verdict for cell in cells) for verdict in ("right", "refused", "wrong")}
    return f"{count['right']} right, {count['refused']} refused by name, {count['wrong']} wrong"
