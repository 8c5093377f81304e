"""Real datasets: digits (embedded, works without a network), MNIST, Fashion-MNIST, CIFAR-10.

    train = md.datasets.mnist("train")
    train.images  # uint8 (60000, 1, 28, 28)
    for images, labels in md.datasets.batches(train, batch_size=64):
        ...  # float32 (64, 1, 28, 28) from 0 to 1

datasets/manifest.toml lists the files; `store.py` finds them, `formats.py` checks them, and `fetch.py` downloads them. Images
stay bytes: `loader.py` converts one batch at a time to float32.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, missing_package
from . import store
from .dataset import Dataset
from .formats import parse_cifar, parse_idx, require_labels
from .loader import Loader, batches
from .manifest import entry, unknown

__all__ = ["Dataset", "Loader", "batches", "cifar10", "digits", "fashion_mnist", "load", "mnist"]

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")
_warned: set[Path] = set()  # one warning per folder and process is enough


def digits(split: str = "train") -> Dataset:
    """-> uint8 (1437 or 360, 1, 8, 8), values 0 to 16: the UCI test set of handwritten digits, from scikit-learn.

    The first 1,437 images, in scikit-learn's order, are "train", the last 360 "test". Raises DataError if scikit-learn is
    missing. Source: datasets/README.md.
    """
    _require_split(split)
    table = entry("digits")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing_package(
            "digits come with scikit-learn, which is missing", "the package scikit-learn", "reproduce", error
        ) from error
    images, labels = load_digits(return_X_y=True)
    part = slice(0, table["train"]) if split == "train" else slice(table["train"], None)
    pixels = images[part].astype(np.uint8).reshape(-1, *table["shape"])
    dataset = _dataset("digits", split, table, pixels, labels[part], str(table["title"]))
    if dataset.digest != table[f"{split}_sha256"]:
        dataset.label += f" (not the canonical data: {dataset.digest[:8]})"
        warnings.warn(f"digits: scikit-learn's data has changed; results will be labelled {dataset.label!r}", stacklevel=2)
    return dataset


def mnist(split: str = "train", download: bool = False) -> Dataset:
    """-> uint8 (60000 or 10000, 1, 28, 28): handwritten digits. download: fetch it first if it is missing.

    Raises DataError that names the file, if one is missing, damaged, or has the wrong content.
    """
    return _idx("mnist", split, download)


def fashion_mnist(split: str = "train", download: bool = False) -> Dataset:
    """-> uint8 (60000 or 10000, 1, 28, 28): pieces of clothing, in the format of MNIST. As `mnist`."""
    return _idx("fashion_mnist", split, download)


def cifar10(split: str = "train", download: bool = False) -> Dataset:
    """-> uint8 (50000 or 10000, 3, 32, 32), red, green, blue: small photographs, from the binary version. As `mnist`."""
    table, files = _files("cifar10", split, download)
    count = table[split] // len(files)
    parts = [parse_cifar(file.content, file.path, count) for file in files]
    for file, (_, labels) in zip(files, parts, strict=True):
        require_labels(labels, len(table["classes"]), file.path)
    images = np.concatenate([images for images, _ in parts])
    return _dataset("cifar10", split, table, images, np.concatenate([labels for _, labels in parts]), _label(table, files))


def load(name: str, split: str = "train", download: bool = False) -> Dataset:
    """The dataset of that name: "digits", "mnist", "fashion_mnist" or "cifar10". Raises ArgumentError for another name."""
    if name == "digits":
        return digits(split)
    loaders = {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10}
    if name not in loaders:
        raise unknown(name)
    return loaders[name](split, download)


def _idx(name: str, split: str, download: bool) -> Dataset:
    table, files = _files(name, split, download)
    count = table[split]
    images, labels = sorted(files, key=lambda file: "labels" in file.entry["name"])
    pixels = parse_idx(images.content, images.path, (count, *table["shape"][1:]))
    classes = parse_idx(labels.content, labels.path, (count,))
    require_labels(classes, len(table["classes"]), labels.path)
    return _dataset(name, split, table, pixels.reshape(count, *table["shape"]), classes, _label(table, files))


def _files(name: str, split: str, download: bool) -> tuple[dict[str, Any], list[store.File]]:
    _require_split(split)
    table = entry(name)
    try:
        folder = store.locate(name, table, split)
    except DataError:
        if not download:
            raise
        from .fetch import fetch

        folder = fetch(name)
    return table, [store.read(folder, file, table) for file in store.files_of(table, split)]


def _label(table: dict[str, Any], files: list[store.File]) -> str:
    label = store.label_of(table, files)
    folder = files[0].path.parent
    if label != table["title"] and folder not in _warned:
        _warned.add(folder)
        warnings.warn(f"{folder}: not the canonical files; results will be labelled {label!r}", stacklevel=4)
    return label


def _dataset(name: str, split: str, table: dict[str, Any], images: Any, labels: Any, label: str) -> Dataset:
    return Dataset(images, labels.astype(np.int64), tuple(table["classes"]), name, split, label, table["maximum"])


def _require_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ArgumentError("unknown split", expected='"train" or "test"', got=repr(split))
