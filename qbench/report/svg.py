"""Plots as SVG, written directly: shapes and words at pixels, and a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

INK, GRID = "#222222", "#dddddd"
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis from `low` to `high`, which lie at the pixels `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"low, high: expected 0 < low < high, got {self.low}, {self.high}")

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, factors: Sequence[int] = (1,)) -> LogAxis:
        """From the tick below the positive, finite ones of `values` to the tick above; `factors` as `ticks` has them.

        Raises:
            ValueError: none of the values is positive and finite.
        """
        found = [value for value in values if 0 < value < math.inf]
        if not found:
            raise ValueError("values: expected one that is positive and finite")
        decade = 10.0 ** math.floor(math.log10(min(found)))
        low = max(factor * decade for factor in factors if factor * decade <= min(found))
        highest = 10.0 ** math.floor(math.log10(max(found)))
        marks = [*(factor * highest for factor in factors), 10 * highest]
        high = min(mark for mark in marks if mark >= max(found) and mark > low)
        return cls(low, high, start, end)

    def at(self, value: float) -> float:
        """The pixel of `value`; what is below the axis lies at its start."""
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.start + (self.end - self.start) * share

    def ticks(self, factors: Sequence[int] = (1,)) -> list[float]:
        """The powers of ten on the axis, times each of `factors`."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        marks = (factor * 10.0**power for power in range(first, last + 1) for factor in factors)
        return [mark for mark in marks if self.low * (1 - 1e-9) <= mark <= self.high * (1 + 1e-9)]


@dataclass
class Figure:
    """A drawing of `width` × `height` pixels; `title` and `description` are what a screen reader reads."""

    width: float
    height: float
    title: str
    description: str
    _parts: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, words: str, anchor: Anchor = "start", colour: str = INK, weight: str = "normal"
    ) -> None:
        style = f'text-anchor="{anchor}" fill="{colour}"' + ("" if weight == "normal" else f' font-weight="{weight}"')
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>')

    def upward_text(self, x: float, y: float, words: str) -> None:
        """Centred on (x, y), read from below."""
        self._parts.append(
            f'<text transform="translate({x:.0f} {y:.0f}) rotate(-90)" text-anchor="middle" fill="{INK}">'
            f"{escape(words)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = INK, dashes: str = "") -> None:
        style = f'stroke="{colour}"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>')

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, stroke: str = "none") -> None:
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" stroke="{stroke}"/>'
        )

    def curve(self, points: Iterable[tuple[float, float]], colour: str) -> None:
        """A line through the finite ones of `points`."""
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points if math.isfinite(x + y))
        self._parts.append(f'<polyline points="{listed}" fill="none" stroke="{colour}" stroke-width="1.2"/>')

    def to_svg(self) -> str:
        """The drawing as a file's text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            'aria-labelledby="title description" font-family="sans-serif" font-size="12">'
        )
        names = [
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="description">{escape(self.description)}</desc>',
            '<rect width="100%" height="100%" fill="white"/>',
        ]
        return "\n".join([head, *names, *self._parts, "</svg>", ""])
