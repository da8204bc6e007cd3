import json

import pytest

from qbench.report.view import Column, View

VIEW = View(
    "small",
    "Small",
    "Two rows.",
    (Column("scheme", "scheme"), Column("test/accuracy", "accuracy", ".2%", "measured"), Column("ok", "ok")),
    (("a", 0.98765, True), ("b", None, False)),
    ("A note.",),
)


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (".2%", 0.98765, "98.77 %"),
        (",.0f", 888848, "888,848"),
        (".3g", 0.4453236, "0.445"),
        ("", 7, "7"),
        (".1f", None, "-"),
        ("", "fp32", "fp32"),
        (".1f", "not reached", "not reached"),
        ("", True, "yes"),
    ],
)
def test_a_value_is_written_as_its_column_says(form, value, text):
    assert Column("x", "x", form).text(value) == text


def test_only_columns_with_a_form_hold_numbers():
    assert [column.numeric for column in VIEW.columns] == [False, True, False]


def test_rows_as_records_and_as_cells():
    assert VIEW.records()[0] == {"scheme": "a", "test/accuracy": 0.98765, "ok": True}
    assert VIEW.cells() == [["a", "98.77 %", "yes"], ["b", "-", "no"]]


def test_json_has_the_metrics_names_and_where_they_come_from():
    found = json.loads(json.dumps(VIEW.as_dict(), allow_nan=False))
    assert found["columns"]["test/accuracy"] == {"heading": "accuracy", "source": "measured"}
    assert found["rows"][1] == {"scheme": "b", "test/accuracy": None, "ok": False}
    assert (found["notes"], found["missing"]) == (["A note."], None)
