import io
from dataclasses import replace

import pytest
from hostile import HOSTILE
from planted import labels, record, studies_of
from planted import study as plant
from rich.console import Console

from qbench.report.model.report_model import make_report
from qbench.report.render.terminal import draw, plain
from qbench.report.view import Column, View
from qbench.report.views.overview import overview
from qbench.report.visible import visible

TWO = {"fp32": (0.9, 1_234_567, 12.08), "binarynet": (0.6, 38_580, 0.2114)}


def view_of(schemes=TWO, seeds=(0, 1, 2), **config):
    return overview(make_report([plant(schemes, seeds, **config)]))


def test_plain_text_holds_every_number_in_aligned_columns():
    header, fp32, binary = plain(view_of()).splitlines()[:3]
    assert fp32.split()[:3] == ["fp32", "90.00", "%"]
    # × beside bytes is planted as 888,848 over the bytes, × beside energy as 27 over it.
    for number in ("1,234,567", "0.7", "12.1", "2.2"):
        assert f" {number} " in fp32
    for number in ("60.00 %", "38,580", "23.0", "0.211", "127.7", "80.0 %", "100.00 %", "3.0", "*"):
        assert f" {number} " in binary
    assert header.index("runs") + len("runs") == fp32.index(" 3 ", 60) + 2 == binary.index(" 3 ", 60) + 2
    assert fp32.count(" - ") == 2  # no unique filters, no kernel agreement: never a number


def test_a_table_worked_out_by_hand():
    columns = (
        Column("group", "scheme"),
        Column("test/accuracy", "accuracy", ".2%", "measured"),
        Column("letters", "letters", "", "computed"),
        Column("test/accuracy_low", "95 % low", ".2%", "computed"),
        Column("test/accuracy_high", "95 % high", ".2%", "computed"),
        Column("pareto", "Pareto", "", "computed"),
    )
    rows = (
        ("a", 0.98, "a", 0.97, 0.99, True),
        ("bb", 0.5, "bc", None, None, False),
        ("c", None, None, None, None, None),
    )
    view = View("overview", "All", "", columns, rows, ("one note", "another\nnote"))
    assert plain(view, ["A sentence."]) == (
        "scheme    accuracy   95 % interval  Pareto\n"
        "a       98.00 % a   97.00 to 99.00  *\n"
        "bb      50.00 % bc               -\n"
        "c             -                  -  -\n"
        "\n"
        "A sentence.\n"
        "\n"
        "one note\n"
        "another note"
    )


def test_plain_text_has_no_escapes_boxes_or_wrapping():
    text = plain(view_of({"x" * 200: (0.9, 10, 1.0)}))
    assert "\x1b" not in text
    assert not set("─│┃━╭╰") & set(text)
    assert max(map(len, text.splitlines())) > 200
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_reaches_a_terminal_raw_or_breaks_its_row(name):
    view = overview(make_report(studies_of([record(name, 0), record("fp32", 0)])))
    found = plain(view, [f"{name} is better."])
    assert found.splitlines()[1].startswith(visible(name).rstrip())
    assert not {"\x1b", "\x9b", "\u202e"} & set(found + drawn(250, view, [name]))


def test_sentences_are_wrapped_and_the_table_is_not():
    view = View("v", "V", "", (Column("group", "scheme"),), (("x" * 200,),))
    lines = plain(view, [f"{'word ' * 30}end.", "Another."]).splitlines()
    assert lines[1] == "x" * 200
    assert lines[3:] == [f"{'word ' * 24}".rstrip(), "  word word word word word word end.", "Another."]


def test_a_view_without_rows_says_why():
    columns = (Column("group", "scheme"),)
    assert plain(View("v", "V", "", columns, missing="nobody ran it")) == "scheme\n\nno rows: nobody ran it"


def test_trials_that_have_not_run_are_counted():
    assert "incomplete: 5 of 5 trials have not run" in plain(overview(make_report(studies_of([], 5))))


def drawn(width, view=None, sentences=()):
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    draw(view or view_of(), console, sentences)
    return stream.getvalue()


def test_a_wide_terminal_shows_one_table():
    text = drawn(250)
    assert len([line for line in text.splitlines() if line.lstrip().startswith("scheme")]) == 1
    assert max(len(line.rstrip()) for line in text.splitlines()) > 100
    assert "80.0 %" in text


def test_a_narrow_terminal_gets_several_tables_and_loses_no_number():
    text = drawn(60, sentences=["A sentence."])
    tables = [line for line in text.splitlines() if line.lstrip().startswith("scheme")]
    assert len(tables) > 1
    assert "…" not in text
    for number in ("1,234,567", "80.0 %", "100.00 %", "Pareto", "60.00 %", "A sentence."):
        assert number in text


def test_names_are_shown_as_they_are():
    assert "a[bold]b" in drawn(250, view_of({"a[bold]b": (0.9, 10, 1.0)}))


def test_groups_on_the_front_are_bold():
    model = make_report(studies_of([record(name, s, true=labels()) for name in ("a", "b") for s in range(3)]))
    model = replace(model, groups=tuple(replace(g, pareto=g.name == "a") for g in model.groups))
    stream = io.StringIO()
    draw(overview(model), Console(file=stream, width=250, force_terminal=True, color_system="standard"))
    lines = stream.getvalue().splitlines()
    assert next(line for line in lines if "a " in line and "90.00" in line).startswith("\x1b[1m")
    assert not next(line for line in lines if "b " in line and "90.00" in line).startswith("\x1b[1m")
