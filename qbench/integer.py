"""True integer execution: int8 from layer to layer, int32 inside, and no float between the pixels and the scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.blocks import Block, UnsupportedStructureError, blocks, pair
from qbench.layers import QuantConv2d, quant_layers
from qbench.quant_op import Int8Op, Packed, as_int8
from quantizers import INT8, LSQ, FixedPointMultiplier, Quantized, Quantizer, Uniform, requantize

# A bias beyond this, in units of the accumulator, gets a coarser unit: the sums then fit beside it.
_BIAS_LIMIT = 2.0**30
# Below gemmlowp's shifts; a channel so much finer than its output gets a coarser unit as well.
_SMALLEST_FACTOR = 2.0**-30
_OP = Int8Op()
_BATCH = 1000


class NotIntegerError(UnsupportedStructureError):
    """A network that does not run in integers here; the message names the layer and the reason."""


@dataclass(frozen=True)
class Encoding:
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
    input: Encoding
    output: Encoding
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


class IntegerNetwork:
    """A quantized network as int8 × int8 -> int32 -> int8 from its input's codes to its scores.

    Per stage: exact int32 sums (`Int8Op`), a left shift, the bias in int32, gemmlowp's fixed-point multiplication, the
    activation as a clamp of the codes, max-pool on the codes. BatchNorm, folded before or not, is in the multiplier and
    the bias. The last stage gives int32 scores of one scale for all classes, in which the largest possible score is
    2^30: comparing them needs no float.

    The shift takes the sums of each channel to just below 2^30 (by the bound that its weights give). The fixed-point
    multiplication rounds twice, first its 32-bit product; without the shift that first rounding is at 1/16 to 1/128 of
    a level, and one code in a hundred differs from the correctly rounded one.

    A channel whose bias would not fit (its weights have all but vanished), or whose unit is under 2^-30 of its
    output's, gets a coarser unit, a power of two larger, and its codes are rounded to it.

    Args:
        network: an nn.Sequential of blocks (see `blocks`), every layer with integer weights and inputs of 2 to 8 bits,
            calibrated or trained. Later changes of it are not followed.
        device: where it runs.

    Raises:
        NotIntegerError, UnsupportedStructureError: a network that cannot run so, with the layer and the reason.

    Source: Jacob et al. (CVPR 2018) section 2.
    """

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu") -> None:
        chain = blocks(network)
        for block in chain:
            check_block(block)
        if chain[-1].pool is not None:
            raise NotIntegerError(f"{chain[-1].name}: a max-pool after the last layer")
        self.device = torch.device(device)
        self.quantizer = chain[0].layer.input_quantizer
        self.stages: list[Stage] = []
        encoding = _encoding(self.quantizer)
        for block in chain:
            stage = _stage(block, encoding, block is chain[-1], self.device)
            self.stages.append(stage)
            encoding = stage.output

    @torch.no_grad()
    def outputs(self, images: Tensor) -> list[Tensor]:
        """What every stage makes of float images [B, ...]: int8 codes, of the last one int32 scores."""
        assert self.quantizer is not None
        codes = as_int8(self.quantizer.quantize(images))[0].to(self.device)
        found = []
        for stage in self.stages:
            codes = stage.run(codes, last=stage is self.stages[-1])
            found.append(codes)
        return found

    def __call__(self, images: Tensor) -> Tensor:
        """Scores, float32 [B, classes]: the int32 scores times their scale."""
        scores = torch.cat([self.outputs(batch)[-1] for batch in images.split(_BATCH)])
        return (scores.double() * self.stages[-1].output.scale).float()

    def predict(self, images: Tensor) -> Tensor:
        """Classes, int64 [B]: the largest int32 score, the first of equals."""
        return torch.cat([self.outputs(batch)[-1].argmax(1) for batch in images.split(_BATCH)])


@dataclass(frozen=True)
class Agreement:
    """Integer against fake-quantized execution of one network on the same images.

    Attributes:
        predictions: share of images with the same predicted class.
        equal_outputs: share of equal codes, over all codes handed from layer to layer.
        within_one: share of those that differ by at most one level.
        predicted: the integer network's classes, int64 [N].
    """

    predictions: float
    equal_outputs: float
    within_one: float
    predicted: Tensor


@torch.no_grad()
def agreement(network: nn.Module, images: Tensor, integer: IntegerNetwork | None = None) -> Agreement:
    """Run `images` [N, ...] both ways, each chain on its own from the pixels on; N > 0.

    `network` is in evaluation mode and not packed. A network of one layer hands no codes on: both shares are then 1.

    Raises:
        NotIntegerError, UnsupportedStructureError: as `IntegerNetwork`.
    """
    integer = integer or IntegerNetwork(network)
    layers = [layer for _, layer in quant_layers(network)]
    seen: list[Tensor] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer.input_quantizer, Quantizer)
        seen.append(as_int8(layer.input_quantizer.quantize(inputs[0]))[0])

    handles = [layer.register_forward_pre_hook(record) for layer in layers[1:]]
    equal = near = total = same = 0
    predicted = []
    try:
        for batch in images.split(_BATCH):
            seen.clear()
            scores = network(batch)
            *codes, integer_scores = (output.cpu() for output in integer.outputs(batch))
            for ours, theirs in zip(codes, seen, strict=True):
                distance = (ours.flatten().short() - theirs.flatten().short()).abs()
                equal += int((distance == 0).sum())
                near += int((distance <= 1).sum())
                total += distance.numel()
            predicted.append(integer_scores.argmax(1))
            same += int((predicted[-1] == scores.argmax(1)).sum())
    finally:
        for handle in handles:
            handle.remove()
    shares = (equal / total, near / total) if total else (1.0, 1.0)
    return Agreement(same / len(images), *shares, torch.cat(predicted))


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


def _encoding(quantizer: Quantizer | None) -> Encoding:
    assert quantizer is not None
    empty = quantizer.quantize(torch.zeros(1, device=_device(quantizer)))
    if empty.scale.numel() != 1:
        raise NotIntegerError(f"{quantizer.layer_name}: a scale per channel of the input has no int32 sum")
    zero_point = as_int8(empty)[1]
    return Encoding(float(empty.scale), 0 if zero_point is None else int(zero_point))


def _device(quantizer: Quantizer) -> torch.device:
    return next(tensor.device for tensor in quantizer.state_dict().values() if isinstance(tensor, Tensor))


def _stage(block: Block, source: Encoding, last: bool, device: torch.device) -> Stage:
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
        target = Encoding(max(float(furthest.max()) / 2.0**30, 2.0**-126), 0)
        low, high = _clamp(block.activation, target, -(2**31), 2**31 - 1)
    else:
        assert block.following is not None
        target = _encoding(block.following)
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


def _clamp(activation: str, encoding: Encoding, low: int, high: int) -> tuple[int, int]:
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


def _largest_sums(packed: Packed, source: Encoding) -> Tensor:
    """The largest magnitude of each channel's sum that these weights allow, whatever the input; float64 [C]."""
    zero_point = torch.zeros(1) if packed.zero_point is None else packed.zero_point.cpu()
    furthest = max(127 - source.zero_point, 128 + source.zero_point)
    return (packed.data.cpu().double() - zero_point.reshape(-1, 1)).abs().sum(1) * furthest


def _room(bound: Tensor, factor: Tensor) -> Tensor:
    """Places, int [C], by which sums up to `bound` may be shifted left and `factor` stays above gemmlowp's least."""
    places = torch.minimum(torch.log2(2.0**30 / bound.clamp_min(1.0)), torch.log2(factor / _SMALLEST_FACTOR))
    return torch.floor(places).clamp_min(0).int()
