"""The names that a user can choose from: quantizers, schemes, models, data sets, kernel backends.

The package of a kind is imported only where that kind is listed: Lightning and scikit-learn take seconds.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    """What can be listed."""

    quantizers = "quantizers"
    schemes = "schemes"
    models = "models"
    data = "data"
    backends = "backends"


def listing(kind: Kind) -> list[dict[str, Any]]:
    """Return all entries of a kind as plain values for JSON: `name`, `description`, and what the kind adds."""
    if kind is Kind.quantizers:
        from quantizers import QUANTIZERS

        return [{"name": name, "description": _first_line(QUANTIZERS.get(name))} for name in QUANTIZERS]
    if kind is Kind.schemes:
        from qbench.schemes.catalogue import SCHEMES

        return [SCHEMES.get(name).flat() for name in SCHEMES]
    if kind is Kind.models:
        from qbench.nn.models.catalogue import MODELS

        return [
            {"name": name, "description": found.description, "options": found.options}
            for name, found in ((name, MODELS.get(name)) for name in MODELS)
        ]
    if kind is Kind.data:
        from qbench.data.datasets import DATASETS

        return [{"name": name, "description": DATASETS.get(name).description} for name in DATASETS]
    return _backends()


def _first_line(item: object) -> str:
    return (item.__doc__ or "").strip().partition("\n")[0]


def _backends() -> list[dict[str, Any]]:
    import cuda_ext

    found = []
    for name, backend in cuda_ext.backends().items():
        facts = {
            "paths" if key == "isas" else key: str(value) if isinstance(value, Path) else value  # JSON's name for ISAs
            for key, value in asdict(backend).items()
        }
        text = f"uses {backend.selected}" + (f" of {', '.join(backend.isas)}" if backend.isas else "")
        reason = f": {backend.reason}" if backend.reason else ""
        found.append({**facts, "name": name, "description": text + reason})
    return found


def listing_lines(kind: Kind) -> list[tuple[str, str]]:
    """Return (name, description) of all entries of a kind, for people: a description names a model's options."""
    lines = []
    for item in listing(kind):
        text = str(item["description"])
        if item.get("options"):
            text += "; options " + ", ".join(f"{key}={value}" for key, value in item["options"].items())
        lines.append((str(item["name"]), text))
    return lines
