"""`nn.Embedding` with a weight quantizer."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from qbench.errors import ConfigError
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_layer import QuantLayer


class QuantEmbedding(QuantLayer, nn.Embedding):
    """`nn.Embedding` whose table passes through a weight quantizer; its inputs are indices and pass through none.

    x: int64 or int32 [...]. Result: float [..., embedding_dim], rows of the quantized table. No products: 0 MACs.

    A per-channel quantizer has one scale an entry of the table. The gradient of the padding entry is zero, as torch's.

    Raises:
        ValueError: `max_norm`, which changes the table in the forward pass; `sparse`, whose gradients no estimator
            takes.
        ConfigError: from the forward pass: an input quantizer or dropout; or a padding entry under a quantizer of -1
            and +1 alone, which would make its zeros +1.
    """

    kind = "embedding"
    quantizes_inputs = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for setting in ("max_norm", "sparse"):
            if getattr(self, setting):
                raise ValueError(f"{setting} must not be set, got {getattr(self, setting)}")
        self.register_parameter("bias", None)
        self._init_quantization(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows of the quantized table at the indices `x`; see the class."""
        self._check()
        if self._packed is not None and not self.training:
            op, packed = self._packed
            return op.embedding(x, packed)
        weight = self.weight if self._active_weight_quantizer is None else self._active_weight_quantizer(self.weight)
        return F.embedding(x, weight, self.padding_idx, scale_grad_by_freq=self.scale_grad_by_freq)

    def _check(self) -> None:
        if self.input_quantizer is not None or self.dropout:
            raise ConfigError(
                f"{self.name or 'an embedding'} (QuantEmbedding) takes indices: no input quantizer, no dropout"
            )
        quantizer = self._active_weight_quantizer
        if self.padding_idx is not None and quantizer is not None and quantizer.is_binary:
            raise ConfigError(
                f"{self.name or 'an embedding'} (QuantEmbedding): entry {self.padding_idx} is padding, and its zeros "
                f"would become +1 as {quantizer.format} weights; scale the weights (scaled_sign), "
                "build it without padding_idx, or leave it float (allow_float)"
            )

    def layer_shape(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
        """Return the layer's shape for one example of these shapes, without the batch."""
        return LayerShape.without_window(
            "embedding", self.num_embeddings, self.embedding_dim, input_shape, output_shape
        )
