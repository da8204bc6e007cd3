"""Downloads of published data files: resumed, retried, and checked before the file appears."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from filelock import FileLock

from qbench.data.folder import DataError

_CHUNK = 1 << 18
_TIMEOUT = 30.0
_ATTEMPTS = 4
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
# Nothing answers: another attempt within seconds does not help, and a machine without a network should say so at once.
_UNREACHABLE = {errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH}
# Errors of a transfer after which another attempt may help. Not every OSError: a full disk remains full.
_BROKEN = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


@dataclass(frozen=True)
class PublishedFile:
    """A file as its authors publish it.

    Attributes:
        path: its place below the data folder.
        urls: its addresses, tried in this order.
        md5: its published MD5, hexadecimal.
    """

    path: str
    urls: tuple[str, ...]
    md5: str

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return Path(self.path).name


class _RefusedError(Exception):
    """This address will not give the file."""


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def provide(title: str, files: Sequence[PublishedFile], folder: Path, *, pause: float = 1.0) -> None:
    """Download those of `files` that are not in `folder`.

    Args:
        title: the data set's name, for messages.
        files: what is needed.
        folder: the data folder.
        pause: seconds before the second attempt; each further pause is twice as long.

    Raises:
        DataError: a file cannot be downloaded; the message names the missing files and where to put them.
    """
    missing = [file for file in files if not (folder / file.path).exists()]
    for file in missing:
        try:
            fetch(file, folder / file.path, pause=pause)
        except DataError as error:
            absent = [each for each in missing if not (folder / each.path).exists()]
            names = ", ".join(each.name for each in absent)
            place = (folder / absent[0].path).parent
            raise DataError(
                f"{title}: {error}; without a network, place {names} in {place} (QBENCH_DATA chooses another folder)"
            ) from error


def fetch(file: PublishedFile, target: Path, *, pause: float = 1.0, stream: TextIO | None = None) -> None:
    """Download one file to `target`, which appears whole and with the published MD5, or not at all.

    What has arrived is kept beside it as `.NAME.part`; a later call asks the server for the rest (HTTP range). One
    process downloads; others wait for it.

    Args:
        file: what to download.
        target: the path at which it appears.
        pause: as in `provide`.
        stream: where progress is written; None is stderr.

    Raises:
        DataError: no address gave the file, or the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                part = target.with_name(f".{target.name}.part")
                _download(file, part, pause, sys.stderr if stream is None else stream)
                part.replace(target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error


def _download(file: PublishedFile, part: Path, pause: float, stream: TextIO) -> None:
    """Complete `part` from the first address that gives the file."""
    reasons = []
    for url in file.urls:
        try:
            _download_from(url, file, part, pause, stream)
            return
        except _RefusedError as error:
            reasons.append(f"{url}: {error}")
    raise DataError(f"cannot download {file.name} ({'; '.join(reasons)})")


def _download_from(url: str, file: PublishedFile, part: Path, pause: float, stream: TextIO) -> None:
    """Complete `part` from `url`, in several attempts.

    Raises:
        _RefusedError: the last reason.
    """
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        resumed = part.exists()
        try:
            _transfer(url, part, _Progress(file.name, stream))
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and resumed:
                # The server has nothing beyond what the part holds: it is whole, or of another file.
                if md5_of(part) == file.md5:
                    return
                part.unlink()
                continue
            if error.code not in _AGAIN:
                raise _RefusedError(reason) from error
            continue
        except _BROKEN as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            reason = str(cause) or type(cause).__name__
            if isinstance(cause, socket.gaierror) or getattr(cause, "errno", None) in _UNREACHABLE:
                raise _RefusedError(reason) from error
            continue
        found = md5_of(part)
        if found == file.md5:
            return
        part.unlink()
        reason = f"its MD5 is {found}, published is {file.md5}"
        if not resumed:  # a download from the first byte on: the server has another file
            raise _RefusedError(reason)
    raise _RefusedError(f"{reason}, {_ATTEMPTS} times")


def _transfer(url: str, part: Path, progress: _Progress) -> None:
    """Append to `part` what it lacks of the file at `url`, or write it anew if the server knows no ranges."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "qbench"} | ({"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as response:
        if have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        with part.open("ab" if have else "wb") as out:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                have += len(chunk)
                progress.show(have, total)
            out.flush()
            os.fsync(out.fileno())
    progress.end(have)
    if total is not None and have < total:
        raise ConnectionError(f"the transfer ended after {have:,} of {total:,} bytes")


class _Progress:
    """Progress of a download on a stream: one line that is rewritten on a terminal, elsewhere a line for each tenth."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self.name = name
        self.stream = stream
        self.terminal = stream.isatty()
        self.shown: int | None = None

    def show(self, have: int, total: int | None) -> None:
        # Percent, or tens of megabytes if the size is not known.
        step = 100 * have // total if total else have // 10_000_000
        step = step if self.terminal else step // 10 * 10 if total else step
        if step == self.shown:
            return
        self.shown = step
        amount = f"{step} % of {total / 1e6:.1f} MB" if total else f"{have / 1e6:.0f} MB"
        line = f"downloading {self.name}: {amount}"
        self.stream.write(f"\r{line}" if self.terminal else f"{line}\n")
        self.stream.flush()

    def end(self, have: int) -> None:
        self.stream.write(f"\r\x1b[Kdownloaded {self.name}: {have / 1e6:.1f} MB\n" if self.terminal else "")
        self.stream.flush()
