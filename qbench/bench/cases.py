"""The cases of `qbench bench kernels`: products and whole networks timed beside torch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cuda_ext
from qbench.bench import products
from qbench.bench.conditions import CLOCKS, Clock, Conditions, check_conditions, measure_conditions, on_isa
from qbench.bench.networks import network_contestants
from qbench.bench.timing import BASELINE, Contestant, Timing, compare
from qbench.errors import ConfigError, nearest
from qbench.nn.models.catalogue import MODELS

_BATCHES = (1, 50, 100, 1024)
CASES = (
    *products.MATMULS,
    products.COLD,
    *(f"conv-{batch}" for batch in _BATCHES),
    *(f"{name}-{batch}" for name in ("mnist-mlp", "cifar10-convnet", "svhn-convnet") for batch in _BATCHES),
)
"""The cases with a name of their own; any `conv-BATCH`, `mlp-BATCH` and `MODEL-BATCH` is one too."""
DEFAULT = (
    "mlp-first-100",
    "mlp-hidden-100",
    "mlp-hidden-1",
    "mlp-last-1",
    "cold-1",
    "conv-50",
    "conv-1",
    "mnist-mlp-100",
    "mnist-mlp-1",
    "cifar10-convnet-50",
    "cifar10-convnet-1",
)


@dataclass(frozen=True)
class CaseResult:
    """One case.

    Attributes:
        case: its name.
        rows: a contestant each; empty where the case was not run.
        agreement: networks: share of images whose packed and fake-quantized predictions are equal.
        not_run: why it was not run; empty if it was.
    """

    case: str
    rows: tuple[Timing, ...] = ()
    agreement: float | None = None
    not_run: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        rows = [row.to_dict() for row in self.rows]
        return {"case": self.case, "agreement": self.agreement, "not_run": self.not_run or None, "rows": rows}


@dataclass(frozen=True)
class Benchmark:
    """Cases to be timed, one after the other, each when its result is asked for.

    Iterating yields a CaseResult for each case (one for each layer of `conv-BATCH`), and at the end, on the CPU, one
    that says why nothing ran on a GPU. Networks alone are timed on a GPU, up to the copy of their scores to the host.

    Attributes:
        names: of the cases; all are known.
        rounds: interleaved rounds.
        device: "cpu" or "cuda".
        clock: "wall" or "cpu".
        isa: the instruction set that the CPU's kernels are forced to; None leaves the choice as it is.
        only: contestants are timed whose name holds this, beside the baseline; None times all.
        on_case: told, before each case, its number from 1, how many there are, and its name.
    """

    names: tuple[str, ...]
    rounds: int
    device: str
    clock: Clock
    isa: str | None
    only: str | None
    on_case: Callable[[int, int, str], None] | None = None

    @functools.cached_property
    def conditions(self) -> Conditions:
        """What the rows are measured under; its peaks are measured when it is first asked for."""
        return measure_conditions(self.device, self.rounds, self.clock, self.isa)

    def __iter__(self) -> Iterator[CaseResult]:
        """Time the cases, on torch's present number of threads.

        Raises:
            ConfigError: after the last case: `only` chose no contestant of any.
        """
        _ = self.conditions  # before the first case: it keeps freed memory
        timed: set[str] = set()
        for result in self._cases():
            timed |= {row.name for row in result.rows}
            yield result
        if self.only is not None and timed and not any(self.only in name for name in timed):
            raise ConfigError(f"no contestant's name holds {self.only!r}", "--only")

    def _cases(self) -> Iterator[CaseResult]:
        for number, name in enumerate(self.names, start=1):
            if self.on_case is not None:
                self.on_case(number, len(self.names), name)
            network = _network_of(name)
            if network is not None:
                yield self._network(name, *network)
            elif self.device != "cpu":
                yield CaseResult(name, not_run="products alone are timed on the CPU; on a GPU see benchmarks/")
            else:
                yield from self._products(name)
        if self.device == "cpu":
            reason = cuda_ext.backends()["cuda"].reason or "asked for by --device cuda"
            yield CaseResult("on a GPU", not_run=reason)

    def _network(self, case: str, model: str, batch: int) -> CaseResult:
        with on_isa(self.isa):
            made = network_contestants(model, batch, self.device)
            return self._timed(case, made.contestants, made.operations, made.agreement)

    def _products(self, name: str) -> Iterator[CaseResult]:
        made = products.cases([name])
        while (result := self._product(made)) is not None:
            yield result

    def _product(self, made: Iterator[tuple[str, dict[str, Contestant], float]]) -> CaseResult | None:
        with on_isa(self.isa):  # weights are arranged for the ISA that they are made on
            case = next(made, None)
            return None if case is None else self._timed(*case)

    def _timed(
        self, case: str, contestants: Mapping[str, Contestant], operations: float, agreement: float | None = None
    ) -> CaseResult:
        only = self.only or ""
        wanted = {name: each for name, each in contestants.items() if name == BASELINE or only in name}
        peak, clock = self.conditions.peak_gops, CLOCKS[self.clock]
        return CaseResult(case, tuple(compare(case, wanted, operations, self.rounds, peak, clock)), agreement)


def bench_cases(
    names: Sequence[str],
    rounds: int = 9,
    device: str = "cpu",
    *,
    clock: Clock = "wall",
    isa: str | None = None,
    only: str | None = None,
    on_case: Callable[[int, int, str], None] | None = None,
) -> Benchmark:
    """Return the named cases, to be timed by iterating; the arguments are described at `Benchmark`.

    Raises:
        ConfigError: an unknown case, an ISA that this machine does not run, or an ISA or a clock for a GPU.
    """
    for name in names:
        if not products.is_product(name) and _network_of(name) is None:
            raise ConfigError(f"unknown case {name!r}{nearest(name, sorted(CASES))}", "case")
    check_conditions(device, clock, isa)
    return Benchmark(tuple(names), rounds, device, clock, isa, only, on_case)


def _network_of(case: str) -> tuple[str, int] | None:
    """Return (model, batch) of a case such as `mnist-mlp-100`; None for another case."""
    model = case.rpartition("-")[0]
    batch = products.batch_of(case, model)
    return (model, batch) if batch is not None and model in set(MODELS) else None
