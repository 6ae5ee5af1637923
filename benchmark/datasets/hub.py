"""The Hugging Face Hub: fetching a dataset at a commit, and publishing one."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, constants, get_token, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
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


REPOSITORY = r"^[\w.-]+/[\w.-]+$"


class Published(BaseModel):
    """Where a dataset lies on the Hub: its repository, and the commit at which it is pinned."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    repository: str = Field(pattern=REPOSITORY)
    revision: str = Field(pattern="^[0-9a-f]{40}$")


def commit(repository: str, revision: str) -> str:
    """Look up the commit that a branch, a tag or the beginning of a commit's name stands for.

    Raises UserError where it is not there, or nobody knows.
    """
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    if constants.HF_HUB_OFFLINE and (folder := _cached(repository, revision)) is not None:
        return folder.name
    where = f"{repository} at revision {revision}"
    asked = _ask(
        where, lambda token: HfApi().dataset_info(repository, revision=revision, token=token)
    )
    return str(asked.sha)


def fetch(published: Published, folder: Path) -> None:
    """Bring a dataset's files into a folder, or go on with an earlier download.

    They come from the Hub's own cache where that has them all, else from the Hub. Raises UserError
    where that fails.
    """
    cached = _cached(published.repository, published.revision)
    if cached is not None and _is_whole(cached):
        shutil.copytree(cached, folder, dirs_exist_ok=True)
        return
    where = f"{published.repository} at revision {published.revision[:12]}"
    _ask(
        where,
        lambda token: snapshot_download(
            published.repository,
            repo_type="dataset",
            revision=published.revision,
            local_dir=folder,
            allow_patterns=FILES,
            token=token,
        ),
    )


def _cached(repository: str, revision: str) -> Path | None:
    """A commit's folder in the Hub's own cache, which may hold only some of its files."""
    try:
        found = snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision,
            allow_patterns=FILES,
            local_files_only=True,
        )
    except (OSError, ValueError, EntryNotFoundError):  # not there, or not readable
        return None
    return Path(found)


def _is_whole(folder: Path) -> bool:
    try:
        storage.verify(folder)
    except UserError:
        return False
    return True


def fetch_file(repository: str, file: str, revision: str) -> Path:
    """Download a file of a dataset's repository into the Hub's own cache.

    Raises UserError where it is not available.
    """
    from huggingface_hub import hf_hub_download

    path = _ask(
        repository,
        lambda token: hf_hub_download(
            repository, file, repo_type="dataset", revision=revision, token=token
        ),
    )
    return Path(path)


def publish(folder: Path, repository: str, *, private: bool) -> Published:
    """Verify a dataset and upload it, into a new repository where there is none.

    Returns what the catalogue must say of it. Raises UserError where it is damaged, where the name
    is none of a repository, or where the Hub refuses it.
    """
    if not re.fullmatch(REPOSITORY, repository):
        raise UserError(
            f"{repository!r} is no repository; name it as OWNER/NAME, as me/my-networks"
        )
    storage.verify(folder)

    def upload(token: bool | None) -> str:
        api = HfApi(token=token)
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


def _ask(where: str, request: Callable[[bool | None], Answer]) -> Answer:
    """Make a request of the Hub; False for its argument means to make it without a token.

    Where the Hub refuses a token, it is asked again without: what is public needs none. Raises
    UserError that says in one line why it failed.
    """
    try:
        return request(None)
    except Exception as error:
        refused = getattr(getattr(error, "response", None), "status_code", None) == 401
        if not refused or get_token() is None:
            raise _explained(where, error) from None
    try:
        answer = request(False)
    except Exception:
        raise UserError(
            f"{where}: the Hub refuses the token {_token_place()}, and without it too; renew or "
            "remove it"
        ) from None
    logging.getLogger(__name__).warning(
        "the Hub refuses the token %s; went on without it", _token_place()
    )
    return answer


def _token_place() -> str:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name):
            return f"in the variable {name}"
    return f"in {constants.HF_TOKEN_PATH}"


def _explained(where: str, error: Exception) -> Exception:
    """A UserError that says why a request failed and what helps; other errors as they are."""
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    match error:
        case GatedRepoError():
            reason = "access must be asked for"
            mend = "ask on the dataset's page, then log in with `hf auth login`"
        case RevisionNotFoundError():
            reason = "that revision is not there"
            mend = "it was removed or never published; see the catalogue"
        case RepositoryNotFoundError():
            reason, mend = "not found, or private", "log in with `hf auth login` if you have access"
        case OfflineModeIsEnabled() | LocalEntryNotFoundError() if constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE is set, and the Hub's cache has no whole copy"
            mend = "unset it to download one; --hub-mirror DIR reads a copy"
        case LocalEntryNotFoundError():
            reason = "the Hub cannot be reached"
            mend = "the same command goes on when it can; --hub-mirror DIR reads a copy"
        case HfHubHTTPError() if status in (404, 410):
            reason = f"the Hub lists a file and answers {status} when asked for it"
            mend = "this revision is broken, and asking again does not help; tell its owner"
        case HfHubHTTPError():
            reason = f"the Hub answered {status}" if status else first
            mend = {
                401: "log in with `hf auth login`",
                403: "log in with `hf auth login`",
                429: "it asks to wait; the same command goes on later",
            }.get(status or 0, "the same command tries again")
        case ImportError() | ValueError() if "proxy" in first.lower():
            reason, mend = first.rstrip("."), f"{_proxy()} names it: unset it, or mend that"
        # Cut connections, full disks, malformed names.
        case OSError() | ValueError():
            reason, mend = first, "the same command goes on"
        case _ if type(error).__module__.split(".")[0] in CONNECTION_ERRORS:
            reason, mend = first, "the same command goes on"
        case _:
            return error
    return UserError(f"{where}: {reason}; {mend}")


def _proxy() -> str:
    """The variables that name a proxy."""
    names = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
    found = [
        f"{name}={os.environ[name]}"
        for name in (*names, *(name.lower() for name in names))
        if os.environ.get(name)
    ]
    return " or ".join(found) or "a setting of this machine"
