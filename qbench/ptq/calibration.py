"""Post-training calibration: statistics of activations on training images, and the ranges that follow from them."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from qbench.data.splits import Examples, Splits
from qbench.errors import ConfigError
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.ptq.weight_outliers import outlier_reports
from qbench.seeds import derive
from qbench.training.readiness import calibrating
from quantizers import Encoding, Observer, Quantizer, clip_outliers

_BIAS_UNITS = 2.0**24  # float32 holds all whole numbers up to here
_SMALLEST_UNIT = 2.0**-100

CALIBRATION_BATCH = 32
"""Images in a batch of calibration; only the method mean_extremes depends on it."""


def calibration_images(splits: Splits, count: int, seed: int) -> Examples:
    """Return `count` training images, drawn without replacement by `seed`.

    Of a loader that only iterates, whose examples have no numbers, they are the first ones in its order under seed 0.

    Raises:
        ConfigError: `count` is above the number of training images.
    """
    places = calibration_indices(splits, count, seed)
    found = splits.train.first(count) if places is None else splits.train[places]
    check_calibration_images(count, len(found))
    return found


def check_calibration_images(count: int, available: int | None) -> None:
    """Refuse to calibrate on more images than there are for training; None stands for a number that nobody knows.

    Raises:
        ConfigError: `count` is above `available`.
    """
    if available is not None and count > available:
        raise ConfigError(f"{count} images of {available} training images", "calibration_images")


def calibration_indices(splits: Splits, count: int, seed: int) -> Tensor | None:
    """Return the places of `calibration_images` among the training images, int64 [count]; errors as there.

    None stands for the first ones of a loader that only iterates.
    """
    if not splits.train.has_places:
        return None
    check_calibration_images(count, len(splits.train))
    order = torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(derive(seed, "calibration")))
    return order[:count]


def calibrate_weights(
    network: nn.Module,
    outlier_sigmas: float | None = None,
    input_shape: tuple[int, ...] | Tensor | None = None,
) -> None:
    """Calibrate every weight quantizer that is not ready, on its layer's own weight.

    Args:
        network: quantized.
        input_shape: of one example, or a batch of examples: see `outlier_reports`.
        outlier_sigmas: take ranges from the weights clipped at that many robust standard deviations (see
            `outlier_reports`); the weights themselves stay as they are, and saturate. None clips nothing.
    """
    reports = {} if outlier_sigmas is None else outlier_reports(network, outlier_sigmas, input_shape)
    for name, layer in quant_layers(network):
        quantizer = layer.weight_quantizer
        if quantizer is not None and not quantizer.is_ready:
            weight = layer.weight.detach()
            weight = clip_outliers(weight, reports[name]) if name in reports else weight
            layer.calibrate_weight(weight)
            _make_room_for_bias(layer, quantizer, weight)


def _make_room_for_bias(layer: QuantLayer, quantizer: Quantizer, weight: Tensor) -> None:
    """Let channels without weights to speak of have a scale that keeps their bias.

    A bias becomes a whole number of units `S_x·S_w` (see `round_biases`). For the weights of a channel of zeros any S_w
    will do, but not for its bias; weights that have all but vanished make units of which the bias takes more than int32
    holds. Such channels get `S_w = |b| / (2^24·S_x)`: the bias is 2^24 units, which float32 and int32 both hold. What
    is left of a weight is then rounded to S_w: its product with an input code q is off by at most |q|·|b| / 2^25.
    """
    encoding, source = quantizer.encoding(), _integer_scale(layer.input_quantizer)
    if layer.bias is None or encoding is None or not _is_integer(encoding):
        return
    if source is None or source.numel() != 1:
        return
    wanted = layer.bias.detach().abs().double() / (_BIAS_UNITS * source.double())
    zeros = weight.flatten(1).abs().amax(1) == 0
    scale = encoding.scale.double()
    if scale.numel() == 1:  # one for all channels
        wanted, zeros = wanted.amax().reshape(1), zeros.all().reshape(1)
    chosen = (wanted > scale.reshape(-1)) | (zeros & (wanted > _SMALLEST_UNIT))
    if not bool(chosen.any()):
        return
    # A quantizer finds its scale by observing: a row of one value, whose range has the wanted one.
    steps = encoding.format.maximum - (0 if encoding.format.minimum < 0 else encoding.format.minimum)
    rows = (wanted * steps).to(weight.dtype).reshape(-1, *[1] * (weight.dim() - 1))
    observed = torch.where(chosen.reshape(rows.shape), rows, weight)
    quantizer.start_observing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first calibration has warned of what is odd about the weights
        quantizer.observe(observed)
        quantizer.freeze()


def calibrate(
    network: nn.Module, images: Tensor, batch_size: int = CALIBRATION_BATCH, outlier_sigmas: float | None = None
) -> None:
    """Calibrate every quantizer that is not ready: of inputs on `images`, through the float network, then of weights.

    Args:
        network: quantized by a post-training scheme.
        images: [N, ...]; their order does not matter.
        batch_size: images in one forward pass, at most. Batches are as equal as they can be, for the method
            mean_extremes, the only one that depends on them.
        outlier_sigmas: see `calibrate_weights`.

    Raises:
        ValueError: no images; or NaN or infinity in an activation, and then the message names the layer.
    """
    observe(network, images, batch_size)
    freeze(network, outlier_sigmas, images[:1])
    round_biases(network)


@torch.no_grad()
def observe(network: nn.Module, images: Tensor, batch_size: int = CALIBRATION_BATCH) -> None:
    """Collect the statistics of every input quantizer that waits for them; arguments and errors as `calibrate`."""
    if len(images) == 0:
        raise ValueError("calibration needs at least one image")
    waiting = input_quantizers(network)
    for quantizer in waiting.values():
        quantizer.start_observing()
    training = network.training
    network.eval()
    with calibrating():
        for batch in images.tensor_split(-(-len(images) // batch_size)):
            network(batch)
    network.train(training)


def freeze(
    network: nn.Module,
    outlier_sigmas: float | None = None,
    input_shape: tuple[int, ...] | Tensor | None = None,
) -> None:
    """Turn the statistics into ranges, and quantize from now on; arguments as of `calibrate_weights`.

    Raises:
        ValueError: an input quantizer that needs calibration is not ready after its `freeze`.
    """
    for name, quantizer in input_quantizers(network).items():
        quantizer.freeze()
        if quantizer.needs_calibration and not quantizer.is_ready:
            raise ValueError(f"{name}: {type(quantizer).__name__} is not ready after its calibration")
    calibrate_weights(network, outlier_sigmas, input_shape)


@torch.no_grad()
def round_biases(network: nn.Module) -> None:
    """Round the biases of integer layers to the units of the int32 accumulator.

    `b = S_x·S_w · round(b / (S_x·S_w))`, so that evaluation adds the bias that integer execution adds.

    Source: Jacob et al. (CVPR 2018) section 2.4.
    """
    for _, layer in quant_layers(network):
        weight, source = _integer_scale(layer.weight_quantizer), _integer_scale(layer.input_quantizer)
        if layer.bias is not None and weight is not None and source is not None and source.numel() == 1:
            unit = weight.double() * source.double()
            layer.bias.copy_(torch.round(layer.bias.double() / unit) * unit)


def _integer_scale(quantizer: Quantizer | None) -> Tensor | None:
    """Return the scale of a quantizer that gives integers of a known encoding, else None."""
    encoding = None if quantizer is None else quantizer.encoding()
    return encoding.scale if encoding is not None and _is_integer(encoding) else None


def _is_integer(encoding: Encoding) -> bool:
    """Whether the codes are integers with one scale for each sum of their products, so that biases have a unit."""
    return encoding.format.kind in ("integer", "odd") and encoding.format.group_size is None


def input_quantizers(network: nn.Module) -> dict[str, Quantizer]:
    """Return the input quantizers that wait for calibration, by layer name.

    They are those that are not ready, and either need calibration or have an observer.
    """
    found = {name: layer.input_quantizer for name, layer in quant_layers(network)}
    return {
        name: quantizer
        for name, quantizer in found.items()
        if quantizer is not None
        and not quantizer.is_ready
        and (quantizer.needs_calibration or quantizer.observer is not None)
    }


def can_share_statistics(network: nn.Module) -> bool:
    """Whether `statistics` has all that was observed: a quantizer without an observer keeps it to itself."""
    return all(quantizer.observer is not None for quantizer in input_quantizers(network).values())


def _observers(network: nn.Module) -> dict[str, Observer]:
    """Return the observers of the input quantizers that wait, by layer name."""
    found = {name: quantizer.observer for name, quantizer in input_quantizers(network).items()}
    return {name: observer for name, observer in found.items() if observer is not None}


def observer_settings(network: nn.Module) -> dict[str, Any]:
    """Return what the waiting observers record, by layer name, as plain values.

    Networks with equal settings can share statistics.
    """
    return {
        name: [type(observer).__qualname__]
        + [[key, tensor.tolist()] for key, tensor in sorted(observer.to_tensors().items())]
        for name, observer in _observers(network).items()
    }


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """Return what `observe` collected, as tensors, to be stored and shared by every calibration method."""
    return {
        f"{name}/{key}": tensor
        for name, observer in _observers(network).items()
        for key, tensor in observer.to_tensors().items()
    }


def load_statistics(network: nn.Module, stored: dict[str, Tensor]) -> None:
    """Put the stored result of `statistics` in the place of an `observe` pass."""
    waiting = input_quantizers(network)
    for name, observer in _observers(network).items():
        own = {key.removeprefix(f"{name}/"): tensor for key, tensor in stored.items() if key.startswith(f"{name}/")}
        waiting[name].observer = type(observer).from_tensors(own)
