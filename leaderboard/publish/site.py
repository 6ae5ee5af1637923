"""The static site, which works from a file and offline.

The front page sums the board up; all tables, the verdicts, and each method, dataset and module of
`nft` have pages of their own.
"""

from __future__ import annotations

import ast
import base64
import io
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmark import suites
from benchmark.datasets import listing
from benchmark.record import metrics, sources, symmetries, traces
from benchmark.record.cell import Cell
from benchmark.record.schema import Record
from leaderboard.archive import drawings, lints, provenance, tables
from leaderboard.archive.entries import Archive, Entry
from leaderboard.archive.tables import Board, Row
from leaderboard.publish import (
    api,
    citation,
    curves,
    examples,
    figures,
    front,
    links,
    notebook,
    notes,
    overall,
    pages,
    papers,
    prose,
    reading,
    rebuilt,
    render,
    sentences,
    starts,
    style,
    symmetry,
    words,
)
from leaderboard.publish.text import visible
from leaderboard.reported import Reported, check

HERE = Path(__file__).resolve().parent.parent

NAVIGATION = (
    ("index.html", "Leaderboard"),
    ("tables.html", "All tables"),
    ("verdicts.html", "Papers' numbers"),
    ("symmetry.html", "Symmetry"),
    ("statistics.html", "Statistics"),
    ("api/index.html", "API"),
    ("cite.html", "Cite"),
)
EDITING = "inr-editing"
PLAIN = ("index", "tables", "verdicts", "cite")
"""The pages that are one template each."""


@dataclass(frozen=True)
class Result:
    """A method's result in one column, beside that of the column's leader.

    leader: its title and result; None where the column has none, or this is it.
    """

    board: Board
    row: Row
    dataset: str
    cell: tables.Cell
    leader: tuple[str, str] | None


@dataclass(frozen=True)
class MethodPage:
    """What a method's page shows.

    card: the docstrings of the method's file.
    notes: what was measured of it beside its scores.
    movements: how far its outputs move under changes of networks, plotted.
    symmetries: those that were measured.
    results: of all its entrants.
    drawings: by dataset, sheets of what networks draw that it made.
    """

    name: str
    title: str
    paper: str
    source: str | None
    card: Markup
    results: Sequence[Result]
    entries: Sequence[Entry]
    examples: Markup
    drawings: Sequence[tuple[str, Path]]
    notes: Sequence[str]
    curves: Markup
    movements: Markup
    symmetries: str

    @property
    def is_editor(self) -> bool:
        """Whether it changes weights, and does nothing else."""
        return {one.board.task for one in self.results} == {EDITING}

    @property
    def heading(self) -> str:
        """Its title; an editor's, which a reader of weights may share, says that it is one."""
        return f"{self.title}, editing" if self.is_editor else self.title


@dataclass(frozen=True)
class DatasetPage:
    """What a dataset's page shows.

    card: of the embedded copy, without its head and its pictures; empty without a copy.
    quality: a histogram of how well its networks fit.
    """

    name: str
    title: str
    source: dict[str, Any]
    fingerprint: str | None
    networks: int | None
    card: Markup
    pictures: Sequence[Path]
    quality: Markup | None
    boards: Sequence[Board]


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
    environment, methods, datasets = _environment(), _methods(boards, archive), _datasets(boards)
    records = [entry.record for entry in archive.current]
    checked = papers.ordered(check.check(rows, records))
    shared = {
        "methods": methods,
        "datasets": datasets,
        "checked": checked,
        "held": {page.name: page.symmetries for page in methods},
        "bibtex": citation.bibtex(),
    }
    folder.mkdir(parents=True)
    written = _Writer(folder, environment, shared)
    measured = traces.read()
    values = _front(archive, boards) | _tables(archive, boards) | _verdicts(checked, records)
    for name in PLAIN:
        written.page(f"{name}.html", f"{name}.html", **values)
    pictures = _pictures(archive, measured)
    for name, (title, text) in _texts(archive, boards, measured).items():
        written.page(f"{name}.html", "text.html", title=title, text=_drawn(text, pictures))
    for page in methods:
        alone = sum(other.title == page.title for other in methods) == 1
        own = [
            verdict
            for verdict in checked
            if verdict.row.method == page.title
            and (alone or (verdict.row.task == EDITING) == page.is_editor)
        ]
        written.page(f"methods/{page.name}.html", "method.html", it=page, verdicts=own)
        for dataset, drawing in page.drawings:
            shutil.copyfile(drawing, folder / "methods" / f"{page.name}-{dataset}.png")
    for page in datasets:
        written.page(f"datasets/{page.name}.html", "dataset.html", it=page, arms=sources.arms())
        for picture in page.pictures:
            shutil.copyfile(picture, folder / "datasets" / f"{page.name}-{picture.name}")
    written.page("api/index.html", "api.html", modules=api.modules(), public=api.public())
    written.page("api/example.html", "text.html", title="An example", text=notebook.html())
    for module in api.modules():
        written.page(f"api/{module.name}.html", "module.html", it=module)
    _write_tables(folder / "tables", boards)
    _write_assets(folder / "assets")
    return folder / "index.html"


@dataclass(frozen=True)
class _Writer:
    """Writes pages of one site, with what all of them may show."""

    folder: Path
    environment: Environment
    shared: dict[str, Any]

    def page(self, place: str, template: str, **values: Any) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * place.count("/")
        made = self.environment.get_template(template)
        text = made.render(root=root, page=place, **self.shared, **values)
        path.write_text(text, encoding="utf-8")


def _front(archive: Archive, boards: Sequence[Board]) -> dict[str, Any]:
    """What the front page shows: the main suite in one table, and its pictures."""
    own = [board for board in boards if board.suite == suites.MINI]
    main = front.main_board(boards)
    one = reading.example(archive.current)
    records = [entry.record for entry in archive.current]
    began = style.inline(starts.figure(records), "Accuracy over the number of initialisations")
    return {
        "overall": overall.overall(own),
        "lead": _lead(boards, main),
        "sentences": sentences.sentences(boards),
        "group_note": front.group_note(main) if main else None,
        "costs": figures.costs(main) if main else None,
        "starts": began if starts.scores(records)[0] else None,
        "reading": Markup(reading.svg(one, "none")),  # noqa: S704
        "reading_caption": reading.caption(one),
    }


def _lead(boards: Sequence[Board], main: Board | None) -> Markup:
    """Who leads the main task, with a link to the leader's page."""
    text = Markup("{}").format(" ".join(front.lead(boards)))
    if not text or main is None:
        return text
    first = next(row for row in main.rows if row.is_ranked)
    link = Markup('<a href="methods/{}.html">{}</a>').format(first.method, first.title)
    return text.replace(Markup("{}").format(first.title), link, 1).replace(" %", "\u00a0%")


def _tables(archive: Archive, boards: Sequence[Board]) -> dict[str, Any]:
    """What the page of all tables shows: boards by suite, and what is odd or has changed."""
    by_suite: dict[str, list[Board]] = {}
    for board in boards:
        by_suite.setdefault(board.suite, []).append(board)
    return {
        "boards": boards,
        "suites": by_suite,
        "settings": {
            suite: list(dict.fromkeys(text for board in members for text in board.settings))
            for suite, members in by_suite.items()
        },
        "history": pages.history(archive),
        "odd": lints.warnings(archive.current),
        "group_notes": {board.name: front.group_note(board) for board in boards},
        "differences": {board.name: figures.critical_difference(board) for board in boards},
    }


def _texts(
    archive: Archive, boards: Sequence[Board], measured: Sequence[traces.Trace]
) -> dict[str, tuple[str, str]]:
    """The committed pages that the site has as they are: title and Markdown, by name."""
    return {
        "statistics": ("Statistics", pages.method(boards)),
        "simulations": ("Simulations", pages.simulation_page()),
        "symmetry": ("Symmetry", pages.symmetry_page(archive)),
        "claims": ("Papers' claims", pages.claims_page(boards)),
        "rebuilt": ("Rebuilt networks", rebuilt.page(measured)),
    }


def _pictures(archive: Archive, measured: Sequence[traces.Trace]) -> dict[str, Any]:
    """The figures that the committed pages name, by their files."""
    plots = {f"rebuilt-{trace.dataset}.svg": rebuilt.figure(trace) for trace in measured}
    plots["symmetry.svg"] = symmetry.figure()
    return plots | {"starts.svg": starts.figure([entry.record for entry in archive.current])}


def _drawn(text: str, pictures: dict[str, Any]) -> Markup:
    """A committed page with its figures drawn into it, in the colours of the site."""

    def drawing(match: re.Match[str]) -> str:
        plot = pictures.get(match["file"])
        return match[0] if plot is None else str(style.inline(plot, unescape(match["alt"])))

    image = r'<p><img src="(?P<file>[^"]+)" alt="(?P<alt>[^"]*)" ?/></p>'
    # The page escapes what it shows, and so does a figure.
    return Markup(re.sub(image, drawing, prose.html(text)))  # noqa: S704


def _verdicts(checked: Sequence[check.Checked], records: Sequence[Record]) -> dict[str, Any]:
    drawn = papers.figure(checked)
    return {
        "trained": {
            dataset: style.inline(plot, curves.label(dataset))
            for dataset, plot in curves.figures(checked, records).items()
        },
        "summary": papers.summary(checked),
        "totals": papers.totals(checked),
        "picture": style.inline(drawn, "Reported and measured results") if drawn else None,
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "publish" / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            _spaced(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    environment.globals |= {
        "navigation": NAVIGATION,
        "plain": render.plain,
        "count": render.count,
        "millions": render.millions,
        "result": pages.result,
        "explained": pages.explained_by,
        "metric_of": lambda record: metrics.get(record.metric),
        "objections": provenance.objections,
        "slug": lambda kind: kind.replace(" ", "-"),
        "task": words.task,
        "heading": words.dataset,
        "units": words.UNITS,
        "groups": overall.GROUPS,
        "notice": front.notice,
        "linked": links.linked,
        "kinds": check.KINDS,
    }
    return environment


def _spaced(text: str) -> str:
    """Text with nothing in it that nobody sees, and with its lines."""
    return (
        "\n".join(re.match(" *", line)[0] + visible(line) for line in text.splitlines())
        if "\n" in text
        else visible(text)
    )


def _methods(boards: Sequence[Board], archive: Archive) -> list[MethodPage]:
    results: dict[str, list[Result]] = {}
    for board in boards:
        leaders = {dataset: _leader(board, dataset) for dataset in board.datasets}
        for row in board.rows:
            results.setdefault(row.method, []).extend(
                Result(board, row, dataset, cell, leaders[dataset])
                for dataset, cell in row.cells.items()
                if cell.entries
            )
    entries: dict[str, list[Entry]] = {}
    for entry in archive.current:
        entries.setdefault(entry.record.method.name, []).append(entry)
    measured, methods = symmetries.by_method(symmetries.read()), []
    for name, own in sorted(results.items()):
        # The title of a run with options names them.
        last = max(entries[name], key=lambda entry: not entry.record.method.options).record.method
        methods.append(
            MethodPage(
                name=name,
                title=last.title,
                paper=last.paper,
                source=last.source,
                card=prose.html(_card(last.source, name)),
                results=own,
                entries=entries[name],
                examples=examples.drawings(
                    [one.cell.entries[0] for one in own if one.row.entrant == name]
                ),
                drawings=_drawings(entry.record.cell for entry in entries[name]),
                notes=_notes([entry.record for entry in entries[name]]),
                curves=figures.curves([entry.record for entry in entries[name]]),
                movements=figures.movements(measured.get(name, [])),
                symmetries=symmetry.held(measured.get(name, [])),
            )
        )
    return methods


def _notes(records: Sequence[Record]) -> list[str]:
    """What was measured of a method beside its scores, suite by suite."""
    by_suite: dict[str, list[Record]] = {}
    for record in records:
        by_suite.setdefault(record.suite, []).append(record)
    return [
        f"suite {suite}, {line}" for suite, own in by_suite.items() for line in notes.measured(own)
    ]


def _drawings(cells: Iterable[Cell]) -> list[tuple[str, Path]]:
    """The sheets of a method as it is, in the main suite, by dataset."""
    found = {
        cell.dataset: drawings.path_of(cell)
        for cell in sorted(cells)
        if cell.suite == suites.MINI and str(cell.entrant) == cell.entrant.method
    }
    return [(dataset, path) for dataset, path in found.items() if path.is_file()]


def _leader(board: Board, dataset: str) -> tuple[str, str] | None:
    """The best ranked method of a column, with its result."""
    sign = -1 if board.metric.direction == "max" else 1
    ranked = [row for row in board.rows if row.is_ranked and row.cells[dataset].summary]
    if not ranked:
        return None
    best = min(ranked, key=lambda row: sign * row.cells[dataset].summary.mean)
    return best.title, render.plain(board.metric, best.cells[dataset])


def _card(source: str | None, name: str) -> str:
    """Read the docstrings of a method's class and module, without running its file."""
    path = sources.ROOT / source if source else None
    if path is None or not path.is_file():
        return ""
    module = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    method = sources.methods_in(path).get(name, "")
    return "\n\n".join(part for part in (method, module) if part)


def _datasets(boards: Sequence[Board]) -> list[DatasetPage]:
    made = []
    for name in sorted({name for board in boards for name in board.datasets}):
        dataset = listing.get(name)
        pictures = [dataset.folder / file for file in ("renderings.png", "accuracies.png")]
        card = dataset.folder / "README.md"
        made.append(
            DatasetPage(
                name=name,
                title=dataset.title,
                source=dataset.source,
                fingerprint=listing.fingerprint(name),
                networks=dataset.networks,
                card=_body(card.read_text(encoding="utf-8"), name) if card.is_file() else Markup(),
                pictures=[path for path in pictures if path.is_file()],
                quality=figures.quality(dataset.folder, dataset.manifest)
                if dataset.manifest
                else None,
                boards=[board for board in boards if name in board.datasets],
            )
        )
    return made


def _body(card: str, name: str) -> Markup:
    """A dataset's card without its head, its title and its pictures, which the page has."""
    text = re.sub(r"\A---\n.*?\n---\n\s*# [^\n]*\n", "", card, flags=re.DOTALL)
    text = re.sub(r"^!\[.*\]\(.*\)$", "", text, flags=re.MULTILINE)
    folder = listing.get(name).folder.relative_to(sources.ROOT).as_posix()
    return prose.html(text.replace("path/to/this/folder", folder))


def _write_tables(folder: Path, boards: Sequence[Board]) -> None:
    folder.mkdir()
    bibliography = render.read_bibliography()
    (folder / "references.bib").write_text(render.to_bibtex(boards, bibliography), encoding="utf-8")
    for board in boards:
        texts = render.files(board, bibliography) | {".md": render.table_markdown(board) + "\n"}
        for ending, text in texts.items():
            (folder / f"{board.name}{ending}").write_text(text, encoding="utf-8")
        buffer = io.BytesIO()
        render.frame(board).to_parquet(buffer, index=False)
        (folder / f"{board.name}.parquet").write_bytes(buffer.getvalue())


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
