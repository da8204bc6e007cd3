"""The charts of what trials keep: valid, drawn without a warning in both themes, from the view's rows alone."""

import dataclasses
import json
import re

import pytest
import vl_convert
from planted import studies_of, study

from qbench.report.charts.catalogue import CHARTS
from qbench.report.charts.picture import specification
from qbench.report.charts.theme import DARK, LIGHT, vega_config
from qbench.report.model.report_model import make_report
from qbench.report.views.catalogue import make_views

NAMES = (
    "training-accuracy",
    "training-loss",
    "flips",
    "latent-weights",
    "repeated-filters",
    "most-repeated-filters",
    "ranges",
    "divergence",
    "layers",
    "confusion",
)


@pytest.fixture(scope="module")
def views():
    return make_views(make_report([study()]))


@pytest.fixture(scope="module")
def many():
    """Views of 57 groups, whose long names hold commas and signs."""
    records, kept = [], {}
    for size in range(19):
        part = study(seeds=(0,), **{"model_options.hidden": [size, size]})
        kept |= part.details
        records += [dataclasses.replace(each, row={**each.row, "training_key": each.trial_id}) for each in part.records]
    return make_views(make_report([dataclasses.replace(study(), records=tuple(records), details=kept)]))


def svg(chart, theme=LIGHT):
    found = chart.to_dict()  # Altair checks it against Vega-Lite's schema
    if found.get("width") == "container":
        found["width"] = 600
    return vl_convert.vegalite_to_svg(json.dumps(found), config=vega_config(theme))


def nodes(value):
    """All mappings within a specification but the rows."""
    if isinstance(value, dict):
        yield value
        for key, each in value.items():
            if key not in ("values", "datasets"):
                yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_it_is_drawn_without_a_warning_in_the_themes_colours(views, name, theme, capfd):
    assert views[name].missing is None
    drawn = svg(CHARTS[name](views[name]), theme)
    assert capfd.readouterr().err == ""
    assert not re.search("NaN|Infinity|undefined|null<", drawn)
    named = {theme.ink, theme.muted, theme.grid, theme.axis, *theme.categories, *theme.ramp, "#000", "#888", "#ddd"}
    assert set(re.findall(r'(?:fill|stroke)="(#\w+)"', drawn)) <= named


@pytest.mark.parametrize("name", NAMES)
def test_it_names_no_colour_and_computes_no_statistic(views, name):
    spec = CHARTS[name](views[name]).to_dict()
    keys = {key for node in nodes(spec) for key in node}
    assert not keys & {"aggregate", "bin", "timeUnit", "stack", "window", "joinaggregate", "regression", "density"}
    assert all(set(each) == {"filter"} for node in nodes(spec) for each in node.get("transform", ()))
    assert not re.search(r'"#[0-9a-f]{3,6}"', json.dumps(spec))


@pytest.mark.parametrize("name", NAMES)
def test_every_row_that_is_drawn_is_the_views(views, name):
    spec = CHARTS[name](views[name]).to_dict()
    columns = [column.name for column in views[name].columns]
    rows = {tuple(row) for row in views[name].rows}
    held = [row for node in nodes(spec) for row in node.get("data", {}).get("values", ()) if row]
    held += [row for values in spec.get("datasets", {}).values() for row in values]
    assert held
    assert {tuple(row[column] for column in columns) for row in held} <= rows


@pytest.mark.parametrize("name", NAMES)
def test_many_groups_with_long_names_fit_the_page(many, name, capfd):
    view = many[name]
    drawn = svg(CHARTS[name](view))
    assert capfd.readouterr().err == ""
    width = float(re.search(r'width="([\d.]+)"', drawn).group(1))
    assert width <= 740
    assert any(note.startswith("the chart draws the first") for note in view.notes)


def test_a_shared_training_is_one_curve_with_all_names():
    made = study()
    records = tuple(
        dataclasses.replace(each, row={**each.row, "training_key": str(each.row["seed"])}) for each in made.records
    )
    view = make_views(make_report([dataclasses.replace(made, records=records)]))["training-loss"]
    spec = CHARTS["training-loss"](view).to_dict()
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == ["fp32, binarynet, int8-kl"]
    assert "fp32, binarynet, int8-kl" in svg(CHARTS["training-loss"](view))


def test_the_axis_of_accuracy_leaves_out_first_epochs_far_below_and_says_so():
    made = study({"fp32": (0.9, 1, 1.0)})
    history = {"epoch": [float(i) for i in range(1, 21)], "val/accuracy": [0.1] + [0.97] * 19, "train/loss": [0.0] * 20}
    kept = {name: dataclasses.replace(found, history=history) for name, found in made.details.items()}
    views = make_views(make_report([dataclasses.replace(made, details=kept)]))
    spec = CHARTS["training-accuracy"](views["training-accuracy"]).to_dict()
    y = spec["layer"][0]["encoding"]["y"]
    assert y["scale"]["domain"] == pytest.approx([0.95, 0.97])
    assert y["title"] == "validation accuracy (axis from 95 %)"
    loss = CHARTS["training-loss"](views["training-loss"]).to_dict()  # 0 has no logarithm
    assert "scale" not in loss["layer"][0]["encoding"]["y"]


def test_filters_are_squares_of_their_bits(views):
    spec = CHARTS["most-repeated-filters"](views["most-repeated-filters"]).to_dict()
    cells = spec["data"]["values"] if "values" in spec["data"] else next(iter(spec["datasets"].values()))
    assert [cell["bit"] for cell in cells] == list("111000111")
    assert [(round(c["left"] / cells[1]["left"]), round(c["top"] / cells[3]["top"])) for c in cells] == [
        (column, row) for row in range(3) for column in range(3)
    ]
    drawn = svg(CHARTS["most-repeated-filters"](views["most-repeated-filters"]))
    assert (drawn.count(f'fill="{LIGHT.grid}"'), "9×" in drawn) == (3, True)


def test_ranges_without_any_histogram_are_still_drawn():
    made = study()
    ranges = [
        {
            "layer": "fc", "method": "minmax", "low": -1.0, "high": 1.0, "edge_low": -0.9, "edge_high": 1.0,
            "counts": [], "divergence": None,
        }
    ]  # fmt: skip
    kept = {
        record.trial_id: dataclasses.replace(made.details[record.trial_id], ranges=ranges)
        for record in made.records
        if record.row["scheme"] == "int8-kl"
    }
    view = make_views(make_report([dataclasses.replace(made, details=kept)]))["ranges"]
    assert "int8-kl · fc" in svg(CHARTS["ranges"](view))


def test_a_hundred_classes_are_drawn_without_numbers():
    made = study({"fp32": (0.9, 1, 1.0)}, seeds=(0,), images=100)
    record = made.records[0]
    wide = dataclasses.replace(record, labels=list(range(100)), predictions=[1, 0, *range(2, 100)])
    view = make_views(make_report(studies_of([wide])))["confusion"]
    chart = CHARTS["confusion"](view)
    assert [layer["mark"]["type"] for layer in chart.to_dict()["spec"]["layer"]] == ["rect", "rect"]
    assert "errors, share of the true class" in svg(chart)


def test_a_group_has_its_colour_and_symbol_whichever_groups_a_chart_shows():
    model = make_report([study()])  # fp32, binarynet, int8-kl: the third alone has integer layers
    view = make_views(model)["layers"]
    found = specification(view)
    encoding = found["hconcat"][0]["layer"][-1]["encoding"]
    assert encoding["color"]["scale"]["domain"] == ["fp32", "binarynet", "int8-kl"]
    assert encoding["shape"]["scale"]["domain"] == ["fp32", "binarynet", "int8-kl"]
    assert encoding["color"]["legend"]["values"] == ["int8-kl"]
