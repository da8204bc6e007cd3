"""Trials that distil: their teacher's training is one like any other, shared, and part of their identity."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from qbench.errors import ConfigError, TrainingError
from qbench.io import load_tensors
from qbench.training.losses.catalogue import LOSSES
from qbench.trial.check import check
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.run import run_trial

COMMON = {"model": "digits-mlp", "model_options": {"hidden": 16}, "epochs": 2}


def trial(scheme: str = "binarynet", loss: dict[str, Any] | None = None, **keys: Any) -> ResolvedTrial:
    options: dict[str, Any] = keys.pop("scheme_options", {})
    if loss is not None:
        options = options | {"loss": {"name": "distillation", "options": loss}}
    return resolve(TrialConfig.from_mapping({"scheme": scheme, "scheme_options": options, **COMMON, **keys}))


def distilled(**loss: Any) -> ResolvedTrial:
    return trial(loss={"temperature": 4, "weight": 0.9, **loss})


def test_the_teacher_is_the_equal_trial_of_another_scheme() -> None:
    student = distilled(teacher="fp32")
    assert student.teacher is not None
    assert student.teacher.config == trial("fp32").config
    assert student.teacher.training_key == trial("fp32").training_key
    assert student.teacher.teacher is None
    assert trial().teacher is None


def test_rates_of_the_teacher_are_its_own_where_it_is_given_them() -> None:
    options = {"learning_rate": 0.002, "activation_function": "hardtanh"}
    student = trial(loss={"teacher_options": options}, learning_rate=0.01, learning_rate_end=0.001)
    assert student.teacher is not None
    expected = {"activation_function": "hardtanh"}
    other = trial("fp32", scheme_options=expected, learning_rate=0.002, learning_rate_end=0.001)
    assert student.teacher.training_key == other.training_key


def test_identity_covers_the_teacher() -> None:
    student = distilled()
    others = [
        distilled(teacher="binaryconnect"),
        distilled(teacher_options={"learning_rate": 0.001}),
        distilled(teacher_options={"activation_function": "hardtanh"}),
        distilled(temperature=2),
        distilled(weight=0.5),
        distilled(label_loss="hinge"),
        trial(),
    ]
    assert len({each.trial_id for each in [student, *others]}) == len(others) + 1
    assert len({each.training_key for each in [student, *others]}) == len(others) + 1
    assert distilled().trial_id == student.trial_id


def test_the_teacher_is_shared_whoever_trains_it_first(tmp_path: Path) -> None:
    student, teacher = distilled(), trial("fp32")
    told: list[tuple[int, int, list[str]]] = []
    first = run_trial(student, tmp_path / "a", on_epoch=lambda n, of, metrics: told.append((n, of, sorted(metrics))))
    after = run_trial(teacher, tmp_path / "a")
    assert after.row["shared"] is True
    before = run_trial(teacher, tmp_path / "b")
    second = run_trial(student, tmp_path / "b")
    assert before.row["shared"] is False
    assert (first.predictions, after.predictions) == (second.predictions, before.predictions)
    weights = [
        load_tensors(tmp_path / each / "trainings" / student.training_key / "weights.safetensors") for each in "ab"
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])
    assert [(n, of) for n, of, _ in told] == [(1, 2), (2, 2), (1, 2), (2, 2)]
    assert all(name.startswith("teacher/") for _, _, names in told[:2] for name in names)
    assert all("val/accuracy" in names for _, _, names in told[2:])
    assert first.row["training/loss_function"] == "distillation(temperature=4, weight=0.9)"
    kept = json.loads((tmp_path / "a" / "trainings" / student.training_key / "training.json").read_text())
    assert first.row["time/train_s"] == kept["seconds"]
    assert len(kept["history"]) == 2
    again = run_trial(student, tmp_path / "b")  # is trained, and needs no teacher
    assert again.row["shared"] is True


def test_the_student_learns_from_its_teacher(tmp_path: Path) -> None:
    """From one that knows nothing it learns nothing."""
    one, other = (
        run_trial(trial("fp32", loss={"teacher_options": options}, epochs=4), tmp_path)
        for options in ({}, {"learning_rate": 0.0, "learning_rate_end": 0.0})  # one that knows nothing
    )
    assert one.row["test/accuracy"] > other.row["test/accuracy"] + 0.2


def _run(student: bool, folder: Path, results: Any) -> None:
    torch.set_num_threads(1)
    found = run_trial(distilled() if student else trial("fp32"), folder)
    results.put((student, found.row["shared"], found.predictions))


@pytest.mark.slow
def test_two_processes_share_one_teacher(tmp_path: Path) -> None:
    expected = {True: run_trial(distilled(), tmp_path / "alone"), False: run_trial(trial("fp32"), tmp_path / "alone")}
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=_run, args=(student, tmp_path / "both", results)) for student in (True, False, True)
    ]
    for each in processes:
        each.start()
    found = [results.get(timeout=200) for _ in processes]
    for each in processes:
        each.join(timeout=60)
    assert len(list((tmp_path / "both" / "trainings").iterdir())) == 2
    assert sum(shared for student, shared, _ in found if student) == 1
    for student, _, predictions in found:
        assert predictions == expected[student].predictions


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            {"teacher": "fp23"},
            "scheme_options.loss: teacher 'fp23': scheme: unknown scheme 'fp23'; did you mean 'fp32'",
        ),
        (
            {"teacher_options": {"optimiser": "sgd"}},
            "teacher 'fp32': scheme_options.optimiser: .*did you mean 'optimizer'",
        ),
        ({"teacher": "int8-kl"}, "teacher 'int8-kl': it is quantized after its training"),
        (
            {"teacher_options": {"loss": "distillation"}},
            "teacher 'fp32': its loss distillation needs a teacher as well",
        ),
        ({"teacher_options": {"learning_rate": "fast"}}, "teacher 'fp32': learning_rate: input should be"),
        ({"temperature": -1}, "scheme_options.loss: loss distillation.*temperature must be above 0"),
    ],
)
def test_teachers_that_cannot_be_are_refused(loss: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        distilled(**loss)


def test_the_teacher_is_checked_as_a_trial_is() -> None:
    check(distilled())
    faulty = distilled(teacher_options={"optimizer": {"name": "sgd", "options": {"momentum": -1}}})
    with pytest.raises(ConfigError, match=r"scheme_options.loss: teacher 'fp32': .*Invalid momentum value"):
        check(faulty)


def test_a_teacher_that_diverges_is_named(tmp_path: Path) -> None:
    options = {"optimizer": "sgd", "learning_rate": 900.0, "learning_rate_end": 900.0}
    with pytest.raises(TrainingError, match=r"teacher 'fp32': .*infinite or NaN"):
        run_trial(distilled(teacher_options=options), tmp_path)


def test_a_loss_that_names_no_teacher_is_for_library_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(scores: Any, labels: Any, teacher_scores: Any) -> Any:
        return (scores - teacher_scores).square().mean()

    mine.needs_teacher = True  # type: ignore[attr-defined]
    monkeypatch.setitem(LOSSES._items, "mine", mine)
    with pytest.raises(ConfigError, match=r"scheme_options.loss: mine needs a teacher, and its attribute `teacher`"):
        trial(scheme_options={"loss": "mine"})


def test_recipes_of_modules_of_their_own_are_refused() -> None:
    keys = {"module": "tests_own.Module"}
    import sys
    import types

    import pytorch_lightning as pl

    module = types.ModuleType("tests_own")
    module.Module = type("Module", (pl.LightningModule,), {"__module__": "tests_own"})  # type: ignore[attr-defined]
    sys.modules["tests_own"] = module
    try:
        for key in ("loss", "optimizer", "schedule"):
            value = {"loss": "hinge", "optimizer": "sgd", "schedule": "cosine"}[key]
            with pytest.raises(ConfigError, match=f"scheme_options.{key}: Module trains by its own recipe"):
                trial(scheme_options={key: value}, **keys)
    finally:
        del sys.modules["tests_own"]
