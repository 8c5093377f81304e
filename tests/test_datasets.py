"""Datasets: the formats byte by byte, where files are looked for, how results are labelled, and the real data.

Small files made here stand in for the real ones: `small` makes a manifest table with its own counts and digests.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import hashlib
import pathlib
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest

import minidrop as md
from minidrop import datasets
from minidrop.datasets import Dataset, store
from minidrop.datasets.fetch import default_root
from minidrop.datasets.manifest import entry, manifest
from minidrop.errors import ArgumentError, DataError

ROOT = pathlib.Path(md.__file__).parent.parent
UNPACK = ROOT.parent / "shared" / "datasets" / "unpack.py"
COUNTS = {"train": 10, "test": 4}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def digest(content):
    return hashlib.sha256(content).hexdigest()


def gz(content):
    return gzip.compress(content, mtime=0)  # the same bytes every time


def idx(array, kind=0x08):
    return struct.pack(f">{1 + array.ndim}I", kind << 8 | array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def contents(name, seed=0):
    """{file name: bytes} of a dataset as large as COUNTS says, in its own format; another seed gives other pixels."""
    rng, files = np.random.default_rng(seed), {}
    for file in entry(name)["files"]:
        count = COUNTS["test" if file["name"].startswith(("t10k", "test")) else "train"]
        if name == "cifar10":
            count = 2 if count == COUNTS["train"] else count  # in each of five files
            records = rng.integers(0, 256, (count, 3073))
            records[:, 0] = np.arange(count)
            files[file["name"]] = records.astype(np.uint8).tobytes()
        else:
            files[file["name"]] = idx(np.arange(count) if "labels" in file["name"] else rng.integers(0, 256, (count, 28, 28)))
    return files


def small(name):
    """The manifest's table of a dataset, as if `contents(name)` were the canonical files."""
    files, table = contents(name), copy.deepcopy(entry(name)) | COUNTS
    for file in table["files"]:
        content = files[file["name"]]
        file["bytes"] = len(content)
        file["archive_sha256"] = digest(gz(content))
        if "sha256" in file:
            file["sha256"] = digest(content)
    return table


def put(folder, files, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gz(content) if packed else content)
    return folder


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def roots(monkeypatch, tmp_path):
    """The three folders that are searched, in order, each empty; small tables in the manifest; no warning given yet."""
    folders = [tmp_path / "named", tmp_path / "checkout", tmp_path / "cache"]
    monkeypatch.setenv(store.VARIABLE, str(folders[0]))
    monkeypatch.setattr(store, "is_checkout", lambda: True)
    monkeypatch.setattr(store, "CHECKOUT", folders[1])
    monkeypatch.setattr(store, "cache_folder", lambda: folders[2])
    monkeypatch.setattr(datasets, "_warned", set())
    for name in ("mnist", "fashion_mnist", "cifar10"):
        monkeypatch.setitem(manifest(), name, small(name))
    return folders


# dataset, file, what is done to it, and what the error says: problem, expected, got
BAD = {
    "empty": ("mnist", IMAGES, lambda content: b"", "truncated", "a header of 16 bytes", "0"),
    "truncated": ("mnist", IMAGES, lambda content: content[:-1], "truncated", "7840 bytes", "7839"),
    "truncated header": ("mnist", IMAGES, lambda content: content[:9], "truncated", "a header of 16 bytes", "9"),
    "too long": ("mnist", LABELS, lambda content: content + b"\0", "longer than it should be", "10 bytes", "11"),
    "labels for images": ("mnist", IMAGES, lambda content: idx(np.arange(10)), "not an IDX", "0x00000803", "0x00000801"),
    "signed": ("mnist", LABELS, lambda content: idx(np.arange(10), kind=0x09), "not an IDX", "0x00000801", "0x00000901"),
    "count": ("mnist", LABELS, lambda content: idx(np.arange(9)), "another number of labels", r"\(10,\)", r"\(9,\)"),
    "size": ("mnist", IMAGES, lambda content: idx(np.zeros((10, 28, 27))), "another number", "28, 28", "28, 27"),
    "label": ("mnist", LABELS, lambda content: idx(np.arange(1, 11)), "bad labels", "0 to 9", "10"),
    "record": ("cifar10", "data_batch_3.bin", lambda content: content[:-1], "truncated", "6146", "6145"),
    "records": ("cifar10", "data_batch_5.bin", lambda content: content + bytes(3073), "longer", "6146", "9219"),
    "CIFAR label": ("cifar10", "data_batch_2.bin", lambda content: b"\x0a" + content[1:], "bad labels", "0 to 9", "10"),
}
BAD_GZIP = {
    "truncated": lambda packed: packed[:-9],
    "other bytes": lambda packed: packed[:200] + bytes(255 - byte for byte in packed[200:250]) + packed[250:],
    "no block": lambda packed: packed[:10] + b"\xff" + packed[11:],
    "other checksum": lambda packed: packed[:-8] + bytes(4) + packed[-4:],
}


class TestFormats:
    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
    def test_idx(self, roots, name, packed):
        files = contents(name)
        put(roots[0] / entry(name)["folder"], files, packed)
        known = packed or name == "mnist"  # of Fashion-MNIST's files only the gzipped ones' digests are published
        with contextlib.nullcontext() if known else pytest.warns(UserWarning, match="not the canonical files"):
            train, test = datasets.load(name), datasets.load(name, "test")
        assert train.label.startswith(entry(name)["title"]) and ("not the canonical" in train.label) == (not known)
        assert train.images.shape == (10, 1, 28, 28) and test.images.shape == (4, 1, 28, 28)
        assert train.images.dtype == np.uint8 and train.labels.dtype == np.int64
        assert train.images.tobytes() == files[IMAGES][16:] and train.labels.tolist() == list(range(10))
        assert test.images.tobytes() == files["t10k-images-idx3-ubyte"][16:] and test.split == "test"

    @pytest.mark.parametrize("packed", [True, False])
    def test_cifar(self, roots, packed):
        files = contents("cifar10")
        put(roots[0] / "cifar-10-batches-bin", files, packed)
        train, test = datasets.cifar10(), datasets.cifar10("test")
        assert train.images.shape == (10, 3, 32, 32) and test.images.shape == (4, 3, 32, 32)
        assert train.labels.tolist() == [0, 1] * 5 and train.label == "CIFAR-10" and train.classes[1] == "automobile"
        second = files["data_batch_1.bin"][3073:]  # 1 label, 1024 red, 1024 green, 1024 blue
        assert train.images[1, 1, 0, 0] == second[1 + 1024] and train.images[1, 2, 31, 31] == second[3072]

    def test_gzip_is_told_by_the_bytes_not_by_the_name(self, roots):
        files = contents("mnist")
        put(roots[0] / "mnist", {name: gz(content) for name, content in files.items()}, packed=False)
        assert datasets.mnist().images.tobytes() == files[IMAGES][16:]

    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("case", BAD)
    def test_bad_content(self, roots, case, packed):
        name, file, damage, problem, expected, got = BAD[case]
        folder, files = roots[0] / entry(name)["folder"], contents(name)
        put(folder, files | {file: damage(files[file])}, packed)
        self.refused(name, folder / (f"{file}.gz" if packed else file), problem, expected, got)
        put(folder, files, packed)
        assert datasets.load(name).label == entry(name)["title"]  # the same files undamaged

    @pytest.mark.parametrize("damage", BAD_GZIP)
    @pytest.mark.parametrize("name", ["mnist", "cifar10"])
    def test_bad_gzip(self, roots, name, damage):
        path = put(roots[0] / entry(name)["folder"], contents(name)) / f"{entry(name)['files'][0]['name']}.gz"
        path.write_bytes(BAD_GZIP[damage](path.read_bytes()))
        self.refused(name, path, "cannot be unzipped", "a whole gzip file", f"{path.stat().st_size} bytes: ")

    def refused(self, name, path, problem, expected, got):
        before = tree(path.parent)
        lines = rf"{path}: (.*){problem}(.*)\n  expected: (.*){expected}(.*)\n  got: (.*){got}(.*)\n  help: .* data fetch"
        with pytest.raises(DataError, match=lines):
            datasets.load(name)
        assert tree(path.parent) == before  # nothing deleted, nothing repaired

    @pytest.mark.parametrize("name", ["digits", "mnist", "cifar10"])
    def test_unknown_names_and_splits(self, name):
        with pytest.raises(ArgumentError, match=r'unknown split\n  expected: "train" or "test"\n  got: \'valid\''):
            datasets.load(name, "valid")
        with pytest.raises(ArgumentError, match=r"unknown dataset\n  expected: one of digits, mnist(.*)\n  got: 'imagenet'"):
            datasets.load("imagenet")
        with pytest.raises(ArgumentError, match="unknown dataset"):
            entry("imagenet")
        for call in (datasets.load, entry):
            with pytest.raises(ArgumentError, match="help: did you mean 'mnist'"):
                call("minst")


class TestSearch:
    @pytest.mark.parametrize("having", [[0, 1, 2], [1, 2], [2], [0, 2]])
    def test_order(self, roots, having):
        for number in having:
            put(roots[number] / "mnist", contents("mnist"))
        assert store.roots() == roots and store.locate("mnist", entry("mnist")) == roots[having[0]] / "mnist"

    def test_a_folder_that_lacks_files_is_passed_over_and_named(self, roots):
        (put(roots[0] / "mnist", contents("mnist")) / f"{LABELS}.gz").unlink()
        (put(roots[1] / "mnist", contents("mnist")) / f"{IMAGES}.gz").unlink()
        with pytest.raises(DataError, match="MNIST is not here") as error:
            datasets.mnist()
        text = str(error.value)
        assert f"{roots[0] / 'mnist'} lacks {LABELS}" in text and f"{roots[1] / 'mnist'} lacks {IMAGES}" in text
        assert f"no folder {roots[2] / 'mnist'}" in text and "minidrop data fetch mnist" in text and store.VARIABLE in text
        assert store.locate("mnist", entry("mnist"), "test") == roots[0] / "mnist"  # its test files are all there
        put(roots[2] / "mnist", contents("mnist"))
        assert store.locate("mnist", entry("mnist"), "train") == roots[2] / "mnist" and len(datasets.mnist()) == 10

    def test_without_checkout_variable_and_platformdirs(self, roots, monkeypatch):
        monkeypatch.setattr(store, "is_checkout", lambda: False)
        monkeypatch.setenv("HOME", str(roots[0]))
        monkeypatch.setenv(store.VARIABLE, "~/data")
        assert store.roots() == [roots[0] / "data", roots[2]]
        monkeypatch.delenv(store.VARIABLE)
        assert store.roots() == [roots[2]]
        monkeypatch.undo()
        monkeypatch.setitem(sys.modules, "platformdirs", None)
        assert store.cache_folder() is None
        monkeypatch.delitem(sys.modules, "platformdirs")
        assert store.cache_folder().parts[-2:] == ("minidrop", "datasets")


# How others lay the files out and call them: the folder below the named one, and a file's name in it.
LAYOUTS = {
    "torchvision": (lambda folder: f"{OTHER_NAMES[folder]}/raw", lambda name: name),
    "another name": (lambda folder: OTHER_NAMES[folder], lambda name: name),
    "upper case": (str.upper, str.upper),
    "dots": (str, lambda name: name.replace("-idx", ".idx")),
    "a folder twice": (lambda folder: f"{folder}/{folder}", str),
    "a folder for each file": (str, lambda name: f"{name}/{name}"),
    "a folder with dots for each file": (str, lambda name: f"{name.replace('-idx', '.idx')}/{name}"),
    "the folder itself": (lambda folder: ".", str),
}
OTHER_NAMES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar-10-batches-bin": "cifar10"}


class TestLayouts:
    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
    def test_all_are_found(self, roots, name, layout, packed):
        below, called = LAYOUTS[layout]
        if (name, layout, packed) == ("fashion_mnist", "the folder itself", False):
            below = lambda folder: "."  # noqa: E731
            roots[0] = roots[0].parent / "fashion-mnist"  # no digest tells its plain files from MNIST's, but the name does
        files = contents(name)
        for file, content in files.items():
            path = roots[0] / below(entry(name)["folder"]) / (called(file) + (".gz" if packed else ""))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gz(content) if packed else content)
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            patch.setenv(store.VARIABLE, str(roots[0]))
            warnings.simplefilter("ignore")  # plain files of Fashion-MNIST have no published digest
            train, test = datasets.load(name), datasets.load(name, "test")
        assert train.label.startswith(entry(name)["title"]) and test.labels.tolist() == [0, 1, 2, 3]
        assert train.images.tobytes()[-5:] == files[entry(name)["files"][-2 if name == "cifar10" else 0]["name"]][-5:]

    def test_the_usual_names_come_first(self, roots):
        put(roots[0] / "mnist", contents("mnist"))
        put(roots[0] / "MNIST" / "raw", contents("mnist", seed=1))
        put(roots[0] / "mnist", {"TRAIN-IMAGES.idx3-ubyte": b"other"}, packed=False)
        assert store.locate("mnist", entry("mnist")) == roots[0] / "mnist" and datasets.mnist().label == "MNIST"

    @pytest.mark.parametrize("called", ["data", "mnist", "fashion-mnist", "FashionMNIST/raw"])
    @pytest.mark.parametrize("content", ["mnist", "fashion_mnist"])
    def test_one_is_not_taken_for_the_other(self, roots, monkeypatch, called, content):
        """MNIST and Fashion-MNIST call their files alike: a folder's name decides, then a digest."""
        folder = put(roots[0] / called, contents(content, seed=3 if content == "mnist" else 4))
        for file in small(content)["files"]:
            packed = gz(contents(content, seed=3 if content == "mnist" else 4)[file["name"]])
            known = next(own for own in entry(content)["files"] if own["name"] == file["name"])
            known.update(
                archive_sha256=digest(packed), **({"sha256": digest(gzip.decompress(packed))} if "sha256" in known else {})
            )
        for name in ("mnist", "fashion_mnist"):  # the labels of the two are alike here; those of the real ones are not
            for file in entry(name)["files"]:
                if "labels" in file["name"] and name != content:
                    file.update(archive_sha256="0" * 64, **({"sha256": "0" * 64} if "sha256" in file else {}))
        monkeypatch.setenv(store.VARIABLE, str(folder))
        other = "fashion_mnist" if content == "mnist" else "mnist"
        right = {"data": content, "mnist": "mnist"}.get(called, "fashion_mnist")
        for name in (content, other):
            found = store.folders(folder, name, entry(name))
            assert (folder in found) == (name == right), name

    def test_the_error_names_the_right_level(self, roots):
        with pytest.raises(DataError, match="Fashion-MNIST is not here") as error:
            datasets.fashion_mnist()
        assert f"no folder {roots[0] / 'fashion-mnist'}" in error.value.got
        assert error.value.help.startswith(
            "`minidrop data fetch fashion_mnist`, or put the files into a folder fashion-mnist and "
        )
        assert error.value.help.endswith(f"name it, or the one above it, in ${store.VARIABLE}")

    def test_nobodys_home(self, roots, monkeypatch):
        monkeypatch.setenv(store.VARIABLE, "~nosuchuser/data")
        for call in (datasets.mnist, default_root):
            with pytest.raises(
                DataError, match=r"MINIDROP_DATASETS: there is no such home folder\n(.*)\n  got: '~nosuchuser/data'"
            ):
                call()


class TestLabels:
    def test_files_of_another_content_are_labelled_with_one_warning(self, roots):
        put(roots[0] / "mnist", contents("mnist", seed=1), packed=False)
        with pytest.warns(UserWarning, match="not the canonical files") as caught:
            train, test, _ = [datasets.mnist(split) for split in ("train", "test", "train")]
        assert len(caught) == 1 and str(roots[0] / "mnist") in str(caught[0].message) and train.label in str(caught[0].message)
        assert train.label == f"MNIST (not the canonical files: {IMAGES} {digest(contents('mnist', 1)[IMAGES])[:8]})"
        assert "t10k-images-idx3-ubyte" in test.label and train.label in repr(train)

    def test_known_copies_and_mixtures(self, roots, monkeypatch):
        files, jpeg = contents("cifar10"), contents("cifar10", seed=1)
        table = entry("cifar10")
        table["copies"] = [{"label": "CIFAR-10 (JPEG copy)", "sha256": {name: digest(jpeg[name]) for name in jpeg}}]
        folder = put(roots[0] / table["folder"], jpeg)
        with pytest.warns(UserWarning, match=r"labelled 'CIFAR-10 \(JPEG copy\)'"):
            assert {datasets.cifar10().label, datasets.cifar10("test").label} == {"CIFAR-10 (JPEG copy)"}
        put(folder, {name: files[name] for name in ("data_batch_2.bin", "test_batch.bin")})
        assert datasets.cifar10().label == "CIFAR-10 (a mixture of canonical files and CIFAR-10 (JPEG copy))"
        assert datasets.cifar10("test").label == "CIFAR-10"
        put(folder, {"data_batch_1.bin": jpeg["data_batch_3.bin"]})  # a known content under another name is not that file
        assert datasets.cifar10().label.startswith("CIFAR-10 (not the canonical files: data_batch_1.bin.gz ")


class TestDigits:
    def test_they_are_scikit_learns(self):
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        train, test = datasets.digits(), datasets.digits("test")
        assert train.images.shape == (1437, 1, 8, 8) and test.images.shape == (360, 1, 8, 8)
        assert train.images.dtype == test.images.dtype == np.uint8 and train.maximum == train.images.max() == 16
        np.testing.assert_array_equal(np.concatenate([train.images, test.images]).reshape(-1, 64), images)
        np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), labels)
        assert train.digest == entry("digits")["train_sha256"] and test.digest == entry("digits")["test_sha256"]
        assert train.label == test.label == entry("digits")["title"] and train.classes == tuple("0123456789")

    def test_changed_data_is_labelled(self, monkeypatch):
        import sklearn.datasets

        images, labels = sklearn.datasets.load_digits(return_X_y=True)
        images[0, 3] += 1
        monkeypatch.setattr(sklearn.datasets, "load_digits", lambda return_X_y: (images, labels))
        with pytest.warns(UserWarning, match="scikit-learn's data has changed"):
            train = datasets.digits()
        assert train.label == f"{entry('digits')['title']} (not the canonical data: {train.digest[:8]})"
        assert datasets.digits("test").label == entry("digits")["title"]  # that part is as it was

    def test_without_scikit_learn(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
        with pytest.raises(
            DataError, match=r"which is missing\n  expected: .*scikit-learn\n  got: .*\n  help: python -m pip install"
        ):
            datasets.digits()


class TestDataset:
    def make(self, **changes):
        images, labels = np.arange(5 * 12, dtype=np.uint8).reshape(5, 3, 2, 2), np.arange(5)
        five = {"images": images, "labels": labels, "classes": tuple("abcde"), "name": "five", "split": "test"}
        return Dataset(**five | changes)

    def test_parts(self):
        five = self.make(label="Five", maximum=16)
        for indices, labels in ((slice(1, 3), [1, 2]), ([4, 0, 4], [4, 0, 4]), (np.array([], dtype=int), [])):
            part = five.part(indices)
            assert len(part) == len(labels) and part.labels.tolist() == labels and part.images.shape[1:] == (3, 2, 2)
            assert (part.classes, part.name, part.split, part.label, part.maximum) == (five.classes, "five", "test", "Five", 16)
            np.testing.assert_array_equal(part.images, five.images[indices])
        assert repr(five) == "Dataset(Five, test: 5 images (3, 2, 2), 5 classes)" and self.make().label == "five"

    def test_the_digest_tells_every_change(self):
        five, pixel, label = self.make(), self.make(), self.make()
        pixel.images[2, 1, 0, 1] += 1
        label.labels[4] = 3
        assert len({one.digest for one in (five, pixel, label, five.part(slice(4)), five.part([1, 0, 2, 3, 4]))}) == 5
        same = self.make(labels=np.arange(5, dtype=np.uint8), images=np.asfortranarray(five.images))
        assert same.digest == five.digest == digest(bytes(range(60)) + bytes(range(5)))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of a real dataset, from its name; skips if the data are not here."""
    if not UNPACK.exists():
        pytest.skip(f"needs real data, which {UNPACK.name} of the folder shared/ beside the checkout lays out; it is not here")
    folder = str(tmp_path_factory.mktemp("real"))
    return lambda name: subprocess.run([sys.executable, str(UNPACK), folder, name], check=True, capture_output=True) and folder


def test_real_mnist(unpacked, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, unpacked("mnist"))
    train, test = datasets.mnist(), datasets.mnist("test")
    assert train.label == test.label == "MNIST" and (len(train), len(test)) == (60_000, 10_000)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9] and train.images.shape[1:] == (1, 28, 28)
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_allclose(train.images.mean() / 255, 0.1307, atol=5e-5)


@pytest.mark.slow
def test_real_cifar10_as_a_jpeg_copy(unpacked, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, unpacked("cifar10"))
    with pytest.warns(UserWarning, match="not the canonical files; results will be labelled"):
        train = datasets.cifar10()
    test = datasets.cifar10("test")
    for dataset in (train, test):  # another JPEG decoder may round otherwise
        assert dataset.label == "CIFAR-10 (JPEG copy)" or dataset.label.startswith("CIFAR-10 (not the canonical files: ")
    assert np.bincount(train.labels).tolist() == [5000] * 10 and np.bincount(test.labels).tolist() == [1000] * 10
