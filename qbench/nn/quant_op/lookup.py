"""Rows of a quantized table, looked up."""

from __future__ import annotations

import torch
from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.packed import Packed
from quantizers import BINARY, NumberFormat, Quantized


class LookupOp(QuantOp):
    """Embeddings whose table is stored as codes: binary ones as bits, others of at most 8 bits in a byte each.

    Nothing is multiplied but the rows that are looked up, by their scale.
    """

    name = "lookup"

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        """Return whether the layer is a table of codes, and if not, why; the inputs are indices in any case."""
        if layer_shape.kind != "embedding":
            return False, f"needs an embedding, got {layer_shape.kind}"
        if weight.kind == "float":
            return False, f"needs quantized weights, got {weight}"
        return True, ""

    def pack(self, weight: Quantized) -> Packed:
        """Return the codes [N, K], of signs the bits of each row."""
        data = cuda_ext.pack_signs(weight.codes.float()) if weight.format == BINARY else weight.codes
        return Packed(data, weight.scale, weight.codes.shape, weight.zero_point)

    def embedding(self, indices: Tensor, packed: Packed) -> Tensor:
        """Return the rows of the table at `indices [...]`, float32 [..., K]: `scale · (codes - zero_point)`."""
        rows = packed.data[indices]
        is_bits = rows.dtype == torch.int32
        codes = cuda_ext.unpack_signs(rows, packed.shape[1]) if is_bits else rows.to(packed.scale.dtype)
        if packed.zero_point is not None:
            codes = codes - _of_rows(packed.zero_point, indices).to(codes.dtype)
        return codes * _of_rows(packed.scale, indices)

    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count nothing: there are no products."""
        return Operations()

    def weight_scale_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count one multiplication an output value, unless a threshold takes the scale in."""
        return epilogue.sign_scale_cost(layer_shape)


def _of_rows(values: Tensor, indices: Tensor) -> Tensor:
    """Return what is one number, or one a row of the table [N, 1], for the rows at `indices`."""
    return values if values.numel() == 1 else values[indices]
