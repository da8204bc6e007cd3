"""A configuration on one level, as a row has it, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.errors import ConfigError
from qbench.trial.config import TrialConfig

NAMES = st.text(alphabet="ab.*-_1é ", max_size=6)
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | NAMES
)
OPTIONS = st.dictionaries(
    NAMES, st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
)
CONFIGS = st.builds(
    TrialConfig,
    scheme=st.text(max_size=5),
    scheme_options=OPTIONS,
    seed=st.integers(0, 2**31 - 1),
    model_options=OPTIONS,
    epochs=st.integers(1, 1000),
    learning_rate=st.none() | st.floats(1e-6, 10.0),
    module=st.none() | st.text(max_size=5),
    compile=st.booleans(),
)


@given(CONFIGS)
def test_a_row_gives_its_config_back(config: TrialConfig) -> None:
    assert TrialConfig.from_flat(config.flat()) == config
    row = {**config.flat(), "trial_id": "x", "test/accuracy": 0.5, "status": "done", "error": None}
    assert TrialConfig.from_flat(json.loads(json.dumps(row))) == config


@pytest.mark.parametrize(
    ("options", "flat"),
    [
        ({}, {}),
        ({"last_layer": "float"}, {"scheme_options.last_layer": "float"}),
        (
            {"activations": {"name": "uint8", "options": {"bits": 6}}},
            {"scheme_options.activations.name": "uint8", "scheme_options.activations.options.bits": 6},
        ),
        # an empty mapping inside is a value, for it may replace a default that is not empty
        (
            {"activations": {"name": "uint8", "options": {}}},
            {"scheme_options.activations.name": "uint8", "scheme_options.activations.options": {}},
        ),
        ({"layers": {"conv1": {"weights": "int8"}}}, {"scheme_options.layers.conv1.weights": "int8"}),
        # a layer's name has dots: its mapping stays whole
        (
            {"layers": {"features.0": {"weights": "int8"}, "*.fc": "float"}},
            {"scheme_options.layers": {"features.0": {"weights": "int8"}, "*.fc": "float"}},
        ),
    ],
)
def test_options_on_one_level(options: dict[str, Any], flat: dict[str, Any]) -> None:
    config = TrialConfig(scheme="fp32", scheme_options=options)
    assert {key: value for key, value in config.flat().items() if key.startswith("scheme_options")} == flat
    assert TrialConfig.from_flat(config.flat()) == config


def test_a_row_of_another_version_is_refused() -> None:
    row = TrialConfig(scheme="fp32").flat()
    with pytest.raises(ConfigError, match="epochs: input should be a valid integer, got 'many'"):
        TrialConfig.from_flat({**row, "epochs": "many"})
    with pytest.raises(ConfigError, match="scheme: is required"):
        TrialConfig.from_flat({key: value for key, value in row.items() if key != "scheme"})
    with pytest.raises(ConfigError, match=r"epochs: input should be a valid integer, got \{'x': 1\}"):
        TrialConfig.from_flat({key: value for key, value in row.items() if key != "epochs"} | {"epochs.x": 1})
