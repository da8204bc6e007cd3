import io

from rich.console import Console

from qbench.report.model import make_report
from qbench.report.terminal import draw, plain
from qbench.trial.record import TrialRecord

LABELS = [1] * 20


def report(*, seeds=2, right=(18, 12), name="binarynet"):
    records = [
        TrialRecord(
            f"{scheme}{seed}",
            "done",
            {
                "scheme": scheme,
                "seed": seed,
                "trial_id": f"{scheme}{seed}",
                "training_key": "shared" if scheme == "fp32" else f"{seed}",
                "test/accuracy": count / 20,
                "cost/weight_bytes": size,
                "cost/weight_compression": 1234567 / size,
                "cost/energy_uj": energy,
                "cost/energy_compression": 12.08 / energy,
                "filters/unique_fraction": fraction,
                "kernel/agreement": agreement,
                "time/train_s": 2.25,
                "training/epochs": epochs,
                "training/learning_rate_start": 3e-3,
            },
            [1] * count + [0] * (20 - count),
            LABELS,
        )
        for scheme, count, size, energy, fraction, agreement, epochs in (
            ("fp32", right[0], 1234567, 12.08, None, None, 30),
            (name, right[1], 38580, 0.2114, 0.9167, 1.0, 60),
        )
        for seed in range(seeds)
    ]
    return make_report(records, len(records), "test/accuracy", "maximize")


def test_plain_text_holds_every_figure_in_aligned_columns():
    lines = plain(report()).splitlines()
    header, fp32, binary = lines[:3]
    assert fp32.split()[:3] == ["fp32", "90.00", "%"]
    assert "1,234,567" in fp32
    assert "1.0" in fp32
    assert "12.1" in fp32
    for figure in ("60.00 %", "38,580", "32.0", "0.211", "57.1", "91.7 %", "100.00 %", "2.2", "*"):
        assert figure in binary
    assert header.index("runs") + len("runs") == fp32.rindex("2") + 1 == binary.rindex("2", 0, -3) + 1
    assert fp32.count(" - ") == 2  # no unique filters, no kernel agreement: never a number


def test_the_random_baseline_stands_beside_the_unique_filters():
    found = report()
    assert "random weights would have" not in plain(found)  # nobody measured it here
    for group in found.groups:
        group.metrics["filters/random_fraction"] = None if group.name == "fp32" else 0.914
    assert "random weights would have 91.4 %" in plain(found)


def test_the_energys_spread_is_said():
    found = report()
    for group in found.groups:
        mid = group.metrics["cost/energy_uj"]
        group.metrics.update({"cost/energy_uj_low": 0.75 * mid, "cost/energy_uj_high": 1.25 * mid})
    assert "a low and a high estimate, at most 25 % away" in plain(found)


def test_plain_text_has_no_escapes_boxes_or_wrapping():
    text = plain(report(name="scheme_options.weights=" + "x" * 200))
    assert "\x1b" not in text
    assert not set("─│┃━╭╰") & set(text)
    assert max(map(len, text.splitlines())) > 200
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_notes_say_what_a_reader_must_know():
    text = plain(report())
    assert "bootstrap over seeds and test images" in text
    assert "counted from shapes and formats: weight bytes; estimated: energy" in text
    assert "measured: accuracy" in text
    assert "other budget" in text
    assert "60 epochs (most others: 30 epochs)" in text
    assert "best test/accuracy: 90.00 % by fp32 seed=0" in text
    assert "[1]" not in text
    assert "[2]" not in text


def test_intervals_made_otherwise_are_marked_and_explained():
    text = plain(report(seeds=1, right=(20, 12)))
    fp32, binary = text.splitlines()[1:3]
    assert " [2] " in fp32
    assert " [1] " in binary
    assert "[1] one seed" in text
    assert "[2] every prediction alike" in text
    assert "Clopper-Pearson" in text


def test_trials_that_have_not_run_are_counted():
    incomplete = make_report([], planned=5)
    assert "incomplete: 5 of 5 trials have not run" in plain(incomplete)


def drawn(width, **options):
    stream = io.StringIO()
    draw(report(**options), Console(file=stream, width=width, force_terminal=True, color_system=None))
    return stream.getvalue()


def test_a_wide_terminal_shows_one_table():
    text = drawn(200)
    assert len([line for line in text.splitlines() if line.lstrip().startswith("scheme")]) == 1
    assert max(len(line.rstrip()) for line in text.splitlines()) > 100
    assert "91.7 %" in text


def test_a_narrow_terminal_gets_several_tables_and_loses_no_figure():
    text = drawn(60)
    tables = [line for line in text.splitlines() if line.lstrip().startswith("scheme")]
    assert len(tables) > 1
    assert "…" not in text
    for figure in ("1,234,567", "91.7 %", "100.00 %", "Pareto", "60.00 %"):
        assert figure in text


def test_names_are_shown_as_they_are():
    assert "a[bold]b" in drawn(250, name="a[bold]b")
