"""How long a network takes for one image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qbench.deploy.int8.network import IntegerNetwork
from qbench.nn.packing import packed

_WARM_UPS = 3
_FEWEST, _MOST = 5, 50
_SECONDS = 0.3


def measure_latency(network: nn.Module, image: Tensor, execution: str | None) -> dict[str, float]:
    """Measure the milliseconds that a network takes for one image, batch 1, on the CPU.

    It runs as the trial's `kernel/execution` says: `integer chain` in integers from the first layer to the last,
    `layers` through the packed QuantOps with float32 between them, None in torch's float32. After 3 runs that are not
    counted, up to 50 runs are timed, none more after 0.3 s but for the first 5. Other trials and programs may run
    beside it: the quartiles show how much that disturbs, and no time is exact.

    Args:
        network: in evaluation mode, not packed; it is left so.
        image: float32 [1, ...].
        execution: the row's `kernel/execution`.

    Returns: `time/inference_ms`, the median, and `time/inference_ms_low` and `time/inference_ms_high`, the quartiles.
    """
    if execution == "integer chain":
        return _timed(IntegerNetwork(network, image), image)
    if execution is None:
        return _timed(network, image)
    with packed(network, image):
        return _timed(network, image)


@torch.no_grad()
def _timed(call: Callable[[Tensor], Any], image: Tensor) -> dict[str, float]:
    for _ in range(_WARM_UPS):
        call(image)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < _MOST and (len(times) < _FEWEST or time.perf_counter() - start < _SECONDS):
        before = time.perf_counter()
        call(image)
        times.append(1e3 * (time.perf_counter() - before))
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return {"time/inference_ms": median, "time/inference_ms_low": low, "time/inference_ms_high": high}
