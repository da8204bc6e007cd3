"""A recipe's schedule over an optimizer's groups: scales are kept, and roundings respected."""

from __future__ import annotations

from typing import Any

import pytest

from qbench.errors import ConfigError
from qbench.nn.models.catalogue import get_model
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule
from qbench.training.parameter_groups import RATE_SCALE
from qbench.training.recipe_check import check_recipe

ONE_CYCLE = {
    "name": "torch.optim.lr_scheduler.OneCycleLR",
    "options": {"max_lr": 0.1, "total_steps": 6, "cycle_momentum": False},
}


def module(scheme: str, **options: Any) -> QuantModule:
    return QuantModule(get_model("digits-mlp").make({"hidden": 8}), get_scheme(scheme, **options))


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ({"schedule": "cosine", "learning_rate": 0.5, "learning_rate_end": 0.0}, 0.0),
        (
            {"schedule": {"name": "cosine", "options": {"warmup": 2}}, "learning_rate": 0.5, "learning_rate_end": 0.1},
            0.1,
        ),
        ({"schedule": "linear", "learning_rate": 0.5, "learning_rate_end": 0.25}, 0.25),
        ({"schedule": "constant", "learning_rate": 0.5}, 0.5),
        ({"schedule": {"name": "step", "options": {"milestones": [2, 9]}}, "learning_rate": 0.5}, 0.05),
        ({"halve_every": 2, "learning_rate": 0.5}, 0.0625),
        (
            {
                "schedule": {"name": "torch.optim.lr_scheduler.StepLR", "options": {"step_size": 3}},
                "learning_rate": 0.5,
            },
            0.005,
        ),
    ],
)
def test_the_rate_after_is_where_the_steps_lead(options: dict[str, Any], after: float) -> None:
    """On binarynet, whose groups have scaled rates: each keeps its scale."""
    made = module("binarynet", optimizer={"name": "sgd", "options": {"momentum": 0.9}}, **options)
    optimizer = made.make_optimizer()
    first = [group["lr"] for group in optimizer.param_groups]
    scales = [group[RATE_SCALE] for group in optimizer.param_groups]
    assert len(set(scales)) > 1
    assert first == pytest.approx([0.5 * scale for scale in scales])
    schedule = made.make_scheduler(optimizer, 6)
    for _ in range(6):
        optimizer.step()
        schedule.step()
    assert [group["lr"] / scale for group, scale in zip(optimizer.param_groups, scales, strict=True)] == pytest.approx(
        [after] * len(scales), abs=1e-12
    )
    assert made.rate_after(6) == pytest.approx(after, abs=1e-12)


def test_one_rate_for_all_groups_is_refused_where_groups_are_scaled() -> None:
    made = module("binarynet", schedule=ONE_CYCLE)
    with pytest.raises(ConfigError, match=r"scheme_options.schedule: the schedule .*OneCycleLR.* sets rates"):
        check_recipe(made, 5)
    check_recipe(module("binarynet", schedule=ONE_CYCLE, learning_rate_scale="none"), 5)
    check_recipe(module("fp32", schedule=ONE_CYCLE), 5)


@pytest.mark.parametrize("schedule", ["exponential", "cosine", {"name": "step", "options": {"milestones": [1]}}])
def test_shift_adamax_refuses_schedules_that_leave_powers_of_two(schedule: Any) -> None:
    with pytest.raises(ConfigError, match=r"scheme_options.schedule: ShiftAdaMax rounds its rate to a power of two"):
        check_recipe(module("bnn-shift", schedule=schedule), 4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"halve_every": 3},
        {"schedule": "constant"},
        {"schedule": {"name": "step", "options": {"milestones": [1, 3], "factor": 0.25}}},
        {"schedule": {"name": "constant", "options": {"warmup": 1}}},  # half of it, then all
    ],
)
def test_shift_adamax_takes_those_that_keep_to_them(options: dict[str, Any]) -> None:
    check_recipe(module("bnn-shift", **options), 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": {"name": "sgd", "options": {"momentum": -1}}}, "scheme_options.optimizer: .*Invalid momentum"),
        ({"optimizer": "torch.optim.LBFGS"}, "scheme_options.optimizer: .*LBFGS"),
        ({"optimizer": "torch.optim.Muon"}, "scheme_options.optimizer: .*Muon"),  # takes matrices alone
        ({"schedule": {"name": "cosine", "options": {"warmup": 4}}}, "scheme_options.schedule: warmup of 4 epochs"),
    ],
)
def test_recipes_that_cannot_train_are_found_before_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_recipe(module("fp32", **options), 4)


def test_an_end_rate_of_another_schedule_is_refused_in_a_module() -> None:
    with pytest.raises(ConfigError, match="learning_rate_end: the schedule constant does not use it"):
        QuantModule(get_model("digits-mlp").make({}), get_scheme("fp32", schedule="constant"), learning_rate_end=0.1)
    with pytest.raises(ConfigError, match="learning_rate: the rate starts at 0"):
        QuantModule(
            get_model("digits-mlp").make({}),
            get_scheme("fp32", schedule="cosine"),
            learning_rate=0.0,
            learning_rate_end=0.1,
        )
