"""wandb's part in `qbench sweep` and `qbench report`."""

import json
from pathlib import Path

import offline_records
import planted
import pytest
import stand_in
from command import GRID, qbench, write

from qbench.trial.identity import digest

pytestmark = pytest.mark.usefixtures("workplace")
KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def folder(tmp_path):
    return planted.write(planted.study(), tmp_path / "swept")


@pytest.fixture
def service(monkeypatch):
    found = stand_in.Service()
    with stand_in.running(found) as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield found
    import wandb

    wandb.teardown()


def test_a_dry_run_writes_what_would_be_saved_and_no_page(folder):
    result = qbench("report", folder, "--wandb", "lab/quant", "--dry-run")
    assert result.exit_code == 0, result.output
    names = ("wandb-report.json", "wandb-workspace.json", "wandb-charts.json")
    assert result.stdout.splitlines() == [f"Written: {folder / name}" for name in names]
    assert json.loads((folder / names[0]).read_text())["project"] == {"name": "quant", "entityName": "lab"}
    assert not (folder / "report.html").exists()


def test_a_dry_run_goes_where_it_is_told(folder):
    result = qbench("report", folder, "--wandb", "lab/quant", "--dry-run", "--to", "there")
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("there").iterdir()} == {
        "wandb-report.json", "wandb-workspace.json", "wandb-charts.json",
    }  # fmt: skip


def test_a_format_is_written_beside_it(folder):
    result = qbench("report", folder, "--wandb", "lab/quant", "--dry-run", "--format", "csv", "--to", "table.csv")
    assert result.exit_code == 0, result.output
    assert "binarynet" in Path("table.csv").read_text()
    assert (folder / "wandb-report.json").exists()


def test_the_addresses_of_what_was_saved_are_printed_and_the_key_is_not(folder, service):
    result = qbench("report", folder, "--wandb", "lab/quant")
    assert result.exit_code == 0, result.output
    report, workspace = result.stdout.splitlines()
    assert report.startswith("Report: http://127.0.0.1:")
    assert workspace.startswith("Workspace: http://127.0.0.1:")
    assert len(service.asked("upsertView")) == len(service.asked("UpsertView2")) == 1
    assert KEY not in result.output
    assert result.stderr == ""
    assert not (folder / "report.html").exists()


def test_a_server_that_refuses_is_one_line_and_exit_code_2(folder, service):
    service.status = 401
    result = qbench("report", folder, "--wandb", "lab/quant")
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "wandb login" in line
    assert KEY not in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--wandb", "quant"], "expected ENTITY/PROJECT"),
        (["--dry-run"], "--dry-run: belongs to --wandb"),
        (["--wandb", "lab/quant", "--open"], "add --format html"),
        (["--wandb", "lab/quant", "--to", "there"], "add --format html"),
    ],
)
def test_what_does_not_fit_together_is_refused(folder, arguments, message):
    result = qbench("report", folder, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def written(monkeypatch):
    """What `qbench sweep` hands to wandb, and what is answered."""
    import qbench.report.wandb.comparison_run as module

    calls = []
    answer = {"failure": None}
    monkeypatch.setattr(module, "write_comparison", lambda *given: calls.append(given) or answer["failure"])
    return calls, answer


def test_wandb_disabled_is_asked_for_nothing(faked, written):
    assert qbench("sweep", write(GRID), "--workers", 1).exit_code == 0
    assert written[0] == []


def test_a_sweep_hands_its_comparison_to_wandb_and_survives_its_failure(faked, written, monkeypatch):
    calls, answer = written
    assert qbench("sweep", write(GRID), "--workers", 1).exit_code == 0
    monkeypatch.setenv("WANDB_MODE", "offline")  # all trials are done: none starts a run of its own
    answer["failure"] = "CommError: no room"
    result = qbench("sweep", "tiny.yaml")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == (
        "wandb: CommError: no room. Results are kept; the comparison's run is missing or cut short"
    )
    ((service, report, page),) = calls
    assert service.sweep_id == digest("tiny", GRID)[:8]
    assert service.folder == Path("runs/tiny").resolve()
    assert report.done == 4
    assert page == Path("runs/tiny/report.html")


def test_a_finished_sweep_leaves_one_run_of_its_comparison(faked, monkeypatch):
    assert qbench("sweep", write(GRID), "--workers", 1).exit_code == 0
    monkeypatch.setenv("WANDB_MODE", "offline")
    result = qbench("sweep", "tiny.yaml")
    assert result.exit_code == 0
    assert "wandb:" not in result.stderr
    ((place, found),) = offline_records.runs(Path("runs/tiny"))
    (run,) = offline_records.of_kind(found, "run")
    assert (run.job_type, run.run_group) == ("comparison", digest("tiny", GRID)[:8])
    (page,) = (place / "files" / "media" / "html").glob("report_*.html")
    assert page.read_text() == Path("runs/tiny/report.html").read_text()
