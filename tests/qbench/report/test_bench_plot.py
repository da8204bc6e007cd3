"""The benchmark's plot: lengths on the axis are the ratios, and every figure is there as text."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from typer.testing import CliRunner

from qbench.bench.cases import CaseResult
from qbench.bench.timing import Timing
from qbench.cli.app import app
from qbench.errors import ConfigError
from qbench.report.bench_plot import bench_svg, plot_file

SVG = "{http://www.w3.org/2000/svg}"


def timing(name, seconds, ratio, quartiles):
    return Timing("a case", name, seconds, (seconds, seconds), 1.0, ratio, quartiles, None, 8)


RESULTS = [
    CaseResult(
        "a case",
        (
            timing("torch fp32", 1.0, 1.0, (1.0, 1.0)),
            timing("torch bf16", 2.0, 0.5, (0.4, 0.6)),
            timing("xnor", 0.01, 100.0, (80.0, 125.0)),
        ),
    ),
    CaseResult("on a GPU", not_run="there is none"),
]


def test_bars_reach_from_one_to_the_ratio():
    root = ElementTree.fromstring(bench_svg(RESULTS, "one thread"))
    assert root.find(SVG + "title").text == "one thread"
    assert "Bars of 2 contestants, from 0.5 to 100 times" in root.find(SVG + "desc").text
    assert "xnor in a case" in root.find(SVG + "desc").text
    words = [text.text for text in root.iter(SVG + "text")]
    assert {"torch bf16", "xnor", "0.5×  2000 ms", "100×  10 ms", "a case   (torch fp32: 1000 ms)"} <= set(words)
    assert any("times as fast as torch fp32" in line for line in words)
    assert not any("GPU" in line for line in words)

    slow, fast = (bar for bar in root.iter(SVG + "rect") if bar.get("x"))
    slow_width, fast_width = float(slow.get("width")), float(fast.get("width"))
    assert fast_width / slow_width == pytest.approx(math.log(100) / math.log(2), rel=0.01)
    one = float(fast.get("x"))  # what is slower ends where what is faster begins
    assert float(slow.get("x")) + slow_width == pytest.approx(one, abs=0.2)
    assert slow.get("fill") != fast.get("fill")
    per_decade = fast_width / 2
    whisker = [
        line
        for line in root.iter(SVG + "line")
        if line.get("y1") == line.get("y2") and float(line.get("x1")) > one  # the fast one's
    ]
    (whisker,) = whisker
    ends = [one + per_decade * math.log10(ratio) for ratio in (80, 125)]
    assert [float(whisker.get("x1")), float(whisker.get("x2"))] == pytest.approx(ends, abs=0.5)
    # the tick of 1× stands where the bars begin
    ticks = {text.text: float(text.get("x")) for text in root.iter(SVG + "text") if text.text.endswith("×")}
    assert ticks["1×"] == pytest.approx(one, abs=0.2)
    assert ticks["100×"] == pytest.approx(one + fast_width, abs=0.2)


def test_nothing_to_draw():
    with pytest.raises(ConfigError, match="nothing to draw"):
        bench_svg(RESULTS[1:], "one thread")


def test_where_a_plot_can_be_written(tmp_path):
    assert plot_file(tmp_path / "a.svg") == tmp_path / "a.svg"
    with pytest.raises(ConfigError, match=r"--plot: expected a file ending in \.svg"):
        plot_file(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="--plot: no such folder"):
        plot_file(tmp_path / "none" / "a.svg")


def test_the_command_writes_the_plot(tmp_path, monkeypatch):
    monkeypatch.setattr("qbench.bench.timing.MIN_SECONDS", 1e-4)
    monkeypatch.setattr("qbench.bench.conditions.peak_gops", lambda *_, **__: 1000.0)
    target = tmp_path / "rows.svg"
    command = ["bench", "kernels", "mlp-last-1", "--rounds", "2"]
    shown = CliRunner().invoke(app, [*command, "--plot", str(target)])
    assert shown.exit_code == 0, shown.output
    root = ElementTree.fromstring(target.read_text(encoding="utf-8"))
    assert shown.stdout.startswith(root.find(SVG + "title").text)
    words = {text.text for text in root.iter(SVG + "text")}
    assert {"xnor prepacked", "torch bf16"} <= words
    refused = CliRunner().invoke(app, [*command, "--plot", str(tmp_path / "rows.png")])
    assert (refused.exit_code, refused.stdout) == (2, "")
