import pytest
from planted import studies_of, study

from qbench.report.charts.accuracy_by_size import accuracy_by_size as draw
from qbench.report.charts.catalogue import CHARTS
from qbench.report.model.report_model import make_report
from qbench.report.views.accuracy_by_size import accuracy_by_energy, accuracy_by_size

CURVES = {32: (0.90, 1000, 1.0), 64: (0.96, 4000, 3.0), 128: (0.94, 16_000, 9.0)}


def model():
    records = [
        each
        for size, (accuracy, bytes_, energy) in CURVES.items()
        for each in study(
            {"fp32": (accuracy, bytes_, energy), "binarynet": (accuracy - 0.05, bytes_ / 20, energy / 10)},
            **{"model_options.hidden": size},
        ).records
    ]
    return make_report(studies_of(records))


@pytest.mark.parametrize("view", [accuracy_by_size, accuracy_by_energy])
def test_it_draws_the_views_rows_and_computes_none(view):
    shown = view(model())
    spec = draw(shown).to_dict()
    layers = spec["layer"]
    assert all("transform" not in each and "aggregate" not in str(each["encoding"]) for each in layers)
    drawn = [row for layer in layers for row in layer["data"]["values"]]
    assert drawn
    assert all(row in shown.records() for row in drawn)
    cost = "cost/weight_bytes" if view is accuracy_by_size else "cost/energy_uj"
    assert {layer["encoding"]["x"]["field"] for layer in layers[2:]} == {cost}
    assert layers[2]["encoding"]["x"]["scale"]["type"] == "log"


def test_the_line_is_the_fit_and_the_points_are_what_was_measured():
    layers = draw(accuracy_by_size(model())).to_dict()["layer"]
    kinds = {layer["mark"]["type"]: layer for layer in layers[2:]}
    assert kinds["line"]["encoding"]["y"]["field"] == "curve"
    assert kinds["point"]["encoding"]["y"]["field"] == "test/accuracy"


def test_both_are_in_the_catalogue_and_become_pictures():
    import vl_convert

    for view in (accuracy_by_size(model()), accuracy_by_energy(model())):
        svg = vl_convert.vegalite_to_svg({**CHARTS[view.name](view).to_dict(), "width": 500})
        assert svg.count("fp32") >= 2  # the legend, and the first target
        assert "binarynet" in svg
