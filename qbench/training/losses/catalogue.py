"""The losses by name, all of them registered."""

from __future__ import annotations

from qbench.training.losses import distillation as _distillation  # noqa: F401  (registers itself)
from qbench.training.losses.registry import LOSSES, Loss, build_loss, needs_teacher

__all__ = ["LOSSES", "Loss", "build_loss", "needs_teacher"]
