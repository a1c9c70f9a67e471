"""A model hub on loopback: what both generations of the hub's client ask of one, with faults on command.

Lists and serves the files that it is given, and remembers each request. Knows neither accounts nor redirects.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

PIECE = 4096  # bytes written at a time
HANG = 30.0  # seconds that a hanging hub says nothing, unless it is closed before


@dataclass(frozen=True)
class Request:
    method: str
    repo: str
    revision: str
    file: str  # empty: the list of files
    start: int  # of the range asked for; 0 without one


@dataclass(frozen=True)
class Repo:
    commit: str
    files: dict[str, bytes]


class Hub:
    """Serves while it is entered. `address` stays its own afterwards, and refuses."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.repos: dict[str, Repo] = {}
        self.cut: dict[str, list[int]] = {}  # file: bytes after which each of the next connections ends
        self.hang: dict[str, int] = {}  # file: bytes after which nothing more comes
        self.served: dict[str, bytes] = {}  # file: what comes in the place of what is listed
        self.missing: set[str] = set()  # files that are listed and not there
        self.denial: tuple[int, str] | None = None  # status and code in the place of every list
        self.pause = 0.0  # seconds before each piece of a file
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = False  # so that closing waits for them
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="fake hub")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, name: str, files: Path | dict[str, bytes], commit: str = "") -> str:
        """Serve `files` as `name`; the commit that `main` stands for."""
        if isinstance(files, Path):
            files = {
                path.relative_to(files).as_posix(): path.read_bytes() for path in files.rglob("*") if path.is_file()
            }
        self.repos[name] = Repo(commit or hashlib.sha1(name.encode()).hexdigest(), files)
        return self.repos[name].commit

    def fetched(self) -> set[str]:
        """The files of which content was asked for."""
        return {request.file for request in self.requests if request.method == "GET" and request.file}

    def wait(self, seconds: float) -> None:
        self._ended.wait(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


def is_large(name: str) -> bool:
    """Whether the hub keeps the file as large ones are kept: by its SHA-256."""
    return name.endswith((".safetensors", ".bin"))


def etag(name: str, content: bytes) -> str:
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, with_content: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) == 6 and parts[4] == "revision":
            self._list(f"{parts[2]}/{parts[3]}", parts[5])
        elif len(parts) > 4 and parts[2] == "resolve":
            self._file(f"{parts[0]}/{parts[1]}", parts[3], "/".join(parts[4:]), with_content)
        else:
            self._refuse(400, "BadRequest")

    def _find(self, name: str, revision: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._refuse(404, "RepoNotFound")
        elif revision not in ("main", repo.commit):
            self._refuse(404, "RevisionNotFound")
            repo = None
        return repo

    def _list(self, name: str, revision: str) -> None:
        self.hub.requests.append(Request(self.command, name, revision, "", 0))
        if self.hub.denial:
            self._refuse(*self.hub.denial)
        elif repo := self._find(name, revision):
            siblings = []
            for file, content in repo.files.items():
                sibling = {"rfilename": file, "size": len(content), "blobId": "0" * 40}
                if is_large(file):
                    sibling["lfs"] = {"sha256": etag(file, content), "size": len(content), "pointerSize": 134}
                else:
                    sibling["blobId"] = etag(file, content)
                siblings.append(sibling)
            answer = {"_id": "0", "id": name, "modelId": name, "sha": repo.commit, "siblings": siblings}
            self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode(), True)

    def _file(self, name: str, revision: str, file: str, with_content: bool) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.hub.requests.append(Request(self.command, name, revision, file, start))
        if not (repo := self._find(name, revision)):
            return
        if file not in repo.files or file in self.hub.missing:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": repo.commit})
            return
        listed = repo.files[file]
        content = self.hub.served.get(file, listed) if with_content else listed
        if start and start >= len(content):
            self._refuse(416, "RangeNotSatisfiable")
            return
        headers = {
            "ETag": f'"{etag(file, listed)}"',
            "X-Repo-Commit": repo.commit,
            "X-Linked-Size": str(len(listed)),
            "Accept-Ranges": "bytes",
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cuts = self.hub.cut.get(file)
        end = cuts.pop(0) if cuts and with_content else None
        self._send(206 if start else 200, headers, content[start:], with_content, end, self.hub.hang.get(file))

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": code} | (headers or {}), b"", True)

    def _send(
        self,
        status: int,
        headers: dict[str, str],
        content: bytes,
        with_content: bool,
        cut: int | None = None,
        hang: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if not with_content:
            return
        for at in range(0, len(content), PIECE):
            if cut is not None and at >= cut:
                return
            if hang is not None and at >= hang:
                self.hub.wait(HANG)
                return
            self.hub.wait(self.hub.pause)
            try:
                self.wfile.write(content[at : at + PIECE])
            except ConnectionError:  # the client has enough
                return
