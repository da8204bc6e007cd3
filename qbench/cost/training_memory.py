"""What the training of a network holds in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that training holds in tensors, of the size of their dtypes: float32 unless a network has others.

    Attributes:
        parameters: trainable parameters, latent weights and those of quantizers included.
        gradients: one per parameter.
        optimizer: its moments: two per parameter of Adam and AdaMax, none of SGD.
        activations: each layer's input and output, kept for the backward pass, for one example of a batch; a lower
            bound.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int

    def total(self, batch_size: int) -> int:
        """Return the bytes of all of it, for batches of `batch_size` examples."""
        return self.parameters + self.gradients + self.optimizer + batch_size * self.activations
