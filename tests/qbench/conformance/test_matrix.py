"""The matrix: nothing in it is wrong."""

from __future__ import annotations

import pytest

import qbench.conformance.matrix as module
from qbench.conformance.cell import Cell
from qbench.conformance.matrix import SCHEMES, make_matrix
from qbench.conformance.subject import Subject
from qbench.conformance.subjects import SUBJECTS, get_subject
from qbench.errors import ConfigError

REFUSED = {"vit", "transformer_encoder", "lstm_classifier", "functional_weights", "unet"}
"""The networks that hold what has no quantized form."""


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_network_is_right_or_refused_by_name(subject: Subject) -> None:
    cells = make_matrix([subject])
    assert [cell for cell in cells if cell.verdict == "wrong"] == []
    first = {cell.scheme: cell.verdict for cell in cells if not cell.allow_float}
    assert tuple(first) == SCHEMES
    assert first.pop("fp32") == "right"
    assert set(first.values()) == {"refused" if subject.name in REFUSED else "right"}
    # What is refused for what it holds is right once that is allowed.
    assert all(cell.verdict == "right" for cell in cells if cell.allow_float)


def test_a_refused_network_is_tried_again_with_what_it_allows(monkeypatch) -> None:
    def refuse(subject: Subject, scheme: str, allow_float: tuple[str, ...]) -> Cell:
        refused = "lstm" in subject.name and scheme == "binarynet" and not allow_float
        return Cell(subject.name, scheme, "refused" if refused else "right", allow_float=tuple(allow_float))

    monkeypatch.setattr(module, "check_cell", refuse)
    told: list[Cell] = []
    cells = make_matrix(SUBJECTS, ["fp32", "binarynet"], say=told.append)
    assert told == cells
    assert len(cells) == 2 * len(SUBJECTS) + 1
    tries = [(cell.scheme, cell.allow_float) for cell in cells if cell.network == "lstm_classifier"]
    assert tries == [("fp32", ()), ("binarynet", ()), ("binarynet", ("lstm",))]


def test_what_is_allowed_by_hand_is_allowed_once(monkeypatch) -> None:
    monkeypatch.setattr(module, "check_cell", lambda subject, scheme, allow: Cell("", scheme, "refused", "", allow))
    cells = make_matrix([get_subject("lstm_classifier")], ["binarynet"], ("fc",))
    assert [cell.allow_float for cell in cells] == [("fc",)]


def test_registered_models_are_subjects_too() -> None:
    assert get_subject("digits-mlp").input_shape == (1, 8, 8)


def test_an_unknown_network_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unet"):
        get_subject("u-net")
