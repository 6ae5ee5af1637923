"""The locks have what pyproject.toml asks for, with hashes, and the torch of the records."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
GROUPS = {"torch": "test", "leaderboard": "leaderboard", "lint": "lint", "tools": "tools"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, str]:
    """Versions by package."""
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def group(name: str) -> list[Requirement]:
    """A dependency group's requirements, with those of the groups it includes."""
    found = []
    for entry in PROJECT["dependency-groups"][name]:
        found += group(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_a_lock_has_what_pyproject_asks_for(name: str) -> None:
    wanted, locked = group(GROUPS[name]), pins(name)
    if name == "torch":
        project = PROJECT["project"]
        own = project["dependencies"] + project["optional-dependencies"]["benchmark"]
        wanted += map(Requirement, own)
        locked |= pins("torch-build")
    for requirement in wanted:
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_environments_agree_on_versions() -> None:
    torch = pins("torch")
    for name in GROUPS:
        assert all(
            torch.get(package, version) == version for package, version in pins(name).items()
        )
    assert pins("leaderboard").items() <= torch.items()


def test_torch_is_that_of_the_records_and_without_hashes() -> None:
    assert pins("torch-build")["torch"] == "2.13.0"
    assert "--hash" not in (ROOT / "locks/torch-build.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GROUPS)
def test_every_other_package_has_hashes_and_no_lock_names_an_index(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(name)) and all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text and "index-url" not in text
