"""Data sets by name."""

from __future__ import annotations

import pytest

from qbench.data.datasets import get_dataset
from qbench.errors import ConfigError


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(ConfigError, match="data: unknown data set 'digit'; did you mean 'digits'"):
        get_dataset("digit")
