import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.report.visible import visible, writable


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("binarynet width=32", "binarynet width=32"),
        ("µ × é 中", "µ × é 中"),
        ("a\nb\tc\rd", "a b c d"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m", r"\x9b31m"),  # the control sequence introducer in one character
        ("\u202eabc", r"\u202eabc"),  # would be shown from right to left
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),  # no UTF-8 file can hold it
        ("", ""),
    ],
)
def test_what_is_unseen_is_shown_as_its_escape(text, seen):
    assert visible(text) == seen


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_unseen_is_left_and_everything_can_be_encoded(text):
    found = visible(text)
    found.encode("utf-8")
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in found)


def test_what_no_file_can_hold_is_its_escape_at_any_depth():
    value = {"a\x00": ["b\ud800", {"c": "\x1b[31m"}], "n": [1, 2.0, None], "flag": True, "lines": "a\nb\tc"}
    assert writable(value) == {
        r"a\x00": [r"b\ud800", {"c": r"\x1b[31m"}], "n": [1, 2.0, None], "flag": True, "lines": "a\nb\tc",
    }  # fmt: skip


@given(st.text(st.characters(exclude_categories=[])))
def test_a_text_can_be_written_to_xml(text):
    from xml.etree import ElementTree

    ElementTree.fromstring(f"<a>{writable(text).replace('&', '&amp;').replace('<', '&lt;')}</a>".encode())
