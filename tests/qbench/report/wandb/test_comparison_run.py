import contextlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import planted
import pytest
from offline_records import of_kind, runs
from swept import plant_in

import qbench.report.wandb.comparison_run as module
from qbench.report.model.report_model import make_report
from qbench.report.study import read_study
from qbench.report.view import Column, View
from qbench.report.views.catalogue import make_views
from qbench.report.wandb.chart_files import charted
from qbench.report.wandb.comparison_run import make_contents, write_comparison
from qbench.sweep.wandb_service import WandbService
from qbench.sweep.wandb_tables import MOST_ROWS
from qbench.trial.identity import digest

KEY = "0123456789abcdef" * 2 + "01234567"


def service(folder, mode="offline"):
    return WandbService(folder, mode, "abcd1234", "planted", "quant", None, "why")


@dataclass
class Written:
    """A comparison's run: the sweep's folder, what was compared, the run's own files and records, what was printed."""

    folder: Path
    views: dict[str, View]
    files: Path
    records: list
    printed: str

    @property
    def summary(self):
        found = {}
        for each in of_kind(self.records, "summary"):
            found |= values(each.update)
        return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The whole comparison of a planted sweep, written once."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("WANDB_API_KEY", KEY)
        folder = plant_in(tmp_path_factory.mktemp("swept") / "swept")
        model = make_report([read_study(folder)])
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            assert write_comparison(service(folder), model) is None
            ((place, records),) = runs(folder)
        return Written(folder, make_views(model), place / "files", records, out.getvalue())


def values(update):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in update}


def test_a_comparison_is_one_offline_run_of_the_sweeps_group(written):
    (run,) = of_kind(written.records, "run")
    assert (run.run_group, run.job_type, run.project) == ("abcd1234", "comparison", "quant")
    assert run.run_id == digest("abcd1234", "comparison")
    assert "fp32" in run.notes
    config = values(run.config.update)
    assert config["sweep_id"] == "abcd1234"
    assert config["tables"]["overview"]["columns"]["cost/weight_bytes"] == "weight bytes (counted)"
    counts = {key: value for key, value in written.summary.items() if key.startswith("trials/")}
    assert counts == {"trials/planned": 9, "trials/done": 9, "trials/failed": 0, "trials/not_run": 0}
    assert [each.exit_code for each in of_kind(written.records, "exit")] == [0]
    assert written.printed == ""


def test_every_view_with_rows_is_a_table(written):
    tables = {name for name, view in written.views.items() if view.rows}
    assert {"overview", "comparisons"} <= tables
    summary = written.summary
    assert {name for name in tables if summary.get(f"{name}/_type") == "table-file"} == tables
    kept = json.loads((written.files / summary["overview/path"]).read_text())
    assert kept["columns"] == [column.name for column in written.views["overview"].columns]
    rows = [dict(zip(kept["columns"], row, strict=True)) for row in kept["data"]]
    assert {row["cost/weight_bytes"] for row in rows} == {888_848, 29_756, 225_176}
    assert {row["test/accuracy"] for row in rows} == {0.99, 0.95}


def test_charts_and_the_page_are_html_that_loads_nothing(written):
    summary, names = written.summary, set(charted(written.views))
    assert "tradeoff-bytes" in names
    for key in ("report", *(f"charts/{name}" for name in names)):
        assert summary[f"{key}/_type"] == "html-file"
    page = (written.files / summary["report/path"]).read_text()
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    for name in names:
        chart = (written.files / summary[f"charts/{name}/path"]).read_text()
        assert "<svg" in chart
        for loading in ("<script", "<link", "<img", "src=", "@import"):
            assert loading not in chart


def test_the_artifact_holds_results_views_and_charts(written):
    (artifact,) = [each for each in of_kind(written.records, "artifact") if each.type == "comparison"]
    assert artifact.name == "comparison-abcd1234"
    entries = {entry.path: entry for entry in artifact.manifest.contents}
    expected = {"results.json", "summary.json"}
    expected |= {f"views/{name}.json" for name, view in written.views.items() if view.rows}
    expected |= {f"charts/{name}.vl.json" for name in charted(written.views)}
    assert set(entries) == expected
    for path, entry in entries.items():
        assert entry.local_path == str(written.files / path)
    for name in ("results.json", "summary.json"):
        assert (written.files / name).read_bytes() == (written.folder / name).read_bytes()
    drawn = json.loads((written.files / "charts/tradeoff-bytes.vl.json").read_text())
    assert "29756" in json.dumps(drawn)


def test_the_machine_and_the_key_are_in_no_file(written):
    assert [run.host for run in of_kind(written.records, "run")] == [""]
    files = [path for path in (written.folder / "wandb").rglob("*") if path.is_file()]
    assert files
    assert not [p for p in files if p.suffix == ".py" or p.name in ("wandb-metadata.json", "requirements.txt")]
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.usefixtures("few_views")
def test_a_repeated_sweep_replaces_the_run(plant):
    folder = plant()
    model = make_report([read_study(folder)])
    for _ in range(2):
        assert write_comparison(service(folder), model) is None
    assert [of_kind(records, "run")[0].run_id for _, records in runs(folder)] == [digest("abcd1234", "comparison")]


@pytest.fixture
def few_views(monkeypatch):
    """Two short views instead of all of them."""
    monkeypatch.setattr(module, "make_views", lambda _: {"long": long_view(MOST_ROWS + 5), "short": long_view(3)})


def long_view(rows):
    return View("long", "Long", "A view.", (Column("n", "n", "d", "counted"),), tuple((n,) for n in range(rows)))


def test_a_longer_view_is_cut_and_the_run_says_so(plant):
    model = make_report([read_study(plant())])
    made = make_contents(model, {"long": long_view(MOST_ROWS + 5), "short": long_view(MOST_ROWS)})
    assert made.summary["rows/long"] == MOST_ROWS + 5
    assert "rows/short" not in made.summary
    assert "Table long: the first 10,000 of 10,005 rows" in made.notes
    assert "short" not in made.notes


@pytest.mark.usefixtures("few_views")
def test_the_cut_table_has_its_first_rows_and_the_artifact_all(plant):
    folder = plant()
    assert write_comparison(service(folder), make_report([read_study(folder)])) is None
    ((place, records),) = runs(folder)
    (path,) = (place / "files" / "media" / "table").glob("long_*.table.json")
    assert json.loads(path.read_text())["data"] == [[n] for n in range(MOST_ROWS)]
    assert len(json.loads((place / "files" / "views" / "long.json").read_text())["rows"]) == MOST_ROWS + 5
    (run,) = of_kind(records, "run")
    assert "the first 10,000 of 10,005 rows" in run.notes


def test_missing_views_say_why_in_the_config(plant):
    study = planted.study()
    bare = type(study)(study.name, study.folder, study.records, {}, (), study.origin)
    model = make_report([bare])
    views = make_views(model)
    made = make_contents(model, views)
    missing = {name: view.missing for name, view in views.items() if not view.rows}
    assert missing
    assert made.config["missing"] == missing
    assert not set(missing) & set(made.config["tables"])


@pytest.mark.usefixtures("few_views")
@pytest.mark.parametrize("where", ["init", "Table"])
def test_a_failure_of_wandb_is_a_line_and_no_exception(plant, monkeypatch, where):
    import wandb

    def refuse(*_, **__):
        raise wandb.errors.CommError("no room\nfor you")

    monkeypatch.setattr(wandb, where, refuse)
    folder = plant()
    model = make_report([read_study(folder)])
    assert write_comparison(service(folder), model) == "CommError: no room for you"
    assert (folder / "results.json").exists()
    ended = [each.exit_code for _, records in runs(folder) for each in of_kind(records, "exit")]
    assert ended == ([] if where == "init" else [1])
