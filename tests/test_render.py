"""Tables, pages and site say what the records say, whatever words the records hold."""

from __future__ import annotations

import csv
import gc
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pandas as pd
import pytest
from helpers import UNFINISHED, example_record, finished_run, outcome, reported

import baselines
from benchmark import suites
from benchmark.record import sources
from benchmark.record.predictions import Kept
from benchmark.record.schema import EncoderPart, Record
from leaderboard.archive import entries as archive
from leaderboard.archive import tables
from leaderboard.archive.entries import Archive, Entry
from leaderboard.publish import figures, methods, pages, render, site, text


@pytest.fixture(autouse=True)
def _few_objects_to_collect() -> Iterator[None]:
    """statsmodels collects garbage at each correction for many comparisons, and passes over torch
    take most of a test's time.
    """
    gc.freeze()
    yield
    gc.unfreeze()


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "=HYPERLINK(1)",
    "a\u202eb\u200f",
    "[x](y)|`z`*w*",
    "\\input{/etc/passwd}$%&#_{}~^",
    "'; DROP TABLE",
]


def boards(records: list[Record]) -> list[tables.Board]:
    return tables.boards([Entry(record, None, "here", Kept(Path("nowhere"))) for record in records])


def records(
    name: str, scores: list[float], dataset: str = "small", arm: str = "permuted"
) -> list[Record]:
    return [
        example_record(
            seed=seed,
            method={"name": name, "title": name.upper()},
            dataset={"name": dataset, "arm": arm},
            metrics={"test": score, "validation": score},
        )
        for seed, score in enumerate(scores)
    ]


def test_cells_are_mean_and_spread_and_the_best_comes_first() -> None:
    (board,) = boards(records("low", [0.2, 0.3, 0.25]) + records("high", [0.71, 0.73, 0.78]))
    assert [row.title for row in board.rows] == ["HIGH", "LOW"]
    scores = [71, 73, 78]
    assert f"{mean(scores):.1f} ± {stdev(scores):.1f}" in render.text([board]).splitlines()[4]


def test_missing_and_few_seeds_are_visible() -> None:
    several = (
        records("a", [0.5, 0.6, 0.7])
        + records("b", [0.5])
        + records("b", [0.4, 0.5, 0.6], dataset="other")
    )
    lines = render.text(boards(several)).splitlines()
    assert re.search(r"^A .* -  ", next(line for line in lines if line.startswith("A ")))
    assert "50.0 (n=1)" in next(line for line in lines if line.startswith("B "))


def test_an_undefined_metric_is_shown_as_such() -> None:
    (board,) = boards([example_record(metrics={"test": None, "validation": None})])
    assert "undefined" in render.text([board])
    assert "undefined" in render.board_markdown(board)
    assert json.loads(render.to_json(board))[0]["mean"] is None


def test_controls_are_told_apart_and_not_ranked() -> None:
    (board,) = boards(records("mlp", [0.2, 0.3]) + records("mlp", [0.8, 0.9], arm="aligned"))
    assert [row.label for row in board.rows] == ["MLP", "MLP (aligned)"]
    assert board.rows[1].cells["small"].rank is None


def test_runs_that_did_not_finish_are_told() -> None:
    diverged = example_record(status="diverged", reason="the loss was NaN at step 7", **UNFINISHED)
    (board,) = boards([diverged])
    for markdown in (render.text([board]), render.board_markdown(board)):
        assert "NaN at step 7" in markdown


def test_reconstructions_stand_beside_the_mean_image() -> None:
    encoder = {
        "sha256": "c" * 64,
        "parameters": 10,
        "protocol": {"steps": 5},
        "curve": [{"step": 5, "loss": 1.0, "validation": -1.0}],
        "test_psnr": 21.0,
        "mean_image_psnr": 12.5,
        "training_seconds": 1,
        "evaluation_seconds": 1,
        "encoding_seconds": 1,
        "from_cache": False,
    }
    two = [example_record(seed=seed) for seed in range(2)]
    parts = [EncoderPart.model_validate(encoder | {"test_psnr": psnr}) for psnr in (20.0, 22.0)]
    matched = EncoderPart.model_validate(encoder | {"curve": [], "test_psnr": 140.0})
    runs = [
        record.model_copy(update={"encoder": part}) for record, part in zip(two, parts, strict=True)
    ]
    runs.append(example_record(method={"title": "Matched"}, seed=2))
    runs[-1] = runs[-1].model_copy(update={"encoder": matched})
    (board,) = boards(runs)
    expected = (
        "small, PSNR in dB of what arrays reconstruct of unseen networks: NFT 21.0 ± 1.4; "
        "the networks' mean image 12.5\n"
    )
    assert expected in render.text([board])
    assert expected in render.board_markdown(board)
    assert "first of two stages: steps 5" in render.board_markdown(board)


def test_every_setting_is_named() -> None:
    markdown = render.board_markdown(boards(records("a", [0.5, 0.6]))[0])
    for expected in ("reduced", "steps 10", "Seeds: 0, 1", "small bbbbbbbbbbbb", "torch 2.8"):
        assert expected in markdown
    assert "No runs yet" in pages.leaderboard([], Archive([]))


def test_one_table_over_all_tasks() -> None:
    both = records("a", [0.5, 0.6]) + [
        record.model_copy(
            update={
                "task": "other",
                "dataset": record.dataset.model_copy(update={"name": "second"}),
            }
        )
        for record in records("a", [0.7, 0.8])
    ]
    line = next(
        line for line in render.overview(boards(both)).splitlines() if line.startswith("A ")
    )
    assert "55.0" in line
    assert "75.0" in line


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_text(words: str, tmp_path: Path) -> None:
    record = example_record(
        method={"title": words[:80]},
        setting=words,
        command=words,
        status="failed",
        reason=words,
        **UNFINISHED,
    )
    fine = example_record(seed=1, method={"title": words[:80]}, setting=words)
    entries = [Entry(several, None, "here", Kept(tmp_path / "none")) for several in (record, fine)]
    (board,) = tables.boards(entries)
    markdown = render.board_markdown(board)
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert "\u202e" not in markdown
    assert (
        len(
            {
                line.replace("\\|", "").count("|")
                for line in markdown.splitlines()
                if line.startswith("|")
            }
        )
        == 1
    )
    row = next(csv.DictReader(io.StringIO(render.to_csv(board))))
    assert not row["title"].startswith(("=", "+", "-", "@"))
    assert "\\input" not in render.to_latex(board, {})
    assert "$%" not in render.to_latex(board, {})
    site.build(
        Archive(entries),
        [board],
        [reported(method=words[:80] or "x", note=words * 1000)],
        tmp_path / "site",
    )
    for page in (tmp_path / "site").rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "\u202e" not in html
        assert not re.search(r'(href|src)="javascript:', html)


def test_visible_writes_out_what_nobody_sees() -> None:
    assert text.visible("a\u202eb\n c\x00") == "a\\u202eb c\\u0000"
    assert text.latex("±é\\") == r"\(\pm\)\texttt{U+00E9}\textbackslash{}"


def real(tmp_path: Path) -> Archive:
    for name, right in (("mlp", 50), ("nft", 80), ("nfn", 78)):
        for seed in range(3):
            finished_run(
                tmp_path,
                right + seed,
                seed,
                name=name,
                shift=1 + seed + {"mlp": 0, "nft": 3, "nfn": 6}[name],
            )
    return Archive(archive.of_results(tmp_path))


def test_ranks_reach_every_output(tmp_path: Path) -> None:
    (board,) = tables.boards(real(tmp_path).current)
    data = pd.read_csv(io.StringIO(render.to_csv(board))).set_index("entrant")
    assert data.loc["nft", "rank"] == 1
    assert data.loc["mlp", "rank"] == 3
    assert data.loc["nft", "mean"] == pytest.approx(0.81)
    assert "#1" in render.board_markdown(board)
    assert r"\textbf{81.0" in render.to_latex(board, {})


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    (board,) = tables.boards(real(tmp_path / "results").current)
    bibliography = render.read_bibliography()
    body = render.to_latex(board, bibliography)
    assert r"~\cite{arxiv-2305-13546}" in body
    (tmp_path / "all.bib").write_text(render.to_bibtex([board], bibliography))
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    tail = "\\bibliographystyle{plain}\\bibliography{all}\\end{document}\n"
    (tmp_path / "a.tex").write_text(head + body + tail)
    for command in (
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a"],
        ["bibtex", "a"],
    ):
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout[-2000:]


def test_bibtex_holds_just_what_is_in_the_tables() -> None:
    result = boards([example_record(dataset={"name": "mnist-inr"})])
    entries = render.to_bibtex(result, render.read_bibliography())
    keys = ["nft-benchmark", "arxiv-2006-09661", "arxiv-2305-13546", "lecun1998"]
    assert re.findall(r"@\w+\{([^,]+),", entries) == keys


def test_a_site_is_whole_and_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    archived = real(tmp_path / "results")
    result = tables.boards(archived.current)
    front = site.build(
        archived, result, [reported(method="NFT", task="inr-classification")], tmp_path / "site"
    )
    for page in front.parent.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        # A link to a paper asks for nothing until somebody follows it.
        own = re.sub(
            '<a href="https://(arxiv.org|github.com|huggingface.co|doi.org)/[^"]*">', "", html
        )
        for target in re.findall(r'(?:href|src)="([^"]+)"', own):
            if target.startswith(("data:", "#")):
                continue
            assert not re.match(r"[a-z]+:|//", target), target
            assert (page.parent / target.partition("#")[0]).is_file(), (page, target)
    method = (front.parent / "methods/nft.html").read_text(encoding="utf-8")
    assert "NFT blocks over all weights" in method
    assert "polyline" in method
    with pytest.raises(ValueError, match="something else than a site"):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/thesis.tex").write_text("x")
        site.build(archived, result, [], tmp_path / "mine")
    assert (tmp_path / "mine/thesis.tex").exists()
    assert pd.read_parquet(front.parent / "tables/mini--inr-classification.parquet")[
        "seeds"
    ].tolist() == [3, 3, 3]


def test_methods_are_compared_across_datasets(tmp_path: Path) -> None:
    for place, dataset in enumerate(("one", "two", "three", "four")):
        for name, right in (("mlp", 30), ("nft", 80), ("nfn", 60)):
            shift = 1 + place + {"mlp": 0, "nft": 4, "nfn": 8}[name]
            finished_run(
                tmp_path, right + place, 0, name=name, shift=shift, dataset={"name": dataset}
            )
    (board,) = tables.boards(archive.of_results(tmp_path))
    drawn = figures.critical_difference(board)
    assert drawn.count("<svg") == 1
    assert all(name in drawn for name in ("mlp", "nft", "nfn"))
    assert figures.critical_difference(tables.boards(archive.of_results(tmp_path)[:6])[0]) is None
    assert figures.costs(board).count("<svg") == 2  # parameters and seconds


class Many:
    """Predictions that need no file."""

    def __contains__(self, key: object) -> bool:
        return True

    def get(self, key: str) -> dict[str, Any]:
        right = 40 + int(key[:8], 16) % 50
        return {"test": outcome(right), "validation": outcome(right)}


def many(count: int) -> list[Entry]:
    """Records of ten datasets, of three seeds each, of as many methods as it takes."""
    code = sources.digest("baselines/nft.py", "inr-classification", "permuted")
    base = example_record(
        environment={"commit": "c" * 40, "clean": True},
        method={"code_sha256": code},
        protocol=suites.get("mini").tasks["inr-classification"].protocol.model_dump(),
        predictions="d" * 64,
    )
    entries = []
    for index in range(count):
        method, place = divmod(index, 30)
        dataset, seed = divmod(place, 3)
        right = 40 + (method * 7919 + seed) % 50
        part = base.method.model_copy(
            update={"name": f"method-{method}", "title": f"Method {method}"}
        )
        record = base.model_copy(
            update={
                "seed": seed,
                "method": part,
                "dataset": base.dataset.model_copy(update={"name": f"set-{dataset}"}),
                "metrics": {"test": right / 100, "validation": right / 100},
                "predictions": f"{right - 40:08x}" + "0" * 56,
            }
        )
        entries.append(Entry(record, None, f"line {index}", Many()))
    return entries


def calls_of(function: Callable[[], object]) -> int:
    """How many Python functions a function calls."""
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def publish(entries: list[Entry], folder: Path) -> None:
    """Make boards, pages and site of records."""
    committed = Archive(entries)
    result = tables.boards(committed.current)
    pages.build(committed, result, [reported()])
    site.build(committed, result, [reported()], folder)


def test_work_grows_with_the_records_and_no_faster(tmp_path: Path) -> None:
    """Counted in calls, which no other process on the machine changes: seconds would be.

    Most calls of a whole publication are the same for any number of records.
    """
    publish(many(30), tmp_path / "warm")  # fills what is cached
    few, twice = (Archive(many(count)).current for count in (300, 600))
    assert calls_of(lambda: tables.boards(twice)) < 2.2 * calls_of(lambda: tables.boards(few))
    counts = []
    for count in (150, 300):
        entries, folder = many(count), tmp_path / str(count)
        counts.append(calls_of(partial(publish, entries, folder)))
        assert len(list((folder / "methods").iterdir())) == count // 30
    assert counts[1] < 1.3 * counts[0]


def test_every_method_of_a_large_archive_has_its_row() -> None:
    result = tables.boards(Archive(many(600)).current)
    assert len(result[0].rows) == 20
    assert all(row.is_ranked for row in result[0].rows)


def test_every_method_is_on_the_page_of_methods_and_in_its_class() -> None:
    readers, probers = methods.page([], []).split("## Methods that evaluate the networks")
    for name, row in baselines.registry().items():
        page = probers if row.method.reads_functions or name == "mean" else readers
        assert f"`{name}`" in page
