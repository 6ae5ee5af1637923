"""The command line of the datasets: `python -m benchmark datasets ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from tabulate import tabulate

from benchmark.errors import UserError

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
    """Print every dataset of the catalogue, its size, and where it is to be had."""
    from benchmark.datasets import catalog, locate

    rows = []
    for name, entry in catalog.catalog().items():
        found = locate.local(entry)
        to_make = "build it" if entry.recipe else "import it"
        place = (
            f"here: {found.origin}"
            if found
            else "on the Hub"
            if entry.published
            else f"not published: {to_make}"
        )
        recipe = entry.recipe
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
    """Bring a dataset onto this machine and verify it; an interrupted download goes on where it was."""
    from benchmark.datasets import catalog, locate

    found = locate.pull(catalog.entry(name), hub_mirror)
    dataset, _ = locate.load(name, hub_mirror)
    typer.echo(f"{found.folder}: {found.origin}, fingerprint {dataset.manifest.fingerprint}")


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
        int | None, typer.Option(min=1, help="About that many networks only: a dataset of its own.")
    ] = None,
) -> None:
    """Make a dataset from its source images. An interrupted build goes on from its last whole shard."""
    from benchmark.datasets import build as builder
    from benchmark.datasets import catalog, locate
    from benchmark.runs.environment import resolve_device

    entry = catalog.entry(name)
    if entry.recipe is None:
        raise UserError(
            f"{name} has no recipe; python -m benchmark datasets import {name} FOLDER reads the published files"
        )
    if limit:
        changed = {
            "name": f"{name}-first-{limit}",
            "recipe": entry.recipe.limited(limit),
            "fingerprint": None,
        }
        entry = entry.model_copy(update=changed)
    mirror = locate.mirror_folder(hub_mirror)
    folder = _new_folder(output or locate.cache_folder() / "datasets" / entry.name)
    where = resolve_device(device)
    entry.recipe.examples(entry.images, mirror)  # images that cannot be had are found now
    typer.echo(
        f"{entry.recipe.networks:,} networks, about {_duration(builder.estimate(entry, where))} here",
        err=True,
    )
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
    if entry.fingerprint not in (None, manifest.fingerprint):
        raise UserError(
            f"the catalogue's {name} has fingerprint {entry.fingerprint}: these are other weights"
        )


@app.command("import")
def import_published(
    name: Name,
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="The folder that its authors published, unpacked."),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; by default the cache.")
    ] = None,
) -> None:
    """Bring a published original into the one format, from files on this machine. Nothing in them is executed."""
    from benchmark.datasets import catalog, importers, locate

    entry = catalog.entry(name)
    if entry.importer is None:
        raise UserError(
            f"{name} is not imported but built: python -m benchmark datasets build {name}"
        )
    folder = _new_folder(output or locate.cache_folder() / "datasets" / name)
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
        found = locate.local(catalog.entry(target))
        if found is None:
            raise UserError(
                f"{target} is not on this machine; bring it with: python -m benchmark datasets pull {target}"
            )
        manifest = storage.verify(found.folder)
        if catalog.entry(target).fingerprint not in (None, manifest.fingerprint):
            raise UserError(
                f"{found.folder}: whole, but not the catalogue's {target}: its fingerprint differs"
            )
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
    """Publish a verified dataset on the Hub, and print what the catalogue must say of it."""
    from benchmark.datasets import hub, storage

    published = hub.publish(folder, repository, private=private)
    manifest = storage.read_manifest(folder)
    typer.echo(f'fingerprint = "{manifest.fingerprint}"')
    typer.echo(
        f'published = {{ repository = "{published.repository}", revision = "{published.revision}" }}'
    )


def _new_folder(folder: Path) -> Path:
    if (folder / "manifest.json").exists():
        raise UserError(
            f"{folder} holds a dataset already; remove it to make it anew, or choose another --output"
        )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is no folder; choose another --output")
    return folder


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
