"""`qbench check-network`: what it prints, and its exit codes."""

import json

import pytest
from command import qbench

import qbench.conformance.matrix as matrix
from qbench.conformance.cell import Cell
from qbench.conformance.subjects import SUBJECTS

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def verdict(monkeypatch):
    """Lets every cell have the verdict that is put into the list."""
    verdicts = ["right"]

    def check(subject, scheme, allow_float):
        return Cell(
            subject.name, scheme, verdicts[0], "" if verdicts[0] == "right" else "fc is odd", tuple(allow_float), 0.0
        )

    monkeypatch.setattr(matrix, "check_cell", check)
    return verdicts


def test_all_networks_and_schemes_are_shown(verdict):
    found = qbench("check-network")
    assert found.exit_code == 0
    for subject in SUBJECTS:
        assert f"\n{subject.name} " in found.stdout
    assert f"{len(SUBJECTS) * 8} right, 0 refused by name, 0 wrong" in found.stdout


@pytest.mark.parametrize(("given", "code"), [("right", 0), ("refused", 0), ("wrong", 1)])
def test_it_fails_where_something_is_wrong(verdict, given, code):
    verdict[0] = given
    assert qbench("check-network", "digits-mlp", "--schemes", "fp32").exit_code == code


def test_json_has_the_cells(verdict):
    found = qbench("check-network", "unet", "--schemes", "fp32, binarynet", "--allow-float", "up1", "--json")
    cells = json.loads(found.stdout)
    assert [(cell["network"], cell["scheme"], cell["allow_float"]) for cell in cells] == [
        ("unet", "fp32", ["up1"]),
        ("unet", "binarynet", ["up1"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["resnet19"], "resnet18"), (["unet", "--schemes", "binarynets"], "binarynet")],
)
def test_unknown_names_are_told_the_nearest(arguments, text):
    found = qbench("check-network", *arguments)
    assert found.exit_code == 2
    assert text in found.output
