"""What a plug-in imports is part of what runs: an edit anywhere in it is another trial, any other edit is not."""

from __future__ import annotations

import json
import logging
import os
import py_compile
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import qbench.trial.distributions
from qbench.errors import ConfigError
from qbench.trial.plug_in_sources import _warn_once, plug_in_sources

IDENTITIES = """
import qbench.trial.resolved
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve
qbench.trial.resolved.code_digest = lambda: "the same code"
trial = resolve(TrialConfig(scheme="binarynet", model="digits-mlp", module="mod.Mine", epochs=1))
print(trial.trial_id, trial.training_key)
"""
MODULE = "from qbench import QuantModule\n{}\nclass Mine(QuantModule):\n    pass\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def identities(folder: Path) -> list[str]:
    """The trial's id and training key in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", IDENTITIES], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow  # a process each, which loads torch
def test_an_edit_of_what_a_plug_in_imports_is_another_trial_and_another_training(tmp_path: Path) -> None:
    write(tmp_path, {"mod.py": MODULE.format("import quant"), "quant.py": "LEVELS = 3\n", "other.py": "X = 1\n"})
    before = identities(tmp_path)
    write(tmp_path, {"other.py": "X = 2\n", "mod_notes.txt": "nothing"})
    assert identities(tmp_path) == before
    write(tmp_path, {"quant.py": "LEVELS = 4\n"})
    after = identities(tmp_path)
    assert after[0] != before[0]
    assert after[1] != before[1]


# What `start` imports, and the file far behind it whose edit has to show.
CHAINS = {
    "two levels down": ({"start.py": "import a", "a.py": "from b import x", "b.py": "x = 1"}, "b.py"),
    "relative": (
        {
            "start.py": "import pack.one",
            "pack/__init__.py": "",
            "pack/one.py": "from . import two",
            "pack/two.py": "from .deep.three import x",
            "pack/deep/__init__.py": "",
            "pack/deep/three.py": "from ..four import y\nx = 1",
            "pack/four.py": "y = 1",
        },
        "pack/four.py",
    ),
    "in a function": ({"start.py": "def f():\n    from late import g\n    return g", "late.py": "g = 1"}, "late.py"),
    "in a class and a try": (
        {
            "start.py": "class A:\n    try:\n        import maybe\n    except ImportError:\n        pass",
            "maybe.py": "1",
        },
        "maybe.py",
    ),
    "by import_module": (
        {"start.py": "import importlib\ndef f():\n    return importlib.import_module('named')", "named.py": "1"},
        "named.py",
    ),
    "by import_module under another name": (
        {"start.py": "from importlib import import_module as load\nx = load('named')", "named.py": "1"},
        "named.py",
    ),
    "by a relative import_module": (
        {
            "start.py": "import pack.one",
            "pack/__init__.py": "",
            "pack/one.py": "from importlib import import_module\nf = lambda: import_module('.two', __package__)",
            "pack/two.py": "1",
        },
        "pack/two.py",
    ),
    "the package on a dotted path": (
        {"start.py": "import pack.one", "pack/__init__.py": "scale = 1", "pack/one.py": ""},
        "pack/__init__.py",
    ),
    "what the package imports": (
        {"start.py": "import pack.one", "pack/__init__.py": "import far", "pack/one.py": "", "far.py": "1"},
        "far.py",
    ),
    "a namespace package": ({"start.py": "from space import part", "space/part.py": "1"}, "space/part.py"),
    "a star": (
        {"start.py": "from pack import *", "pack/__init__.py": "__all__ = ['one', 'two']", "pack/one.py": "1"},
        "pack/one.py",
    ),
    "a cycle": ({"start.py": "import a", "a.py": "import b", "b.py": "import a\nx = 1"}, "b.py"),
    "a data file": ({"start.py": "DATA_FILES = ('table.csv',)", "table.csv": "1,2"}, "table.csv"),
    "a data file of an import": (
        {"start.py": "def f():\n    import a", "a.py": "DATA_FILES = ['sub/t.csv']", "sub/t.csv": "1,2"},
        "sub/t.csv",
    ),
}


@pytest.mark.parametrize("case", CHAINS)
def test_every_kind_of_import_is_followed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, edited = CHAINS[case]
    found = []
    for folder, extra in (("before", ""), ("same", ""), ("after", "\n# edited")):
        write(tmp_path / folder, files | {"unrelated.py": folder} | {edited: files[edited] + extra})
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [str(tmp_path / folder), *sys.path])
            _forget(files)
            found.append(plug_in_sources({"start"}))
    assert found[0] == found[1]
    assert found[0] != found[2]


def _forget(files: dict[str, str]) -> None:
    """Let the next search look at the disk, as a new process does."""
    from qbench.trial.plug_in_sources import _read

    _read.cache_clear()
    sys.path_importer_cache.clear()
    for name in files:
        sys.modules.pop(name.removesuffix(".py").replace("/", "."), None)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules are found, none of which has been read."""
    monkeypatch.syspath_prepend(tmp_path)
    _forget({})
    _warn_once.cache_clear()
    return tmp_path


def kinds(modules: set[str]) -> dict[str, str]:
    return {name: kind for name, kind, *_ in plug_in_sources(modules)}


def test_the_standard_library_and_what_qbench_stands_on_end_it(start: Path) -> None:
    write(
        start, {"start.py": "import os.path, json, torch.nn as nn\nfrom qbench import QuantModule\nimport quantizers"}
    )
    assert kinds({"start"}) == {"start": "source"}


def test_a_module_that_is_not_there_counts_when_it_appears(start: Path) -> None:
    write(start, {"start.py": "try:\n    import faster_one\nexcept ImportError:\n    faster_one = None"})
    assert kinds({"start"}) == {"start": "source", "faster_one": "absent"}
    write(start, {"faster_one.py": ""})
    _forget({})
    assert kinds({"start"}) == {"start": "source", "faster_one": "source"}


def test_what_runs_is_what_was_read_first(start: Path) -> None:
    write(start, {"start.py": "import helper_read_first", "helper_read_first.py": "x = 1"})
    before = plug_in_sources({"start"})
    write(start, {"helper_read_first.py": "x = 2"})
    assert plug_in_sources({"start"}) == before


class Distribution:
    """An installed distribution, as importlib.metadata describes one."""

    def __init__(self, folder: Path, version: str = "1.0", url: str | None = None, record: bool = True) -> None:
        self.folder, self.version, self.name = folder, version, "Their-Package"
        self.texts = {"direct_url.json": url, "RECORD": "" if record else None}

    def locate_file(self, path: str) -> Path:
        return self.folder / path

    def read_text(self, name: str) -> str | None:
        return self.texts[name]


def install(monkeypatch: pytest.MonkeyPatch, distribution: Distribution) -> None:
    module = qbench.trial.distributions
    for function in (module._by_package, module._distribution):
        function.cache_clear()
    monkeypatch.setattr(module, "packages_distributions", lambda: {"their_package": ["Their-Package"]})
    monkeypatch.setattr(module, "distribution", lambda name: distribution)
    _forget({})


@pytest.fixture(autouse=True)
def _forget_distributions() -> object:
    yield
    for function in (qbench.trial.distributions._by_package, qbench.trial.distributions._distribution):
        function.cache_clear()


def test_an_installed_distribution_counts_by_its_version(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(start, {"start.py": "import their_package", "their_package/__init__.py": "from . import part"})
    install(monkeypatch, Distribution(start))
    old = plug_in_sources({"start"})
    assert old[1] == ["their_package", "installed", [["Their-Package", "1.0", ""]]]
    write(start, {"their_package/__init__.py": "x = 2"})
    install(monkeypatch, Distribution(start))
    assert plug_in_sources({"start"}) == old
    install(monkeypatch, Distribution(start, "1.1"))
    assert plug_in_sources({"start"}) != old
    commits = []
    for commit in ("aa", "bb"):
        install(monkeypatch, Distribution(start, url=json.dumps({"vcs_info": {"commit_id": commit}})))
        commits.append(plug_in_sources({"start"}))
    assert commits[0] != commits[1]


@pytest.mark.parametrize(
    "given",
    [
        {"url": '{"dir_info": {"editable": true}, "url": "file:///x"}'},
        {"url": '{"dir_info": {}, "url": "file:///x"}'},
        {"record": False},  # built in a working folder, not installed
        {"elsewhere": True},
    ],
)
def test_a_distribution_that_can_be_edited_is_a_source(
    given: dict[str, object], start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(start, {"start.py": "import their_package", "their_package/__init__.py": "x = 1"})
    folder = start / "site" if given.pop("elsewhere", False) else start
    install(monkeypatch, Distribution(folder, **given))  # type: ignore[arg-type]
    assert kinds({"start"}) == {"start": "source", "their_package": "source"}


def test_a_real_distribution_is_found() -> None:
    import filelock

    (found,) = plug_in_sources({"filelock"})
    assert found == ["filelock", "installed", [["filelock", filelock.__version__, ""]]]


@pytest.mark.parametrize("given", ["('table.csv', 'gone.csv')", "('folder',)"])
def test_a_data_file_that_is_not_there_is_refused_by_name(given: str, start: Path) -> None:
    write(start, {"start.py": f"DATA_FILES = {given}", "table.csv": "", "folder/x": ""})
    with pytest.raises(
        ConfigError, match=r"start: DATA_FILES names '(gone\.csv', which is not in|folder', which is a fo)"
    ):
        plug_in_sources({"start"})


def test_data_files_of_another_form_are_refused(start: Path) -> None:
    write(start, {"start_of_form.py": "DATA_FILES = 3"})
    import start_of_form  # type: ignore[import-not-found]  # noqa: F401

    with pytest.raises(ConfigError, match="start_of_form: DATA_FILES is 3, expected names of files"):
        plug_in_sources({"start_of_form"})


HIDDEN = {
    "importlib.import_module(name)": "import importlib\nname = 'x'\ndef f():\n    importlib.import_module(name)",
    "import_module, passed on": "import importlib\nload = importlib.import_module\nload('x')",
    "exec": "def f(text):\n    exec(text)",
    "a file by its path": "from importlib.util import spec_from_file_location\ns = spec_from_file_location('x', 'y')",
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_cannot_be_followed_is_named_once(case: str, start: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(start, {"start.py": HIDDEN[case]})
    with caplog.at_level(logging.WARNING):
        plug_in_sources({"start"})
        _forget({})
        plug_in_sources({"start"})
    (message,) = caplog.messages
    assert message.startswith("start, line ")
    assert "edits of that will not be seen" in message


def test_a_method_called_eval_is_none_of_these(start: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(start, {"start.py": "def f(network):\n    network.eval()\n    return network"})
    plug_in_sources({"start"})
    assert caplog.messages == []


def test_modules_without_source(start: Path, caplog: pytest.LogCaptureFixture) -> None:
    suffix = EXTENSION_SUFFIXES[-1]
    write(start, {"start.py": "import native_one\nimport compiled_one", "compiled_one.py": "x = 1"})
    (start / f"native_one{suffix}").write_bytes(b"\x7fELF 1")
    py_compile.compile(str(start / "compiled_one.py"), cfile=str(start / "compiled_one.pyc"))
    (start / "compiled_one.py").unlink()
    before = plug_in_sources({"start"})
    assert [each[:2] for each in before] == [
        ["compiled_one", "compiled"],
        ["native_one", "extension"],
        ["start", "source"],
    ]
    assert [message.split(",")[0] for message in caplog.messages] == ["compiled_one is compiled"]
    (start / f"native_one{suffix}").write_bytes(b"\x7fELF 2")
    _forget({})
    assert plug_in_sources({"start"}) != before


def test_a_module_made_in_memory_is_named(start: Path, caplog: pytest.LogCaptureFixture) -> None:
    from types import ModuleType

    sys.modules["made_in_memory"] = ModuleType("made_in_memory")
    try:
        assert kinds({"made_in_memory"}) == {"made_in_memory": "no source"}
    finally:
        del sys.modules["made_in_memory"]
    assert "made_in_memory has no source" in caplog.text
