"""Overrides by layer name, from a sweep's file to a trial's metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qbench.cost.estimate import estimate
from qbench.errors import ConfigError
from qbench.schemes.catalogue import get_scheme
from qbench.sweep.config import load_sweep
from qbench.sweep.plan import Plan, load_training, make_plan
from qbench.trial.check import check
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial

SMALL = {"model": "digits-mlp", "model_options": {"hidden": 24, "layers": 2}, "epochs": 2}
IDENTITY = ("trial_id", "training_key", "shared")
INT4 = {"name": "int8", "options": {"bits": 4, "method": "minmax", "channel_axis": 0}}
TERNARY_SIGN = {"weights": {"name": "ternary", "options": {"channel_axis": 0}}, "activations": "sign"}


def config(scheme: str, layers: dict[str, Any] | None = None, **options: Any) -> TrialConfig:
    given = options if layers is None else {"layers": layers, **options}
    return TrialConfig.from_mapping({"scheme": scheme, "scheme_options": given, **SMALL})


def metrics(row: dict[str, Any]) -> dict[str, Any]:
    dropped = ("time/", "scheme_options", *IDENTITY)
    return {key: value for key, value in row.items() if not key.startswith(dropped)}


def test_last_layer_float_and_the_override_give_the_same_metrics(tmp_path: Path) -> None:
    by_name = run_trial(resolve(config("binarynet", {"out": "float"})), tmp_path)
    by_place = run_trial(resolve(config("binarynet", last_layer="float")), tmp_path)
    assert metrics(by_name.row) == metrics(by_place.row)
    assert by_name.predictions == by_place.predictions
    assert by_name.row["trial_id"] != by_place.row["trial_id"]
    assert by_name.row["kernel/ops"] == "binary-weight xnor float"


def test_a_mixed_network_runs_packed_and_agrees(tmp_path: Path) -> None:
    trial = resolve(
        config("binarynet", {"fc2": TERNARY_SIGN, "out": {"weights": "int8_qat", "activations": "int8_qat"}})
    )
    check(trial)
    row = run_trial(trial, tmp_path).row
    assert row["kernel/ops"] == "binary-weight float int8"
    assert row["kernel/agreement"] == 1.0
    assert row["int8/no_chain"] is not None  # its first layers are not integers


def test_post_training_shares_the_float_training_and_the_calibration(tmp_path: Path) -> None:
    fp32 = run_trial(resolve(config("fp32")), tmp_path).row
    for layers, ops in (
        ({"fc2": {"weights": INT4}}, "int8 int8 int8"),
        ({"out": "float"}, "int8 int8 float"),
        ({"fc1": {"activations": None}}, "float int8 int8"),
    ):
        row = run_trial(resolve(config("int8-kl", layers)), tmp_path).row
        assert row["training_key"] == fp32["training_key"]
        assert row["shared"]
        assert row["kernel/ops"] == ops
        assert row["kernel/agreement"] >= 0.99
        assert row["test/accuracy"] == pytest.approx(fp32["test/accuracy"], abs=0.05)
    stored = list(tmp_path.glob("trainings/*/calibration-*.safetensors"))
    assert len(stored) == 3  # each observes another network


def test_methods_of_overrides_share_one_calibration_pass(tmp_path: Path) -> None:
    for method in ("minmax", "kl", "mse"):
        layers = {"fc2": {"activations": {"name": "int8", "options": {"method": method}}}}
        run_trial(resolve(config("int8-percentile", layers)), tmp_path)
    assert len(list(tmp_path.glob("trainings/*/calibration-*.safetensors"))) == 1


def test_integers_throughout_run_as_a_chain(tmp_path: Path) -> None:
    row = run_trial(resolve(config("int8-minmax", {"fc2": {"weights": INT4}})), tmp_path).row
    assert row["kernel/execution"] == "integer chain"
    assert row["int8/within_one"] == 1.0


def test_a_mixed_networks_costs_are_those_of_its_layers() -> None:
    def layers(scheme: str, **options: Any) -> dict[str, Any]:
        found = estimate("digits-mlp", get_scheme(scheme, **options), model_options=SMALL["model_options"])
        return {layer.name: layer for layer in found.cost.layers}

    plain, coarse = layers("int8-kl"), layers("int8-kl", weights=INT4)
    mixed = layers("int8-kl", layers={"fc2": {"weights": INT4}})
    assert mixed == plain | {"fc2": coarse["fc2"]}
    assert mixed["fc2"].weight_bytes == 24 * 24 / 2
    ended = layers("int8-kl", layers={"out": "float"})
    assert ended["out"].weight_bytes == 4 * 24 * 10
    assert ended["fc1"] == plain["fc1"]
    assert ended["fc2"].output_bytes == 4 * 24  # what a float layer reads
    signs = {"fc2": {"weights": "sign", "activations": "sign"}}
    one = layers("fp32", layers=signs, activation_function="identity")  # no ReLU in front of signs
    assert [layer.op for layer in one.values()] == ["float", "xnor", "float"]
    assert one["fc2"].weight_bytes == 24 * 3


@pytest.mark.parametrize(
    ("scheme", "layers", "message"),
    [
        (
            "binarynet",
            {"out": {"weights": "int8"}},
            "scheme_options.layers.out.weights: out: Uniform needs calibration",
        ),
        ("binarynet", {"otu": "float"}, "scheme_options.layers.otu: matches no layer; did you mean 'out'"),
        ("int8-kl", {"otu": "float"}, "scheme_options.layers.otu: matches no layer; did you mean 'out'"),
        ("int8-kl", {"out": {"weights": "itn8"}}, "scheme_options.layers.out.weights: unknown quantizer 'itn8'"),
    ],
)
def test_it_is_refused_before_anything_trains(scheme: str, layers: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(resolve(config(scheme, layers)))
    assert message in str(caught.value)


OVERRIDES = (
    {"out": "float"},
    {"fc2": {"weights": INT4, "activations": None}},
    {"features.0": {"weights": "int8"}, "*.fc": "float"},
    {"*": {"weights": "ternary"}, "f*.1": {"activations": None}, "out": "float"},
)


@pytest.mark.parametrize("layers", OVERRIDES)
def test_a_config_comes_back_from_its_row(layers: dict[str, Any]) -> None:
    chosen = config("binarynet", layers, last_layer="float")
    row = json.loads(json.dumps({**chosen.flat(), "test/accuracy": 1.0}))
    again = TrialConfig.from_flat(row)
    assert again == chosen
    assert list(again.scheme_options["layers"]) == list(layers)


def test_overrides_and_their_order_are_part_of_the_identity() -> None:
    trials = [
        resolve(config("binarynet", layers))
        for layers in (None, {"out": "float"}, {"fc*": {"weights": "ternary"}, "*2": {"weights": "sign"}})
    ]
    trials.append(resolve(config("binarynet", {"*2": {"weights": "sign"}, "fc*": {"weights": "ternary"}})))
    assert len({trial.trial_id for trial in trials}) == 4
    assert len({trial.training_key for trial in trials}) == 4


def planned(folder: Path, parameters: str) -> Plan:
    (folder / "s.yaml").write_text(f"method: grid\nparameters:\n  model: {{value: digits-mlp}}\n{parameters}")
    return make_plan(load_sweep(folder / "s.yaml"), load_training())


def test_a_sweeps_values_hold_overrides(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        """
  scheme: {value: binarynet}
  scheme_options:
    values:
      - {}
      - layers: {out: float}
      - layers: {"fc*": {weights: ternary}, fc2: {activations: null}}
""",
    )
    found = [trial.config.scheme_options for trial in plan.trials]
    assert found[1:] == [
        {"layers": {"out": "float"}},
        {"layers": {"fc*": {"weights": "ternary"}, "fc2": {"activations": None}}},
    ]
    assert len({trial.id for trial in plan.trials}) == 3


def test_a_sweeps_nested_parameters_hold_overrides(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        """
  scheme: {value: int8-kl}
  scheme_options:
    parameters:
      layers:
        parameters:
          "fc[12]": {values: [float, {weights: ternary}]}
          out: {value: float}
""",
    )
    found = [trial.config.scheme_options["layers"] for trial in plan.trials]
    assert found == [{"fc[12]": value, "out": "float"} for value in ("float", {"weights": "ternary"})]
    assert len({trial.training_key for trial in plan.trials}) == 1


def test_a_sweep_names_the_pattern_that_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"parameters\.scheme_options\.values\.layers\.otu: matches no layer"):
        planned(tmp_path, "  scheme: {value: binarynet}\n  scheme_options: {values: [{layers: {otu: float}}]}\n")
