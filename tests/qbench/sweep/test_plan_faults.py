"""Every trial that cannot run is named, with its reason, before anything is written."""

import pytest

from qbench.errors import ConfigError
from qbench.sweep.config import load_sweep
from qbench.sweep.plan import make_plan, plan_trial
from qbench.trial.config import TrialConfig

HEAD = "method: grid\nparameters:\n"


def plan(training, folder, text):
    path = folder / "s.yaml"
    path.write_text(text)
    return make_plan(load_sweep(path), training)


def refused(training, folder, text):
    with pytest.raises(ConfigError) as error:
        plan(training, folder, text)
    return str(error.value).removeprefix(f"{folder / 's.yaml'}: ").splitlines()


class Faulty:
    """The fake training, below a check that fails as a plug-in's code would."""

    def __init__(self, fake, check):
        self.resolve, self.check = fake.resolve, check


def test_all_that_cannot_run_are_listed_by_reason(fake, workplace):
    lines = refused(fake, workplace, HEAD + "  scheme: {values: [fp32, binarynett, int8]}\n  seed: {values: [0, 1]}\n")
    assert lines[0] == "4 of 6 trials cannot run"
    first, second = lines.index("    binarynett seed=0, 1"), lines.index("    int8 seed=0, 1")
    assert lines[first - 1].startswith("  parameters.scheme.values: unknown scheme 'binarynett'; did you mean")
    assert lines[second - 1].startswith("  parameters.scheme.values: unknown scheme 'int8'")
    assert len(lines) == 5


def test_points_that_are_no_configuration_are_named_by_number(fake, workplace):
    lines = refused(fake, workplace, HEAD + "  scheme: {value: fp32}\n  epochs: {values: [1, 0, x]}\n")
    assert lines[0] == "2 of 3 trials cannot run"
    assert (lines[2], lines[4]) == ("    trial 2", "    trial 3")


def test_at_most_twenty_lines_and_how_many_more(fake, workplace):
    widths = ", ".join(map(str, range(30)))

    def check(trial):
        raise ConfigError("is too wide", "model_options.width")

    text = (
        HEAD
        + f"  scheme: {{values: [fp32, oops]}}\n  model_options: {{parameters: {{width: {{values: [{widths}]}}}}}}\n"
    )
    lines = refused(Faulty(fake, check), workplace, text)
    assert lines[0] == "60 of 60 trials cannot run"
    assert len(lines) == 21
    # Two lines of reasons at most, the rest is a trial each.
    named = sum(line.startswith("    ") for line in lines)
    assert lines[-1] == f"  and {60 - named} more trials"


def test_a_plug_ins_exception_names_the_trial_the_file_and_the_line(fake, workplace):
    def check(trial):
        return 1 / (trial.config.epochs - 2)

    text = HEAD + "  scheme: {value: fp32}\n  epochs: {values: [1, 2, 3]}\n"
    (line,) = refused(Faulty(fake, check), workplace, text)
    number = check.__code__.co_firstlineno + 1
    assert line.startswith("fp32 epochs=2 seed=0: ZeroDivisionError: division by zero (")
    assert line.endswith(f"test_plan_faults.py, line {number})")
    lines = refused(Faulty(fake, check), workplace, text + "  seed: {values: [0, 1]}\n")
    assert lines[0] == "2 of 6 trials cannot run"
    assert lines[1].startswith("  ZeroDivisionError: division by zero (")
    assert lines[2] == "    fp32 epochs=2 seed=0, 1"


def test_an_exception_that_is_nobodys_but_ours_stays_a_traceback(fake, workplace):
    def check(trial):
        raise AssertionError("a fault of the library's")

    check = type(check)(check.__code__, {"__name__": "qbench.trial.check", "AssertionError": AssertionError})
    with pytest.raises(AssertionError):
        plan(Faulty(fake, check), workplace, HEAD + "  scheme: {value: fp32}\n")


def test_a_single_trial_is_refused_the_same_way(fake, workplace):
    def check(trial):
        raise KeyError("width")

    with pytest.raises(ConfigError, match=r"^fp32 seed=3: KeyError: 'width' \(.*test_plan_faults.py, line \d+\)$"):
        plan_trial(TrialConfig(scheme="fp32", seed=3), Faulty(fake, check))
    with pytest.raises(KeyboardInterrupt):
        plan_trial(TrialConfig(scheme="fp32"), Faulty(fake, _interrupted))


def _interrupted(trial):
    raise KeyboardInterrupt


LABELLED = 'label: "{scheme} w={model_options.width}"\n' + HEAD + "  scheme: {values: [fp32, binarynet]}\n"
WIDTHS = "  model_options: {parameters: {width: {values: [8, 16]}}}\n"


def test_a_label_names_the_trials(fake, workplace):
    found = plan(fake, workplace, LABELLED + WIDTHS + "  seed: {values: [0, 1]}\n")
    assert [trial.label for trial in found.trials[:3]] == ["fp32 w=8 seed=0", "fp32 w=8 seed=1", "fp32 w=16 seed=0"]


def test_two_groups_of_one_label_are_refused(fake, workplace):
    (line,) = refused(fake, workplace, LABELLED + WIDTHS + "  epochs: {values: [1, 2]}\n")
    assert line == "label: two groups are called 'fp32 w=8', which differ in epochs: name one of these in braces"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("{shceme}", "label: unknown key {shceme}; did you mean 'scheme'?"),
        (
            "{model_options.widht}",
            "label: no trial has the key {model_options.widht}; did you mean 'model_options.width'",
        ),
        ("{scheme.__class__.__mro__}", "label: 'scheme' has no keys of its own"),
    ],
)
def test_fields_that_no_trial_has_are_refused(fake, workplace, label, message):
    text = LABELLED.replace("{scheme} w={model_options.width}", label)
    (line,) = refused(fake, workplace, text + WIDTHS)
    assert line.startswith(message)


def test_plug_ins_are_loaded_and_their_errors_name_file_and_key(fake, workplace):
    (workplace / "planned_plugin.py").write_text("LOADED = True\n")
    plan(fake, workplace, "plugins: [planned_plugin.py]\n" + HEAD + "  scheme: {value: fp32}\n")
    import planned_plugin

    assert planned_plugin.LOADED
    (line,) = refused(fake, workplace, "plugins: [not_there.py]\n" + HEAD + "  scheme: {value: fp32}\n")
    assert line.startswith("plugins: no such file: 'not_there.py'")
    (line,) = refused(fake, workplace, "plugins: mine.py\n" + HEAD + "  scheme: {value: fp32}\n")
    assert line == "plugins: input should be a valid list, got 'mine.py'"
