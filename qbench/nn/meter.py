"""A meter of a network's multiply-accumulates below its modules: what is computed, whoever asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor, nn

from qbench.errors import UserError
from qbench.nn.evaluation_mode import evaluating, plain_execution
from qbench.nn.graph.example import BATCH, example_batch
from qbench.nn.graph.products import mac_counter
from qbench.nn.hooks import hooked
from qbench.nn.quant_layer import quantizing_only


class UnaccountedError(UserError):
    """A network that multiplies more, or less, than its account says; the message names the operations."""


@dataclass(frozen=True)
class MeteredProducts:
    """The products that one kind of ATen operation computed in one module.

    Attributes:
        path, module: the innermost module whose forward ran them; "" for the network.
        operation: ATen's name, `mm`.
        macs: multiply-accumulates for one example.
    """

    path: str
    module: nn.Module
    operation: str
    macs: Fraction


def meter(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> list[MeteredProducts]:
    """Return all products that the network computes in evaluation, in the order in which each kind came first.

    Two batches of zeros are run, one twice as long as the other, without quantizers, with gradients on and torch's
    fused forms off, under torch's counter of floating-point operations: what does not grow with the batch (a product of
    two weights) is computed once, and counts as a whole for one example. The network is left as it was.

    Args:
        input_shape: of one example, or a batch of examples.
    """
    with evaluating(network), quantizing_only(network), plain_execution():
        short, long = (
            _Meter(network).run(example_batch(input_shape, network, batch=batch)) for batch in (BATCH, 2 * BATCH)
        )
    names = {module: name for name, module in network.named_modules()}
    found = []
    for (module, operation), flops in short.items():
        each = Fraction(long.get((module, operation), flops) - flops, BATCH)
        macs = (each + max(flops - BATCH * each, Fraction())) / 2
        found.append(MeteredProducts(names[module], module, operation, macs))
    return found


def check_account(account: Mapping[str, int], metered: list[MeteredProducts], layers: Mapping[str, nn.Module]) -> None:
    """Compare an account of a network's MACs with what a meter found.

    Args:
        account: MACs for one example by the name of the module, and "" for the network itself.
        metered: what `meter` returns.
        layers: the modules of the account by name, for the message.

    Raises:
        UnaccountedError: the sums differ; it names the modules and operations.
    """
    found: Counter[str] = Counter()
    for each in metered:
        found[each.path] += each.macs  # type: ignore[assignment]
    # What depends on the batch as a whole is rounded: less than one for an operation.
    if abs(sum(found.values()) - sum(account.values())) <= Fraction(len(metered), BATCH):
        return
    wrong = [path for path in dict.fromkeys([*account, *found]) if abs(account.get(path, 0) - found[path]) >= 1]
    lines = [f"{_place(path, metered, layers)}: {account.get(path, 0):,} counted, {_shown(found[path])} run"
             + _operations(path, metered) for path in wrong]  # fmt: skip
    raise UnaccountedError(
        "the multiply-accumulates counted from the network's graph are not those that it runs: " + "; ".join(lines)
    )


def _place(path: str, metered: list[MeteredProducts], layers: Mapping[str, nn.Module]) -> str:
    modules = {each.path: each.module for each in metered} | dict(layers)
    return f"{path or 'the network'} ({type(modules[path]).__name__})" if path in modules else path or "the network"


def _operations(path: str, metered: list[MeteredProducts]) -> str:
    names = [f"{each.operation} {_shown(each.macs)}" for each in metered if each.path == path]
    return f" ({', '.join(names)})" if names else ""


def _shown(macs: Fraction | int) -> str:
    return f"{int(macs):,}"


class _Meter:
    """Shares out what the counter counts among the modules that run."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._modules = list(network.modules())
        self._counter = mac_counter()
        self._running: list[nn.Module] = []
        self._known: dict[str, int] = {}
        self._found: dict[tuple[nn.Module, str], int] = {}

    def run(self, example: Tensor) -> dict[tuple[nn.Module, str], int]:
        """Return the floating-point operations of `network(example)`, by module and ATen's name."""
        with self._counter, hooked(self._modules, before=self._enter, after=self._leave):
            self._network(example)
        return self._found

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._share_out()
        self._running.append(module)

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._share_out()
        self._running.pop()

    def _share_out(self) -> None:
        """Give what was counted since the last call to the innermost module that runs."""
        counts = {str(operation).removeprefix("aten."): count
                  for operation, count in self._counter.get_flop_counts().get("Global", {}).items()}  # fmt: skip
        for operation, count in counts.items():
            if (new := count - self._known.get(operation, 0)) > 0:
                place = (self._running[-1], operation)
                self._found[place] = self._found.get(place, 0) + new
        self._known = counts
