"""Plug-ins on the command line: names that they register are known to commands and to worker processes."""

import json
from pathlib import Path

import pytest
from command import MAIN, qbench, start, write

from quantizers import QUANTIZERS

pytestmark = pytest.mark.usefixtures("workplace")

QUANTIZER = '''from quantizers import Sign, register

@register("{name}")
class Mine(Sign):
    """The sign, as mine."""
'''
SWEEP = """
method: grid
plugins: [parts/own_sign.py]
label: "{scheme_options.weights} h={model_options.hidden}"
parameters:
  scheme: {value: binarynet}
  scheme_options: {parameters: {weights: {values: [own-sign, sign]}}}
  model: {value: digits-mlp}
  model_options: {parameters: {hidden: {value: 16}, layers: {value: 1}}}
  epochs: {value: 1}
"""


@pytest.fixture
def own_sign():
    Path("parts").mkdir()
    write(QUANTIZER.replace("{name}", "own-sign"), "parts/own_sign.py")
    yield
    QUANTIZERS._items.pop("own-sign", None)


def run(*arguments):
    process = start(*arguments, code=MAIN)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def test_ls_says_where_a_name_comes_from(own_sign):
    code, out, _ = run("ls", "quantizers", "--plugin", "parts/own_sign.py")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["own-sign"].split(maxsplit=1)[1] == "own_sign.py  The sign, as mine."
    assert lines["sign"].split()[1:3] == ["built", "in"]
    code, out, _ = run("ls", "quantizers", "--plugin", "parts/own_sign.py", "--json")
    found = {each["name"]: each["origin"] for each in json.loads(out)}
    assert (found["own-sign"], found["int8"]) == ("own_sign.py", "built in")


@pytest.mark.slow  # starts processes
def test_a_broken_entry_point_of_another_package_is_one_warning(tmp_path, monkeypatch):
    info = tmp_path / "theirs-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 3.1\n")
    (info / "entry_points.txt").write_text("[qbench.schemes]\ntheirs-net = theirs.schemes:NET\n")
    code, out, err = run("ls", "schemes")
    assert code == 0
    assert "binarynet" in out
    (line,) = err.splitlines()
    assert line.startswith("warning: scheme 'theirs-net': the entry point of theirs 3.1 in the group qbench.schemes")
    assert line.endswith("cannot be loaded: ModuleNotFoundError: No module named 'theirs'")
    code, _, err = run("estimate", "--model", "digits-mlp", "--scheme", "theirs-net")
    assert code == 2
    assert err.startswith("qbench: error: scheme: scheme 'theirs-net': the entry point of theirs 3.1")
    assert run("estimate", "--model", "digits-mlp", "--scheme", "binarynet")[0] == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "faulty_a.py",
            "import quantizers\n\nwidth = 1 / 0\n",
            "ZeroDivisionError: division by zero (faulty_a.py, line 3)",
        ),
        ("faulty_b.py", "def f(:\n", "SyntaxError: invalid syntax (faulty_b.py, line 1)"),
    ],
)
@pytest.mark.parametrize("command", ["ls models", "validate s.yaml", "estimate --model digits-mlp --scheme fp32"])
def test_a_plug_in_that_cannot_be_imported_is_one_line(name, text, message, command):
    write(text, name)
    write(SWEEP, "s.yaml")
    found = qbench(*command.split(), "--plugin", name)
    assert found.exit_code == 2
    assert found.stderr == f"qbench: error: --plugin: {name} cannot be imported: {message}\n"
    assert found.stdout == ""


def test_the_files_own_plug_ins_are_named_by_file_and_key():
    write(SWEEP.replace("parts/own_sign.py", "faulty_c.py"), "s.yaml")
    write("x = [].pop()\n", "faulty_c.py")
    found = qbench("validate", "s.yaml")
    assert found.exit_code == 2
    assert found.stderr == (
        "qbench: error: s.yaml: plugins: faulty_c.py cannot be imported: IndexError: pop from empty list "
        "(faulty_c.py, line 1)\n"
    )


@pytest.mark.slow  # starts processes
def test_trials_that_cannot_run_are_listed_with_exit_code_2(own_sign):
    text = (
        QUANTIZER.replace("{name}", "own-sign")
        + "\n    def __init__(self):\n        super().__init__()\n        1 / 0\n"
    )
    write(text, "parts/own_sign.py")
    write(SWEEP + "  seed: {values: [0, 1]}\n", "s.yaml")
    code, out, err = run("sweep", "s.yaml")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "qbench: error: s.yaml: 2 of 4 trials cannot run",
        "  ZeroDivisionError: division by zero (parts/own_sign.py, line 9)",
        "    own-sign h=16 seed=0, 1",
    ]
    assert not Path("runs").exists()


def done(*more):
    code, out, err = run("sweep", "s.yaml", "--dry-run", "--json", *more)
    assert code == 0, err
    return {trial["scheme_options.weights"]: trial["done"] for trial in json.loads(out)}


@pytest.mark.slow
def test_workers_know_the_names_and_an_edit_runs_its_own_trials_again(own_sign):
    write(SWEEP, "s.yaml")
    code, out, err = run("sweep", "s.yaml", "--workers", "2")
    assert code == 0, err
    assert "own-sign h=16" in out
    assert (
        json.loads(Path("runs/s/origin.json").read_text())["label"]
        == "{scheme_options.weights} h={model_options.hidden}"
    )
    assert done() == {"own-sign": True, "sign": True}
    rows = {path: json.loads(path.read_text())["row"] for path in Path("runs/s/trials").glob("*.json")}
    (record,) = (path for path, row in rows.items() if row["scheme_options.weights"] == "own-sign")
    code, _, err = run("export", record, "--to", "m.safetensors")
    assert code == 2
    assert "unknown quantizer 'own-sign'" in err
    assert "If a plug-in defines it, name its file by --plugin" in err
    code, out, err = run("export", record, "--to", "m.safetensors", "--plugin", "parts/own_sign.py")
    assert (code, "100.00 % of predictions equal" in out) == (0, True), err
    with open("parts/own_sign.py", "a") as file:
        file.write("    # edited\n")
    assert done() == {"own-sign": False, "sign": True}


MODULE = """
from qbench import QuantModule

class Scaled(QuantModule):
    def __init__(self, *arguments, factor=1.0, **options):
        super().__init__(*arguments, **options)
        if factor < 0:
            raise ValueError(f"factor must be 0 or more, got {factor}")
        self.factor = factor

    def loss(self, images, labels):
        return self.factor * super().loss(images, labels)
"""


@pytest.mark.slow  # starts processes
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "module_options.facto=2",
            "module_options: Scaled cannot be built: TypeError: QuantModule.__init__() got an unexpected keyword "
            "argument 'facto' (scaled_module.py, line 6)",
        ),
        ("module_options.scheme=fp32", "module_options.scheme: a trial gives this argument itself"),
        (
            "module_options.factor=-1",
            "module_options: Scaled cannot be built: ValueError: factor must be 0 or more, got -1 "
            "(scaled_module.py, line 8)",
        ),
    ],
)
def test_module_options_that_a_module_refuses_are_named(option, message):
    write(MODULE, "scaled_module.py")
    code, _, err = run("train", "--scheme", "fp32", "--option", "module=scaled_module.Scaled", "--option", option)
    assert code == 2
    (line,) = err.splitlines()
    assert message in line
    assert not Path("runs").exists()


@pytest.mark.slow  # starts processes
def test_what_a_plug_in_raises_in_other_commands_is_one_line_with_its_place():
    write("from qbench import MODELS, Model\n\ndef build():\n    return [][0]\n", "faulty_net.py")
    with open("faulty_net.py", "a") as file:
        file.write("MODELS.add('faulty-net', Model(build, (1, 8, 8), 10, 'none'))\n")
    found = run("estimate", "--model", "faulty-net", "--scheme", "fp32", "--plugin", "faulty_net.py")
    assert found == (2, "", "qbench: error: IndexError: list index out of range (faulty_net.py, line 4)\n")


@pytest.mark.slow
def test_module_options_reach_the_modules_constructor():
    write(MODULE, "scaled_module.py")
    arguments = ["train", "--scheme", "fp32", "--model", "digits-mlp", "--epochs", "1", "--json"]
    options = ["--option", "module=scaled_module.Scaled", "--option", "module_options.factor=0"]
    code, out, err = run(*arguments, *options)
    assert code == 0, err
    assert json.loads(out)["row"]["module_options.factor"] == 0
    # Nothing is learned of a loss that is 0.
    assert json.loads(out)["row"]["test/accuracy"] < 0.5
