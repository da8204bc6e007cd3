"""Kernels and whole networks timed beside torch: the cases of `qbench bench kernels`.

Products and convolutions, the interleaved rounds and the measured peak are `cuda_ext.benchmark`'s; this adds networks:
the float32 module, the fake-quantized module and the packed network on the same images.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import cuda_ext
from cuda_ext.benchmark import BASELINE, MATMULS, Contestant, Timing, as_row, compare, keep_freed_memory, peak_gops
from cuda_ext.benchmark import cases as product_cases
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.network import PackedNetwork
from qbench.errors import ConfigError, nearest
from qbench.nn.models.catalogue import MODELS, get_model
from qbench.nn.trace import trace
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import initialize
from quantizers import Pixels

_BATCHES = (1, 50, 100, 1024)
CASES = (
    *MATMULS,
    "cold-1",
    *(f"conv-{batch}" for batch in _BATCHES),
    *(f"{name}-{batch}" for name in ("mnist-mlp", "cifar10-convnet", "svhn-convnet") for batch in _BATCHES),
)
"""The cases with a name of their own; any `conv-BATCH` and `MODEL-BATCH` is one too."""
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
# Sums of multiples of 1/8 are exact in float32, so that packed and module must agree on every score.
_PIXELS = Pixels(multiplier=1, offset=8, divisor=8)


@dataclass(frozen=True)
class CaseResult:
    """One case.

    Attributes:
        rows: a contestant each; empty where the case was not run.
        agreement: networks: share of images whose packed and fake-quantized predictions are equal.
        not_run: why it was not run; empty if it was.
    """

    case: str
    rows: tuple[Timing, ...] = ()
    agreement: float | None = None
    not_run: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [as_row(row) for row in self.rows]
        return {"case": self.case, "agreement": self.agreement, "not_run": self.not_run or None, "rows": rows}


def bench_cases(names: Sequence[str], rounds: int = 9, device: str = "cpu") -> Iterator[CaseResult]:
    """Time the named cases one after the other, on torch's present number of threads.

    On a GPU networks alone are timed, and end with the copy of the scores to the host.

    Raises:
        ConfigError: an unknown case, before any is timed.
    """
    for name in names:
        _check(name)
    return _bench_cases(names, rounds, device)


def _bench_cases(names: Sequence[str], rounds: int, device: str) -> Iterator[CaseResult]:
    keep_freed_memory()
    peak = peak_gops() if device == "cpu" and cuda_ext.backends()["cpu"].available else None
    for name in names:
        network, batch = _network_case(name)
        if network is not None:
            yield _bench_network(name, network, batch, rounds, peak, device)
        elif device != "cpu":
            yield CaseResult(name, not_run="products alone are timed on the CPU; on a GPU see benchmarks/")
        else:
            for label, contestants, operations in product_cases([name]):
                yield CaseResult(label, tuple(compare(label, contestants, operations, rounds, peak)))
    if device == "cpu":
        reason = cuda_ext.backends()["cuda"].reason or "asked for by --device cuda"
        yield CaseResult("on a GPU", not_run=reason)


def _network_case(name: str) -> tuple[str | None, int]:
    kind, _, number = name.rpartition("-")
    is_network = number.isdigit() and int(number) > 0 and kind in set(MODELS)
    return (kind, int(number)) if is_network else (None, 0)


def _check(name: str) -> None:
    kind, _, number = name.rpartition("-")
    product = name in MATMULS or name == "cold-1" or (kind == "conv" and number.isdigit() and int(number) > 0)
    if not product and _network_case(name)[0] is None:
        raise ConfigError(f"unknown case {name!r}{nearest(name, sorted(CASES))}", "case")


@dataclass(frozen=True)
class NetworkContestants:
    """A network in its forms on the same images, and the share of equal predictions."""

    contestants: dict[str, Contestant]
    agreement: float
    operations: float


def network_contestants(name: str, batch: int, device: str = "cpu") -> NetworkContestants:
    """A registered model with random weights and norms: float32, fake-quantized (BinaryNet) and packed."""
    named, generator = get_model(name), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    plain = named.make({})
    module = apply_scheme(copy.deepcopy(plain), get_scheme("binarynet")).eval()
    initialize(module, get_scheme("binarynet"), 0)
    _randomize_norms(module, generator)
    pixels = torch.randint(0, 17, (batch, *named.input_shape), dtype=torch.uint8, generator=generator)
    packed = PackedNetwork(pack(module, named.input_shape, _PIXELS), device)
    operations = 2.0 * batch * sum(traced.layer_shape.macs for traced in trace(module, named.input_shape))

    float32 = apply_scheme(plain, get_scheme("fp32")).eval().to(device)
    module, pixels = module.to(device), pixels.to(device)
    images = _PIXELS.decode(pixels)
    weights = sum(4 * parameter.numel() for parameter in float32.parameters())
    contestants = {BASELINE: Contestant(_inference(float32, images), weights)}
    if any(isinstance(part, nn.Conv2d) for part in float32.modules()):
        last = copy.deepcopy(float32).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        batch_last = images.to(memory_format=torch.channels_last)
        contestants["torch fp32, channels last"] = Contestant(_inference(last, batch_last), weights)
    contestants["fake-quantized"] = Contestant(_inference(module, images), weights)
    contestants["packed, pixels in"] = Contestant(_inference(packed, pixels), packed.resident_bytes, True)
    contestants["packed, float in"] = Contestant(_inference(packed, images), packed.resident_bytes, True)
    expected = contestants["fake-quantized"].call().argmax(1)
    equal = [contestants[key].call().argmax(1) == expected for key in contestants if key.startswith("packed")]
    agreement = sum(int(each.sum()) for each in equal) / (2 * batch)
    return NetworkContestants(contestants, agreement, operations)


def _bench_network(case: str, name: str, batch: int, rounds: int, peak: float | None, device: str) -> CaseResult:
    made = network_contestants(name, batch, device)
    rows = compare(case, made.contestants, made.operations, rounds, peak)
    return CaseResult(case, tuple(rows), made.agreement)


def _inference(network: Callable[[Tensor], Tensor], images: Tensor) -> Callable[[], Tensor]:
    def call() -> Tensor:
        with torch.inference_mode():
            return network(images).cpu()  # a GPU's time ends when the scores are here

    return call


def _randomize_norms(network: nn.Module, generator: torch.Generator) -> None:
    """As after training: statistics of the size of the sums, γ of both signs."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 5, generator=generator)
            module.running_var.uniform_(50, 1000, generator=generator)
            with torch.no_grad():
                module.weight.normal_(generator=generator)
                module.bias.normal_(generator=generator)
