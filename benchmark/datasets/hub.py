"""The Hugging Face Hub: fetching a pinned dataset, and publishing one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pydantic import BaseModel, ConfigDict, Field

from benchmark.datasets import storage
from benchmark.errors import UserError

FILES = ["manifest.json", "README.md", "*.png", "data/*.parquet"]
CONNECTION_ERRORS = ("httpx", "httpcore", "requests", "urllib3", "httpx2", "httpcore2")
"""The packages whose errors mean that a connection failed."""

Answer = TypeVar("Answer")


class Published(BaseModel):
    """Where a dataset lies on the Hub: its repository, and the commit at which it is pinned."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(pattern="^[0-9a-f]{40}$")


def fetch(published: Published, folder: Path) -> None:
    """Download a dataset's files into a folder, or resume an earlier download.

    Raises UserError where that fails.
    """
    where = f"{published.repository} at revision {published.revision[:12]}"
    _ask(
        where,
        lambda: snapshot_download(
            published.repository,
            repo_type="dataset",
            revision=published.revision,
            local_dir=folder,
            allow_patterns=FILES,
        ),
    )


def fetch_file(repository: str, file: str, revision: str) -> Path:
    """Download a file of a dataset's repository into the Hub's own cache.

    Raises UserError where it is not available.
    """
    from huggingface_hub import hf_hub_download

    path = _ask(
        repository,
        lambda: hf_hub_download(repository, file, repo_type="dataset", revision=revision),
    )
    return Path(path)


def publish(folder: Path, repository: str, *, private: bool) -> Published:
    """Verify a dataset and upload it, into a new repository where there is none.

    Returns what the catalogue must say of it. Raises UserError where it is damaged, or where the
    Hub refuses it.
    """
    storage.verify(folder)
    api = HfApi()

    def upload() -> str:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type="dataset",
            allow_patterns=FILES,
            commit_message="Dataset",
        )
        return commit.oid

    return Published(repository=repository, revision=_ask(repository, upload))


def _ask(where: str, request: Callable[[], Answer]) -> Answer:
    """Make a request of the Hub. Raises UserError that says in one line why it failed."""
    try:
        return request()
    except GatedRepoError:
        reason = "access must be asked for"
        mend = "ask on the dataset's page, then log in with `hf auth login`"
    except RevisionNotFoundError:
        reason = "that revision is not there"
        mend = "it was removed or never published; see the catalogue"
    except RepositoryNotFoundError:
        reason, mend = "not found, or private", "log in with `hf auth login` if you have access"
    except LocalEntryNotFoundError:
        reason = "the Hub cannot be reached"
        mend = "the same command goes on when it can; --hub-mirror DIR reads a copy"
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        reason = f"the Hub answered {status}" if status else str(error).splitlines()[0]
        if status in (401, 403):
            mend = "log in with `hf auth login`"
        elif status == 429:
            mend = "it asks to wait; the same command goes on later"
        else:
            mend = "the same command tries again"
    except (OSError, ValueError) as error:  # cut connections, full disks, malformed names
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        mend = "the same command goes on"
    except Exception as error:
        if type(error).__module__.split(".")[0] not in CONNECTION_ERRORS:
            raise
        reason, mend = str(error) or type(error).__name__, "the same command goes on"
    raise UserError(f"{where}: {reason}; {mend}")
