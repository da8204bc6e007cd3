import csv
import io

import pytest
from hostile import HOSTILE

from qbench.report.render.csv_table import table
from qbench.report.view import Column, View

COLUMNS = (Column("group", "scheme"), Column("test/accuracy", "accuracy", ".2%"), Column("pareto", "Pareto"))


def test_raw_values_under_the_names_of_metrics():
    view = View("v", "V", "", COLUMNS, (("fp32", 0.98944444, True), ("x", -1.5, False), ("y", None, None)))
    assert table(view) == "group,test/accuracy,pareto\nfp32,0.98944444,true\nx,-1.5,false\ny,,\n"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_one_cell_that_no_spreadsheet_runs(name):
    text = table(View("v", "V", "", COLUMNS, ((name, 0.5, None),)))
    (_, (cell, accuracy, _)) = csv.reader(io.StringIO(text))
    assert cell.lstrip()[0] not in "=+-@\t\r"
    assert cell.removeprefix("'") == name.replace("\x1b", r"\x1b").replace("\x9b", r"\x9b").replace("\u202e", r"\u202e")
    assert accuracy == "0.5"
    assert "\x1b" not in text


def test_a_formula_behind_spaces_is_text_too():
    assert table(View("v", "V", "", COLUMNS[:1], (("  =1+1",),))) == "group\n'  =1+1\n"
