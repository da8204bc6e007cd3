"""What is checked on one tensor: values, codes, scale, and the product of codes and scale."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from quantizers.base import Quantizer
from quantizers.contract.fault import Fault, first, number, raised
from quantizers.contract.scales import scale_fault
from quantizers.quantized import Quantized

_LAST_BITS = 8 * torch.finfo(torch.float32).eps


@torch.no_grad()
def tensor_faults(quantizer: Quantizer, x: Tensor, role: str) -> list[Fault]:
    """Return what evaluation of `x` breaks; the quantizer is ready and in evaluation mode.

    - values: `forward(x)` is `quantize(x).dequantize()`, to the last bit. Both are `scale · (codes - zero point)` in
      float32, so that there is nothing to tolerate: a difference is another formula, or the same in another order.
    - format, codes: what `quantize` returns has the quantizer's format, x's shape, and codes of the format.
    - scale: see `scale_fault`.
    - codes_and_scale: their product is `forward(x)`, where the quantizer gives them (weights alone).

    Args:
        quantizer: its counts and statistics may change.
        x: float32, without NaN.
        role: "weights" or "activations".
    """
    try:
        values = quantizer(x)
    except Exception as error:
        return [Fault("values", raised(error, "forward or quantize"))]
    return faults_of(quantizer, x, values, role)


@torch.no_grad()
def faults_of(quantizer: Quantizer, x: Tensor, values: Tensor, role: str) -> list[Fault]:
    """Return what `values`, which `forward` has made of x in evaluation, break; see `tensor_faults`."""
    try:
        quantized = quantizer.quantize(x)
    except Exception as error:
        return [Fault("values", raised(error, "forward or quantize"))]
    found = [Fault("format", text) for text in (_format_fault(quantizer, quantized),) if text] or [
        Fault("codes", text) for text in (codes_fault(quantized, x),) if text
    ]
    if found:  # what follows would only say the same in other words
        return found
    if text := scale_fault(quantized, x, role):
        return [Fault("scale", text)]
    if text := _values_fault(x, values, quantized):
        return [Fault("values", text)]
    return [Fault("codes_and_scale", text) for text in _product_faults(quantizer, x, values, role)]


def _format_fault(quantizer: Quantizer, quantized: Quantized) -> str | None:
    if not isinstance(quantized, Quantized):
        return f"quantize returns {type(quantized).__name__}, expected a Quantized"
    said, again = quantizer.format, quantizer.format
    if said != again:
        return f"format is {said}, and {again} when it is read again: let it follow from the quantizer's state alone"
    if quantized.format != said:
        return f"quantize returns codes of {quantized.format}, but the quantizer's format is {said}"
    return None


def codes_fault(quantized: Quantized, x: Tensor) -> str | None:
    """Return what is wrong with the codes of `x`: shape, dtype, or codes that the format does not have."""
    codes, format = quantized.codes, quantized.format
    if codes.shape != x.shape:
        return f"codes have the shape {list(codes.shape)}, expected that of x, {list(x.shape)}"
    if format.kind != "float" and (codes.is_floating_point() or codes.dtype == torch.bool):
        return (
            f"codes are {str(codes.dtype).removeprefix('torch.')}, expected integers: end quantize with .to(torch.int8)"
        )
    held = format.holds(codes)
    if bool(held.all()):
        return None
    which = {"odd": "odd codes ", "table": "places in its values ", "binary": "-1 and +1 alone, "}.get(format.kind, "")
    return (
        f"{int((~held).sum()):,} of {codes.numel():,} codes are none of {format} ({which}{format.minimum:g}.."
        f"{format.maximum:g}), e.g. {float(codes[~held][0]):g}: clamp before rounding, or name another format"
    )


def _values_fault(x: Tensor, values: Tensor, quantized: Quantized) -> str | None:
    """Return where `forward` is not the dequantized codes; None where it is, to the last bit."""
    if values.shape != x.shape:
        return f"forward returns the shape {list(values.shape)}, expected that of x, {list(x.shape)}"
    # Of the fields alone: a subclass of Quantized could compute anything, and kernels read the fields.
    plain = Quantized(quantized.codes, quantized.scale, quantized.zero_point, quantized.format)
    codes = plain.dequantize().to(values.dtype)
    differ = ~((values == codes) | (values.isnan() & codes.isnan()))
    if not bool(differ.any()):
        return None
    worst = int(torch.where(differ, (values - codes).abs().nan_to_num(torch.inf), -1.0).argmax())
    return (
        f"forward gives {number(values, worst)} for x = {number(x, worst)}, quantize(x).dequantize() gives "
        f"{number(codes, worst)} "
        f"({int(differ.sum()):,} of {x.numel():,} values differ): {_remedy(x, values, codes, differ)}"
    )


def _remedy(x: Tensor, values: Tensor, codes: Tensor, differ: Tensor) -> str:
    if torch.equal(values, x):
        return "forward returns x itself; return what quantize stands for"
    largest = torch.stack([x.abs(), values.abs(), codes.abs()]).amax(0)
    if bool(((values - codes).abs() <= _LAST_BITS * largest)[differ].all()):
        return (
            "rounding alone. `x + (q - x).detach()` rounds twice: write `q.detach() + (x - x.detach())`, or use "
            "quantizers.straight_through; and q must be scale * (codes - zero_point), in this order"
        )
    return "training and evaluation see other numbers than kernels do; return quantize(x).dequantize() in forward"


def _product_faults(quantizer: Quantizer, x: Tensor, values: Tensor, role: str) -> Iterator[str]:
    given = quantizer.codes_and_scale(x) if role == "weights" else None
    if given is None:
        return
    codes, scale = given
    if codes.shape != x.shape:
        yield f"gives codes of the shape {list(codes.shape)}, expected that of x, {list(x.shape)}"
    elif scale.numel() > 1 and list(scale.shape) != [x.shape[0], *[1] * (x.dim() - 1)]:
        yield (
            f"gives a scale of the shape {list(scale.shape)}, expected one element or one for each output channel, "
            f"{[x.shape[0], *[1] * (x.dim() - 1)]}"
        )
    elif not bool((codes == codes.round()).all()):
        yield f"gives the code {float(codes[codes != codes.round()][0]):g}, expected whole numbers"
    elif not bool((differ := codes * scale != values).any()):
        return
    else:
        place = first(differ)
        yield (
            f"scale · codes is {number(codes * scale, place)} where forward gives {number(values, place)}: layers "
            "multiply by the one, kernels by the other"
        )


@torch.no_grad()
def most_values(values: Tensor, quantized: Quantized) -> int:
    """Return the number of distinct values that share a scale, at most."""
    scale = quantized.scale
    places = torch.arange(scale.numel(), device=scale.device).view(scale.shape)
    group = quantized.per_code(places).expand(quantized.codes.shape).reshape(-1)
    pairs = torch.stack([group.double(), values.reshape(-1).double()]).unique(dim=1)
    return int(pairs[0].long().bincount().max()) if pairs.numel() else 0
