"""Where the dataset files are, and whether they are the canonical ones.

Search order: the folder that $MINIDROP_DATASETS names, the checkout's datasets/, the user's cache folder. In each, a dataset
has its own folder (mnist/, fashion-mnist/, cifar-10-batches-bin/). The first folder that holds every file of the split is
used. `folders` and `find` also know how other programs lay the files out and write their names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError
from .formats import read_bytes, sha256
from .manifest import CHECKOUT, is_checkout, manifest

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
    named, cache = named_root(), cache_folder()
    checkout = CHECKOUT if is_checkout() else None
    return [root for root in (named, checkout, cache) if root is not None]


def named_root() -> Path | None:
    """The folder that $MINIDROP_DATASETS names, if it is set. Raises DataError for the home of somebody who is not there."""
    named = os.environ.get(VARIABLE)
    return expanded(named, f"${VARIABLE}") if named else None


def expanded(path: str, what: str) -> Path:
    """`path` with ~ and ~user as the folders that they stand for. Raises DataError, about `what`, for an unknown user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(
            f"{what}: there is no such home folder",
            expected="~ for your own, or ~ and the name of a user",
            got=repr(path),
            help="a folder whose name begins with ~ is written ./~name",
        ) from error


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
    """The file `name` in `folder`, plain or gzipped; None if neither is there.

    Its name may be written as other programs write it, T10K-images.idx3-ubyte, and it may lie in a folder of that name, as
    some programs unpack it.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    alike = [path for path in _inside(folder) if _letters(path.name) == _letters(name)]
    within = [path for one in alike for path in _inside(one) if _letters(path.name) == _letters(name)]
    return next((path for path in (*alike, *within) if path.is_file()), None)


def folders(root: Path, name: str, table: dict[str, Any]) -> list[Path]:
    """Where a dataset may lie below `root`, in the order of the search; first of all where minidrop itself puts it.

    These are its own folder, under any of its names (MNIST/ and FashionMNIST/ are torchvision's), `raw` in it, and a folder
    of the same name in it; and `root`, if that is the dataset's folder and not the one above.
    """
    own = root / table["folder"]
    named = [path for path in _inside(root) if path != own and path.is_dir() and _letters(path.name) in _names(name, table)]
    found = [own, *named, *([root] if _is_its_folder(root, name, table) else [])]
    return [place for folder in found for place in (folder, folder / "raw", folder / own.name)]


def home(root: Path, name: str, table: dict[str, Any], split: str | None = None) -> Path:
    """The folder below `root` with most of a dataset's files; with none of them anywhere, where minidrop puts them."""
    files = files_of(table, split)
    return max(folders(root, name, table), key=lambda folder: sum(find(folder, file["name"]) is not None for file in files))


def _is_its_folder(root: Path, name: str, table: dict[str, Any]) -> bool:
    """Whether `root` itself is the dataset's folder: by its name, else by its files.

    MNIST and Fashion-MNIST call their files alike, so that under another name a digest decides between the two.
    """
    here = root.resolve()
    called = _letters(here.parent.name if here.name.casefold() == "raw" else here.name)
    others = {other: entry for other, entry in manifest().items() if other != name and not entry.get("embedded")}
    if called in _names(name, table) or any(called in _names(*other) for other in others.items()):
        return called in _names(name, table)
    there = [file for file in sorted(files_of(table), key=lambda file: int(file["bytes"])) if find(root, file["name"])]
    if not there:
        return False
    if all(there[0]["name"] != file["name"] for entry in others.values() for file in files_of(entry)):
        return True
    try:
        return bool(read(root, there[0], table).status)
    except DataError:  # a damaged gzip file
        return False


def _names(name: str, table: dict[str, Any]) -> set[str]:
    return {_letters(text) for text in (name, table["folder"], table["title"])}


def _letters(name: str) -> str:
    """What is left of a name if neither case nor hyphens and dots count, nor the ending .gz."""
    return "".join(letter for letter in name.casefold().removesuffix(".gz") if letter.isalnum())


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def locate(name: str, table: dict[str, Any], split: str | None = None) -> Path:
    """The folder of a dataset. Raises DataError that lists the folders searched and the files missing."""
    looked = []
    for root in roots():
        folder = home(root, name, table, split)
        missing = [file["name"] for file in files_of(table, split) if find(folder, file["name"]) is None]
        if not missing:
            return folder
        looked.append(f"{folder} lacks {', '.join(missing)}" if folder.is_dir() else f"no folder {folder}")
    raise DataError(
        f"{table['title']} is not here",
        expected=f"{', '.join(file['name'] for file in files_of(table, split))} (gzipped or plain)",
        got="; ".join(looked) or "no folder to look in",
        help=f"`minidrop data fetch {name}`, or put the files into a folder {table['folder']} and name it, or the one above it,"
        f" in ${VARIABLE}",
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
