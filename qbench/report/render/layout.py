"""How a table of text is laid out in a width: which columns fit, and where headings and names break."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from qbench.report.render.cells import Cells

GAP = 2
"""Spaces between two columns of plain text."""
_LEAST_NAME = 12
_NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?")


@dataclass(frozen=True)
class Layout:
    """A table whose headings and first column may take several lines; figures are never broken.

    Attributes:
        headings: of each column, as lines.
        names: of each row, the text of its first column, as lines.
        rows: of each row, the text of the other columns.
        widths: of the columns.
    """

    headings: tuple[tuple[str, ...], ...]
    names: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]

    def width(self, gap: int = GAP) -> int:
        """Return the characters of its longest line, with `gap` characters between two columns."""
        return sum(self.widths) + gap * (len(self.widths) - 1)


def lay_out(table: Cells, width: int | None, gap: int = GAP) -> Layout:
    """Return the table in at most `width` characters if its columns allow it; else, and for None, in single lines.

    Where single lines are too wide, headings break into two lines, and names at spaces; a word of a name that is
    longer than its column is shortened in its middle while the names stay apart.
    """
    whole = _laid(table, [(text,) for text in table.headings], [(row[0],) for row in table.rows])
    if width is None or whole.width(gap) <= width:
        return whole
    headings = [_broken(text, others) for text, others in zip(table.headings, _columns(table), strict=True)]
    rest = _laid(table, headings, [("",)] * len(table.rows))
    room = width - sum(rest.widths[1:]) - gap * (len(rest.widths) - 1)
    if room < min(_LEAST_NAME, whole.widths[0]):
        return whole
    narrow = _laid(table, headings, broken_names([row[0] for row in table.rows], room))
    return narrow if narrow.width(gap) <= width else whole


def fitting(table: Cells, width: int, order: Sequence[int], gap: int = GAP) -> list[int]:
    """Return the columns, by index and in the table's order, that are shown in `width` characters.

    All of them, where single lines fit. Else the first, in at most a third of the width, and each of the others that
    still fits, beginning with the most important.

    Args:
        table: whole.
        width: in characters.
        order: indices of the other columns, the most important first.
        gap: characters between two columns.
    """
    whole = _laid(table, [(text,) for text in table.headings], [(row[0],) for row in table.rows])
    if whole.width(gap) <= width:
        return list(range(len(table.headings)))
    headings = [_broken(text, others) for text, others in zip(table.headings, _columns(table), strict=True)]
    widths = _laid(table, headings, [("",)] * len(table.rows)).widths
    used = min(max(whole.widths[0], widths[0]), max(width // 3, _LEAST_NAME))
    kept = [0]
    for index in order:
        if used + gap + widths[index] <= width or len(kept) == 1:
            kept.append(index)
            used += gap + widths[index]
    return sorted(kept)


def broken_names(names: Sequence[str], limit: int) -> list[tuple[str, ...]]:
    """Return each name as lines of at most `limit` characters, and more where names could not be told apart else.

    Lines break at spaces, and those after the first are indented by two. Of a longer word the middle is left out, of
    `key=value` rather the key's, and a number's never.

    >>> broken_names(["binarynet width=32 batch_size=64"], 20)
    [('binarynet width=32', '  batch_size=64')]
    """
    while True:
        found = [_lines(name, limit) for name in names]
        if len(set(found)) == len(set(names)) or limit >= max(map(len, names)):
            return found
        limit += 1


def _laid(table: Cells, headings: Sequence[tuple[str, ...]], names: Sequence[tuple[str, ...]]) -> Layout:
    rows = tuple(row[1:] for row in table.rows)
    first = max((len(line) for lines in (headings[0], *names) for line in lines), default=0)
    others = [
        max(max(map(len, heading)), *(len(row[index]) for row in rows), 0) for index, heading in enumerate(headings[1:])
    ]
    return Layout(tuple(headings), tuple(names), rows, (first, *others))


def _columns(table: Cells) -> list[int]:
    """Return the longest text below each heading."""
    return [max((len(row[index]) for row in table.rows), default=0) for index in range(len(table.headings))]


def _broken(heading: str, below: int) -> tuple[str, ...]:
    """Return a heading that is wider than its column in two lines, as even as its words allow."""
    words = heading.split(" ")
    if len(heading) <= below or len(words) < 2:
        return (heading,)
    halves = [(" ".join(words[:place]), " ".join(words[place:])) for place in range(1, len(words))]
    return min(halves, key=lambda lines: max(map(len, lines)))


def _lines(name: str, limit: int) -> tuple[str, ...]:
    if len(name) <= limit:
        return (name,)
    short = " ".join(_shortened(word, limit - 2) for word in name.split(" "))
    lines = textwrap.wrap(short, limit, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return tuple(lines) or (name,)


def _shortened(word: str, limit: int) -> str:
    if len(word) <= limit:
        return word
    key, mark, value = word.rpartition("=")
    room = limit - len(mark) - len(value)
    if mark and room >= 4:
        return f"{_cut(key, room)}={value}"
    if _NUMBER.fullmatch(value):
        return f"{_cut(key, 4)}={value}" if mark else value
    return _cut(word, limit)


def _cut(text: str, limit: int) -> str:
    """Return a text without its middle."""
    if len(text) <= limit:
        return text
    end = (limit - 1) // 2
    return f"{text[: limit - 1 - end]}…{text[len(text) - end :]}"
