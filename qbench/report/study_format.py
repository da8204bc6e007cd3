"""What the files that a sweep leaves beside its trials may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from qbench.trial.record_format import is_seed


class _Run(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    date: str | None = None
    command: str | list[str] | None = None
    versions: dict[str, str] | None = None
    machine: str | None = None


class _Origin(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")  # what a later version adds is no fault

    name: str | None = None
    metric: str | None = None
    goal: str | None = None
    description: str | None = None
    file: str | None = None
    label: str | None = None
    runs: list[_Run] | None = None


def origin_fault(values: Mapping[str, Any]) -> str | None:
    """Return where the values of `origin.json` differ from what `Store.write_origin` keeps; None where they do not."""
    try:
        _Origin.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


def rows_fault(rows: Sequence[Mapping[str, Any]], not_run: str) -> str | None:
    """Return what is wrong with the rows of `results.json` as a list of trials; None where nothing is.

    Args:
        rows: mappings.
        not_run: the status of a row that has no record.
    """
    seen: set[str] = set()
    for row in rows:
        trial_id = row.get("trial_id")
        if row.get("status") == not_run:
            if (wrong := _of_planned(row)) is not None:
                return wrong
            if trial_id is None:
                continue
        if not isinstance(trial_id, str) or not re.fullmatch(r"[\w-]{1,100}", trial_id):
            return f"{str(trial_id)[:40]!r} is no trial"
        if trial_id in seen:
            return f"trial {trial_id} is listed twice"
        seen.add(trial_id)
    return None


def _of_planned(row: Mapping[str, Any]) -> str | None:
    if row.get("seed") is not None and not is_seed(row["seed"]):
        return f"a trial that has not run: seed {str(row['seed'])[:40]!r} is no integer of 0 or more"
    if not isinstance(row.get("scheme", ""), str):
        return f"a trial that has not run: scheme {str(row['scheme'])[:40]!r} is no name"
    return None
