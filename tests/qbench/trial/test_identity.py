"""An edit of what makes metrics runs trials again, no other edit does, and nothing that makes metrics is missed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qbench.trial.identity import digest, metric_sources

ROOT = Path(__file__).parents[3]

# Every source is below one of these, or is one of them.
MAKES_METRICS = (
    "qbench/cost",
    "qbench/data",
    "qbench/deploy/__init__.py",
    "qbench/deploy/block.py",
    "qbench/deploy/chain.py",
    "qbench/deploy/int8",
    "qbench/errors.py",
    "qbench/io.py",
    "qbench/nn",
    "qbench/ptq",
    "qbench/schemes",
    "qbench/seeds.py",
    "qbench/training",
    "qbench/trial",
    "quantizers",
    "cuda_ext",
)
MAKES_NONE = (
    "benchmarks",
    "qbench/__init__.py",
    "qbench/__main__.py",
    "qbench/bench",
    "qbench/claims",
    "qbench/cli",
    "qbench/conformance",
    "qbench/deploy/onnx",
    "qbench/deploy/packed",
    "qbench/report",
    "qbench/sweep",
    "qbench/trial/finished",
)
# What `qbench.trial.run` loads without it being part of the identity.
NOT_COUNTED = {
    "qbench/__init__.py": "has the version, which counts, and names alone besides",
}

PROGRAM = """
import json, sys
from pathlib import Path
import qbench
from qbench.trial.identity import code_digest

root = Path.cwd()
assert Path(qbench.__file__).is_relative_to(root), qbench.__file__
digests = {"": code_digest.__wrapped__()}
for name in json.load(sys.stdin):
    content = (root / name).read_bytes()
    (root / name).write_bytes(content + b"\\n")
    digests[name] = code_digest.__wrapped__()
    (root / name).write_bytes(content)
print(json.dumps(digests))
"""


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The code's digest, after an edit of each source of a copy: by the source's path; "" is that before any."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("qbench", "quantizers", "cuda_ext", "benchmarks"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    sources = [path for path in copy.rglob("*") if path.suffix in (".py", ".cpp", ".h", ".cu", ".cuh")]
    names = [path.relative_to(copy).as_posix() for path in sorted(sources)]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        cwd=copy,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def below(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in places)


@pytest.mark.parametrize("place", MAKES_METRICS)
def test_an_edit_of_what_makes_metrics_runs_trials_again(place: str, digests: dict[str, str]) -> None:
    edited = [name for name in digests if below(name, (place,)) and not below(name, MAKES_NONE)]
    assert edited
    assert [name for name in edited if digests[name] == digests[""]] == []
    assert len({digests[name] for name in edited}) == len(edited)


@pytest.mark.parametrize("place", MAKES_NONE)
def test_an_edit_of_anything_else_runs_none(place: str, digests: dict[str, str]) -> None:
    edited = [name for name in digests if below(name, (place,))]
    assert edited
    assert [name for name in edited if digests[name] != digests[""]] == []


def test_every_source_is_of_one_kind_or_the_other(digests: dict[str, str]) -> None:
    assert [name for name in digests if name and not below(name, (*MAKES_METRICS, *MAKES_NONE))] == []
    assert "cuda_ext/csrc/cpu/isa_scalar.cpp" in digests


def test_all_that_a_trial_loads_counts(tmp_path: Path) -> None:
    """A trial in bits and one in integers, with everything that they import on their way."""
    program = """
import json, sys
from pathlib import Path
from qbench.trial.config import TrialConfig
from qbench.trial.run import check, resolve, run_trial

for scheme in ("binarynet", "int8-minmax"):
    options = {"hidden": 8, "layers": 1}
    trial = resolve(TrialConfig(scheme=scheme, model="digits-mlp", model_options=options, epochs=1))
    check(trial)
    run_trial(trial, Path("run"))
packages = ("qbench", "quantizers", "cuda_ext")
loaded = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in packages]
print(json.dumps([module.__file__ for module in loaded if getattr(module, "__file__", None)]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = {Path(file) for file in json.loads(done.stdout.splitlines()[-1])}
    sources = {path: name for name, path in metric_sources()}
    root = next(path for path, name in sources.items() if name == "qbench/seeds.py").parents[1]
    assert len(loaded) > 50
    missed = {path.relative_to(root).as_posix() for path in loaded - set(sources)}
    assert missed == set(NOT_COUNTED)


def test_a_digest_is_of_values_and_not_of_their_order() -> None:
    assert digest({"a": 1, "b": [2.5, None]}) == digest({"b": [2.5, None], "a": 1})
    assert digest("a", "b") != digest("ab")
    assert digest(1) != digest("1")
    assert len(digest()) == 16
