"""A quantizer under check: copies of it in the states that checks ask for."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.contract.examples import Shape, every_kind, ordinary

Role = Literal["weights", "activations"]


class Subject:
    """A quantizer under check. Every method returns a copy of its own: no check sees what another one has done.

    Args:
        quantizer: is copied, and never changed.
        role: what it quantizes.
        shapes: of the tensors, tried in turn until one of them serves.

    Raises:
        Exception: whatever the quantizer raises with the last of the shapes, or where it is copied.
    """

    def __init__(self, quantizer: Quantizer, role: Role, shapes: Sequence[Shape]) -> None:
        self.role = role
        self._fresh = copy.deepcopy(quantizer).cpu()
        for shape in shapes:
            try:
                self.shape = shape
                self._ready = self._made_ready()
                if self._ready.is_ready:
                    with torch.no_grad():
                        self.ready()(ordinary(shape))
                        self.ready().quantize(ordinary(shape))
                return
            except Exception:
                if shape == shapes[-1]:
                    raise

    def _made_ready(self) -> Quantizer:
        """Return a copy after its first batches: calibrated, where only that makes it ready; else two of training."""
        quantizer = self.fresh()
        if self.role == "weights":
            quantizer.expect_shape(self.shape)
        if quantizer.needs_calibration:
            if not quantizer.is_ready:
                quantizer.start_observing()
                quantizer.observe(ordinary(self.shape, seed=1))
                quantizer.freeze()
            return quantizer.eval()
        quantizer.on_epoch(0, 2)
        self.train(quantizer)
        return quantizer.eval()

    def train(self, quantizer: Quantizer, scale: float = 1.0) -> None:
        """Give `quantizer` two batches in training mode, without a backward."""
        quantizer.train()
        with torch.no_grad():
            for seed in (1, 2):
                quantizer(ordinary(self.shape, seed) * scale)

    @property
    def is_ready(self) -> bool:
        """Whether calibration, or two batches of training, made it ready."""
        return self._ready.is_ready

    def fresh(self) -> Quantizer:
        """Return a copy of the quantizer as it was given."""
        return copy.deepcopy(self._fresh)

    def ready(self) -> Quantizer:
        """Return a copy that quantizes, in evaluation mode."""
        return copy.deepcopy(self._ready)

    def training(self) -> Quantizer:
        """Return a copy that quantizes, in training mode."""
        return self.ready().train()

    @property
    def x(self) -> Tensor:
        """Ordinary values with zeros and ties among them; float32."""
        return ordinary(self.shape)

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Tensors by what they are; where the quantizer's scale is known, the ties are those of its codes."""
        encoding = self._ready.encoding()
        step = 1.0 if encoding is None else float(encoding.scale.reshape(-1)[0])
        return every_kind(self.shape, step)
