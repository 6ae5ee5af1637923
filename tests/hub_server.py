"""A loopback server that speaks what the Hub's clients use for datasets, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LFS_ENDINGS = (".parquet", ".png")


@dataclass
class Repository:
    """Commits of one dataset repository: each maps paths to contents."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""
    token: str | None = None  # who lacks it is told that there is no such repository
    gated: bool = False

    def commit(self, files: dict[str, bytes]) -> str:
        listing = sorted((path, hashlib.sha256(data).hexdigest()) for path, data in files.items())
        oid = hashlib.sha1(json.dumps([self.main, listing]).encode()).hexdigest()
        self.commits[oid], self.main = dict(files), oid
        return oid

    def files(self, revision: str) -> dict[str, bytes] | None:
        return self.commits.get(self.main if revision == "main" else revision)


@dataclass
class Fault:
    """What happens to the next requests of a method and path: a status, a cut, other bytes."""

    method: str
    ending: str
    action: Callable[[Handler], bool]  # returns whether the request is thereby answered
    times: int = 1


class Hub:
    """The server.

    repositories: what it holds. faults: what it does wrong. requests: what it was asked.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str | None]] = []
        self.uploads: dict[str, bytes] = {}
        self.elsewhere: dict[str, str] = {}
        self.expired: str | None = None  # a token that the Hub no longer takes, from anybody
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self})
        )
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def status(code: int, **headers: str) -> Callable[[Handler], bool]:
    """A fault that answers with a status."""

    def action(handler: Handler) -> bool:
        handler.answer(
            code, b"", {name.replace("_", "-"): value for name, value in headers.items()}
        )
        return True

    return action


def cut(handler: Handler) -> bool:
    """A fault that sends half of what it promised."""
    handler.cut_body = True
    return False


def redirect(handler: Handler) -> bool:
    """No fault: the Hub names another address for large files, which serves the bytes alone."""
    digest = hashlib.sha256(handler.path.encode()).hexdigest()
    handler.hub.elsewhere[digest] = handler.path
    parts = urlsplit(handler.path).path.strip("/").split("/")
    repository = handler.hub.repositories["/".join(parts[1:3])]
    data = (repository.files(parts[4]) or {})["/".join(parts[5:])]
    headers = {
        "Location": f"{handler.hub.url}/cdn/{digest}",
        "ETag": f'"{digest}"',
        "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
        "X-Linked-Size": str(len(data)),
        "X-Repo-Commit": parts[4],
    }
    handler.answer(302, b"", headers)
    return True


def garble(handler: Handler) -> bool:
    """A fault that changes one byte of what is sent."""
    handler.garble_body = True
    return False


class Handler(BaseHTTPRequestHandler):
    """One request."""

    hub: Hub
    protocol_version = "HTTP/1.1"
    cut_body = garble_body = False

    def do_GET(self) -> None:
        self._route()

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        if self.garble_body and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if self.cut_body else body)
        if self.cut_body:
            self.wfile.flush()
            self.close_connection = True

    def json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def missing(self, code: int, error: str) -> None:
        self.answer(code, b"", {"X-Error-Code": error, "X-Error-Message": error})

    def _route(self) -> None:
        self.cut_body = self.garble_body = False
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        for fault in list(self.hub.faults):
            if fault.method == self.command and path.endswith(fault.ending) and fault.times > 0:
                fault.times -= 1
                if fault.action(self):
                    return
        parts = path.strip("/").split("/")
        if self.hub.expired and self.headers.get("Authorization") == f"Bearer {self.hub.expired}":
            self.answer(
                401, b"", {"X-Error-Message": "Invalid credentials in Authorization header"}
            )
            return
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.hub.repositories.setdefault(name, Repository())
            self.json({"url": f"{self.hub.url}/datasets/{name}", "id": name, "name": name})
        elif path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif parts[0] == "cdn":
            self._resolve_path(self.hub.elsewhere[parts[1]])
        elif parts[0] == "uploads":
            self.hub.uploads[parts[1]] = body
            self.answer(200, b"", {})
        elif parts[:2] == ["api", "datasets"]:
            self._api("/".join(parts[2:4]), parts[4:], body, parse_qs(url.query))
        elif parts[0] == "datasets" and parts[3:4] == ["resolve"]:
            self._resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {
                    **asked,
                    "actions": {"upload": {"href": f"{self.hub.url}/uploads/{asked['oid']}"}},
                }
                for asked in json.loads(body)["objects"]
            ]
            self.json({"transfer": "basic", "objects": objects})
        else:
            self.missing(404, "EntryNotFound")

    def _find(self, name: str) -> Repository | None:
        repository = self.hub.repositories.get(name)
        authorised = (
            repository and self.headers.get("Authorization") == f"Bearer {repository.token}"
        )
        if repository is None or (repository.token and not authorised):
            self.missing(401 if repository else 404, "RepoNotFound")
            return None
        if repository.gated:
            self.missing(403, "GatedRepo")
            return None
        return repository

    def _api(self, name: str, rest: list[str], body: bytes, query: dict[str, list[str]]) -> None:
        if (repository := self._find(name)) is None:
            return
        verb, revision = (*rest, "", "main")[0], (rest[1] if len(rest) > 1 else "main")
        if verb == "preupload":
            files = [
                {
                    "path": f["path"],
                    "uploadMode": "lfs" if f["path"].endswith(LFS_ENDINGS) else "regular",
                    "shouldIgnore": False,
                }
                for f in json.loads(body)["files"]
            ]
            self.json({"files": files})
        elif verb == "commit":
            files = dict(repository.files("main") or {})
            for line in body.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "lfsFile":
                    files[value["path"]] = self.hub.uploads[value["oid"]]
            oid = repository.commit(files)
            self.json(
                {
                    "success": True,
                    "commitOid": oid,
                    "commitUrl": f"{self.hub.url}/datasets/{name}/commit/{oid}",
                }
            )
        elif (result := repository.files(revision)) is None:
            self.missing(404, "RevisionNotFound")
        elif verb == "tree":
            self.json([self._listed(path, data) for path, data in result.items()])
        else:
            siblings = [{"rfilename": path} for path in result]
            oid = repository.main if revision == "main" else revision
            self.json(
                {
                    "id": name,
                    "sha": oid,
                    "siblings": siblings,
                    "private": False,
                    "tags": [],
                    "downloads": 0,
                }
            )

    def _listed(self, path: str, data: bytes) -> dict[str, object]:
        entry: dict[str, object] = {
            "type": "file",
            "path": path,
            "size": len(data),
            "oid": _git_oid(data),
        }
        if path.endswith(LFS_ENDINGS):
            entry["lfs"] = {
                "oid": hashlib.sha256(data).hexdigest(),
                "size": len(data),
                "pointerSize": 130,
            }
        return entry

    def _resolve_path(self, path: str) -> None:
        parts = path.strip("/").split("/")
        self._resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))

    def _resolve(self, name: str, revision: str, path: str) -> None:
        if (repository := self._find(name)) is None:
            return
        files = repository.files(revision)
        if files is None:
            self.missing(404, "RevisionNotFound")
        elif path not in files:
            self.missing(404, "EntryNotFound")
        else:
            data = files[path]
            etag = (
                hashlib.sha256(data).hexdigest() if path.endswith(LFS_ENDINGS) else _git_oid(data)
            )
            headers = {
                "ETag": f'"{etag}"',
                "X-Repo-Commit": repository.main if revision == "main" else revision,
                "Accept-Ranges": "bytes",
            }
            start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.answer(206 if start else 200, data[start:], headers)


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
