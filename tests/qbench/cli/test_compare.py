import json
from pathlib import Path

import planted
import pytest
from command import qbench

from qbench.report.model.comparison import compare
from qbench.report.model.report_model import make_report
from qbench.report.study import Study, read_study

# By scheme and number of units: accuracy, bytes, µJ.
CURVES = {
    "fp32": {32: (0.90, 1000, 1.0), 64: (0.94, 4000, 3.0), 128: (0.98, 16_000, 9.0)},
    "binarynet": {32: (0.80, 40, 0.1), 64: (0.86, 150, 0.2), 128: (0.94, 600, 0.4)},
}


@pytest.fixture
def schemes(tmp_path):
    """A folder of fp32, binarynet and int8-kl, three seeds each."""
    return planted.write(planted.study(), tmp_path / "schemes")


@pytest.fixture
def width(tmp_path):
    """A folder of two schemes at three widths."""
    made = [
        planted.study({scheme: costs}, images=200, **{"model_options.hidden": units})
        for scheme, sizes in CURVES.items()
        for units, costs in sizes.items()
    ]
    records = tuple(each for one in made for each in one.records)
    return planted.write(Study("width", Path("width"), records), tmp_path / "width")


def refused(*arguments):
    result = qbench("compare", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("qbench: error: ").rstrip("\n")


def test_two_groups_in_one_paragraph(schemes):
    result = qbench("compare", schemes, "binarynet", "fp32")
    assert (result.exit_code, result.stderr) == (0, "")
    text = result.stdout.rstrip("\n")
    assert "\n" not in text
    assert text.startswith("binarynet against fp32, on the same 100 test images and with 3 pairs of trainings")
    assert "95.00 % against 99.00 %, a difference of -4.00 points" in text
    assert "Counted: 29,756 against 888,848 bytes kept for inference." in text
    assert "0.445 µJ (0.4" in text
    assert "against 27 µJ (24.3 to 29.7) for one inference" in text
    assert "Measured on the machine of the sweep: 0.5 ms against 0.5 ms" in text
    assert "29.9 times fewer weight bytes" in text


def test_its_numbers_are_those_of_the_comparison(schemes):
    result = json.loads(qbench("compare", schemes, "binarynet", "fp32", "--json").stdout)
    model = make_report([read_study(schemes)])
    found = compare(model.group("binarynet"), model.group("fp32"))
    assert result["comparison"]["difference"] == vars(found.difference)
    assert result["comparison"]["distinguishable"] == found.distinguishable
    assert [group["name"] for group in result["groups"]] == ["binarynet", "fp32"]
    difference = found.difference
    assert f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}" in result["text"]
    for p in (difference.p, difference.p_seeds, difference.p_images):
        if p is not None and p >= 0.0001:
            assert f"{p:.2g}" in result["text"]


def test_the_order_decides_the_sign(schemes):
    assert (
        "99.00 % against 95.00 %, a difference of +4.00 points"
        in qbench("compare", schemes, "fp32", "binarynet").stdout
    )
    assert "29.9 times more weight bytes" in qbench("compare", schemes, "fp32", "binarynet").stdout


def test_what_cannot_be_told_apart_is_not_called_equal(schemes):
    text = qbench("compare", schemes, "int8-kl", "fp32").stdout
    assert "not distinguishable from none" in text
    assert "That does not make them equal." in text


def test_groups_of_several_folders(tmp_path):
    for name, accuracy in (("one", 0.9), ("two", 0.95)):
        planted.write(planted.study({"fp32": (accuracy, 1000, 1.0)}, name=name), tmp_path / name)
    text = qbench("compare", tmp_path / "one", tmp_path / "two", "fp32 folder=two", "fp32 folder=one").stdout
    assert "95.00 % against 90.00 %, a difference of +5.00 points" in text
    assert "as many weight bytes" in text


def test_groups_without_a_common_seed_are_not_paired(tmp_path):
    first = planted.study({"fp32": (0.9, 1000, 1.0)}, seeds=(0, 1, 2))
    second = planted.study({"binarynet": (0.9, 50, 1.0)}, seeds=(3, 4, 5))
    folder = planted.write(Study("s", Path("s"), (*first.records, *second.records)), tmp_path / "s")
    text = qbench("compare", folder, "fp32", "binarynet").stdout
    assert "cannot be held against each other: they have no seed in common" in text
    assert "1,000 against 50 bytes" in text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["binrynet", "fp32"], "no group 'binrynet'; did you mean 'binarynet'? Known: fp32, binarynet, int8-kl"),
        (["fp32", "fp32"], "fp32: named twice, and a group does not differ from itself"),
        (["fp32"], "name two groups behind the folders, got 1: 'fp32'"),
        (["fp32", "binarynet", "int8-kl"], "name two groups behind the folders, got 3: 'fp32', 'binarynet', 'int8-kl'"),
        (
            ["fp32", "binarynet", "--at-accuracy", "98"],
            "--at-accuracy and --reference-width compare all schemes: name no groups",
        ),
    ],
)
def test_wrong_names_are_one_line(schemes, names, message):
    assert refused(schemes, *names) == message


def test_a_scheme_of_several_groups_names_them(width):
    assert refused(width, "binarynet", "fp32") == (
        '3 groups are binarynet; name one of them, in quotes: "binarynet hidden=32", '
        '"binarynet hidden=64" and "binarynet hidden=128"'
    )


def test_a_name_that_no_file_could_have_is_a_groups(schemes):
    assert "no group 'aaa" in refused(schemes, "a" * 10_000, "fp32")


def test_no_folder(tmp_path):
    assert "is no folder; name the folder" in refused(tmp_path / "absent", "fp32", "binarynet")


def test_equal_accuracy_at_float32s(width):
    result = qbench("compare", width)
    assert (result.exit_code, result.stderr) == (0, "")
    for line in (
        "At 98.00 % (fp32 at 128 units):",
        "At 97.50 % (fp32 at 128 units minus 0.5 points):",
        "At 97.00 % (fp32 at 128 units minus 1 point):",
    ):
        assert line in result.stdout
    assert "binarynet: not reached at up to 128 units (best 94.00 %)" in result.stdout


def test_equal_accuracy_at_what_is_given(width):
    text = qbench("compare", width, "--at-accuracy", "94", "--at-accuracy", "90").stdout
    assert [line for line in text.splitlines() if line.startswith("At ")] == ["At 94 %:", "At 90 %:"]
    view = json.loads(qbench("compare", width, "--at-accuracy", "94", "--json").stdout)
    found = next(row for row in view["rows"] if row["scheme"] == "binarynet")
    assert found["cost/weight_bytes_ratio"] == pytest.approx(4000 / 600)


def test_the_reference_is_named(width):
    assert "At 94.00 % (fp32 at 64 units):" in qbench("compare", width, "--reference-width", "64").stdout
    assert refused(width, "--reference-width", "65") == "no float32 network has hidden 65: it has 32, 64, 128"


@pytest.mark.parametrize("percent", ["0.98", "1", "101", "nan", "-5"])
def test_accuracies_are_percent(width, percent):
    assert "expected percent, above 1 and at most 100, such as 98" in refused(width, f"--at-accuracy={percent}")


def test_a_sweep_of_one_size_is_told_what_to_do(schemes):
    assert refused(schemes) == (
        "no model option varies over at least 3 sizes: see sweeps/width.yaml; or name two groups of "
        '"fp32", "binarynet" and "int8-kl"'
    )
    assert refused(schemes, "--at-accuracy", "98").endswith("see sweeps/width.yaml")
