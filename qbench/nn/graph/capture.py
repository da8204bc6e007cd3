"""Reads a network's graph from its execution, by torch.export."""

from __future__ import annotations

import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

import torch
from torch import Tensor, nn

from qbench.errors import UserError, one_line
from qbench.nn.evaluation_mode import unfused_attention
from qbench.nn.graph.example import example_batch
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.program import Program
from qbench.nn.graph.whole import called_whole

_TORCH = os.path.dirname(torch.__file__) + os.sep
_HERE = os.path.dirname(__file__) + os.sep

# What a capture changes while it lasts (forwards, torch's switches, the standard streams) is the whole process's.
_ONE_AT_A_TIME = threading.RLock()


class UncapturedError(UserError):
    """A network whose operations cannot be read without data; the message says where and why."""


def capture(network: nn.Module, input_shape: tuple[int, ...] | Tensor, *, training: bool = False) -> Graph:
    """Return the operations that `network` runs on an example, whatever the example's values.

    Calls of quantizable layers, BatchNorms and activation slots are one operation each; everything else is ATen's
    operations. The network's mode, weights and random streams stay as they are. Threads capture one after the other.

    Args:
        network: its forward takes one tensor.
        input_shape: see `example_batch`.
        training: the operations of training instead of those of evaluation.

    Raises:
        UncapturedError: the operations depend on the values of the input, or the network does not run on the example.
    """
    with _ONE_AT_A_TIME:
        return _capture(network, example_batch(input_shape, network), training)


def _capture(network: nn.Module, example: Tensor, training: bool) -> Graph:
    try:
        with called_whole(network) as whole, _quiet(), unfused_attention(), _restored(network):
            network.train(training)
            with torch.enable_grad():
                program = torch.export.export(network, (example,), strict=False)
        return Program(network, program, whole).graph()
    except Exception as error:  # whatever the network's forward or torch's export raises: they have no common base
        raise UncapturedError(
            f"the operations of {type(network).__name__} cannot be read{_place(network, error)}: {one_line(error)}"
        ) from error


@contextmanager
def _restored(network: nn.Module) -> Iterator[None]:
    """Put plain attributes back: modes, and what an export leaves changed: an LSTM's weights, a count of calls."""
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
        if isinstance(owner, nn.Module) and owner in names and not frame.co_filename.startswith(_HERE):
            inside = f"in {names[owner]}" if names[owner] else ""
            if not frame.co_filename.startswith(_TORCH) and frame.co_name != "__call__":
                code = f"{type(owner).__name__}.{frame.co_name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    found = ", ".join(each for each in (code, inside) if each)
    return f" ({found})" if found else ""
