"""Tries one network under one scheme, beside the reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qbench.conformance.cell import Cell
from qbench.conformance.difference import Difference, MismatchError
from qbench.conformance.metering import multiply_accumulates
from qbench.conformance.plain import plain_copy
from qbench.conformance.recording import Call, record
from qbench.conformance.reference import Reference
from qbench.conformance.subject import Subject
from qbench.cost.estimate import estimate_network
from qbench.data.classification import predicted_classes
from qbench.errors import ConfigError, UserError, one_line
from qbench.nn.meter import UnaccountedError
from qbench.nn.packing import packed
from qbench.nn.quant_layer import quant_layers
from qbench.ptq.calibration import calibrate
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.named import spelled_out
from qbench.schemes.scheme import Scheme
from qbench.training.accuracy import predict
from qbench.training.module import QuantModule

EXAMPLES = 16
"""Inputs that are compared."""

_SEED = 7
_FUNCTIONS = ("relu", "identity", "hardtanh")


def check_cell(subject: Subject, scheme: str, allow_float: Sequence[str] = ()) -> Cell:
    """Return what comes of a network under a scheme.

    The network takes one step of training, with which its weights are no longer those it was made of, is quantized as
    a trial quantizes it, and runs on random inputs.

    Args:
        subject: the network.
        scheme: by name.
        allow_float: the scheme's option.

    Raises:
        ConfigError: a scheme whose activation function has no formula here.
    """
    found: dict[str, Any] = {"network": subject.name, "scheme": scheme, "allow_float": tuple(allow_float)}
    wanted = get_scheme(scheme)
    if wanted.recipe.activation_function not in _FUNCTIONS:
        raise ConfigError(
            f"{scheme} fills slots with {spelled_out(wanted.recipe.activation_function)}, which the reference does not "
            f"compute; known: {', '.join(_FUNCTIONS)}",
            "scheme",
        )
    if wanted.quantization.quantizes:
        wanted = wanted.replace(allow_float=tuple(allow_float))
    network = subject.network(_SEED)
    plain = plain_copy(network)
    names = [name for name, _ in network.named_modules() if name] + [type(network).__name__]
    try:
        return Cell(**found, verdict="right", **_compare(subject, network, plain, wanted))
    except UnaccountedError as error:  # names layers, but is a fault of the counts
        return Cell(**found, verdict="wrong", message=str(error))
    except UserError as error:
        if any(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w])", str(error)) for name in names):
            return Cell(**found, verdict="refused", message=str(error))
        return Cell(**found, verdict="wrong", message=f"is refused by an error that names no layer: {error}")
    except MismatchError as error:
        return Cell(**found, verdict="wrong", message=str(error))
    except Exception as error:  # whatever it is: a crash is a finding of the matrix, and not its end
        return Cell(**found, verdict="wrong", message=f"ends in an error: {one_line(error)}")


def _compare(subject: Subject, network: nn.Module, plain: nn.Module, scheme: Scheme) -> dict[str, Any]:
    """Return what a right cell has; see `check_cell` for what is raised."""
    example = subject.examples(2, _SEED) if subject.tokens is not None else subject.input_shape
    module = QuantModule(network, scheme, input_shape=example, classes=2)
    _train(module, subject.examples(EXAMPLES, 1))
    module.eval()
    _take_weights(plain, module.model)
    if scheme.post_training is not None:
        module.quantize()
        calibrate(module.model, subject.examples(4 * EXAMPLES, 2))
        module.eval()
    x = subject.examples(EXAMPLES, 3)
    calls, result = record(module.model, x)
    reference = Reference(plain, module.model, scheme)
    reference.compare(x, calls, result)
    difference = reference.difference
    packed = _compare_packed(module.model, calls, reference.results, difference)
    predicted = _packed_classes(module.model, x)
    share = _share(module.model, plain, example, x[:1], scheme)
    return {
        "error": difference.value,
        "error_at": difference.place,
        "packed_layers": packed,
        "agreement": None if predicted is None else float((predicted == predicted_classes(result)).double().mean()),
        "quantized_share": share,
    }


@torch.no_grad()
def _packed_classes(network: nn.Module, x: Tensor) -> Tensor | None:
    """Return the predictions of packed execution; None where no layer runs packed."""
    with packed(network, x) as ops:
        return predict(network, x) if any(op.packs for op in ops.values()) else None


def _train(module: QuantModule, x: Tensor) -> None:
    """Take one step of gradient descent, and begin the next.

    Raises:
        MismatchError: a weight gets no gradient although its layer runs, or one that is not finite.
    """
    module.train()
    optimizer = torch.optim.SGD([each for each in module.parameters() if each.requires_grad], 1e-2)
    calls, _ = record(module.model, x)
    module.model(x).square().mean().backward()
    layers = dict(module.model.named_modules())
    for name in dict.fromkeys(call.name for call in calls):
        for parameter in layers[name].parameters(recurse=False):
            if parameter.grad is None or not bool(parameter.grad.isfinite().all()):
                raise MismatchError(f"{name}: training gives its weight no finite gradient")
    optimizer.step()
    module.clip_latents()
    with torch.no_grad():
        module.model(x)  # ranges of weights follow in the next step of a training


def _take_weights(plain: nn.Module, network: nn.Module) -> None:
    """Give the float64 network the weights and statistics of the trained one, which has them under the same names."""
    state = network.state_dict()
    wanted = plain.state_dict()
    lacking = [name for name in wanted if name not in state]
    if lacking:
        raise MismatchError(f"{lacking[0]} is gone from the quantized network")
    plain.load_state_dict({name: state[name] for name in wanted})


@torch.no_grad()
def _compare_packed(network: nn.Module, calls: Sequence[Call], right: Sequence[Tensor], difference: Difference) -> int:
    """Run each call of a layer packed, compare it with the reference, and return how many layers run so."""
    layers = dict(quant_layers(network))
    packed = set()
    for call, result in zip(calls, right, strict=True):
        layer = layers.get(call.name)
        if layer is None:
            continue
        shape = layer.layer_shape(tuple(call.given.shape[1:]), tuple(call.result.shape[1:]))
        try:
            if layer.pack(shape).packs:
                packed.add(call.name)
                difference.meet(result, layer(call.given), f"{call.name}, packed")
        finally:
            layer.unpack()
    return len(packed)


def _share(network: nn.Module, plain: nn.Module, example: Any, x: Tensor, scheme: Scheme) -> float:
    """Return the share of multiply-accumulates that the costs call quantized, which the reference counts by itself.

    Raises:
        MismatchError: the counts differ.
    """
    metrics: dict[str, Any] = estimate_network(network, example).metrics(1)
    quantized, total = multiply_accumulates(network, plain, x)
    share = float(metrics["cost/quantized_share"])
    if int(metrics["cost/macs"]) != total:
        raise MismatchError(f"the costs count {metrics['cost/macs']:,} multiply-accumulates, torch's meter {total:,}")
    if abs(share - quantized / total) > 1e-9:
        raise MismatchError(f"the costs call {share:.4%} quantized, which is {quantized / total:.4%}")
    chosen = scheme.quantization
    whole = chosen.quantizes and not chosen.allow_float and chosen.first_layer == chosen.last_layer == "same"
    if whole and share < 1:
        raise MismatchError(f"{1 - share:.1%} of the multiply-accumulates run in float32, which nothing allows")
    return share
