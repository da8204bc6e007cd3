"""The time for one image, measured with a clock that is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.ptq.calibration import calibrate
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.trial import latency
from qbench.trial.latency import measure_latency


class Clock:
    """Stands still but for what a call adds."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow(nn.Module):
    """Takes the given seconds, call after call; the last ones again and again."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        super().__init__()
        self.clock, self.seconds, self.calls = clock, seconds, 0

    def forward(self, x: Tensor) -> Tensor:
        self.clock.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1
        assert not torch.is_grad_enabled()
        return x


@pytest.mark.parametrize(
    ("seconds", "runs"), [(0.001, 50), (0.02, 15), (1.0, 5)], ids=["fast", "bounded by time", "slow"]
)
def test_runs_are_bounded(seconds: float, runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(latency, "time", clock)
    network = Slow(clock, [seconds])
    found = measure_latency(network, torch.zeros(1, 4), None)
    assert network.calls in (3 + runs, 4 + runs)  # sums of floats
    assert list(found.values()) == pytest.approx([1000 * seconds] * 3)


def test_it_is_the_median_with_its_quartiles_without_the_warm_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(latency, "time", clock)
    network = Slow(clock, [9.0, 9.0, 9.0, 0.1, 0.5, 0.2, 0.4, 0.3])
    assert measure_latency(network, torch.zeros(1, 4), None) == pytest.approx(
        {"time/inference_ms": 300.0, "time/inference_ms_low": 200.0, "time/inference_ms_high": 400.0}
    )


def test_packed_layers_run_packed_and_are_unpacked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = apply_scheme(nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 3)), get_scheme("binarynet")).eval()
    seen: list[bool] = []
    forward = QuantLayer.forward

    def watched(self: Any, x: Tensor) -> Tensor:
        seen.append(self._packed is not None)
        return forward(self, x)

    monkeypatch.setattr(QuantLayer, "forward", watched)
    measure_latency(network, torch.randn(1, 64), "layers")
    assert len(seen) > 10
    assert all(seen[2:])  # the first two are those of the trace
    assert all(layer._packed is None for _, layer in quant_layers(network))
    seen.clear()
    measure_latency(network, torch.randn(1, 64), None)
    assert not any(seen)


def test_an_integer_chain_runs_in_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    network = apply_scheme(nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 3)), get_scheme("int8-minmax")).eval()
    calibrate(network, torch.randn(20, 64))
    calls: list[int] = []
    monkeypatch.setattr(latency.IntegerNetwork, "__call__", lambda self, x: calls.append(len(x)))
    found = measure_latency(network, torch.randn(1, 64), "integer chain")
    assert len(calls) > 5
    assert set(calls) == {1}
    assert 0 < found["time/inference_ms_low"] <= found["time/inference_ms"] <= found["time/inference_ms_high"]
