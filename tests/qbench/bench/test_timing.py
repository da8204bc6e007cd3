"""Rounds, clocks and medians, on calls small enough for a test; the speeds themselves are not tested."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from qbench.bench import timing

ROOT = Path(__file__).parents[3]


def test_interleaved_rounds_take_turns() -> None:
    order: list[str] = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    now = iter(range(1000))
    times = timing.interleave(calls, 3, timing.by_clock(lambda: float(next(now))))
    assert order == ["a", "a", "b", "b", "a", "b", "a", "b", "a", "b"]
    assert times == {"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0, 1.0]}


def test_short_calls_are_warmed_up_in_every_round() -> None:
    order: list[str] = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    now = iter(range(1000))
    times = timing.interleave(calls, 2, timing.by_clock(lambda: next(now) / 10))
    assert order == ["a", "a", "b", "b", *"aabb", *"aabb"]
    assert times["a"] == pytest.approx([0.1, 0.1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_was_freed_serves_the_next_result() -> None:
    program = """
import resource, torch
from qbench.bench import timing
assert timing.keep_freed_memory()
faults = []
def result():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    out = torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return out
timing.interleave({"one": result, "other": lambda: torch.ones(1 << 20)}, 9, lambda call, repeats: call() is None)
print(faults[0], sum(faults[-9:]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    first, of_nine = map(int, done.stdout.split())
    assert of_nine < first, done.stdout  # fresh pages for each would be nine times as many


def test_quartiles() -> None:
    assert timing.quartiles([3.0, 1.0, 2.0, 5.0, 4.0]) == (2.0, 3.0, 4.0)
    assert timing.quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_summaries_of_contestants_against_one_of_them() -> None:
    found = timing.summaries({"base": [4.0, 6.0, 8.0], "own": [1.0, 3.0, 2.0]}, "base")
    assert found["base"] == timing.summarize([4.0, 6.0, 8.0], [4.0, 6.0, 8.0])
    assert found["base"].ratio == 1.0
    assert found["own"] == timing.Summary(2.0, (1.5, 2.5), 4.0, (3.0, 4.0))
