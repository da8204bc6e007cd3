"""Attempts to cheat: each is caught by name, before anything is trained or before it is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cheating_quantizers as cheats
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from qbench.errors import ConfigError, TrainingError
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_linear import QuantLinear
from qbench.training.module import QuantModule
from qbench.trial import plug_in_sources
from qbench.trial.check import check
from qbench.trial.config import TrialConfig
from qbench.trial.contract import check_trained
from qbench.trial.evaluation import estimate_costs
from qbench.trial.identity import source_digest
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.run import run_trial
from quantizers import LayerPlace, make
from quantizers.contract import check_quantizer


def trial(role: str, cheat: str, **config: Any) -> ResolvedTrial:
    """Digits under a scheme whose quantizer of one role is a cheat; the other role stays float32."""
    options = {"weights": None, "activations": None, "network_input": None, role: f"cheating_quantizers.{cheat}"}
    common: dict[str, Any] = {"scheme": "binaryconnect", "model": "digits-mlp", "model_options": {"hidden": 16}}
    options |= {"evaluation_weights": "quantized"}
    return resolve(TrialConfig(**common | {"scheme_options": options, "epochs": 1, "batch_size": 512} | config))


# What was tried, of what, the quantizer, and words of the refusal.
BEFORE_TRAINING = [
    ("forward is the identity", "weights", "Identity", "values: forward gives .*forward returns x itself"),
    ("says 4 bits, returns x: more values than codes", "weights", "TwoAxes", "levels: .* at one scale, uint4 has 16"),
    ("a scale for each value", "weights", "ElementwiseScale", "scale: .* real numbers that nobody counts"),
    ("codes out of range", "weights", "OutOfRange", r"codes: .* are none of int4 \(-7..7\), e.g. 8"),
    ("a format that its bits do not hold", "weights", "TinyFormat", "'tiny': 255 codes do not fit 1 bits"),
    ("codes of another format", "weights", "OtherFormat", "format: quantize returns codes of int8, .* is int4"),
    ("evaluation is not what is packed", "activations", "OtherValues", "values: .* see other numbers than kernels do"),
    ("evaluation follows its batches", "activations", "FollowsInEvaluation", "deterministic: .* after another tensor"),
    ("inputs depend on their batch", "activations", "Honest", "batch: .* in a batch of 4 and .* alone"),
    ("a NaN gradient", "weights", "NaNGradient", "gradient: .* gradients are NaN or infinite"),
    ("no gradient at all", "weights", "NoGradient", "gradient: forward's result has no gradient"),
    ("a parameter that nothing trains", "activations", "UnusedParameter", "learned: no gradient reaches .* 'step'"),
    ("state that a checkpoint loses", "activations", "LosesState", "state_dict: .* in buffers"),
    (
        "values that nothing stores",
        "activations",
        "HiddenTable",
        r"hidden: evaluation reads self.table \(250,000 values",
    ),
    ("says binary, and is not", "weights", "ClaimsBinary", "is_binary: is_binary is True, but evaluation gives 2"),
    ("never ready", "weights", "NeverReady", "ready: is_ready is False after two training batches"),
]


@pytest.mark.parametrize(
    ("role", "cheat", "words"), [case[1:] for case in BEFORE_TRAINING], ids=[case[0] for case in BEFORE_TRAINING]
)
def test_refused_before_training(role: str, cheat: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        check(trial(role, cheat))
    assert str(refused.value).startswith(f"scheme_options.{role}: ")
    if cheat != "TinyFormat":  # which is no quantizer at all
        assert f": {cheat} ({role}) breaks the contract of quantizers: " in str(refused.value)


def test_the_honest_are_not_refused() -> None:
    check(trial("weights", "Honest"))
    check(trial("activations", "Follower"))


def test_every_seed_is_refused_though_equal_quantizers_are_checked_once() -> None:
    for seed in (0, 1):
        with pytest.raises(ConfigError, match="values"):
            check(trial("weights", "Identity", seed=seed))


def test_the_checks_leave_training_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = run_trial(trial("weights", "Honest"), tmp_path / "checked")
    monkeypatch.setattr("qbench.trial.run.check_contract", lambda module: None)
    plain = run_trial(trial("weights", "Honest"), tmp_path / "plain")
    assert checked.predictions == plain.predictions
    assert checked.row["test/accuracy"] == plain.row["test/accuracy"]


def test_hidden_parameters_are_counted_where_inputs_are_quantized() -> None:
    sizes = {}
    for name in ("Follower", "HiddenParameters"):
        found = trial("activations", name)
        module = found.build()
        quantized = sum(
            layer.input_quantizer is not None for layer in module.modules() if isinstance(layer, QuantLinear)
        )
        sizes[name] = estimate_costs(found, module.model).metrics(1)["cost/weight_bytes"]
    assert quantized > 1
    assert sizes["HiddenParameters"] - sizes["Follower"] == 262_144 * 4 * quantized


@pytest.mark.slow  # starts processes
def test_unequal_ranks_are_found_by_the_full_checks() -> None:
    (fault,) = check_quantizer(
        cheats.Follower(), place=LayerPlace("fc", "activations", "linear", (8, 9), 0, 1), full=True
    )
    assert fault.check == "ranks"
    assert "reduce what follows a batch over the ranks" in fault.message


def test_a_stale_import_is_another_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for folder, width in (("before", 1), ("after", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "stale_plug_in.py").write_text("import stale_helper")
        (tmp_path / folder / "stale_helper.py").write_text("from stale_table import WIDTH")
        (tmp_path / folder / "stale_table.py").write_text(f"WIDTH = {width}")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / folder))
            plug_in_sources._read.cache_clear()  # as a new process has none
            found.append(source_digest({"stale_plug_in"}))
    assert found[0] != found[1]


def test_a_checkpoint_of_another_scheme_is_refused_by_name(tmp_path: Path) -> None:
    def network() -> nn.Module:
        return get_model("digits-mlp").make({"hidden": 16})

    saving = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    saving.strategy.connect(QuantModule(network(), "binarynet"))
    saving.save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(ConfigError, match="trained with scheme binarynet, this module's is binaryconnect: activations"):
        QuantModule.load_from_checkpoint(tmp_path / "x.ckpt", model=network(), scheme="binaryconnect")


class TestAfterTraining:
    def test_other_values_than_are_packed(self, tmp_path: Path) -> None:
        found = trial("weights", "OtherWhenTrained", epochs=8)
        check(found)
        with pytest.raises(
            TrainingError, match=r": OtherWhenTrained \(weights\) breaks .* after the training: values:"
        ):
            run_trial(found, tmp_path)

    def layer(self, **quantizers: Any) -> nn.Module:
        torch.manual_seed(0)
        layer = QuantLinear(9, 4)
        for name, quantizer in quantizers.items():
            setattr(layer, name, quantizer)
        return nn.Sequential(layer).eval()

    def test_real_inputs_are_checked(self) -> None:
        network = self.layer(input_quantizer=cheats.BreaksOnData())
        check_trained(network, torch.randn(5, 9))
        with pytest.raises(
            TrainingError, match=r"0: BreaksOnData \(activations\) .*RuntimeError: no value is below zero"
        ):
            check_trained(network, torch.rand(5, 9))

    def test_real_weights_are_checked_unless_evaluation_uses_latent_ones(self) -> None:
        network = self.layer(weight_quantizer=cheats.OutOfRange())
        with pytest.raises(TrainingError, match=r"0: OutOfRange \(weights\) .* codes are none of int4"):
            check_trained(network, torch.rand(5, 9))
        network[0].latent_evaluation = True
        check_trained(network, torch.rand(5, 9))

    def test_the_counts_of_quantizers_stay(self) -> None:
        quantizer = make("lsq", signed=False)
        quantizer.observe(torch.rand(9))
        quantizer.freeze()
        x = torch.randn(5, 9, generator=torch.Generator().manual_seed(1))
        check_trained(self.layer(input_quantizer=quantizer), x)
        assert quantizer.negative_inputs == int((x < 0).sum())  # of the layer's own forward, as in every evaluation


def test_equal_quantizers_are_checked_once_and_others_are_not_taken_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from qbench.trial import contract

    seen: list[str] = []

    def checked(quantizer: Any, **options: Any) -> list[Any]:
        seen.append(type(quantizer).__name__)
        return []

    monkeypatch.setattr(contract, "_known", {})
    monkeypatch.setattr(contract, "check_quantizer", checked)
    for name in ("Follower", "Follower", "HiddenParameters"):
        contract.check_contract(trial("activations", name).build())
    # Of three layers the first one's input stays float32, and the other two have equal quantizers of equal shapes.
    assert seen == ["Follower", "HiddenParameters"]
    contract.check_contract(resolve(TrialConfig(scheme="int8-lsq", model="digits-mlp")).build())
    again = len(seen)
    contract.check_contract(resolve(TrialConfig(scheme="int8-lsq", model="digits-mlp")).build())
    assert len(seen) == again
