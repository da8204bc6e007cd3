"""Charts as SVG: Vega-Lite specifications, drawn without a browser."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from qbench.report.charts.titled_svg import titled_svg

if TYPE_CHECKING:
    import altair as alt

INK, GREY, BLUE = "#222222", "#9a9a9a", "#2b6cb0"


def chart_svg(chart: alt.TopLevelMixin, title: str, description: str) -> str:
    """Return a chart as the text of an SVG file; the same chart gives the same text.

    vl-convert draws it within this process: nothing is requested from any host, as long as the chart holds its data.

    Args:
        chart: what is drawn.
        title, description: what a screen reader reads.
    """
    drawn = StringIO()
    chart.save(drawn, format="svg", engine="vl-convert")
    return titled_svg(drawn.getvalue(), title, description)
