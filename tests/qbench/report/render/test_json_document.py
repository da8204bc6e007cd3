import json

from planted import study

from qbench.report.model.report_model import make_report
from qbench.report.model.verdict import verdict
from qbench.report.render.json_document import as_json
from qbench.report.view import Column, View
from qbench.report.views.overview import overview


def test_the_document_has_format_title_verdict_groups_and_views():
    model = make_report([study()])
    found = json.loads(as_json(model, {"overview": overview(model)}))
    assert (found["format"], found["title"]) == (1, "planted")
    assert found["verdict"] == list(verdict(model))
    assert [group["name"] for group in found["groups"]] == ["fp32", "binarynet", "int8-kl"]
    view = found["views"]["overview"]
    assert view["columns"]["cost/energy_uj"] == {"heading": "energy µJ", "source": "estimated"}
    assert [row["cost/weight_bytes"] for row in view["rows"]] == [888_848, 29_756, 225_176]


def test_numbers_are_finite_and_the_text_is_ascii():
    view = View("v", "V\x1b", "", (Column("x", "x", ".1f"),), ((float("nan"),), (float("inf"),), (1.5,)))
    text = as_json(make_report([study()]), {"v": view})
    assert text.isascii()
    assert "\x1b" not in text
    assert [row["x"] for row in json.loads(text)["views"]["v"]["rows"]] == [None, None, 1.5]
