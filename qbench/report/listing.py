"""What there is to choose from: quantizers, schemes, models, data sets, kernel backends.

A kind's package is imported where it is listed: Lightning and scikit-learn, which `data` loads, take seconds.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

KINDS = ("quantizers", "schemes", "models", "data", "backends")


def listing(kind: str) -> list[dict[str, Any]]:
    """The known things of one of KINDS, as plain values: `name`, `description` and more."""
    if kind == "quantizers":
        from quantizers import QUANTIZERS

        return [{"name": name, "description": _first_line(QUANTIZERS.get(name))} for name in QUANTIZERS]
    if kind == "schemes":
        from qbench.schemes.catalogue import SCHEMES

        return [SCHEMES.get(name).flat() for name in SCHEMES]
    if kind == "models":
        from qbench.nn.models.catalogue import MODELS

        return [
            {"name": name, "description": found.description, "options": found.options}
            for name, found in ((name, MODELS.get(name)) for name in MODELS)
        ]
    if kind == "data":
        from qbench.data.datasets import DATASETS

        return [{"name": name, "description": DATASETS.get(name).description} for name in DATASETS]
    return _backends()


def _first_line(item: object) -> str:
    return (item.__doc__ or "").strip().partition("\n")[0]


def _backends() -> list[dict[str, Any]]:
    import cuda_ext

    found = []
    for name, backend in cuda_ext.backends().items():
        facts = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(backend).items()}
        text = f"uses {backend.selected}" + (f" of {', '.join(backend.isas)}" if backend.isas else "")
        reason = f": {backend.reason}" if backend.reason else ""
        found.append({**facts, "name": name, "description": text + reason})
    return found


def listing_lines(kind: str) -> list[tuple[str, str]]:
    """(name, description) for people; a model's options are part of its description."""
    lines = []
    for item in listing(kind):
        text = str(item["description"])
        if item.get("options"):
            text += "; options " + ", ".join(f"{key}={value}" for key, value in item["options"].items())
        lines.append((str(item["name"]), text))
    return lines
