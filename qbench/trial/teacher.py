"""The trial whose network a distilling trial imitates."""

from __future__ import annotations

from pydantic import ValidationError

from qbench.errors import ConfigError, config_error
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme
from qbench.training.losses.catalogue import Loss, build_loss, needs_teacher
from qbench.training.recipe_schedule import as_scheme_options
from qbench.trial.config import TrialConfig

KEY = "scheme_options.loss"
_RATES = ("learning_rate", "learning_rate_end")


def teacher_config(config: TrialConfig, scheme: Scheme, classes: int) -> TrialConfig | None:
    """Return the configuration of a trial's teacher; None where the loss of its scheme needs none.

    It is the trial's own, but for the scheme, which the loss names with its options. Learning rates among these replace
    the trial's. So an equal trial of the same sweep trains the same network, and the two share it.

    Raises:
        ConfigError: a loss that cannot be built, or names no scheme; a teacher that is not known, that has a teacher
            itself, or that is quantized after its training.
    """
    with as_scheme_options():
        loss: Loss = build_loss(scheme.recipe.loss, classes)
    if not needs_teacher(loss):
        return None
    name = getattr(loss, "teacher", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"{scheme.recipe.loss} needs a teacher, and its attribute `teacher` names no scheme that a trial could "
            "train",
            KEY,
        )
    options = dict(getattr(loss, "teacher_options", None) or {})
    rates = {key: options.pop(key) for key in _RATES if key in options}
    try:
        _check(get_scheme(name, **options), classes)
        return TrialConfig.model_validate(config.model_dump() | {"scheme": name, "scheme_options": options} | rates)
    except ConfigError as error:
        raise of_teacher(error, name) from error.__cause__
    except ValidationError as error:
        raise of_teacher(config_error(error, list(TrialConfig.model_fields)), name) from None


def of_teacher(error: ConfigError, name: str) -> ConfigError:
    """Return what is wrong with the teacher called `name` as a fault of the loss that names it."""
    return ConfigError(f"teacher {name!r}: {error.key + ': ' if error.key else ''}{error.message}", KEY)


def _check(teacher: Scheme, classes: int) -> None:
    with as_scheme_options():
        loss = build_loss(teacher.recipe.loss, classes)
    if needs_teacher(loss):
        raise ConfigError(f"its loss {teacher.recipe.loss} needs a teacher as well; a teacher learns from the labels")
    if teacher.post_training is not None:
        raise ConfigError(
            "it is quantized after its training, from which a teacher is taken; name the scheme that it trains as, "
            "such as fp32"
        )
