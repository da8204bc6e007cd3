"""Options by name, compared with what takes them."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from qbench.errors import ConfigError, check_options


def build(given: int, width: int, *, depth: int = 2) -> None: ...


def build_any(width: int, **options: Any) -> None: ...


def test_known_options_pass() -> None:
    check_options("thing 'a'", build, {"width": 1}, "key", given=("given",))
    check_options("thing 'a'", build, {"width": 1, "depth": 3}, "key", given=("given",))
    check_options("thing 'a'", build_any, {"width": 1, "whatever": 3}, "key")
    check_options("thing 'a'", math.hypot, {"x": 1}, "key")  # has no signature


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (build, {"width": 1, "dept": 2}, "key: thing 'a' has no option 'dept'; did you mean 'depth'"),
        (build, {"depth": 1}, "key: thing 'a' needs its option 'width'"),
        (build, {"width": 1, "given": 2}, "key: thing 'a' has no option 'given'"),
        (build_any, {"x": 1}, "needs its option 'width'"),
    ],
)
def test_unknown_and_missing_options_are_named(
    function: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_options("thing 'a'", function, options, "key", given=("given",))
