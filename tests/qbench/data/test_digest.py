"""The content of a data set decides trials' identities."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from qbench.data.datasets import DATASETS, Dataset, get_dataset
from qbench.data.folder import DataError
from qbench.data.splits import Examples, Splits
from qbench.errors import ConfigError
from qbench.sweep.plan import load_training, plan_trial
from qbench.trial.config import TrialConfig
from qbench.trial.data_identity import check_unchanged, data_digest, training_images
from qbench.trial.resolved import resolve


def splits(kind: torch.dtype = torch.uint8) -> Splits[Examples]:
    stored = torch.arange(24).reshape(6, 1, 2, 2).to(kind)
    examples = Examples(stored, torch.arange(6))
    return Splits(examples[:3], examples[3:4], examples[4:])


def test_a_digest_is_of_types_shapes_and_bytes() -> None:
    """Against the same bytes, put together by numpy."""
    stored = np.arange(24, dtype=np.uint8).reshape(6, 1, 2, 2)
    hashed = hashlib.sha256()
    for part in (slice(0, 3), slice(3, 4), slice(4, 6)):
        count = len(stored[part])
        hashed.update(f"torch.uint8 ({count}, 1, 2, 2)\0".encode() + stored[part].tobytes())
        hashed.update(f"torch.int64 ({count},)\0".encode() + np.arange(6, dtype="<i8")[part].tobytes())
    assert splits().digest() == hashed.hexdigest()


def test_every_change_of_content_shows() -> None:
    first = splits()
    other = first.test.stored.clone()
    other[1, 0, 1, 1] += 1
    changed = [
        first,
        splits(torch.float32),
        replace(first, test=Examples(other, first.test.labels)),
        replace(first, test=Examples(first.test.stored, first.test.labels.flip(0))),
        replace(first, train=first.validation, validation=first.train),
        replace(first, train=Examples(first.train.stored.reshape(3, 2, 2, 1), first.train.labels)),
    ]
    assert len({each.digest() for each in changed}) == len(changed)
    strided = Examples(torch.arange(48, dtype=torch.uint8).reshape(6, 1, 2, 4)[..., ::2], torch.arange(6))
    copied = Examples(strided.stored.clone(), strided.labels)
    assert replace(first, test=strided).digest() == replace(first, test=copied).digest()


class Counted:
    """A loader of the digits that counts its calls, and may give other images."""

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()
        self.shift = 0.0

    def __call__(self, split_seed: int) -> Splits[Examples]:
        self.calls[split_seed] += 1
        found = get_dataset("digits").load(split_seed)
        return replace(found, test=Examples(found.test.images + self.shift, found.test.labels))


@pytest.fixture
def counted() -> Any:
    load = Counted()
    DATASETS.add("counted-digits", Dataset(load, (1, 8, 8), 10, ""))
    yield load
    del DATASETS._items["counted-digits"]


def config(**values: Any) -> TrialConfig:
    return TrialConfig(scheme="binarynet", model="digits-mlp", **values)


def test_many_trials_load_each_split_once(counted: Counted) -> None:
    keys = set()
    for split_seed in (0, 1):
        for seed in range(5):
            trial = resolve(config(data="counted-digits", seed=seed, split_seed=split_seed))
            keys |= {trial.trial_id, trial.training_key}
            assert training_images(trial.dataset, split_seed, "counted-digits") == 1077
    assert counted.calls == {0: 1, 1: 1}
    assert len(keys) == 20


def test_other_content_is_another_trial_and_another_training() -> None:
    found = []
    for shift in (0.0, 0.0, 0.125):
        load = Counted()
        load.shift = shift
        trial = replace(resolve(config()), dataset=Dataset(load, (1, 8, 8), 10, ""))
        found.append((trial.trial_id, trial.training_key))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert found[0][1] != found[2][1]


def test_content_that_changed_after_planning_is_refused(counted: Counted) -> None:
    trial = resolve(config(data="counted-digits"))
    assert len(trial.load_splits().test) == 360
    counted.shift = 0.25
    with pytest.raises(DataError, match="data 'counted-digits': load gives other images or labels than when the tri"):
        trial.load_splits()


def test_a_process_that_plans_again_sees_what_was_changed(counted: Counted) -> None:
    training = load_training()
    first = plan_trial(config(data="counted-digits"), training)
    counted.shift = 0.25
    assert plan_trial(config(data="counted-digits"), training).id != first.id


def test_a_data_set_may_say_itself_what_stands_for_it() -> None:
    load = Counted()
    seeds: list[int] = []

    def version(split_seed: int) -> str:
        seeds.append(split_seed)
        return f"v{split_seed}"

    named = Dataset(load, (1, 8, 8), 10, "", digest=version)
    assert [data_digest(named, seed, "x") for seed in (0, 0, 3)] == ["v0", "v0", "v3"]
    assert seeds == [0, 3]
    assert data_digest(Dataset(load, (1, 8, 8), 10, "", digest="2026-01"), 0, "x") == "2026-01"
    assert load.calls == {}
    check_unchanged(named, load(0), "v0", "x")


@pytest.mark.parametrize("wrong", ["", lambda seed: 7, lambda seed: ""])
def test_a_digest_that_tells_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"data: 'x': its digest is .*, expected a text that changes with the content"
    ):
        data_digest(Dataset(Counted(), (1, 8, 8), 10, "", digest=wrong), 0, "x")


def test_a_missing_data_set_is_its_own_clear_error(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(split_seed: int) -> Splits[Examples]:
        raise DataError("MINE: place mine.bin in /data")

    trial = replace(resolve(config()), dataset=Dataset(load, (1, 8, 8), 10, ""))
    with pytest.raises(DataError, match=r"MINE: place mine\.bin in /data"):
        _ = trial.trial_id


@pytest.mark.parametrize(("name", "plain"), [("cifar10-whitened", "cifar10"), ("svhn-lcn", "svhn")])
def test_preprocessed_sets_are_known_by_their_pixels(name: str, plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their arrays take a minute, or 10 GB, to make."""
    import qbench.data.cifar10
    import qbench.data.svhn

    module = {"cifar10": qbench.data.cifar10, "svhn": qbench.data.svhn}[plain]
    monkeypatch.setattr(module, "load", lambda split_seed: splits())
    monkeypatch.setattr(module, "load_lcn", None, raising=False)
    assert data_digest(replace(get_dataset(name)), 0, name) == splits().digest()
