"""Labels: a template, rendered by a parser that follows nothing and formats nothing."""

import pytest

from qbench.errors import ConfigError
from qbench.trial.config import TrialConfig
from qbench.trial.label import check_template, check_used, fields, render

CONFIG = TrialConfig.from_mapping(
    {
        "scheme": "binarynet",
        "epochs": 3,
        "learning_rate": 1e-3,
        "model_options": {"width": 16},
        "scheme_options": {"layers": {"conv.0": "float"}},
    }
).flat()


@pytest.mark.parametrize(
    ("template", "label"),
    [
        ("{scheme} w={model_options.width}", "binarynet w=16"),
        ("{epochs} epochs at {learning_rate}", "3 epochs at 0.001"),
        ("ends {learning_rate_end} {model_options.depth}", "ends - -"),
        ("{{{scheme}}} {{}}", "{binarynet} {}"),
        ("{compile}", "false"),
        ("{scheme_options.layers}", '{"conv.0": "float"}'),
        ("no field", "no field"),
    ],
)
def test_a_label_is_its_template_with_values(template, label):
    assert render(template, CONFIG) == label


def test_nothing_of_a_value_is_followed_or_run():
    class Secret:
        password = "hidden"

        def __format__(self, specification):
            raise AssertionError("formatted")

    for template in ("{scheme.__class__}", "{scheme.password}", "{scheme!r}", "{scheme:>99999999}", "{scheme[0]}"):
        assert render(template, {"scheme": "fp32"}) == "-"
        with pytest.raises(ConfigError):
            check_template(template)


def test_fields_are_named_in_order():
    assert fields("{scheme} {{no}} {model_options.width}{scheme}") == ["scheme", "model_options.width", "scheme"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{shceme}", "unknown key {shceme}; did you mean 'scheme'?"),
        ("{model_option.width}", "did you mean 'model_options'?"),
        ("{}", "unknown key {}"),
        ("{ scheme }", "unknown key { scheme }"),
        ("{scheme", "a brace stands alone in '{scheme'"),
        ("scheme}", "a brace stands alone"),
        ("{scheme!r}", "a field is a trial's key and nothing more"),
        ("{epochs:03d}", "a field is a trial's key and nothing more"),
        ("{model_options[width]}", "a field is a trial's key and nothing more"),
        ("{scheme.__class__}", "'scheme' has no keys of its own"),
        ("{learning_rate.real}", "'learning_rate' has no keys of its own"),
        ("{model_options}", "name one of its keys"),
        ("{scheme} {seed}", "leave {seed} out"),
        ("", "must be one line of visible text"),
        ("a\nb", "must be one line of visible text"),
        ("a\x1b[31m", "must be one line of visible text"),
    ],
)
def test_templates_that_no_sweep_can_use_are_refused(template, message):
    with pytest.raises(ConfigError) as error:
        check_template(template)
    assert message in str(error.value)


def test_a_key_that_no_trial_has_is_refused_with_the_nearest():
    check_used("{model_options.width}", [{"scheme": "fp32"}, CONFIG])
    with pytest.raises(
        ConfigError, match=r"label: no trial has the key \{model_options.widht\}; did you mean 'model_o"
    ):
        check_used("{model_options.widht}", [CONFIG])
