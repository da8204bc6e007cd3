"""The members that a subclass of QuantModule overrides."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import getattr_static

import pytorch_lightning as pl

from qbench.training.module import QuantModule
from qbench.training.scheme_module import SchemeModule


def own_hooks(kind: type[SchemeModule]) -> list[str]:
    """Return the public members of LightningModule that `kind` overrides, by name; only a Trainer calls them all.

    The steps of training that QuantModule documents (`start_epoch`, `loss`, `clip_latents`, `check_finite`) are none
    of Lightning's, and both loops call them.
    """
    return overrides(kind, (name for name in dir(pl.LightningModule) if not name.startswith("_")))


def overrides(kind: type[SchemeModule], names: Iterable[str]) -> list[str]:
    """Return those of `names` that in `kind` are another member than in QuantModule.

    It may come from `kind`, from a class between the two, or from another base of `kind`.
    """
    return sorted(name for name in names if getattr_static(kind, name) is not getattr_static(QuantModule, name))
