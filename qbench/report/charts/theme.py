"""The look of a report's charts on a light and on a dark page: the only place that names their colours.

A chart says what a mark is (`style="front"`, a field for colour and shape), and the Vega configuration of the theme
says what that looks like. So the same specification is drawn on both pages, and on paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
"""Symbols in the order in which a scale gives them out, beside the colours: colour is never the only sign."""
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (12, 4), (4, 2, 1, 2, 1, 2), (3, 4), (10, 2, 2, 2, 2, 2))
"""Line patterns in the same order, for the `range` of a `strokeDash` scale."""
STYLES = ("reference", "front", "band", "label", "note", "positive", "negative")
"""What `style=` of a mark may say: a line to compare with, the line of a Pareto front, an area of uncertainty, a text
at a mark, a quiet text, and the two poles of black-and-white pictures."""


@dataclass(frozen=True)
class Theme:
    """The colours of one kind of page.

    Attributes:
        background: what the chart lies on; charts themselves are transparent.
        ink, muted: of text and of marks without a colour of their own; of axes' numbers.
        grid, axis: of grid lines, and of axes and ticks.
        categories: colours after Okabe and Ito, Color Universal Design, 2008, in an order in which neighbours differ in
            lightness too. Each has a contrast of at least 3 to the background, for which some are darker or lighter
            than theirs.
        ramp: from none to much.
        diverging: from below to above a middle.
    """

    background: str
    ink: str
    muted: str
    grid: str
    axis: str
    categories: tuple[str, ...]
    ramp: tuple[str, ...]
    diverging: tuple[str, ...]


LIGHT = Theme(
    background="#ffffff",
    ink="#1c2024",
    muted="#5a6068",
    grid="#e6e7e4",
    axis="#8c9196",
    categories=("#0072b2", "#d55e00", "#008f68", "#b5548c", "#a87400", "#2b8fc7", "#5b4fa2", "#4a4f55"),
    ramp=("#f1f5f9", "#c4d9ea", "#86b5d6", "#3f88ba", "#0072b2", "#003f66"),
    diverging=("#a64700", "#e8a26f", "#f2f2f0", "#7fb4d6", "#005b90"),
)
DARK = Theme(
    background="#15181b",
    ink="#e4e6e8",
    muted="#a2a8ae",
    grid="#2b3035",
    axis="#686f76",
    categories=("#56b4e9", "#f08a3c", "#2fbf93", "#e39ac4", "#e6b340", "#4f8fd6", "#a99be6", "#c3c7cb"),
    ramp=("#1b242c", "#1f4460", "#2c6f9c", "#56a5d8", "#93cdf1", "#dff1fd"),
    diverging=("#f2a56b", "#8f5327", "#2a2e32", "#2c6f9c", "#7cc4f2"),
)


def vega_config(theme: Theme) -> dict[str, Any]:
    """Return the Vega-Lite configuration of a theme; the same sizes in both, so that a chart keeps its layout."""
    return {
        "background": None,
        "font": FONT,
        "padding": 4,
        "view": {"stroke": None},
        "axis": {
            "labelColor": theme.muted, "titleColor": theme.ink, "gridColor": theme.grid, "domainColor": theme.axis,
            "tickColor": theme.axis, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal",
            "titlePadding": 8, "labelLimit": 260, "tickSize": 4, "labelPadding": 4,
        },
        "axisY": {"domain": False, "ticks": False},
        "axisBand": {"grid": False, "labelColor": theme.ink},
        "legend": {
            "orient": "top", "direction": "horizontal", "labelColor": theme.ink, "titleColor": theme.muted,
            "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "labelLimit": 260, "columns": 4,
            "symbolSize": 70, "rowPadding": 3, "columnPadding": 14, "symbolStrokeWidth": 1.5, "titlePadding": 5,
            "symbolOpacity": 1,
        },
        "header": {
            "labelColor": theme.ink, "titleColor": theme.muted, "labelFontSize": 12, "titleFontSize": 11,
            "labelFontWeight": 600, "titleFontWeight": "normal", "labelLimit": 360,
        },
        "title": {"color": theme.ink, "subtitleColor": theme.muted, "anchor": "start", "fontSize": 14,
                  "subtitleFontSize": 11, "fontWeight": 600, "offset": 12},
        "mark": {"color": theme.categories[0], "tooltip": True},
        "point": {"filled": True, "size": 70, "opacity": 1},
        "line": {"strokeWidth": 1.75},
        "rule": {"color": theme.muted},
        "text": {"color": theme.ink, "fontSize": 11},
        "tick": {"color": theme.muted, "thickness": 1},
        "bar": {"color": theme.categories[0]},
        "rect": {"color": theme.categories[0]},
        "area": {"color": theme.categories[0]},
        "style": {
            "reference": {"color": theme.muted, "strokeWidth": 1, "strokeDash": [4, 3]},
            "front": {"color": theme.muted, "strokeWidth": 1.25},
            "band": {"fillOpacity": 0.18, "strokeOpacity": 0},
            "label": {"color": theme.ink, "fontSize": 11},
            "note": {"color": theme.muted, "fontSize": 11},
            "positive": {"color": theme.ink},
            "negative": {"color": theme.grid},
        },
        "range": {
            "category": list(theme.categories), "symbol": list(SHAPES), "ramp": list(theme.ramp),
            "heatmap": list(theme.ramp), "ordinal": list(theme.ramp), "diverging": list(theme.diverging),
        },
    }  # fmt: skip
