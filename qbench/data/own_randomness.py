"""Random generators of a loader's own, apart from those of the training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class OwnRandomness:
    """The generators of torch (CPU), numpy and Python, seeded for one pass over a loader.

    A loader that shuffles or augments draws from the global generators. Inside of `inside` these are its own: what it
    draws depends on `seed` alone, and the training's dropout does not depend on what it draws.

    Args:
        seed: of the pass.
    """

    def __init__(self, seed: int) -> None:
        outside = _states()
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (a transform of a user's draws from it)
        random.seed(seed)
        self._states = _states()
        _restore(outside)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Put the pass's generators in the place of the global ones while the context lasts."""
        outside = _states()
        _restore(self._states)
        try:
            yield
        finally:
            self._states = _states()
            _restore(outside)


def _states() -> tuple[Any, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002


def _restore(states: tuple[Any, Any, Any]) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])
