import sys
from types import SimpleNamespace

import pytest

from qbench.errors import ConfigError
from qbench.sweep.config import load_sweep
from qbench.sweep.options import trial_config
from qbench.sweep.plan import make_plan


def plan(fake, folder, text, max_runs=None):
    path = folder / "s.yaml"
    path.write_text(text)
    return make_plan(load_sweep(path), fake, max_runs)


GRID = "method: grid\nparameters:\n  scheme: {values: [fp32, binarynet]}\n  seed: {values: [0, 1, 2]}\n"


def test_trials_have_identities_and_labels(fake, workplace):
    found = plan(fake, workplace, GRID + "  epochs: {value: 3}\n")
    assert [trial.label for trial in found.trials][:4] == [
        "fp32 seed=0",
        "fp32 seed=1",
        "fp32 seed=2",
        "binarynet seed=0",
    ]
    assert len({trial.id for trial in found.trials}) == 6
    assert all(trial.config.epochs == 3 for trial in found.trials)
    assert found.trials[0].id == fake.resolve(found.trials[0].config).trial_id


def test_labels_name_what_varies(fake, workplace):
    found = plan(fake, workplace, GRID + "  epochs: {values: [1, 2]}\n  batch_size: {value: 8}\n")
    assert found.trials[1].label == "fp32 epochs=2 seed=0"


def test_max_runs_and_run_cap_cut_the_plan(fake, workplace):
    found = plan(fake, workplace, GRID, max_runs=2)
    assert [trial.label for trial in found.trials] == ["fp32 seed=0", "fp32 seed=1"]
    assert len(found.shown) == 6  # an earlier run's results still belong to the file
    capped = plan(fake, workplace, GRID + "run_cap: 4\n", max_runs=5)
    assert (len(capped.trials), len(capped.shown)) == (4, 4)


def test_max_runs_ends_a_random_search(fake, workplace):
    text = "method: random\nparameters:\n  scheme: {value: fp32}\n  seed: {min: 0, max: 99999}\n"
    assert len(plan(fake, workplace, text, max_runs=3).trials) == 3
    with pytest.raises(ConfigError, match="--max-runs"):
        plan(fake, workplace, text)


@pytest.mark.parametrize(
    ("extra", "key", "message"),
    [
        ("  learning_rate: {values: [1e-3, fast]}", "parameters.learning_rate.values", "valid number, got 'fast'"),
        ("  epochs: {value: 1.5}", "parameters.epochs.value", "valid integer"),
        ("  epochs: {values: [1, 0]}", "parameters.epochs.values", "greater than or equal to 1"),
        ("  device: {value: tpu}", "parameters.device.value", "'cpu' or 'cuda'"),
        ("  model_options: {value: 3}", "parameters.model_options.value", "valid dictionary"),
    ],
)
def test_bad_values_name_their_key_in_the_file(fake, workplace, extra, key, message):
    with pytest.raises(ConfigError) as error:
        plan(fake, workplace, GRID + extra)
    assert error.value.key == key
    assert error.value.file.endswith("s.yaml")
    assert message in error.value.message


SETTINGS = (
    "method: grid\nparameters:\n  settings:\n    values:\n      - {scheme: fp32, epochs: 2}\n"
    "      - {scheme: binarynet, epochs: 5, model_options: {width: 8}}\n  seed: {values: [0, 1]}\n"
)


def test_settings_give_every_scheme_its_own_values(fake, workplace):
    found = plan(fake, workplace, SETTINGS + "  model_options: {parameters: {depth: {value: 2}}}\n")
    assert [(trial.config.scheme, trial.config.epochs, trial.config.seed) for trial in found.trials] == [
        ("fp32", 2, 0),
        ("fp32", 2, 1),
        ("binarynet", 5, 0),
        ("binarynet", 5, 1),
    ]
    assert found.trials[0].config.model_options == {"depth": 2}
    # What a trial leaves out is not told of it.
    assert found.trials[0].label == "fp32 seed=0"
    assert found.trials[2].label == "binarynet seed=0"
    assert found.trials[2].config.model_options == {"depth": 2, "width": 8}
    # The trial is the one that the same keys give outside of settings.
    plain = plan(fake, workplace, "method: grid\nparameters: {scheme: {value: fp32}, epochs: {value: 2}}\n")
    bare = plan(fake, workplace, "method: grid\nparameters: {settings: {value: {scheme: fp32, epochs: 2}}}\n")
    assert [trial.id for trial in bare.trials] == [trial.id for trial in plain.trials]


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (("epochs: 5", "epochs: five"), "parameters.settings.values.epochs", "valid integer, got 'five'"),
        (("epochs: 5", "epoch: 5"), "parameters.settings.values.epoch", "did you mean 'epochs'"),
        (("binarynet", "binarynett"), "parameters.settings.values.scheme", "did you mean 'binarynet'"),
        (("  seed: {values", "  epochs: {values"), "parameters.settings.values.epochs", "set here and outside"),
        (("{scheme: fp32, epochs: 2}", "fp32"), "parameters.settings.values", "must be a mapping"),
        (("epochs: 5", "settings: {}"), "parameters.settings.values.settings", "hold no settings"),
    ],
)
def test_bad_settings_name_their_place(fake, workplace, change, key, message):
    with pytest.raises(ConfigError) as error:
        plan(fake, workplace, SETTINGS.replace(*change))
    assert error.value.key == key
    assert message in error.value.message


def test_what_training_refuses_is_said_with_file_and_key(fake, workplace):
    with pytest.raises(ConfigError) as error:
        plan(fake, workplace, GRID.replace("binarynet", "binarynett"))
    assert str(error.value).endswith(
        "s.yaml: parameters.scheme.values: unknown scheme 'binarynett'; did you mean 'binarynet'? "
        "Known: fp32, binarynet, int8-kl"
    ) or "did you mean 'binarynet'?" in str(error.value)
    assert error.value.key == "parameters.scheme.values"


def test_trials_that_differ_in_their_seed_alone_are_built_once(fake, workplace):
    built = []
    counting = SimpleNamespace(resolve=fake.resolve, check=lambda trial: built.append(trial.config))
    found = plan(counting, workplace, GRID + "  epochs: {values: [1, 2]}\n")
    assert len(found.trials) == 12
    assert [(each.scheme, each.epochs, each.seed) for each in built] == [
        ("fp32", 1, 0),
        ("fp32", 2, 0),
        ("binarynet", 1, 0),
        ("binarynet", 2, 0),
    ]


def test_two_points_that_are_one_trial_are_refused(fake, workplace):
    # 30 is what a trial without `epochs` has: different in the file, the same trial.
    text = (
        "method: grid\nparameters:\n  scheme: {value: fp32}\n"
        "  model_options: {values: [{}, {width: 1}]}\n  scheme_options: {values: [{}, {a: 1}]}\n"
    )
    assert len(plan(fake, workplace, text).trials) == 4

    class SameForAll:
        check = staticmethod(fake.check)

        @staticmethod
        def resolve(config):
            return SimpleNamespace(trial_id="0" * 16, training_key=fake.resolve(config).training_key, epochs=1)

    with pytest.raises(ConfigError, match="trials 1 and 2 are the same"):
        plan(SameForAll, workplace, text)


def test_modules_beside_the_file_can_be_named_and_do_not_shadow_others(fake, workplace):
    folder = workplace / "sweeps"
    folder.mkdir()
    (folder / "random.py").write_text("raise AssertionError('imported instead of the standard library')")
    plan(fake, folder, GRID)
    assert sys.path[-1] == str(folder.resolve())


def test_options_become_a_config():
    config = trial_config(
        {"scheme": "fp32", "seed": None, "epochs": 3},
        ["model_options.width=16", "learning_rate=1e-3", "module=null", "scheme_options.a={b: [1, 2]}"],
    )
    assert (config.scheme, config.seed, config.epochs, config.learning_rate) == ("fp32", 0, 3, 1e-3)
    assert config.model_options == {"width": 16}
    assert config.scheme_options == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["epochs"], "expected KEY=VALUE, got 'epochs'"),
        (["=3"], "expected KEY=VALUE"),
        (["epochs=three"], "epochs: input should be a valid integer"),
        (["epoch=3"], "did you mean 'epochs'"),
        (["scheme=fp32"], "scheme: is given twice"),
        (["seed=1", "seed=2"], "seed: is given twice"),
        (["seed=1", "seed.a=2"], "seed.a: is given both"),
        (["seed=[1"], "seed: is not valid YAML"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError) as error:
        trial_config({"scheme": "fp32"}, options)
    assert message in str(error.value)
