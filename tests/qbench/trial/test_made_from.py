"""What an exported file says of its trial: data, and no code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qbench.errors import UserError
from qbench.schemes.named import NamedSpec
from qbench.trial.config import TrialConfig
from qbench.trial.made_from import changes_in, made_from
from qbench.trial.record import TrialRecord


def test_changes_of_images_are_kept_and_read_again() -> None:
    crop = {"name": "crop", "options": {"padding": 2}}
    row = TrialConfig.from_mapping({"scheme": "fp32", "augment": [crop, "flip"]}).flat()
    kept = made_from(TrialRecord("0" * 16, "done", row, [], []))
    assert changes_in(kept) == [NamedSpec(name="crop", options={"padding": 2}), NamedSpec(name="flip")]
    assert changes_in({"scheme": "fp32"}) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            json.dumps([{"name": "subprocess.run", "options": {"args": ["true"]}}]),
            r"the augmentation 'subprocess.run', which is not registered; a file runs no code: .* --plugin",
        ),
        (json.dumps([{"nam": "flip"}]), "is no list of augmentations"),
        ("[", "is no list of augmentations"),
        ("7", "is no list of augmentations"),
        (7, "is no list of augmentations"),
    ],
)
def test_a_file_runs_no_code(text: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        changes_in({"augment": text})
