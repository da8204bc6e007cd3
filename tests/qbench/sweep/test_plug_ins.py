"""Plug-ins are imported once, under their stem; what keeps them from it is one line."""

import os
import sys

import pytest

from qbench.errors import ConfigError
from qbench.sweep import plug_ins
from qbench.sweep.plug_ins import load_plugins, loaded_plugins
from quantizers import QUANTIZERS, make

QUANTIZER = "from quantizers import Sign, register\n@register('{name}')\nclass Mine(Sign):\n    pass\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder; what is loaded in it is forgotten."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plug_ins, "_LOADED", {})
    modules, items = set(sys.modules), dict(QUANTIZERS._items)
    yield tmp_path
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    QUANTIZERS._items.clear()
    QUANTIZERS._items.update(items)


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_registered_names_are_known_and_agree_with_dotted_paths(folder):
    write(folder, "plugged_a.py", QUANTIZER.format(name="plugged-a"))
    assert load_plugins(["plugged_a.py"], folder) == ("plugged_a",)
    assert type(make("plugged-a")) is type(make("plugged_a.Mine"))
    assert QUANTIZERS.origin("plugged-a") == "plugged_a.py"


def test_a_file_is_imported_once_under_whatever_path(folder):
    path = write(folder, "plugged_b.py", QUANTIZER.format(name="plugged-b"))
    (folder / "alias.py").symlink_to(path)
    entries = ["plugged_b.py", f"../{folder.name}/plugged_b.py", str(path), "plugged_b", "alias.py"]
    assert load_plugins(entries, folder) == ("plugged_b",) * 5
    assert "alias" not in sys.modules


def test_a_module_that_was_imported_before_is_taken(folder):
    write(folder, "plugged_c.py", QUANTIZER.format(name="plugged-c"))
    sys.path.append(str(folder))
    import plugged_c

    assert load_plugins(["plugged_c.py"], folder) == ("plugged_c",)
    assert type(make("plugged-c")) is plugged_c.Mine


def test_modules_of_packages_and_their_relative_imports(folder):
    write(folder, "pack_d/__init__.py", "")
    write(folder, "pack_d/base.py", "name = 'plugged-d'\n")
    text = QUANTIZER.replace("'{name}'", "name")
    write(folder, "pack_d/mine.py", "from .base import name\n" + text)
    assert load_plugins(["pack_d.mine", "pack_d/mine.py"], folder) == ("pack_d.mine", "pack_d.mine")
    assert "plugged-d" in QUANTIZERS


def test_a_file_finds_its_neighbours(folder):
    write(folder, "parts/neighbour_e.py", "name = 'plugged-e'\n")
    write(folder, "parts/plugged_e.py", "from neighbour_e import name\n" + QUANTIZER.replace("'{name}'", "name"))
    load_plugins(["parts/plugged_e.py"], folder)
    assert "plugged-e" in QUANTIZERS


def test_what_runs_is_the_text_and_no_older_compilation_of_it(folder):
    path = write(folder, "plugged_f.py", "value = 1\n")
    load_plugins(["plugged_f.py"], folder)
    stamp = os.stat(path)
    del sys.modules["plugged_f"]
    plug_ins._LOADED.clear()
    path.write_text("value = 2\n")  # of the same length, within the same second
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    load_plugins(["plugged_f.py"], folder)
    assert sys.modules["plugged_f"].value == 2


def test_other_processes_are_told_whole_paths(folder):
    path = write(folder, "plugged_g.py", "")
    write(folder, "module_g.py", "")
    load_plugins(["plugged_g.py", "module_g"], folder)
    assert loaded_plugins() == (str(path.resolve()), "module_g")


@pytest.mark.parametrize(
    ("name", "text", "entry", "message"),
    [
        ("a.py", "", "nowhere.py", "no such file: 'nowhere.py'"),
        ("a.py", "", "parts/", "no such file"),
        ("inside/a.py", "", "./inside", "is a folder"),
        ("a.py", "", "no_such_module", "no module named 'no_such_module'; a file is named with its ending"),
        ("random.py", "raise AssertionError", "random.py", "would hide the standard library's module 'random'"),
        ("torch.py", "raise AssertionError", "torch.py", "would hide the module 'torch' ("),
        ("my-file.py", "", "my-file.py", "'my-file' cannot name a module"),
        ("broken_h.py", "def f(:\n", "broken_h.py", "broken_h.py cannot be imported: SyntaxError: invalid syntax ("),
        ("broken_i.py", "x = 0\n\ny = 1 / x\n", "broken_i.py", "ZeroDivisionError: division by zero ("),
        ("broken_j.py", "\nimport not_there_at_all\n", "broken_j.py", "No module named 'not_there_at_all' ("),
        ("broken_k.py", "import sys\nsys.exit(3)\n", "broken_k.py", "broken_k.py cannot be imported: SystemExit: 3 ("),
        ("broken_l.py", "1 / 0\n", "broken_l", "broken_l cannot be imported: ZeroDivisionError: division by zero ("),
        ("broken_m.py", QUANTIZER.format(name="sign"), "broken_m.py", "'sign' is already registered as"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(folder, name, text, entry, message):
    write(folder, name, text)
    with pytest.raises(ConfigError) as error:
        load_plugins([entry], folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    line = {"broken_h": 1, "broken_i": 3, "broken_j": 2, "broken_k": 2, "broken_l": 1}.get(name.removesuffix(".py"))
    if line is not None:
        assert str(error.value).endswith(f"{name}, line {line})")
        assert name.removesuffix(".py") not in sys.modules
    assert loaded_plugins() == ()


def test_two_files_of_one_stem_are_refused(folder):
    write(folder, "one/plugged_n.py", "")
    write(folder, "two/plugged_n.py", "")
    with pytest.raises(ConfigError, match=r"would hide the module 'plugged_n' \(.*one/plugged_n.py\); rename it"):
        load_plugins(["one/plugged_n.py", "two/plugged_n.py"], folder)
