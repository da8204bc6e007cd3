"""`qbench export` and `qbench run-packed` as a user meets them."""

import json
from pathlib import Path

import torch
from typer.testing import CliRunner

import cuda_ext
from qbench.cli.app import app
from qbench.deploy.packed.file import load, read


def qbench(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments):
    result = qbench(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("qbench: error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_export_and_run(trained):
    run = trained()
    folder = run.parents[1]
    row = json.loads(run.read_text())["row"]
    made = qbench("export", folder, "--to", "model.safetensors")
    assert made.exit_code == 0, made.output
    assert "agreement          100.00 % of predictions equal the fake-quantized module's" in made.stdout
    assert f"test accuracy      {100 * row['test/accuracy']:.2f} % of 360 images" in made.stdout
    assert "8-bit pixels" in made.stdout
    found = json.loads(qbench("export", run, "--to", "model.safetensors", "--real-input", "--json").stdout)
    assert (found["agreement"], found["input"], found["images"]) == (1.0, "real", 360)
    assert found["weight_bytes"] == row["cost/weight_bytes"]
    assert (
        found["file_bytes"] == Path("model.safetensors").stat().st_size == found["weight_bytes"] + found["header_bytes"]
    )

    shown = qbench("run-packed", "model.safetensors", "--against", folder)
    assert shown.exit_code == 0, shown.output
    assert "agreement          100.00 %" in shown.stdout
    assert "images of digits" in shown.stdout
    ran = json.loads(qbench("run-packed", "model.safetensors", "--json", "--batch", 7, "--threads", 2).stdout)
    assert ran["accuracy"] == row["test/accuracy"]
    assert (ran["agreement"], ran["batch"], ran["threads"], ran["images"]) == (None, 7, 2, 360)
    low, high = ran["quartiles"]
    assert 0 < low <= ran["images_per_second"] <= high
    assert ran["backend"] in cuda_ext.available_isas()
    assert ran["rounds"] >= 5


def test_the_loader_of_another_program(trained):
    from qbench.data.datasets import get_dataset

    run = trained()
    assert qbench("export", run, "--to", "m.safetensors").exit_code == 0
    network = load("m.safetensors")
    test = get_dataset("digits").load(0).test
    assert network(test.images).argmax(1).tolist() == json.loads(run.read_text())["predictions"]


def test_a_difference_is_exit_code_1(trained, monkeypatch):
    product = cuda_ext.xnor_matmul
    monkeypatch.setattr(cuda_ext, "xnor_matmul", lambda *arguments: -product(*arguments))
    result = qbench("export", trained(), "--to", "m.safetensors")
    assert result.exit_code == 1
    assert "agreement          100.00 %" not in result.stdout


def test_bad_input_is_one_line_and_writes_nothing(trained):
    run = trained()
    assert "cannot be read: No such file" in refused("export", "runs/none", "--to", "m")
    assert "conv1: evaluation uses float32 weights" in refused("export", trained("fp32"), "--to", "m")
    assert "cannot be written" in refused("export", run, "--to", "no/such/folder/m")
    assert "m: cannot be read" in refused("run-packed", "m")
    Path("m").write_bytes(b"\0" * 30)
    assert "is damaged, or no safetensors file" in refused("run-packed", "m")
    Path("m").unlink()
    assert {path.name for path in Path().iterdir()} <= {"home"}
    qbench("export", run, "--to", "m")
    assert "data: unknown data set 'digit'; did you mean 'digits'?" in refused("run-packed", "m", "--data", "digit")
    if not torch.cuda.is_available():
        assert "no CUDA device" in refused("run-packed", "m", "--device", "cuda")
    other = trained(model="digits-mlp", model_options={"hidden": 8})
    assert read("m").spec.input.shape == (1, 8, 8)
    assert qbench("run-packed", "m", "--against", other).exit_code == 0  # the same images: they may be compared


def test_images_of_another_kind_are_refused(trained, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_data_under_test.py").write_text(
        "from dataclasses import replace\nfrom qbench import Dataset, Examples, get_dataset\n"
        "def load(seed):\n    found = get_dataset('digits').load(seed)\n"
        "    return replace(found, test=Examples(found.test.images / 3, found.test.labels))\n"
        "THIRDS = Dataset(load, (1, 8, 8), 10, '')\nWIDE = Dataset(load, (1, 8, 9), 10, '')\n"
    )
    qbench("export", trained(), "--to", "m")
    assert "expected values (1·q - 8)/8 of pixels" in refused("run-packed", "m", "--data", "my_data_under_test.THIRDS")
    assert "data: 'my_data_under_test.WIDE' has images (1, 8, 9)" in refused(
        "run-packed", "m", "--data", "my_data_under_test.WIDE"
    )


def test_help_has_an_example():
    for command in ("export", "run-packed", "doctor"):
        assert f"  qbench {command}" in qbench(command, "--help").stdout
    assert "  qbench bench kernels" in qbench("bench", "kernels", "--help").stdout
