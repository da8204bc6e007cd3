"""The command `qbench`: its commands, one from each file of this folder.

Imports of the library stand inside the commands: torch, Lightning and wandb take seconds, for which neither `--help`
nor a mistyped file name should wait.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.bench import kernels
from qbench.cli.calibrate import calibrate
from qbench.cli.claims import claims
from qbench.cli.doctor import doctor
from qbench.cli.estimate import estimate
from qbench.cli.export import export
from qbench.cli.export_onnx import export_onnx
from qbench.cli.group import Commands
from qbench.cli.ls import ls
from qbench.cli.run_packed import run_packed
from qbench.cli.sweep import sweep
from qbench.cli.train import train
from qbench.cli.validate import validate
from qbench.sweep.plug_ins import make_importable

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help, the same in a terminal and a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="""Compare number formats for neural networks on the same data, budget and seeds.

    \b
    Start here:
      qbench sweep sweeps/binary_vs_int8.yaml    seven schemes, five seeds each, on handwritten digits

    Exit codes: 0 done; 1 a trial failed (the rest finished) or packed predictions differ; 2 bad input, nothing
    written; 130 interrupted, what is done is kept.
    """,
)
bench = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Time kernels and networks on this machine.\n\n\b\nExample:\n  qbench bench kernels --threads 1",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"qbench {version('qbench')}")
        raise typer.Exit


@app.callback()
def _set_up(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    # A sweep finds its plug-ins beside its file, here as in its worker processes.
    if context.invoked_subcommand not in ("sweep", "validate"):
        make_importable(Path.cwd())


<<<<<<< HEAD
@app.command(short_help="Print a network's memory, operations and energy; train nothing.")
def estimate(
    model: Annotated[str, typer.Option(metavar="NAME", help="One of `qbench ls models`.", show_default=False)],
    scheme: Scheme,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="KEY=VALUE", help="Of the model, e.g. width=64; may be repeated."),
    ] = None,
    scheme_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the scheme, e.g. last_layer=float; may be repeated."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="Where the weights lie: '8 KB', '32 KB', '1 MB' or 'DRAM'.",
            show_default="the smallest that holds the float32 weights",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Of the training whose memory is printed.")] = 64,
    as_json: Json = False,
) -> None:
    """Print memory, operations and energy of a network under a scheme; nothing is trained.

    \b
    Example:
      qbench estimate --model cifar10-convnet --scheme binarynet
      qbench estimate --model digits-convnet --scheme int8-kl --option width=64 --json
      qbench estimate --model mnist-mlp --scheme binarynet --scheme-option network_input=pixel8
    """
    with exit_codes():
        from qbench.cost.estimate import estimate as estimate_costs
        from qbench.report.estimate import estimate_text, filters_text
        from qbench.schemes.catalogue import get_scheme as named_scheme
        from qbench.sweep.options import parse_options
        from qbench.sweep.plan import make_importable

        make_importable(Path.cwd())
        chosen = named_scheme(scheme, **parse_options(scheme_option or []))
        found = estimate_costs(model, chosen, model_options=parse_options(option or []), weight_level=memory)
        if as_json:
            _print_json({"model": model, "scheme": scheme, **found.to_dict(batch_size)})
            return
        print(estimate_text(found, model, scheme, batch_size))
        if found.filters is not None:
            print("\n" + filters_text(found.filters))


class Kind(StrEnum):
    """What `qbench ls` lists."""

    quantizers = "quantizers"
    schemes = "schemes"
    models = "models"
    data = "data"
    backends = "backends"


@app.command("ls")
def list_(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="What to list.", show_default=False)],
    as_json: Json = False,
) -> None:
    """List what there is to choose from.

    \b
    Example:
      qbench ls schemes
      qbench ls backends --json
    """
    with exit_codes():
        from qbench.report.columns import aligned
        from qbench.report.listing import listing, listing_lines

        if as_json:
            _print_json(listing(kind.value))
        else:
            print("\n".join(aligned(listing_lines(kind.value), left=2)))


RUN_HELP = "A result of `qbench train` or `qbench sweep`: its trials/<id>.json, or its folder if it holds one trial."


@app.command(short_help="Write a trained binary network as packed bits.")
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)],
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where the packed network goes.", show_default=False)],
    real_input: Annotated[
        bool, typer.Option("--real-input", help="Keep the first layer's input float32 although the images are pixels.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a trained binary network as packed bits, and compare it with the module on every test image.

    \b
    Example:
      qbench train --scheme binarynet
      qbench export runs/train --to model.safetensors
      qbench export runs/binary_vs_int8/trials/<id>.json --to model.safetensors    (results.csv has the ids)

    BatchNorm becomes a threshold per channel, weights a bit each. Exit code 1 if a prediction differs.
    """
    with exit_codes():
        from qbench.deploy.packed.file import save
        from qbench.report.deploy import export_dict, export_text
        from qbench.sweep.plan import make_importable
        from qbench.trial.finished.find import find_record

        make_importable(Path.cwd())
        from qbench.trial.finished.packed import export_packed

        made = export_packed(find_record(run), real_input)
        save(made.model, to)
        if as_json:
            _print_json(export_dict(made, to))
        else:
            print(export_text(made, to))
        if made.agreement < 1:
            raise typer.Exit(FAILED)


@app.command(short_help="Run a packed network: accuracy and images per second.")
def run_packed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `qbench export` wrote.", show_default=False)],
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of `qbench ls data`.", show_default="that of training")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Compare with the module of this run, named as for `qbench export`."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Images at a time.")] = 100,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads.")] = 1,
    device: Annotated[Device, typer.Option(help="Where it runs.")] = Device.cpu,
    as_json: Json = False,
) -> None:
    """Run a packed network over the test images: accuracy, images per second, the backend that ran it.

    \b
    Example:
      qbench run-packed model.safetensors
      qbench run-packed model.safetensors --against runs/train --batch 1
    """
    with exit_codes():
        from qbench.bench.machine import prepare
        from qbench.bench.packed import measure_packed
        from qbench.deploy.packed.file import load
        from qbench.report.deploy import measured_text
        from qbench.sweep.plan import make_importable
        from qbench.trial.finished.find import find_record

        make_importable(Path.cwd())
        prepare(device.value, threads)
        found = measure_packed(load(file, device.value), data, None if against is None else find_record(against), batch)
        if as_json:
            _print_json({"file": str(file), **found.to_dict()})
        else:
            print(measured_text(found))


@app.command(short_help="Print what this machine runs, for a bug report.")
def doctor(as_json: Json = False) -> None:
    """Print what this machine runs and what a bug report needs: versions, kernels and why, CUDA, wandb, data, cache.

    \b
    Example:
      qbench doctor
      qbench doctor --json
    """
    with exit_codes():
        from qbench.report.doctor import doctor_lines
        from qbench.report.machine_facts import examine

        found = examine()
        if as_json:
            _print_json(found)
        else:
            print("\n".join(doctor_lines(found)))


bench = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Time kernels and networks on this machine.\n\n\b\nExample:\n  qbench bench kernels --threads 1",
)
app.add_typer(bench, name="bench")


@bench.command("kernels", short_help="Time packed products and networks beside torch's.")
def bench_kernels(
    cases: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CASE", help="Sizes or networks; --list names them.", show_default="some that take minutes"
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads, for every contestant.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Interleaved rounds.")] = 9,
    device: Annotated[Device, typer.Option(help="Where it runs.")] = Device.cpu,
    list_cases: Annotated[bool, typer.Option("--list", help="Name the cases and stop.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Also draw the ratios to torch fp32, as SVG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Time bit-packed products, and whole packed networks, beside torch in the same rounds.

    \b
    Example:
      qbench bench kernels
      qbench bench kernels mlp-hidden-100 mnist-mlp-100 cifar10-convnet-50 --threads 2
      qbench bench kernels square-8192 --rounds 5 --json
      qbench bench kernels --plot kernels.svg

    A figure is the median over the rounds with its quartiles; a ratio is the median of the rounds' own ratios.
    Networks have random weights; before they are timed, their packed and fake-quantized predictions are compared.
    """
    with exit_codes():
        from qbench.bench.cases import CASES, DEFAULT, bench_cases
        from qbench.bench.machine import prepare
        from qbench.report.bench import bench_dict, bench_head, bench_lines, bench_title
        from qbench.report.bench_plot import bench_svg, plot_file

        if list_cases:
            _print_json(list(CASES)) if as_json else print("\n".join(CASES))
            return
        target = plot_file(plot) if plot else None
        prepare(device.value, threads)
        names = cases or list(DEFAULT)
        results = bench_cases(names, rounds, device.value)
        shown = []
        if not as_json:
            print(bench_head(device.value, threads, rounds))
        for result in results:
            shown.append(result)
            if not as_json:
                print("\n".join(bench_lines(result)), flush=True)
        if as_json:
            _print_json(bench_dict(shown, device.value, threads, rounds))
        if target is not None:
            drawing = bench_svg(shown, bench_title(device.value, threads, rounds))
            target.write_text(drawing, encoding="utf-8")
        if any(result.agreement not in (None, 1.0) for result in shown):
            raise typer.Exit(FAILED)


@app.command(short_help="Calibrate a trained float32 network for INT8.")
def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)],
    rule: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Range rule of the activations: minmax, mean_extremes, percentile, mse or kl."
        ),
    ] = "kl",
    compare: Annotated[bool, typer.Option("--compare", help="All rules, on several calibration sets.")] = False,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Training images of a calibration set.")] = 512,
    sets: Annotated[int, typer.Option(min=1, metavar="N", help="Calibration sets of --compare.")] = 5,
    bits: Annotated[int, typer.Option(min=2, max=8, metavar="N", help="Of an activation.")] = 8,
    weight_bits: Annotated[int, typer.Option(min=2, max=8, metavar="N", help="Of a weight.")] = 8,
    as_json: Json = False,
) -> None:
    """Calibrate a trained float32 network; show its layers under one rule, or compare all rules.

    \b
    Example:
      qbench train --scheme fp32
      qbench calibrate runs/train --rule kl
      qbench calibrate runs/train --compare --bits 4

    Any trial whose training was in float32 will do. Nothing is written.
    """
    with exit_codes():
        from qbench.report.calibration import layers_text, methods_text
        from qbench.sweep.plan import make_importable
        from qbench.trial.finished.calibration import compare_trial, report_calibrated_trial
        from qbench.trial.finished.find import find_record

        make_importable(Path.cwd())
        found = find_record(run)
        if compare:
            results = compare_trial(found, images=images, sets=sets, bits=bits, weight_bits=weight_bits)
            if as_json:
                _print_json([each.to_dict() for each in results])
            else:
                print(methods_text(results, f"{bits}-bit activations, {weight_bits}-bit weights, {images} images"))
            return
        report = report_calibrated_trial(found, rule, images=images, bits=bits, weight_bits=weight_bits)
        if as_json:
            _print_json(report.to_dict())
        else:
            print(layers_text(report, f"{rule}, {bits}-bit activations, {weight_bits}-bit weights, {images} images"))


@app.command(short_help="Write a trained INT8 network as ONNX.")
def export_onnx(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)],
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where the network goes.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Write a trained INT8 network as ONNX with QuantizeLinear and DequantizeLinear nodes.

    \b
    Example:
      qbench train --scheme int8-kl
      qbench export-onnx runs/train --to model.onnx

    Needs the package onnx: pip install 'qbench[onnx]'. Where onnxruntime is installed too, it runs the file over
    every test image, and the share of equal predictions is shown.
    """
    with exit_codes():
        from qbench.sweep.plan import make_importable
        from qbench.trial.finished.find import find_record
        from qbench.trial.finished.onnx import export_onnx_trial

        make_importable(Path.cwd())
        made = export_onnx_trial(find_record(run), to)
        if as_json:
            _print_json(made)
            return
        print(f"{to}: {made['file_bytes']:,} bytes, {made['nodes']} nodes, opset {made['opset']}")
        if made["agreement"] is None:
            print("not run: onnxruntime is not installed")
        else:
            print(f"{100 * made['agreement']:.2f} % of {made['images']} test images predicted alike by onnxruntime")


@app.command(short_help="Print the papers' figures beside this project's.")
def claims(
    run: Annotated[bool, typer.Option("--run", help="Measure what this machine can; some minutes.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This claim alone; may be repeated.", show_default="all")
    ] = None,
    record: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN_FOLDER", help="First keep this sweep's results so far; may be repeated."),
    ] = None,
    sweep_file: Annotated[
        Path | None,
        typer.Option(
            "--sweep", metavar="FILE", help="With --record: the sweep's file.", show_default="sweeps/<folder>.yaml"
        ),
    ] = None,
    note: Annotated[
        str,
        typer.Option(metavar="TEXT", help="With --record: a line that is shown with its figures.", show_default="none"),
    ] = "",
    store: Annotated[bool, typer.Option("--store", help="With --run: keep the measurements as well.")] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where stored results are.",
            show_default="docs/results of a checkout; an installed package has none",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print every figure of the papers beside this project's: computed, stored, or measured with --run.

    \b
    Example:
      qbench claims
      qbench claims --run --only memory-file --only stochastic-slow
      qbench claims --record runs/paper_mnist_short
      qbench claims --record runs/paper_cifar10 --note "98 images decoded from JPEG"
      qbench claims --run --store

    What the verdicts mean: docs/claims.md. Record a sweep on the machine that ran it, whose processor
    and versions are noted, before the sources change.
    """
    with exit_codes():
        from qbench.errors import UserError

        if store and not run:
            raise UserError("--store keeps what --run measures: give both")
        if sweep_file is not None and not record:
            raise UserError("--sweep names the file of a sweep that is recorded: give --record as well")
        if note and not record:
            raise UserError("--note is kept with a sweep that is recorded: give --record as well")

        from qbench.claims.record import record as read_run
        from qbench.claims.registry import chosen
        from qbench.claims.stored import (
            StoredMeasurement,
            default_results_folder,
            load_results,
            results_folder,
            write_measurements,
            write_sweep,
        )
        from qbench.claims.table import make_rows, measure_all
        from qbench.claims.text import claims_text

        wanted = chosen(only or [])
        for folder in record or []:
            kept = read_run(folder, sweep_file, note)
            print(f"recorded: {write_sweep(kept, results_folder(results))}", file=sys.stderr)
            if kept.missing:
                rule = "a scheme that lacks some of its seeds is shown, not judged; one that lacks all gives no figure"
                print(f"incomplete: {kept.missing}; {rule}", file=sys.stderr)
        stored = load_results(results or default_results_folder())
        measured = {}
        if run:
            for name, found in measure_all(wanted, lambda text: print(text, file=sys.stderr, flush=True)):
                measured[name] = found
                if store and isinstance(found, StoredMeasurement):
                    write_measurements({name: found}, results_folder(results))
        rows = make_rows(wanted, stored, measured)
        if as_json:
            _print_json([row.to_dict() for row in rows])
        else:
            print(claims_text(rows))


# Further commands go here, each with an example in its docstring and `exit_codes()`.


def _run(
    trials: Any, shown: Any, store: Any, executor: Any, metric: str | None = None, goal: Any = "maximize",
    force: bool = False, epochs: bool = False,
) -> tuple[SweepResult, ReportModel]:  # fmt: skip
    from qbench.report.model import make_report
    from qbench.report.progress import progress_on
    from qbench.sweep.sweep import run_sweep

    with progress_on(sys.stderr, epochs) as progress:
        report = run_sweep(trials, shown, store, executor, progress, force)
    model = make_report(list(report.records.values()), len(shown), metric, goal)
    store.write_summary(model.as_dict())
    return report, model


def _leave(report: SweepResult, trials: Any, store: Any) -> None:
    """End with the exit code, after naming what went wrong."""
    labels = {trial.id: trial.label for trial in trials}
    for record in report.failed:
        print(f"failed: {labels[record.trial_id]}: {record.error}", file=sys.stderr)
        print(f"        traceback: {store.traceback_file(record.trial_id)}", file=sys.stderr)
    if report.interrupted:
        print("interrupted: what is done is kept; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(FAILED if report.failed else DONE)


def _as_dict(report: SweepResult, model: ReportModel, store: Any, **more: Any) -> dict[str, Any]:
    failures = [
        {"trial_id": r.trial_id, "error": r.error, "traceback": str(store.traceback_file(r.trial_id))}
        for r in report.failed
    ]
    found = {"output": str(store.folder), "ran": report.ran, "interrupted": report.interrupted, "failures": failures}
    return {**more, **found, **model.as_dict()}


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))


def _print_report(model: ReportModel) -> None:
    from qbench.report.terminal import draw, plain

    if sys.stdout.isatty():
        from rich.console import Console

        draw(model, Console())
    else:
        print(plain(model))


def _print_row(row: dict[str, Any]) -> None:
    from qbench.trial.metrics import METRICS, show

    width = max(len(key) for key in row)
    for key, value in row.items():
        print(f"{key:<{width}}  {show(key, value) if key in METRICS else '-' if value is None else value}")


def _print_trials(trials: tuple[PlannedTrial, ...], todo: list[PlannedTrial], folder: Path, as_json: bool) -> None:
    waiting = {trial.id for trial in todo}
    if as_json:
        _print_json(
            [
                {"trial_id": t.id, "training_key": t.training_key, "done": t.id not in waiting, **t.config.flat()}
                for t in trials
            ]
        )
        return
    for number, trial in enumerate(trials, start=1):
        state = "to run" if trial.id in waiting else "done"
        print(f"{number:>4}  {trial.id}  {state:<6}  {trial.label}")
    trainings = len({trial.training_key for trial in trials})
    print(f"{len(trials)} trials, {trainings} trainings, {len(todo)} to run; output: {folder}/")
=======
# In the order of `qbench --help`; a short help stands where the docstring's first line is too long for it.
app.command()(sweep)
app.command()(validate)
app.command()(train)
app.command(short_help="Print a network's memory, operations and energy; train nothing.")(estimate)
app.command()(ls)
app.command(short_help="Write a trained binary network as packed bits.")(export)
app.command(short_help="Run a packed network: accuracy and images per second.")(run_packed)
app.command(short_help="Print what this machine runs, for a bug report.")(doctor)
app.command(short_help="Calibrate a trained float32 network for INT8.")(calibrate)
app.command(short_help="Write a trained INT8 network as ONNX.")(export_onnx)
app.command(short_help="Print the papers' figures beside this project's.")(claims)
app.add_typer(bench, name="bench")
bench.command(short_help="Time packed products and networks beside torch's.")(kernels)
>>>>>>> w-d


def main() -> None:
    """Run the command, and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # `×` and `µ` in a terminal without them must not end the sweep
    app()
