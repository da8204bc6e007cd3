"""What an exported file says of the trial that it was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from qbench.data.augmentation.registry import AUGMENTATIONS
from qbench.errors import UserError
from qbench.schemes.named import NamedSpec, spelled_out
from qbench.trial.record import TrialRecord

_KEPT = ("trial_id", "scheme", "seed", "model", "data", "split_seed", "test/accuracy")
_CHANGES = "augment"


def made_from(record: TrialRecord) -> dict[str, Any]:
    """Return what a file keeps of a trial; how it changed its images as a JSON text, where it did."""
    kept = {key: record.row.get(key) for key in _KEPT}
    if record.config.augment:
        kept[_CHANGES] = json.dumps([spelled_out(each).model_dump() for each in record.config.augment])
    return kept


def changes_in(kept: Mapping[str, Any]) -> list[NamedSpec]:
    """Return how the trial of a file changed its images; none where the file does not say.

    A file is data: it names augmentations that are registered, and no code to be imported and called (a dotted path).

    Raises:
        UserError: an entry that is none; a name that is not registered.
    """
    text = kept.get(_CHANGES)
    if text is None:
        return []
    try:
        found = [NamedSpec.model_validate(each) for each in json.loads(text)]
    except (TypeError, ValueError, ValidationError):
        raise UserError(f"the file's entry {_CHANGES!r} is no list of augmentations: {text!r}") from None
    for each in found:
        if each.name not in AUGMENTATIONS:
            raise UserError(
                f"the file names the augmentation {each.name!r}, which is not registered; a file runs no code: load "
                "the plug-in that registers it by --plugin, or name the trial by --against"
            )
    return found
