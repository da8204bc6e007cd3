"""Runs one trial: trains or takes over a training, calibrates, evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock
from pytorch_lightning.loggers import Logger

from qbench.data.splits import Splits
from qbench.errors import TrainingError
from qbench.io import load_state
from qbench.training.fit import drop_checkpoints, fit
from qbench.training.module import QuantModule
from qbench.training.progress import Progress
from qbench.training.result import TrainingResult
from qbench.training.scheme_module import SchemeModule
from qbench.training.settings import OnEpoch
from qbench.trial.calibrate import calibrate_trial
from qbench.trial.check import check
from qbench.trial.collected_details import collect_details
from qbench.trial.contract import IMAGES, check_contract, check_trained
from qbench.trial.details import write_details
from qbench.trial.evaluation import check_ready, estimate_costs, evaluate
from qbench.trial.left_float import warn_of_float_layers
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.result import TrialResult
from qbench.trial.trial_data import training_splits

__all__ = ["check", "resolve", "run_trial"]  # what a sweep asks of the module that it is told to train with


def run_trial(
    trial: ResolvedTrial, folder: Path, *, logger: Logger | None = None, on_epoch: OnEpoch | None = None
) -> TrialResult:
    """Train (or take over an equal training, or continue from its checkpoint), calibrate, evaluate.

    A teacher is trained first, where there is none yet, as a training like any other.

    Args:
        trial: what `resolve` made of a TrialConfig.
        folder: the sweep's. `trainings/<training key>` keeps the trained network, which trials with an equal key share;
            `details/<trial id>.json` gets what reports show of the trial beyond its row.
        logger: of the training's history, e.g. a WandbLogger; of a training that is taken over it gets the kept one.
        on_epoch: called after each epoch with the epoch, counted from 1, their number, and the epoch's metrics; of a
            teacher's epochs these have names that begin with `teacher/`.

    Raises:
        ConfigError: a configuration that cannot be built.
        TrainingError: the loss became infinite or NaN, or a quantizer was not calibrated, or what is packed of a tensor
            is not what was evaluated.
        UserError: a checkpoint that is damaged or of another network.
        DataError: data that are not those by which the trial was planned.
    """
    with _threads(trial.config.threads):
        splits = trial.load_splits()
        store = _store_of(trial, folder)
        teacher = None
        if trial.teacher is not None and TrainingResult.stored(store) is None:
            # Before its student is built, which seeds torch's generator.
            teacher = _trained(trial.teacher, splits, folder, on_epoch)
        module = trial.build()
        if teacher is not None:
            assert isinstance(module, QuantModule)
            module.set_teacher(teacher)
        with FileLock(store / "lock"):
            trained = _training(trial, module, splits, store, logger, on_epoch)
            load_state(module.model, trained.state)
            if trial.scheme.post_training is not None:
                module.quantize()
                check_contract(module)
                calibrate_trial(trial, module.model, splits, store)
        module.eval()
        check_ready(module.model)
        warn_of_float_layers(trial.scheme, module.model)
        check_trained(module.model, splits.test.first(IMAGES).images)
        costs = estimate_costs(trial, module.model)
        result = evaluate(trial, module, splits, trained, costs)
        details = collect_details(trial, module.model, splits, trained, costs)
        write_details(folder, trial.trial_id, details)
        return result


def _store_of(trial: ResolvedTrial, folder: Path) -> Path:
    store = folder / "trainings" / trial.training_key
    store.mkdir(parents=True, exist_ok=True)
    return store


def _training(
    trial: ResolvedTrial,
    module: SchemeModule,
    splits: Splits,
    store: Path,
    logger: Logger | None,
    on_epoch: OnEpoch | None,
) -> TrainingResult:
    """Return the training in `store`, whose lock is held: as it lies there, or trained now."""
    trained = TrainingResult.stored(store)
    if trained is None:
        check_contract(module)
        data = training_splits(splits, trial.config)
        trained = fit(module, data, store, trial.settings, logger=logger, on_epoch=on_epoch)
        trained.store(store)
        module.to("cpu")
    else:
        steps = len(splits.train.training_batches(trial.config.batch_size, trial.config.seed))
        Progress(trained.history).log_history(logger, steps)
    drop_checkpoints(store)
    return trained


def _trained(teacher: ResolvedTrial, splits: Splits, folder: Path, on_epoch: OnEpoch | None) -> SchemeModule:
    """Return the module of a teacher, trained, in evaluation mode.

    Its lock is free again when this returns, and no other is held meanwhile: two trials never wait for each other.
    """

    def tell(epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        if on_epoch is not None:
            on_epoch(epoch, epochs, {f"teacher/{name}": value for name, value in metrics.items()})

    store, module = _store_of(teacher, folder), teacher.build()
    try:
        with FileLock(store / "lock"):
            trained = _training(teacher, module, splits, store, None, tell)
    except TrainingError as error:
        raise TrainingError(f"teacher {teacher.config.scheme!r}: {error}") from error
    load_state(module.model, trained.state)
    return module.eval()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Give torch this number of CPU threads while the context lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
