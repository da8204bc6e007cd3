"""A benchmark run as a picture: how many times as fast as torch fp32 each contestant is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qbench.bench.cases import CaseResult
from qbench.bench.timing import BASELINE, Timing
from qbench.errors import ConfigError
from qbench.report.svg import GRID, INK, Figure, LogAxis

WIDTH, NAMES, FIGURES, ROW, HEAD, FOOT = 900, 190, 190, 18, 66, 58
TICKS = (1, 2, 5)
OWN, TORCH = "#2b6cb0", "#9a9a9a"


def plot_file(path: Path) -> Path:
    """`path`, if a plot can be written there: asked before minutes of timing.

    Raises:
        ConfigError: another suffix than .svg, or no such folder.
    """
    if path.suffix.lower() != ".svg":
        raise ConfigError(f"expected a file ending in .svg, got {str(path)!r}", "--plot")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"no such folder: {str(path.parent)!r}", "--plot")
    return path


def bench_svg(results: Sequence[CaseResult], head: str) -> str:
    """The ratios of `results` as SVG: a bar from 1× to each median, a whisker over its quartiles; `head` is the title.

    The axis is logarithmic, so that twice as fast and half as fast are equally far from torch fp32. Cases that were
    not run are left out.

    Raises:
        ConfigError: no case was run.
    """
    shown = [result for result in results if result.rows]
    if not shown:
        raise ConfigError("nothing to draw: no case was run", "--plot")
    rows = [row for result in shown for row in result.rows]
    lines = sum(len(result.rows) + 1 for result in shown)  # a case's own line in the place of its baseline, and a gap
    height = HEAD + ROW * lines + FOOT
    best = max(rows, key=lambda row: row.ratio)
    figure = Figure(
        WIDTH,
        height,
        head,
        f"Bars of {len(rows) - len(shown)} contestants, from {min(row.ratio for row in rows):.2g} to {best.ratio:.3g} "
        f"times as fast as {BASELINE}; the fastest is {best.name} in {best.case}.",
    )
    bounds = [1.0, *(bound for row in rows for bound in row.ratio_quartiles)]
    axis = LogAxis.around(bounds, NAMES, WIDTH - FIGURES, TICKS)
    figure.text(WIDTH / 2, 20, head, "middle", weight="bold")
    label = f"times as fast as {BASELINE} (logarithmic): bar to the median of the rounds, whisker over the quartiles"
    figure.text(WIDTH / 2, 38, label, "middle")
    figure.text(
        8, height - 8, "Blue: this package's kernels and packed networks. Grey: torch's. Times: medians of a call."
    )
    for tick in axis.ticks(TICKS if axis.high / axis.low <= 2000 else (1,)):
        x = axis.at(tick)
        figure.line(x, HEAD - 4, x, height - FOOT + 6, INK if tick == 1 else GRID)
        for below in (HEAD - 9, height - FOOT + 20):
            figure.text(x, below, f"{tick:g}×", "middle")
    y = float(HEAD)
    for result in shown:
        y += ROW
        (base,) = (row for row in result.rows if row.name == BASELINE)
        figure.text(8, y, f"{result.case}   ({BASELINE}: {_milliseconds(base)})", weight="bold")
        for row in result.rows:
            if row.name != BASELINE:
                y += ROW
                _bar(figure, axis, row, y)
        y += ROW
    return figure.to_svg()


def _bar(figure: Figure, axis: LogAxis, row: Timing, baseline: float) -> None:
    one, median, (low, high) = axis.at(1.0), axis.at(row.ratio), map(axis.at, row.ratio_quartiles)
    middle = baseline - 4
    figure.text(NAMES - 8, baseline, row.name, "end")
    figure.rectangle(min(one, median), middle - 5, abs(median - one), 10, TORCH if _is_torch(row) else OWN)
    figure.line(low, middle, high, middle)
    for end in (low, high):
        figure.line(end, middle - 3, end, middle + 3)
    figure.text(WIDTH - FIGURES + 12, baseline, f"{row.ratio:.3g}×  {_milliseconds(row)}")


def _is_torch(row: Timing) -> bool:
    return row.name.startswith("torch ") or row.name == "fake-quantized"


def _milliseconds(row: Timing) -> str:
    return f"{1e3 * row.seconds:.4g} ms"
