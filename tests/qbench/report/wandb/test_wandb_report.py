import json

import planted
import pytest

from qbench.report.model.report_model import make_report
from qbench.report.model.verdict import verdict
from qbench.report.view import Column, View
from qbench.report.views.catalogue import SECTIONS, make_views
from qbench.report.wandb.chart_files import charted, vega_specification
from qbench.report.wandb.panels import MAX_RUNS
from qbench.report.wandb.private import report_of, report_values
from qbench.report.wandb.report import make_wandb_report
from qbench.sweep.wandb_tables import MOST_ROWS

SWEEP_ID = "c6c6c735"  # of the name `planted` and the planted file


def made(study=None, views=None):
    model = make_report([study or planted.study()])
    views = make_views(model) if views is None else views
    return make_wandb_report(model, views, {name: f"lab/qbench-{name}" for name in charted(views)}, "lab", "quant")


@pytest.fixture(scope="module")
def report():
    return made()


def parts(report, kind):
    """Blocks of a class, and panels of the grids among them."""
    panels = [panel for block in report.blocks for panel in getattr(block, "panels", [])]
    return [each for each in (*report.blocks, *panels) if type(each).__name__ == kind]


def texts(report):
    return [block.text for block in parts(report, "MarkdownBlock")]


def test_it_begins_with_the_contents_and_the_verdict(report):
    kinds = [type(block).__name__ for block in report.blocks[:3]]
    assert kinds == ["TableOfContents", "H1", "MarkdownBlock"]
    sentences = verdict(make_report([planted.study()]))
    assert len(report.blocks[2].text.split("\n\n")) == len(sentences)
    assert "binarynet" in report.blocks[2].text


def test_every_view_has_its_heading_in_the_order_of_the_sections(report):
    views = make_views(make_report([planted.study()]))
    headings = [block.text for block in parts(report, "H2")]
    assert headings[: len(views)] == [view.title for view in views.values()]
    titles = [block.text for block in parts(report, "H1")]
    assert titles == ["Verdict", *(title for title, makers in SECTIONS if makers), "The trials' runs"]


def test_the_overview_is_a_table_in_the_text(report):
    (text,) = [text for text in texts(report) if "| fp32 |" in text and "weight bytes" in text.split("\n| fp32")[0]][:1]
    row = next(line for line in text.splitlines() if line.startswith("| binarynet |"))
    assert "29,756" in row
    assert "95.00 %" in row


def test_a_view_without_rows_says_why():
    study = planted.study()
    bare = type(study)(study.name, study.folder, study.records, {}, (), study.origin)
    views = make_views(make_report([bare]))
    reasons = {view.missing for view in views.values() if view.missing}
    assert reasons
    text = "\n".join(texts(made(bare))).replace("\\", "")
    for reason in reasons:
        assert reason in text


def test_grids_show_this_sweeps_runs_alone(report):
    filters = {runset.name: runset.filters for block in parts(report, "PanelGrid") for runset in block.runsets}
    group = f"Metric(\"Group\") in ['{SWEEP_ID}']"
    assert filters == {
        "comparison": f"Metric(\"JobType\") == 'comparison' and {group}",
        "trials": f"Metric(\"JobType\") == 'trial' and {group}",
        "groups": f"Metric(\"JobType\") == 'trial' and {group}",
    }
    # A run set with an entity is looked up on the server, even for a dry run.
    assert {runset.entity for block in parts(report, "PanelGrid") for runset in block.runsets} == {""}


def test_scatter_plots_weigh_accuracy_against_logarithmic_costs(report):
    plots = parts(report, "ScatterPlot")
    assert [(plot.x.name, plot.y.name) for plot in plots] == [
        ("cost/weight_bytes", "test/accuracy"),
        ("cost/energy_uj", "test/accuracy"),
    ]
    assert all(plot.log_x and plot.running_ymax for plot in plots)
    assert any("no error bars" in text for text in texts(report))


def test_bars_are_grouped_by_scheme_and_by_nothing_less():
    assert {plot.groupby.name for plot in parts(made(), "BarPlot")} == {"scheme"}
    narrow, wide = planted.study(), planted.study(**{"model_options.width": 64})
    both = type(narrow)(
        "planted",
        narrow.folder,
        (*narrow.records, *wide.records),
        {**narrow.details, **wide.details},
        (),
        narrow.origin,
    )
    report = made(both)
    # A bar plot groups by one key: by the scheme alone it would show the mean over two widths.
    assert {plot.groupby for plot in parts(report, "BarPlot")} == {None}
    grouped = {tuple(r.groupby) for b in parts(report, "PanelGrid") for r in b.runsets if r.name == "groups"}
    assert grouped == {("config.scheme", "config.model_options.width")}


def test_each_chart_is_a_custom_chart_with_its_data_inside(report):
    views = make_views(make_report([planted.study()]))
    names = [f"lab/qbench-{name}" for name in charted(views)]
    assert [panel.chart_name for panel in parts(report, "CustomChart")] == names
    vega = vega_specification(views["tradeoff-bytes"])
    assert vega["$schema"].startswith("https://vega.github.io/schema/vega/")
    assert vega["data"][0] == {"name": "wandb"}
    assert "29756" in json.dumps(vega["data"][1:])
    assert not [each for each in vega["data"] if "url" in each]


def test_a_cut_table_says_so():
    rows = tuple((n,) for n in range(MOST_ROWS + 1))
    column = Column("cost/weight_bytes", "weight bytes", ",d", "counted")
    views = {"memory": View("memory", "Memory", "A caption.", (column,), rows)}
    model = make_report([planted.study()])
    said = texts(make_wandb_report(model, views, {}, "lab", "quant"))
    assert any("at most 10,000 rows" in text and "first of 10,001" in text for text in said)


def test_more_trials_than_a_panel_shows_are_said():
    assert not any("A panel shows at most" in text for text in texts(made()))
    many = planted.study({"fp32": (0.9, 10, 1.0)}, seeds=range(MAX_RUNS + 1), images=10)
    views = {"none": View("none", "None", "A caption.", (), (), (), "nothing")}
    assert any(f"at most {MAX_RUNS} runs; 501 trials" in text for text in texts(made(many, views)))


def test_a_folder_without_the_sweeps_file_is_found_by_its_trials():
    study = planted.study(origin={"file": None})
    report = made(study)
    (callout,) = parts(report, "CalloutBlock")
    assert "earlier version" in callout.text
    for block in parts(report, "PanelGrid"):
        for runset in block.runsets:
            assert all(record.trial_id in runset.filters for record in study.records)
    assert parts(report, "WeavePanelSummaryTable") == []
    # Its tables are in no run that could be found: they are text.
    assert any("| binarynet | 100.00 % | 100 | 3 |" in text for text in texts(report))


def test_names_of_a_file_are_text_in_the_report():
    name = "evil <img src=x onerror=alert(1)> | `x` [a](http://b)"
    report = made(planted.study({name: (0.9, 10, 1.0), "fp32": (0.9, 10, 1.0)}))
    for text in texts(report):
        assert "<img" not in text
        assert "[a](http" not in text.replace("\\[a\\]", "")


def table_panels(values):
    grids = [block["metadata"] for block in values["spec"]["blocks"] if block["type"] == "panel-grid"]
    panels = [panel for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]]
    return [panel for panel in panels if panel["viewType"] == "Weave"]


def test_the_report_reads_back_as_it_was_written(report):
    values = json.loads(json.dumps(report_values(report)))
    again = report_values(report_of(values))
    assert values["spec"].pop("width") == "fixed"
    assert again["spec"].pop("width") == "readable"  # the package does not read it
    tables = list(zip(table_panels(values), table_panels(again), strict=True))
    assert tables
    for mine, theirs in tables:  # nor the place of a table's panel
        assert mine.pop("layout") != theirs.pop("layout")
    assert again == values


def test_a_long_title_is_cut():
    assert len(made(planted.study(name="n" * 300)).title) == 128
