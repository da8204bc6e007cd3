"""Measurements that end within seconds, run for real; the others' conditions."""

import pytest
import torch

from cuda_ext.runtime import Backend
from qbench.claims import measure as measure_module
from qbench.claims.measure import CannotMeasure, measure
from qbench.claims.registry import CLAIMS


def claim(id):
    return next(claim for claim in CLAIMS if claim.id == id)


def test_the_packed_file_is_a_bit_a_weight_and_little_more():
    found = measure("packed-file")
    weights, hidden = 14_022_016, 3840
    assert found["float_bytes"] >= 4 * weights + 4 * 4 * (hidden + 10)  # γ, β, mean and variance a channel
    assert weights / 8 < found["packed_bytes"] < weights / 8 + 5 * hidden + 8192
    assert found["value"] == found["float_bytes"] / found["packed_bytes"]
    assert claim("memory-file").judge.decide(found) == "confirmed"


def test_without_batch_norm_the_same_training_runs_twice():
    found = measure("without-batch-norm")
    assert found["value"] == pytest.approx(found["none_loss"] / found["batch_loss"])
    assert found["batch_error"] < 15  # ten epochs of digits are enough with BatchNorm
    assert "digits" in claim("batch-norm").show(found)


@pytest.mark.parametrize("name", ["matmul-8192", "mlp-10000", "product-rate"])
def test_without_kernels_no_time_is_taken(name, monkeypatch):
    absent = {kind: Backend(kind, False, "reference", reason="no compiler") for kind in ("cpu", "cuda")}
    monkeypatch.setattr(measure_module.cuda_ext, "backends", lambda: absent)
    with pytest.raises(CannotMeasure, match="no compiled kernels here: no compiler"):
        measure(name)


def test_ratios_are_of_the_rounds(monkeypatch):
    times = {measure_module.BASELINE: [2.0, 9.0, 4.0], "own": [1.0, 3.0, 1.0]}
    monkeypatch.setattr(measure_module, "interleave", lambda calls, rounds: times)
    found = measure_module._ratios(times, 3)["own"]
    assert (found["value"], found["low"], found["high"], found["seconds"]) == (3.0, 2.5, 3.5, 1.0)


def test_one_thread_and_the_former_number_after_it(monkeypatch):
    before = torch.get_num_threads()
    seen = []
    monkeypatch.setitem(measure_module.MEASUREMENTS, "packed-file", lambda: seen.append(torch.get_num_threads()))
    measure("packed-file")
    assert seen == [1]
    assert torch.get_num_threads() == before


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: GPU times are not taken here")
@pytest.mark.parametrize("name", ["matmul-8192", "mlp-10000", "stochastic-sign", "shift-batch-norm"])
def test_a_gpu_is_used_where_there_is_one(name):
    found = measure(name)
    assert found["device"] == "cuda"
    assert 0 < found["low"] <= found["value"] <= found["high"]
    assert found.get("agreement", 1.0) == 1.0
