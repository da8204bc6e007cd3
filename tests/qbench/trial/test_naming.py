import doctest

from qbench.trial import naming
from qbench.trial.naming import identity, long_name, short_names, varying_keys


def test_the_example_holds():
    assert doctest.testmod(naming).failed == 0


def test_a_scheme_alone_suffices_where_only_one_configuration_has_it():
    configs = [{"scheme": "fp32", "epochs": 5}, {"scheme": "binarynet", "epochs": 50}]
    assert short_names(configs) == ["fp32", "binarynet"]
    assert long_name(configs[1], varying_keys(configs)) == "binarynet epochs=50"


def test_seeds_share_a_name_and_nothing_else_does():
    configs = [{"scheme": "a", "seed": seed, "batch_size": size} for size in (32, 64) for seed in (0, 1)]
    assert short_names(configs) == ["a batch_size=32"] * 2 + ["a batch_size=64"] * 2


def test_dotted_paths_are_shortened_while_they_differ():
    configs = [{"scheme": "mine.TERNARY", "module": path} for path in (None, "median_sign.MedianModule", "b.Other")]
    assert short_names(configs) == ["TERNARY", "TERNARY module=MedianModule", "TERNARY module=Other"]
    clash = [{"scheme": path} for path in ("one.binary.NET", "two.binary.NET", "two.other.NET")]
    assert short_names(clash) == ["one.binary.NET", "two.binary.NET", "two.other.NET"]
    files = [{"scheme": "a", "data": name} for name in ("one.npz", "two.npz")]
    assert short_names(files) == ["a data=one.npz", "a data=two.npz"]


def test_a_key_is_shortened_where_no_other_is_called_so():
    options = [{"scheme": "a", "model_options.width": n, "module_options.epochs": n} for n in (1, 2)]
    assert short_names(options) == ["a width=1 module_options.epochs=1", "a width=2 module_options.epochs=2"]
    both = [{"scheme": "a", "model_options.width": n, "module_options.width": n} for n in (1, 2)]
    assert short_names(both)[0] == "a model_options.width=1 module_options.width=1"


def test_a_name_with_options_is_called_as_a_name_alone():
    loss = "scheme_options.loss"
    configs = [{"scheme": "a", loss: "hinge"}, {"scheme": "a", f"{loss}.name": "focal", f"{loss}.options.gamma": 1.0}]
    assert short_names(configs) == ["a loss=hinge", "a loss=focal gamma=1.0"]


def test_mappings_are_short_and_stay_apart():
    layers = [
        {"conv1": "float", "fc2": {"weight": "pack.quant.Sign", "input": "float"}, "fc3": "float"},
        {"a": "float"},
    ]
    names = short_names([{"scheme": "a", "scheme_options.layers": each} for each in layers])
    assert names == ["a layers=conv1:float,…3", "a layers=a:float"]
    alike = [{"c": "float", "d": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, {"c": "float", "d": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}]
    names = short_names([{"scheme": "a", "scheme_options.layers": each} for each in alike])
    assert names == [f"a layers=c:float,d:{letter * 29}" for letter in "ab"]
    losses = [{"name": "distillation", "options": {"temperature": t}} for t in (1, 4)]
    assert short_names([{"scheme": "a", "scheme_options.loss": each} for each in losses])[1] == (
        "a loss=distillation(temperature:4)"
    )


def test_labels_come_first_and_are_told_apart():
    configs = [{"scheme": s, "model_options.width": w} for s in ("a", "b") for w in (1, 2)]
    assert short_names(configs, ["A 1", "A 2", "B 1", "B 2"]) == ["A 1", "A 2", "B 1", "B 2"]
    assert short_names(configs, ["wide 1", "wide 2"] * 2) == ["wide 1 a", "wide 2 a", "wide 1 b", "wide 2 b"]
    assert short_names(configs, ["A", "A", None, None]) == ["A width=1", "A width=2", "b width=1", "b width=2"]


def test_names_that_would_still_be_equal_are_numbered():
    assert short_names([{"scheme": "a", "batch_size": each} for each in (1, "1")]) == [
        "a batch_size=1",
        "a batch_size='1'",
    ]
    label = short_names([{"scheme": "a"}, {"scheme": "a width=1"}, {"scheme": "a", "model_options.width": 1}])
    assert len(set(label)) == 3


def test_a_row_of_an_earlier_version_has_the_default_of_a_later_key():
    assert identity({"scheme": "a"}) == identity({"scheme": "a", "epochs": 30, "seed": 4, "learning_rate": None})
    assert identity({"scheme": "a"}) != identity({"scheme": "a", "epochs": 31})
    assert varying_keys([{"scheme": "a"}, {"scheme": "a", "epochs": 30}, {}]) == []
