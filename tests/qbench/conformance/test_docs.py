"""docs/networks.md holds the matrix that the command prints."""

from pathlib import Path

from qbench.conformance.matrix import SCHEMES
from qbench.conformance.subjects import SUBJECTS
from qbench.conformance.text import LEGEND

TEXT = (Path(__file__).parents[3] / "docs" / "networks.md").read_text()


def test_every_row_and_column_is_there() -> None:
    header = next(line for line in TEXT.splitlines() if "fp32  " in line)
    assert header.split() == list(SCHEMES)
    for subject in SUBJECTS:
        assert f"\n{subject.name}  " in TEXT
        if subject.allow_float:
            assert f"\n  + {', '.join(subject.allow_float)}  " in TEXT


def test_its_legend_is_the_commands_and_nothing_is_wrong() -> None:
    assert LEGEND in TEXT
    assert " 0 wrong\n" in TEXT
    assert "WRONG" not in TEXT
