"""Downloads from misbehaving mirrors, simulated by a server on loopback: files arrive whole and checked, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_datasets import contents, gz, put, small, tree

from minidrop import datasets
from minidrop.datasets import fetch as module, store
from minidrop.datasets.fetch import default_root, fetch, require_https
from minidrop.datasets.manifest import entry, manifest
from minidrop.errors import ArgumentError, DataError

FILES = [file["name"] + ".gz" for file in entry("mnist")["files"]]


class Mirrors(ThreadingHTTPServer):
    """Mirrors at url("good"), url("absent"), ...: they answer as their name says, or as `play` says for a file."""

    daemon_threads = False  # server_close waits for every answer
    request_queue_size = 32

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {f"{name}.gz": gz(content) for name, content in contents("mnist").items()}
        self.play, self.asked = {}, []
        self.gate = threading.Event()

    def url(self, behaviour):
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/"

    def count(self):
        return dict(Counter(name for _, name in self.asked))

    def wait_for(self, count):
        deadline = time.monotonic() + 20
        while len(self.asked) < count:
            assert time.monotonic() < deadline, f"only {self.asked} came"
            time.sleep(0.01)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # the client may hang up
            super().handle_error(request, client_address)


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        self.server.asked.append((behaviour, name))
        behaviour = self.server.play.get(name, behaviour)
        if behaviour == "absent":
            return self.send_error(404, "no such file")
        if behaviour == "gated":
            self.server.gate.wait(20)
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if behaviour in ("broken", "stalled"):
            self.wfile.write(content[: len(content) // 2])
            if behaviour == "stalled":
                self.server.gate.wait(20)
        elif behaviour == "slow":
            for start in range(0, len(content), len(content) // 12 + 1):
                self.wfile.write(content[start : start + len(content) // 12 + 1])
                time.sleep(0.1)
        else:
            self.wfile.write(content[::-1] if behaviour == "wrong" else content)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving():
    with Mirrors() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def server(monkeypatch):
    """The mirrors; MNIST's manifest table is a small one that names the good mirror alone."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        monkeypatch.setitem(manifest(), "mnist", small("mnist") | {"mirrors": [server.url("good")]})
        yield server


@pytest.fixture
def mirrors(server):
    """A function that sets MNIST's mirrors."""
    return lambda *names: entry("mnist").update(mirrors=[server.url(name) for name in names])


def left(root):
    """Everything under root, our own folders too, except the lock's file."""
    files = {name: content for name, content in tree(root).items() if not name.endswith(".lock")}
    return files | {path.name: "a folder left behind" for path in root.glob(".*") if path.is_dir()}


def whole(server):
    return {f"mnist/{name}": content for name, content in server.files.items()}


class TestMirrors:
    def test_a_good_one(self, server, tmp_path):
        assert fetch("mnist", tmp_path) == tmp_path / "mnist"
        assert left(tmp_path) == whole(server) and server.asked == [("good", name) for name in FILES]
        fetch("mnist", tmp_path)
        assert len(server.asked) == 4  # existing files are not fetched again

    @pytest.mark.parametrize("bad", ["absent", "wrong", "broken", "stalled"])
    def test_the_next_is_asked(self, server, mirrors, monkeypatch, tmp_path, bad):
        monkeypatch.setattr(module, "TIMEOUT", 0.5)
        mirrors(bad, "good")
        fetch("mnist", tmp_path)
        assert left(tmp_path) == whole(server) and server.asked == [(kind, name) for name in FILES for kind in (bad, "good")]

    def test_a_slow_one_that_goes_on_is_not_given_up(self, server, mirrors, monkeypatch, tmp_path):
        monkeypatch.setattr(module, "TIMEOUT", 1.0)  # its twelve pieces take 1.2 s
        server.play = {FILES[0]: "slow"}
        fetch("mnist", tmp_path)
        assert left(tmp_path) == whole(server) and len(server.asked) == 4

    def test_all_bad(self, server, mirrors, monkeypatch, tmp_path):
        monkeypatch.setattr(module, "TIMEOUT", 0.5)
        mirrors("absent", "wrong", "broken", "stalled")
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            entry("mnist")["mirrors"].append(f"http://127.0.0.1:{closed.getsockname()[1]}/")  # nobody listens there
            with pytest.raises(DataError, match=f"{FILES[0]}: no mirror had it") as error:
                fetch("mnist", tmp_path)
        answers = error.value.got.split("; ")
        words = ["404 Client Error", "another SHA-256", "Incomplete", "timed out", "refused"]
        assert len(answers) == 5 and error.value.help == module.HELP
        for url, answer, word in zip(entry("mnist")["mirrors"], answers, words, strict=True):
            assert answer.startswith(url) and word in answer
        assert left(tmp_path) == {} and [path.name for path in tmp_path.iterdir()] in ([], [".mnist.lock"])

    def test_a_later_file_fails_and_the_earlier_ones_stay(self, server, tmp_path):
        server.play = {FILES[2]: "broken"}
        with pytest.raises(DataError, match=FILES[2]):
            fetch("mnist", tmp_path)
        assert sorted(left(tmp_path)) == sorted(f"mnist/{name}" for name in FILES[:2])
        server.play = {}
        fetch("mnist", tmp_path)
        assert left(tmp_path) == whole(server) and server.count() == dict.fromkeys(FILES, 1) | {FILES[2]: 2}

    def test_the_manifest_has_the_last_word(self, server, tmp_path):
        entry("mnist")["files"][1]["bytes"] += 1  # the file as sent matches the manifest, its content does not
        with pytest.raises(DataError, match=r"not what the manifest says(.|\n)*expected: 19 bytes(.|\n)*got: 18 bytes"):
            fetch("mnist", tmp_path)
        assert list(left(tmp_path)) == [f"mnist/{FILES[0]}"]

    @pytest.mark.parametrize("url", ["http://example.org/", "ftp://example.org/", "http://127.0.0.1@example.org/", "http://127.0.0.1.example.org/", "/data/"])  # fmt: skip
    def test_only_https(self, server, tmp_path, url):
        entry("mnist")["mirrors"] = [url]
        with pytest.raises(ArgumentError, match="downloads go over HTTPS"):
            fetch("mnist", tmp_path)
        assert left(tmp_path) == {}
        require_https("https://example.org/")
        require_https("http://localhost:8000/")


class TestWhatIsThere:
    def test_missing_files_are_added(self, server, tmp_path):
        files = contents("mnist")
        put(tmp_path / "mnist", {FILES[0][:-3]: files[FILES[0][:-3]]}, packed=False)  # unpacked by hand: equally valid
        fetch("mnist", tmp_path)
        assert server.count() == dict.fromkeys(FILES[1:], 1) and (tmp_path / "mnist" / FILES[0][:-3]).exists()

    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("content", [b"my own", b"\x1f\x8b a broken gzip file"])
    def test_other_files_are_kept_unless_told(self, server, tmp_path, packed, content):
        path = tmp_path / "mnist" / (FILES[1] if packed else FILES[1][:-3])
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{path}(.|\n)*expected: (.|\n)*got: (.|\n)*help: "):
            fetch("mnist", tmp_path)
        assert left(tmp_path) == {f"mnist/{path.name}": content} and not server.asked
        fetch("mnist", tmp_path, replace=True)
        assert left(tmp_path) == whole(server)

    def test_a_failed_replacement_leaves_the_old_file(self, server, mirrors, tmp_path):
        put(tmp_path / "mnist", {FILES[0]: b"my own"}, packed=False)
        mirrors("wrong")
        with pytest.raises(DataError, match="no mirror"):
            fetch("mnist", tmp_path, replace=True)
        assert left(tmp_path) == {f"mnist/{FILES[0]}": b"my own"}

    def test_leftovers_are_cleared_even_if_nothing_is_missing(self, server, tmp_path):
        put(tmp_path / "mnist", contents("mnist"))
        put(tmp_path / ".mnist.partial", {"half": b"killed after its last file was in place"})
        fetch("mnist", tmp_path)
        assert left(tmp_path) == whole(server) and not server.asked

    def test_loaders_fetch_when_asked(self, server, monkeypatch, tmp_path):
        monkeypatch.setenv(store.VARIABLE, str(tmp_path))
        monkeypatch.setattr(store, "is_checkout", lambda: False)
        monkeypatch.setattr(store, "cache_folder", lambda: None)
        with pytest.raises(DataError, match="minidrop data fetch mnist"):
            datasets.mnist()
        assert not server.asked
        assert datasets.mnist(download=True).label == "MNIST" and len(datasets.load("mnist", "test", download=True)) == 4
        assert len(server.asked) == 4

    @pytest.mark.parametrize("folder", ["MNIST/raw", "MNIST", "mnist/mnist"])
    def test_files_in_another_layout_are_completed_where_they_lie(self, server, tmp_path, folder):
        there = put(tmp_path / folder, {name: contents("mnist")[name[:-3]] for name in FILES[:3]}, packed=False)
        assert fetch("mnist", tmp_path) == there and server.count() == {FILES[3]: 1}
        assert tree(there).keys() == set(FILES) and left(tmp_path).keys() == {f"{folder}/{name}" for name in FILES}

    def test_a_file_in_a_folder_of_its_name_is_replaced_there(self, server, tmp_path):
        put(tmp_path / "mnist" / FILES[0], {FILES[0]: b"my own"}, packed=False)
        fetch("mnist", tmp_path, replace=True)
        assert left(tmp_path) == {
            f"mnist/{FILES[0]}/{FILES[0]}" if name == f"mnist/{FILES[0]}" else name: content
            for name, content in whole(server).items()
        }

    @pytest.mark.parametrize("package", ["pooch", "filelock", "requests"])
    def test_without_the_packages(self, server, monkeypatch, tmp_path, package):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(
            DataError, match=rf"downloads need more packages(.|\n)*{package}(.|\n)*help: python -m pip install ..\["
        ):
            fetch("mnist", tmp_path)

    def test_a_folder_that_cannot_be_made(self, server, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(DataError, match=str(tmp_path / "file")):
            fetch("mnist", tmp_path / "file" / "folder")

    def test_embedded_and_unknown(self, tmp_path):
        with pytest.raises(ArgumentError, match="digits: nothing to fetch"):
            fetch("digits", tmp_path)
        with pytest.raises(ArgumentError, match="unknown dataset"):
            fetch("imagenet", tmp_path)

    def test_default_root(self, monkeypatch, tmp_path):
        cache, checkout = tmp_path / "cache", tmp_path / "checkout"
        monkeypatch.setattr(store, "cache_folder", lambda: cache)
        monkeypatch.setattr(module, "CHECKOUT", checkout)
        monkeypatch.setattr(module, "is_checkout", lambda: True)
        monkeypatch.setattr(os, "access", lambda path, mode: path == checkout)
        monkeypatch.setenv(store.VARIABLE, str(tmp_path / "named"))
        assert default_root() == tmp_path / "named"
        monkeypatch.delenv(store.VARIABLE)
        assert default_root() == checkout
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        assert default_root() == cache
        monkeypatch.setattr(module, "is_checkout", lambda: False)
        assert default_root() == cache
        monkeypatch.setattr(store, "cache_folder", lambda: None)
        with pytest.raises(DataError, match="no folder to download to"):
            default_root()


CHILD = """
import contextlib, json, pathlib, sys
from minidrop.datasets.manifest import manifest
from minidrop.datasets.fetch import fetch
manifest()["mnist"] = json.loads(sys.argv[2])
if sys.argv[3] == "unlocked":
    import filelock
    filelock.FileLock = contextlib.nullcontext
print("ready", flush=True)
fetch("mnist", pathlib.Path(sys.argv[1]))
"""


@contextlib.contextmanager
def children(root, count=1, lock="locked"):
    """Child processes that fetch MNIST, with this process's manifest."""
    command = [sys.executable, "-c", CHILD, str(root), json.dumps(entry("mnist")), lock]
    cwd = pathlib.Path(datasets.__file__).parents[2]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE)) for _ in range(count)]
        try:
            assert [child.stdout.readline() for child in started] == [b"ready\n"] * count
            yield started
        finally:
            for child in started:
                child.kill()


class TestProcesses:
    def test_killed_in_the_middle(self, server, tmp_path):
        server.play = {FILES[1]: "stalled"}
        with children(tmp_path) as (child,):
            server.wait_for(2)
            child.send_signal(signal.SIGKILL)
            assert child.wait(20) == -signal.SIGKILL
        assert ".mnist.partial" in left(tmp_path) and [*left(tmp_path / "mnist")] == FILES[:1]  # half done, and not in place
        server.play = {}
        fetch("mnist", tmp_path)
        assert left(tmp_path) == whole(server)
        assert server.count() == dict.fromkeys(FILES, 1) | {FILES[1]: 2}

    def test_two_at_once(self, server, tmp_path):
        server.play = {FILES[0]: "gated"}
        with children(tmp_path, 2) as both:
            server.wait_for(1)
            time.sleep(0.3)
            server.gate.set()
            assert [child.wait(20) for child in both] == [0, 0]
        assert left(tmp_path) == whole(server) and server.count() == dict.fromkeys(FILES, 1)

    def test_two_at_once_without_the_lock_would_be_seen(self, server, tmp_path):
        """Both request the same file; or both use the folder for partial downloads, and one of them fails there."""
        server.play = {FILES[0]: "gated"}
        with children(tmp_path, 2, "unlocked") as both:
            deadline = time.monotonic() + 20
            failed = 0
            while len(server.asked) < 2 and not failed:
                assert time.monotonic() < deadline, f"only {server.asked} came, and nobody failed"
                time.sleep(0.01)
                failed = sum(child.poll() not in (None, 0) for child in both)
        assert server.count() == {FILES[0]: 2} or failed == 1
