"""What a QuantModule subclass has otherwise than QuantModule."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import getattr_static

import pytorch_lightning as pl

from qbench.training.module import QuantModule

# What training calls of QuantModule besides Lightning's hooks. An override may use `self.log` or `current_epoch`, which
# only a Trainer serves.
_SEAMS = ("start_epoch", "loss", "clip_latents", "check_finite")


def own_hooks(kind: type[QuantModule]) -> list[str]:
    """What `kind` has otherwise than QuantModule of LightningModule's public members and of the steps of training."""
    return overrides(kind, [*(name for name in dir(pl.LightningModule) if not name.startswith("_")), *_SEAMS])


def overrides(kind: type[QuantModule], names: Iterable[str]) -> list[str]:
    """Those of QuantModule's members called `names` that `kind` has otherwise; from a base behind it, too."""
    return sorted(name for name in names if getattr_static(kind, name) is not getattr_static(QuantModule, name))
