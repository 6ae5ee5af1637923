"""The static site, which works from a file and offline.

One page has all tables; each method and dataset has a page, as have verdicts and statistics.
"""

from __future__ import annotations

import ast
import base64
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from benchmark.datasets import listing
from benchmark.record import metrics, sources, symmetries
from leaderboard.archive import lints, provenance, tables
from leaderboard.archive.entries import Archive, Entry
from leaderboard.archive.tables import Board
from leaderboard.publish import figures, pages, render, starts, symmetry
from leaderboard.publish.text import visible
from leaderboard.reported import Reported, check

HERE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class MethodPage:
    """What a method's page shows.

    card: the docstrings of the method's file.
    movements: how far its outputs move under changes of networks, plotted.
    symmetries: those that were measured.
    rows: its entrants, with the board of each.
    """

    name: str
    title: str
    paper: str
    source: str | None
    card: str
    rows: Sequence[tuple[Board, tables.Row]]
    entries: Sequence[Entry]
    curves: Markup
    movements: Markup
    symmetries: str


def build(
    archive: Archive, boards: Sequence[Board], rows: Sequence[Reported], folder: Path
) -> Path:
    """Write the site into a folder, whose content it replaces.

    Args:
        archive: The committed records.
        boards: The boards of the archive's current records.
        rows: The reported numbers.
        folder: The site's folder.

    Returns:
        The front page.

    Raises:
        ValueError: The folder holds something else than a site.
    """
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "index.html").is_file():
            raise ValueError(f"{folder} holds something else than a site; choose another folder")
        shutil.rmtree(folder)
    records = [entry.record for entry in archive.current]
    checked, gaps = check.check(rows, records), check.gaps(rows, records)
    environment = _environment()
    methods, datasets = _methods(boards, archive), _datasets(boards)
    prose = MarkdownIt("commonmark", {"html": False}).enable("table")
    symmetry_text = pages.symmetry_page(archive)
    shared = {
        "boards": boards,
        "methods": methods,
        "datasets": datasets,
        "checked": checked,
        "gaps": gaps,
        "history": pages.history(archive),
        "held": {page.name: page.symmetries for page in methods},
        "odd": lints.warnings(archive.current),
        "costs": {board.name: figures.costs(board) for board in boards},
        "differences": {board.name: figures.critical_difference(board) for board in boards},
        # Our own texts, without HTML.
        "method_text": Markup(prose.render(pages.method())),  # noqa: S704
        "symmetry_text": Markup(prose.render(symmetry_text)),  # noqa: S704
    }
    folder.mkdir(parents=True)
    (folder / "symmetry.svg").write_text(symmetry.figure(), encoding="utf-8")
    (folder / "starts.svg").write_text(starts.figure(records), encoding="utf-8")
    for name in ("index.html", "verdicts.html", "symmetry.html", "statistics.html", "about.html"):
        _write(folder / name, environment, name, root="", page=name, **shared)
    for page in methods:
        verdicts = [verdict for verdict in checked if verdict.row.method == page.title]
        _write(
            folder / "methods" / f"{page.name}.html",
            environment,
            "method.html",
            root="../",
            page="",
            it=page,
            verdicts=verdicts,
            **shared,
        )
    for page in datasets:
        _write(
            folder / "datasets" / f"{page['name']}.html",
            environment,
            "dataset.html",
            root="../",
            page="",
            it=page,
            **shared,
        )
        for picture in page["pictures"]:
            shutil.copyfile(picture, folder / "datasets" / f"{page['name']}-{picture.name}")
    _write_tables(folder / "tables", boards)
    _write_assets(folder / "assets")
    return folder / "index.html"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "publish" / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    environment.globals |= {
        "plain": render.plain,
        "count": render.count,
        "millions": render.millions,
        "result": pages.result,
        "metric_of": lambda record: metrics.get(record.metric),
        "objections": provenance.objections,
        "slug": lambda kind: kind.replace(" ", "-"),
    }
    return environment


def _write(path: Path, environment: Environment, template: str, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template(template).render(**values), encoding="utf-8")


def _methods(boards: Sequence[Board], archive: Archive) -> list[MethodPage]:
    rows: dict[str, list[tuple[Board, tables.Row]]] = {}
    for board in boards:
        for row in board.rows:
            rows.setdefault(row.method, []).append((board, row))
    entries: dict[str, list[Entry]] = {}
    for entry in archive.current:
        entries.setdefault(entry.record.method.name, []).append(entry)
    measured, methods = symmetries.by_method(symmetries.read()), []
    for name, own_rows in sorted(rows.items()):
        last = entries[name][-1].record.method
        methods.append(
            MethodPage(
                name=name,
                title=last.title,
                paper=last.paper,
                source=last.source,
                card=_card(last.source, name),
                rows=own_rows,
                entries=entries[name],
                curves=figures.curves([entry.record for entry in entries[name]]),
                movements=figures.movements(measured.get(name, [])),
                symmetries=symmetry.held(measured.get(name, [])),
            )
        )
    return methods


def _card(source: str | None, name: str) -> str:
    """Read the docstrings of a method's class and module, without running its file."""
    path = sources.ROOT / source if source else None
    if path is None or not path.is_file():
        return ""
    module = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    method = sources.methods_in(path).get(name, "")
    return "\n\n".join(part for part in (method, module) if part)


def _datasets(boards: Sequence[Board]) -> list[dict[str, Any]]:
    pages = []
    for name in sorted({name for board in boards for name in board.datasets}):
        dataset = listing.get(name)
        pictures = [dataset.folder / file for file in ("renderings.png", "accuracies.png")]
        pages.append(
            {
                "name": name,
                "title": dataset.title,
                "source": dataset.source,
                "manifest": dataset.manifest,
                "networks": dataset.networks,
                "pictures": [path for path in pictures if path.is_file()],
                "quality": figures.quality(dataset.folder, dataset.manifest)
                if dataset.manifest
                else None,
                "boards": [board for board in boards if name in board.datasets],
            }
        )
    return pages


def _write_tables(folder: Path, boards: Sequence[Board]) -> None:
    folder.mkdir()
    bibliography = render.read_bibliography()
    (folder / "references.bib").write_text(render.to_bibtex(boards, bibliography), encoding="utf-8")
    for board in boards:
        stem = folder / board.name
        for suffix, text in render.files(board, bibliography).items():
            stem.with_suffix(suffix).write_text(text, encoding="utf-8")
        stem.with_suffix(".md").write_text(render.table_markdown(board) + "\n", encoding="utf-8")
        buffer = io.BytesIO()
        render.frame(board).to_parquet(buffer, index=False)
        stem.with_suffix(".parquet").write_bytes(buffer.getvalue())


def _write_assets(folder: Path) -> None:
    """Write the style, the script, and DataTables as the package itables ships it.

    DataTables is a module, which a page opened from a file can only import from memory.
    """
    folder.mkdir()
    package = files("itables") / "html"
    (folder / "tables.css").write_bytes((package / "dt_bundle.css").read_bytes())
    module = base64.b64encode((package / "dt_bundle.js").read_bytes()).decode("ascii")
    (folder / "tables.js").write_text(f'window.tablesModule = "{module}";\n', encoding="ascii")
    for name in ("site.css", "site.js"):
        shutil.copyfile(HERE / "publish" / "templates" / name, folder / name)
