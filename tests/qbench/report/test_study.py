import json
from dataclasses import replace
from pathlib import Path

import pytest
from planted import record, study, write

from qbench.errors import UserError
from qbench.report.study import read_study


def test_a_folder_is_read_back_as_it_was_planted(tmp_path):
    made = study(not_run=({"scheme": "int8-kl", "seed": 9},))
    found = read_study(write(made, tmp_path / "sweep"))
    assert found.name == "planted"
    assert [each.trial_id for each in found.records] == [each.trial_id for each in made.records]
    assert found.records[0].predictions == made.records[0].predictions
    assert found.details == made.details
    assert found.not_run == ({"scheme": "int8-kl", "seed": 9},)
    assert found.planned == len(made.records) + 1
    assert found.origin == made.origin


def test_an_earlier_versions_folder_has_no_details_and_the_folders_name(tmp_path):
    folder = write(study(), tmp_path / "old")
    (folder / "origin.json").unlink()
    for path in (folder / "details").iterdir():
        path.unlink()
    found = read_study(folder)
    assert (found.name, found.details, found.origin) == ("old", {}, {})


def test_records_of_other_code_versions_in_the_folder_are_not_read(tmp_path):
    folder = write(study(), tmp_path / "sweep")
    stale = record("fp32", 77)
    (folder / "trials" / f"{stale.trial_id}.json").write_text(stale.to_json())
    assert stale.trial_id not in {each.trial_id for each in read_study(folder).records}


def _without_results(folder):
    (folder / "results.json").unlink()


def _no_list(folder):
    (folder / "results.json").write_text("{}")


def _cut(folder):
    (folder / "results.json").write_text("[{")


def _no_record(folder):
    next((folder / "trials").iterdir()).unlink()


def _half_a_record(folder):
    next((folder / "trials").iterdir()).write_text("{}")


def _another_place(folder):
    rows = json.loads((folder / "results.json").read_text())
    rows[0]["trial_id"] = "../../secret"
    (folder / "results.json").write_text(json.dumps(rows))


def _damaged_details(folder):
    next((folder / "details").iterdir()).write_text('{"format": 1, "history": 3}')


def _damaged_origin(folder):
    (folder / "origin.json").write_text("[]")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_results, "no sweep has written here"),
        (_no_list, "results.json: is damaged"),
        (_cut, "results.json: is damaged"),
        (_no_record, "is missing; `qbench sweep` with the same file runs the trial again"),
        (_half_a_record, r"is damaged \(.*\); delete it"),
        (_another_place, "is no trial"),
        (_damaged_details, "is damaged"),
        (_damaged_origin, "origin.json: is damaged"),
    ],
)
def test_a_spoilt_folder_is_refused_by_the_file_that_is_spoilt(tmp_path, spoil, words):
    folder = write(study(), tmp_path / "sweep")
    spoil(folder)
    with pytest.raises(UserError, match=words) as found:
        read_study(folder)
    assert "\n" not in str(found.value)


def _edited(folder, key, value, of="row"):
    path = sorted((folder / "trials").iterdir())[0]
    values = json.loads(path.read_text())
    (values["row"] if of == "row" else values)[key] = value
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("test/accuracy", 0.9999, "the row says 0.9999, its predictions give"),
        ("test/accuracy", "0.9", "expected a number, got '0.9'"),
        ("val/accuracy", 98.0, "expected a share of 0 to 1"),
        ("cost/weight_bytes", float("nan"), "NaN is no number"),
        ("cost/energy_uj", float("inf"), "Infinity is no number"),
        ("cost/weight_bytes", 10**400, "is no number"),
        ("cost/energy_uj", -1, "expected no number below 0"),
        ("time/train_s", [1], "expected one value"),
        ("cost/weight_level", 3, "expected a text"),
        ("kernel/agreement", True, "expected a number"),
        ("seed", "0", "seed: expected an integer"),
        ("seed", None, "seed: expected an integer"),
        ("scheme", None, "scheme: expected a name"),
        ("cost/weight_bytes", None, "cost/weight_bytes: is missing"),
        ("cost/energy_uj_high", None, "cost/energy_uj_high: is missing"),
    ],
)
def test_a_row_that_no_trial_writes_is_refused_by_its_record_and_key(tmp_path, key, value, words):
    folder = write(study(), tmp_path / "sweep")
    _edited(folder, key, value)
    with pytest.raises(UserError, match=words) as found:
        read_study(folder)
    assert "trials" in str(found.value)
    assert "delete it" in str(found.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("predictions", [1]),
        ("predictions", ["1"] * 100),
        ("predictions", [1.0] * 100),
        ("predictions", [-1] * 100),
        ("labels", [None] * 100),
        ("labels", [10**30] * 100),
        ("labels", []),
        ("error", ["no"]),
        ("trial_id", "another"),
    ],
)
def test_answers_that_are_none_are_refused(tmp_path, key, value):
    folder = write(study(), tmp_path / "sweep")
    _edited(folder, key, value, of="record")
    with pytest.raises(UserError, match=r"is damaged \(.*\); delete it"):
        read_study(folder)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"metric": 3}, "metric"),
        ({"metric": ["a"]}, "metric"),
        ({"goal": {}}, "goal"),
        ({"runs": "x"}, "runs"),
        ({"runs": [3]}, r"runs\.0"),
        ({"runs": [{"command": 3}]}, r"runs\.0\.command"),
        ({"runs": [{"versions": ["torch"]}]}, r"runs\.0\.versions"),
        ({"file": 3}, "file"),
    ],
)
def test_an_origin_of_other_types_is_refused_by_its_key(tmp_path, facts, words):
    folder = write(study(origin=facts), tmp_path / "sweep")
    with pytest.raises(UserError, match=rf"origin\.json: is damaged \({words}.*\); delete it"):
        read_study(folder)


def test_a_fact_that_is_not_known_is_none(tmp_path):
    folder = write(study(origin={"file": None, "runs": [], "description": None}), tmp_path / "sweep")
    assert read_study(folder).origin["runs"] == []


def test_a_trial_that_is_listed_twice_would_count_twice(tmp_path):
    folder = write(study(), tmp_path / "sweep")
    rows = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps([*rows, rows[0]]))
    with pytest.raises(UserError, match="is listed twice"):
        read_study(folder)


@pytest.mark.parametrize("row", [{"seed": "a"}, {"seed": [1]}, {"scheme": 3}, {"trial_id": "../x"}])
def test_a_planned_trial_of_other_types_is_refused(tmp_path, row):
    made = study(not_run=({"scheme": "fp32", "seed": 9, **row},))
    with pytest.raises(UserError, match=r"results\.json: is damaged"):
        read_study(write(made, tmp_path / "sweep"))


def test_values_nested_too_deeply_are_damage(tmp_path):
    folder = write(study(), tmp_path / "sweep")
    (folder / "results.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"results\.json: is damaged \(values are nested too deeply\)"):
        read_study(folder)


def test_text_that_no_file_can_hold_is_read_as_its_escape(tmp_path):
    folder = write(study(origin={"name": "n\x00", "file": "a\nb\ud800"}), tmp_path / "sweep")
    _edited(folder, "module", "m\udcff")
    _edited(folder, "error", "no\x00", of="record")
    path = sorted((folder / "details").iterdir())[0]
    parts = json.loads(path.read_text())
    parts["layers"][0]["name"] = "l\x00"
    path.write_text(json.dumps(parts))
    found = read_study(folder)
    assert (found.name, found.origin["file"]) == (r"n\x00", "a\nb" + r"\ud800")
    edited = next(each for each in found.records if each.error)
    assert (edited.row["module"], edited.error) == (r"m\udcff", r"no\x00")
    assert any(layer["name"] == r"l\x00" for each in found.details.values() for layer in each.layers)


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        read_study(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is no folder"):
        read_study(tmp_path / "file")


def test_a_folder_is_named_without_a_path_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = study()
    assert replace(made, folder=Path("../runs/a")).place == "../runs/a"
    assert replace(made, folder=tmp_path / "runs" / "a").place == "runs/a"
    assert replace(made, folder=tmp_path.parent / "elsewhere" / "a").place == "a"
