import doctest

from qbench.report.render import layout
from qbench.report.render.cells import Cells
from qbench.report.render.layout import broken_names, fitting, lay_out

TABLE = Cells(
    ("scheme", "accuracy", "weight bytes", "quantized MACs"),
    (False, True, True, True),
    (("fp32", "98.94 %", "888,848", "0.00 %"), ("binarynet width=32", "96.28 %", "29,756", "100.00 %")),
)


def test_the_example_holds():
    assert doctest.testmod(layout).failed == 0


def test_single_lines_where_they_fit():
    # 18 for the longest name, 8, 12 and 14 for the headings, two spaces between each.
    assert lay_out(TABLE, 58).headings == (("scheme",), ("accuracy",), ("weight bytes",), ("quantized MACs",))
    assert lay_out(TABLE, 58) == lay_out(TABLE, None)
    assert lay_out(TABLE, 58).width() == 58


def test_headings_break_before_names_and_figures_never():
    # Headings in two lines: 8, 7 and 9; 18 + 8 + 7 + 9 + 6 = 48.
    found = lay_out(TABLE, 57)
    assert found.headings == (("scheme",), ("accuracy",), ("weight", "bytes"), ("quantized", "MACs"))
    assert (found.width(), found.names[1]) == (48, ("binarynet width=32",))
    narrow = lay_out(TABLE, 47)
    assert (narrow.names[1], narrow.width()) == (("binarynet", "  width=32"), 40)
    assert narrow.rows == tuple(row[1:] for row in TABLE.rows)
    assert lay_out(TABLE, 30) == lay_out(TABLE, None)  # it cannot fit, so that nothing is gained by breaking it


def test_the_most_important_columns_that_fit_are_kept():
    assert fitting(TABLE, 58, [1, 2, 3]) == [0, 1, 2, 3]
    # A third of 42 for the name: 14 + 10 + 11 = 35 for MACs, or 14 + 10 + 9 = 33 for bytes, not both.
    assert fitting(TABLE, 42, [1, 2, 3]) == [0, 1, 2]
    assert fitting(TABLE, 42, [3, 1, 2]) == [0, 1, 3]
    # What does not fit makes room for what does: 12 + 11 = 23, 8 + 2 more do not fit 32, 7 + 2 do.
    assert fitting(TABLE, 32, [3, 1, 2]) == [0, 2, 3]
    assert fitting(TABLE, 5, [3, 1, 2]) == [0, 3]  # the most important one always stays


def test_long_words_lose_their_middle_while_they_stay_apart():
    assert broken_names(["abcdefghijklmnopqrst"], 12) == [("abcde…qrst",)]
    assert broken_names(["scheme_options.something=0.0015"], 20) == [("schem…thing=0.0015",)]
    assert broken_names(["some_option=0.123456789012"], 12) == [("so…n=0.123456789012",)]  # a number is never cut
    alike = [f"aaaaaaaa{letter}aaaaaaaaa" for letter in "bc"]
    assert len(set(broken_names(alike, 8))) == 2
