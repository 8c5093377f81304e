"""Downloads: from several mirrors in turn, checked by SHA-256, complete or not at all.

pooch transfers and checks the files, filelock keeps two processes from doing it at once, tqdm draws the progress bar. A file
is first written to a hidden folder next to its destination and moved once it has been checked, so that an interruption leaves
no partial file: the next fetch clears that folder and continues with the first missing file.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..errors import ArgumentError, DataError, missing_package
from . import store
from .formats import read_bytes, sha256
from .manifest import CHECKOUT, entry, is_checkout

TIMEOUT = 30  # seconds without a byte after which a mirror is given up
HELP = "check the connection, or put the files there by hand: `minidrop data list` says where they are looked for"


def default_root() -> Path:
    """Where downloads go: the folder that $MINIDROP_DATASETS names, else the checkout's datasets/, else the user's cache."""
    if (named := store.named_root()) is not None:
        return named
    cache = store.cache_folder()
    if is_checkout() and os.access(CHECKOUT, os.W_OK):
        return CHECKOUT
    if cache is None:
        raise DataError("no folder to download to", expected=f"${store.VARIABLE}, or platformdirs", got="neither", help=HELP)
    return cache


def fetch(name: str, root: Path | None = None, replace: bool = False) -> Path:
    """Download what is missing of a dataset to `root`, and return its folder.

    Existing files are kept, if they are the canonical ones; others are an error, unless `replace` is given: without it nothing
    is deleted or overwritten. Raises DataError, with the answer of each mirror, if none had a good file; ArgumentError for a
    name that is not in the manifest, or whose data is embedded.
    """
    table = entry(name)
    if table.get("embedded"):
        raise ArgumentError(f"{name}: nothing to fetch", expected="a dataset that is downloaded", got="one that is embedded")
    root = default_root() if root is None else root
    folder = store.home(root, name, table)
    try:
        from filelock import FileLock

        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{table['folder']}.lock"):
            _fetch_locked(name, table, folder, root / f".{table['folder']}.partial", replace)
    except OSError as error:
        raise DataError(
            f"{root} cannot be written",
            expected="a folder, room and permission",
            got=str(error),
            help="what has arrived stays: the same command goes on with what is missing; --to names another folder",
        ) from error
    except ImportError as error:
        raise missing_package("downloads need more packages", "pooch, filelock, tqdm", "reproduce", error) from error
    return folder


def _fetch_locked(name: str, table: dict[str, Any], folder: Path, partial: Path, replace: bool) -> None:
    shutil.rmtree(partial, ignore_errors=True)  # left over from an interruption; ours, because we hold the lock
    missing = []
    for file in table["files"]:
        path = store.find(folder, file["name"])
        if path is None:
            missing.append(file)
        elif not _is_canonical(folder, file, table):
            if not replace:
                raise DataError(
                    f"{path} is there, and is not the canonical file",
                    expected="a canonical file or none",
                    got=f"{sha256(path.read_bytes())[:12]}...",
                    help=f"it can be used as it is; `minidrop data fetch {name} --replace` overwrites it",
                )
            missing.append(file)
    if not missing:
        return
    partial.mkdir(parents=True)
    try:
        if "archive" in table:
            archive = download(table["archive"], table["archive_sha256"], table["mirrors"], partial)
            unpacked = extract(archive, partial / "unpacked", {file["name"] for file in missing})
            for file in missing:
                _place(file, unpacked[file["name"]], folder)
        else:
            for file in missing:
                packed = f"{file['name']}.gz"
                _place(file, download(packed, file["archive_sha256"], table["mirrors"], partial), folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_canonical(folder: Path, file: dict[str, Any], table: dict[str, Any]) -> bool:
    try:
        return store.read(folder, file, table).status == "canonical"
    except DataError:  # a broken gzip file
        return False


def _place(file: dict[str, Any], arrived: Path, folder: Path) -> None:
    """Check a downloaded file, unzipped, against the manifest, and move it to its destination."""
    content = read_bytes(arrived)
    if len(content) != file["bytes"] or ("sha256" in file and sha256(content) != file["sha256"]):
        raise DataError(
            f"{arrived.name}: the content is not what the manifest says",
            expected=f"{file['bytes']} bytes, sha256 {file.get('sha256', 'unknown')[:12]}...",
            got=f"{len(content)} bytes, sha256 {sha256(content)[:12]}...",
        )
    folder.mkdir(parents=True, exist_ok=True)
    old, new = store.find(folder, file["name"]), folder / arrived.name
    if new.is_dir():  # as some programs unpack: a folder of the file's name, with the file in it
        new = new / arrived.name
    os.replace(arrived, new)
    if old is not None and old != new:
        old.unlink()  # `replace` was given: a plain file replaces a gzipped one, or the other way round


def download(filename: str, digest: str, mirrors: list[str], folder: Path) -> Path:
    """Download `filename` from the first mirror that has it intact; its path in `folder`. Raises DataError if none has."""
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)  # our errors and our progress bar are enough
    answers = []
    for mirror in mirrors:
        require_https(mirror)
        downloader = pooch.HTTPDownloader(
            progressbar=sys.stderr.isatty(), timeout=TIMEOUT, chunk_size=1 << 16, headers={"Accept-Encoding": "identity"}
        )
        try:
            return Path(pooch.retrieve(mirror + filename, f"sha256:{digest}", filename, folder, downloader=downloader))
        except requests.RequestException as error:
            answers.append(f"{mirror}: {type(error).__name__}: {error}")
        except ValueError:  # pooch raises this for a wrong digest
            answers.append(f"{mirror}: a file with another SHA-256")
        except OSError as error:
            raise DataError(f"{folder / filename} cannot be written", expected="room and permission", got=str(error)) from error
    raise DataError(
        f"{filename}: no mirror had it", expected=f"sha256 {digest[:12]}...", got="; ".join(answers) or "no mirrors", help=HELP
    )


def require_https(url: str) -> None:
    """Raise ArgumentError for an address that is not HTTPS, unless it is this machine."""
    parts = urlsplit(url)
    here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not here:
        raise ArgumentError("downloads go over HTTPS", expected="https://...", got=url)


def extract(archive: Path, target: Path, names: set[str]) -> dict[str, Path]:
    """{file name: its path under `target`} of the wanted files in a .tar archive.

    Raises DataError, before anything is written, for an archive that contains a path leading outside of it, a link, or a
    device, or that lacks a wanted file.
    """
    try:
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            for member in members:
                path = PurePosixPath(member.name)
                outside = path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name
                if outside or not (member.isfile() or member.isdir()):
                    raise DataError(
                        f"{archive.name}: refused",
                        expected="plain files and folders inside the archive",
                        got=f"{member.name!r}" + ("" if outside else " is a link or a device"),
                        help="this is no archive of ours; nothing was unpacked",
                    )
            wanted = {PurePosixPath(member.name).name: member for member in members if member.isfile()}
            if names - set(wanted):
                raise DataError(
                    f"{archive.name}: files are missing", expected=", ".join(sorted(names)), got=", ".join(sorted(wanted))
                )
            target.mkdir(parents=True, exist_ok=True)
            for name in sorted(names):
                source = tar.extractfile(wanted[name])
                assert source is not None  # it is a plain file
                with source:
                    content = source.read()
                (target / name).write_bytes(content)
            return {name: target / name for name in names}
    except OSError as error:  # a truncated gzip file is one too
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES)
        problem = "cannot be written" if full else "cannot be unpacked"
        raise DataError(
            f"{archive.name}: {problem}", expected="a whole .tar.gz file, and room for it", got=str(error)
        ) from error
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(f"{archive.name}: cannot be unpacked", expected="a whole .tar.gz file", got=str(error)) from error
