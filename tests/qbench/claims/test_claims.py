"""The claims themselves: every figure of the papers, computed values against hand arithmetic, and what is not run."""

import math
import re

import pytest
from stored_examples import ORIGIN, stored_sweep, stored_trial, unfinished

from qbench.claims import table
from qbench.claims.claim import ByMeasurement, ByTraining, Cited, Computed
from qbench.claims.measurements import MEASUREMENTS, CannotMeasureError
from qbench.claims.registry import CLAIMS, chosen
from qbench.claims.stored import StoredMeasurement, StoredResults
from qbench.claims.table import make_rows, measure_all
from qbench.errors import ConfigError

BY_ID = {claim.id: claim for claim in CLAIMS}


def rows(*ids, sweeps=(), measurements=None, measured=None):
    results = StoredResults(tuple(sweeps), tuple((measurements or {}).items()))
    return make_rows(chosen(ids), results, measured or {})


def row(id, **more):
    return rows(id, **more)[0]


def test_ids_are_unique_and_plain():
    assert len(BY_ID) == len(CLAIMS)
    assert all(re.fullmatch(r"[a-z0-9.-]+", claim.id) for claim in CLAIMS)


# PAPERS.md, section 8, by hand: method, MNIST, SVHN, CIFAR-10.
TABLE = {
    "bnn-shift": ("1.40", "2.53", "10.15"),
    "binarynet": ("0.96", "2.80", "11.40"),
    "committee-machines": ("1.35", None, None),
    "binaryconnect": ("1.29 ± 0.08", "2.30", "9.90"),
    "binaryconnect-stochastic": ("1.18 ± 0.04", "2.15", "8.27"),
    "no-regularizer": ("1.30 ± 0.04", "2.44", "10.64"),
    "dropout": ("1.01 ± 0.04", None, None),
    "expectation-backpropagation": ("2.2 ± 0.1", None, None),
    "bitwise": ("1.33", None, None),
    "ternary-binary": ("1.45", None, None),
    "l2-svm": ("0.87", None, None),
    "maxout": ("0.94", "2.47", "11.68"),
    "network-in-network": (None, "2.35", "10.41"),
    "gated-pooling": (None, "1.69", "7.62"),
}


def test_every_reported_error_is_a_claim():
    expected = {
        f"{data}-{method}": f"{error} %"
        for method, errors in TABLE.items()
        for data, error in zip(("mnist", "svhn", "cifar10"), errors, strict=True)
        if error is not None
    }
    assert {claim.id: claim.paper for claim in CLAIMS if claim.section == "Test errors"} == expected


def test_every_price_of_the_energy_table_is_a_claim():
    found = sorted(claim.paper for claim in CLAIMS if claim.section.startswith("Energy"))
    prices = ["0.2", "0.03", "3.1", "0.1", "1.1", "0.4", "3.7", "0.9", "10", "20", "100", "1300 to 2600"]
    assert found == sorted(f"{price} pJ" for price in prices)


def computed(id):
    evidence = BY_ID[id].evidence
    assert isinstance(evidence, Computed)
    return evidence.compute()


def test_computed_figures_by_hand():
    assert computed("swar")["value"] == pytest.approx(5.3333333)
    assert computed("filters-bound")["value"] == 512
    assert computed("filters-bound-3d")["value"] == 1152
    assert computed("filters-inverse")["value"] == 256
    assert computed("filters-3x-arithmetic")["value"] == pytest.approx(2.38095238)
    assert computed("filters-60-arithmetic")["value"] == pytest.approx(58)
    assert computed("dot-product")["value"] is True


# The CIFAR-10 net's convolutions, by hand: input maps, filters, positions (size², padding 1).
LAYERS = [(3, 128, 1024), (128, 128, 1024), (128, 256, 256), (256, 256, 256), (256, 512, 64), (512, 512, 64)]


def test_memory_by_hand():
    dense = [(8192, 1024), (1024, 1024), (1024, 10)]
    weights = sum(9 * i * o for i, o, _ in LAYERS) + sum(i * o for i, o in dense)
    assert weights == 14_022_016
    packed = sum(math.ceil(9 * i / 8) * o for i, o, _ in LAYERS) + sum(i // 8 * o for i, o in dense)
    found = computed("memory")
    assert found["count"] == weights
    assert found["value"] == pytest.approx(4 * weights / packed)
    hidden = sum(o for _, o, _ in LAYERS) + 2 * 1024
    thresholds = 4 * hidden + hidden // 8 + 8 * 10  # a threshold and a direction each; the output's scale and shift
    floats = 4 * weights + 8 * (hidden + 10)
    assert found["stored"] == pytest.approx(floats / (packed + thresholds))
    energy = computed("energy")  # in 64-bit accesses, so rounded up to 8 bytes a term
    assert energy["value"] == pytest.approx(100 * (1 - (packed + thresholds) / floats), abs=1e-4)


def test_random_filters_by_hand():
    def distinct(drawn, values=256):
        return values * (1 - (1 - 1 / values) ** drawn)

    shares = [distinct(o) / o for _, o, _ in LAYERS]
    found = computed("filters-random")
    assert found["value"] == pytest.approx(100 * sum(shares) / 6)
    applied = [i * o * p for i, o, p in LAYERS]
    assert found["times"] == pytest.approx(sum(applied) / sum(n * s for n, s in zip(applied, shares, strict=True)))
    whole = [distinct(i * o) for i, o, _ in LAYERS]
    found = computed("filters-whole-layer")
    assert found["value"] == pytest.approx(
        100 * sum(w / (i * o) for w, (i, o, _) in zip(whole, LAYERS, strict=True)) / 6
    )
    assert found["times"] == pytest.approx(
        sum(applied) / sum(w * p for w, (_, _, p) in zip(whole, LAYERS, strict=True))
    )


def test_without_results_everything_trained_or_measured_is_not_run():
    for found in rows():
        evidence = BY_ID[found.id].evidence
        if isinstance(evidence, ByTraining | ByMeasurement):
            assert (found.here, found.how, found.verdict) == ("-", "not run", "not run")
        elif isinstance(evidence, Cited):
            assert found.verdict in ("cited only", "misread")
            assert found.here == "-"
        else:
            assert found.how == "computed"
            assert found.verdict != "not run"
    assert row("filters-3x-arithmetic").verdict == "differs"
    assert row("training-7x").verdict == "misread"


FULL = {
    "epochs": 1000,
    "batch_size": 100,
    "model_options.hidden": 4096,
    "model_options.layers": 3,
    "model_options.input_dropout": 0.2,
    "model_options.dropout": 0.5,
    "training/learning_rate_start": 3e-3,
    "training/learning_rate_end": 3e-7,
    "kernel/agreement": 1.0,
}


def test_a_full_training_is_judged_and_a_short_one_never():
    better, worse = ([stored_trial(seed, wrong, **FULL) for seed in (0, 1)] for wrong in (1, 3))  # 0.5 and 1.5 %
    found = row("mnist-binarynet", sweeps=[stored_sweep(*better)])
    assert (found.here, found.verdict) == ("0.50 ± 0.00 % (2 seeds)", "confirmed")
    assert found.how == (
        f"stored result: {ORIGIN.date}, {ORIGIN.command}; recorded on {ORIGIN.machine}, with qbench {ORIGIN.qbench}, "
        f"torch {ORIGIN.torch}"
    )
    assert row("mnist-binarynet", sweeps=[stored_sweep(*worse)]).verdict == "not confirmed"
    short = row("mnist-binarynet", sweeps=[stored_sweep(stored_trial(0, 0, **FULL | {"epochs": 30}))])
    assert (short.here, short.verdict) == ("0.00 % (1 seed; epochs 30 for 1000)", "short run")


@pytest.mark.parametrize("wrong", [0, 9])
def test_one_seed_is_shown_and_not_judged(wrong):
    found = row("mnist-binarynet", sweeps=[stored_sweep(stored_trial(0, wrong, **FULL))])
    assert (found.here, found.verdict) == (f"{wrong / 2:.2f} % (1 seed)", "incomplete")
    # One seed on two devices is still one.
    twice = [stored_trial(0, wrong, device=device, **FULL) for device in ("cpu", "cuda")]
    assert row("mnist-binarynet", sweeps=[stored_sweep(*twice)]).verdict == "incomplete"


@pytest.mark.parametrize("status", ["failed", "not run"])
def test_a_planned_seed_without_a_result_is_shown_and_leaves_nothing_to_judge(status):
    trials = [stored_trial(seed, 0, **FULL) for seed in (0, 1)]
    found = row("mnist-binarynet", sweeps=[stored_sweep(*trials, unfinished=(unfinished(trials[0], 2, status),))])
    assert found.here == f"0.00 ± 0.00 % (2 seeds; 1 of 3 planned seeds {status})"
    assert found.verdict == "incomplete"
    other = unfinished(stored_trial(0, 0, **FULL | {"epochs": 30}), 2)  # of other settings: another group's
    assert row("mnist-binarynet", sweeps=[stored_sweep(*trials, unfinished=(other,))]).verdict == "confirmed"


def test_what_the_recording_knows_stands_beside_the_figure():
    trials = [stored_trial(seed, 1, **FULL) for seed in (0, 1)]
    found = row("mnist-binarynet", sweeps=[stored_sweep(*trials, same_code=False, note="98 images are from JPEG")])
    assert "trained by other sources of qbench than it was recorded with" in found.how
    assert found.how.endswith("note: 98 images are from JPEG")


def test_packed_predictions_of_a_trained_network_must_all_agree():
    sweeps = [stored_sweep(stored_trial(0, 1, **FULL), stored_trial(1, 1, **FULL | {"kernel/agreement": 0.9999}))]
    found = row("mlp-7x-accuracy", sweeps=sweeps)
    assert found.verdict == "not confirmed"
    alike = [stored_trial(seed, 1, **FULL) for seed in (0, 1)]
    assert row("mlp-7x-accuracy", sweeps=[stored_sweep(*alike)]).verdict == "confirmed"


def test_packed_predictions_of_a_toy_network_confirm_nothing():
    toy = FULL | {"epochs": 1, "model_options.hidden": 8}
    found = row("mlp-7x-accuracy", sweeps=[stored_sweep(*(stored_trial(seed, 1, **toy) for seed in (0, 1)))])
    assert found.verdict == "short run"
    assert "epochs 1 for 1000" in found.here


def cifar10(**figures):
    values = {
        "filters/unique_fraction": 0.40,
        "filters/unique_fraction_signed": 0.5,
        "filters/random_fraction": 0.618,
        "filters/op_reduction": 2.5,
        "filters/random_op_reduction": 1.67,
        "filters/op_reduction_with_additions": 2.0,
        "model": "cifar10-convnet",
        "data": "cifar10",
        "epochs": 500,
        "batch_size": 50,
        "training/learning_rate_start": 1e-3,
        "training/learning_rate_end": 3e-7,
    }
    return [stored_sweep(*(stored_trial(seed, **values | figures) for seed in (0, 1)))]


@pytest.mark.parametrize(
    ("id", "figures", "verdict"),
    [
        ("filters-42", {"filters/unique_fraction": 0.44}, "confirmed"),
        ("filters-42", {"filters/unique_fraction": 0.441}, "differs"),
        ("filters-42", {"filters/unique_fraction": 0.399}, "differs"),
        ("filters-42", {"epochs": 3}, "short run"),
        ("filters-3x", {}, "confirmed"),
        ("filters-3x", {"filters/op_reduction": 2.49}, "differs"),
        ("filters-60", {}, "confirmed"),  # 1 - 1/2.5
        ("filters-60", {"filters/op_reduction": 2.2}, "differs"),  # 54.5 %
        ("filters-60", {"data": "cifar10-whitened"}, "other settings"),
    ],
)
def test_trained_filters(id, figures, verdict):
    found = row(id, sweeps=cifar10(**figures))
    assert found.verdict == verdict
    assert "random weights" in found.here  # the baseline stands beside every trained value
    assert "(2 seeds" in found.here


def test_one_seed_is_no_seeds():
    assert "(1 seed)" in row("filters-42", sweeps=[stored_sweep(cifar10()[0].trials[0])]).here


TIMES = {"value": 5.0, "low": 4.0, "high": 6.0, "seconds": 0.1, "rounds": 3, "kernels": "avx512"}


def test_what_was_measured_now_goes_before_what_is_stored():
    stored = {"matmul-8192": StoredMeasurement(TIMES | {"packed_value": 5.5, "device": "cpu"}, ORIGIN)}
    now = {"matmul-8192": StoredMeasurement(TIMES | {"value": 7.0, "packed_value": 8, "device": "cuda"}, ORIGIN)}
    found = row("matmul-3.4x", measurements=stored)
    assert (found.verdict, found.how) == ("other machine", str(ORIGIN))
    found = row("matmul-3.4x", measurements=stored, measured=now)
    assert (found.verdict, found.how) == ("confirmed", "measured in this run")
    assert found.here.startswith("7.0×")
    assert "GPU" in found.here
    assert row("matmul-23x", measured=now).verdict == "not confirmed"


def test_what_cannot_be_measured_says_why_and_keeps_what_is_stored():
    found = row("matmul-3.4x", measured={"matmul-8192": "no compiler"})
    assert (found.verdict, found.how, found.here) == ("not run", "not run: no compiler", "-")
    stored = {"matmul-8192": StoredMeasurement(TIMES | {"packed_value": 5.5, "device": "cpu"}, ORIGIN)}
    assert row("matmul-3.4x", measurements=stored, measured={"matmul-8192": "no compiler"}).how == str(ORIGIN)


CONVNET = {"model": "cifar10-convnet", "epochs": 500, "batch_size": 50}
NET = CONVNET | {"data": "cifar10", "training/learning_rate_start": 1e-3, "training/learning_rate_end": 3e-7}
CONNECT = CONVNET | {
    "scheme": "binaryconnect",
    "data": "cifar10-whitened",
    "training/learning_rate_start": 3e-3,
    "training/learning_rate_end": 2e-6,
}


def test_paired_statements_on_stored_predictions():
    id = "binaryconnect-beats-binarynet-cifar10"
    connect = [stored_trial(seed, 2, **CONNECT) for seed in (0, 1, 2)]
    net = [stored_trial(seed, 20 + 2 * seed, **NET) for seed in (0, 1, 2)]
    found = row(id, sweeps=[stored_sweep(*connect, *net)])
    assert found.verdict == "confirmed"
    assert "points better" in found.here
    one = row(id, sweeps=[stored_sweep(connect[0], net[0])])
    assert (one.verdict, "none from one" in one.here) == ("incomplete", True)
    swapped = [stored_trial(seed, 30 + 2 * seed, **CONNECT) for seed in (0, 1, 2)]
    assert row(id, sweeps=[stored_sweep(*swapped, *net)]).verdict == "not confirmed"
    lost = row(id, sweeps=[stored_sweep(*connect, *net[:2], unfinished=(unfinished(net[0], 2),))])
    assert lost.verdict == "incomplete"
    assert "binarynet: 1 of 3 planned seeds failed" in lost.here


def test_a_comparison_of_unpublished_settings_is_not_judged():
    script = {
        "epochs": 250,
        "batch_size": 100,
        "model_options.hidden": 2048,
        "model_options.layers": 3,
        "model_options.input_dropout": 0.0,
        "model_options.dropout": 0.0,
        "training/learning_rate_start": 1e-3,
        "training/learning_rate_end": 3e-6,
        "scheme_options.norm_momentum": 0.15,
    }
    connect = [stored_trial(seed, 2, scheme="binaryconnect", **script) for seed in (0, 1, 2)]
    net = [stored_trial(seed, 20 + 2 * seed, **FULL) for seed in (0, 1, 2)]
    for id in ("binaryconnect-beats-binarynet-mnist", "mnist-binaryconnect"):
        found = row(id, sweeps=[stored_sweep(*connect, *net)])
        assert found.verdict == "other settings"
        assert "whose rate is unpublished" in found.here
        assert "inputs 2x/255 - 1 for its centred ones" in found.here


@pytest.mark.parametrize(("device", "verdict"), [("cpu", "other machine"), ("cuda", "other settings")])
@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_unfused_shifts_neither_confirm_nor_refute(device, verdict, ratio):
    stored = {"shift-batch-norm": StoredMeasurement(TIMES | {"value": ratio, "device": device}, ORIGIN)}
    found = row("shifts-gain-nothing", measurements=stored)
    assert found.verdict == verdict
    assert "unfused" in found.rule


def test_a_measurement_runs_once_for_all_its_claims(monkeypatch):
    calls, said = [], []
    monkeypatch.setitem(MEASUREMENTS, "matmul-8192", lambda: calls.append(1) or {"value": 1})
    monkeypatch.setattr(table, "origin_now", lambda command: command)

    def fails():
        raise CannotMeasureError("too small a machine")

    monkeypatch.setitem(MEASUREMENTS, "packed-file", fails)
    found = dict(
        measure_all(chosen(["matmul-23x", "matmul-3.4x", "memory-file", "memory"]), lambda *step: said.append(step))
    )
    assert calls == [1]
    assert found["matmul-8192"].origin == "qbench claims --run --only matmul-23x"
    assert found["packed-file"] == "too small a machine"
    assert said == [
        (1, 2, "measuring matmul-8192 (matmul-23x, matmul-3.4x)"),
        (2, 2, "measuring packed-file (memory-file)"),
    ]


def test_every_measurement_serves_a_claim():
    named = {claim.evidence.name for claim in CLAIMS if isinstance(claim.evidence, ByMeasurement)}
    assert named == set(MEASUREMENTS)


def test_an_unknown_claim_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'filters-42'"):
        chosen(["filter-42"])
    assert [claim.id for claim in chosen(["filters-42", "swar"])] == ["swar", "filters-42"]
