"""The benchmark's bookkeeping, on cases small enough for a test; the speeds themselves are not tested."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import cuda_ext
from cuda_ext import benchmark

ROOT = Path(__file__).parents[2]
SIZE = benchmark.MatmulSize(m=3, k=70, n=5)


def test_interleaved_rounds_take_turns() -> None:
    order: list[str] = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    now = iter(range(1000))
    times = benchmark.interleave(calls, 3, benchmark.by_clock(lambda: float(next(now))))
    assert order == ["a", "a", "b", "b", "a", "b", "a", "b", "a", "b"]
    assert times == {"a": [1.0, 1.0, 1.0], "b": [1.0, 1.0, 1.0]}


def test_short_calls_are_warmed_up_in_every_round() -> None:
    order: list[str] = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    now = iter(range(1000))
    times = benchmark.interleave(calls, 2, benchmark.by_clock(lambda: next(now) / 10))
    assert order == ["a", "a", "b", "b", *"aabb", *"aabb"]
    assert times["a"] == pytest.approx([0.1, 0.1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_was_freed_serves_the_next_result() -> None:
    program = """
import resource, torch
from cuda_ext import benchmark
assert benchmark.keep_freed_memory()
faults = []
def result():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    out = torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return out
benchmark.interleave({"one": result, "other": lambda: torch.ones(1 << 20)}, 9, lambda call, repeats: call() is None)
print(faults[0], sum(faults[-9:]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    first, of_nine = map(int, done.stdout.split())
    assert of_nine < first, done.stdout  # fresh pages for each would be nine times as many


def test_quartiles() -> None:
    assert benchmark.quartiles([3.0, 1.0, 2.0, 5.0, 4.0]) == (2.0, 3.0, 4.0)
    assert benchmark.quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_figures_of_contestants_against_one_of_them() -> None:
    found = benchmark.summaries({"base": [4.0, 6.0, 8.0], "own": [1.0, 3.0, 2.0]}, "base")
    assert found["base"] == benchmark.summarize([4.0, 6.0, 8.0], [4.0, 6.0, 8.0])
    assert found["base"].ratio == 1.0
    assert found["own"] == benchmark.Summary(2.0, (1.5, 2.5), 4.0, (3.0, 4.0))


def test_sizes_of_products_have_names() -> None:
    assert benchmark.MatmulSize(m=3, k=70, n=5).operations == 2 * 3 * 70 * 5
    with pytest.raises(TypeError, match="positional"):
        benchmark.MatmulSize(3, 70, 5)  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot unpack"):
        _, _, _ = benchmark.MatmulSize(m=3, k=70, n=5)  # type: ignore[misc]


def test_rows_of_a_case() -> None:
    contestants = {k: v for k, v in benchmark.matmul(SIZE).items() if "bf16" not in k}
    rows = {r.name: r for r in benchmark.compare("tiny", contestants, SIZE.operations, 1, peak=100.0)}
    assert rows[benchmark.BASELINE].ratio == 1.0
    assert rows["xnor plain"].share_of_peak is not None
    assert rows["xnor plain"].gops == pytest.approx(2 * 3 * 70 * 5 / rows["xnor plain"].seconds / 1e9)
    assert rows[benchmark.BASELINE].share_of_peak is None
    assert rows[benchmark.BASELINE].weight_bytes == 4 * 70 * 5
    assert rows["xnor plain"].weight_bytes == 4 * 5 * cuda_ext.packed_words(70)
    json.dumps([benchmark.as_row(r) for r in rows.values()])


def test_the_packed_network_scores_as_the_float_network() -> None:
    # made only if every score is equal
    assert set(benchmark.mlp(7, inputs=50, hidden=80, outputs=3)) == {benchmark.BASELINE, "packed"}


def test_an_unknown_case_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"case: expected one of square-8192, .*mlp-BATCH, got 'conv-x'"):
        next(benchmark.cases(["conv-x"]))


def test_the_script(tmp_path: Path) -> None:
    target = tmp_path / "rows.json"
    script = [sys.executable, str(ROOT / "benchmarks" / "kernels.py")]
    result = subprocess.run(
        [*script, "mlp-last-1", "--rounds", "1", "--json", str(target)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    rows = json.loads(target.read_text())["rows"]
    assert {"torch fp32", "xnor plain", "int8"} <= {r["name"] for r in rows}
    assert all(r["seconds"] > 0 for r in rows)
