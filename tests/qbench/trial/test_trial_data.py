"""What `augment` does to a trial's data, in training and evaluation, and to what is exported of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from qbench.bench.packed import examples_for
from qbench.data.datasets import get_dataset
from qbench.deploy.packed.network import PackedNetwork
from qbench.errors import ConfigError
from qbench.training import checkpoint
from qbench.training.fit import fit
from qbench.training.module import QuantModule
from qbench.trial.config import TrialConfig
from qbench.trial.finished.packed import export_packed
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.run import run_trial
from qbench.trial.trial_data import dataset_of, training_splits

NORMALIZE = {"name": "normalize", "options": {"mean": -0.4, "std": 0.75}}
CROP = {"name": "crop", "options": {"padding": 1, "fill": -1}}


def config(augment: list[Any], **keys: Any) -> TrialConfig:
    common = {"scheme": "fp32", "model": "digits-mlp", "model_options": {"hidden": 16}, "epochs": 3}
    return TrialConfig.from_mapping({**common, "augment": augment, **keys})


def test_normalize_changes_every_part() -> None:
    plain, changed = get_dataset("digits").splits(0), dataset_of(config([NORMALIZE, "flip"])).splits(0)
    for part in ("train", "validation", "test"):
        before, after = (getattr(splits, part) for splits in (plain, changed))
        assert torch.equal(after.images, (before.images - torch.tensor(-0.4)) / torch.tensor(0.75))
        assert torch.equal(after.labels, before.labels)


def test_others_change_training_batches_alone() -> None:
    given = config(["flip", CROP])
    assert dataset_of(given) is get_dataset("digits")
    splits = get_dataset("digits").splits(0)
    changed = training_splits(splits, given)
    assert changed.test is splits.test
    assert changed.validation is splits.validation
    (batch, labels), (before, same) = (next(iter(each.train.training_batches(64, 0))) for each in (changed, splits))
    assert torch.equal(labels, same)
    assert not torch.equal(batch, before)
    assert training_splits(splits, config([NORMALIZE])) is splits


def test_the_config_survives_its_flat_form_and_its_identity_covers_augment() -> None:
    augmented = config(["flip", CROP])
    assert augmented.flat()["augment"] == ["flip", CROP]
    assert TrialConfig.from_flat(augmented.flat()) == augmented
    assert "augment" not in config([]).flat()
    assert TrialConfig.from_flat(config([]).flat()) == config([])
    kinds = [[], ["flip"], [CROP], ["flip", CROP], [CROP, "flip"], [NORMALIZE]]
    trials = [resolve(config(each)) for each in kinds]
    assert len({each.trial_id for each in trials}) == len({each.training_key for each in trials}) == len(kinds)
    assert resolve(config([NORMALIZE])).trial_id == trials[-1].trial_id


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (["flipp"], "augment: unknown augmentation 'flipp'; did you mean 'flip'"),
        ([{"name": "crop"}], "augmentation 'crop' needs its option 'padding'"),
        (["flip", NORMALIZE], "put 'normalize' before it"),
        ([{"nam": "flip"}], r"augment.0: unknown key 'nam'"),
        ("flip", "augment: input should be a valid list"),
    ],
)
def test_faults_are_named(augment: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(config(augment))


class Hooked(QuantModule):
    """Has a hook of Lightning's: only a Trainer calls it."""

    def on_train_start(self) -> None:
        """Do nothing."""


class Killed(Exception):  # noqa: N818
    """Ends a training as a kill would."""


def state_of(trial: ResolvedTrial, folder: Path, kill: int | None = None) -> dict[str, torch.Tensor]:
    def tell(epoch: int, *_: Any) -> None:
        if epoch == kill:
            raise Killed

    splits = training_splits(trial.load_splits(), trial.config)
    folder.mkdir(exist_ok=True)
    return fit(trial.build(), splits, folder, trial.settings, on_epoch=tell).state


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_augmented_trainings_continue_bit_for_bit_in_both_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    states = []
    for kind in (None, f"{__name__}.Hooked"):
        if kind is not None:
            monkeypatch.setattr("qbench.trial.resolved.import_dotted", lambda _: Hooked)
        trial = resolve(config(["flip", CROP], module=kind))
        whole = state_of(trial, tmp_path / f"whole-{kind}")
        with pytest.raises(Killed):
            state_of(trial, tmp_path / f"killed-{kind}", kill=2)
        states += [whole, state_of(trial, tmp_path / f"killed-{kind}")]
    for other in states[1:]:
        assert all(torch.equal(states[0][key], other[key]) for key in other)
    plain = state_of(resolve(config([])), tmp_path / "plain")
    assert not all(torch.equal(states[0][key], plain[key]) for key in plain)


def test_an_exported_network_is_given_what_it_was_trained_on(tmp_path: Path) -> None:
    """The file says how images were changed, and a packed run changes them again."""
    trial = resolve(config([NORMALIZE, "flip"], scheme="binarynet"))
    result = run_trial(trial, tmp_path)
    row = {**result.row, "trial_id": trial.trial_id}
    record = TrialRecord(trial.trial_id, "done", row, result.predictions, result.labels, folder=tmp_path)
    made = export_packed(record)
    assert made.reproduced == 1
    assert made.accuracy == pytest.approx(result.row["test/accuracy"], abs=0.01)
    network = PackedNetwork(made.model)
    for against in (record, None):
        _, _, part = examples_for(network, None, against)
        assert torch.equal(part.first(10).images, trial.load_splits().test.images[:10])


def test_a_sweeps_worth_of_recipe_trains_digits(tmp_path: Path) -> None:
    """SGD with momentum, a cosine, cross entropy and crops: above 90 % in few epochs."""
    options = {
        "loss": {"name": "cross_entropy", "options": {"label_smoothing": 0.05}},
        "optimizer": {"name": "sgd", "options": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}},
        "schedule": {"name": "cosine", "options": {"warmup": 1}},
        "learning_rate": 0.1,
        "learning_rate_end": 0.0,
    }
    trial = resolve(config([CROP], scheme_options=options, model_options={"hidden": 64}, epochs=6))
    row = run_trial(trial, tmp_path).row
    assert row["test/accuracy"] > 0.9
    assert row["training/optimizer"] == "SGD(momentum=0.9, nesterov=True, weight_decay=0.0001)"
    assert row["training/loss_function"] == "cross_entropy(label_smoothing=0.05)"
    assert (row["training/learning_rate_start"], row["training/learning_rate_end"]) == (0.1, 0.0)
    parameters = sum(each.numel() for each in trial.build().model.parameters())
    assert row["cost/optimizer_bytes"] == 4 * parameters  # one float32 for each: the momentum
