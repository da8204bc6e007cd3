"""The benchmark's own correctness: what it compares is equal, and its figures add up."""

import json

import pytest
import torch
from typer.testing import CliRunner

import cuda_ext
import qbench.bench.cases as bench_module
from qbench.bench.cases import CASES, DEFAULT, bench_cases, network_contestants
from qbench.cli.app import app
from qbench.errors import ConfigError

SMALL = "digits-mlp-3"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    from cuda_ext import benchmark

    monkeypatch.setattr(benchmark, "MIN_SECONDS", 1e-4)
    monkeypatch.setattr(bench_module, "peak_gops", lambda: 1000.0)


def qbench(*arguments):
    return CliRunner().invoke(app, ["bench", "kernels", *map(str, arguments)])


@pytest.mark.parametrize("name", ["digits-mlp", "digits-convnet"])
def test_the_contestants_compute_the_same_network(name):
    made = network_contestants(name, 5)
    scores = {key: contestant.call() for key, contestant in made.contestants.items()}
    assert torch.equal(scores["packed, pixels in"], scores["fake-quantized"])
    assert torch.equal(scores["packed, float in"], scores["fake-quantized"])
    assert not torch.equal(scores["torch fp32"], scores["fake-quantized"])
    if name == "digits-convnet":
        torch.testing.assert_close(scores["torch fp32, channels last"], scores["torch fp32"])
    assert made.agreement == 1.0
    # 64-256-256-256-10
    if name == "digits-mlp":
        assert made.operations == 2 * 5 * (64 * 256 + 2 * 256 * 256 + 256 * 10)
    floats, packed = (made.contestants[key].weight_bytes for key in ("torch fp32", "packed, pixels in"))
    assert packed < floats / 4


def test_agreement_is_measured(monkeypatch):
    product = cuda_ext.xnor_matmul
    monkeypatch.setattr(cuda_ext, "xnor_matmul", lambda *arguments: -product(*arguments))
    assert network_contestants("digits-mlp", 20).agreement < 0.9
    result = qbench("digits-mlp-20", "--rounds", 1)
    assert result.exit_code == 1


def test_rows():
    network, product, gpu = bench_cases([SMALL, "mlp-last-1"], rounds=3)
    assert (gpu.rows, bool(gpu.not_run)) == ((), True)
    assert (network.case, network.agreement, product.agreement) == (SMALL, 1.0, None)
    for row in (*network.rows, *product.rows):
        low, high = row.quartiles
        assert 0 < low <= row.seconds <= high
        assert row.gops > 0
    base, fake, *packed = network.rows
    assert (base.name, base.ratio, base.ratio_quartiles) == ("torch fp32", 1.0, (1.0, 1.0))
    assert base.share_of_peak is None
    assert fake.share_of_peak is None
    for row in packed:
        if cuda_ext.backends()["cpu"].available:
            assert row.share_of_peak == pytest.approx(row.gops / 1000 / torch.get_num_threads())
        else:
            assert row.share_of_peak is None
        slow, fast = row.ratio_quartiles
        assert 0 < slow <= row.ratio <= fast


def test_products_are_not_run_on_a_gpu():
    (result,) = bench_cases(["mlp-last-1"], device="cuda")
    assert result.rows == ()
    assert "on the CPU" in result.not_run


def test_an_unknown_case_is_named_before_anything_is_timed():
    for name in ("mnist-mlp-10o", "cold-2", "conv-0", "square-512"):
        with pytest.raises(ConfigError, match=f"case: unknown case '{name}'"):
            bench_cases([SMALL, name])
    for name in (*CASES, *DEFAULT, "conv-7", "digits-convnet-9"):
        bench_cases([name])


def test_the_command():
    shown = qbench(SMALL, "mlp-last-1", "--rounds", 2, "--threads", 2)
    assert shown.exit_code == 0, shown.output
    assert "2 threads, 2 interleaved rounds" in shown.stdout
    assert f"\n{SMALL}: 100.00 % of packed predictions equal the fake-quantized module's\n" in shown.stdout
    assert "xnor prepacked" in shown.stdout
    assert "\non a GPU: not run: " in shown.stdout
    found = json.loads(qbench(SMALL, "--rounds", 2, "--json").stdout)
    assert (found["device"], found["threads"], found["rounds"]) == ("cpu", 1, 2)
    case, gpu = found["cases"]
    assert gpu["not_run"]
    assert (case["case"], case["agreement"], case["not_run"]) == (SMALL, 1.0, None)
    assert [row["name"] for row in case["rows"]][:2] == ["torch fp32", "fake-quantized"]
    assert qbench("--list").stdout.splitlines() == list(CASES)
    unknown = qbench("squar-1024")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("qbench: error: case: unknown case 'squar-1024'; did you mean 'square-1024'?")
    if not torch.cuda.is_available():
        assert qbench(SMALL, "--device", "cuda").exit_code == 2
