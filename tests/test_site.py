"""What a person sees first: the front page, the pages of papers and of nft, and the README."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers import ROOT, example_record, finished_run, reported
from matplotlib.text import Text

import nft
from benchmark.record import sources
from benchmark.record.schema import Record
from leaderboard.archive import entries, tables
from leaderboard.archive.tables import Board
from leaderboard.publish import (
    api,
    charts,
    citation,
    figures,
    front,
    links,
    overall,
    papers,
    prose,
    reading,
    readme,
    render,
    talk,
    words,
)
from leaderboard.reported.check import Checked


@pytest.fixture(scope="module")
def committed() -> list[Board]:
    """The boards of the committed records."""
    return tables.boards(entries.read().current)


def results(folder: Path, scores: dict[str, int], **changes: object) -> list[Record]:
    return [
        finished_run(folder, right + seed, seed, name=name, shift=1 + seed + 3 * place, **changes)
        for place, (name, right) in enumerate(scores.items())
        for seed in range(3)
    ]


def test_the_lead_says_who_leads_and_what_chance_is(tmp_path: Path) -> None:
    own = {"name": "mnist-inr-own-mini"}
    results(tmp_path, {"statnn": 80, "nft": 40, "mlp": 11}, dataset=own)
    boards = tables.boards(entries.of_results(tmp_path))
    said = " ".join(front.lead(boards))
    assert "STATNN leads with 81.0 % on MNIST. NFT, the model" in said
    assert "reaches 41.0 %." in said
    assert "stays near chance, 10 %, with 12.0 %" in said
    assert front.notice(boards[0]) == ["MNIST: STATNN is first with 81.0 %."]
    assert front.lead([]) == []


def test_a_method_of_several_tasks_has_one_line(tmp_path: Path) -> None:
    results(tmp_path, {"nft": 60, "mlp": 30})
    results(tmp_path, {"nft": 70}, task="sine-frequency", dataset={"name": "waves"})
    table = overall.overall(tables.boards(entries.of_results(tmp_path)))
    assert [line.title for line in table.of("reads")] == ["NFT", "MLP"]
    nft_line, mlp_line = table.of("reads")
    assert all(nft_line.cell(column) is not None for column in table.columns)
    assert mlp_line.cell(table.columns[-1]) is None


def test_terminal_tables_fit_a_hundred_columns(committed: list[Board]) -> None:
    main = [board for board in committed if board.suite == "mini"]
    lines = [line for board in main for line in render.table_text(board).splitlines()]
    lines += render.overview(main).splitlines()
    assert len(lines) > 40
    assert max(map(len, lines)) <= 100


def test_latex_has_a_label_and_sets_controls_apart(committed: list[Board]) -> None:
    board = front.main_board(committed)
    bibliography = render.read_bibliography()
    for narrow in (False, True):
        text = render.to_latex(board, bibliography, narrow)
        assert rf"\label{{tab:{board.name}{'-narrow' * narrow}}}" in text
        ranked, apart = text.split(r"\midrule")[1:]
        assert "ScaleGMN-B" in ranked
        assert "(random targets)" in apart
        assert "random targets" not in ranked
        assert rf"\cite{{{citation.KEY}}}" in text
    keys = set(re.findall(r"@\w+\{([^,]+),", render.to_bibtex(committed, bibliography)))
    whole = "".join(render.to_latex(one, bibliography) for one in committed)
    cited = re.findall(r"\\cite\{([^}]*)\}", whole)
    assert {key for group in cited for key in group.split(",")} <= keys


def test_titles_that_end_in_a_noun_have_an_article_in_sentences() -> None:
    assert words.named("Phasor-graded reader") == "the Phasor-graded reader"
    assert words.begun(words.named("Mean predictor")) == "The Mean predictor"
    for title in ("NFT", "Extra trees on statistics", "MLP + alignment", "DWSNet (linear layers)"):
        assert words.named(title) == title


def test_ticks_are_round_and_few() -> None:
    assert charts.ticks(15.3, 39.7) == [20, 25, 30, 35]
    assert [charts.number(value) for value in charts.ticks(0, 1600)] == [
        "0",
        "500",
        "1,000",
        "1,500",
    ]
    assert [charts.power(value) for value in charts.ticks(-15.8, -0.2)] == [
        "10⁻¹⁵",
        "10⁻¹⁰",
        "10⁻⁵",
    ]
    assert charts.ticks(3.0, 3.0) == [3.0]
    random = np.random.default_rng(0)
    for low, span in zip(random.normal(0, 10, 50), 10 ** random.uniform(-5, 5, 50), strict=True):
        assert 1 <= len(charts.ticks(low, low + span)) <= 6


def test_every_paper_of_a_method_is_in_the_bibliography_with_its_number() -> None:
    bibliography = render.read_bibliography()
    papers_of = {
        match
        for path in sources.METHODS.glob("*.py")
        for match in re.findall(r'paper = "((?:arXiv|github):[^"]+)"', path.read_text())
    }
    assert len(papers_of) > 8
    for paper in papers_of:
        entry = bibliography[render.cite_key(paper)]
        assert paper.startswith("github:") or f"note = {{{paper}}}" in entry


def test_the_benchmark_is_cited_as_its_file_says() -> None:
    entry, version = citation.bibtex(), nft.__version__
    assert f"note = {{Version {version}}}" in entry
    assert re.search(r"year = \{20\d\d\}", entry)
    assert "Zhou" not in entry  # the paper is another entry


def test_addresses_are_links_and_nothing_else_is() -> None:
    linked = links.linked("a summary of arXiv:2602.01083 Table 1")
    assert '<a href="https://arxiv.org/abs/2602.01083">arXiv:2602.01083</a> Table 1' in linked
    assert 'href="https://github.com/ITheClixs/project-siren-gap"' in links.linked(
        "the tables of ITheClixs/project-siren-gap"
    )
    assert links.linked("<b>none</b>") == "&lt;b&gt;none&lt;/b&gt;"
    assert "<script>" not in prose.html("<script>alert(1)</script> [x](javascript:alert(1))")
    assert "href" not in prose.html("[x](javascript:alert(1))")


def checked(kind: str, scores: tuple[float, ...] = (), **changes: str) -> Checked:
    return Checked(reported(**changes), scores, kind, f"{kind}: why")


def test_verdicts_come_before_what_was_not_compared() -> None:
    ones = [
        checked("not comparable", claimed_by="A"),
        checked("not run", claimed_by="A"),
        checked("lower", (60.0, 61.0, 62.0), claimed_by="B", claimed_in="arXiv:2302.14040"),
    ]
    assert [one.kind for one in papers.ordered(ones)] == ["lower", "not run", "not comparable"]
    assert [(name, counts) for name, _, counts in papers.summary(ones)] == [
        ("A", {"not comparable": 1, "not run": 1}),
        ("B", {"lower": 1}),
    ]
    said = papers.totals(ones)
    assert "1 were tested: 1 lower. All of these were read second hand. 1 have not" in said
    assert ones[0].reason == "why"
    assert papers.figure(ones[:2]) is None
    (axis,) = papers.figure(ones).axes
    assert "here, accuracy in percent" in axis.get_ylabel()


def test_what_was_read_elsewhere_is_second_hand() -> None:
    paper = {"claimed_in": "arXiv:2302.14040"}
    assert not reported(**paper, read_in="arXiv:2302.14040 Table 3").is_second_hand
    assert reported(**paper, read_in="a summary of arXiv:2302.14040").is_second_hand
    assert reported(**paper, read_in="arXiv:2607.02166").is_second_hand


def test_scattered_weights_draw_the_same_picture() -> None:
    one = reading.example([])
    drawings = [reading.draw(layers, one.omega, 14) for layers in (one.layers, one.scattered)]
    assert np.allclose(*drawings, atol=1e-12)
    assert not np.allclose(one.layers[0][0], one.scattered[0][0])
    assert np.corrcoef(one.image.ravel(), drawings[0].ravel())[0, 1] > 0.8  # and that of its image
    assert len(reading.caption(one)) == 1  # without records nobody says anything of it


def test_the_picture_of_the_front_page_is_of_the_committed_predictions() -> None:
    one = reading.example(entries.read().current)
    by_title = {answer.title: answer.said for answer in one.answers}
    assert by_title["NFT"][0] == by_title["ScaleGMN-B"][0] == by_title["ScaleGMN-B"][1] == one.label
    assert by_title["NFT"][1] != one.label
    ElementTree.fromstring(reading.svg(one))


def test_plots_are_written_for_talks(tmp_path: Path) -> None:
    committed = entries.Archive(
        entries.of_results(tmp_path, results(tmp_path, {"nft": 60, "mlp": 30}))
    )
    boards = tables.boards(committed.current)
    files = talk.write(committed, boards, [], tmp_path / "figures")
    names = {path.name for path in files}
    for name in ("reading", "results-mini--inr-classification", "cost-parameters"):
        assert {f"{name}.pdf", f"{name}.png"} <= names
    assert (tmp_path / "figures/reading.pdf").read_bytes().startswith(b"%PDF")


def test_labels_of_points_do_not_lie_on_each_other(committed: list[Board]) -> None:
    figure = figures.cost_figures(front.main_board(committed))["FLOPs per network"]
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without its line
    areas = [box.width * box.height for box in boxes]
    for place, box in enumerate(boxes):
        for other in boxes[:place]:
            shared = figures._overlap(tuple(box.extents), [tuple(other.extents)])
            assert shared < 0.3 * min(areas)


def test_the_names_of_nft_are_documented_where_they_are() -> None:
    assert api.public() == nft.PLACES
    parts = {part.path: part for module in api.modules() for part in module.parts}
    for name, place in nft.PLACES.items():
        assert str(parts[f"{place}.{name}"].text)
    classifier = parts["nft.transformer.NFTClassifier"]
    assert "queries: int" in classifier.signature
    ((heading, fields),) = classifier.sections
    assert heading == "Arguments"
    assert [field.name for field in fields][:2] == ["encoder", "outputs"]


def test_arms_say_what_sets_them_apart() -> None:
    said = sources.arms()
    assert {"permuted", "scattered", "random-targets"} <= set(said)
    assert len(set(said.values())) == len(said)


def test_every_dataset_of_mini_has_a_heading_of_its_own(committed: list[Board]) -> None:
    for board in committed:
        assert len({words.dataset(name) for name in board.datasets}) == len(board.datasets)
    assert words.dataset("mnist-inr-10-starts-100-steps-mini") == "MNIST, 10 starts, 100 steps"
    assert words.dataset("moons") == "moons"


def test_the_readmes_numbers_are_made_from_records(tmp_path: Path, committed: list[Board]) -> None:
    path = tmp_path / "README.md"
    text = readme.PATH.read_text(encoding="utf-8")
    assert all(
        f"<!-- {name}, by nox -s leaderboard -->" in text for name in readme.parts(committed)
    )
    path.write_text(re.sub(r"(leaderboard -->\n).*?(<!-- end)", r"\1\2", text, flags=re.DOTALL))
    assert "NFT  " not in path.read_text()
    page = readme.page(committed, path)
    assert re.search(r"^NFT  +\d", page, re.MULTILINE)
    assert " ".join(front.lead(committed)) in " ".join(page.split())
    path.write_text(page)
    assert readme.page(committed, path) == page


def test_the_readmes_code_on_modules_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = next(block for block in blocks if "from_module" in block)
    from torch import nn, randn

    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    names = {"NetworkSpec": nft.NetworkSpec, "module": module, "example_inputs": randn(4, 3)}
    exec(code, names)
    assert names["state_dict"].keys() == module.state_dict().keys()


def test_the_notebook_runs(tmp_path: Path) -> None:
    cells = json.loads((ROOT / "examples/attention.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "steps = 600" in code
    script = tmp_path / "notebook.py"
    script.write_text(code.replace("steps = 600", "steps = 20") + "\nfigure.savefig('drawn.png')\n")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "agg",
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
    }
    (tmp_path / "benchmark").symlink_to(ROOT / "benchmark")
    (tmp_path / "nft").symlink_to(ROOT / "nft")
    process = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "of the attention" in process.stdout
    assert (tmp_path / "drawn.png").is_file()


def test_the_site_says_why_a_group_is_wide(tmp_path: Path) -> None:
    results(tmp_path, {"nft": 60, "mlp": 30})
    (board,) = tables.boards(entries.of_results(tmp_path))
    assert re.match(r"With 3 seeds a difference of [\d.]+ points is found", front.group_note(board))
    lone = tables.boards([entries.Entry(example_record(), None, "here", None)])[0]  # type: ignore[arg-type]
    assert front.group_note(lone) is None
