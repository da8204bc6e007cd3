"""The two ways to train a trial's module, which must give the same bits; checkpoints, and what continues from them."""

from __future__ import annotations

import csv
import json
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.logger import DummyLogger
from torchmetrics.classification import MulticlassAccuracy

from qbench.errors import UserError
from qbench.schemes.catalogue import SCHEMES
from qbench.training import checkpoint, short_loop
from qbench.training.fit import drop_checkpoints, fit
from qbench.training.losses.squared_hinge import squared_hinge
from qbench.training.module import QuantModule
from qbench.training.overrides import own_hooks
from qbench.training.progress import Progress
from qbench.training.result import TrainingResult
from qbench.training.selection import Selection
from qbench.training.settings import OnEpoch
from qbench.training.short_loop import CHECKPOINT
from qbench.training.trainer_loop import TRAINER_CHECKPOINT
from qbench.training.used import Used
from qbench.trial import run as training
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.run import run_trial
from quantizers import Quantizer, Sign

MLP = {"model": "digits-mlp", "model_options": {"hidden": 12, "layers": 2}, "epochs": 5}


class Hooked(QuantModule):
    """A module with a hook of Lightning's: only a Trainer calls it."""

    started = 0

    def on_train_start(self) -> None:
        type(self).started += 1


class OwnQuantizer(QuantModule):
    def weight_quantizer(self, layer: Any) -> Quantizer | None:
        return Sign(clip=0.5)


class OwnLoss(QuantModule):
    def loss(self, images: Any, labels: Any) -> Any:
        self.log("epoch_seen", float(self.current_epoch), on_step=False, on_epoch=True)
        return super().loss(images, labels)


class HookedLoss(OwnLoss, Hooked):
    """Its loss logs to a Trainer."""


class Mixin(pl.LightningModule):
    def on_train_batch_end(self, *_: Any) -> None: ...


class Mixed(QuantModule, Mixin):
    """Inherits a hook from behind QuantModule."""


def config(scheme: str = "binarynet", **fields: Any) -> TrialConfig:
    return TrialConfig.from_mapping({"scheme": scheme, **MLP, **fields})


def equal(first: TrainingResult, second: TrainingResult) -> bool:
    same = first.state.keys() == second.state.keys() and all(
        torch.equal(first.state[key], second.state[key]) for key in first.state
    )
    return same and (first.epoch, first.loss) == (second.epoch, second.loss)


@pytest.mark.parametrize(
    "scheme",
    ["fp32", "binaryconnect-stochastic", "binarynet-stochastic", "bnn-shift", "bitwise", "int8-qat", "int8-lsq"],
)
def test_the_direct_loop_and_the_trainer_give_the_same_bits(scheme: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    Hooked.started, trained = 0, []
    for started, kind in enumerate((QuantModule, Hooked)):
        parts = replace(resolve(config(scheme, epochs=3)), module=kind)
        trained.append(fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings))
        assert Hooked.started == started
    assert equal(*trained)
    assert [each.loop for each in trained] == ["short", "lightning"]


def test_what_counts_as_a_hook_of_ones_own() -> None:
    assert own_hooks(QuantModule) == []
    assert own_hooks(OwnQuantizer) == []
    assert own_hooks(Hooked) == ["on_train_start"]
    assert own_hooks(OwnLoss) == []  # a documented step: the short loop calls it as well
    assert own_hooks(Mixed) == ["on_train_batch_end"]


class Watcher(QuantModule):
    """Overrides every documented step, and logs in each what it may ask for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.right = MulticlassAccuracy(10, average="micro")
        self.seen: list[tuple[Any, ...]] = []

    def note(self, step: str) -> None:
        self.seen.append((step, self.current_epoch, self.global_step, self.logger, len(self.loggers)))

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.note("start")
        self.log("start", float(epoch))
        super().start_epoch(epoch, epochs)

    def loss(self, images: Any, labels: Any) -> Any:
        if self.training:  # validation calls it for val/loss, before or after the epoch's end
            self.note("loss")
        loss = super().loss(images, labels)
        self.right(self.model(images).detach(), labels)
        self.log("right", self.right)
        self.log("hidden", loss, logger=False)
        self.log("stepped", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log_dict({"mean": loss, "label": labels.float().mean()})
        self.log("images", len(labels), reduce_fx="sum")
        self.log("smallest", loss, reduce_fx=torch.min)
        self.log("largest", loss, reduce_fx="max")
        self.log("weighted", loss, batch_size=3)
        return loss

    def clip_latents(self) -> None:
        self.note("clip")
        super().clip_latents()

    def check_finite(self, losses: Any, epoch: int) -> Any:
        self.note("check")
        self.log("losses", len(losses))
        return super().check_finite(losses, epoch)


class HookedWatcher(Watcher, Hooked):
    """The same, trained by a Trainer."""


def test_steps_see_and_log_the_same_in_both_loops(tmp_path: Path) -> None:
    seen, told = [], []
    for kind in (Watcher, HookedWatcher):
        parts, logger = trial(kind, epochs=3), History()
        module = parts.build()
        splits = parts.dataset.load(0)
        fit(module, splits, tmp_path, parts.settings, logger=logger)
        seen.append([(*facts, found is logger, count) for *facts, found, count in module.seen])
        told.append(logger.by_step())
        assert (module.current_epoch, module.logger) == (0, None) or kind is HookedWatcher
    assert seen[0] == seen[1]
    assert all(served and count == 1 for *_, served, count in seen[0])
    assert [row.keys() for row in told[0].values()] == [row.keys() for row in told[1].values()]
    for short, lightning in zip(told[0].values(), told[1].values(), strict=True):
        assert short == pytest.approx(lightning, rel=1e-5)
        assert short["images"] == len(splits.train)
        assert short["smallest"] < short["mean"] < short["largest"]
        assert short["mean"] == short["stepped"] != short["train/loss"]  # weighted by the batches' sizes
        assert short["weighted"] == pytest.approx(short["train/loss"])
        assert "hidden" not in short


def test_a_trainer_is_asked_for_in_vain_in_the_short_loop(tmp_path: Path) -> None:
    class Asking(QuantModule):
        def loss(self, images: Any, labels: Any) -> Any:
            return super().loss(images, labels) / self.trainer.max_epochs

    parts = trial(Asking)
    module = parts.build()
    with pytest.raises(RuntimeError, match="not attached to a `Trainer`"):
        fit(module, parts.dataset.load(0), tmp_path, parts.settings)
    assert module.loop_state is None


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (torch.ones(2), {}, "must have a single element, has 2"),
        ("high", {}, "str values cannot be logged"),
        ({"a": 1.0}, {}, "dict values cannot be logged"),
        (1.0, {"reduce_fx": "median"}, "one of mean, sum, min, max, got 'median'"),
    ],
)
def test_what_cannot_be_logged(value: Any, options: Any, message: str, tmp_path: Path) -> None:
    class Logging(QuantModule):
        def loss(self, images: Any, labels: Any) -> Any:
            self.log("x", value, **options)
            return super().loss(images, labels)

    parts = trial(Logging)
    with pytest.raises((ValueError, TypeError), match=message):
        fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings)


class KilledError(Exception):
    pass


def kill_at(epoch: int) -> OnEpoch:
    def on_epoch(done: int, *_: object) -> None:
        if done == epoch:
            raise KilledError

    return on_epoch


RESUMED = ("binaryconnect-stochastic", "bnn-shift", "bitwise", "ternary-binary", "xnor-net", "int8-qat", "int8-lsq")
LOOPS = {QuantModule: CHECKPOINT, Hooked: TRAINER_CHECKPOINT}


def trial(kind: type[QuantModule], scheme: str = "binarynet", **fields: Any) -> ResolvedTrial:
    return replace(resolve(config(scheme, **fields)), module=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("scheme", RESUMED)
def test_a_killed_training_continues_bit_for_bit(
    scheme: str, kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(kind, scheme, scheme_options={"halve_every": 2} if scheme == "bnn-shift" else {})
    splits = parts.dataset.load(0)
    whole = fit(parts.build(), splits, tmp_path, parts.settings)
    (tmp_path / LOOPS[kind]).unlink()
    for epoch in (2, 4):  # killed twice; epoch 4's own checkpoint is not written yet
        with pytest.raises(KilledError):
            fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(epoch))
        torch.rand(3)  # another state of the global generator
    seen: list[int] = []
    resumed = fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=lambda done, *_: seen.append(done))
    assert seen[0] == 4
    assert seen[-1] == parts.epochs
    assert equal(whole, resumed)


@pytest.mark.parametrize("kind", LOOPS)
def test_dropout_continues_with_the_same_numbers(
    kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws from torch's global generator, whose state the checkpoint keeps."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(kind)
    splits = parts.dataset.load(0)

    def build() -> QuantModule:
        module = parts.build()
        for name in ("fc1", "fc2", "out"):
            getattr(module.model, name).dropout = 0.3
        return module

    whole = fit(build(), splits, tmp_path, parts.settings)
    (tmp_path / LOOPS[kind]).unlink()
    with pytest.raises(KilledError):
        fit(build(), splits, tmp_path, parts.settings, on_epoch=kill_at(3))
    torch.manual_seed(99)
    assert equal(whole, fit(build(), splits, tmp_path, parts.settings))


class Drawing(QuantModule):
    """Its hooks draw random numbers, keep hyperparameters and a copy of the network, and count epochs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.save_hyperparameters()  # the network and the scheme
        self.calls: list[tuple[str, int]] = []

    def setup(self, stage: str) -> None:
        self.first = torch.nn.Linear(4, 4)  # a layer that is not there before

    def on_train_start(self) -> None:
        torch.rand(7)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.calls.append(("start", self.current_epoch))

    def on_train_batch_end(self, *_: Any) -> None:
        self.model.fc1.weight.data += 1e-4 * torch.rand(())

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.calls.append(("end", self.current_epoch))


def test_hooks_continue_where_the_kill_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(Drawing)
    splits = parts.dataset.load(0)
    whole = fit(parts.build(), splits, tmp_path, parts.settings)
    drop_checkpoints(tmp_path)
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(4))
    module = parts.build()
    torch.manual_seed(99)
    assert equal(whole, fit(module, splits, tmp_path, parts.settings))
    assert module.calls == [("start", 3), ("end", 3), ("start", 4), ("end", 4)]


@pytest.mark.parametrize("kind", LOOPS)
def test_an_interrupt_stays_one(kind: type[QuantModule], tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    parts, handler = trial(kind), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings, on_epoch=interrupt)
    assert signal.getsignal(signal.SIGINT) is handler


def test_checkpoints_are_rare_and_go_with_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(short_loop, "save_checkpoint", lambda path, progress, *_: saved.append(progress.epoch))
    run_trial(resolve(config()), tmp_path / "a")
    assert saved == []  # five epochs take no minute
    late: list[str] = []
    run_trial(trial(Hooked), tmp_path / "hooked", on_epoch=lambda *_: late.extend(files(tmp_path / "hooked")))
    assert late == []
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    seen: list[str] = []
    for kind, folder in ((QuantModule, tmp_path / "b"), (Hooked, tmp_path / "c")):
        result = run_trial(trial(kind), folder, on_epoch=lambda *_, folder=folder: seen.extend(files(folder)))
        assert result.row["training/loop"] == ("lightning" if kind is Hooked else "short")
        assert files(folder) == []
    assert seen == [CHECKPOINT] * 4 + [TRAINER_CHECKPOINT] * 4


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name in LOOPS.values()]


@pytest.mark.parametrize("kind", LOOPS)
def test_a_checkpoint_of_another_network_or_a_damaged_one_is_one_line(
    kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts, path = trial(kind), tmp_path / LOOPS[kind]
    splits = parts.dataset.load(0)
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(2))
    other = trial(kind, model_options={"hidden": 13, "layers": 2})
    message = r": is of another network \(size mismatch .*12\].*13\].*\); delete it to start over$"
    with pytest.raises(UserError, match=re.escape(path.name) + message):
        fit(other.build(), splits, tmp_path, other.settings)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="is no checkpoint or is damaged") as error:
        fit(parts.build(), splits, tmp_path, parts.settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_pickle_is_not_loaded(kind: type[QuantModule], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"module": Evil()}, tmp_path / LOOPS[kind])
    parts = trial(kind)
    with pytest.raises(UserError, match="is no checkpoint or is damaged"):
        fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("accuracies", "best"), [([0.5, 0.9, 0.9, 0.6], 2), ([0.4, 0.3, 0.2], 1), ([0.1, 0.2, 0.3], 3), ([0.0, 0.0], 1)]
)
def test_the_first_of_the_best_epochs_is_kept(accuracies: list[float], best: int) -> None:
    model, progress = torch.nn.Linear(1, 1, bias=False), Progress()
    for epoch, accuracy in enumerate(accuracies, start=1):
        model.weight.data.fill_(float(epoch))
        progress.validated(accuracy, epoch, model.state_dict(), Selection())
    assert progress.result("short", Used()).epoch == best
    assert progress.result("short", Used()).state["weight"].item() == best


class OwnStep(QuantModule):
    """Its step does not call `loss`."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = squared_hinge(self.model(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [QuantModule, Hooked, OwnLoss, OwnStep])
def test_a_compiled_training_is_the_eager_one_but_for_rounding(kind: type[QuantModule], tmp_path: Path) -> None:
    parts = trial(kind, "binaryconnect", epochs=1)
    splits = parts.dataset.load(0)
    eager = fit(parts.build(), splits, tmp_path, parts.settings)
    compiled = trial(kind, "binaryconnect", epochs=1, compile=True)
    found = fit(compiled.build(), splits, tmp_path, compiled.settings)
    assert found.loss == pytest.approx(eager.loss, rel=1e-3)
    assert found.state.keys() == eager.state.keys()


@pytest.mark.parametrize("kind", [QuantModule, Hooked, OwnLoss, OwnStep])
def test_compile_compiles_the_loss_or_a_step_of_ones_own(
    kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    def compile_(function: Any) -> Any:
        compiled.append(function.__name__)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    parts = trial(kind, epochs=1, compile=True)
    module = parts.build()
    keys = module.state_dict().keys()
    fit(module, parts.dataset.load(0), tmp_path, parts.settings)
    assert compiled == ["training_step" if kind is OwnStep else "loss"]
    assert not {"loss", "training_step"} & set(vars(module))
    assert module.state_dict().keys() == keys


def test_an_overridden_loss_sees_its_epoch_and_may_log(tmp_path: Path) -> None:
    parts = replace(resolve(config(epochs=2)), module=OwnLoss)
    logger = CSVLogger(tmp_path)
    fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings, logger=logger)
    logger.save()
    with open(logger.experiment.metrics_file_path, newline="") as file:
        seen = [float(row["epoch_seen"]) for row in csv.DictReader(file) if row.get("epoch_seen")]
    assert seen[-1] == 1.0


class History(DummyLogger):
    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.metrics.append((step or 0, metrics))

    def by_step(self) -> dict[int, dict[str, float]]:
        """A Trainer tells of validation and training apart, a short loop of both at once."""
        found: dict[int, dict[str, float]] = {}
        for step, metrics in self.metrics:
            found.setdefault(step, {}).update(metrics)
        return found


@pytest.mark.parametrize("kind", [QuantModule, Hooked, OwnLoss, HookedLoss])
def test_a_resumed_training_has_its_whole_history(
    kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(kind)
    splits = parts.dataset.load(0)
    whole, resumed = History(), History()
    fit(parts.build(), splits, tmp_path, parts.settings, logger=whole)
    drop_checkpoints(tmp_path)
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(3))
    fit(parts.build(), splits, tmp_path, parts.settings, logger=resumed)
    assert resumed.by_step() == whole.by_step()
    assert len(whole.by_step()) == parts.epochs
    if not issubclass(kind, Hooked):
        assert len(whole.metrics) == parts.epochs
    seen = [metrics.get("epoch_seen") for metrics in whole.by_step().values()]
    assert seen == ([0, 1, 2, 3, 4] if issubclass(kind, OwnLoss) else [None] * 5)


class LogsAtTimes(Hooked):
    """Logs one value in the first epoch alone, and one for no logger."""

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("hidden", 7.0, logger=False)
        if self.current_epoch == 0:
            self.log("first", 1.0)


def test_a_resumed_history_has_each_value_where_it_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(LogsAtTimes)
    splits = parts.dataset.load(0)
    whole, resumed = History(), History()
    fit(parts.build(), splits, tmp_path, parts.settings, logger=whole)
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(5))
    assert (tmp_path / TRAINER_CHECKPOINT).exists()
    fit(parts.build(), splits, tmp_path, parts.settings, logger=resumed)
    assert resumed.by_step() == whole.by_step()
    found = list(resumed.by_step().values())
    assert ["first" in metrics for metrics in found] == [True, False, False, False, False]
    assert not any("hidden" in metrics for metrics in found)


class NoLoss(QuantModule):
    def check_finite(self, losses: Any, epoch: int) -> float | None:
        return None


class HookedNoLoss(NoLoss, Hooked): ...


@pytest.mark.parametrize("kind", [NoLoss, HookedNoLoss])
def test_a_module_may_have_no_mean_loss(kind: type[QuantModule], tmp_path: Path) -> None:
    parts, told = trial(kind, epochs=2), History()
    trained = fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings, logger=told)
    assert trained.loss is None
    assert not any("train/loss" in metrics for metrics in told.by_step().values())


class Keeping(Hooked):
    """Its checkpoint holds what only a pickle can."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["place"] = Path("here")


def test_a_checkpoint_that_could_not_be_loaded_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(Keeping)
    splits = parts.dataset.load(0)
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(3))
    assert [record.message for record in caplog.records if "starts over" in record.message] == [
        f"{tmp_path / TRAINER_CHECKPOINT}: not written, and a killed training starts over: the module's "
        "on_save_checkpoint (or a callback's) adds more than tensors and plain values"
    ]
    assert not list(tmp_path.glob("*.ckpt*"))
    assert not list(tmp_path.glob(".*.tmp"))
    assert fit(parts.build(), splits, tmp_path, parts.settings).epoch > 0


def test_the_trainers_seconds_are_those_of_all_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(Hooked)
    splits = parts.dataset.load(0)

    def take_ten_seconds(epoch: int, epochs: int, _: object) -> None:
        now[0] += 10
        if (epoch, now[0]) == (3, 130.0):
            raise KilledError

    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=take_ten_seconds)
    now[0] = 1000.0
    trained = fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=take_ten_seconds)
    # The checkpoint is of the second epoch, which ended when the first ten seconds were over.
    assert trained.seconds == 10.0 + 30.0


@pytest.mark.parametrize("kind", LOOPS)
def test_another_torch_starts_over_and_says_so(
    kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(kind)
    splits = parts.dataset.load(0)
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(3))
    monkeypatch.setattr(torch, "__version__", "2.99")
    seen: list[int] = []
    fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=lambda done, *_: seen.append(done))
    assert seen == [1, 2, 3, 4, 5]
    assert "this is 2.99: starting over" in caplog.text


def test_after_training_the_module_is_on_the_cpu_for_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a training on a GPU: what moves the module there is only played here."""
    fit_here, moved = training.fit, []

    def fit_elsewhere(module: QuantModule, *args: Any, **options: Any) -> TrainingResult:
        trained = fit_here(module, *args, **options)
        module.to("meta")
        monkeypatch.setattr(module, "to", lambda device: moved.append(device) or module.to_empty(device=device))
        return trained

    monkeypatch.setattr(training, "fit", fit_elsewhere)
    row = run_trial(resolve(config("int8-minmax")), tmp_path).row
    assert moved == ["cpu"]
    assert row["test/accuracy"] > 0.3


def test_a_result_stored_before_loops_were_told_apart_names_none(tmp_path: Path) -> None:
    TrainingResult({"w": torch.ones(2)}, 1, 0.5, 2.0, loop="lightning").store(tmp_path)
    found = TrainingResult.stored(tmp_path)
    assert found is not None
    assert (found.loop, found.epoch, found.loss, found.seconds, found.shared) == ("lightning", 1, 0.5, 2.0, True)
    facts = json.loads((tmp_path / "training.json").read_text())
    del facts["loop"]
    (tmp_path / "training.json").write_text(json.dumps(facts))
    older = TrainingResult.stored(tmp_path)
    assert older is not None
    assert older.loop is None


@pytest.mark.cuda
@pytest.mark.parametrize("scheme", SCHEMES.names())
def test_every_scheme_trains_on_a_gpu(scheme: str, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    assert run_trial(resolve(config(scheme, epochs=1, device="cuda")), tmp_path).row["test/accuracy"] >= 0
