"""Something that a registry has, by name, with options: in recipes and schemes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class NamedSpec(BaseModel):
    """Something that a registry has, by name, with the options that build it.

    In a YAML file: `rprelu`, or `{name: leaky_relu, options: {negative_slope: 0.1}}`.

    Attributes:
        name: a registered name, or a dotted path.
        options: arguments of what builds it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return it for messages, as a call: `leaky_relu(negative_slope=0.1)`."""
        if not self.options:
            return self.name
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.options.items())})"


def _shortest(value: Any) -> Any:
    """Return the bare name of what has no options: one form for one thing, so that its digest is one, too."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        unknown = [str(key) for key in value if key not in ("name", "options")]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (known: name, options)")
        name, options = value.get("name"), value.get("options") or {}
        if isinstance(name, str) and isinstance(options, Mapping):
            return NamedSpec(name=name, options=dict(options)) if options else name
    if isinstance(value, NamedSpec):
        return value if value.options else value.name
    raise ValueError("expected a name, or a mapping with its name and its options")


Named = Annotated[str | NamedSpec, BeforeValidator(_shortest)]
"""The type of a field that names something of a registry: its bare name, or a `NamedSpec` where it has options."""


def spelled_out(value: str | NamedSpec) -> NamedSpec:
    """Return what a field of type `Named` holds as a `NamedSpec`."""
    return NamedSpec(name=value) if isinstance(value, str) else value
