"""One block of an integer network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from qbench.deploy.block import Block, PoolWindow
from qbench.deploy.int8.encoding import CodeScale, NotIntegerError
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_op.int8 import Int8Op, as_int8
from qbench.nn.quant_op.packed import Packed
from quantizers import INT8, FixedPointMultiplier, Quantized, requantize

# A bias beyond this, in units of the accumulator, gets a coarser unit: the sums then fit beside it.
_BIAS_LIMIT = 2.0**30
# Below gemmlowp's shifts; a channel so much finer than its output gets a coarser unit as well.
_SMALLEST_FACTOR = 2.0**-30
_SMALLEST_UNIT = 2.0**-126
_OP = Int8Op()


@dataclass(frozen=True)
class Stage:
    """One block in integers: `code = clamp(M·(factor·Σ + bias) + zero_point, low, high)`, then max-pool.

    Attributes:
        block: whose name, window and pool it uses.
        weight: packed for Int8Op.
        factor: int32 [C]: ±2^p, a left shift and the sign of the normalization's factor.
        bias: int32 [C], in units of the shifted sum.
        unit: float64 [C]: the real value of 1 in the shifted sum, `S_x·S_w·|normalization's factor| / 2^p`.
        multiplier: M, which is `unit / output.scale` as fixed point.
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
    input: CodeScale
    output: CodeScale
    low: int
    high: int
    turned: Tensor

    def run(self, codes: Tensor, last: bool) -> Tensor:
        """Return the int8 codes (of the last stage the int32 scores) of int8 codes [B, ...]."""
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
        pool = self.block.pool
        return found if pool is None else self._pooled(found, pool)

    def _pooled(self, codes: Tensor, pool: PoolWindow) -> Tensor:
        # ~q = -q - 1 turns the order of integers round and is inside int8: channels that take their smallest.
        codes = torch.where(self.turned, ~codes, codes)
        vertical, horizontal = pool.padding
        lowest = torch.iinfo(codes.dtype).min
        codes = F.pad(codes, (horizontal, horizontal, vertical, vertical), value=lowest)
        codes = F.max_pool2d(codes, pool.kernel, pool.stride)
        return torch.where(self.turned, ~codes, codes)


def make_stage(block: Block, source: CodeScale, target: CodeScale | None, device: torch.device) -> Stage:
    """Return a block in integers.

    Args:
        block: of an `integer_blocks` chain.
        source: of the codes that it reads.
        target: of the codes that it writes; None of the last block, which writes scores.
        device: where it runs.

    Raises:
        NotIntegerError: sums that may not fit int32.
    """
    weight, factor, offset = block.layer.quantized_weight(), block.factor.cpu(), _offset(block)
    weight_scale = weight.scale.detach().double().reshape(-1).expand(block.channels).cpu()
    unit = source.scale * weight_scale * factor.abs()
    output = _score_scale(weight, source, unit, offset) if target is None else target
    coarser = _coarser(unit, offset, output.scale)
    packed = _packed(_rounded(weight, coarser), device)
    unit = torch.ldexp(unit.clamp_min(_SMALLEST_UNIT), coarser)
    bound = _largest_sums(packed, source) + offset.abs() / unit
    if float(bound.max()) >= 2**31:
        k = packed.data.shape[1]
        raise NotIntegerError(f"{block.name}: sums of {k} products and their bias may not fit int32")
    places = _room(bound, unit / output.scale)
    unit = torch.ldexp(unit, -places)
    signed_shift = torch.where(factor < 0, -1, 1) * 2 ** places.long()
    multiplier = FixedPointMultiplier.of(unit / output.scale)
    low, high = output.clamped(block.activation)
    return Stage(
        block=block,
        weight=packed,
        factor=signed_shift.int().to(device),
        bias=torch.round(offset / unit).int().to(device),
        unit=unit,
        multiplier=FixedPointMultiplier(multiplier.mantissa.to(device), multiplier.shift.to(device)),
        input=source,
        output=output,
        low=low,
        high=high,
        turned=(block.direction < 0).reshape(-1, 1, 1).to(device),
    )


def _offset(block: Block) -> Tensor:
    """Return the block's output where all products are 0: the normalized bias; float64 [C]."""
    bias = block.layer.bias
    if bias is None:
        bias = torch.zeros(block.channels)
    return bias.detach().double().cpu() * block.factor.cpu() + block.shift.cpu()


def _score_scale(weight: Quantized, source: CodeScale, unit: Tensor, offset: Tensor) -> CodeScale:
    """Return the scale of int32 scores in which the largest possible score of all classes is 2^30."""
    furthest = _largest_sums(_OP.pack(weight), source) * unit + offset.abs()
    return CodeScale(max(float(furthest.max()) / 2.0**30, _SMALLEST_UNIT), 0, -(2**31), 2**31 - 1)


def _coarser(unit: Tensor, offset: Tensor, output_scale: float) -> Tensor:
    """Return the powers of two by which the channels' units grow, int [C]: 0 for a channel that is not degenerate."""
    needed = torch.maximum(offset.abs() / _BIAS_LIMIT, torch.full_like(unit, output_scale * _SMALLEST_FACTOR))
    return torch.ceil(torch.log2(needed / unit.clamp_min(_SMALLEST_UNIT))).clamp_min(0).int()


def _rounded(weight: Quantized, places: Tensor) -> Quantized:
    """Return the weight, with the rows whose unit is 2^places as large rounded to it."""
    if not bool((places > 0).any()):
        return weight
    shape = [-1] + [1] * (weight.codes.dim() - 1)
    centred = weight.codes.double().cpu()
    if weight.zero_point is not None:
        centred = centred - weight.zero_point.double().cpu()
    rounded = torch.round(torch.ldexp(centred, -places.view(shape))).clamp(-127, 127)
    codes, zero_point = as_int8(weight)
    zeros = torch.zeros(places.numel(), dtype=torch.int32) if zero_point is None else zero_point.cpu()
    new_codes = torch.where(places.view(shape) > 0, rounded.to(torch.int8), codes.cpu())
    new_zeros = torch.where(places > 0, 0, zeros.expand(places.numel())).view(shape)
    return Quantized(new_codes, weight.scale, None if zero_point is None else new_zeros, INT8)


def _packed(weight: Quantized, device: torch.device) -> Packed:
    """Return the weight packed for Int8Op, on `device`."""
    packed = _OP.pack(Quantized(weight.codes.to(device), weight.scale, weight.zero_point, weight.format))
    if packed.zero_point is None:
        return packed
    return Packed(packed.data, packed.scale, packed.shape, packed.zero_point.to(device), packed.row_sums)


def _largest_sums(packed: Packed, source: CodeScale) -> Tensor:
    """Return the largest magnitude of each channel's sum that the weights allow, whatever the input; float64 [C]."""
    zero_point = torch.zeros(1) if packed.zero_point is None else packed.zero_point.cpu()
    furthest = max(127 - source.zero_point, 128 + source.zero_point)
    return (packed.data.cpu().double() - zero_point.reshape(-1, 1)).abs().sum(1) * furthest


def _room(bound: Tensor, factor: Tensor) -> Tensor:
    """Return the places, int [C], by which sums up to `bound` may be shifted left.

    `factor`, which shrinks by as much, stays above gemmlowp's least.
    """
    places = torch.minimum(torch.log2(2.0**30 / bound.clamp_min(1.0)), torch.log2(factor / _SMALLEST_FACTOR))
    return torch.floor(places).clamp_min(0).int()
