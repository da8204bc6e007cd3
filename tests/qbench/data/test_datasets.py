"""Data sets by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbench.data.datasets import DATASETS, get_dataset
from qbench.errors import ConfigError


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(ConfigError, match="data: unknown data set 'digit'; did you mean 'digits'"):
        get_dataset("digit")


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_data_set_says_what_it_is(name: str) -> None:
    found = get_dataset(name)
    assert len(found.input_shape) == 3
    assert found.classes == 10
    assert found.description
    assert callable(found.load)


def test_what_is_loaded_has_the_shape_and_the_classes() -> None:
    found = get_dataset("digits")
    splits = found.load(0)
    for part in (splits.train, splits.validation, splits.test):
        assert part.images.shape[1:] == found.input_shape
        assert part.labels.unique().tolist() == list(range(found.classes))


def test_a_data_set_may_stand_at_a_dotted_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_data.py").write_text(
        "from dataclasses import replace\nfrom qbench import get_dataset\n"
        "MINE = replace(get_dataset('digits'), description='mine')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert get_dataset("my_data.MINE").description == "mine"
    with pytest.raises(ConfigError, match=r"'my_data\.replace' is function, expected a Dataset"):
        get_dataset("my_data.replace")
