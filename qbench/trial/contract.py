"""The contract of a network's quantizers, checked before training, and on what training made of them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qbench.errors import ConfigError, TrainingError
from qbench.nn.evaluation_mode import evaluating
from qbench.nn.hooks import watching
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.schemes.placed_quantizers import placed_quantizers
from qbench.schemes.quantization import Role
from qbench.schemes.scheme import Scheme
from qbench.training.scheme_module import SchemeModule
from quantizers import LayerPlace, Quantizer
from quantizers.contract import Fault, check_quantizer, tensor_faults
from quantizers.contract.examples import default_shapes, shape_at, smaller_shapes

IMAGES = 64
"""Test images whose inputs of every layer are checked after training: cheap beside the evaluation."""

_ROLES: dict[str, Role] = {"weights": "weights", "activations": "activations", "network_input": "activations"}
_SOMEWHERE: dict[Role, LayerPlace] = {
    role: LayerPlace("", role, "linear", (6, 331), 0, 1) for role in ("weights", "activations")
}

_known: dict[tuple[Any, ...], list[Fault]] = {}
"""What was found, by the quantizer's class, its pickled state, its role and the shape of the tensors."""


def check_contract(module: SchemeModule) -> None:
    """Check every quantizer of a module's layers, as `check_quantizer` does; equal ones once in a process.

    Raises:
        ConfigError: a quantizer breaks the contract; the message names layer, role, class, check and value.
    """
    choose = module.scheme.quantization.choose
    for name, layer, role, quantizer in placed_quantizers(module.model):
        faults = _faults(quantizer, layer, role)
        if faults:
            raise ConfigError(
                f"{name}: {_refusal(quantizer, role, faults)}",
                f"scheme_options.{choose(role, name, layer.position, layer.layer_count).option}",
            )


def check_named(scheme: Scheme) -> None:
    """Check the quantizers that a scheme names, wherever they would stand: what breaks a network may be theirs.

    A quantizer that only a layer's shape lets build, or run, is passed over.

    Raises:
        ConfigError: as `check_contract`, without a layer.
    """
    named = scheme.quantization
    for option, role in _ROLES.items():
        spec = getattr(named, option)
        if spec is None:
            continue
        try:
            quantizer = spec.build()
        except ConfigError:
            continue
        for shape in default_shapes(role):
            faults = check_quantizer(quantizer, place=_SOMEWHERE[role], shape=shape)
            if faults and faults[0].check != "ready":
                raise ConfigError(_refusal(quantizer, role, faults), f"scheme_options.{option}")


def _refusal(quantizer: Quantizer, role: Role, faults: Sequence[Fault]) -> str:
    more = f"; {len(faults) - 1} more" if len(faults) > 1 else ""
    return (
        f"{type(quantizer).__name__} ({role}) breaks the contract of quantizers: {faults[0]}{more} "
        f"(`qbench check-quantizer` shows every check)"
    )


def _faults(quantizer: Quantizer, layer: QuantLayer, role: Role) -> list[Fault]:
    place, state = layer.place(role), _state(quantizer)
    key = (type(quantizer), state, role, smaller_shapes(shape_at(place), role, quantizer.format)[0])
    if key not in _known:
        found = check_quantizer(quantizer, place=place)
        if state is None:  # not to be told from another one
            return found
        _known[key] = found
    return _known[key]


def _state(quantizer: Quantizer) -> bytes | None:
    """Return all that a quantizer is, but for its name; None where it cannot be pickled, which is a fault as well."""
    try:
        copied = copy.deepcopy(quantizer)
        copied.layer_name = ""
        file = io.BytesIO()
        _Values(file).dump(copied)
        return file.getvalue()
    except Exception:
        return None


class _Values(pickle.Pickler):
    """Pickles tensors as their values: torch's own form names the place in memory, so that no two are equal."""

    def reducer_override(self, obj: Any) -> Any:
        """Return a tensor's dtype, shape and bytes; all else as ever."""
        if not isinstance(obj, Tensor):
            return NotImplemented
        values = obj.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        return (tuple, ([str(obj.dtype), tuple(obj.shape), values],))


@torch.no_grad()
def check_trained(network: nn.Module, images: Tensor) -> None:
    """Check that evaluation and packing see the same numbers: in the weights as they are, and in every layer's inputs.

    Of each, `forward` must be the dequantized codes, and the codes those of the format: see
    `quantizers.contract.tensor_faults`. Latent weights, where evaluation uses them, are not quantized.

    Args:
        network: trained and calibrated, not packed.
        images: test images; the first `IMAGES` of them are taken.

    Raises:
        TrainingError: a quantizer breaks this; the message names layer, role, class, check and value.
    """
    layers = dict(quant_layers(network))
    with evaluating(network):
        for name, layer in layers.items():
            if layer.weight_quantizer is not None and not layer.latent_evaluation:
                _check_tensor(name, layer.weight_quantizer, layer.weight.detach(), "weights")

        def watch(name: str, x: Tensor) -> None:
            quantizer = layers[name].input_quantizer
            if quantizer is not None:
                _check_tensor(name, quantizer, x, "activations")

        with watching(layers, inputs=watch):
            network(images[:IMAGES])


def _check_tensor(name: str, quantizer: Quantizer, x: Tensor, role: Role) -> None:
    copied = copy.deepcopy(quantizer)  # inputs are counted: see `Quantizer.negative_inputs`
    faults = tensor_faults(copied, x, role)
    if faults:
        raise TrainingError(
            f"{name}: {type(quantizer).__name__} ({role}) breaks the contract of quantizers after the training: "
            f"{faults[0]}"
        )
