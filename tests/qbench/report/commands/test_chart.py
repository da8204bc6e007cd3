"""Charts as SVG: well-formed, named for a screen reader, and drawn without a request."""

import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import altair as alt

from qbench.report.commands.chart import chart_svg

SVG = "{http://www.w3.org/2000/svg}"


def chart(words="1 < 2"):
    return alt.Chart(alt.Data(values=[{"words": words}])).mark_text().encode(text="words:N")


def test_a_chart_is_well_formed_and_named():
    root = ElementTree.fromstring(chart_svg(chart(), "a < b & c", 'with "quotes"'))
    assert root.get("role") == "img"
    names = {root.find(SVG + tag).get("id"): root.find(SVG + tag).text for tag in ("title", "desc")}
    assert root.get("aria-labelledby").split() == list(names)
    assert list(names.values()) == ["a < b & c", 'with "quotes"']
    assert [text.text for text in root.iter(SVG + "text")] == ["1 < 2"]


def test_nothing_is_requested(monkeypatch):
    def refused(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    drawn = chart_svg(chart(), "title", "description")
    assert "href=" not in drawn.replace("xmlns:xlink=", "")
    assert {line for line in drawn.split('"') if line.startswith("http")} <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_altair_is_loaded_where_a_chart_is_drawn_and_not_before():
    code = "import sys, qbench.report.commands.bench_plot; print('altair' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
