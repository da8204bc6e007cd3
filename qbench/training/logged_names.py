"""What a LightningModule logs in an epoch, by name."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class LoggedNames:
    """A module's `log`, which notes the names: a Trainer's metrics do not tell those of this epoch from older ones.

    Args:
        module: logs as ever.

    Attributes:
        names: those since they were last cleared, and whether each is for the logger. A value that is logged by step
            and by epoch is also called `<name>_step` and `<name>_epoch`, as Lightning does.
    """

    def __init__(self, module: pl.LightningModule) -> None:
        self._log = module.log
        self.names: dict[str, bool] = {}

    def log(self, name: str, value: Any, prog_bar: bool = False, logger: bool | None = None, **options: Any) -> None:
        """Log as the module does."""
        for each in (name, f"{name}_step", f"{name}_epoch"):
            self.names[each] = logger is not False
        self._log(name, value, prog_bar, logger, **options)
