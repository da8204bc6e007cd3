"""A recipe's named parts: what replaces what, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from qbench.errors import ConfigError
from qbench.schemes.catalogue import SCHEMES, get_scheme
from qbench.schemes.named import NamedSpec
from qbench.schemes.recipe import Recipe


def test_plain_names_of_before_still_stand() -> None:
    recipe = Recipe(optimizer="sgd", halve_every=5)
    assert recipe.optimizer == "sgd"
    assert recipe.rate_schedule == NamedSpec(name="halve", options={"every": 5})
    assert Recipe().rate_schedule == NamedSpec(name="exponential")
    assert (Recipe().loss, Recipe().optimizer) == ("squared_hinge", "adam")
    assert get_scheme("fp32", optimizer={"name": "sgd"}).recipe.optimizer == "sgd"  # one form for one thing


def test_schedule_and_halve_every_replace_each_other() -> None:
    shift = get_scheme("bnn-shift")
    assert shift.recipe.rate_schedule.options == {"every": 10}
    constant = get_scheme("bnn-shift", schedule="constant")
    assert (constant.recipe.halve_every, constant.recipe.rate_schedule.name) == (None, "constant")
    again = constant.replace(halve_every=3)
    assert again.recipe.rate_schedule == NamedSpec(name="halve", options={"every": 3})
    assert shift.replace(halve_every=None).recipe.rate_schedule.name == "exponential"
    with pytest.raises(ConfigError, match="halve_every and the schedule cosine both say how the rate decays"):
        get_scheme("fp32", schedule="cosine", halve_every=3)


@pytest.mark.parametrize("schedule", ["constant", {"name": "step", "options": {"milestones": [1]}}])
def test_an_end_rate_that_the_schedule_does_not_lead_to_is_refused(schedule: object) -> None:
    get_scheme("fp32", schedule=schedule)
    with pytest.raises(ConfigError, match=r"scheme_options.learning_rate_end: the schedule \w+.* does not use it"):
        get_scheme("fp32", schedule=schedule, learning_rate_end=1e-4)


def test_only_an_exponential_decay_cannot_reach_0() -> None:
    assert Recipe(schedule="cosine", learning_rate_end=0.0).learning_rate_end == 0
    with pytest.raises(ValidationError, match="no exponential decay reaches 0"):
        Recipe(schedule={"name": "exponential", "options": {"warmup": 2}}, learning_rate_end=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adamm"}, "scheme_options.optimizer: unknown optimizer 'adamm'; did you mean 'adam'"),
        ({"optimizer": {"name": "sgd", "options": {"momentom": 1}}}, "scheme_options.optimizer: .*did you mean 'momen"),
        ({"optimizer": 3}, "scheme_options.optimizer: expected a name"),
        ({"schedule": "cosin"}, "scheme_options.schedule: unknown schedule 'cosin'"),
        ({"schedule": {"name": "cosine", "option": {}}}, "scheme_options.schedule: unknown key 'option'"),
    ],
)
def test_faults_are_named_under_their_key(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_scheme("fp32", **options)


def test_every_scheme_survives_its_flat_form() -> None:
    for name in SCHEMES:
        scheme = get_scheme(name)
        assert type(scheme).model_validate(scheme.flat()) == scheme
    chosen = get_scheme("fp32", loss={"name": "cross_entropy", "options": {"label_smoothing": 0.1}})
    assert type(chosen).model_validate(chosen.flat()) == chosen
