"""A trained network on disk: the weights of its best epoch, and how they came about."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor

from qbench.io import load_tensors, replacing, save_tensors
from qbench.training.used import Used

_FACTS = "training.json"
WEIGHTS = "weights.safetensors"
"""The file with the weights, in the training's folder."""


@dataclass(frozen=True)
class TrainingResult:
    """A trained network's state and how it came about.

    Attributes:
        state: of the best epoch by the trial's `Selection` (the first of equals); flat, see `qbench.io.flat_state`.
        epoch: that epoch, counted from 1.
        loss: mean training loss of the last epoch; None where the module logs none.
        seconds: of the training, with validation after each epoch.
        shared: another trial trained it.
        loop: the loop that trained it, `short` or `lightning`; None for a training of a version that did not say.
        history: the metrics of each epoch, see `Progress`; empty for a training of a version that did not keep them.
        used: optimizer, learning rates and loss; None for a training of a version that did not say.
    """

    state: dict[str, Tensor]
    epoch: int
    loss: float | None
    seconds: float
    shared: bool = False
    loop: str | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    used: Used | None = None

    def store(self, folder: Path) -> None:
        """Write the result to `folder`; a kill leaves all of it, or nothing that `stored` finds."""
        save_tensors(self.state, folder / WEIGHTS)
        facts = {key: getattr(self, key) for key in ("epoch", "loss", "seconds", "loop", "history")}
        facts["used"] = None if self.used is None else asdict(self.used)
        # Last, and in one step: its presence says that the weights are whole.
        with replacing(folder / _FACTS) as temporary:
            temporary.write_text(json.dumps(facts))

    @classmethod
    def stored(cls, folder: Path) -> TrainingResult | None:
        """Return what `store` wrote to `folder`, as a shared training; None where there is none."""
        if not (folder / _FACTS).exists():
            return None
        known = json.loads((folder / _FACTS).read_text())
        return cls(
            load_tensors(folder / WEIGHTS),
            known["epoch"],
            known["loss"],
            known["seconds"],
            shared=True,
            loop=known.get("loop"),
            history=known.get("history", []),
            used=None if known.get("used") is None else Used(**known["used"]),
        )
