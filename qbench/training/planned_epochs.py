"""How many epochs a Trainer will train, before it starts."""

from __future__ import annotations

from math import ceil, isfinite

import pytorch_lightning as pl

from qbench.errors import ConfigError


def planned_epochs(trainer: pl.Trainer) -> int:
    """Return the epochs that `trainer` will begin: what decays and schedules are spread over.

    They are `max_epochs`, or the epochs that `max_steps` steps begin, `ceil(max_steps / steps of an epoch)`; the fewer
    where both are given. An epoch has `ceil(batches / accumulate_grad_batches)` steps.

    Raises:
        ConfigError: neither is given (`max_time` says nothing of epochs), or only max_steps with a loader of unknown
            length.
    """
    limits = [] if trainer.max_epochs is None or trainer.max_epochs < 0 else [trainer.max_epochs]
    if trainer.max_steps >= 0:
        if limits == [0]:
            return 0
        trainer.fit_loop.setup_data()  # not done yet when optimizers are configured; a second call does nothing
        batches = trainer.num_training_batches
        if isfinite(batches) and batches > 0:
            limits.append(ceil(trainer.max_steps / ceil(batches / trainer.accumulate_grad_batches)))
        elif not limits:
            raise ConfigError(
                "the learning rate decays over a known number of epochs, and the training's loader has no length: "
                "give the Trainer max_epochs beside max_steps",
                "max_epochs",
            )
    if not limits:
        raise ConfigError(
            "the learning rate and the quantizers' schedules follow a known number of epochs, and this Trainer has no "
            "bound on epochs or steps: give it max_epochs or max_steps (beside max_time, too)",
            "max_epochs",
        )
    return max(min(limits), 1)
