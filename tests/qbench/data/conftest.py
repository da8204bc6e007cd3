"""A data folder of its own for each test, small files in the original formats, and a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from qbench.data import structure


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("QBENCH_DATA", str(folder))
    monkeypatch.setenv("QBENCH_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "_said", set())


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """A uint8 array as an idx file, written as its documentation has it."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


Answer = Callable[["_Handler", bytes], None]


@dataclass
class Server:
    """Serves `files` with ranges; `script` holds what to do instead with the next requests.

    Attributes:
        url: of the folder of files.
        requests: path and Range header of each request so far.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    script: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.state.requests.append((name, self.headers.get("Range")))
        content = self.state.files.get(name)
        if content is None:
            self.send_error(404)
        elif self.state.script:
            self.state.script.pop(0)(self, content)
        else:
            whole(self, content)

    def reply(self, status: int, content: bytes, claim: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if claim is None else claim))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def whole(handler: _Handler, content: bytes) -> None:
    """The file, or the range of it that was asked for."""
    asked = handler.headers.get("Range")
    if asked is None:
        handler.reply(200, content)
        return
    start = int(asked.removeprefix("bytes=").rstrip("-"))
    if start >= len(content):
        handler.reply(416, b"")
        return
    handler.reply(206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")


def without_ranges(handler: _Handler, content: bytes) -> None:
    handler.reply(200, content)


def cut_after(count: int) -> Answer:
    """The connection ends after `count` bytes of what was announced."""

    def answer(handler: _Handler, content: bytes) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        rest = content[start:]
        headers = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
        handler.reply(206 if asked else 200, rest[:count], claim=len(rest), **headers)

    return answer


def failing(status: int) -> Answer:
    return lambda handler, content: handler.reply(status, b"no")


@pytest.fixture
def server() -> Iterator[Server]:
    handler = type("Handler", (_Handler,), {})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.state = Server(f"http://127.0.0.1:{listening.server_address[1]}/")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler.state
    listening.shutdown()
    thread.join()
    listening.server_close()


@dataclass(frozen=True)
class Kit:
    """The helpers above, for tests, which cannot import a conftest."""

    md5 = staticmethod(md5)
    idx = staticmethod(idx)
    zipped = staticmethod(zipped)
    tar = staticmethod(tar)
    cut_after = staticmethod(cut_after)
    failing = staticmethod(failing)
    without_ranges = staticmethod(without_ranges)


@pytest.fixture
def kit() -> Kit:
    return Kit()
