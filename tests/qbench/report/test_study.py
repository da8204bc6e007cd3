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
        (_no_record, "missing or damaged"),
        (_half_a_record, "missing or damaged"),
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
