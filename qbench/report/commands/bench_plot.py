"""A benchmark run as a chart: how many times as fast as torch fp32 each contestant is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.bench.cases import CaseResult
from qbench.bench.timing import BASELINE, Timing
from qbench.errors import ConfigError
from qbench.report.commands.chart import BLUE, GREY, INK, chart_svg

if TYPE_CHECKING:
    import altair as alt  # takes half a second: imported where a chart is drawn

# Pixels: the axis, a contestant's line, its bar, and a case's heading, which stands in the gap above the case.
_WIDTH, _STEP, _BAR, _GAP = 520, 18, 10, 20
_EXPLANATION = (
    f"times as fast as {BASELINE} (logarithmic): bar to the median of the rounds, whisker over the quartiles",
    "Blue: this package's kernels and packed networks. Grey: torch's. Times: medians of a call.",
)


def plot_file(path: Path) -> Path:
    """Return `path`, if a plot can be written there; asked before minutes of timing.

    Raises:
        ConfigError: another suffix than .svg, or no such folder.
    """
    if path.suffix.lower() != ".svg":
        raise ConfigError(f"expected a file ending in .svg, got {str(path)!r}", "--plot")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"no such folder: {str(path.parent)!r}", "--plot")
    return path


def bench_svg(results: Sequence[CaseResult], head: str) -> str:
    """Return `bench_chart` as the text of an SVG file; `head` is its title.

    Raises:
        ConfigError: no case was run.
    """
    chart = bench_chart(results, head)
    rows = [row for result in results for row in result.rows]
    best = max(rows, key=lambda row: row.ratio)
    bars = sum(row.name != BASELINE for row in rows)
    description = (
        f"Bars of {bars} contestants, from {min(row.ratio for row in rows):.2g} to {best.ratio:.3g} times as fast as "
        f"{BASELINE}; the fastest is {best.name} in {best.case}."
    )
    return chart_svg(chart, head, description)


def bench_chart(results: Sequence[CaseResult], head: str) -> alt.FacetChart:
    """Return the ratios to torch fp32: for each contestant a bar from 1× to the median, a whisker over the quartiles.

    The axis is logarithmic, so that twice as fast and half as fast are equally far from torch fp32, whose own time
    stands in the heading of each case. Cases that were not run are left out.

    Raises:
        ConfigError: no case was run.
    """
    import altair as alt

    shown = [result for result in results if result.rows]
    if not shown:
        raise ConfigError("nothing to draw: no case was run", "--plot")
    header = alt.Header(
        title=None, labelAngle=0, labelAnchor="start", labelOrient="top", labelFontWeight="bold", labelFontSize=12,
        labelPadding=-_GAP, labelColor=INK,
    )  # fmt: skip
    # In the order of the run: by default facets are sorted by name.
    cases = alt.Facet("case:N", header=header, sort=[_heading(result) for result in shown])
    ticks = _ticks([1.0, *(bound for result in shown for row in result.rows for bound in row.ratio_quartiles)])
    values = [bar for result in shown for bar in _bars(result)]
    return (
        _contestants(ticks)
        .facet(facet=cases, data=alt.Data(values=values), columns=1, spacing=_GAP)
        .resolve_scale(y="independent")
        .properties(title=alt.TitleParams(head, subtitle=list(_EXPLANATION), fontSize=13, color=INK))
        .configure(aria=False)  # `chart_svg` says it once for the whole picture
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, labelColor=INK, labelLimit=0)
    )


def _contestants(ticks: list[float]) -> alt.LayerChart:
    """Return the layers of one case: the line of 1×, bars, whiskers, and the numbers at the right."""
    import altair as alt

    axis = alt.Axis(
        values=ticks,
        orient="top",
        labelExpr="datum.label + '×'",
        format="~g",
        title=None,
        grid=True,
        offset=_GAP,
        labelFlush=False,
    )
    # The domain is given, not made round: round on a logarithmic axis is the next power of ten.
    across = alt.X("ratio:Q", axis=axis, scale=alt.Scale(type="log", domain=[ticks[0], ticks[-1]], nice=False))
    colour = alt.Color("by:N", legend=None, scale=alt.Scale(domain=["qbench", "torch"], range=[BLUE, GREY]))
    lines = alt.Chart().encode(y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False)))
    one = alt.Chart().mark_rule(color=INK).encode(x=alt.datum(1))
    bars = lines.mark_bar(height=_BAR).encode(x=across, x2=alt.datum(1), color=colour)
    whiskers = lines.mark_rule(color=INK).encode(x="low:Q", x2="high:Q")
    ends = [lines.mark_tick(color=INK, thickness=1, size=6).encode(x=end) for end in ("low:Q", "high:Q")]
    numbers = lines.mark_text(align="left", color=INK, fontSize=12).encode(text="text:N", x=alt.value(_WIDTH + 12))
    return alt.LayerChart(layer=[one, bars, whiskers, *ends, numbers]).properties(width=_WIDTH, height=alt.Step(_STEP))


def _heading(result: CaseResult) -> str:
    (baseline,) = (row for row in result.rows if row.name == BASELINE)
    return f"{result.case}   ({BASELINE}: {_milliseconds(baseline)})"


def _bars(result: CaseResult) -> list[dict[str, Any]]:
    return [
        {
            "case": _heading(result),
            "name": row.name,
            "by": "torch" if row.name.startswith("torch ") or row.name == "fake-quantized" else "qbench",
            "ratio": row.ratio,
            "low": row.ratio_quartiles[0],
            "high": row.ratio_quartiles[1],
            "text": f"{row.ratio:.3g}×  {_milliseconds(row)}",
        }
        for row in result.rows
        if row.name != BASELINE
    ]


def _ticks(values: Iterable[float]) -> list[float]:
    """Return the marks 1, 2, 5 of every decade, from the last one below the positive `values` to the first above."""
    found = [math.log10(value) for value in values if 0 < value < math.inf]
    decades = range(math.floor(min(found)), math.ceil(max(found)) + 1)
    marks = [float(f"{factor}e{decade}") for decade in decades for factor in (1, 2, 5)]
    low = max(mark for mark in marks if math.log10(mark) <= min(found))
    high = min(mark for mark in marks if math.log10(mark) >= max(found) and mark > low)
    return [mark for mark in marks if low <= mark <= high]


def _milliseconds(row: Timing) -> str:
    return f"{1e3 * row.seconds:.4g} ms"
