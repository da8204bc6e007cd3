"""One block of an integer network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.deploy.chain import Block, UnsupportedStructureError, pair
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_op.base import Packed
from qbench.nn.quant_op.int8 import Int8Op, as_int8
from quantizers import INT8, LSQ, FixedPointMultiplier, Quantized, Quantizer, Uniform, requantize

# A bias beyond this, in units of the accumulator, gets a coarser unit: the sums then fit beside it.
_BIAS_LIMIT = 2.0**30
# Below gemmlowp's shifts; a channel so much finer than its output gets a coarser unit as well.
_SMALLEST_FACTOR = 2.0**-30
_OP = Int8Op()


class NotIntegerError(UnsupportedStructureError):
    """A network that does not run in integers here; the message names the layer and the reason."""


@dataclass(frozen=True)
class Int8Encoding:
    """How int8 codes of a tensor stand for real values: `scale · (code - zero_point)`; a float and an int."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Stage:
    """One block in integers: `code = clamp(M·(factor·Σ + bias) + zero_point, low, high)`, then max-pool.

    Attributes:
        block: whose name, window and pool it uses.
        weight: packed for Int8Op.
        factor: int32 [C]: ±2^p, a left shift and the sign of the normalization's factor.
        bias: int32 [C], in units of the shifted sum.
        unit: float64 [C]: the real value of 1 in the shifted sum, `S_x·S_w·|normalization's factor| / 2^p`.
        multiplier: `unit / output.scale` as fixed point.
        input, output: of the codes; the output of the last stage is int32 scores.
        low, high: of the output's codes, the activation's clamp included.
        turned: bool [C, 1, 1]: where the pool takes its smallest values.
    """

    block: Block
    weight: Packed
    factor: Tensor
    bias: Tensor
    unit: Tensor
    multiplier: FixedPointMultiplier
    input: Int8Encoding
    output: Int8Encoding
    low: int
    high: int
    turned: Tensor

    def run(self, codes: Tensor, last: bool) -> Tensor:
        """int8 codes [B, ...] in, int8 codes out (int32 of the last stage)."""
        layer = self.block.layer
        x = Quantized(codes, torch.ones(()), torch.tensor(self.input.zero_point, dtype=torch.int32), INT8)
        if isinstance(layer, QuantConv2d):
            sums = _OP.accumulate_conv2d(x, self.weight, layer.window).movedim(1, -1)
        else:
            flat = Quantized(codes.flatten(1), x.scale, x.zero_point, INT8)
            sums = _OP.accumulate(flat, self.weight)
        sums = sums * self.factor + self.bias
        found = requantize(sums, self.multiplier, self.output.zero_point, self.low, self.high)
        if isinstance(layer, QuantConv2d):
            found = found.movedim(-1, 1)
        if not last:
            found = found.to(torch.int8)
        return found if self.block.pool is None else self._pooled(found, self.block.pool)

    def _pooled(self, codes: Tensor, pool: nn.MaxPool2d) -> Tensor:
        # ~q = -q - 1 turns the order of integers round and is inside int8: channels that take their smallest.
        codes = torch.where(self.turned, ~codes, codes)
        vertical, horizontal = pair(pool.padding)
        lowest = torch.iinfo(codes.dtype).min
        codes = F.pad(codes, (horizontal, horizontal, vertical, vertical), value=lowest)
        codes = F.max_pool2d(codes, pair(pool.kernel_size), pair(pool.stride))
        return torch.where(self.turned, ~codes, codes)


def check_block(block: Block) -> None:
    """Raise a NotIntegerError unless the block computes on calibrated integers, with the reason."""
    layer = block.layer
    for role, quantizer in (("weights", layer.weight_quantizer), ("inputs", layer.input_quantizer)):
        if quantizer is None or (role == "weights" and layer.latent_evaluation):
            raise NotIntegerError(f"{block.name}: its {role} are float32")
        if quantizer.format.kind != "integer":
            raise NotIntegerError(f"{block.name}: its {role} are {quantizer.format}, not integers")
        if not quantizer.is_ready:
            raise NotIntegerError(f"{block.name}: its {role} are not calibrated")
    if not isinstance(layer.input_quantizer, Uniform | LSQ):
        raise NotIntegerError(f"{block.name}: its inputs pass through {type(layer.input_quantizer).__name__}")
    if isinstance(layer, QuantConv2d) and layer.groups != 1:
        raise NotIntegerError(f"{block.name}: has {layer.groups} groups")


def int8_encoding(quantizer: Quantizer | None) -> Int8Encoding:
    assert quantizer is not None
    empty = quantizer.quantize(torch.zeros(1, device=_device(quantizer)))
    if empty.scale.numel() != 1:
        raise NotIntegerError(f"{quantizer.layer_name}: a scale per channel of the input has no int32 sum")
    zero_point = as_int8(empty)[1]
    return Int8Encoding(float(empty.scale), 0 if zero_point is None else int(zero_point))


def _device(quantizer: Quantizer) -> torch.device:
    return next(tensor.device for tensor in quantizer.state_dict().values() if isinstance(tensor, Tensor))


def make_stage(block: Block, source: Int8Encoding, last: bool, device: torch.device) -> Stage:
    layer = block.layer
    weight = layer.quantized_weight()
    channels = block.channels
    scale = weight.scale.detach().double().reshape(-1).expand(channels).cpu()
    factor, shift = block.factor.cpu(), block.shift.cpu()
    bias = torch.zeros(channels).double() if layer.bias is None else layer.bias.detach().double().cpu()
    offset = bias * factor + shift  # the output where all products are 0
    exact_unit = source.scale * scale * factor.abs()
    if last:
        furthest = _largest_sums(_OP.pack(weight), source) * exact_unit + offset.abs()
        target = Int8Encoding(max(float(furthest.max()) / 2.0**30, 2.0**-126), 0)
        low, high = _clamp(block.activation, target, -(2**31), 2**31 - 1)
    else:
        assert block.following is not None
        target = int8_encoding(block.following)
        format = block.following.format
        shifted = 0 if format.minimum < 0 else 128
        low, high = _clamp(block.activation, target, int(format.minimum) - shifted, int(format.maximum) - shifted)
    coarser = _coarser(exact_unit, offset, target.scale)
    packed = _packed(weight, coarser, device)
    unit = torch.ldexp(exact_unit.clamp_min(2.0**-126), coarser)
    bound = _largest_sums(packed, source) + offset.abs() / unit
    if float(bound.max()) >= 2**31:
        k = packed.data.shape[1]
        raise NotIntegerError(f"{block.name}: sums of {k} products and their bias may not fit int32")
    shift = _room(bound, unit / target.scale)
    unit = torch.ldexp(unit, -shift)
    rounded = torch.round(offset / unit)
    signed_shift = torch.where(factor < 0, -1, 1) * 2 ** shift.long()
    multiplier = FixedPointMultiplier.of(unit / target.scale)
    return Stage(
        block,
        packed,
        signed_shift.int().to(device),
        rounded.int().to(device),
        unit,
        FixedPointMultiplier(multiplier.mantissa.to(device), multiplier.shift.to(device)),
        source,
        target,
        low,
        high,
        (block.direction < 0).reshape(-1, 1, 1).to(device),
    )


def _clamp(activation: str, encoding: Int8Encoding, low: int, high: int) -> tuple[int, int]:
    """The activation as bounds of the output's codes: both are monotone, and rounding keeps that."""
    if activation == "relu":
        low = max(low, encoding.zero_point)
    elif activation == "hardtanh":
        one = round(1 / encoding.scale)
        low, high = max(low, encoding.zero_point - one), min(high, encoding.zero_point + one)
    return low, high


def _coarser(unit: Tensor, offset: Tensor, output_scale: float) -> Tensor:
    """Powers of two by which the channels' units grow, int [C]: 0 for a channel that is not degenerate."""
    needed = torch.maximum(offset.abs() / _BIAS_LIMIT, torch.full_like(unit, output_scale * _SMALLEST_FACTOR))
    return torch.ceil(torch.log2(needed / unit.clamp_min(2.0**-126))).clamp_min(0).int()


def _packed(weight: Quantized, places: Tensor, device: torch.device) -> Packed:
    """The weight for Int8Op; rows of coarser units are rounded to them."""
    if bool((places > 0).any()):
        shape = [-1] + [1] * (weight.codes.dim() - 1)
        centred = weight.codes.double().cpu()
        if weight.zero_point is not None:
            centred = centred - weight.zero_point.double().cpu()
        rounded = torch.round(torch.ldexp(centred, -places.view(shape))).clamp(-127, 127)
        coarse = places.view(shape) > 0
        codes, zero_point = as_int8(weight)
        zeros = torch.zeros(places.numel(), dtype=torch.int32) if zero_point is None else zero_point.cpu()
        new_codes = torch.where(coarse, rounded.to(torch.int8), codes.cpu())
        new_zeros = torch.where(places > 0, 0, zeros.expand(places.numel())).view(shape)
        weight = Quantized(new_codes, weight.scale, None if zero_point is None else new_zeros, INT8)
    packed = _OP.pack(Quantized(weight.codes.to(device), weight.scale, weight.zero_point, weight.format))
    if packed.zero_point is None:
        return packed
    return Packed(packed.data, packed.scale, packed.shape, packed.zero_point.to(device), packed.row_sums)


def _largest_sums(packed: Packed, source: Int8Encoding) -> Tensor:
    """The largest magnitude of each channel's sum that these weights allow, whatever the input; float64 [C]."""
    zero_point = torch.zeros(1) if packed.zero_point is None else packed.zero_point.cpu()
    furthest = max(127 - source.zero_point, 128 + source.zero_point)
    return (packed.data.cpu().double() - zero_point.reshape(-1, 1)).abs().sum(1) * furthest


def _room(bound: Tensor, factor: Tensor) -> Tensor:
    """Places, int [C], by which sums up to `bound` may be shifted left and `factor` stays above gemmlowp's least."""
    places = torch.minimum(torch.log2(2.0**30 / bound.clamp_min(1.0)), torch.log2(factor / _SMALLEST_FACTOR))
    return torch.floor(places).clamp_min(0).int()
