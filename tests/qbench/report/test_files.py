import pytest
from planted import studies_of

from qbench.errors import UserError
from qbench.report.files import drawable, is_folder, of_view, one_view, whole, write_file
from qbench.report.form import Form
from qbench.report.model.report_model import make_report
from qbench.report.view import Column, View

VIEWS = {
    "overview": View("overview", "All", "", (Column("x", "x", "d"),), tuple((n,) for n in range(51))),
    "long": View("long", "Long", "", (Column("x", "x", "d"),), tuple((n,) for n in range(51))),
    "memory": View("memory", "Memory", "", (Column("x", "x", "d"),), ((1,),)),
    "empty": View("empty", "Empty", "", (Column("x", "x", "d"),), missing="why"),
}
MODEL = make_report(studies_of([]))


def test_a_view_by_name_or_the_nearest():
    assert one_view(VIEWS, "long") is VIEWS["long"]
    with pytest.raises(UserError, match=r"^no view 'memor'; did you mean 'memory'\? Known: overview, long"):
        one_view(VIEWS, "memor")
    with pytest.raises(UserError, match=r"^no view 'zz'\. Known: overview, long, memory, empty$"):
        one_view(VIEWS, "zz")


@pytest.mark.parametrize("form", [Form.md, Form.tex])
def test_a_document_has_short_views_the_overview_and_the_verdict(form):
    text = whole(form, MODEL, VIEWS)
    assert "No trial is planned: there is nothing to compare." in text
    assert "Memory" in text
    assert "All" in text
    assert "Long" not in text
    assert "Too long for this document" in text
    assert "long" in text
    assert "Empty" not in text
    assert "Long" in of_view(form, VIEWS["long"])  # asked for by name


def test_json_holds_every_view():
    text = whole(Form.json, MODEL, VIEWS)
    assert all(f'"{name}"' in text for name in VIEWS)


def test_what_can_be_written_for_each_view():
    assert list(drawable(Form.csv, VIEWS)) == ["overview", "long", "memory"]
    assert list(drawable(Form.svg, VIEWS)) == ["memory"]
    assert of_view(Form.csv, VIEWS["memory"]) == "x\n1\n"
    with pytest.raises(UserError, match="empty"):
        of_view(Form.svg, VIEWS["empty"])


def test_a_folder_is_one_that_is_there_or_ends_in_a_slash(tmp_path):
    (tmp_path / "there").mkdir()
    assert is_folder(tmp_path / "there")
    assert is_folder(f"{tmp_path}/new/")
    assert not is_folder(tmp_path / "new")


def test_a_file_is_whole_or_not_there(tmp_path):
    target = write_file(tmp_path / "sub" / "a.txt", "µ", make_folder=True)
    assert target.read_bytes() == "µ".encode()
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]
    with pytest.raises(UserError, match="no such folder"):
        write_file(tmp_path / "missing" / "a.txt", "x")
    with pytest.raises(UserError, match="cannot be written"):
        write_file(target / "below.txt", "x", make_folder=True)
