"""The review of a submitted method in a pull request.

A job without rights writes it, and one with rights turns it into a comment. The code that judges is
the base's, and whatever runs submitted code is in a sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark import sandbox
from benchmark.datasets import listing
from benchmark.errors import UserError
from benchmark.record import sources
from benchmark.record.git import GitError, git
from benchmark.record.paths import regular
from benchmark.record.schema import RecordError
from leaderboard.archive import checks, provenance, reruns
from leaderboard.archive import entries as archive
from leaderboard.publish.text import code
from leaderboard.submissions import hidden, standing

LIMIT = 4000


class MethodReview(BaseModel):
    """The review of one method.

    conformance: the output of `python -m benchmark conform`.
    reruns: a line for each cell that ran again, under hidden conditions.
    standings: a line for each column, with its place among the methods of others.
    """

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$", max_length=60)
    conforms: bool
    conformance: str = Field(max_length=LIMIT)
    reruns: list[str] = Field(max_length=40)
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
    names: list[str] = []
    for path in _changed(base):
        if sources.METHODS in path.parents and _is_code(path):
            names += sources.methods_in(path)
        elif archive.FOLDER in path.parents and path.suffix == ".jsonl":
            names.append(path.stem)
    return list(dict.fromkeys(names))


def _changed(base: str, *options: str) -> list[Path]:
    """The files that differ from a commit's, or those of them that options of git choose."""
    try:
        listing = git(sources.ROOT, "diff", "-z", "--name-only", "--merge-base", *options, base)
    except GitError as error:
        raise RecordError(f"git cannot tell what changed since {base!r}: {error}") from None
    return [sources.ROOT / name for name in listing.split("\0") if name]


def _is_code(path: Path) -> bool:
    return path.suffix == ".py" and path.is_file() and not path.is_symlink()


def review(names: list[str], base: str | None = None, run: bool = True) -> Review:
    """Check the archive and the conformance of each method.

    Args:
        names: The methods.
        base: The commit whose records must all be there still.
        run: Whether to run each of a method's cells again, under hidden conditions.
    """
    try:
        records = archive.read()
        failures = checks.failures(records, base) + (_intruders(base) if base else [])
    except RecordError as error:
        return Review(methods=[], failures=[str(error)[:LIMIT]])
    if run and (weakness := sandbox.weakness()):
        failures.insert(0, f"{weakness}; review it on Linux with user namespaces")
    methods = [_review(name, records, run) for name in names]
    return Review(methods=methods, failures=[line[:LIMIT] for line in failures][:50])


def _review(name: str, records: archive.Archive, run: bool) -> MethodReview:
    answer = sandbox.run("benchmark", ("conform", name), datasets=True)
    entries = [entry for entry in records.current if entry.record.method.name == name]
    lines = _large(_files_of(name))
    stands = not lines
    for seeds in hidden.by_cell(entries).values() if run else ():
        line, fine = _rerun(seeds)
        lines.append(line)
        stands = stands and fine
    others = [one for one in records.entries if one.record.method.name != name]
    places = standing.standings(
        [entry for entry in entries if entry.record.suite == "mini"], archive.Archive(others)
    )
    return MethodReview(
        name=name,
        conforms=answer.status == 0,
        conformance=(answer.output.decode(errors="replace") + answer.errors)[-LIMIT:],
        reruns=[line[:500] for line in lines][:40],
        standings=[str(one)[:500] for one in places][:20],
        stands=stands,
    )


def _rerun(seeds: list[archive.Entry]) -> tuple[str, bool]:
    """Run a cell again: what to say of it, and whether it stands."""
    record = seeds[0].record
    if objections := provenance.objections(record):
        return f"{record.cell.row}: {'; '.join(objections)}", False
    if reruns.covers(record):
        return f"{record.cell.row}: the project ran it again before", True
    if not listing.is_embedded(record.dataset.name):
        return (
            f"{record.cell.row}: its dataset does not come with the project; a maintainer runs it: "
            f"python -m leaderboard rerun {record.cell.row}",
            False,
        )
    try:
        one = hidden.rerun(seeds)
    except RecordError as error:
        return str(error), False
    return str(one), one.stands


def _intruders(base: str) -> list[str]:
    """Tell of what a submission adds to the methods' folder that is no code, or carries data."""
    added, changed = (
        [path for path in paths if sources.METHODS in (path, *path.parents)]
        for paths in (_changed(base, "--diff-filter=ACRT"), _changed(base))
    )
    lines = [
        f"{path.relative_to(sources.ROOT)} is no Python file: a method has nothing else"
        for path in added
        if not _is_code(path)
    ]
    return lines + _large(filter(_is_code, changed))


def _files_of(name: str) -> list[Path]:
    """The methods' files that a method is made of: its own, and what it imports of the others."""
    own = [path for path in sources.METHODS.glob("*.py") if name in sources.methods_in(path)]
    return sorted(path for path in sources.closure(own) if sources.METHODS in path.parents)


LONGEST = 2000
"""Characters of one text, or numbers of one list, in a method's file: more could hold labels."""


def _large(paths: Iterable[Path]) -> list[str]:
    """Tell of methods' files that carry data, a line each."""
    lines = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            size = len(getattr(node, "elts", None) or getattr(node, "keys", None) or ())
            if isinstance(node, ast.Constant):
                size = len(str(node.value))
            if size > LONGEST:
                lines.append(
                    f"{path.name} holds {size} values in line {node.lineno}: a method has no data"
                )
                break
    return lines


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
    parts += [f"- {code(line)}" for line in review.failures]
    if not review.methods:
        parts.append("No method changed.")
    for method in review.methods:
        verb = "conforms" if method.conforms else "does not conform"
        parts.append(f"\n### {code(method.name)}: {verb} to the contract\n")
        parts += [f"    {line}" for line in method.conformance.replace("\r", "").splitlines()]
        parts.append("")
        parts += [f"- {code(line)}" for line in method.reruns] or ["- no record to compare with"]
        parts += [f"- {code(line)}" for line in method.standings]
    return "\n".join(parts) + "\n"
