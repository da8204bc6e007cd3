"""The registry: decorator, entry point of an installed distribution, dotted path, and errors that help."""

import sys
import warnings

import pytest
import torch

import quantizers
from quantizers import QUANTIZERS, Quantizer, Registry, Sign, UnknownNameError, make, register
from quantizers.registry import BrokenEntryPointError, NameClashError, import_dotted


@pytest.fixture
def registry():
    return Registry("widget")


def test_decorator(registry):
    @registry.register("round")
    class Round: ...

    assert registry.get("round") is Round
    assert registry.names() == ["round"]
    assert "round" in registry
    assert list(registry) == ["round"]


def test_the_same_object_may_have_two_names_and_come_twice(registry):
    for name in ("a", "b", "a"):
        registry.register(name)(int)
    assert registry.get("a") is registry.get("b") is int


def test_a_taken_name_is_refused(registry):
    registry.add("a", int)
    with pytest.raises(ValueError, match="widget 'a' is already registered"):
        registry.add("a", float)


def test_unknown_name_offers_the_nearest_and_lists_all(registry):
    registry.add("stochastic_sign", int)
    registry.add("sign", float)
    with pytest.raises(UnknownNameError) as caught:
        registry.get("stochastic-sign")
    message = "unknown widget 'stochastic-sign'; did you mean 'stochastic_sign'? Known: sign, stochastic_sign"
    assert str(caught.value) == message
    with pytest.raises(UnknownNameError, match=r"unknown widget 'zzz'\. Known: sign, stochastic_sign"):
        registry.get("zzz")
    with pytest.raises(UnknownNameError, match="Known: none"):
        Registry("widget").get("zzz")


def test_the_known_quantizers():
    expected = {"sign", "stochastic_sign", "int8", "uint8", "uniform", "int8_qat", "lsq", "ternary"}
    assert expected <= set(QUANTIZERS.names())
    for name in expected:
        assert isinstance(make(name), Quantizer)
    with pytest.raises(UnknownNameError, match="did you mean 'int8'"):
        make("int-8")


def test_options_reach_the_constructor_and_wrong_ones_name_the_quantizer():
    assert make("sign", clip=0.5).clip == 0.5
    with pytest.raises(TypeError, match=r"quantizer 'sign': .*'clipp'"):
        make("sign", clipp=0.5)


@pytest.mark.parametrize("path", ["quantizers.sign.Sign", "quantizers.sign:Sign", "quantizers:Sign"])
def test_dotted_path(path):
    assert QUANTIZERS.get(path) is Sign
    assert isinstance(make(path, clip=None), Sign)


def test_dotted_path_to_a_users_file(tmp_path, monkeypatch):
    (tmp_path / "my_quantizers.py").write_text(
        "from quantizers import Sign\n"
        "class Louder(Sign):\n"
        "    def forward(self, x):\n"
        "        return 2 * super().forward(x)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert make("my_quantizers.Louder")(torch.tensor([-0.1])).tolist() == [-2.0]
    finally:
        sys.modules.pop("my_quantizers", None)


def test_dotted_paths_that_lead_nowhere():
    with pytest.raises(ImportError, match=r"cannot import 'no\.such' \(from 'no\.such\.thing'\)"):
        make("no.such.thing")
    with pytest.raises(AttributeError, match="module 'quantizers' has no attribute 'Missing'"):
        make("quantizers.Missing")
    with pytest.raises(ImportError, match="no dotted path"):
        import_dotted("plain")
    with pytest.raises(TypeError, match="expected a subclass of Quantizer"):
        make("builtins.dict")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed distribution with an entry point, as pip leaves it."""
    (tmp_path / "plugin_quantizers.py").write_text("from quantizers import Sign\nclass Plug(Sign):\n    pass\n")
    info = tmp_path / "plugin_quantizers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-quantizers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qbench.quantizers]\nplug = plugin_quantizers:Plug\nbroken = plugin_without_module:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("plugin_quantizers", None)
    QUANTIZERS._items.pop("plug", None)


@pytest.mark.usefixtures("plugin")
class TestEntryPoint:
    def test_is_listed_without_being_imported(self):
        assert {"plug", "broken"} <= set(QUANTIZERS.names())
        assert "plugin_quantizers" not in sys.modules

    def test_is_loaded_by_name(self):
        quantizer = make("plug", clip=0.5)
        assert type(quantizer).__module__ == "plugin_quantizers"
        assert quantizer.clip == 0.5

    def test_is_offered_as_the_nearest_match(self):
        with pytest.raises(UnknownNameError, match="did you mean 'plug'"):
            make("plugg")

    def test_a_broken_one_says_why(self):
        with pytest.raises(BrokenEntryPointError) as caught:
            make("broken")
        assert str(caught.value) == (
            "quantizer 'broken': the entry point of plugin-quantizers 1.0 in the group qbench.quantizers "
            "(plugin_without_module:Nothing) cannot be loaded: ModuleNotFoundError: No module named "
            "'plugin_without_module'"
        )

    def test_a_broken_one_is_one_warning_where_all_are_wanted(self):
        with pytest.warns(UserWarning, match="quantizer 'broken': .*plugin-quantizers 1.0") as caught:
            found = dict(QUANTIZERS.loadable())
        assert len(caught) == 1
        assert found["sign"] is Sign
        assert found["plug"].__module__ == "plugin_quantizers"
        assert "broken" not in found
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert QUANTIZERS.loadable() == sorted(found.items())

    def test_a_registered_name_that_is_declared_too_is_an_error_that_names_both(self):
        register("plug")(Sign)
        with pytest.raises(NameClashError) as caught:
            make("plug")
        for part in ("quantizer 'plug'", "Sign", "test_registry.py", "plugin-quantizers 1.0", "plugin_quantizers:Plug"):
            assert part in str(caught.value)

    def test_a_class_that_is_declared_and_registered_is_one(self, tmp_path):
        (tmp_path / "plugin_quantizers.py").write_text(
            "from quantizers import Sign, register\n@register('plug')\nclass Plug(Sign):\n    pass\n"
        )
        assert type(make("plug")).__name__ == "Plug"
        assert type(make("plug")).__name__ == "Plug"
        assert QUANTIZERS.origin("plug") == "plugin_quantizers.py"

    def test_origins(self):
        assert QUANTIZERS.origin("sign") == "built in"
        assert QUANTIZERS.origin("plug") == "entry point of plugin-quantizers 1.0"


def install(folder, name, text):
    info = folder / f"{name}-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(text)


def test_a_built_in_name_that_a_distribution_declares_is_an_error_for_that_name(tmp_path, monkeypatch):
    install(tmp_path, "greedy", "[qbench.quantizers]\nsign = quantizers:Int8\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        NameClashError, match=r"'sign' is built in, and the entry point of greedy 2\.0 \(quantizers:Int8"
    ):
        make("sign")
    assert isinstance(make("scaled_sign"), Quantizer)
    with pytest.warns(UserWarning, match="greedy"):
        assert "sign" not in dict(QUANTIZERS.loadable())


def test_two_distributions_that_declare_one_name_are_both_named(tmp_path, monkeypatch):
    install(tmp_path, "first", "[qbench.quantizers]\ntwice = quantizers:Sign\n")
    install(tmp_path, "second", "[qbench.quantizers]\ntwice = quantizers:Int8\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(NameClashError) as caught:
        make("twice")
    assert "entry point of first 2.0 (quantizers:Sign) and entry point of second 2.0 (quantizers:Int8)" in str(
        caught.value
    )


def test_a_distribution_whose_entry_points_cannot_be_read_does_not_hide_the_others(tmp_path, monkeypatch):
    install(tmp_path, "damaged", "[qbench.quantizers]\nno equals sign\n")
    install(tmp_path, "whole", "[qbench.quantizers]\nwhole = quantizers:Sign\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(UserWarning, match="damaged: its entry points cannot be read"):
        assert QUANTIZERS.get("whole") is Sign


def test_a_taken_built_in_name_says_so():
    with pytest.raises(
        NameClashError, match=r"'sign' is already registered as .*Sign.* \(built in\): .*test_registry\.py"
    ):
        register("sign")(dict)


def test_a_value_that_a_constructor_refuses_is_told_with_its_name():
    with pytest.raises(ValueError, match=r"^quantizer 'lsq': .*bits"):
        make("lsq", bits=40)


def test_a_registry_without_a_group_reads_no_entry_points(registry, plugin):
    assert registry.names() == []


def test_public_names_exist():
    assert sorted(quantizers.__all__) == sorted(set(quantizers.__all__))
    for name in quantizers.__all__:
        assert hasattr(quantizers, name), name
