"""The command line: `python -m benchmark run`, `list`, `speed`, `datasets`."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tabulate import tabulate

from benchmark.datasets import commands
from benchmark.errors import UserError, WorkerDied, unknown, visible
from benchmark.record.options import App
from benchmark.record.paths import absolute, all_entered, entered
from benchmark.record.sources import ROOT

if TYPE_CHECKING:
    pass

OWN = "own"
"""The suite whose tasks are for users' own networks."""

app = App(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Run models that read the weights of other neural networks, and compare them.",
)
app.add_typer(commands.app, name="datasets")


@app.callback()
def _root() -> None:
    pass


def _logger(name: str | None) -> str | None:
    if name not in (None, "tensorboard"):
        raise typer.BadParameter(f"{name!r} is not tensorboard")
    return name


def _executor(name: str | None) -> str | None:
    if name not in (None, "slurm"):
        raise typer.BadParameter(f"{name!r} is not slurm; without it runs are made on this machine")
    return name


@app.command()
def run(
    context: typer.Context,
    task: Annotated[
        str | None,
        typer.Argument(help="A task, as inr-classification, or all: every task of the suite."),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Datasets, methods, seeds and training budget to use: mini, or own for the tasks "
            "of users' own networks; or a file, ./mine.toml.",
        ),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Only these datasets: of the suite, folders, or OWNER/NAME[@REVISION] on the Hub.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="What to predict, of a dataset with several targets."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Only these methods, or all; mlp@aligned is mlp on unpermuted weights, and "
            "./mine.py:Mine a class in a file of your own.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Another value of a method's field, as often as you like. This makes trials, as "
            "do --steps and methods in files: they are kept apart, and none can be submitted.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train for so many steps instead of the suite's.")
    ] = None,
    show_test: Annotated[
        bool,
        typer.Option("--test", help="Show trials' results on the test split, too."),
    ] = False,
    seeds: Annotated[str | None, typer.Option(metavar="0,1", help="These seeds.")] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")
    ] = "auto",
    results: Annotated[
        Path, typer.Option(callback=entered, help="Folder for records, checkpoints and tables.")
    ] = Path("results"),
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Runs at a time; by default one per core, or one on a GPU. With 0 they are made "
            "in this process, where breakpoint() stops them.",
        ),
    ] = None,
    hub_mirror: commands.Mirror = None,
    core: Annotated[
        bool,
        typer.Option(
            "--core",
            help="One seed of the methods that the suite names as its core, for a first look.",
        ),
    ] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run again what has a record already.")
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0, help="Stop at a checkpoint after so long; the same command goes on from there."
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Keep the weights that were selected; benchmark.load gives the module."
        ),
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="tensorboard",
            callback=_logger,
            help="Also write each run's losses and validation results for TensorBoard.",
        ),
    ] = None,
    cells: Annotated[
        list[str] | None,
        typer.Option(
            "--cell",
            metavar="SUITE/TASK/DATASET/METHOD/SEED",
            help="Instead of a task: this cell, as often as you like, in this process. Others may "
            "make other cells in the same folder at the same time.",
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="slurm",
            callback=_executor,
            help="Make the runs in an array of Slurm's jobs, as many as --workers, or 8.",
        ),
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What each job asks Slurm for, as often as you like: partition=gpu, "
            "timeout_min=240, gpus_per_node=1, cpus_per_task=4, mem_gb=16, ...",
        ),
    ] = None,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Run nothing: print the table of what is there by now."),
    ] = False,
) -> None:
    """Run a suite's task and print its table.

    Every run leaves a record under the results folder. What has a record is not run again, and a
    run that was killed goes on from its last checkpoint: to go on, give the same command.
    """
    from benchmark.runs import event_files, invocation, trials
    from benchmark.runs.plan import CORE, plan

    _refuse_together(context)
    if hub_mirror:
        os.environ["NFT_BENCHMARK_HUB_MIRROR"] = str(hub_mirror)  # which workers inherit
    manner = invocation.Manner(results, device, workers, rerun, minutes, keep)
    if cells:
        invocation.make_cells(cells, manner, event_files.EventFiles(results) if log else None)
        return
    names, numbers = _names(methods), _seeds(seeds)
    if core:
        names, numbers = names or [CORE], numbers or [0]
    names, trial = trials.read(names, changes or (), steps)
    if trial:
        results = results / trials.FOLDER
    runs = plan(_suite(suite, task), task, _names(datasets), names, numbers, target, trial)
    manner = replace(manner, results=results)
    if collect:
        invocation.collect(runs, results, invocation.Shown(trial, show_test))
        return
    shown = invocation.Shown(trial, show_test, event_files.EventFiles(results) if log else None)
    if executor:
        invocation.run_on_slurm(runs, manner, slurm or (), shown)
    else:
        invocation.run_here(runs, manner, shown)


@app.command()
def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...", callback=all_entered, help="Results folders of other machines."
        ),
    ],
    results: Annotated[
        Path, typer.Option(callback=entered, help="Folder that they are copied into.")
    ] = Path("results"),
) -> None:
    """Copy the records of several machines into one results folder.

    With them go their predictions, curves and kept weights. Nothing is copied where a file is
    damaged or a cell has two results. Given again, the command copies what is new.
    """
    from benchmark.runs import merge as merging

    copied, standing = merging.merge(folders, results)
    typer.echo(f"{copied} records copied into {results}; {standing} cells had theirs already")
    typer.echo(f"their table: python -m leaderboard build --records {results}", err=True)


@app.command()
def tune(
    method: Annotated[str, typer.Argument(help="A method or variant, as nft.")],
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="A dataset of the suite; without, the first of each task that the method does."
        ),
    ] = None,
    suite: Annotated[
        str, typer.Option(help="Suite whose training is tuned for, and whose settings are written.")
    ] = "mini",
) -> None:
    """Search a method's settings on validation, and write the suite's settings from the log.

    The space is what the method's class declares. The budget is the same for every method: 20
    trials and half an hour of CPU time, of which successive halving gives up the worse half after a
    quarter and half of their steps. The test split is not read. A search that was killed goes on
    from its log: give the same command. Commit the log and the settings together.
    """
    import torch

    from benchmark.datasets import locate
    from benchmark.runs.environment import keep_freed_memory
    from benchmark.suites import settings
    from benchmark.tuning import chosen, search
    from benchmark.tuning.display import Display, summary

    torch.set_num_threads(1)  # as in runs, whose results do not depend on the number of cores
    keep_freed_memory()
    undecided = False
    for task, name in chosen.places(suite, method, dataset):
        known, _ = locate.load(name)
        prepared = search.prepare(suite, task, method, known)
        path = settings.log_path(suite, method, name)
        try:
            with Display() as display:
                log = search.conduct(prepared, path, display)
        except KeyboardInterrupt:
            typer.echo("stopped; the same command goes on from here", err=True)
            raise typer.Exit(130) from None
        written = chosen.settle(log)
        undecided |= written is None
        typer.echo(f"{summary(log)}\nlog: {path}\nsettings: {written or 'as they were'}")
    if undecided:
        raise typer.Exit(1)


@app.command("equal-seconds")
def equal_seconds(
    suite: Annotated[
        str, typer.Argument(help="A suite that names a yardstick, as mini-seconds.")
    ] = "mini-seconds",
) -> None:
    """Time each method of a suite, and give it the steps that take as long as the yardstick's.

    Let nothing else run meanwhile. The steps are written into the suite's file, and are data from
    then on: whoever runs the suite has the same steps.
    """
    import torch

    from benchmark import suites
    from benchmark.datasets import locate
    from benchmark.runs.environment import keep_freed_memory
    from benchmark.tuning import seconds

    torch.set_num_threads(1)
    keep_freed_memory()
    for task in seconds.tasks_of(suite):
        dataset, _ = locate.load(suites.get(suite).tasks[task].datasets[0])
        measured = seconds.measure(suite, task, dataset)
        rows = [(name, f"{pace.seconds:.1f}", pace.steps) for name, pace in measured.items()]
        typer.echo(tabulate(rows, headers=(task, "CPU seconds", "steps"), tablefmt="simple"))
        typer.echo(f"suite: {seconds.write(suite, task, measured)}")


@app.command("list")
def list_all() -> None:
    """Print the tasks, suites, datasets, arms and methods there are."""
    import baselines
    from benchmark import arms, suites, tasks
    from benchmark.datasets import catalog

    def show(heading: str, rows: list[tuple[str, ...]]) -> None:
        lines = [("  " + name, *descriptions) for name, *descriptions in rows]
        typer.echo(f"{heading}:\n{tabulate(lines, tablefmt='plain')}\n")

    show("tasks", [(name, task.title) for name, task in tasks.registry().items()])
    show("suites", [(name, suite.note) for name, suite in suites.registry().items()])
    show("datasets", [(name, entry.title) for name, entry in catalog.catalog().items()])
    show("arms", [(name, arm.__doc__ or "") for name, arm in arms.registry().items()])
    methods = [
        (
            name,
            f"{row.title} [{row.paper}]",
            "runs the networks" if row.method.reads_functions else "reads weights",
            ", ".join(task for task in row.method.tasks if task not in suites.get(OWN).tasks),
            ", ".join(row.method.symmetries) or "none",
        )
        for name, row in baselines.registry().items()
    ]
    show("methods (what they may look at, their tasks, the symmetries they claim)", methods)


@app.command()
def conform(name: Annotated[str, typer.Argument(help="A method.")]) -> None:
    """Check that a method keeps its contract: shapes, seeds, symmetry, no use of test targets."""
    import torch

    from benchmark.checks import conformance

    torch.set_num_threads(1)  # as in runs; where cores are shared, more threads only wait
    findings = conformance.conform(name)
    signs = {True: "ok", False: "FAILS", None: "-"}
    typer.echo(
        tabulate(
            [(signs[finding.holds], finding.what, finding.detail) for finding in findings],
            tablefmt="plain",
        )
    )
    if any(finding.holds is False for finding in findings):
        raise typer.Exit(1)


@app.command()
def audit(
    names: Annotated[
        list[str] | None, typer.Argument(help="Methods; all of suite mini by default.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps before the second look.")] = 200,
    note: Annotated[
        bool, typer.Option("--note", help="Write the result to the file that the board reads.")
    ] = False,
) -> None:
    """Measure how far methods' outputs move where the networks' functions do not.

    Networks are changed by each symmetry of their neurons: order, sign, phase, scale, a neuron
    twice, a neuron that leads nowhere. A movement is relative to the distance between a method's
    outputs for different networks. A method that does not have a symmetry it claims fails.
    """
    from benchmark.checks import audit as audits
    from benchmark.record import symmetries

    measured = audits.audit(
        names,
        lambda method: typer.echo(f"audit: {method}", err=True),
        steps=steps,
        workers=os.cpu_count() or 1,
    )
    typer.echo(audits.table(measured))
    if note:
        symmetries.write(measured)
        typer.echo(f"noted: {symmetries.FOLDER}")
    violations = audits.violations(measured)
    for line in violations:
        typer.echo(line, err=True)
    raise typer.Exit(1 if violations else 0)


@app.command()
def variance(
    names: Annotated[list[str], typer.Argument(help="Methods, as statnn nft.")],
    results: Annotated[
        Path,
        typer.Option(callback=entered, help="Folder where networks that are fitted anew are kept."),
    ] = Path("results"),
    hub_mirror: commands.Mirror = None,
    note: Annotated[
        bool, typer.Option("--note", help="Write the result to the file that the board reads.")
    ] = False,
) -> None:
    """Measure where the variance of results comes from, for methods of INR classification.

    The seed of training, the starts of the networks and the order of their neurons are drawn anew
    five times each, while all else stays. Networks are fitted anew from their source images.
    """
    from benchmark.checks import variance as variances
    from benchmark.record import variance as records

    spreads = []
    for name in names:
        spreads += variances.measure(
            name, results, hub_mirror, lambda line: typer.echo(line, err=True)
        )
    typer.echo(records.table(spreads))
    if note:
        records.write(spreads)
        typer.echo(f"noted: {records.PATH}")


@app.command()
def canary(
    commit: Annotated[
        str | None, typer.Argument(help="Compare with this commit's code; without, with the board.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Note nothing; fail where a noted equivalence does not hold."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            callback=entered, help="Only measure, and write what was measured to this file."
        ),
    ] = None,
) -> None:
    """Compare bit by bit what this code computes here with a commit's code, or with the board.

    Every method, stage and task goes through its whole protocol squeezed into 16 steps. Where a
    commit's results are bit-equal, its records stay ranked under the present code.
    """
    from benchmark.checks import canary as canaries

    def measure() -> canaries.Canaries:
        return canaries.measure(lambda line: typer.echo(f"canary: {line}", err=True))

    if output is not None:
        canaries.write(measure(), output)
        return
    # What there is to compare with comes first: a wrong commit is named at once.
    if commit is None:
        before = canaries.read(canaries.COMMITTED)
    else:
        full, before = canaries.measure_at(commit)
    now = measure()
    compared = canaries.compare(before, now)
    for cell in compared.other:
        typer.echo(f"other results: {cell}")
    for cell in compared.alone:
        typer.echo(f"nothing to compare with: {cell}")
    total = len(compared.equal) + len(compared.other)
    typer.echo(f"{len(compared.equal)} of {total} cells are bit-equal")
    typer.echo(f"there: {before.machine}\nhere: {now.machine}")
    if commit is not None and check:
        for cell in (claims := canaries.false_claims(before, now)):
            typer.echo(f"noted as equivalent, and is not: {cell}", err=True)
        raise typer.Exit(1 if claims else 0)
    if commit is not None:
        for path in canaries.add_equivalences(full, before, now):
            typer.echo(f"noted: {path}")


@app.command()
def hidden(
    cell: Annotated[str, typer.Argument(metavar="SUITE/TASK/DATASET/NAME/SEED", help="A cell.")],
    draw: Annotated[
        str | None,
        typer.Option(help="What seed and networks' order are drawn from.", show_default="a secret"),
    ] = None,
) -> None:
    """Run a cell in a sandbox, under conditions that are drawn now; prints the result as JSON."""
    import json
    from dataclasses import asdict

    import torch

    from benchmark.checks import hidden as conditions
    from benchmark.record.cell import Cell

    torch.set_num_threads(1)
    typer.echo(json.dumps(asdict(conditions.rerun(Cell.parse(cell), draw))))


@app.command()
def describe(
    names: Annotated[list[str] | None, typer.Argument(help="Methods; all by default.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file would change.")
    ] = False,
) -> None:
    """Write what the code says of methods, with what they cost: records are held against it."""
    from benchmark.checks import descriptions

    texts = descriptions.describe(names)
    paths = descriptions.stale(texts) if check else descriptions.write(texts)
    for path in paths:
        typer.echo(f"{path} differs from what the code says" if check else path)
    raise typer.Exit(bool(check and paths))


@app.command("new-method")
def new_method(
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits, hyphens.")],
) -> None:
    """Write baselines/NAME.py: a method that runs as it is, to change into yours."""
    from benchmark.checks import new_method as scaffold

    path = scaffold.write(name)
    typer.echo(f"{path}\nrun it: nox -s benchmark-inr -- --methods {name}")


@app.command()
def speed(
    cases: Annotated[
        str | None, typer.Option(metavar="A;B", help="Only these comparisons, with ; between them.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")
    ] = "auto",
    output: Annotated[
        Path, typer.Option(callback=entered, help="Folder for speed.json, SPEED.md and a plot.")
    ] = Path("results/speed"),
    dwsnets: Annotated[
        Path | None,
        typer.Option(
            callback=entered,
            help="A clone of AvivNavon/DWSNets, whose layer is timed beside ours, too.",
        ),
    ] = None,
) -> None:
    """Time our layers beside those published with the papers; let nothing else run meanwhile."""
    from benchmark.runs.environment import resolve_device
    from benchmark.speed import cases as known
    from benchmark.speed import report

    where = resolve_device(device)
    names = [name.strip() for name in cases.split(";")] if cases else None
    if strange := set(names or ()) - set(known.cases(where, dwsnets)):
        raise unknown("comparison", min(strange), known.cases(where, dwsnets))

    def tell(name: str) -> None:
        typer.echo(f"timing: {name}", err=True)

    measured = report.measure(where, names, tell, dwsnets=dwsnets)
    report.write(measured, output)
    typer.echo(report.compared_table(measured, "simple"))
    if measured["growth"]:
        typer.echo("\n" + report.growth_table(measured, "simple"))
    typer.echo(f"\nreport: {output / 'SPEED.md'}", err=True)


BESIDE_CELLS = ("cells", "device", "results", "hub_mirror", "rerun", "minutes", "keep", "log")
"""The options of `run` that may stand beside --cell."""


def _refuse_together(context: typer.Context) -> None:
    """Raise UserError for options of which one has no meaning beside another."""
    given = {
        parameter.name: parameter
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name).name == "COMMANDLINE"
    }
    for name, parameter in given.items():
        if "cells" in given and name not in BESIDE_CELLS:
            said = "a task" if name == "task" else parameter.opts[0]
            raise UserError(f"{said} has no meaning beside --cell, which names a run whole")
    if not {"cells", "task"} & given.keys():
        raise UserError(
            "name a task, as inr-classification, or all; or cells, --cell "
            "SUITE/TASK/DATASET/METHOD/SEED; python -m benchmark list shows what there is"
        )
    if "slurm" in given and "executor" not in given:
        raise UserError("--slurm is for --executor slurm: give both")
    if {"executor", "minutes"} <= given.keys():
        raise UserError("--minutes is for this machine; jobs have --slurm timeout_min=MINUTES")


def _suite(named: str | None, task: str) -> str:
    """The suite that is named; else that of users' own networks for its tasks, and mini."""
    from benchmark import suites

    if named is None:
        return OWN if task in suites.get(OWN).tasks else suites.MINI
    return str(absolute(named)) if suites.is_file(named) else named


def _names(given: str | None) -> list[str] | None:
    if given is None:
        return None
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise UserError(
            "a list of names is empty; give names with commas between them, or leave the option out"
        )
    return names


def _seeds(given: str | None) -> list[int] | None:
    names = _names(given)
    try:
        return None if names is None else [int(name) for name in names]
    except ValueError:
        raise UserError(
            f"seeds are whole numbers with commas between them, not {given!r}"
        ) from None


def _refuse_other_packages() -> None:
    """Raise UserError where Python finds another package by the name of one that lies beside."""
    for name in ("baselines", "leaderboard"):
        found = importlib.util.find_spec(name)
        place = Path(found.origin).resolve() if found and found.origin else None
        if place != ROOT / name / "__init__.py":
            raise UserError(
                f"{place or name} is another package than this project's {name}: run "
                f"from {ROOT}, or use the command nft-benchmark, which finds its own"
            )


def main() -> None:
    """Run the command line.

    Exits with 0, with 1 for failed runs, 2 for a mistake, 3 where --minutes were over, 130 for
    Ctrl-C.
    """
    try:
        _refuse_other_packages()
        app()
    except (WorkerDied, OSError) as error:  # a killed worker, a full disk: the machine's doing
        print(f"error: {visible(str(error))}", file=sys.stderr)
        sys.exit(1)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
