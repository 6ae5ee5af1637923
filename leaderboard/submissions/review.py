"""The review of a submitted method in a pull request.

A job without rights writes it, and one with rights turns it into a comment.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import UserError
from benchmark.record import sources
from benchmark.record.cell import Cell
from benchmark.record.git import GitError, git
from benchmark.record.paths import regular
from benchmark.record.schema import RecordError
from leaderboard.archive import entries as archive
from leaderboard.archive import lints, provenance
from leaderboard.publish.text import markdown
from leaderboard.submissions import reproduce, standing

LIMIT = 4000


class MethodReview(BaseModel):
    """The review of one method.

    conformance: the output of `python -m benchmark conform`.
    reproductions: a line for each cell that ran again.
    standings: a line for each column, with its place among the methods of others.
    """

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$", max_length=60)
    conforms: bool
    conformance: str = Field(max_length=LIMIT)
    reproductions: list[str] = Field(max_length=20)
    standings: list[str] = Field(max_length=20)
    stands: bool


class Review(BaseModel):
    """All input of the second job, which validates it before it prints any of it."""

    model_config = ConfigDict(extra="forbid")
    methods: list[MethodReview] = Field(max_length=20)
    failures: list[str] = Field(max_length=50)

    @property
    def stands(self) -> bool:
        """Whether nothing speaks against the submission."""
        return not self.failures and all(
            method.stands and method.conforms for method in self.methods
        )


def changed_methods(base: str) -> list[str]:
    """Name the methods whose own file or records differ from a commit.

    Raises:
        RecordError: git cannot compare with the commit.
    """
    try:
        listing = git(sources.ROOT, "diff", "--name-only", f"{base}...HEAD")
    except GitError as error:
        raise RecordError(f"git cannot tell what changed since {base!r}: {error}") from None
    names: list[str] = []
    for path in map(Path, listing.splitlines()):
        if (
            path.parts[0] == "baselines"
            and path.suffix == ".py"
            and (sources.ROOT / path).is_file()
        ):
            names += sources.methods_in(sources.ROOT / path)
        elif path.parts[:2] == ("leaderboard", "records") and path.suffix == ".jsonl":
            names.append(path.stem)
    return list(dict.fromkeys(names))


def review(names: list[str], run: bool = True) -> Review:
    """Check the archive and the conformance of each method.

    Args:
        names: The methods.
        run: Whether to reproduce one seed of each of a method's cells in suite mini, the cheapest.
    """
    try:
        records = archive.read()
        failures = lints.failures(records.current)
    except RecordError as error:
        return Review(methods=[], failures=[str(error)[:LIMIT]])
    methods = [_review(name, records, run) for name in names]
    return Review(methods=methods, failures=[line[:LIMIT] for line in failures][:50])


def _review(name: str, records: archive.Archive, run: bool) -> MethodReview:
    command = [sys.executable, "-m", "benchmark", "conform", name]
    process = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True, check=False)
    entries = [
        entry
        for entry in records.current
        if (entry.record.method.name, entry.record.suite, entry.record.status)
        == (name, "mini", "finished")
    ]
    first: dict[Cell, archive.Entry] = {}
    for entry in entries:
        first.setdefault(entry.record.cell.column, entry)
    lines, stands = [], True
    for entry in first.values() if run else ():
        if objections := provenance.objections(entry.record):
            lines.append(f"{entry.record.cell}: {'; '.join(objections)}")
            stands = False
            continue
        try:
            reproduction = reproduce.reproduce(entry, records)
            lines.append(str(reproduction))
            stands = stands and reproduction.verdict != "different"
        except RecordError as error:
            lines.append(str(error))
            stands = False
    others = [one for one in records.entries if one.record.method.name != name]
    places = standing.standings(entries, archive.Archive(others))
    return MethodReview(
        name=name,
        conforms=process.returncode == 0,
        conformance=(process.stdout + process.stderr)[-LIMIT:],
        reproductions=[line[:500] for line in lines][:20],
        standings=[str(one)[:500] for one in places][:20],
        stands=stands,
    )


def read(path: Path) -> Review:
    """Read a review. Raises UserError for a file that holds something else."""
    try:
        return Review.model_validate_json(regular(path).read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: not a review ({str(error).splitlines()[0]})") from None


def comment(review: Review) -> str:
    """Render a review as Markdown, in which no submitted word has an effect."""
    verdict = "The submission stands." if review.stands else "The submission does not stand yet."
    parts = [f"**{verdict}**\n"]
    parts += [f"- {markdown(line)}" for line in review.failures]
    if not review.methods:
        parts.append("No method changed.")
    for method in review.methods:
        verb = "conforms" if method.conforms else "does not conform"
        parts.append(f"\n### {markdown(method.name)}: {verb} to the contract\n")
        parts += [f"    {line}" for line in method.conformance.replace("\r", "").splitlines()]
        parts.append("")
        parts += [f"- {markdown(line)}" for line in method.reproductions] or [
            "- no record of suite mini to compare with"
        ]
        parts += [f"- {markdown(line)}" for line in method.standings]
    return "\n".join(parts) + "\n"
