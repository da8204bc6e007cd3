"""Reads a network's graph from its execution, by torch.export."""

from __future__ import annotations

import io
import logging
import operator
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves

from qbench.errors import UserError, one_line
from qbench.nn.activation import Activation
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import base_name, kind_of
from qbench.nn.graph.memory import Memory
from qbench.nn.graph.node import Kind, Node
from qbench.nn.graph.products import count_macs
from qbench.nn.norm import NORMS
from qbench.nn.quant_layer import QuantLayer

BATCH = 2
"""Examples in the pass that is captured: more than one, so that no dimension of size 1 is taken for another."""

FLOAT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)
"""torch's own layers whose call is one operation; a subclass with a forward of its own is looked into."""


_TORCH = os.path.dirname(torch.__file__) + os.sep


class UncapturedError(UserError):
    """A network whose operations cannot be read without data; the message says where and why."""


def example_batch(
    input_shape: tuple[int, ...] | Tensor, network: nn.Module, dtype: torch.dtype | None = None, batch: int = BATCH
) -> Tensor:
    """Return a batch of zeros on the network's device: of an input's shape, or of the shape and dtype of an example.

    Args:
        input_shape: of one example, without the batch; or a batch of examples, of which zeros are made: a token's
            number, say, is an integer.
        dtype: None takes the example's, or that of the network's parameters.
    """
    reference = next(network.parameters(), torch.zeros(()))
    if isinstance(input_shape, Tensor):
        return torch.zeros(batch, *input_shape.shape[1:], device=reference.device, dtype=dtype or input_shape.dtype)
    return torch.zeros(batch, *input_shape, device=reference.device, dtype=dtype or reference.dtype)


def capture(network: nn.Module, input_shape: tuple[int, ...] | Tensor, *, training: bool = False) -> Graph:
    """Return the operations that `network` runs on an example, whatever the example's values.

    Calls of quantizable layers, BatchNorms and activation slots are one operation each; everything else is ATen's
    operations. The network's mode, weights and random streams stay as they are.

    Args:
        network: its forward takes one tensor.
        input_shape: see `example_batch`.
        training: the operations of training instead of those of evaluation.

    Raises:
        UncapturedError: the operations depend on the values of the input, or the network does not run on the example.
    """
    modes = {module: module.training for module in network.modules()}
    example = example_batch(input_shape, network)
    try:
        network.train(training)
        with _opaque(network) as whole, _quiet(), _plain_attention(), _restored(network), torch.enable_grad():
            program = torch.export.export(network, (example,), strict=False)
        return _Reader(network, program, whole).graph()
    except Exception as error:
        raise UncapturedError(
            f"the operations of {type(network).__name__} cannot be read{_place(network, error)}: {one_line(error)}"
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode


def is_called_whole(module: nn.Module) -> bool:
    """Whether a call of `module` is one operation of a graph: a layer, a BatchNorm that is known, or a slot."""
    if isinstance(module, QuantLayer | Activation) or type(module) in NORMS:
        return True
    return is_plain_layer(module)


def is_plain_layer(module: nn.Module) -> bool:
    """Whether `module` computes as one of FLOAT_LAYERS does: no forward, parametrization or parameters of its own."""
    for kind in FLOAT_LAYERS:
        if isinstance(module, kind):
            inherited = all(
                getattr(type(module), name, None) is getattr(kind, name, None) and name not in vars(module)
                for name in ("forward", "__call__", "_conv_forward")
            )
            return (
                inherited and set(module._parameters) <= {"weight", "bias"} and not hasattr(module, "parametrizations")
            )
    return False


# A module that is called whole is, while the capture lasts, a call of this operation, which no export looks into.
_LIBRARY = torch.library.Library("qbench", "DEF")
_LIBRARY.define("whole(Tensor x, str name) -> Tensor")
_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {}


@torch.library.register_fake("qbench::whole", lib=_LIBRARY)
def _shape_of_whole(x: Tensor, name: str) -> Tensor:
    return _SHAPES[name](x)


@contextmanager
def _opaque(network: nn.Module) -> Iterator[dict[str, nn.Module]]:
    """Let each module that is called whole be one operation, while the context lasts; yield them by name."""
    whole = {name: module for name, module in network.named_modules() if is_called_whole(module)}
    patched: list[tuple[nn.Module, Any]] = []
    try:
        for name, module in whole.items():
            _SHAPES[name] = _output_of(module)
            patched.append((module, vars(module).get("forward")))
            module.forward = _call_of(name)
        yield whole
    finally:
        for module, own in patched:
            if own is None:
                del module.forward
            else:
                module.forward = own
        _SHAPES.clear()


def _call_of(name: str) -> Callable[..., Tensor]:
    def forward(*args: Any, **options: Any) -> Tensor:
        given = [*args, *options.values()]
        if len(given) != 1:
            raise TypeError(f"{name}: a layer takes one tensor, got {len(given)} arguments")
        return torch.ops.qbench.whole(given[0], name)

    return forward


def _output_of(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what gives an empty tensor of the shape that `module` makes of its input."""
    if isinstance(module, nn.Embedding):
        return lambda x: x.new_empty(*x.shape, module.embedding_dim, dtype=module.weight.dtype)
    if isinstance(module, nn.Linear):
        return lambda x: _linear(x, module)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return lambda x: module._conv_forward(x, x.new_empty(module.weight.shape), None)
    return torch.empty_like


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    if x.shape[-1] != layer.in_features:
        raise ValueError(f"expected {layer.in_features} inputs, got shape {list(x.shape)}")
    return x.new_empty(*x.shape[:-1], layer.out_features)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Switch torch's fused attention off, which reads the weights of layers without calling them."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _restored(network: nn.Module) -> Iterator[None]:
    """Put plain attributes that an export leaves changed back: an LSTM's list of its weights, a count of calls."""
    before = {
        module: {key: value for key, value in vars(module).items() if not key.startswith("_") or key == "_flat_weights"}
        for module in network.modules()
    }
    lists = {id(value): list(value) for own in before.values() for value in own.values() if isinstance(value, list)}
    try:
        yield
    finally:
        for module, own in before.items():
            for key, value in own.items():
                if isinstance(value, list) and id(value) in lists:
                    value[:] = lists[id(value)]
                if vars(module).get(key) is not value:
                    vars(module)[key] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what an export warns of and logs: its refusals are told as errors."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch._export", "torch.fx", "torch._dynamo")]
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        warnings.simplefilter("ignore")
        for logger in loggers:
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        yield


def _place(network: nn.Module, error: BaseException) -> str:
    """Return where the network's code raised `error`, for a message: ` (Net.forward, line 12, in features)`."""
    names = {module: name for name, module in network.named_modules()}
    code, inside = "", ""
    first: BaseException = error
    while first.__cause__ is not None or first.__context__ is not None:
        first = first.__cause__ or first.__context__ or first
    trace = first.__traceback__ if first is not error else error.__traceback__
    while trace is not None:
        frame = trace.tb_frame.f_code
        taken = frame.co_varnames[:1]  # of a method: the module itself, whatever it is called
        owner = trace.tb_frame.f_locals.get(taken[0]) if taken else None
        if isinstance(owner, nn.Module) and owner in names and frame.co_filename != __file__:
            inside = f"in {names[owner]}" if names[owner] else ""
            if not frame.co_filename.startswith(_TORCH):
                code = f"{type(owner).__name__}.{frame.co_name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    found = ", ".join(each for each in (code, inside) if each)
    return f" ({found})" if found else ""


class _Reader:
    """Makes nodes of an exported program."""

    def __init__(self, network: nn.Module, program: Any, whole: Mapping[str, nn.Module]) -> None:
        self._network = network
        self._program = program
        self._whole = whole
        signature = program.graph_signature
        self._parameters = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **{key: key for key in signature.inputs_to_lifted_tensor_constants},
        }
        self._names = {module: name for name, module in network.named_modules()}
        self._memory = Memory()

    def graph(self) -> Graph:
        """Return the graph."""
        # An export asserts what it took for granted: such a node computes nothing.
        kept = [
            each
            for each in self._program.graph.nodes
            if each.name not in self._parameters and not base_name(str(each.target)).startswith("_assert")
        ]
        whole_batch = Graph(tuple(self._node(each) for each in kept), BATCH)
        # What the input has no part in is computed once, however many examples there are.
        nodes = [
            replace(node, macs=-(-node.macs // BATCH)) if whole_batch.depends_on_input(node) else node
            for node in whole_batch.nodes
        ]
        return Graph(tuple(nodes), BATCH)

    def _node(self, found: fx.Node) -> Node:
        taken = [each for each in _arguments(found) if each.name not in self._parameters]
        own = [self._parameters[each.name] for each in _arguments(found) if each.name in self._parameters]
        common: dict[str, Any] = {
            "name": found.name,
            "inputs": tuple(self._memory.read(each.name) for each in taken),
            "parameters": tuple(own),
            "shape": _shape(found.meta.get("val")),
            "input_shapes": tuple(_shape(each.meta.get("val")) for each in taken),
        }
        if found.op in ("placeholder", "output"):
            kind: Kind = "input" if found.op == "placeholder" else "output"
            return Node(kind=kind, target=kind, path="", module=self._network, **common)
        self._remember(found)
        if found.target is torch.ops.qbench.whole.default:
            return self._called_whole(str(found.args[1]), common)
        target = "getitem" if found.target is operator.getitem else str(found.target)
        module = self._network.get_submodule(_module_path(found))
        arguments = _named_arguments(found)
        kind, function = _kind(target, arguments)
        macs = 0 if target == "getitem" else count_macs(found)
        if macs:
            kind, function = "product", None
        common |= {"path": self._names[module], "module": module, "arguments": arguments}
        return Node(kind=kind, target=target, function=function, macs=macs, **common)

    def _remember(self, found: fx.Node) -> None:
        """Note what memory an operation's result is in."""
        first = found.args[0] if found.args else None
        if isinstance(first, list | tuple):
            first = first[0] if first else None
        if not isinstance(first, fx.Node) or first.name in self._parameters:
            return
        if found.target is torch.ops.qbench.whole.default:
            slot = self._whole[str(found.args[1])]
            if isinstance(slot, Activation) and slot.function == "identity":
                self._memory.view(first.name, found.name)
            elif isinstance(slot, Activation) and slot.inplace:
                self._memory.write(first.name, found.name)
        elif _writes(found.target):
            self._memory.write(first.name, found.name)
        elif _is_view(found):
            self._memory.view(first.name, found.name)

    def _called_whole(self, name: str, common: dict[str, Any]) -> Node:
        module = self._whole[name]
        if isinstance(module, Activation):
            if module.function == "identity":
                return Node(kind="identity", target="slot", path=name, module=module, **common)
            return Node(kind="activation", target="slot", path=name, module=module, function=module.function, **common)
        kind: Kind = "norm" if type(module) in NORMS else "layer"
        return Node(kind=kind, target=kind, path=name, module=module, **common)


def _writes(target: Any) -> bool:
    """Whether an operation writes its result into the first tensor that it takes."""
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.arguments:
        return False
    alias = target._schema.arguments[0].alias_info
    return alias is not None and alias.is_write


def _is_view(found: fx.Node) -> bool:
    """Whether the result of an operation may be in the memory of the first tensor that it takes."""
    if found.target is operator.getitem:
        return True
    if not isinstance(found.target, torch._ops.OpOverload):
        return False
    if base_name(str(found.target)) in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
        return not _named_arguments(found).get("train", True)
    return any(result.alias_info is not None for result in found.target._schema.returns)


def _arguments(found: fx.Node) -> list[fx.Node]:
    """Return the nodes among a node's arguments, in their order, one that is taken twice twice."""
    return [each for each in tree_leaves((found.args, found.kwargs)) if isinstance(each, fx.Node)]


def _named_arguments(found: fx.Node) -> dict[str, Any]:
    """Return the arguments that are no tensors, by the operator's names, those at their default included."""
    if not isinstance(found.target, torch._ops.OpOverload):
        return {}
    named: dict[str, Any] = {}
    for position, argument in enumerate(found.target._schema.arguments):
        if position < len(found.args):
            value: Any = found.args[position]
        else:
            value = found.kwargs.get(argument.name, argument.default_value if argument.has_default_value() else None)
        if not any(isinstance(each, fx.Node) for each in tree_leaves(value)):
            named[argument.name] = value
    return named


def _kind(target: str, arguments: Mapping[str, Any]) -> tuple[Kind, str | None]:
    """Return the kind and the function of an ATen operation; a clamp from 0 on is a ReLU, a hardtanh any clamp."""
    name = base_name(target)
    known = {(0, 6): "relu6", (-1, 1): "hardtanh"}
    if name == "hardtanh":
        return "activation", known.get((arguments["min_val"], arguments["max_val"]), "clamp")
    if name in ("clamp", "clamp_min", "clip") and arguments.get("min") is not None:
        low, high = arguments["min"], arguments.get("max")
        if high is None:
            return ("activation", "relu") if low == 0 else ("other", None)
        return "activation", known.get((low, high), "clamp")
    return kind_of(target)


def _module_path(found: fx.Node) -> str:
    """Return the name of the innermost module whose forward made a node."""
    stack = found.meta.get("nn_module_stack") or {}
    entries = list(stack.values())
    return str(entries[-1][0]) if entries else ""


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape) if isinstance(value, Tensor | FakeTensor) else ()
