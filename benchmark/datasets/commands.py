"""The command line of the datasets: `python -m benchmark datasets ...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from tabulate import tabulate

from benchmark.errors import UserError

if TYPE_CHECKING:
    from benchmark.datasets.catalog import Entry
    from benchmark.datasets.storage import Manifest

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Weight-space datasets.")

Name = Annotated[str, typer.Argument(help="A dataset of the catalogue.")]
Mirror = Annotated[
    Path | None,
    typer.Option(
        help="Folder laid out like the Hub, to read instead of it; also NFT_BENCHMARK_HUB_MIRROR."
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
def pull(name: Name, hub_mirror: Mirror = None) -> None:
    """Download a dataset, or what is missing of it, and verify it."""
    from benchmark.datasets import catalog, locate

    copy = locate.pull(catalog.entry(name), hub_mirror)
    dataset, _ = locate.load(name, hub_mirror)
    typer.echo(f"{copy.folder}: {copy.origin}, fingerprint {dataset.manifest.fingerprint}")


@app.command()
def build(
    name: Name,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; by default the cache.")
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
    if (folder / "manifest.json").exists():
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


@app.command("import")
def import_published(
    name: Name,
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="The folder of the published files, unpacked."),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; by default the cache.")
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
    if (folder / "manifest.json").exists():
        raise UserError(
            f"{folder} holds a dataset already; remove it to import it again, "
            "or choose another --output"
        )
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
def verify(
    target: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER", help="A dataset of the catalogue, or a folder.")
    ],
) -> None:
    """Check every file, every network and the fingerprint of a dataset on this machine."""
    from benchmark.datasets import catalog, locate, storage

    if target not in catalog.catalog():
        if not Path(target).is_dir():
            raise UserError(f"{target!r} is neither a dataset of the catalogue nor a folder")
        manifest = storage.verify(Path(target))
    else:
        entry = catalog.entry(target)
        copy = locate.local(entry)
        if copy is None:
            raise UserError(
                f"{target} is not on this machine; "
                f"to download it: python -m benchmark datasets pull {target}"
            )
        manifest = storage.verify(copy.folder)
        locate.check(entry, manifest, copy.folder)
    typer.echo(
        f"{manifest.name}: {manifest.rows:,} networks, whole; fingerprint {manifest.fingerprint}"
    )


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Its repository on the Hub.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Create the repository as a private one.")
    ] = False,
) -> None:
    """Verify a dataset, publish it on the Hub, and print its lines for the catalogue."""
    from benchmark.datasets import hub, storage

    published = hub.publish(folder, repository, private=private)
    manifest = storage.read_manifest(folder)
    typer.echo(f'fingerprint = "{manifest.fingerprint}"')
    place = f'repository = "{published.repository}", revision = "{published.revision}"'
    typer.echo(f"published = {{ {place} }}")


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; choose another --output")


def _check_fingerprint(entry: Entry, manifest: Manifest) -> None:
    if entry.fingerprint not in (None, manifest.fingerprint):
        raise UserError(
            f"the catalogue's {entry.name} has fingerprint {entry.fingerprint}: "
            "these are other weights"
        )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
