import re

import pytest
from hostile import HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from qbench.report.render.markdown import document, table
from qbench.report.view import Column, View
from qbench.report.visible import visible

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
COLUMNS = (Column("group", "scheme"), Column("test/accuracy", "accuracy", ".2%", "measured"))


def view(*names, **parts):
    return View("v", "A title", "A caption.", COLUMNS, tuple((name, 0.9894) for name in names), **parts)


def parsed(text):
    """The cells of the only table, as an independent parser reads them: each the kinds and contents of its tokens."""
    rows, row = [], []
    tokens = PARSER.parse(text)
    for index, token in enumerate(tokens):
        if token.type == "tr_open":
            row = []
        if token.type in ("th_open", "td_open"):
            row.append(tokens[index + 1].children)
        if token.type == "tr_close":
            rows.append(row)
    return rows


def texts(cell):
    assert {token.type for token in cell} <= {"text", "text_special"}
    return "".join(token.content for token in cell)


def test_a_table_as_github_reads_it():
    assert table(view("fp32", notes=("1) one", "# two"))) == (
        "## A title\n\nA caption.\n\n"
        "| scheme | accuracy |\n| --- | ---: |\n| fp32 | 98.94 % |\n\n- 1\\) one\n- \\# two\n"
    )


@pytest.mark.parametrize("name", [name for name in HOSTILE if "\n" not in name])
def test_a_name_is_shown_as_it_is_and_is_nothing_else(name):
    heading, row = parsed(table(view(name)))
    assert [texts(cell) for cell in heading] == ["scheme", "accuracy"]
    assert [texts(cell) for cell in row] == [visible(name), "98.94 %"]


@given(st.text(st.characters(exclude_categories=["Zs"]) | st.sampled_from("\\|`*_[]<>&~$!#"), min_size=1))
def test_any_name_is_one_cell(name):
    found = parsed(table(view(name.replace("\n", "\t"))))
    assert [len(row) for row in found] == [2, 2]
    assert texts(found[1][0]).split() == visible(name).split()


def test_lines_of_a_file_stay_lines():
    text = table(view("name: x\n  - deep\n"))
    assert "| name: x<br>&nbsp;&nbsp;- deep |" in text
    assert len(parsed(text)) == 2


def test_a_document_names_what_is_too_long_for_it():
    text = document("runs|x", ["# Verdict."], [view("fp32")], [view("a", "b")])
    assert text.startswith("# runs\\|x\n\n\\# Verdict.\n\n## A title\n")
    assert "Too long for this document, and written by `--view NAME`: v (2 rows).\n" in text
    assert "\x1b" not in text
    assert not re.search("\n\n\n", text)


def test_a_view_without_rows_says_why():
    assert table(view(missing="nobody ran it")).endswith("\n\nNo rows: nobody ran it.\n")
