"""What a pull request's checks say of a submitted method: made by a job without rights, turned into a comment by one that has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from benchmark.record import sources
from benchmark.record.cell import Cell
from benchmark.record.schema import RecordError
from leaderboard.archive import entries as archive
from leaderboard.archive import lints, provenance
from leaderboard.publish.text import markdown
from leaderboard.submissions import reproduce

LIMIT = 4000


class MethodReview(BaseModel):
    """conformance: what `python -m benchmark conform` printed. reproductions: a line for each cell that was run again."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$", max_length=60)
    conforms: bool
    conformance: str = Field(max_length=LIMIT)
    reproductions: list[str] = Field(max_length=20)
    stands: bool


class Review(BaseModel):
    """All that the second job is fed, validated before it is shown."""

    model_config = ConfigDict(extra="forbid")
    methods: list[MethodReview] = Field(max_length=20)
    failures: list[str] = Field(max_length=50)

    @property
    def stands(self) -> bool:
        return not self.failures and all(
            method.stands and method.conforms for method in self.methods
        )


def changed_methods(base: str) -> list[str]:
    """Names of the methods whose own file or records differ from a commit. Raises RecordError where git cannot tell."""
    command = ["git", "-C", str(sources.ROOT), "diff", "--name-only", f"{base}...HEAD"]
    try:
        listed = subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError) as error:
        raise RecordError(f"git cannot tell what changed since {base!r}: {error}") from None
    found: list[str] = []
    for name in map(Path, listed):
        if (
            name.parts[0] == "baselines"
            and name.suffix == ".py"
            and (sources.ROOT / name).is_file()
        ):
            found += sources.methods_in(sources.ROOT / name)
        elif name.parts[:2] == ("leaderboard", "records") and name.suffix == ".jsonl":
            found.append(name.stem)
    return list(dict.fromkeys(found))


def review(names: list[str], run: bool = True) -> Review:
    """Check the archive, each method's conformance and, with `run`, one seed of its cheapest suite against the submitted record."""
    try:
        kept = archive.read()
        failures = lints.failures(kept.current)
    except RecordError as error:
        return Review(methods=[], failures=[str(error)[:LIMIT]])
    methods = [_review(name, kept, run) for name in names]
    return Review(methods=methods, failures=[line[:LIMIT] for line in failures][:50])


def _review(name: str, kept: archive.Archive, run: bool) -> MethodReview:
    conform = [sys.executable, "-m", "benchmark", "conform", name]
    made = subprocess.run(conform, cwd=sources.ROOT, capture_output=True, text=True, check=False)
    entries = [
        entry
        for entry in kept.current
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
            found = reproduce.reproduce(entry, kept)
            lines.append(str(found))
            stands = stands and found.verdict != "different"
        except RecordError as error:
            lines.append(str(error))
            stands = False
    output = (made.stdout + made.stderr)[-LIMIT:]
    return MethodReview(
        name=name,
        conforms=made.returncode == 0,
        conformance=output,
        reproductions=[line[:500] for line in lines][:20],
        stands=stands,
    )


def comment(found: Review) -> str:
    """The review as a comment in Markdown, with every submitted word made harmless."""
    verdict = "The submission stands." if found.stands else "The submission does not stand yet."
    parts = [f"**{verdict}**\n"]
    parts += [f"- {markdown(line)}" for line in found.failures]
    if not found.methods:
        parts.append("No method changed.")
    for method in found.methods:
        told = "conforms" if method.conforms else "does not conform"
        parts.append(f"\n### {markdown(method.name)}: {told} to the contract\n")
        parts += [f"    {line}" for line in method.conformance.replace("\r", "").splitlines()]
        parts.append("")
        parts += [f"- {markdown(line)}" for line in method.reproductions] or [
            "- no record of suite mini to compare with"
        ]
    return "\n".join(parts) + "\n"
