"""Where the dataset files are, and whether they are the canonical ones.

Search order: the folder that $MINIDROP_DATASETS names, the checkout's datasets/, the user's cache folder. In each, a dataset
has its own folder (mnist/, fashion-mnist/, cifar-10-batches-bin/). The first folder that holds every file of the split is
used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError
from .formats import read_bytes, sha256
from .manifest import CHECKOUT, is_checkout

VARIABLE = "MINIDROP_DATASETS"


class File(NamedTuple):
    """One file: its path, manifest entry, unzipped content, digest, and status.

    status: "canonical", the label of a known copy, or "" for content that the manifest does not know.
    """

    path: Path
    entry: dict[str, Any]
    content: bytes
    digest: str
    status: str


def roots() -> list[Path]:
    """The folders to search, in order."""
    named = os.environ.get(VARIABLE)
    folders = [Path(named).expanduser()] if named else []
    if is_checkout():
        folders.append(CHECKOUT)
    cache = cache_folder()
    return folders if cache is None else [*folders, cache]


def cache_folder() -> Path | None:
    """The user's cache folder for minidrop; None without platformdirs (then nothing can have been fetched to it either)."""
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return None
    return Path(user_cache_path("minidrop", appauthor=False)) / "datasets"


def files_of(table: dict[str, Any], split: str | None = None) -> list[dict[str, Any]]:
    """The manifest entries of a dataset's files; of one split, if given (test files are called t10k... or test...)."""
    files: list[dict[str, Any]] = table["files"]
    return [file for file in files if split is None or file["name"].startswith(("t10k", "test")) == (split == "test")]


def find(folder: Path, name: str) -> Path | None:
    """The file `name` in `folder`, plain or gzipped; None if neither is there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def locate(name: str, table: dict[str, Any], split: str | None = None) -> Path:
    """The folder of a dataset. Raises DataError that lists the folders searched and the files missing."""
    looked = []
    for root in roots():
        folder: Path = root / table["folder"]
        missing = [file["name"] for file in files_of(table, split) if find(folder, file["name"]) is None]
        if not missing:
            return folder
        if folder.is_dir():
            looked.append(f"{folder} lacks {', '.join(missing)}")
        else:
            looked.append(f"no folder {folder}")
    raise DataError(
        f"{table['title']} is not here",
        expected=f"{', '.join(file['name'] for file in files_of(table, split))} (gzipped or plain)",
        got="; ".join(looked) or "no folder to look in",
        help=f"`minidrop data fetch {name}`, or put the files there, or name their folder in ${VARIABLE}",
    )


def read(folder: Path, file: dict[str, Any], table: dict[str, Any]) -> File:
    """Read one file of a dataset and compare its digest with the manifest's. Raises DataError if it cannot be unzipped."""
    path = find(folder, file["name"])
    if path is None:
        raise DataError(f"{folder / file['name']} is missing", expected="the file, gzipped or plain", got="neither")
    content = read_bytes(path)
    digest = sha256(content)
    return File(path, file, content, digest, _status(path, file, digest, table))


def _status(path: Path, file: dict[str, Any], digest: str, table: dict[str, Any]) -> str:
    if digest == file.get("sha256"):
        return "canonical"
    if "sha256" not in file and sha256(path.read_bytes()) == file["archive_sha256"]:  # only the gzipped file's digest is known
        return "canonical"
    copies = [copy["label"] for copy in table.get("copies", ()) if copy["sha256"].get(file["name"]) == digest]
    return copies[0] if copies else ""


def label_of(table: dict[str, Any], files: list[File]) -> str:
    """What to call results on these files: the title, a known copy's label, or the title with its non-canonical files."""
    unknown = [file for file in files if not file.status]
    if unknown:
        details = ", ".join(f"{file.path.name} {file.digest[:8]}" for file in unknown)
        return f"{table['title']} (not the canonical files: {details})"
    labels = {file.status for file in files} - {"canonical"}
    if len(labels) > 1 or (labels and any(file.status == "canonical" for file in files)):
        return f"{table['title']} (a mixture of canonical files and {', '.join(sorted(labels))})"
    return labels.pop() if labels else str(table["title"])
