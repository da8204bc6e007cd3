"""Measurements that end within seconds, run for real; the others' conditions."""

import pytest
import torch

from cuda_ext.runtime import Backend
from qbench.claims import measurements as measure_module
from qbench.claims.measurements import CannotMeasureError, run_measurement
from qbench.claims.registry import CLAIMS


def claim(id):
    return next(claim for claim in CLAIMS if claim.id == id)


def test_the_packed_file_is_a_bit_a_weight_and_little_more():
    found = run_measurement("packed-file")
    weights, hidden = 14_022_016, 3840
    assert found["float_bytes"] >= 4 * weights + 4 * 4 * (hidden + 10)  # γ, β, mean and variance a channel
    assert weights / 8 < found["packed_bytes"] < weights / 8 + 5 * hidden + 8192
    assert found["value"] == found["float_bytes"] / found["packed_bytes"]
    assert claim("memory-file").judge.decide(found) == "confirmed"


class Row:
    def __init__(self, loss, validation, test):
        self.row = {"training/loss": loss, "val/accuracy": validation, "test/accuracy": test}


def test_without_batch_norm_the_rate_is_the_one_that_validates_best(monkeypatch):
    # By norm, rate and seed. 1e-2 has the least loss, 1e-4 the best test; 1e-3 validates best over both seeds.
    rows = {
        ("batch", None): (Row(0.10, 0.9, 0.97), Row(0.20, 0.9, 0.95)),
        ("none", 1e-2): (Row(0.15, 0.1, 0.1), Row(0.15, 0.5, 0.1)),
        ("none", 1e-3): (Row(0.50, 0.6, 0.6), Row(0.30, 0.4, 0.4)),
        ("none", 1e-4): (Row(4.00, 0.7, 0.9), Row(4.00, 0.2, 0.9)),
    }
    seen = []

    def run_trial(trial, folder):
        config = trial.config
        seen.append(config)
        assert config.learning_rate is None or config.learning_rate_end == pytest.approx(config.learning_rate / 100)
        return rows[config.scheme_options["norm"], config.learning_rate][config.seed]

    monkeypatch.setattr(measure_module, "run_trial", run_trial)
    found = run_measurement("without-batch-norm-at-its-best-rate")
    assert len(seen) == 8
    assert (found["none_rate"], found["seeds"]) == (1e-3, 2)
    assert found["value"] == pytest.approx(1.5)  # of 5 and 1.5: the lesser
    assert (found["none_loss"], found["batch_loss"]) == (pytest.approx(0.4), pytest.approx(0.15))
    assert (found["none_error"], found["batch_error"]) == (pytest.approx(50), pytest.approx(4))
    assert claim("batch-norm").judge.decide(found) == "not confirmed"
    assert "at 0.001" in claim("batch-norm").show(found)


def test_batch_norm_trains_the_digits_for_real():
    found = run_measurement("without-batch-norm-at-its-best-rate")
    assert found["batch_error"] < 15  # ten epochs of digits are enough with BatchNorm
    assert found["none_rate"] in measure_module.RATES_WITHOUT_NORM
    # The least of two ratios is at most the ratio of their sums.
    assert 0 < found["value"] <= found["none_loss"] / found["batch_loss"] * (1 + 1e-9)
    assert "digits" in claim("batch-norm").show(found)


@pytest.mark.parametrize("name", ["matmul-8192", "mlp-10000", "product-rate"])
def test_without_kernels_no_time_is_taken(name, monkeypatch):
    absent = {kind: Backend(kind, False, "reference", reason="no compiler") for kind in ("cpu", "cuda")}
    monkeypatch.setattr(measure_module.cuda_ext, "backends", lambda: absent)
    with pytest.raises(CannotMeasureError, match="no compiled kernels here: no compiler"):
        run_measurement(name)


@pytest.mark.parametrize("faster", [9000.0, None])
def test_the_rate_is_the_direct_kernels_and_that_of_the_carry_save_popcount_stands_beside_it(faster, monkeypatch):
    here = {"cpu": Backend("cpu", True, "some ISA")}
    monkeypatch.setattr(measure_module.cuda_ext, "backends", lambda: here)
    monkeypatch.setattr(measure_module, "peak_gops", lambda carry_save=False: faster if carry_save else 6000.0)
    times = {measure_module.BASELINE: [0.04, 2 * 1024**3 / 1e11, 0.05]}  # the best: 100 GOPS
    monkeypatch.setattr(measure_module, "interleave", lambda calls, rounds: times)
    found = run_measurement("product-rate")
    assert (found["binary_gops"], found["carry_gops"]) == (6000.0, faster)
    assert (found["value"], found["float_gops"]) == (pytest.approx(60), pytest.approx(100))
    shown = "60.0×: 6,000 binary by popcount, 100 float32 GOPS on one core (some ISA)"
    own = "" if faster is None else "; binary by carry-save popcount 9,000"
    assert claim("swar-rate").show(found) == shown + own
    del found["carry_gops"]  # as measurements are that were kept before it
    assert claim("swar-rate").show(found) == shown


def test_no_rate_without_a_loop_for_it(monkeypatch):
    monkeypatch.setattr(measure_module.cuda_ext, "backends", lambda: {"cpu": Backend("cpu", True, "some ISA")})
    monkeypatch.setattr(measure_module, "peak_gops", lambda carry_save=False: None)
    with pytest.raises(CannotMeasureError, match="the ISA some ISA has no loop for its direct kernel's peak"):
        run_measurement("product-rate")


def test_ratios_are_of_the_rounds(monkeypatch):
    times = {measure_module.BASELINE: [2.0, 9.0, 4.0], "own": [1.0, 3.0, 1.0]}
    monkeypatch.setattr(measure_module, "interleave", lambda calls, rounds: times)
    found = measure_module._ratios(times, 3)["own"]
    assert (found["value"], found["low"], found["high"], found["seconds"]) == (3.0, 2.5, 3.5, 1.0)


def test_one_thread_and_the_former_number_after_it(monkeypatch):
    before = torch.get_num_threads()
    seen = []
    monkeypatch.setitem(measure_module.MEASUREMENTS, "packed-file", lambda: seen.append(torch.get_num_threads()))
    run_measurement("packed-file")
    assert seen == [1]
    assert torch.get_num_threads() == before


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: GPU times are not taken here")
@pytest.mark.parametrize("name", ["matmul-8192", "mlp-10000", "stochastic-sign", "shift-batch-norm"])
def test_a_gpu_is_used_where_there_is_one(name):
    found = run_measurement(name)
    assert found["device"] == "cuda"
    assert 0 < found["low"] <= found["value"] <= found["high"]
    assert found.get("agreement", 1.0) == 1.0
