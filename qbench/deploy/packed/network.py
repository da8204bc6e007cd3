"""Runs a packed network: bits from layer to layer, on the operations of `cuda_ext`."""

from __future__ import annotations

import torch
from torch import Tensor

import cuda_ext
from qbench.data.batches import EVALUATION_BATCH
from qbench.data.classification import predicted_classes
from qbench.deploy.packed.layer import make_layer
from qbench.deploy.packed.spec import NetworkSpec, PackedModel


class PackedNetwork:
    """A network that computes in bits.

    Between layers activations are packed words, NHWC with a pixel's channels packed; the threshold of a layer is
    applied in the epilogue of its product, which writes the next layer's input. Sums are exact integers, so results
    do not depend on the ISA, the batch or the number of threads. Where a layer reads float32 (schemes with real
    activations), its sums are rounded in the backend's order.

    Not thread-safe against `cuda_ext.use_isa`: arranged weights belong to the ISA they were made on.

    Args:
        model: the network and its tensors.
        device: where it runs. Weights are arranged for this machine's kernels once, here.

    Attributes:
        spec: what the network is.
        device: where it runs.
        weight_bytes: of its tensors as a file holds them.

    Raises:
        ValueError: tensors that are not those of the spec.
    """

    def __init__(self, model: PackedModel, device: torch.device | str = "cpu") -> None:
        model.check()
        self.spec: NetworkSpec = model.spec
        self.device = torch.device(device)
        self.weight_bytes = model.nbytes
        self._layers = [make_layer(step, model, self.device) for step in model.spec.steps()]

    @property
    def resident_bytes(self) -> int:
        """Bytes of the weights as they are arranged for the kernels, thresholds and constants included."""
        return sum(layer.resident_bytes for layer in self._layers)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the scores, float32 [B, classes].

        images: float32 [B, *input shape] as training saw them; a network on pixels takes uint8 pixels too, and float32
        values only if they are pixels' (see `Pixels.encode`).

        Raises:
            TypeError: no such tensor.
            ValueError: another shape, a value that is no pixel's, infinity or NaN.
        """
        x = self._input(images)
        for layer in self._layers:
            x = layer(x)
        return x

    def predict(self, images: Tensor, batch: int = EVALUATION_BATCH) -> Tensor:
        """Return the class of the largest score, int64 [B]; `batch` images at a time."""
        if len(images) == 0:
            return predicted_classes(self(images))
        return torch.cat([predicted_classes(self(part)) for part in images.split(batch)])

    def _input(self, images: Tensor) -> Tensor:
        """Return the images in the form that the first layer reads, on the network's device."""
        described = self.spec.input
        if not isinstance(images, Tensor):
            raise TypeError(f"images: expected a torch.Tensor, got {type(images).__name__}")
        if tuple(images.shape[1:]) != described.shape or images.dim() == 0:
            expected = ", ".join(map(str, described.shape))
            raise ValueError(f"images: expected shape [B, {expected}], got {list(images.shape)}")
        pixels = described.pixels
        accepted = (torch.float32,) if pixels is None else (torch.float32, torch.uint8)
        if images.dtype not in accepted:
            raise TypeError(f"images: expected {' or '.join(map(str, accepted))}, got {images.dtype}")
        images = images.to(self.device)
        if pixels is not None:
            return images if images.dtype == torch.uint8 else pixels.encode(images)
        if not bool(torch.isfinite(images).all()):
            raise ValueError("images: expected finite values, got infinity or NaN")
        if described.kind == "real":
            return images
        return cuda_ext.pack_signs(images.permute(0, 2, 3, 1) if images.dim() == 4 else images)
