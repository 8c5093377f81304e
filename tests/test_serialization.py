"""save and load: nothing lost, nothing half written, everything that does not fit listed."""

from __future__ import annotations

import errno
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, StateError
from minidrop.serialization import write_atomically

nn = md.nn


def trained(seed=0):
    g = md.Generator(seed)
    model = nn.Sequential(nn.Dense(3, 4, generator=g), nn.BatchNorm1d(4), nn.Dense(4, 2, generator=g))
    optimizer = md.optim.Adam(model.parameters(), lr=0.02)
    x = np.random.default_rng(seed).normal(size=(6, 3)).astype("float32")
    for _ in range(3):
        optimizer.zero_grad()
        md.functional.softmax_cross_entropy(model(x), [0, 1] * 3).backward()
        optimizer.step()
    return model, optimizer


def test_everything_comes_back(tmp_path, library):
    model, _ = trained()
    model.to(library.device)
    curve = np.arange(6.0).reshape(2, 3).T
    path = tmp_path / "checkpoint.safetensors"
    state = {
        "epoch": 3,
        "note": "ümlaut",
        "nested": {"a": [1, 2.5, None]},
        "curve": curve,
        "scalar": np.array(2.0),
        "number": np.float32(0.5),
    }
    md.save(path, model, generator=md.Generator(4).state_dict(), **state)
    loaded = md.load(path)
    assert loaded["epoch"] == 3 and loaded["note"] == "ümlaut" and loaded["nested"] == {"a": [1, 2.5, None]}
    assert loaded["generator"] == {"seed": 4, "counter": 0} and loaded.optimizer is None
    np.testing.assert_array_equal(loaded["curve"], curve)
    assert loaded["scalar"].shape == () and set(loaded.state) == {*state, "generator"}
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(loaded.module[name], library.numpy(array))
    other, _ = trained(seed=1)
    md.load(path, other)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, loaded["module"][name])


def test_the_optimiser_too(tmp_path):
    model, optimizer = trained()
    md.save(tmp_path / "c", model, optimizer)
    other, steps = trained(seed=1)
    md.load(tmp_path / "c", other, steps)
    assert steps.steps == 3 and steps.lr == 0.02
    for slot in ("first_moment", "second_moment"):
        for a, b in zip(steps.state[slot], optimizer.state[slot], strict=True):
            np.testing.assert_array_equal(a, b)


def test_files_are_plain_safetensors_with_the_modules_own_names(tmp_path):
    from safetensors.numpy import load_file, save_file

    model, optimizer = trained()
    md.save(tmp_path / "w", model, optimizer, extra=np.ones(2))
    names = set(load_file(tmp_path / "w"))
    assert set(model.state_dict()) <= names and "state:extra" in names and "optimizer:first_moment.0" in names
    save_file({"weight": np.ones((3, 4), "float32"), "bias": np.zeros(4, "float32")}, tmp_path / "foreign")
    layer = nn.Dense(3, 4)
    md.load(tmp_path / "foreign", layer)
    assert (layer.weight.data == 1).all()


def test_arrays_in_any_memory_order_and_of_no_size(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 5, 2, 3))
    md.save(tmp_path / "c", nn.Flatten(), a=values.transpose(2, 3, 0, 1), b=values[::-1, ::2], c=np.zeros((0, 3)), d=values.T)
    loaded = md.load(tmp_path / "c")
    np.testing.assert_array_equal(loaded["a"], values.transpose(2, 3, 0, 1))
    np.testing.assert_array_equal(loaded["b"], values[::-1, ::2])
    np.testing.assert_array_equal(loaded["d"], values.T)
    assert loaded["c"].shape == (0, 3)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", [np.ones(2)], np.array(["a"]), np.array([1j])])
def test_state_that_cannot_be_stored_is_refused_before_writing(tmp_path, value):
    with pytest.raises(ArgumentError, match="cannot store 'thing'"):
        md.save(tmp_path / "c", trained()[0], thing=value)
    assert not list(tmp_path.iterdir())


def test_what_is_no_module(tmp_path):
    with pytest.raises(ArgumentError, match="nothing to save"):
        md.save(tmp_path / "c", {"a": 1})


def test_what_does_not_fit_is_listed(tmp_path):
    model, _ = trained()
    md.save(tmp_path / "c", model)
    other = nn.Sequential(nn.Dense(3, 5), nn.BatchNorm1d(5))
    before = other.state_dict()
    with pytest.raises(StateError, match=r"wrong shape 0\.weight: \(3, 4\) instead of \(3, 5\)") as error:
        md.load(tmp_path / "c", other)
    assert "extra 2.weight" in str(error.value)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(StateError, match="holds no optimiser state"):
        md.load(tmp_path / "c", optimizer=md.optim.SGD(model.parameters(), lr=0.1))


def test_a_state_of_another_optimiser_changes_nothing(tmp_path):
    model, _ = trained()
    md.save(tmp_path / "c", model, md.optim.SGD(model.parameters(), lr=0.1))
    other, steps = trained(seed=1)
    before = other.state_dict()
    with pytest.raises(StateError, match="it is the state of SGD"):
        md.load(tmp_path / "c", other, steps)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        md.load(tmp_path / "none")
    model, _ = trained()
    md.save(tmp_path / "good", model)
    content = (tmp_path / "good").read_bytes()
    for name, damaged in {"empty": b"", "short": content[: len(content) // 2], "text": b"not a weight file at all"}.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(StateError, match=f"{name} cannot be read(.|\n)*{len(damaged)} bytes"):
            md.load(tmp_path / name)


def flipped(content, position, bit):
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


def small_file(path):
    model = nn.Sequential(nn.Dense(2, 2, generator=md.Generator(0)))
    optimizer = md.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    (model(np.ones((1, 2), "float32")) ** 2).sum().backward()
    optimizer.step()
    md.save(path, model, optimizer, epoch=12, curve=np.arange(3.0))
    return path.read_bytes()


def test_a_flipped_bit_anywhere_is_refused(tmp_path):
    content = small_file(tmp_path / "good")
    path = tmp_path / "damaged"
    for position in range(len(content)):
        path.write_bytes(flipped(content, position, position % 8))
        with pytest.raises(StateError, match=r"is damaged|cannot be read"):
            md.load(path)


def test_the_error_names_what_was_hit_and_loads_nothing(tmp_path):
    content = small_file(tmp_path / "good")
    model, path = nn.Sequential(nn.Dense(2, 2, generator=md.Generator(1))), tmp_path / "damaged"
    before = model.state_dict()
    number = np.arange(3.0)[1:2].tobytes()  # in the curve
    path.write_bytes(flipped(content, content.rindex(number), 3))
    with pytest.raises(StateError, match=r"expected: (.|\n)*got: something else in state:curve\n(.|\n)*help: "):
        md.load(path, model)
    path.write_bytes(flipped(content, content.index(b"12", content.index(b"epoch")), 0))
    with pytest.raises(StateError, match="in the values that are no arrays"):
        md.load(path, model)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_files_without_digests_are_read(tmp_path):
    """Those of minidrop 0.2, and those of other programs."""
    from safetensors.numpy import save

    arrays = {"0.weight": np.ones((2, 2), "float32"), "0.bias": np.zeros(2, "float32")}
    (tmp_path / "elsewhere").write_bytes(save(arrays))
    (tmp_path / "before").write_bytes(save(arrays, {"minidrop": '{"state": {"epoch": 3}, "has_optimizer": false}'}))
    model = nn.Sequential(nn.Dense(2, 2))
    md.load(tmp_path / "elsewhere", model)
    assert (model[0].weight.data == 1).all()
    assert md.load(tmp_path / "before").state == {"epoch": 3}


def test_the_same_content_gives_the_same_bytes(tmp_path):
    assert small_file(tmp_path / "first") == small_file(tmp_path / "second")


def test_big_endian_numbers_come_back(tmp_path):
    md.save(tmp_path / "c", nn.ReLU(), curve=np.arange(3, dtype=">f4"))
    np.testing.assert_array_equal(md.load(tmp_path / "c").state["curve"], [0, 1, 2])


def test_an_error_of_the_disk_names_the_file(tmp_path):
    """Not the temporary file beside it, nor none, nor two."""

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    for place, path in ((tmp_path / "none", tmp_path / "none" / "c"), (tmp_path, tmp_path / "c")):
        with pytest.MonkeyPatch.context() as patch:
            if place.exists():
                patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match=r"^\[Errno \d+\] [\w ]+: '[^']*'$") as error:
                write_atomically(path, b"new")
        assert error.value.filename == str(path) and error.value.errno in (errno.ENOENT, errno.ENOSPC)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"^\[Errno \d+\] [\w ]+: '[^']*folder'$"):  # os.replace names two files
        write_atomically(tmp_path / "folder", b"new")


def test_an_error_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "c"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "c", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o640


WRITER = """
import sys, numpy as np, minidrop as md
layer = md.nn.Dense(200, 300)
for number in range(1_000_000):
    layer.weight.data[...] = number
    layer.bias.data[...] = number
    md.save(sys.argv[1], layer, number=number)
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    """A real process that saves over and over, killed 12 times at random moments: each time the file is whole and recent."""
    path = tmp_path / "weights.safetensors"
    moments = random.Random(0)
    for _ in range(12):
        environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(md.__file__).parent.parent)}
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(moments.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        printed = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        layer = nn.Dense(200, 300)
        loaded = md.load(path, layer)
        assert (layer.weight.data == loaded["number"]).all() and (layer.bias.data == loaded["number"]).all()
        assert loaded["number"] >= (int(printed[-1]) if printed and printed[-1].isdigit() else 0) - 1


def test_arguments_of_another_kind_are_told_apart(tmp_path):
    model, optimizer = trained()
    path = tmp_path / "c"
    md.save(path, model, optimizer)
    before = model.state_dict()
    for call, words in (
        (lambda: md.load(path, model, 5), "not a Optimizer"),
        (lambda: md.load(path, 5), "not a Module"),
        (lambda: md.load(model, path), "the path comes first"),
        (lambda: md.save(path, model, md.optim.StepLR(optimizer, 2)), "Optimizer"),
        (lambda: md.save(path, model.state_dict()), "the model itself"),
        (lambda: md.save(path, optimizer), r"md\.save\(path, model, optimizer\)"),
        (lambda: md.save(model, path), "the path comes first"),
        (lambda: md.save(tmp_path, model), "is a folder"),
        (lambda: md.load(tmp_path, model), "is a folder"),
        (lambda: md.save(tmp_path / "none" / "c", model), "no folder"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    (tmp_path / "model.pt").write_bytes(b"PK not ours")
    with pytest.raises(StateError, match="PyTorch"):
        md.load(tmp_path / "model.pt")


def test_the_home_folder_has_a_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    md.save("~/c", nn.Dense(2, 2))
    assert (tmp_path / "c").is_file() and set(md.load("~/c").module) == {"weight", "bias"}
