"""`qbench report` on planted sweeps."""

import csv
import io
import json
import subprocess
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path

import planted
import pytest
from command import ROOT, qbench


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A planted sweep at runs/planted, from the working folder."""
    monkeypatch.chdir(tmp_path)
    return planted.write(planted.study(), Path("runs/planted"))


def written(path):
    return sorted(str(each.relative_to(path)) for each in Path(path).rglob("*") if each.is_file())


def test_the_page_goes_into_the_folder_and_its_path_is_printed(folder):
    before = written(folder)
    result = qbench("report", folder)
    assert (result.exit_code, result.stdout) == (0, "Report: runs/planted/report.html\n")
    assert written(folder) == sorted([*before, "report.html"])
    page = (folder / "report.html").read_text()
    assert "int8-kl" in page
    assert "<script" in page


@pytest.mark.parametrize(
    ("form", "begins"),
    [("md", "# planted\n"), ("tex", "% planted\n"), ("json", '{\n "format": 1,'), ("csv", "group,test/accuracy,")],
)
def test_text_goes_to_standard_output_and_nothing_is_written(folder, form, begins):
    before = written(".")
    result = qbench("report", folder, "--format", form)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(begins)
    assert result.stderr == ""
    assert written(".") == before


def test_the_text_holds_the_planted_numbers(folder):
    # 888,848 bytes against 29,756; 27 µJ against 0.445.
    line = next(
        line
        for line in qbench("report", folder, "--format", "md").stdout.splitlines()
        if line.startswith("| binarynet |")
    )
    for number in ("95.00 %", "29,756", "29.9", "0.445", "60.7", "80.0 %"):
        assert f"| {number} |" in line
    rows = csv.DictReader(io.StringIO(qbench("report", folder, "--format", "csv").stdout))
    found = {row["group"]: row for row in rows}
    assert float(found["int8-kl"]["cost/weight_bytes"]) == 225_176
    assert float(found["int8-kl"]["test/accuracy"]) == pytest.approx(0.99)
    document = json.loads(qbench("report", folder, "--format", "json").stdout)
    assert {"overview", "comparisons", "incomplete", "origin"} <= set(document["views"])


def test_one_view_in_each_form(folder):
    assert qbench("report", folder, "--format", "csv", "--view", "comparisons").stdout.startswith("first,second,")
    alone = qbench("report", folder, "--format", "md", "--view", "origin").stdout
    assert alone.startswith("## How this was obtained\n")  # a table for a paper: no title and no verdict before it
    assert alone.count("## ") == 1
    assert list(json.loads(qbench("report", folder, "--format", "json", "--view", "origin").stdout)["views"]) == [
        "origin"
    ]
    table = qbench("report", folder, "--format", "tex", "--view", "overview").stdout
    assert table.startswith("\\begin{table}\n")
    assert table.count(r"\begin{table}") == 1


def test_a_file_a_new_folder_and_one_that_is_there(folder):
    assert qbench("report", folder, "--format", "tex", "--to", "table.tex").stdout == "Report: table.tex\n"
    assert Path("table.tex").read_text().startswith("% planted\n")
    Path("there").mkdir()
    assert qbench("report", folder, "--to", "there").stdout == "Report: there/report.html\n"
    result = qbench("report", folder, "--format", "csv", "--to", "new/tables/")
    assert result.exit_code == 0, result.output
    names = {Path(line.removeprefix("Report: ")).name for line in result.stdout.splitlines()}
    assert {"overview.csv", "comparisons.csv", "origin.csv"} <= names
    assert names == set(written("new/tables"))
    assert "not written, no rows: " in result.stderr
    assert "incomplete" in result.stderr
    assert "incomplete.csv" not in names


def test_pictures_go_to_a_folder_of_their_own_or_one_to_a_file(folder):
    result = qbench("report", folder, "--format", "svg", "--view", "tradeoff-bytes")
    assert (result.exit_code, result.stdout) == (0, "Report: runs/planted/report/tradeoff-bytes.svg\n")
    assert (folder / "report" / "tradeoff-bytes.svg").read_text().startswith("<svg")
    assert qbench("report", folder, "--format", "png", "--view", "memory", "--to", "m.png").exit_code == 0
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--view", "overview"), "--view: the page has all views"),
        (("--format", "md", "--open"), "--open: only the page"),
        (("--format", "csv", "--view", "overvew"), "no view 'overvew'; did you mean 'overview'?"),
        (("--format", "svg", "--view", "origin"), "origin: has no chart"),
        (("--format", "png", "--to", "one.png"), "--to: one file holds one picture"),
        (("--to", "missing/page.html"), "missing/page.html: cannot be written: no such folder 'missing'"),
        (("--to", "runs/planted/results.json/"), "cannot be written"),
        (("runs/../runs/planted",), "a folder is named twice"),
        (("runs",), "runs: holds no results.json"),
        (("nowhere",), "nowhere: is no folder"),
        (("--format", "pdf"), "--format"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_writes_nothing(folder, arguments, reason):
    before = written(".")
    result = qbench("report", folder, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("qbench: error: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert written(".") == before


def test_a_picture_of_a_view_without_rows_says_why(tmp_path):
    planted.write(planted.study({"fp32": (0.9, 900, 30.0)}), tmp_path / "one")
    result = qbench("report", tmp_path / "one", "--format", "svg", "--view", "differences")
    assert result.exit_code == 2
    assert result.stderr.startswith("qbench: error: differences: has no chart. ")
    assert result.stderr.count("\n") == 1


def test_the_page_is_opened(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    assert qbench("report", folder, "--open").exit_code == 0
    assert opened == [(folder.resolve() / "report.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    result = qbench("report", folder, "--open")
    assert (result.exit_code, result.stderr) == (0, "no browser could be opened\n")


def test_several_sweeps_are_side_by_side(folder):
    planted.write(planted.study(name="second"), Path("runs/second"))
    text = qbench("report", folder, "runs/second", "--format", "md").stdout
    assert text.startswith("# planted, second\n")
    assert "| fp32 folder=planted |" in text
    assert "| fp32 folder=second |" in text


def test_sweeps_on_different_images_are_shown_and_not_compared(folder):
    planted.write(planted.study(name="other", images=50), Path("runs/other"))
    found = json.loads(qbench("report", folder, "runs/other", "--format", "json").stdout)
    assert "2 different sets of images" in found["verdict"][0]
    pair = next(p for p in found["comparisons"] if p["first"] == "fp32 folder=planted" and "other" in p["second"])
    assert (pair["difference"], pair["withheld"]) == (None, "they were tested on different images")


@pytest.mark.parametrize("form", ["html", "md", "tex", "json", "csv"])
def test_an_unfinished_and_an_empty_sweep_have_a_report_that_says_so(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    settings = {key: planted.record().row[key] for key in ("model", "data", "split_seed", "epochs")}
    waiting = tuple({"scheme": "fp32", "seed": seed, "trial_id": f"t{seed}", **settings} for seed in range(1, 4))
    failed = planted.record("binarynet", 0, status="failed")
    study = planted.study({"fp32": (0.9, 900, 30.0)}, seeds=(0,), not_run=waiting)
    planted.write(replace(study, records=(*study.records, failed)), Path("part"))
    planted.write(replace(study, records=(), details={}), Path("empty"))
    for name, said in (
        ("part", "Incomplete: of 5 planned trials 1 failed and 3 have not run."),
        ("empty", "None of 3 planned trials is done"),
    ):
        result = qbench("report", name, "--format", form, "--to", f"{name}.{form}")
        assert result.exit_code == 0, result.output
        if form != "csv":
            assert said in Path(f"{name}.{form}").read_text()
    result = qbench("report", "part", "--format", "csv", "--view", "incomplete")
    assert "binarynet,0,failed,ValueError: no" in result.stdout


@pytest.mark.parametrize("form", ["md", "tex", "json", "csv"])
def test_hostile_names_and_errors_never_reach_the_terminal_raw(tmp_path, form):
    names = ("<script>alert(1)</script>", r"\input{/etc/passwd}", "a|b\nc", "=HYPERLINK(1)", "\x1b[31mred\x9b")
    study = planted.study({"fp32": (0.9, 900, 30.0), **dict.fromkeys(names, (0.8, 90, 3.0))})
    failed = replace(planted.record("x", 0, status="failed"), error="\x1b]0;title\x07 <img src=x>")
    planted.write(replace(study, records=(*study.records, failed)), tmp_path / "sweep")
    for view in ((), ("--view", "incomplete"), ("--view", "overview")):
        text = qbench("report", tmp_path / "sweep", "--format", form, *view).stdout
        assert text
        assert not {"\x1b", "\x07", "\x9b"} & set(text)
        assert form in ("json", "csv", "tex") or "<script" not in text
        assert form != "tex" or r"\input{" not in text.replace(r"\textbackslash{}input", "")


def test_an_error_that_names_a_hostile_group_is_one_line_of_text(tmp_path):
    records = [planted.record("\x1b[31mred\n", s, true=planted.labels(seed=s)) for s in (0, 1)]
    planted.write(replace(planted.study(), records=tuple(records), details={}), tmp_path / "sweep")
    result = qbench("report", tmp_path / "sweep")
    assert result.exit_code == 2
    assert result.stderr.startswith(r"qbench: error: \x1b[31mred : seeds 0 and 1 were tested on different images")
    assert result.stderr.count("\n") == 1


def test_a_hostile_name_is_text_on_the_page(tmp_path):
    name = "</script><script>alert(1)</script>"
    planted.write(planted.study({"fp32": (0.9, 900, 30.0), name: (0.8, 90, 3.0)}), tmp_path / "sweep")
    assert qbench("report", tmp_path / "sweep").exit_code == 0
    assert "<script>alert" not in (tmp_path / "sweep" / "report.html").read_text()


def test_neither_torch_nor_lightning_is_loaded(folder):
    code = (
        "import sys; sys.argv[1:] = ['report', 'runs/planted', '--format', 'md']\n"
        "from qbench.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'pytorch_lightning', 'wandb', 'altair'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {slow}' if slow else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# planted\n")


@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_a_full_disk_behind_standard_output_is_one_line(folder, form):
    command = [sys.executable, "-m", "qbench.cli", "report", str(folder), "--format", form]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert result.returncode == 2
    assert result.stderr == "qbench: error: cannot be written: No space left on device\n"


def test_a_closed_standard_output_is_no_crash(folder):
    command = f"{sys.executable} -m qbench.cli compare {folder} binarynet fp32 >&-"
    result = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
