"""Rows of a quantized table, looked up."""

from __future__ import annotations

from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.packed import Packed
from quantizers import NumberFormat, Quantized


class LookupOp(QuantOp):
    """Embeddings whose table is stored as codes: binary ones as bits, others of at most 8 bits in a byte each.

    Nothing is multiplied but the rows that are looked up, by their scale or by those of their groups; codes that stand
    for a list of values are looked up in it.
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
        codes = weight.codes
        data = cuda_ext.pack_signs(codes.float()) if weight.format.kind == "binary" else codes
        return Packed(data, weight.scale, codes.shape, weight.zero_point, format=weight.format)

    def embedding(self, indices: Tensor, packed: Packed) -> Tensor:
        """Return the rows of the table at `indices [...]`, float32 [..., K]: `scale · (codes - zero_point)`."""
        assert packed.format is not None
        chosen = indices.reshape(-1)
        count, length = packed.shape
        codes = packed.data[chosen]
        if packed.format.kind == "binary":
            codes = cuda_ext.unpack_signs(codes, length)
        zero_point = None if packed.zero_point is None else _of_rows(packed.zero_point, chosen, count)
        values = Quantized(codes, _of_rows(packed.scale, chosen, count), zero_point, packed.format).dequantize()
        return values.reshape(*indices.shape, length)

    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count nothing: there are no products."""
        return Operations()

    def weight_scale_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count one multiplication an output value, unless a threshold takes the scale in."""
        if epilogue.weight_format.group_size is not None:  # no threshold takes in several scales of one value
            return OpCost(Operations(fp32_mul=layer_shape.outputs), scale_bytes=epilogue.weight_scale_bytes)
        return epilogue.sign_scale_cost(layer_shape)


def _of_rows(values: Tensor, indices: Tensor, rows: int) -> Tensor:
    """Return what is one number, or one or several a row of a table of so many [rows, ...], for those at `indices`."""
    return values[indices] if values.dim() > 1 and len(values) == rows else values
