"""`qbench bench kernels`: how it is parsed. What it times is tested in tests/qbench/bench."""

import pytest
from command import qbench

from qbench.bench import cases
from qbench.errors import ConfigError


@pytest.fixture
def asked(monkeypatch):
    """What the command asks of the benchmark, which then ends."""
    found = {}

    def bench_cases(names, rounds, device, on_case, **options):
        found.update(names=names, rounds=rounds, device=device, **options)
        raise ConfigError("asked")

    monkeypatch.setattr(cases, "bench_cases", bench_cases)
    return found


def test_defaults(asked):
    assert qbench("bench", "kernels").exit_code == 2
    everything = {"names": list(cases.DEFAULT), "rounds": 9, "device": "cpu"}
    assert asked == {**everything, "clock": "wall", "isa": None, "only": None}


def test_conditions_are_passed_on(asked):
    qbench("bench", "kernels", "conv-1", "--rounds", 3, "--clock", "cpu", "--isa", "avx2", "--only", "xnor")
    assert asked == {
        "names": ["conv-1"], "rounds": 3, "device": "cpu", "clock": "cpu", "isa": "avx2", "only": "xnor"
    }  # fmt: skip


def test_an_unknown_clock_is_a_usage_error(asked):
    result = qbench("bench", "kernels", "--clock", "sun")
    assert (result.exit_code, asked) == (2, {})
    assert "--clock" in result.stderr
