"""Drawings as SVG: well-formed, accessible, and true to scale."""

import math
import xml.etree.ElementTree as ElementTree

import pytest

from qbench.report.svg import Figure, LogAxis

SVG = "{http://www.w3.org/2000/svg}"


def test_a_logarithmic_axis():
    axis = LogAxis(0.1, 1000, 100, 500)
    assert [axis.at(value) for value in (0.1, 1, 10, 1000)] == pytest.approx([100, 200, 300, 500])
    assert axis.at(math.sqrt(10)) == pytest.approx(250)
    assert axis.at(0) == axis.at(0.01) == 100
    assert axis.ticks() == pytest.approx([0.1, 1, 10, 100, 1000])
    assert axis.ticks((1, 5)) == pytest.approx([0.1, 0.5, 1, 5, 10, 50, 100, 500, 1000])
    # upright: larger values lie higher, at smaller pixels
    assert LogAxis(1, 100, 200, 100).at(10) == pytest.approx(150)
    for low, high in ((0, 1), (1, 1), (-1, 1)):
        with pytest.raises(ValueError, match="0 < low < high"):
            LogAxis(low, high, 0, 1)


@pytest.mark.parametrize(
    ("values", "factors", "ends"),
    [
        ([3, 40], (1,), (1, 100)),
        ([3, 40], (1, 2, 5), (2, 50)),
        ([1, 100], (1, 2, 5), (1, 100)),
        ([0.04, 7], (1, 2, 5), (0.02, 10)),
        ([5], (1, 2, 5), (5, 10)),
        ([1], (1,), (1, 10)),
        ([0, -1, math.nan, math.inf, 20], (1,), (10, 100)),
    ],
)
def test_an_axis_around_values(values, factors, ends):
    axis = LogAxis.around(values, 0, 1, factors)
    assert (axis.low, axis.high) == pytest.approx(ends)


def test_an_axis_needs_a_positive_value():
    with pytest.raises(ValueError, match="positive and finite"):
        LogAxis.around([0, math.nan, math.inf], 0, 1)


def test_a_figure_is_well_formed_and_named():
    figure = Figure(200, 100, "a < b & c", 'with "quotes"')
    figure.text(1, 2, "1 < 2", "end", weight="bold")
    figure.upward_text(3, 4, "up & down")
    figure.line(0, 0, 10, 20, dashes="4 3")
    figure.rectangle(1, 2, 3, 4, "none", "#000000")
    figure.curve([(0, 1), (2, math.nan), (3, math.inf), (4, 5)], "#ff0000")
    root = ElementTree.fromstring(figure.to_svg())
    assert (root.get("viewBox"), root.get("role")) == ("0 0 200 100", "img")
    names = {root.find(SVG + tag).get("id"): root.find(SVG + tag).text for tag in ("title", "desc")}
    assert root.get("aria-labelledby").split() == list(names)
    assert list(names.values()) == ["a < b & c", 'with "quotes"']
    words = [text.text for text in root.iter(SVG + "text")]
    assert words == ["1 < 2", "up & down"]
    assert root.find(SVG + "polyline").get("points") == "0.0,1.0 4.0,5.0"
    assert root.find(SVG + "line").get("stroke-dasharray") == "4 3"
