"""What an exported file says of the trial that it was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
    """Return how the trial of a file changed its images; none where the file does not say."""
    return [NamedSpec.model_validate(each) for each in json.loads(kept.get(_CHANGES) or "[]")]
