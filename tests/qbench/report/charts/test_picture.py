"""Charts as pictures: every view's chart is a valid specification, and draws the view's rows."""

import json
import struct
import xml.etree.ElementTree as ElementTree

import pytest
from planted import study

from qbench.errors import UserError
from qbench.report.charts.catalogue import CHARTS
from qbench.report.charts.picture import png, specification, svg
from qbench.report.model.report_model import make_report
from qbench.report.view import Column, View
from qbench.report.views.catalogue import SECTIONS, make_views, view_name

SVG = "{http://www.w3.org/2000/svg}"
SCHEMES = {"fp32": (0.99, 888_848, 27.0), "binarynet": (0.9, 29_756, 0.445), "int8-kl": (0.98, 225_176, 3.9)}
MINE = (
    "tradeoff-bytes", "tradeoff-energy", "tradeoff-latency", "differences", "memory", "energy-by-layer",
    "energy-by-cause",
)  # fmt: skip


@pytest.fixture(scope="module")
def views():
    return make_views(make_report([study(SCHEMES, images=200)]))


def test_views_have_their_functions_names(views):
    assert [view_name(make) for _, makers in SECTIONS for make in makers] == list(views)
    assert set(CHARTS) <= set(views)


@pytest.mark.parametrize("name", MINE)
def test_a_specification_is_valid_and_holds_its_data(views, name):
    CHARTS[name](views[name]).to_dict()  # against Vega-Lite's schema
    text = json.dumps(specification(views[name]))
    assert "http" not in text
    assert "#" not in text  # colours are the theme's
    for scheme in SCHEMES:
        assert scheme in text or (name == "differences" and scheme == "fp32")


def test_marks_of_equal_cost_stand_side_by_side():
    schemes = {"fp32": (0.99, 888_848, 27.0), "a": (0.9, 1000, 1.0), "b": (0.9, 1000, 2.0), "c": (0.9, 1005, 3.0)}
    found = specification(make_views(make_report([study(schemes)]))["tradeoff-bytes"])
    points = [layer for layer in found["layer"] if layer["mark"]["type"] == "point"]
    moved = {row["group"]: layer["mark"]["xOffset"] for layer in points for row in layer["data"]["values"]}
    assert moved == {"fp32": 0, "a": -12, "b": 0, "c": 12}
    costs = {row["group"]: row["cost/weight_bytes"] for layer in points for row in layer["data"]["values"]}
    assert costs == {"fp32": 888_848, "a": 1000, "b": 1000, "c": 1005}  # the data are not


def test_a_picture_is_named_light_and_the_same_each_time(views):
    text = svg(views["memory"])
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == views["memory"].title
    assert root.find(f"{SVG}desc").text == views["memory"].caption
    assert '<rect width="' in text
    assert "#ffffff" in text
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert {"888,848", "29,756", "225,176", *SCHEMES} <= set(words)
    assert svg(views["memory"]) == text


def test_a_png_is_as_wide_as_the_page_at_200_dots_an_inch(views):
    drawn = png(views["differences"])
    assert drawn[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", drawn[16:24])
    assert width >= 640 * 200 / 72 * 0.95
    assert height > 200


def test_a_view_without_a_chart_says_which_have_one(views):
    with pytest.raises(UserError, match=r"overview: has no chart\. Charts: .*tradeoff-bytes"):
        svg(views["overview"])
    empty = View("memory", "t", "c", (Column("group", "scheme"),), (), (), "no trial is done")
    with pytest.raises(UserError, match="no trial is done"):
        png(empty)
