"""Claims as text and as plain values."""

from qbench.claims.row import JSON_KEYS, ClaimRow
from qbench.claims.text import claims_text

STORED = "stored result: 2026-01-02, Some Processor, qbench sweep sweeps/tiny.yaml"


def row(id="a", section="One", how="computed", verdict="differs", rule="confirmed if it is"):
    return ClaimRow(id, section, "it is so", rule, "a paper", "3×", "2.4×", how, verdict)


def test_three_lines_a_claim_and_the_counts():
    assert claims_text([row()]).splitlines() == [
        "One",
        "  a  differs  paper: 3×  here: 2.4×",
        "    it is so (confirmed if it is)",
        "    a paper; computed",
        "",
        "1 claim: 1 differs",
    ]


def test_sections_are_aligned_each_on_its_own():
    lines = claims_text([row(), row("longer"), row("b", "Two", verdict="not confirmed", rule="")]).splitlines()
    assert lines[1] == "  a       differs  paper: 3×  here: 2.4×"
    assert lines[4] == "  longer  differs  paper: 3×  here: 2.4×"
    assert lines[7:10] == ["", "Two", "  b  not confirmed  paper: 3×  here: 2.4×"]
    assert lines[10] == "    it is so"  # no rule, no brackets
    assert lines[-1] == "3 claims: 2 differs, 1 not confirmed"


def test_a_stored_result_is_written_out_once():
    lines = claims_text([row("a", how=STORED), row("b", how=STORED), row("c", how="not run: no compiler")]).splitlines()
    assert lines[3] == lines[6] == "    a paper; stored result [1]"
    assert lines[9] == "    a paper; not run: no compiler"
    assert lines[-1] == f"[1] {STORED}"
    assert len([line for line in lines if "Some Processor" in line]) == 1


def test_no_claim_is_no_error():
    assert claims_text([]) == "0 claims"


def test_plain_values():
    found = row(how=STORED).to_dict()
    assert tuple(found) == JSON_KEYS
    assert found["claim"] == "a: it is so (confirmed if it is)"
    assert found["how"] == STORED
    assert row(rule="").to_dict()["claim"] == "a: it is so"
