import re

import pytest
from hostile import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from qbench.report.render.latex import document, escaped, table
from qbench.report.view import Column, View
from qbench.report.visible import visible

# What the escapes mean, by LaTeX's own documentation; in the order in which they must be tried.
MEANINGS = [
    (r"\textbackslash{}", "\\"), (r"\textasciicircum{}", "^"), (r"\textasciitilde{}", "~"), (r"\textless{}", "<"),
    (r"\textgreater{}", ">"), (r"\textbar{}", "|"), (r"\textasciigrave{}", "`"), (r"\textendash{}", "–"),
    (r"\textemdash{}", "—"), (r"\ldots{}", "…"), (r"$\times$", "×"), (r"$\mu$", "µ"), (r"$\pm$", "±"), (r"$-$", "−"),
    (r"\{", "{"), (r"\}", "}"), (r"\$", "$"), (r"\&", "&"), (r"\#", "#"), (r"\%", "%"), (r"\_", "_"), ("{[}", "["),
    ("{]}", "]"), ("{*}", "*"), ("{''}", '"'), ("{'}", "'"), ("{}", ""),
]  # fmt: skip


def printed(text):
    """What pdflatex prints: each escape read once, from left to right; anything else special is an error."""
    out, rest = "", text
    while rest:
        for escape, meaning in MEANINGS:
            if rest.startswith(escape):
                out, rest = out + meaning, rest[len(escape) :]
                break
        else:
            assert rest[0] not in "\\{}$&#^_~%\"'`[]*<>|\n", f"unescaped: {rest[:20]!r}"
            assert not rest.startswith("--")
            assert rest[0].isascii() or "\u00c0" <= rest[0] <= "\u017f"
            out, rest = out + rest[0], rest[1:]
    return out


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_prints_as_it_is(name):
    assert printed(escaped(name)) == visible(name)


def test_the_input_command_is_inert():
    assert escaped(r"\input{/etc/passwd}") == r"\textbackslash{}input\{/etc/passwd\}"


@given(st.text(st.characters(max_codepoint=126) | st.sampled_from("×µ±−–—…éß")))
def test_any_text_prints_as_it_is(text):
    assert printed(escaped(text)) == visible(text)


def test_a_character_that_pdflatex_lacks_is_named():
    assert escaped("中") == "{[}U+4E2D{]}"


COLUMNS = (
    Column("group", "scheme"),
    Column("low", "95 % low", ".2%"),
    Column("high", "95 % high", ".2%"),
    Column("cost/energy_uj", "energy µJ", ".3g", "estimated"),
)


def test_a_table_with_the_rules_of_booktabs():
    view = View("all-groups", "All", "Two lines.", COLUMNS, (("int8_kl", 0.9789, 1.0, 3.9),), ("note: 5 % off",))
    assert table(view) == (
        "\\begin{table}\n\\centering\n\\caption{All. Two lines.}\n\\label{tab:all-groups}\n\\begin{tabular}{lrr}\n"
        "\\toprule\nscheme & 95 \\% interval & energy $\\mu$J \\\\\n\\midrule\nint8\\_kl & 97.89 to 100.00 & 3.9 \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\par\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\n"
        "note: 5 \\% off.\\par\n\\end{minipage}\n\\end{table}\n"
    )


def test_no_row_of_hostile_names_adds_a_line_or_a_column():
    view = View("v", "V", "", COLUMNS, tuple((name, 0.1, 0.2, 3.0) for name in HOSTILE))
    rows = table(view).partition("\\midrule\n")[2].partition("\\bottomrule")[0].splitlines()
    assert len(rows) == len(HOSTILE)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}


def test_a_document_has_its_title_in_a_comment_and_says_what_it_needs():
    view = View("v", "V", "", COLUMNS, (), missing="no data")
    text = document("a\n\\input{x}", ["5 % less."], [view], [view])
    assert text.startswith("% a \\input{x}\n% Needs \\usepackage{booktabs}.\n5 \\% less.\n\n\\begin{table}")
    assert "No rows: no data.\n" in text
    assert text.endswith("% Too long for this document, and written by --view NAME: v\n")
