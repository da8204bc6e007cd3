"""What nvcc is asked to compile for; the compiling itself is in test_cuda_compile.py."""

from pathlib import Path

import pytest
import torch

from cuda_ext import build, runtime


@pytest.mark.parametrize(
    ("capability", "code"),
    [
        ((7, 5), "sm_75"),
        ((8, 0), "sm_80"),
        ((8, 6), "sm_86"),
        ((8, 7), "sm_87"),  # code runs on later minor numbers of its major one, but not on Jetsons
        ((8, 9), "sm_89"),
        ((9, 0), "sm_90a"),
        ((10, 0), "compute_90"),
        ((12, 1), "compute_90"),
    ],
)
def test_the_code_that_a_device_runs(capability: tuple[int, int], code: str) -> None:
    assert build.cuda_code(capability).endswith(f"code={code}")


def test_a_device_without_kernels() -> None:
    with pytest.raises(build.BuildError, match=r"compute capability 7\.0: expected at least 7\.5"):
        build.cuda_code((7, 0))


@pytest.fixture
def nvcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A compiler that only says its version."""
    program = tmp_path / "nvcc"
    program.write_text("#!/bin/sh\necho release 13.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def codes(tools: build.Toolchain) -> list[str]:
    return [flag.rpartition("=")[2] for flag in tools.flags if flag.startswith("-gencode")]


@pytest.mark.usefixtures("nvcc")
def test_only_the_local_devices_are_compiled_for() -> None:
    assert codes(build.cuda_toolchain([(9, 0), (8, 6), (9, 0)])) == ["sm_86", "sm_90a"]
    whole = build.cuda_toolchain()
    assert codes(whole) == ["sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "compute_90"]
    assert build.library_path(whole) != build.library_path(build.cuda_toolchain([(8, 0)]))


@pytest.mark.usefixtures("nvcc")
def test_a_device_without_kernels_is_left_out() -> None:
    assert codes(build.cuda_toolchain([(6, 1), (8, 6)])) == ["sm_86"]
    with pytest.raises(build.BuildError, match=r"compute capability 6\.1: expected at least 7\.5"):
        build.cuda_toolchain([(6, 1), (7, 0)])


@pytest.mark.usefixtures("nvcc")
def test_a_device_without_kernels_leaves_the_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = [(6, 1), (8, 6)]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=0: capabilities[device])
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    monkeypatch.setattr(build, "build", lambda tools: Path("cuda.so"))
    monkeypatch.setattr(runtime, "_cuda", runtime._cuda)
    runtime._load_cuda()
    cuda = runtime.backends()["cuda"]
    assert cuda.available
    assert (cuda.selected, cuda.built) == ("sm_86", ("sm_86",))
    assert "cuda:0 (6.1)" in cuda.reason
    assert "cuda:1" not in cuda.reason
    capabilities.pop()
    runtime._load_cuda()
    assert not runtime.backends()["cuda"].available
