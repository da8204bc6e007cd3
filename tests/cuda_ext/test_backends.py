"""What is built, what is chosen, and what happens where nothing can be built."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cuda_ext
from cuda_ext import build

PROGRAM = """
import warnings
warnings.simplefilter("always")
import torch, cuda_ext
x = torch.randn(5, 70, generator=torch.Generator().manual_seed(0))
bits = cuda_ext.pack_signs(x)
assert torch.equal(cuda_ext.xnor_matmul(bits, cuda_ext.prepack(bits, 70), 70).diagonal(), torch.full((5,), 70))
cpu = cuda_ext.backends()["cpu"]
print(cpu.available, cpu.selected, cpu.reason, sep="|")
"""


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_backends_say_what_runs() -> None:
    found = cuda_ext.backends()
    assert set(found) == {"cpu", "cuda"}
    cpu = found["cpu"]
    assert cpu.selected in cuda_ext.available_isas()
    if cpu.available:
        assert cpu.library is not None
        assert cpu.library.exists()
        assert set(cpu.isas) <= set(cpu.built)
        assert "scalar" in cpu.isas
    else:
        assert cpu.reason
    assert found["cuda"].available == (torch.version.cuda is not None and torch.cuda.is_available())


@pytest.mark.parametrize("name", cuda_ext.available_isas())
def test_the_environment_forces_an_isa(name: str) -> None:
    result = run(QBENCH_KERNELS=name)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("|")[1] == name


def test_an_impossible_isa_is_an_error_naming_the_possible_ones() -> None:
    result = run(QBENCH_KERNELS="altivec")
    assert result.returncode != 0
    assert "QBENCH_KERNELS: expected" in result.stderr
    assert "reference" in result.stderr
    assert "'altivec'" in result.stderr
    with pytest.raises(ValueError, match=r"name: expected .*'altivec'"), cuda_ext.use_isa("altivec"):
        pass


def test_without_a_compiler_the_references_run_and_say_so_once(tmp_path: Path) -> None:
    result = run(CXX="no-such-compiler", QBENCH_CACHE=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("False|reference|no C++ compiler: no-such-compiler")
    assert result.stderr.count("pure-torch references") == 1


def test_a_compiler_that_fails_is_reported(tmp_path: Path) -> None:
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && echo g++ 99 && exit 0\necho error: out of luck >&2; exit 1\n")
    broken.chmod(0o755)
    result = run(CXX=str(broken), QBENCH_CACHE=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("error: out of luck") >= 1
    assert not list((tmp_path / "kernels").glob("*.so"))


def test_the_library_name_covers_sources_flags_and_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QBENCH_CACHE", str(tmp_path))
    source = build.SOURCES / "cpu" / "dispatch.cpp"
    tools = build.Toolchain("g++", "1", (source,), ("-O3",), (), "cpu")
    path = build.library_path(tools)
    assert path.parent == tmp_path / "kernels"
    assert build.library_path(tools) == path
    others = [
        build.Toolchain("g++", "2", (source,), ("-O3",), (), "cpu"),
        build.Toolchain("g++", "1", (source,), ("-O2",), (), "cpu"),
        build.Toolchain("g++", "1", (source, source), ("-O3",), (), "cpu"),
    ]
    assert len({path, *map(build.library_path, others)}) == 4


@pytest.mark.skipif(not cuda_ext.backends()["cpu"].available, reason="no compiled kernels here")
def test_a_complete_library_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("compiled although the library is in the cache")

    monkeypatch.setattr(build, "compile_objects", refuse)
    assert build.build(build.cpu_toolchain()) == cuda_ext.backends()["cpu"].library
