"""The page's text: its policy, its escapes, its tables."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hostile import HOSTILE
from planted import study

from qbench.report.html.page import render
from qbench.report.html.sheet import MAX_ROWS, copies, make_sheet, remarks
from qbench.report.model.report_model import make_report
from qbench.report.render import csv_table, latex
from qbench.report.view import Column, View
from qbench.report.views.catalogue import make_views

NAMES = (*HOSTILE, "</script><script>alert(1)</script>", "<!--<script>", "a\u2028b", "' onclick='alert(1)")


class Parsed(HTMLParser):
    """The elements, and what script elements hold."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.words, self._within = [], [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._within = (dict(attrs).get("type"), [])

    def handle_data(self, data):
        (self.words if self._within is None else self._within[1]).append(data)

    def handle_endtag(self, tag):
        if tag == "script" and self._within is not None:
            self.scripts.append((self._within[0], "".join(self._within[1])))
            self._within = None

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def model():
    return make_report([study({"fp32": (0.99, 1000, 9.0), "binarynet": (0.9, 100, 1.0), "int8-kl": (0.98, 300, 3.0)})])


@pytest.fixture(scope="module")
def page(model):
    return Parsed(render(model, make_views(model)))


def test_the_policy_names_every_script_that_runs_and_nothing_else(page):
    (policy,) = [each["content"] for each in page.of("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    running = [text for kind, text in page.scripts if kind != "application/json"]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in running}
    assert len(running) == 2
    assert set(rules["script-src"].split()) == hashes
    assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert "unsafe-eval" not in policy


def test_nothing_is_loaded_from_elsewhere(page):
    for _, attributes in page.tags:
        for name in ("src", "srcset", "action", "data", "background", "poster"):
            assert name not in attributes
        assert attributes.get("href", "#").startswith(("#", "data:"))
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in "".join(page.words)
    assert not re.search(r"url\(", "".join(page.words))


def test_data_are_json_without_a_character_of_html(page):
    blocks = [text for kind, text in page.scripts if kind == "application/json"]
    assert len(blocks) >= 9
    for text in blocks:
        json.loads(text)
        assert not set(text) & set("<>&\u2028\u2029")


def test_hostile_names_add_no_element(model, page):
    schemes = {f"{name} {kind}": (0.9, 100, 1.0) for name in NAMES for kind in ("binary", "int8")}
    made = replace(study({"fp32": (0.99, 1000, 9.0), **schemes}, seeds=(0,)), name="".join(NAMES))
    hostile = make_report([made])
    found = Parsed(render(hostile, make_views(hostile)))
    assert len(found.scripts) == len(found.of("script")) == len(page.scripts)
    assert found.of("img") == found.of("iframe") == []
    assert not any(each.startswith("on") for _, attributes in found.tags for each in attributes)
    assert all(attributes["href"].startswith("#") for attributes in found.of("a"))
    assert NAMES[0] in "".join(found.words)


def test_a_view_without_rows_says_why(model):
    lost = View("memory", "What is stored", "c", (Column("group", "scheme"),), (), (), "a <b>reason</b>")
    found = Parsed(render(model, {**make_views(model), "memory": lost}))
    assert any("Not shown: a <b>reason</b>." in word for word in found.words)
    assert "memory" not in [attributes.get("data-chart") for attributes in found.of("figure")]


def test_a_long_table_says_how_many_rows_are_left():
    columns = (Column("group", "scheme"), Column("x", "x", ".1f", "computed"))
    view = View("long", "t", "c", columns, tuple((f"g{i}", float(i)) for i in range(MAX_ROWS + 5)))
    assert (len(make_sheet(view, whole=False).rows), make_sheet(view, whole=False).cut) == (MAX_ROWS, 5)
    assert make_sheet(view, whole=True).cut == 0


def test_numbers_sort_by_their_value_and_intervals_by_their_low_end():
    columns = (
        Column("group", "scheme"),
        Column("a_low", "95 % low", ".2%", "computed"),
        Column("a_high", "95 % high", ".2%", "computed"),
        Column("n", "n", ",.0f", "counted"),
        Column("on", "on front", "", "computed"),
    )
    rows = (("a", 0.5, 0.75, 1234, True), ("b", float("nan"), None, None, None))
    sheet = make_sheet(View("v", "t", "c", columns, rows), whole=True)
    assert [(head.heading, head.source) for head in sheet.heads] == [
        ("scheme", "setting"), ("95 % interval", "computed"), ("n", "counted"), ("on front", "computed"),
    ]  # fmt: skip
    assert [(cell.text, cell.key) for cell in sheet.rows[0]] == [
        ("a", ""), ("50.00 to 75.00", "0.5"), ("1,234", "1234"), ("yes", ""),
    ]  # fmt: skip
    assert [cell.key for cell in sheet.rows[1]] == ["", "", "", ""]


def test_copies_are_the_renderers_own_texts(model):
    overview = make_views(model)["overview"]
    found = copies(overview)
    assert found["csv"]["head"] + "".join(found["csv"]["rows"]) == csv_table.table(overview)
    assert found["latex"] == latex.table(overview)


def test_a_loss_without_bounds_is_still_a_page(model):
    views = make_views(model)
    memory = views["memory"]
    rows = tuple((*row[:-1], float("inf")) for row in memory.rows)
    found = Parsed(render(model, {**views, "memory": replace(memory, rows=rows)}))
    for kind, text in found.scripts:
        if kind == "application/json":
            json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_the_default_page_is_small(model):
    assert len(render(model, make_views(model)).encode()) < 4e6


def test_sentences_stand_below_their_table_behind_what_their_row_is_about():
    columns = (Column("target", "target"), Column("x", "x", ".1f", "computed"), Column("remark", "remark", aside=True))
    view = View("v", "V", "", columns, (("97 %", 1.0, None), ("98 %", None, "not <reached>")))
    assert remarks(view) == ["98 %: not <reached>"]
    sheet = make_sheet(view, whole=True)
    assert [head.heading for head in sheet.heads] == ["target", "x"]
    assert [[cell.text for cell in row] for row in sheet.rows] == [["97 %", "1.0"], ["98 %", "-"]]
