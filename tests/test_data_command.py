"""The `minidrop data` commands, the manifest that they use, and the archive of CIFAR-10."""

from __future__ import annotations

import copy
import gzip
import io
import pathlib
import subprocess
import sys
import tarfile
import warnings
import zlib

import numpy as np
import pytest
from click.testing import CliRunner
from test_datasets import contents, digest, put, small, tree
from test_fetch import left, serving

from minidrop import datasets
from minidrop.command import main
from minidrop.datasets import store
from minidrop.datasets.fetch import extract, fetch, require_https
from minidrop.datasets.manifest import entry, manifest
from minidrop.errors import DataError

FOLDER = "cifar-10-batches-bin"


def faults(table):
    """What is wrong with a manifest table, as far as the table itself can tell."""
    digests = [value for key, value in table.items() if key.endswith("sha256")]
    digests += [value for file in table.get("files", []) for key, value in file.items() if key.endswith("sha256")]
    digests += [value for copied in table.get("copies", []) for value in copied["sha256"].values()]
    if not digests or not all(len(one) == 64 and set(one) <= set("0123456789abcdef") for one in digests):
        yield "digests"
    if not table["licence"] or len(table["citation"]) < 40 or len(set(table["classes"])) != 10:
        yield "words"
    if table.get("embedded"):
        return
    hosts = {url.split("/")[2] for url in table["mirrors"] if url.startswith("https://") and url.endswith("/")}
    if len(hosts) < 2 or len(hosts) != len(table["mirrors"]):
        yield "mirrors"
    for split in ("train", "test"):
        files, count, pixels = store.files_of(table, split), table[split], int(np.prod(table["shape"]))
        sizes = (
            [8 + count, 16 + count * pixels] if table["format"] == "idx" else [count // len(files) * (1 + pixels)] * len(files)
        )
        if sorted(file["bytes"] for file in files) != sizes:
            yield f"bytes of {split}"
    if not all(
        file.get("archive_bytes", table.get("archive_bytes", 0)) > 0 and "/" not in file["name"] for file in table["files"]
    ):
        yield "sizes"


class TestManifest:
    @pytest.mark.parametrize("name", datasets.NAMES)
    def test_every_dataset_is_whole(self, name):
        table = entry(name)
        assert not list(faults(table)) and set(manifest()) == set(datasets.NAMES)
        for mirror in table.get("mirrors", ()):
            require_https(mirror)

    @pytest.mark.parametrize(
        ("fault", "change"),
        [
            ("digests", lambda table: table["files"][0].update(sha256="0" * 63)),
            ("digests", lambda table: table["copies"][0]["sha256"].update({"test_batch.bin": "G" * 64})),
            ("words", lambda table: table.update(licence="")),
            ("mirrors", lambda table: table["mirrors"].pop()),
            ("mirrors", lambda table: table.update(mirrors=["http://a.org/", "https://b.org/"])),
            ("bytes of train", lambda table: table.update(train=60_000)),
            ("bytes of test", lambda table: table["files"][-1].update(bytes=1)),
            ("sizes", lambda table: table.update(archive_bytes=0)),
        ],
    )
    def test_a_fault_is_found(self, fault, change):
        table = copy.deepcopy(entry("cifar10"))
        change(table)
        assert list(faults(table)) == [fault]


@pytest.mark.parametrize(("first", "expected"), [("pass", "[]"), ("import tomllib", "['tomllib']")])  # the check can fail
def test_importing_datasets_stays_cheap(first, expected):
    heavy = {"sklearn", "pooch", "requests", "tomllib", "tqdm"}
    code = f"{first}; import sys, minidrop.datasets; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=pathlib.Path(datasets.__file__).parents[2]
    )
    assert done.stdout.strip() == expected, done.stderr


def tar(members):
    """A .tar.gz of (name, content) pairs, where a TarInfo is added as it is."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Mirrors; small tables for MNIST and CIFAR-10 that name them; all folders are empty until the test fills them."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "data"))
    monkeypatch.setattr(store, "is_checkout", lambda: False)
    monkeypatch.setattr(store, "cache_folder", lambda: None)
    monkeypatch.setattr(datasets, "_warned", set())
    with serving() as server:
        for name in ("mnist", "fashion_mnist", "cifar10"):
            monkeypatch.setitem(manifest(), name, small(name) | {"mirrors": [server.url("absent"), server.url("good")]})
        yield server


class TestArchive:
    GOOD = ((special(FOLDER, tarfile.DIRTYPE), b""), (f"{FOLDER}/readme.html", b"hello"))

    def pack(self, *more, without=""):
        files = [(f"{FOLDER}/{name}", content) for name, content in contents("cifar10").items() if name != without]
        return tar([*self.GOOD, *files, *more])

    def serve(self, server, content):
        server.files["cifar-10-binary.tar.gz"] = content
        entry("cifar10").update(archive_sha256=digest(content))

    @pytest.mark.parametrize("there", [[], ["data_batch_4.bin", "test_batch.bin"]])
    def test_a_good_one(self, server, tmp_path, there):
        self.serve(server, self.pack())
        put(tmp_path / FOLDER, {name: contents("cifar10")[name] for name in there}, packed=False)
        for _ in range(2):
            assert fetch("cifar10", tmp_path) == tmp_path / FOLDER
        assert left(tmp_path) == {f"{FOLDER}/{name}": content for name, content in contents("cifar10").items()}
        assert server.count() == {"cifar-10-binary.tar.gz": 2}  # the absent mirror, and the good one once

    REFUSED = (
        (special("../evil", tarfile.REGTYPE), "'../evil'"),
        (special(f"{FOLDER}/../../evil", tarfile.REGTYPE), "evil'"),
        (special("/evil", tarfile.REGTYPE), "'/evil'"),
        (special("..\\evil", tarfile.REGTYPE), "evil'"),
        (special("C:evil", tarfile.REGTYPE), "'C:evil'"),
        (special("../folder", tarfile.DIRTYPE), "'../folder'"),
        (special("link", tarfile.SYMTYPE, "/etc/passwd"), "'link' is a link or a device"),
        (special("link", tarfile.LNKTYPE, f"{FOLDER}/readme.html"), "'link' is a link or a device"),
        (special("pipe", tarfile.FIFOTYPE), "'pipe' is a link or a device"),
        (special("device", tarfile.CHRTYPE), "'device' is a link or a device"),
        (special("disk", tarfile.BLKTYPE), "'disk' is a link or a device"),
    )

    @pytest.mark.parametrize(("member", "got"), REFUSED, ids=lambda value: getattr(value, "name", ""))
    def test_refused(self, server, tmp_path, member, got):
        self.serve(server, self.pack((member, b"")))
        with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz: refused") as error:
            fetch("cifar10", tmp_path / "in" / "data")
        assert error.value.got.endswith(got) and error.value.help
        self.nothing_is_unpacked(tmp_path, self.pack((member, b"")), "refused")
        assert left(tmp_path / "in" / "data") == {} and not pathlib.Path("/evil").exists()

    def test_a_file_is_missing(self, server, tmp_path):
        self.nothing_is_unpacked(tmp_path, self.pack(without="data_batch_3.bin"), "files are missing")
        self.serve(server, self.pack(without="data_batch_3.bin"))
        with pytest.raises(DataError, match="files are missing"):
            fetch("cifar10", tmp_path / "in" / "data")
        assert left(tmp_path / "in" / "data") == {}

    @pytest.mark.parametrize("size", [0, 1, 20, 400, 4000, 20_000, -1000])
    def test_truncated(self, tmp_path, size):
        self.nothing_is_unpacked(tmp_path, self.pack()[:size], "cannot be unpacked")

    @pytest.mark.parametrize("start", [0, 600, 45_000])
    def test_damaged(self, tmp_path, start):
        packer = zlib.compressobj(wbits=31)  # a gzip file
        good = packer.compress(gzip.decompress(self.pack())[:start]) + packer.flush(zlib.Z_FULL_FLUSH)
        self.nothing_is_unpacked(tmp_path, good + b"\xff" * 100, "cannot be unpacked")  # no block begins like that

    def test_files_of_another_content(self, server, tmp_path):
        files = contents("cifar10") | {"data_batch_2.bin": bytes(2 * 3073)}
        self.serve(server, tar(files.items()))
        with pytest.raises(DataError, match="not what the manifest says"):
            fetch("cifar10", tmp_path)
        assert sorted(left(tmp_path)) == [f"{FOLDER}/data_batch_1.bin"]  # a good file is kept

    def nothing_is_unpacked(self, folder, content, problem):
        (folder / "in").mkdir(exist_ok=True)
        archive = folder / "in" / "archive.tar.gz"
        archive.write_bytes(content)
        before = sorted(folder.rglob("*"))
        with pytest.raises(DataError, match=f"archive.tar.gz: {problem}"):
            extract(archive, folder / "in" / "target", set(contents("cifar10")))
        assert sorted(folder.rglob("*")) == before
        archive.unlink()


def run(*arguments, code=0):
    """What a command prints, its exit status checked; errors are messages without a traceback."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = CliRunner().invoke(main, ["data", *arguments])
    assert result.exit_code == code and "Traceback" not in result.output, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.output


class TestCommands:
    def test_list(self, server, tmp_path):
        put(tmp_path / "data" / "mnist", contents("mnist"))
        printed = run("list")
        for name in datasets.NAMES:
            assert f"{name:14} {entry(name)['title']}: " in printed and entry(name)["licence"] in printed
        assert "1,437 + 360 images, embedded;\n" + 15 * " " + "CC BY 4.0\n" + 15 * " " + "comes with scikit-learn" in printed
        about = [line for line in printed.splitlines() if str(tmp_path) not in line]  # a path is not broken
        assert max(map(len, about)) <= 80
        assert (
            "MNIST: 10 + 4 images, 12 MB to download; CC BY-SA 3.0\n" + 15 * " " + f"in {tmp_path / 'data' / 'mnist'}\n"
            in printed
        )
        assert "170 MB to download" in printed and "not here: minidrop data fetch cifar10" in printed
        assert f"looked in: {tmp_path / 'data'}\n" in printed

    def test_fetch(self, server, tmp_path):
        assert run("fetch", "mnist") == f"mnist lies in {tmp_path / 'data' / 'mnist'}\n"
        assert run("fetch", "mnist", "--to", str(tmp_path / "there")) == f"mnist lies in {tmp_path / 'there' / 'mnist'}\n"
        assert (
            left(tmp_path / "data")
            == left(tmp_path / "there")
            == {f"mnist/{name}": content for name, content in server.files.items()}
        )

    def test_fetch_keeps_what_is_there_unless_told(self, server, tmp_path):
        put(tmp_path / "data" / "mnist", contents("mnist", seed=1))
        before = tree(tmp_path / "data" / "mnist")
        printed = run("fetch", "mnist", code=1)
        assert "is not the canonical file" in printed and "--replace" in printed and tree(tmp_path / "data" / "mnist") == before
        run("fetch", "mnist", "--replace")
        assert tree(tmp_path / "data" / "mnist") == server.files

    def test_fetch_fails(self, server, tmp_path):
        assert "Error: unknown dataset\n  expected: one of digits, mnist" in run("fetch", "imagenet", code=1)
        assert "Error: digits: nothing to fetch" in run("fetch", "digits", code=1)
        entry("mnist")["mirrors"].pop()
        printed = run("fetch", "mnist", code=1)
        assert "no mirror had it" in printed and f"{server.url('absent')}: HTTPError: 404" in printed and "help: " in printed
        assert "Missing argument" in run("fetch", code=2)

    def test_verify(self, server, tmp_path):
        assert run("verify", "digits") == f"digits: {entry('digits')['title']}: 1,437 + 360 images\n"
        put(tmp_path / "data" / "mnist", contents("mnist"))
        printed = run("verify", "mnist")
        assert printed.startswith("mnist: MNIST: 10 + 4 images\n") and "note: " not in printed
        for file in entry("mnist")["files"]:
            path = tmp_path / "data" / "mnist" / f"{file['name']}.gz"
            assert f"  {path}: canonical ({file['sha256'][:12]}...)\n" in printed
        everything = run("verify")  # a missing dataset is an error only if it was requested
        assert printed in everything and "cifar10: not here\n" in everything
        assert "CIFAR-10 is not here" in run("verify", "cifar10", code=1)

    def test_verify_finds_other_content(self, server, tmp_path):
        other = {name: contents("mnist", seed=1)[name] for name in ("train-images-idx3-ubyte",)}
        path = put(tmp_path / "data" / "mnist", contents("mnist") | other) / "train-images-idx3-ubyte.gz"
        for arguments in (["mnist"], []):
            datasets._warned.clear()
            printed = run("verify", *arguments, code=1)
            assert f"{path}: not the canonical file (" in printed and printed.count(": canonical (") == 3
            assert "note: " in printed and "results will be labelled 'MNIST (not the canonical files" in printed

    def test_verify_names_known_copies(self, server, tmp_path):
        jpeg = contents("cifar10", seed=1)
        entry("cifar10")["copies"] = [{"label": "CIFAR-10 (JPEG copy)", "sha256": {name: digest(jpeg[name]) for name in jpeg}}]
        put(tmp_path / "data" / FOLDER, jpeg)
        assert run("verify", "cifar10").count(".bin.gz: CIFAR-10 (JPEG copy) (") == 6

    @pytest.mark.parametrize("arguments", [["mnist"], []])
    @pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content + b"x", lambda content: b""])
    def test_verify_finds_damage(self, server, tmp_path, arguments, damage):
        files = contents("mnist")
        put(tmp_path / "data" / "mnist", files | {"t10k-labels-idx1-ubyte": damage(files["t10k-labels-idx1-ubyte"])})
        assert "mnist: " + str(tmp_path / "data" / "mnist" / "t10k-labels-idx1-ubyte.gz") in run("verify", *arguments, code=1)

    def test_verify_unknown(self, server):
        assert "Error: unknown dataset\n  expected: one of digits, mnist" in run("verify", "imagenet", code=1)

    def test_a_known_error_is_words_and_another_one_is_not_hidden(self, server, monkeypatch):
        monkeypatch.setattr("minidrop.command.data.fetch", lambda *arguments: 1 / 0)
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            run("fetch", "mnist", code=1)
