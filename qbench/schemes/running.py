"""A quantized network run on random numbers, for what its operations do not show."""

from __future__ import annotations

import copy
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from qbench.errors import ConfigError, one_line, quoted
from qbench.nn.evaluation_mode import evaluating, plain_execution
from qbench.nn.graph.example import example_batch
from qbench.nn.hooks import watching
from qbench.nn.quant_layer import QuantLayer
from quantizers import BINARY, Quantizer

_EXAMPLES = 16

_log = logging.getLogger(__name__)


def check_running(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> None:
    """Run a copy of the network in evaluation, with gradients and without, and compare the results.

    Both are in float64, where rounding does not turn a sign. They differ where a fused form that only runs without
    gradients reads weights past their layers. Binary layers must see inputs of either sign.

    Args:
        network: quantized, or not yet; it stays as it is. One that cannot be copied is not run: a warning says so.
        input_shape: of one example, for a batch from N(0, 1); or a batch of examples, which is taken as it is.

    Raises:
        ConfigError: the results differ, or a binary layer's inputs all have one sign.
    """
    try:
        copied = copy.deepcopy(network).eval()
    except RuntimeError as error:  # torch copies no tensor that a computation has made, as old weight_norm's
        name = type(network).__name__
        _log.warning("%s was not run on random numbers, for it cannot be copied: %s", name, one_line(error))
        return
    with torch.random.fork_rng(devices=[]):
        try:
            found = _run(copied.double(), _batch(copied, input_shape, torch.float64))
        except RuntimeError:  # a forward that makes float32 numbers of its own runs in float32 alone
            copied = copy.deepcopy(network).eval()
            check_takes(copied, input_shape)  # or in none: a table that is asked for tokens 0.3 and -1.2
            found = _run(copied, _batch(copied, input_shape, next(_floats(copied)).dtype))
    _check_signs(copied, found.signs)
    if found.dtype == torch.float64 or not any(_quantizes_inputs(module) for module in network.modules()):
        _check_same(network, found)


def check_takes(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> None:
    """Run the network in evaluation on zeros, where its operations could not be read: does it run at all?

    Raises:
        ConfigError: it raises an error of its own; where a quantizer did, that is named.
    """
    example = example_batch(input_shape, network)
    try:
        with evaluating(network), plain_execution(), torch.random.fork_rng(devices=[]):
            network(example)
    except Exception as error:  # of the network's own code: any
        for place, module in network.named_modules():
            if isinstance(module, Quantizer) and _raised(module, error):
                message = f"{place} ({type(module).__name__}) does not quantize a batch: {one_line(error)}"
                raise ConfigError(message, "scheme") from error
        raise ConfigError(
            f"{type(network).__name__} does not run on one tensor {list(example.shape)} of {example.dtype}: "
            f"{one_line(error)}; the network must take one tensor, a batch of examples; for token "
            "numbers, give such a batch in place of the input's shape",
            "model",
        ) from error


def _raised(module: nn.Module, error: BaseException) -> bool:
    """Whether an exception passed through a method of `module`."""
    return any(frame.f_locals.get("self") is module for frame, _ in traceback.walk_tb(error.__traceback__))


@dataclass(frozen=True)
class _Run:
    """What two passes over one batch gave.

    Attributes:
        with_gradients, without: the results.
        signs: of each binary layer, whether negative and other inputs came in.
        dtype: of the numbers.
    """

    with_gradients: list[Tensor]
    without: list[Tensor]
    signs: dict[str, set[bool]]
    dtype: torch.dtype


def _floats(network: nn.Module) -> Iterator[Tensor]:
    yield from (parameter for parameter in network.parameters() if parameter.is_floating_point())
    yield torch.zeros(())


def _batch(network: nn.Module, input_shape: tuple[int, ...] | Tensor, dtype: torch.dtype) -> Tensor:
    device = next(_floats(network)).device
    if isinstance(input_shape, Tensor):
        return input_shape.to(device, dtype if input_shape.is_floating_point() else input_shape.dtype)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_EXAMPLES, *input_shape, generator=generator, dtype=dtype).to(device)


def _run(network: nn.Module, batch: Tensor) -> _Run:
    binary = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, QuantLayer) and module.input_format == BINARY
    }
    signs: dict[str, set[bool]] = {}

    def look(name: str, x: Tensor) -> None:
        seen = signs.setdefault(name, set())
        seen |= {negative for negative in (True, False) if bool(((x < 0) == negative).any())}

    results = []
    for with_gradients in (True, False):
        with _seeded(batch.device), watching(binary, inputs=look), torch.set_grad_enabled(with_gradients):
            results.append(_outputs(network(batch.clone())))
    return _Run(results[0], results[1], signs, batch.dtype)


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Seed the generators that a dropout on `device` draws from, which evaluation may leave on; then put them back.

    `torch.manual_seed` would seed those of every GPU for good, and so the training's dropout whatever its own seed is.
    """
    on_cuda = [torch.cuda.current_device() if device.index is None else device.index] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=on_cuda):
        for generator in (torch.default_generator, *(torch.cuda.default_generators[index] for index in on_cuda)):
            generator.manual_seed(0)
        yield


def _quantizes_inputs(module: nn.Module) -> bool:
    return isinstance(module, QuantLayer) and module.input_quantizer is not None


def _check_signs(network: nn.Module, signs: dict[str, set[bool]]) -> None:
    for name, seen in signs.items():
        if len(seen) == 1:
            sign, which = ("negative", "-1") if seen == {True} else ("never negative", "+1")
            raise ConfigError(
                f"{name} ({type(network.get_submodule(name)).__name__}): its binary input is {sign}, so every sign "
                f"would be {which}: put a BatchNorm, or an nn.ReLU, which the scheme replaces, in front of it, or "
                f"leave its input real by layers: {{{quoted(name)}: {{activations: null}}}}",
                "model",
            )


def _check_same(network: nn.Module, found: _Run) -> None:
    tolerance = 1e-6 if found.dtype == torch.float64 else 1e-3
    for given, right in zip(found.without, found.with_gradients, strict=True):
        scale = float(right.abs().max()) if right.numel() else 0.0
        if not torch.allclose(given, right, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
            raise ConfigError(
                f"{type(network).__name__} computes otherwise without gradients than with them, by "
                f"{float((given - right).abs().max()):.3g} of {scale:.3g}: something in it reads weights without "
                "calling their layers, as torch's fused transformer layers do; call the layers, or switch it off",
                "model",
            )


def _outputs(result: object) -> list[Tensor]:
    return [each.detach() for each in tree_leaves(result) if isinstance(each, Tensor) and each.is_floating_point()]
