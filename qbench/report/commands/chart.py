"""Charts as SVG: Vega-Lite specifications, drawn without a browser."""

from __future__ import annotations

from html import escape
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

INK, GREY, BLUE = "#222222", "#9a9a9a", "#2b6cb0"


def chart_svg(chart: alt.TopLevelMixin, title: str, description: str) -> str:
    """Return a chart as the text of an SVG file; the same chart gives the same text.

    vl-convert draws it within this process: nothing is requested from any host, as long as the chart holds its data.

    Args:
        chart: what is drawn.
        title, description: what a screen reader reads; vl-convert itself writes neither.
    """
    drawn = StringIO()
    chart.save(drawn, format="svg", engine="vl-convert")
    head, _, body = drawn.getvalue().partition(">")
    return (
        f'{head} role="img" aria-labelledby="title description">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="description">{escape(description)}</desc>\n{body}\n'
    )
