import re

import pytest
from planted import labels, record, studies_of

from qbench.errors import UserError
from qbench.report.commands.overview_table import check_columns, named_columns, overview_table
from qbench.report.model.report_model import make_report
from qbench.report.render.terminal import plain

WIDTHS = (8, 16, 32, 64)
SCHEMES = ("fp32", "binarynet", "xnornet", "int8-kl", "my_package.schemes.TERNARY_WITH_A_LONG_NAME")


def twenty(**changes):
    """Return the report of five schemes at four widths, three seeds each."""
    true = labels(300)
    records = [
        record(
            scheme,
            seed,
            0.95,
            true,
            metrics={"cost/weight_bytes": 1_388_848 * width, "training_key": f"{scheme} {width} {seed}", **changes},
            **{"model_options.width": width, "scheme_options.layers": {"conv1": "float", "fc2": "float"}},
        )
        for scheme in SCHEMES
        for width in WIDTHS
        for seed in range(3)
    ]
    return make_report(studies_of(records, metric="val/accuracy", goal="maximize"))


def test_twenty_groups_fit_80_characters_with_their_figures_whole():
    model = twenty()
    text = plain(overview_table(model, None, 80), ["A verdict of many words. " * 10], 80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if re.search(r"95\.00 %", line) and "best" not in line]
    assert len(rows) == 20
    # Each group's accuracy, interval and bytes stand in its row, as in the whole table.
    for row, group in zip(rows, model.groups, strict=True):
        interval = f"{100 * group.accuracy.low:.2f} to {100 * group.accuracy.high:.2f}"
        assert f" {interval} " in row
        assert f" {1_388_848 * group.config['model_options.width']:,} " in row
    names = text.partition("\n\n")[0]
    assert "TERNARY_WITH_A_LONG_NAME" in names
    assert "my_package" not in names
    assert "layers=" not in names  # all groups have it


def test_what_is_left_out_is_named_with_the_way_to_see_it():
    view = overview_table(twenty(), None, 80)
    (note,) = [note for note in view.notes if note.startswith("left out")]
    shown = {column.name.rpartition("/")[2] for column in view.columns}
    named = note.partition(": ")[2].partition(";")[0].split(", ")
    assert not shown & set(named)
    assert "train_s" in named
    assert "--columns all" in note
    whole = overview_table(twenty(), "all", 80)
    assert {"time/train_s", "pareto", "test/accuracy"} <= {column.name for column in whole.columns}
    assert not any("left out" in note for note in whole.notes)


def test_notes_speak_of_the_columns_shown_alone():
    view = overview_table(twenty(), "accuracy", 80)
    assert [column.name for column in view.columns] == ["group", "test/accuracy"]
    text = "\n".join(view.notes)
    for word in ("Pareto", "×", "unique filters", "latency", "letters", "energy", "interval", "quantized MACs"):
        assert word not in text
    assert "accuracy: mean over 3 runs on the test images" in text
    assert "latency: of one image" in "\n".join(overview_table(twenty(), "inference_ms", 80).notes)


def test_packed_predictions_that_differ_are_never_left_out():
    narrow = {column.name for column in overview_table(twenty(), None, 60).columns}
    assert "kernel/agreement" not in narrow
    wrong = overview_table(twenty(**{"kernel/agreement": 0.97}), None, 60)
    assert "kernel/agreement" in {column.name for column in wrong.columns}


def chosen(model, columns):
    return named_columns(columns, list(model.groups[0].metrics))


def test_columns_are_checked_before_trials_run():
    check_columns("all")
    check_columns("accuracy, val/accuracy, a_module/own, macs")
    with pytest.raises(UserError, match="no column 'acuracy'"):
        check_columns("acuracy")


def test_columns_are_named_as_in_csv_by_their_last_part_or_heading():
    model = twenty()
    assert chosen(model, "all") is None
    assert chosen(model, "energy_uj, cost/weight_bytes,Kernel agrees") == [
        "cost/energy_uj", "cost/weight_bytes", "kernel/agreement",
    ]  # fmt: skip
    assert chosen(model, "interval") == ["test/accuracy_low", "test/accuracy_high"]
    assert chosen(model, "accuracy,val/accuracy,macs") == ["test/accuracy", "val/accuracy", "cost/macs"]
    view = overview_table(model, "macs,val/accuracy", 80)
    assert view.cells()[0] == ["fp32 width=8", "3,421,056", "95.00 %"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("acuracy", "no column 'acuracy'; did you mean 'accuracy'?"),
        ("intervall", "no column 'intervall'; did you mean 'interval'?"),
        ("×", "'×' is several columns: name one of cost/weight_compression, cost/energy_compression"),
        (" ,", "expected all, or names with commas between them"),
    ],
)
def test_a_name_that_is_no_columns_is_refused(asked, said):
    with pytest.raises(UserError) as error:
        overview_table(twenty(), asked, 80)
    assert str(error.value).startswith("--columns: ")
    assert said in str(error.value)
