"""The benchmark's plot: lengths on the axis are the ratios, and every figure is there as text."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from typer.testing import CliRunner

from qbench.bench.cases import CaseResult
from qbench.bench.timing import Timing
from qbench.cli.app import app
from qbench.errors import ConfigError
from qbench.report.commands.bench_plot import bench_chart, bench_svg, plot_file
from qbench.report.commands.chart import BLUE, GREY

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


def test_the_picture_says_every_figure():
    root = ElementTree.fromstring(bench_svg(RESULTS, "one thread"))
    assert root.find(SVG + "title").text == "one thread"
    assert "Bars of 2 contestants, from 0.5 to 100 times" in root.find(SVG + "desc").text
    assert "xnor in a case" in root.find(SVG + "desc").text
    words = ["".join(text.itertext()) for text in root.iter(SVG + "text")]
    assert {"torch bf16", "xnor", "0.5×  2000 ms", "100×  10 ms", "a case   (torch fp32: 1000 ms)"} <= set(words)
    assert any("times as fast as torch fp32" in line for line in words)
    assert not any("GPU" in line for line in words)


def marks(chart, kind):
    return [layer for layer in chart["spec"]["layer"] if layer["mark"]["type"] == kind]


def test_each_contestant_has_a_bar_to_its_median_and_a_whisker_over_its_quartiles():
    chart = bench_chart(RESULTS, "one thread").to_dict()
    slow, fast = chart["data"]["values"]  # the baseline has no bar: it is the line of 1×
    assert [(bar["name"], bar["ratio"], bar["low"], bar["high"]) for bar in (slow, fast)] == [
        ("torch bf16", 0.5, 0.4, 0.6),
        ("xnor", 100.0, 80.0, 125.0),
    ]
    (bars,) = marks(chart, "bar")
    assert (bars["encoding"]["x"]["field"], bars["encoding"]["x2"]) == ("ratio", {"datum": 1})
    assert bars["encoding"]["x"]["scale"] == {"type": "log", "domain": [0.2, 200.0], "nice": False}
    assert bars["encoding"]["x"]["axis"]["values"] == [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]
    colours = bars["encoding"]["color"]
    drawn = dict(zip(colours["scale"]["domain"], colours["scale"]["range"], strict=True))
    assert (drawn[slow["by"]], drawn[fast["by"]]) == (GREY, BLUE)
    one, whisker = marks(chart, "rule")
    assert one["encoding"]["x"] == {"datum": 1}
    assert (whisker["encoding"]["x"]["field"], whisker["encoding"]["x2"]["field"]) == ("low", "high")
    assert {end["encoding"]["x"]["field"] for end in marks(chart, "tick")} == {"low", "high"}


def test_the_drawing_is_true_to_scale():
    root = ElementTree.fromstring(bench_svg(RESULTS, "one thread"))
    paths = (path for path in root.iter(SVG + "path") if path.get("fill") in (BLUE, GREY))
    bars = {path.get("fill"): [float(number) for number in re.findall(r"[\d.]+", path.get("d"))] for path in paths}
    (slow, _, slow_width, *_), (fast, _, fast_width, *_) = bars[GREY], bars[BLUE]  # M x,y h width ...
    assert fast_width / slow_width == pytest.approx(math.log(100) / math.log(2), rel=0.01)
    assert slow + slow_width == pytest.approx(fast, abs=0.2)  # what is slower ends where what is faster begins


@pytest.mark.parametrize(
    ("ratio", "ends"),
    [(40.0, (1, 50)), (2.0, (1, 2)), (7.0, (1, 10)), (0.04, (0.02, 1)), (0.99, (0.5, 1)), (1.0, (1, 2))],
)
def test_the_axis_reaches_from_mark_to_mark_around_one(ratio, ends):
    rows = (timing("torch fp32", 1.0, 1.0, (1.0, 1.0)), timing("xnor", 1.0, ratio, (ratio, ratio)))
    (bars,) = marks(bench_chart([CaseResult("a case", rows)], "").to_dict(), "bar")
    assert tuple(bars["encoding"]["x"]["scale"]["domain"]) == ends


def test_cases_stand_in_the_order_of_the_run_each_with_its_own_contestants():
    other = [timing("torch fp32", 2.0, 1.0, (1.0, 1.0)), timing("int8", 1.0, 2.0, (2.0, 2.0))]
    chart = bench_chart([*RESULTS, CaseResult("Earlier by name", tuple(other))], "one thread").to_dict()
    headings = ["a case   (torch fp32: 1000 ms)", "Earlier by name   (torch fp32: 2000 ms)"]
    assert chart["facet"]["sort"] == headings
    assert [(bar["case"], bar["name"]) for bar in chart["data"]["values"]] == [
        (headings[0], "torch bf16"),
        (headings[0], "xnor"),
        (headings[1], "int8"),
    ]
    assert chart["resolve"]["scale"]["y"] == "independent"


def test_the_same_run_gives_the_same_file():
    assert bench_svg(RESULTS, "one thread") == bench_svg(RESULTS, "one thread")


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
