import json

import pytest

from qbench.errors import UserError
from qbench.sweep.config import load_sweep
from qbench.sweep.executor import InProcessExecutor
from qbench.sweep.plan import make_plan
from qbench.sweep.store import Store
from qbench.sweep.sweep import pending, run_sweep
from qbench.sweep.trial_runner import Setup


class Silent:
    """A progress that counts."""

    def __init__(self):
        self.begun = None
        self.ended = []
        self.warnings = []

    def begin(self, total, known):
        self.begun = (total, known)

    def started(self, trial):
        pass

    def epoch(self, trial, epoch, epochs, metrics):
        pass

    def done(self, trial, record):
        self.ended.append((trial.label, record.status))

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture
def sweep(fake, workplace):
    """Runs a sweep file in a store, as often as asked; returns the report and the progress."""
    store = Store(workplace / "out")

    def run(text, max_runs=None, executor=None, force=False):
        path = workplace / "s.yaml"
        path.write_text(text)
        plan = make_plan(load_sweep(path), fake, max_runs)
        progress = Silent()
        with store.opened():
            inside = executor or InProcessExecutor(Setup("fake_training", store.folder, (), None), fake)
            report = run_sweep(plan.trials, plan.shown, store, inside, progress, force)
        return report, progress

    run.store = store
    return run


GRID = "method: grid\nparameters:\n  scheme: {{values: [fp32, binarynet]}}\n  seed: {{values: {}}}\n"


def rows(store):
    return json.loads((store.folder / "results.json").read_text())


def ran(store):
    return len((store.folder / "ran.txt").read_text().splitlines())


def test_a_second_run_trains_nothing(sweep):
    report, progress = sweep(GRID.format([0, 1]))
    assert (report.ran, len(report.records), progress.begun) == (4, 4, (4, 0))
    before = (sweep.store.folder / "results.json").read_text()
    report, progress = sweep(GRID.format([0, 1]))
    assert (report.ran, len(report.records), progress.begun) == (0, 4, (4, 4))
    assert ran(sweep.store) == 4
    assert (sweep.store.folder / "results.json").read_text() == before


def test_force_runs_again(sweep):
    sweep(GRID.format([0]))
    assert sweep(GRID.format([0]), force=True)[0].ran == 2


def test_results_follow_the_present_file_and_the_store_keeps_all(sweep):
    sweep(GRID.format([0, 1]))
    report, _ = sweep(GRID.format([1, 2]))
    assert report.ran == 2
    assert {row["seed"] for row in rows(sweep.store)} == {1, 2}
    assert len(list(sweep.store.trials.glob("*.json"))) == 6


def test_max_runs_continues_where_it_stopped(sweep):
    text = GRID.format([0, 1])
    assert sweep(text, max_runs=1)[0].ran == 1
    assert sweep(text, max_runs=3)[0].ran == 2
    report, _ = sweep(text, max_runs=1)  # what was run before still belongs to the file
    assert (report.ran, len(report.records)) == (0, 3)


def test_rows_are_in_the_plans_order_with_config_and_figures(sweep):
    sweep(GRID.format([1, 0]))
    found = rows(sweep.store)
    assert [(row["scheme"], row["seed"]) for row in found] == [
        ("fp32", 1),
        ("fp32", 0),
        ("binarynet", 1),
        ("binarynet", 0),
    ]
    assert found[0]["test/accuracy"] == pytest.approx(38 / 40)
    assert found[0]["status"] == "done"


def test_failed_trials_are_recorded_and_tried_again(sweep, monkeypatch, fake):
    text = GRID.format([0, 1]) + "  scheme_options: {value: {act: raise-1}}\n"
    report, progress = sweep(text)
    assert len(report.failed) == 2
    assert sorted(status for _, status in progress.ended) == ["done", "done", "failed", "failed"]
    assert [row["status"] for row in rows(sweep.store)] == ["done", "failed", "done", "failed"]
    assert "ValueError" in sweep.store.traceback_file(report.failed[0].trial_id).read_text()
    report, progress = sweep(text)
    assert (report.ran, progress.begun) == (2, (4, 2))


class InterruptsAfter:
    """An executor that stops as Ctrl-C does, after some trials."""

    def __init__(self, inside, count):
        self.inside, self.count = inside, count

    def run(self, trials, listener):
        self.inside.run(trials[: self.count], listener)
        raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_done_and_writes_its_results(sweep, fake):
    inside = InProcessExecutor(Setup("fake_training", sweep.store.folder, (), None), fake)
    report, _ = sweep(GRID.format([0, 1]), executor=InterruptsAfter(inside, 3))
    assert report.interrupted
    assert len(report.records) == 3
    assert [row["status"] for row in rows(sweep.store)] == ["done", "done", "done", "not run"]
    assert sweep(GRID.format([0, 1]))[0].ran == 1
    assert [row["status"] for row in rows(sweep.store)] == ["done"] * 4


class Reads:
    """An executor that reads the results whenever a trial starts."""

    def __init__(self, inside, store):
        self.inside, self.store = inside, store
        self.seen = []

    def run(self, trials, listener):
        for trial in trials:
            self.seen.append([row["status"] for row in rows(self.store)])
            assert not (self.store.folder / "summary.json").exists()
            self.inside.run([trial], listener)


def test_results_are_whole_and_say_what_is_missing_while_the_sweep_runs(sweep, fake):
    inside = InProcessExecutor(Setup("fake_training", sweep.store.folder, (), None), fake)
    sweep(GRID.format([0]), max_runs=1)
    sweep.store.write_summary({"of": "the first run"})
    reads = Reads(inside, sweep.store)
    sweep(GRID.format([0, 1]), executor=reads)
    assert reads.seen == [
        ["done", "not run", "not run", "not run"],
        ["done", "done", "not run", "not run"],
        ["done", "done", "done", "not run"],
    ]
    sweep.store.write_summary({"of": "the second run"})
    sweep(GRID.format([0, 1]))  # with nothing to do
    assert (sweep.store.folder / "summary.json").exists()


def test_a_write_that_is_cut_short_leaves_the_results_before_it(sweep, fake, monkeypatch):
    import qbench.io as files

    synchronize, written = files._synchronize, []

    def interrupted(path):
        written.append(path.name)
        if written.count(".results.json.tmp") == 3:  # before the first trial, after it, after the second
            raise KeyboardInterrupt
        synchronize(path)

    monkeypatch.setattr(files, "_synchronize", interrupted)
    report, _ = sweep(GRID.format([0, 1]))
    assert report.interrupted
    assert [row["status"] for row in rows(sweep.store)] == ["done", "done", "not run", "not run"]


def test_pending_reads_without_writing(fake, workplace):
    path = workplace / "s.yaml"
    path.write_text(GRID.format([0]))
    plan = make_plan(load_sweep(path), fake)
    store = Store(workplace / "none")
    assert pending(plan.trials, store) == list(plan.trials)
    assert not (workplace / "none").exists()


def test_a_damaged_record_stops_the_sweep_before_it_trains(sweep):
    sweep(GRID.format([0]))
    record = next(sweep.store.trials.glob("*.json"))
    record.write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        sweep(GRID.format([0, 1, 2]))
    assert ran(sweep.store) == 2
