import pytest

from qbench.errors import ConfigError
from qbench.sweep.config import load_sweep

GRID = "method: grid\nparameters:\n  scheme: {values: [fp32, binarynet]}\n"
NESTED = "parameters.model_options.parameters"


def write(folder, text, name="tiny.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_a_whole_file(tmp_path):
    text = """
name: all_of_it
description: what it is for
project: quant
entity: lab
method: random
run_cap: 7
seed: 3
metric: {name: test/accuracy, goal: maximize}
parameters:
  scheme: {values: [fp32, binarynet], probabilities: [0.5, 0.5]}
  learning_rate: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}
  model_options:
    parameters:
      width: {min: 8, max: 32}
"""
    config = load_sweep(write(tmp_path, text))
    assert (config.name, config.method, config.run_cap, config.seed) == ("all_of_it", "random", 7, 3)
    assert (config.metric, config.goal) == ("test/accuracy", "maximize")
    assert (config.project, config.entity, config.description) == ("quant", "lab", "what it is for")
    assert [parameter.path for parameter in config.parameters] == [
        ("scheme",),
        ("learning_rate",),
        ("model_options", "width"),
    ]
    assert config.parameters[1].distribution.quantile(0) == pytest.approx(1e-4)


def test_defaults_and_name_from_the_stem(tmp_path):
    config = load_sweep(write(tmp_path, GRID))
    assert (config.name, config.metric, config.run_cap, config.seed) == ("tiny", None, None, 0)
    assert config.folder == tmp_path.resolve()


def test_the_sweep_id_follows_name_and_text(tmp_path):
    ids = {
        load_sweep(write(tmp_path, GRID)).sweep_id,
        load_sweep(write(tmp_path, GRID, "other.yaml")).sweep_id,
        load_sweep(write(tmp_path, GRID + "  seed: {value: 1}\n")).sweep_id,
    }
    assert len(ids) == 3
    assert load_sweep(write(tmp_path, GRID)).sweep_id in ids
    assert all(len(sweep_id) == 8 for sweep_id in ids)


def test_a_config_key_is_found_in_the_file(tmp_path):
    text = """
method: grid
parameters:
  scheme: {values: [fp32]}
  epochs: {value: 3}
  batch_size: {min: 2, max: 3}
  model_options:
    parameters:
      width: {values: [8]}
  scheme_options: {value: {weights: sign}}
"""
    config = load_sweep(write(tmp_path, text))
    assert config.key_of("scheme") == "parameters.scheme.values"
    assert config.key_of("epochs") == "parameters.epochs.value"
    assert config.key_of("batch_size") == "parameters.batch_size"
    assert config.key_of("model_options.width") == "parameters.model_options.parameters.width.values"
    assert config.key_of("model_options") == "parameters.model_options"
    assert config.key_of("scheme_options.weights") == "parameters.scheme_options.value.weights"
    assert config.key_of(None) == "parameters"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("parameters: {seed: {value: 1}}", "method", "is required"),
        ("method: grid", "parameters", "is required"),
        ("method: gird\nparameters: {seed: {value: 1}}", "method", "did you mean 'grid'"),
        ("method: bayes\nparameters: {seed: {value: 1}}", "method", "use one of grid, random"),
        ("method: grid\nparameters: {}", "parameters", "is empty"),
        ("method: grid\nparameters: [1]", "parameters", "valid dictionary"),
        (GRID + "paramters: {}", "paramters", "did you mean 'parameters'"),
        (GRID + "program: train.py", "program", "not supported"),
        (GRID + "command: [python]", "command", "not supported"),
        (GRID + "early_terminate: {type: hyperband}", "early_terminate", "not supported"),
        (GRID + "metric: {name: test/accuracy, target: 1}", "metric.target", "not supported"),
        (GRID + "metric: {name: test/acuracy}", "metric.name", "did you mean 'test/accuracy'"),
        (GRID + "metric: {name: test/accuracy, goal: up}", "metric.goal", "'minimize' or 'maximize'"),
        (GRID + "metric: {goal: minimize}", "metric.name", "is required"),
        (GRID + "metric: {name: test/accuracy, gaol: minimize}", "metric.gaol", "did you mean 'goal'"),
        (GRID + "run_cap: 0", "run_cap", "greater than or equal to 1"),
        (GRID + "run_cap: '3'", "run_cap", "valid integer"),
        (GRID + "seed: 1", "seed", "a grid draws nothing"),
        (GRID + "name: ../up", "name", "cannot name a folder"),
        (GRID + "name: ''", "name", "cannot name a folder"),
        (GRID + "name: 3", "name", "valid string"),
        (GRID + "  seeds: {value: 1}", "parameters.seeds", "did you mean 'seed'"),
        (GRID + "  seed: 3", "parameters.seed", "`value: 3`"),
        (GRID + "  seed: [0, 1]", "parameters.seed", "`values: [0, 1]`"),
        (GRID + "  seed: {values: []}", "parameters.seed.values", "empty list"),
        (GRID + "  learning_rate: {min: 0.1, max: 1.0}", "parameters.learning_rate", "a grid needs a finite list"),
        (GRID + "  learning_rate: {distribution: normal}", "parameters.learning_rate", "a grid needs a finite list"),
        (GRID + "  seed: {values: [1, 2], probabilities: [0.5, 0.5]}", "parameters.seed.values", "a grid needs"),
        (GRID + "  model_options: {parameters: {}}", NESTED, "at least one"),
        (GRID + "  model_options: {parameters: {w: {values: []}}}", f"{NESTED}.w.values", "empty list"),
        (GRID + "  model_options: {parameters: {w: {value: 1}}, value: 2}", "parameters.model_options", "stand alone"),
    ],
)  # fmt: skip
def test_bad_files_name_file_and_key(tmp_path, text, key, message):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_sweep(path)
    assert error.value.key == key
    assert error.value.file == str(path)
    assert message in error.value.message
    assert "\n" not in str(error.value)
