"""The command line of the datasets: `python -m benchmark datasets ...`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from tabulate import tabulate

from benchmark.errors import UserError
from benchmark.record.options import App
from benchmark.record.paths import absolute, entered, regular

if TYPE_CHECKING:
    from benchmark.datasets.catalog import Entry
    from benchmark.datasets.storage import Manifest

app = App(rich_markup_mode=None, no_args_is_help=True, help="Weight-space datasets.")

Name = Annotated[str, typer.Argument(help="A dataset of the catalogue.")]
Anywhere = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FOLDER|OWNER/NAME",
        help="A dataset: of the catalogue, in a folder, or on the Hub, there also with @REVISION.",
    ),
]
Mirror = Annotated[
    Path | None,
    typer.Option(
        callback=entered,
        help="Folder laid out like the Hub, to read instead of it; also NFT_BENCHMARK_HUB_MIRROR.",
    ),
]


@app.command("list")
def list_all() -> None:
    """Print every dataset of the catalogue, its size, and where it is available."""
    from benchmark.datasets import catalog, locate

    rows = []
    for name, entry in catalog.catalog().items():
        recipe = entry.recipe
        if copy := locate.local(entry):
            place = f"here: {copy.origin}"
        elif entry.published:
            place = "on the Hub"
        else:
            place = f"not published: {'build' if recipe else 'import'} it"
        sizes = (f"{recipe.networks:,}", f"{recipe.spec.parameters:,}") if recipe else ("", "")
        rows.append((name, *sizes, place))
    headers = ("dataset", "networks", "parameters", "where")
    typer.echo(
        tabulate(
            rows,
            headers=headers,
            disable_numparse=True,
            colalign=("left", "right", "right", "left"),
        )
    )


@app.command()
def pull(name: Anywhere, hub_mirror: Mirror = None) -> None:
    """Download a dataset, or what is missing of it, and verify it."""
    from benchmark.datasets import catalog, locate, storage

    copy = locate.folder_of(name, hub_mirror)
    if name in catalog.catalog():
        dataset, _ = locate.load(name, hub_mirror)
        manifest = dataset.manifest
    else:
        manifest = storage.verify(copy.folder)
    typer.echo(f"{copy.folder}: {copy.origin}, fingerprint {manifest.fingerprint}")


@app.command()
def build(
    name: Name,
    output: Annotated[
        Path | None, typer.Option(callback=entered, help="Folder to write; by default the cache.")
    ] = None,
    hub_mirror: Mirror = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")
    ] = "auto",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Build about that many networks, as a dataset of its own."),
    ] = None,
) -> None:
    """Build a dataset, or what is missing of it, by its recipe.

    An interrupted build goes on from its last whole shard. One that is complete is verified.
    """
    from benchmark.datasets import build as builder
    from benchmark.datasets import catalog, locate
    from benchmark.runs.environment import resolve_device

    entry = catalog.entry(name)
    if entry.recipe is None:
        raise UserError(
            f"{name} has no recipe; to read the published files: "
            f"python -m benchmark datasets import {name} FOLDER"
        )
    if limit:
        update = {
            "name": f"{name}-first-{limit}",
            "recipe": entry.recipe.limited(limit),
            "fingerprint": None,
        }
        entry = entry.model_copy(update=update)
    folder = output or locate.cache_folder() / "datasets" / entry.name
    if _is_whole(folder):
        manifest = builder.verify(entry, folder)
        typer.echo(f"{folder}: built already, and whole; fingerprint {manifest.fingerprint}")
        _check_fingerprint(entry, manifest)
        return
    _check_folder(folder)
    mirror = locate.mirror_folder(hub_mirror)
    where = resolve_device(device)
    entry.recipe.examples(entry.images, mirror)  # fails now if images are missing, not later
    seconds = builder.estimate(entry, where)
    typer.echo(f"{entry.recipe.networks:,} networks, about {_duration(seconds)} here", err=True)
    columns = (
        TextColumn("fitting networks"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("", total=entry.recipe.networks)
            manifest = builder.build(
                entry, folder, mirror, where, lambda done: progress.advance(bar, done)
            )
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from the last whole shard", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{folder}: fingerprint {manifest.fingerprint}")
    _check_fingerprint(entry, manifest)
    if not limit:
        _check_statistics(entry, manifest, folder)


@app.command("import")
def import_published(
    name: Name,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", callback=entered, help="The folder of the published files, unpacked."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(callback=entered, help="Folder to write; by default the cache.")
    ] = None,
) -> None:
    """Convert published files on this machine into the benchmark's format.

    No code in them is run.
    """
    from benchmark.datasets import catalog, importers, locate

    entry = catalog.entry(name)
    if entry.importer is None:
        raise UserError(
            f"{name} is not imported but built: python -m benchmark datasets build {name}"
        )
    folder = output or locate.cache_folder() / "datasets" / name
    if _is_whole(folder):
        manifest = importers.verify(entry.importer, name, folder)
        typer.echo(f"{folder}: imported already, and whole; fingerprint {manifest.fingerprint}")
        return
    _check_folder(folder)
    columns = (
        TextColumn("reading networks"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("")
        manifest = importers.import_original(
            entry.importer,
            name,
            entry.title,
            entry.images,
            source,
            folder,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    typer.echo(f"{folder}: {manifest.rows:,} networks, fingerprint {manifest.fingerprint}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits, hyphens.")],
    source: Annotated[
        Path,
        typer.Option(
            "--from",
            callback=entered,
            help="Folder of the networks' state_dicts (.pt, .pth, .safetensors), or the file of "
            "one tensor [networks, parameters] of them all.",
        ),
    ],
    table: Annotated[
        Path,
        typer.Option(
            callback=entered, help="CSV or parquet file with a row for each network, in any order."
        ),
    ],
    activation: Annotated[
        str, typer.Option(metavar="NAME|COLUMN", help="Of the networks, or its column: relu, ...")
    ],
    targets: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns of numbers to predict.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns of classes to predict.")
    ] = None,
    file: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of the files, from the folder.")
    ] = "file",
    like: Annotated[
        Path | None,
        typer.Option(callback=entered, help="A state_dict that says how a tensor's row is read."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column that says train, validation or test."),
    ] = None,
    fractions: Annotated[
        str,
        typer.Option(metavar="A,B", help="Of training and validation, drawn without --split."),
    ] = "0.7,0.1",
    group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Networks alike there come into one split."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the splits that are drawn.")] = 0,
    omega: Annotated[float, typer.Option(help="Factor inside the sines of SIRENs.")] = 0.0,
    scale: Annotated[float, typer.Option(help="Factor of a SIREN's outputs.")] = 1.0,
    prefix: Annotated[
        str, typer.Option(help="Beginning of the names of a state_dict's entries to read.")
    ] = "",
    order: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="All modules with weights, in the order of computing."),
    ] = None,
    fold_batch_norm: Annotated[
        float | None,
        typer.Option(
            metavar="EPSILON",
            help="Fold batch norms, which come before activations, into the layers before them; "
            "PyTorch's epsilon is 1e-5.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="For the card.")] = None,
    licence: Annotated[str | None, typer.Option(help="For the card, as cc-by-4.0.")] = None,
    authors: Annotated[str | None, typer.Option(help="For the card.")] = None,
    text: Annotated[
        Path | None,
        typer.Option(callback=entered, help="Markdown file with your words for the card."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            callback=entered, help="Folder to write.", show_default="NAME, in this folder"
        ),
    ] = None,
) -> None:
    """Make a dataset of your own networks, to run every method on.

    Columns of the table that are not named are kept beside the networks.
    """
    from pydantic import ValidationError

    from benchmark.datasets import own

    try:
        options = own.Options(
            targets=_listed(targets),
            classes=_listed(classes),
            file=file,
            activation=activation,
            omega=omega,
            scale=scale,
            prefix=prefix,
            order=_listed(order) or None,
            fold_batch_norm=fold_batch_norm,
            split=split,
            fractions=_listed(fractions),
            group=group,
            seed=seed,
            title=title,
            licence=licence,
            authors=authors,
            text=_text(text),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"--{part}: " for part in first["loc"][:1])
        raise UserError(f"{where}{first['msg'].removeprefix('Value error, ')}") from None
    folder = output or absolute(name)
    columns = (TextColumn("reading networks"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("")
        manifest = own.make(
            name,
            source,
            table,
            folder,
            options,
            like,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    typer.echo(f"{folder}: {manifest.rows:,} networks, fingerprint {manifest.fingerprint}")
    for target, names in manifest.targets.items():
        task = "classification" if names else "regression"
        typer.echo(
            f"python -m benchmark run {task} --datasets {shlex.quote(str(folder))} "
            f"--target {shlex.quote(target)}"
        )


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def _text(path: Path | None) -> str:
    try:
        return regular(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error})") from None


@app.command()
def verify(target: Anywhere) -> None:
    """Check every file, every network and the fingerprint of a dataset on this machine.

    A paper's dataset is also held against the statistics that are published of its weights.
    """
    from benchmark.datasets import catalog, foreign, locate, storage

    if target in catalog.catalog():
        entry = catalog.entry(target)
        copy = locate.local(entry)
        folder = copy and copy.folder
    else:
        entry, place = None, foreign.find(target)
        folder = place.local if (place.local / "manifest.json").is_file() else None
    if folder is None:
        raise UserError(
            f"{target} is not on this machine; "
            + (
                locate.remedy(entry)
                if entry
                else f"to download it: python -m benchmark datasets pull {target}"
            )
        )
    manifest = storage.verify(folder)
    if entry is not None:
        locate.check(entry, manifest, folder)
    typer.echo(
        f"{manifest.name}: {manifest.rows:,} networks, whole; fingerprint {manifest.fingerprint}"
    )
    if entry is not None:
        _check_statistics(entry, manifest, folder)


@app.command()
def trace(
    name: Name,
    networks: Annotated[int, typer.Option(min=2, help="Networks of each fit.")] = 256,
    hub_mirror: Mirror = None,
    note: Annotated[
        bool, typer.Option("--note", help="Write the result to the file that the board reads.")
    ] = False,
) -> None:
    """Hold a recipe and its neighbours against the statistics published of a paper's networks.

    Networks are fitted with fewer and more steps, at other rates, and without weight decay.
    """
    from benchmark.checks import traces
    from benchmark.record import traces as records

    measured = traces.measure(name, networks, hub_mirror, lambda line: typer.echo(line, err=True))
    typer.echo(records.table(measured))
    if note:
        typer.echo(f"noted: {records.write(measured)}")


@app.command()
def push(
    dataset: Anywhere,
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Its repository on the Hub.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Create the repository as a private one.")
    ] = False,
) -> None:
    """Verify a dataset, publish it on the Hub, and print how it is run, or catalogued."""
    from benchmark.datasets import hub, locate, storage

    folder = locate.folder_of(dataset).folder
    published = hub.publish(folder, repository, private=private)
    manifest = storage.read_manifest(folder)
    if manifest.targets:
        typer.echo(f"run it anywhere: --datasets {published.repository}@{published.revision}")
        return
    typer.echo(f'fingerprint = "{manifest.fingerprint}"')
    place = f'repository = "{published.repository}", revision = "{published.revision}"'
    typer.echo(f"published = {{ {place} }}")


def _is_whole(folder: Path) -> bool:
    """Whether a dataset was written to its end, where its card is; a kill before leaves none."""
    return (folder / "manifest.json").exists() and (folder / "README.md").exists()


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; choose another --output")


def _check_fingerprint(entry: Entry, manifest: Manifest) -> None:
    if entry.fingerprint not in (None, manifest.fingerprint):
        raise UserError(
            f"the catalogue's {entry.name} has fingerprint {entry.fingerprint}: "
            "these are other weights"
        )


def _check_statistics(entry: Entry, manifest: Manifest, folder: Path) -> None:
    """Print how far a dataset is from what is published of its paper's.

    Raises UserError where it is too far, or of another recipe.
    """
    from benchmark.datasets import locate, statistics, storage

    if entry.statistics is None:
        return
    known = statistics.get(entry.statistics)
    if known is None:
        typer.echo("no statistics of the paper's networks are published")
        return
    weights = (part.weights for part in storage.stream(folder, "train"))
    compared = locate.comparisons(entry, manifest, weights)
    if not compared:
        raise UserError(f"{folder}: built by another recipe than the catalogue's; rebuild it")
    typer.echo(f"{known.title}, {known.networks:,} training networks: {known.source}")
    typer.echo(statistics.table(compared))
    if off := [one.name for one in compared if not one.agrees]:
        raise UserError(f"{folder}: not the paper's networks, by the {', the '.join(off)}")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
