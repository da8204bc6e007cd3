"""The benchmark's own correctness: what it compares is equal, and its rows add up."""

import json
import platform
import time

import pytest
import torch
from typer.testing import CliRunner

import cuda_ext
from cuda_ext import runtime
from qbench.bench import conditions, products, timing
from qbench.bench.cases import CASES, DEFAULT, bench_cases
from qbench.bench.layers_total import layers_totals
from qbench.bench.networks import network_contestants
from qbench.cli.app import app
from qbench.errors import ConfigError

SMALL = "digits-mlp-3"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(timing, "MIN_SECONDS", 1e-4)
    monkeypatch.setattr(conditions, "peak_gops", lambda clock, carry_save=False: 3000.0 if carry_save else 1000.0)


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


def test_a_name_that_no_contestant_has_is_an_error():
    result = qbench("mlp-last-1", SMALL, "--rounds", 1, "--only", "no such")
    assert result.exit_code == 2
    assert "--only: no contestant's name holds 'no such'" in result.stderr


def test_a_layer_is_shown_before_the_next_is_made(monkeypatch):
    made = []
    one = products.convolution_contestants
    monkeypatch.setattr(products, "CONVOLUTIONS", ((3, 8, 4), (4, 8, 4)))
    monkeypatch.setattr(products, "convolution_contestants", lambda *size: made.append(size) or one(*size))
    results = iter(bench_cases(["conv-1"], rounds=1))
    next(results)
    assert len(made) == 1
    next(results)
    assert len(made) == 2


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


def test_conditions():
    found = bench_cases([SMALL], rounds=3, clock="cpu").conditions
    available = cuda_ext.backends()["cpu"].available
    assert (found.device, found.threads, found.rounds, found.clock) == ("cpu", torch.get_num_threads(), 3, "cpu")
    assert found.isa == cuda_ext.backends()["cpu"].selected
    assert (found.peak_gops, found.carry_save_peak_gops) == ((1000.0, 3000.0) if available else (None, None))
    assert found.freed_memory_kept == (platform.libc_ver()[0] == "glibc")
    gpu = bench_cases([SMALL], device="cuda").conditions
    assert (gpu.peak_gops, gpu.carry_save_peak_gops) == (None, None)


def test_the_measured_peaks(monkeypatch):
    monkeypatch.setattr(conditions, "peak_gops", timing.peak_gops)
    found = bench_cases([SMALL]).conditions
    for peak in (found.peak_gops, found.carry_save_peak_gops):  # None where the ISA has no such loop
        assert peak is None or peak > 1


def test_one_isa_is_forced(monkeypatch):
    isas = cuda_ext.available_isas()[:-1]
    if not isas:
        pytest.skip("nothing is compiled here")
    ran = []
    product = cuda_ext.xnor_matmul
    monkeypatch.setattr(cuda_ext, "xnor_matmul", lambda *a: ran.append(runtime.cpu_isa) or product(*a))
    before = runtime.cpu_isa
    for case in ("mlp-last-1", SMALL):
        ran.clear()
        run = bench_cases([case], rounds=1, isa=isas[-1])
        assert run.conditions.isa == isas[-1]
        for result in run:
            assert result.rows or result.case == "on a GPU"
            assert runtime.cpu_isa == before  # whoever prints the rows is not on the forced one
        assert set(ran) == {isas[-1]}


def test_an_isa_that_is_not_here_is_named():
    with pytest.raises(ConfigError, match=r"--isa: (expected .*|no kernel is compiled here), got 'avx1024'"):
        bench_cases([SMALL], isa="avx1024")
    with pytest.raises(ConfigError, match="--clock: expected wall or cpu, got 'sun'"):
        bench_cases([SMALL], clock="sun")
    with pytest.raises(ConfigError, match="--clock: is of the CPU's kernels"):
        bench_cases([SMALL], device="cuda", clock="cpu")
    if cuda_ext.backends()["cpu"].available:
        with pytest.raises(ConfigError, match="--isa: is of the CPU's kernels"):
            bench_cases([SMALL], device="cuda", isa=cuda_ext.available_isas()[0])


def test_processor_time_is_counted(monkeypatch):
    """Contestants that wait take no processor time."""
    monkeypatch.setattr(
        products, "matmul_contestants", lambda size: {"torch fp32": timing.Contestant(lambda: time.sleep(0.02), 0)}
    )
    wall, cpu = (next(iter(bench_cases(["mlp-last-1"], 1, clock=clock))) for clock in ("wall", "cpu"))
    assert wall.rows[0].seconds >= 0.02
    assert cpu.rows[0].seconds < 0.01


def test_contestants_are_chosen_by_their_names():
    product, network, _ = bench_cases(["mlp-last-1", SMALL], rounds=1, only="xnor")
    assert [row.name for row in product.rows] == ["torch fp32", "xnor plain", "xnor prepacked", "xnor, float in"]
    assert [row.name for row in network.rows] == ["torch fp32"]
    assert network.agreement == 1.0  # of all of them
    assert {"torch fp32", "xnor plain", "int8"} <= {row.name for row in next(iter(bench_cases(["mlp-last-1"], 1))).rows}


def test_the_layers_of_a_convolution_case_are_summed(monkeypatch):
    monkeypatch.setattr(products, "CONVOLUTIONS", ((8, 4, 8), (8, 2, 16)))
    monkeypatch.setattr("qbench.bench.layers_total.CONVOLUTIONS", products.CONVOLUTIONS)
    results = list(bench_cases(["conv-2", "mlp-last-1"], rounds=1))
    first, second, product, _ = results
    assert (first.case, second.case, product.case) == ("conv-2 8x4x4 to 8", "conv-2 8x2x2 to 16", "mlp-last-1")
    totals = layers_totals(results)
    assert [(total.case, total.name) for total in totals] == [("conv-2", row.name) for row in first.rows]
    base, *others = totals
    assert base.ratio == 1.0
    assert base.seconds == first.rows[0].seconds + second.rows[0].seconds
    for total, one, two in zip(others, first.rows[1:], second.rows[1:], strict=True):
        assert total.seconds == one.seconds + two.seconds
        assert total.ratio == base.seconds / total.seconds
    assert layers_totals(results[:1]) == []  # interrupted after one layer
