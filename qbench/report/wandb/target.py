"""Where a wandb report goes."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.errors import UserError


@dataclass(frozen=True)
class Target:
    """A project on wandb's server."""

    entity: str
    project: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Return the target that `ENTITY/PROJECT` names.

        Raises:
            UserError: it has another form.
        """
        entity, slash, project = text.partition("/")
        if not (entity and slash and project) or "/" in project:
            raise UserError(f"--wandb: expected ENTITY/PROJECT, got {text!r}")
        return cls(entity, project)
