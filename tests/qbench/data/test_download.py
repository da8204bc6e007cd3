"""Downloads from a server on this machine that breaks off, fails, and lies."""

from __future__ import annotations

import io
import os
import socket
import threading

import numpy as np
import pytest

from qbench.data import download
from qbench.data.download import PublishedFile, fetch, provide
from qbench.data.folder import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 700_001, dtype=np.uint8).tobytes()
PAUSE = 0.001


def published(server, kit, content=CONTENT, name="digits.bin"):
    server.files[name] = content
    return PublishedFile(f"set/{name}", (server.url + name,), kit.md5(content))


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".lock")


def test_a_file_is_downloaded_once(tmp_path, server, kit):
    target = tmp_path / "set" / "digits.bin"
    file, said = published(server, kit), io.StringIO()
    fetch(file, target, stream=said)
    fetch(file, target, stream=said)
    assert target.read_bytes() == CONTENT
    assert server.requests == [("digits.bin", None)]
    assert left_in(target.parent) == ["digits.bin"]
    assert said.getvalue().splitlines()[-1] == "downloading digits.bin: 100 % of 0.7 MB"


def test_a_broken_transfer_goes_on_where_it_stopped(tmp_path, server, kit):
    file = published(server, kit)
    server.script = [kit.cut_after(300_000), kit.cut_after(100_000)]
    fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=300000-", "bytes=400000-"]


def test_a_later_call_goes_on_with_what_an_interrupted_one_left(tmp_path, server, kit):
    file = published(server, kit)
    server.script = [kit.cut_after(1000)] * 4
    with pytest.raises(DataError, match=r"the transfer ended after 4,000 of 700,001 bytes, 4 times"):
        fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert not (tmp_path / "a").exists()
    fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.requests[-1] == ("digits.bin", "bytes=4000-")


def test_a_server_without_ranges_sends_all_again(tmp_path, server, kit):
    file = published(server, kit)
    server.script = [kit.cut_after(5000), kit.without_ranges]
    fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_failures_of_the_server_are_retried(tmp_path, server, kit):
    file = published(server, kit)
    server.script = [kit.failing(500), kit.failing(503)]
    fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_refusal_is_not_retried_and_the_next_address_is_tried(tmp_path, server, kit):
    good = published(server, kit)
    file = PublishedFile(good.path, (server.url + "elsewhere.bin", *good.urls), good.md5)
    fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert [name for name, _ in server.requests] == ["elsewhere.bin", "digits.bin"]


def test_a_wrong_file_is_refused_and_nothing_stays(tmp_path, server, kit):
    file = published(server, kit)
    server.files["digits.bin"] = b"<html>moved</html>"
    with pytest.raises(DataError) as caught:
        fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert f"its MD5 is {kit.md5(b'<html>moved</html>')}, published is {file.md5}" in str(caught.value)
    assert len(server.requests) == 1
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("left", [b"other bytes", CONTENT[:-1] + b"\0", CONTENT + b"\0", CONTENT])
def test_what_was_left_of_another_file_is_thrown_away(tmp_path, server, kit, left):
    """A part that is wrong, as long as the file, longer, or the whole file already."""
    file = published(server, kit)
    (tmp_path / ".a.part").write_bytes(left)
    fetch(file, tmp_path / "a", pause=PAUSE, stream=io.StringIO())
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(server.requests) == (1 if left == CONTENT else 2)
    assert left_in(tmp_path) == ["a"]


def test_several_processes_download_once(tmp_path, server, kit):
    file = published(server, kit)
    threads = [
        threading.Thread(target=fetch, args=(file, tmp_path / "a"), kwargs={"stream": io.StringIO()}) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(server.requests) == 1


def closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_without_a_network_the_files_to_place_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail("waited for a network"))
    url = f"http://127.0.0.1:{closed_port()}/"
    files = [PublishedFile(f"set/{name}", (url + name,), "0" * 32) for name in ("a.gz", "b.gz", "c.gz")]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "b.gz").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        provide("Digits", files, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"Digits: cannot download a.gz ({url}a.gz: [Errno ")
    assert message.endswith(f"place a.gz, c.gz in {tmp_path / 'set'} (QBENCH_DATA chooses another folder)")
    assert "\n" not in message


def test_an_unknown_host_is_not_asked_again(tmp_path, monkeypatch):
    def resolve(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail("waited for a network"))
    with pytest.raises(DataError, match="Name or service not known"):
        fetch(PublishedFile("a", ("http://nowhere.invalid/a",), "0" * 32), tmp_path / "a")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path, server, kit):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"cannot write .*Permission denied"):
        fetch(published(server, kit), tmp_path / "a", stream=io.StringIO())


def test_a_file_in_the_place_of_the_folder(tmp_path, server, kit):
    (tmp_path / "set").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*set"):
        fetch(published(server, kit), tmp_path / "set" / "a", stream=io.StringIO())


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_rewrites_one_line(tmp_path, server, kit):
    said = Terminal()
    fetch(published(server, kit), tmp_path / "a", stream=said)
    assert "\rdownloading digits.bin: 37 % of 0.7 MB" in said.getvalue()
    assert said.getvalue().endswith("downloaded digits.bin: 0.7 MB\n")
    assert said.getvalue().count("\n") == 1
