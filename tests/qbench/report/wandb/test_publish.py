import json
import socket
import sys
from functools import cache

import planted
import pytest
from stand_in import Service, running

import qbench.report.wandb.publish as publish_module
from qbench.errors import UserError
from qbench.report.model.report_model import make_report
from qbench.report.views.catalogue import make_views
from qbench.report.wandb.private import report_of, report_values
from qbench.report.wandb.publish import publish, specify, write_specification
from qbench.report.wandb.target import Target

KEY = "0123456789abcdef" * 2 + "01234567"
TARGET = Target("lab", "quant")
pytestmark = pytest.mark.usefixtures("end_wandb")


@cache
def planted_views():
    model = make_report([planted.study()])
    return model, make_views(model)


def specification():
    return specify(*planted_views(), TARGET)


@pytest.fixture
def service(monkeypatch):
    """The stand-in, and a key for it."""
    found = Service()
    with running(found) as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield found


def test_the_report_and_the_workspace_are_saved(service, capfd, tmp_path):
    made = specification()
    found = publish(made, TARGET)
    (report,) = service.asked("upsertView")
    assert (report["entityName"], report["projectName"], report["type"]) == ("lab", "quant", "runs")
    assert report["displayName"] == "qbench: planted"
    sent = report_of(
        {"displayName": "", "project": {"name": "quant", "entityName": "lab"}, "spec": json.loads(report["spec"])}
    )
    assert [type(block).__name__ for block in sent.blocks] == [type(block).__name__ for block in made.report.blocks]
    assert json.loads(report["spec"]) == report_values(made.report)["spec"]
    (workspace,) = service.asked("UpsertView2")
    assert (workspace["entityName"], workspace["projectName"], workspace["type"]) == ("lab", "quant", "project-view")
    sections = json.loads(workspace["spec"])["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections][:2] == ["Accuracy and costs", "By group"]
    assert "/lab/quant/reports/" in found.report
    assert found.report.endswith("--Vmlld1JlcG9ydA==")
    assert "/lab/quant?nw=" in found.workspace
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_every_custom_chart_that_the_report_names_is_made(service):
    made = specification()
    publish(made, TARGET)
    charts = service.asked("CreateCustomChart")
    named = {
        panel.chart_name for block in made.report.blocks for panel in getattr(block, "panels", [])
        if hasattr(panel, "chart_name")
    }  # fmt: skip
    assert {f"{chart['entity']}/{chart['chartName']}" for chart in charts} == named
    assert {chart["access"] for chart in charts} == {"PRIVATE"}
    for chart in charts:
        assert json.loads(chart["spec"]) == made.charts[chart["chartName"]]


def test_a_chart_that_is_there_is_the_same_chart(service):
    service.errors = {"CreateCustomChart": "a chart of this name already exists"}
    assert publish(specification(), TARGET).report
    other = make_report([planted.study({"fp32": (0.9, 10, 1.0), "binarynet": (0.8, 5, 0.5)})])
    mine, theirs = specification().charts, specify(other, make_views(other), TARGET).charts
    assert all(mine[name] == theirs[name] for name in set(mine) & set(theirs))
    assert len([name for name in {*mine, *theirs} if name.startswith("qbench-tradeoff-bytes-")]) == 2


def test_a_mistyped_project_is_not_made(service):
    service.projects = ["other"]
    with pytest.raises(UserError, match="lab has no project 'quant'; send the runs first: wandb sync"):
        publish(specification(), TARGET)
    assert {name for name, _ in service.requests} == {"Viewer", "GetProjects"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": 401}, "log in with `wandb login`, or set WANDB_API_KEY"),
        ({"status": 500}, "500"),
        ({"errors": {"upsertView": "permission denied"}}, "permission denied"),
        ({"errors": {"UpsertView2": "permission denied"}}, "permission denied"),
        ({"errors": {"CreateCustomChart": "no charts here"}}, "no charts here"),
        ({"errors": {"GetProjects": "no such entity"}}, "no such entity"),
    ],
)
def test_an_error_of_the_server_is_one_line(service, change, message):
    vars(service).update(change)
    with pytest.raises(UserError, match=message) as raised:
        publish(specification(), TARGET)
    text = str(raised.value)
    assert text.startswith("wandb: ")
    assert "\n" not in text
    assert KEY not in text


def test_a_server_that_does_not_answer_in_time_is_given_up(service, monkeypatch):
    monkeypatch.setattr(publish_module, "_TIMEOUT_S", 1)
    service.wait = 3
    with pytest.raises(UserError, match=r"wandb: .*in time"):
        publish(specification(), TARGET)


def test_a_refused_connection_is_one_line(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        with pytest.raises(UserError, match="connection refused") as raised:
            publish(specification(), TARGET)
    assert KEY not in str(raised.value)


def test_without_a_key_the_message_says_how_to_log_in(service, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match="wandb: log in with `wandb login`, or set WANDB_API_KEY"):
        publish(specification(), TARGET)
    assert service.requests == []


def test_what_would_be_saved_is_written_without_a_socket(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    made = specification()
    files = write_specification(made, tmp_path / "there")
    assert [path.name for path in files] == ["wandb-report.json", "wandb-workspace.json", "wandb-charts.json"]
    report, workspace, charts = (json.loads(path.read_text()) for path in files)
    assert report["displayName"] == "qbench: planted"
    assert report["project"] == {"name": "quant", "entityName": "lab"}
    assert (workspace["entity"], workspace["project"]) == ("lab", "quant")
    assert charts == made.charts


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(UserError, match=r"pip install 'qbench\[reports\]'"):
        specification()


@pytest.mark.parametrize("text", ["quant", "/quant", "lab/", "lab/quant/more", ""])
def test_a_target_is_an_entity_and_a_project(text):
    with pytest.raises(UserError, match="expected ENTITY/PROJECT"):
        Target.parse(text)
    assert Target.parse("lab/quant") == TARGET
