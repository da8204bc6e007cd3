"""One trial from its configuration to its metrics: determinism, sharing, identity, agreement."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

import qbench.trial.resolved
from qbench.data.datasets import get_dataset
from qbench.deploy.int8.network import IntegerNetwork
from qbench.errors import ConfigError, TrainingError
from qbench.nn.quant_layer import QuantLayer
from qbench.ptq import calibration
from qbench.training.module import QuantModule
from qbench.trial import run as training
from qbench.trial.check import check
from qbench.trial.config import TrialConfig
from qbench.trial.finished.module import open_module
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import resolve
from qbench.trial.result import TrialResult
from qbench.trial.run import run_trial
from quantizers import Quantizer, Sign, Uniform

SMALL = {"model": "digits-mlp", "model_options": {"hidden": 24, "layers": 2}, "epochs": 2}


def config(scheme: str = "binarynet", **fields: Any) -> TrialConfig:
    return TrialConfig.from_mapping({"scheme": scheme, **SMALL, **fields})


def metrics(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith("time/") and key != "shared"}


@pytest.mark.parametrize(
    "scheme", ["binarynet-stochastic", "binaryconnect-stochastic", "int8-kl", "int8-qat", "int8-lsq"]
)
def test_the_same_trial_gives_the_same_bits(scheme: str, tmp_path: Path) -> None:
    first = run_trial(resolve(config(scheme)), tmp_path / "a")
    torch.rand(7)  # another state of the global generator
    again = run_trial(resolve(config(scheme)), tmp_path / "b")
    assert metrics(first.row) == metrics(again.row)
    assert first.predictions == again.predictions
    stored = [next((tmp_path / name).glob("trainings/*/weights.safetensors")).read_bytes() for name in "ab"]
    assert stored[0] == stored[1]


def test_another_seed_is_another_training(tmp_path: Path) -> None:
    for scheme in ("fp32", "binarynet"):
        runs = [run_trial(resolve(config(scheme, seed=seed)), tmp_path) for seed in (0, 1)]
        assert runs[0].row["training_key"] != runs[1].row["training_key"]
        assert runs[0].predictions != runs[1].predictions
        assert runs[0].labels == runs[1].labels  # the same test images


def test_int8_shares_the_fp32_training_and_one_calibration_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"train": 0, "observe": 0}
    fit, observe = training.fit, calibration.observe
    monkeypatch.setattr(training, "fit", lambda *a, **k: calls.update(train=calls["train"] + 1) or fit(*a, **k))
    monkeypatch.setattr(calibration, "observe", lambda *a: calls.update(observe=calls["observe"] + 1) or observe(*a))
    rows = [run_trial(resolve(config(scheme)), tmp_path).row for scheme in ("fp32", "int8-minmax", "int8-kl")]
    assert calls == {"train": 1, "observe": 1}
    assert len({row["training_key"] for row in rows}) == 1
    assert len({row["trial_id"] for row in rows}) == 3
    assert [row["shared"] for row in rows] == [False, True, True]
    assert len({row["time/train_s"] for row in rows}) == 1
    # A stored pass gives what a pass of its own gives.
    alone = run_trial(resolve(config("int8-kl")), tmp_path / "alone").row
    assert metrics(alone) == metrics(rows[2])


def test_a_shared_training_tells_its_history_to_the_logger_of_every_trial(tmp_path: Path) -> None:
    told = {}
    for scheme in ("fp32", "int8-minmax"):
        logger = CSVLogger(tmp_path, name=scheme)
        run_trial(resolve(config(scheme)), tmp_path, logger=logger)
        logger.save()
        with open(logger.experiment.metrics_file_path, newline="") as file:
            told[scheme] = list(csv.DictReader(file))
    assert len(told["fp32"]) == config().epochs
    assert told["int8-minmax"] == told["fp32"]


def test_int8_metrics_come_from_the_quantized_network(tmp_path: Path) -> None:
    fp32 = run_trial(resolve(config("fp32", epochs=4)), tmp_path)
    int8 = run_trial(resolve(config("int8-minmax", epochs=4)), tmp_path)
    assert abs(fp32.row["test/accuracy"] - int8.row["test/accuracy"]) <= 0.02
    assert int8.row["kernel/agreement"] == 1.0
    assert int8.row["kernel/execution"] == "integer chain"
    assert int8.row["int8/equal_outputs"] > 0.999
    assert int8.row["int8/within_one"] == 1.0
    assert int8.row["kernel/ops"] == "int8 int8 int8"
    assert 3 < int8.row["cost/weight_compression"] < 4
    assert fp32.row["kernel/agreement"] is None
    assert fp32.row["kernel/execution"] is None


def test_a_network_without_a_chain_in_integers_says_why(tmp_path: Path) -> None:
    row = run_trial(resolve(config("int8-minmax", scheme_options={"last_layer": "float"})), tmp_path).row
    assert row["kernel/execution"] == "layers"
    assert row["int8/no_chain"] == "out: its weights are float32"
    assert row["int8/equal_outputs"] is None
    assert row["kernel/agreement"] >= 0.99


@pytest.mark.parametrize("scheme", ["int8-qat", "int8-lsq"])
def test_networks_trained_with_quantization_run_in_integers(scheme: str, tmp_path: Path) -> None:
    row = run_trial(resolve(config(scheme, epochs=6)), tmp_path).row
    assert row["kernel/execution"] == "integer chain"
    assert row["kernel/agreement"] == 1.0
    assert row["int8/within_one"] == 1.0
    assert row["val/accuracy"] > 0.85
    assert 3 < row["cost/weight_compression"] < 4


def opened(result: TrialResult, folder: Path) -> QuantModule:
    """The module that a trial evaluated, from its stored weights."""
    row = result.row
    return open_module(TrialRecord(row["trial_id"], "done", row, result.predictions, result.labels, folder=folder))


def test_post_training_steps_change_the_metrics_and_not_the_training(tmp_path: Path) -> None:
    coarse = {"name": "int8", "options": {"bits": 2, "method": "minmax"}}
    results = [
        run_trial(resolve(config("int8-minmax", scheme_options={"weights": coarse, **more})), tmp_path)
        for more in ({}, {"bias_correction": True}, {"clip_outliers": 1.5}, {"fold_batch_norm": False})
    ]
    rows = [result.row for result in results]
    assert len({row["training_key"] for row in rows}) == 1
    assert len({row["cost/weight_bytes"] for row in rows}) == 1
    # two bits a tensor: every step tells
    assert len({tuple(result.predictions) for result in results}) == 4
    plain, corrected, clipped, apart = (opened(result, tmp_path).model.fc1 for result in results)
    assert torch.equal(corrected.weight, plain.weight)
    assert not torch.equal(corrected.bias, plain.bias)
    assert torch.equal(clipped.weight, plain.weight)
    assert clipped.weight_quantizer.scale < plain.weight_quantizer.scale
    assert not torch.equal(apart.weight, plain.weight)


@pytest.mark.parametrize("more", [{}, {"bias_correction": True}, {"clip_outliers": 1.5}, {"fold_batch_norm": False}])
def test_integers_decide_as_float32_does_wherever_that_is_no_tie(more: dict[str, Any], tmp_path: Path) -> None:
    """Two-bit weights give scores of few values: classes tie, and which of them float32 puts first is its rounding."""
    coarse = {"name": "int8", "options": {"bits": 2, "method": "minmax"}}
    result = run_trial(resolve(config("int8-minmax", scheme_options={"weights": coarse, **more})), tmp_path)
    assert result.row["int8/within_one"] == 1.0
    network = opened(result, tmp_path).model
    images = get_dataset("digits").load(0).test.images
    integers = IntegerNetwork(network, images[:1]).predict(images)
    with torch.no_grad():
        scores = network(images)
    chosen, best = scores.gather(1, integers[:, None])[:, 0], scores.amax(1)
    assert bool((best - chosen <= 1e-5 * scores.abs().amax(1)).all())
    agreeing = int((scores.argmax(1) == integers).sum())
    assert result.row["kernel/agreement"] == agreeing / 360
    assert agreeing > 340


@pytest.mark.parametrize("scheme", ["binarynet", "binarynet-stochastic", "binaryconnect"])
@pytest.mark.parametrize("model", ["digits-mlp", "digits-convnet"])
def test_packed_execution_agrees_on_every_test_image(scheme: str, model: str, tmp_path: Path) -> None:
    options = {"hidden": 24} if model == "digits-mlp" else {"width": 6}
    row = run_trial(resolve(config(scheme, model=model, model_options=options)), tmp_path).row
    assert row["kernel/agreement"] == 1.0
    first, *others = row["kernel/ops"].split()
    assert first == "binary-weight"
    assert set(others) == {"binary-weight" if scheme == "binaryconnect" else "xnor"}
    assert (row["filters/unique_fraction"] is None) == (model == "digits-mlp")


def test_agreement_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong kernel shows: it is not assumed that packed execution is right."""
    from qbench.nn.quant_op.xnor import XnorOp

    product = XnorOp.linear
    monkeypatch.setattr(XnorOp, "linear", lambda self, x, packed: -product(self, x, packed))
    assert run_trial(resolve(config("binarynet")), tmp_path).row["kernel/agreement"] < 0.9


def test_agreement_is_empty_where_nothing_packed_runs(tmp_path: Path) -> None:
    row = run_trial(resolve(config("binaryconnect-stochastic")), tmp_path).row
    assert row["kernel/agreement"] is None
    assert row["kernel/ops"] is None
    assert row["cost/weight_compression"] == 1.0
    assert row["training/epochs"] == 4  # twice the budget, and it says so


def test_a_row_has_the_config_the_identity_and_the_metrics(tmp_path: Path) -> None:
    result = run_trial(resolve(config("binarynet", seed=3)), tmp_path)
    row = result.row
    assert (row["scheme"], row["seed"], row["model_options.hidden"]) == ("binarynet", 3, 24)
    expected = {
        "test/accuracy",
        "val/accuracy",
        "cost/weight_bytes",
        "cost/weight_compression",
        "cost/energy_uj",
        "cost/macs",
        "filters/unique_fraction",
        "filters/op_reduction",
        "time/train_s",
        "training/loop",
        "kernel/agreement",
    }
    assert expected <= set(row)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    correct = sum(p == t for p, t in zip(result.predictions, result.labels, strict=True))
    assert row["test/accuracy"] == correct / 360


def test_the_best_validation_epoch_is_evaluated(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    row = run_trial(resolve(config("binarynet", epochs=5)), tmp_path, on_epoch=lambda e, n, _: seen.append((e, n))).row
    assert seen == [(e, 5) for e in range(1, 6)]
    logger = CSVLogger(tmp_path, name="history")
    again = run_trial(resolve(config("binarynet", epochs=5)), tmp_path / "b", logger=logger).row
    with open(logger.experiment.metrics_file_path, newline="") as file:
        history = [float(line["val/accuracy"]) for line in csv.DictReader(file) if line["val/accuracy"]]
    assert len(history) == 5
    assert row["val/accuracy"] == again["val/accuracy"] == pytest.approx(max(history), abs=1e-6)
    assert again["training/best_epoch"] == history.index(max(history)) + 1


def test_ids_depend_on_what_they_should() -> None:
    base = config()
    assert resolve(base).trial_id == resolve(config()).trial_id
    others = [config(seed=1), config(epochs=3), config(scheme_options={"last_layer": "float"}), config("fp32")]
    assert len({resolve(c).trial_id for c in [base, *others]}) == 5
    assert resolve(config("int8-kl", calibration_images=64)).trial_id != resolve(config("int8-kl")).trial_id
    assert resolve(config("int8-kl", calibration_images=64)).training_key == resolve(config("fp32")).training_key
    assert resolve(config("binaryconnect")).training_key != resolve(config("fp32")).training_key


def test_an_edited_plugin_is_another_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    plugin = tmp_path / "my_plugin_under_test.py"
    source = (
        "from qbench.training.module import QuantModule\nfrom quantizers import Sign\n"
        "class Mine(QuantModule):\n    def weight_quantizer(self, layer):\n        return Sign(clip={clip})\n"
    )
    plugin.write_text(source.format(clip=1.0))
    mine = config(module="my_plugin_under_test.Mine")
    first = resolve(mine).trial_id
    assert first != resolve(config()).trial_id
    plugin.write_text(source.format(clip=0.5))
    assert resolve(mine).trial_id == first  # this process runs, and would store, what it imported
    sys.modules.pop("my_plugin_under_test")
    assert resolve(mine).trial_id != first
    row = run_trial(resolve(mine), tmp_path / "run").row
    assert row["module"] == "my_plugin_under_test.Mine"
    assert row["kernel/agreement"] == 1.0


def test_an_edited_quantizer_is_another_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    plugin = tmp_path / "my_quantizer_under_test.py"
    plugin.write_text("from quantizers import Sign\nclass Mine(Sign):\n    pass\n")
    mine = config(scheme_options={"weights": "my_quantizer_under_test.Mine"})
    first = resolve(mine).trial_id
    plugin.write_text("from quantizers import Sign\nclass Mine(Sign):\n    '''Edited.'''\n")
    sys.modules.pop("my_quantizer_under_test")
    assert resolve(mine).trial_id != first


def test_a_plugins_base_and_a_partial_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "base_under_test.py").write_text(
        "from qbench.training.module import QuantModule\nclass Base(QuantModule): ...\n"
    )
    (tmp_path / "child_under_test.py").write_text("from base_under_test import Base\nclass Child(Base): ...\n")
    (tmp_path / "partial_under_test.py").write_text(
        "import functools\nfrom qbench.nn.models.mlp import digits_mlp\nfrom qbench.nn.models.model import Model\n"
        "def build(hidden=8): return digits_mlp(hidden)\n"
        "NET = Model(functools.partial(build, hidden=4), (1, 8, 8), 10, '')\n"
    )
    used = resolve(config(module="child_under_test.Child")).plugins
    assert used == {"base_under_test", "child_under_test"}
    partial = TrialConfig(scheme="fp32", model="partial_under_test.NET")
    assert resolve(partial).plugins == {"partial_under_test"}


class Overriding(QuantModule):
    """±1 weights whatever the scheme says of weights."""

    def weight_quantizer(self, layer: QuantLayer) -> Quantizer | None:
        return Sign(estimator="identity")


PAIRS = {
    "a weight quantizer that is active while activations are observed": (
        {"scheme": "int8-minmax"},
        {"scheme": "int8-minmax", "scheme_options": {"weights": "sign"}},
    ),
    "a module that overrides quantizers in training, or after it": (
        {"scheme": "fp32", "module": f"{__name__}.Overriding"},
        {"scheme": "int8-minmax", "module": f"{__name__}.Overriding"},
    ),
    "the weights that choose the best epoch": (
        {"scheme": "binaryconnect-stochastic"},
        {"scheme": "binaryconnect-stochastic", "scheme_options": {"evaluation_weights": "quantized"}},
    ),
    "folded and unfolded": (
        {"scheme": "int8-kl"},
        {"scheme": "int8-kl", "scheme_options": {"fold_batch_norm": False}},
    ),
    "four bits and eight": ({"scheme": "int8-mse"}, {"scheme": "int4-weights-mse"}),
}


@pytest.mark.parametrize("pair", list(PAIRS.values()), ids=list(PAIRS))
def test_what_ran_before_does_not_change_a_result(pair: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path) -> None:
    first, second = (TrialConfig.from_mapping({**SMALL, **fields}) for fields in pair)
    alone = [metrics(run_trial(resolve(c), tmp_path / name).row) for name, c in (("a", first), ("b", second))]
    forwards = [metrics(run_trial(resolve(c), tmp_path / "ab").row) for c in (first, second)]
    backwards = [metrics(run_trial(resolve(c), tmp_path / "ba").row) for c in (second, first)]
    assert forwards == alone
    assert backwards == alone[::-1]


def test_int8_without_calibration_is_refused() -> None:
    for field in ("weights", "activations"):
        with pytest.raises(ConfigError, match=rf"scheme_options\.{field}: .* needs calibration"):
            check(resolve(config("fp32", scheme_options={field: "int8"})))


def test_an_uncalibrated_quantizer_is_never_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "calibrate_trial", lambda *_: None)
    with pytest.raises(TrainingError, match="was never calibrated"):
        run_trial(resolve(config("int8-kl")), tmp_path)


def test_changed_code_is_another_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resolve(config()).trial_id, resolve(config()).training_key
    monkeypatch.setattr(qbench.trial.resolved, "code_digest", lambda: "another version")
    assert resolve(config()).trial_id != before[0]
    assert resolve(config()).training_key != before[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scheme": "binarynett"}, "scheme: unknown scheme 'binarynett'; did you mean 'binarynet'?"),
        ({"model": "digits-convnett"}, "model: unknown model 'digits-convnett'; did you mean 'digits-convnet'?"),
        ({"data": "digit"}, "data: unknown data set 'digit'; did you mean 'digits'?"),
        ({"model_options": {"hiden": 3}}, "model_options.hiden: unknown option; did you mean 'hidden'?"),
        ({"model_options": {"hidden": "3"}}, "model_options.hidden: expected int, got '3'"),
        ({"model_options": {"hidden": 0}}, "model_options: hidden and layers must be at least 1"),
        ({"model": "mnist-mlp", "model_options": {}}, "model: 'mnist-mlp' takes (1, 28, 28)"),
        ({"module": "no_such_module.Thing"}, "module: cannot import 'no_such_module'"),
        ({"module": "math.pi"}, "module: 'math.pi' is no subclass of QuantModule"),
        ({"scheme_options": {"weights": "sgin"}}, "unknown quantizer 'sgin'; did you mean 'sign'?"),
        ({"device": "cuda"}, "device: no CUDA device is available"),
    ],
)
def test_check_names_what_is_wrong(fields: dict[str, Any], message: str) -> None:
    if fields.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError) as caught:
        check(resolve(config(**fields)))
    assert message in str(caught.value)


def test_check_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    check(resolve(config()))
    assert torch.equal(torch.rand(1), expected)


def test_too_many_calibration_images() -> None:
    with pytest.raises(ConfigError, match="calibration_images: 2000 images of 1077 training images"):
        check(resolve(config("int8-kl", calibration_images=2000)))
    check(resolve(config("fp32", calibration_images=2000)))  # which calibrates nothing


def test_calibration_uses_the_named_number_of_training_images() -> None:
    parts = resolve(config())
    splits = parts.dataset.load(0)
    chosen = calibration.calibration_images(splits, 50, seed=0)
    rows = {tuple(row) for row in splits.train.images.flatten(1).tolist()}
    assert len(chosen) == 50
    assert all(tuple(row) in rows for row in chosen.images.flatten(1).tolist())
    assert torch.equal(chosen.images, calibration.calibration_images(splits, 50, seed=0).images)


def test_a_half_written_training_is_trained_again(tmp_path: Path) -> None:
    first = run_trial(resolve(config()), tmp_path).row
    store = next((tmp_path / "trainings").iterdir())
    (store / "training.json").unlink()  # as after a kill between the two files
    (store / "weights.safetensors").write_bytes(b"half")
    again = run_trial(resolve(config()), tmp_path).row
    assert not again["shared"]
    assert metrics(again) == metrics(first)


def test_threads_are_restored(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    run_trial(resolve(config(threads=1 if before != 1 else 2)), tmp_path)
    assert torch.get_num_threads() == before


def test_post_training_weights_keep_their_full_range() -> None:
    parts = resolve(config("int8-kl"))
    module = parts.build()
    module.quantize()
    calibration.calibrate(module.model, parts.dataset.load(0).train.images[:64])
    layer = module.model.fc1
    assert isinstance(layer.weight_quantizer, Uniform)
    expected = layer.weight.detach().abs().amax(1) / 127
    torch.testing.assert_close(layer.weight_quantizer.scale, expected)
