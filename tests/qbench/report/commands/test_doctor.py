"""Doctor tells what runs and why, and nothing that is private."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cuda_ext
from cuda_ext import runtime
from qbench.cli.app import app
from qbench.report.commands.doctor import doctor_lines
from qbench.report.commands.machine_facts import examine


def doctor(*arguments):
    result = CliRunner().invoke(app, ["doctor", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_tells_what_runs(monkeypatch):
    import torch

    found = json.loads(doctor("--json"))
    assert found["versions"]["torch"] == torch.__version__
    cpu, backend = found["kernels"]["cpu"], cuda_ext.backends()["cpu"]
    assert (cpu["selected"], tuple(cpu["paths"]), cpu["available"]) == (
        backend.selected,
        backend.isas,
        backend.available,
    )
    assert found["cuda"]["available"] == torch.cuda.is_available()
    assert found["wandb"] == {"mode": "offline", "problem": None, "api_key": False}
    assert "digits" in found["data"]["known"]
    text = doctor()
    for words in ("qbench ", "cpu kernels", f"uses {backend.selected}" if backend.available else "references", "wandb"):
        assert words in text


def test_it_says_why_kernels_do_not_run(monkeypatch):
    home = Path.home()
    reason = f"no C++ compiler: g++ is not on the PATH, nor in {home}/bin"
    monkeypatch.setattr(runtime, "_cpu", runtime.Backend("cpu", False, "reference", reason=reason))
    monkeypatch.setattr(
        runtime,
        "_cuda",
        runtime.Backend("cuda", True, "sm_90", ("sm_90",), ("sm_75", "sm_90"), Path("/x/cuda-1.so"), "nvcc 13"),
    )
    text = "\n".join(doctor_lines(examine()))
    assert "because: no C++ compiler: g++ is not on the PATH, nor in ~/bin" in text
    assert "uses pure-torch references (exact, slow)" in text
    assert "built sm_75, sm_90; runs here: sm_90" in text
    assert examine()["kernels"]["cuda"]["library"] == "cuda-1.so"


def test_it_says_which_formats_run_packed_and_why_not_the_others():
    found = {(each["weights"], each["inputs"], each["layer"]): each for each in examine()["operations"]}
    assert found["binary", "binary", "linear"]["op"] == "xnor"
    assert found["binary", "pixel8", "linear"]["op"] == "bitplane"
    grouped = found["binary", "binary", "grouped conv2d"]
    assert (grouped["op"], grouped["packs"], grouped["nearest"]) == ("xnor", True, ["xnor"])
    text = doctor()
    assert "binary × binary: xnor\n" in text
    assert "binary × binary, grouped conv2d: xnor\n" in text
    reason = "int8 needs integer activations of at most 8 bits, got binary"
    assert f"ternary × binary: float, nothing packed: {reason}\n" in text


def test_no_secrets_and_no_home(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t" * 6)
    monkeypatch.setenv("QBENCH_DATA", str(Path.home() / "data"))
    monkeypatch.setenv("QBENCH_CACHE", str(Path.home() / "cache"))
    for text in (doctor(), doctor("--json")):
        assert "s3cr3t" not in text
        assert str(Path.home()) not in text
    assert "WANDB_API_KEY set" in doctor()
    assert json.loads(doctor("--json"))["data"]["folder"] == "~/data"


def test_data_and_cache(monkeypatch, tmp_path):
    folder = tmp_path / "data"
    monkeypatch.setenv("QBENCH_DATA", str(folder))
    assert "does not exist" in doctor()
    (folder / "mnist").mkdir(parents=True)
    (folder / "mnist" / "images.gz").write_bytes(b"x" * 1000)
    (folder / "notes.txt").write_bytes(b"x" * 7)
    assert examine()["data"]["bytes"] == {"mnist": 1000, "notes.txt": 7}
    monkeypatch.setenv("QBENCH_CACHE", str(folder))
    for name in ("kernels", "statistics"):  # what is computed is no data, also where it lies beside them
        (folder / name).mkdir()
        (folder / name / "file").write_bytes(b"x")
    assert examine()["data"]["bytes"] == {"mnist": 1000, "notes.txt": 7}
    monkeypatch.setenv("QBENCH_CACHE", str(tmp_path / "notes"))
    assert examine()["cache"]["writable"]
    assert not (tmp_path / "notes").exists()
    (tmp_path / "notes").write_text("a file where the folder should be")
    assert not examine()["cache"]["writable"]
    assert "NOT writable" in doctor()


def test_a_wrong_wandb_mode_is_shown_not_raised(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    assert "unknown mode 'sometimes'" in doctor()


@pytest.mark.parametrize("name", ["avx2", "reference"])
def test_a_forced_isa_is_shown(monkeypatch, name):
    monkeypatch.setenv("QBENCH_KERNELS", name)
    assert f"QBENCH_KERNELS={name}" in doctor()
