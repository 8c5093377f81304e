"""README's table for those who know PyTorch: each row is run on both sides; and PyTorch's MNIST example, moved here."""

from __future__ import annotations

import pathlib
import re

import numpy as np
import port_of_pytorch_mnist as port
import pytest
import small_data

import minidrop as md

README = pathlib.Path(md.__file__).parent.parent / "README.md"
X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def rows(page):
    """[(left, right)]: the code of each row of the table."""
    section = page.partition("## Coming from PyTorch\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (`.*) \| (`.*) \|$", section, flags=re.MULTILINE)
    return [tuple(cell.split("`")[1] for cell in line) for line in lines]


def numbers(result, x):
    """What can be compared of the result of a line: arrays; for a layer the shapes of its weight and output."""
    if callable(result):
        return [sorted(result.weight.shape), list(result(x).shape)]
    if hasattr(result, "dataset") or isinstance(result, md.datasets.Loader):  # a loader: which rows, in batches of which size
        batches = [(np.asarray(images), np.asarray(labels)) for images, labels in result]
        seen = np.concatenate([np.column_stack([images, labels]) for images, labels in batches])
        return [sorted(len(labels) for _, labels in batches), seen[np.argsort(seen[:, -1])].tolist()]
    return np.asarray(getattr(result, "detach", lambda: result)())


class Both:
    """The same things on both sides, under the names that the table uses."""

    def __init__(self, torch, folder):
        labels = np.arange(len(X))
        self.torch = torch
        pairs = zip(torch.tensor(X), torch.tensor(labels), strict=True)
        theirs = {
            "torch": torch,
            "nn": torch.nn,
            "clip_grad_norm_": torch.nn.utils.clip_grad_norm_,
            "DataLoader": lambda dataset, size, **options: torch.utils.data.DataLoader(dataset, size // 16, **options),
            "x": torch.tensor(X),
            "dataset": list(pairs),
            "model": torch.nn.Linear(4, 3),
            "path": folder / "torch.pt",
        }
        ours = {
            "md": md,
            "nn": md.nn,
            "x": md.Tensor(X),
            "dataset": md.datasets.Dataset(X, labels, ()),
            "model": md.nn.Dense(4, 3),
            "path": folder / "minidrop.safetensors",
        }
        self.sides = [{"array": X, **side} for side in (theirs, ours)]
        weight = torch.nn.Linear(4, 3).state_dict()
        theirs["model"].load_state_dict(weight)
        ours["model"].weight, ours["model"].bias = weight["weight"].T.numpy(), weight["bias"].numpy()
        for side in self.sides:
            (side["model"](side["x"]) ** 2).sum().backward()

    def run(self, *lines):
        return [numbers(eval(line, side), side["x"]) for line, side in zip(lines, self.sides, strict=True)]

    def models(self):
        theirs, ours = (side["model"] for side in self.sides)
        return [
            [theirs.weight.detach().numpy().T, theirs.bias.detach().numpy(), theirs.weight.grad.numpy().T],
            [ours.weight.data, ours.bias.data, ours.weight.grad],
        ]


def test_each_row_does_the_same_on_both_sides(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    table = rows(README.read_text())
    assert 8 <= len(table) <= 12
    both, compared = Both(torch, tmp_path), 0
    for left, right in table:
        right = right.replace("batch_size=64", "batch_size=4")  # six rows are not enough for batches of 64
        saves, loads = "save(" in left, "load(" in left
        if loads:
            for side in both.sides:
                side["model"].bias.data[...] = 7  # what is saved must come back
        first, second = both.run(left, right)
        if not (saves or loads):
            if isinstance(first, np.ndarray):
                np.testing.assert_allclose(second, first, rtol=1e-5, err_msg=left)
            else:
                assert first == second, left
            compared += 1
        for ours, theirs in zip(*both.models(), strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6, err_msg=left)
            assert not (ours == 7).any()
    assert compared == len(table) - 2


def test_a_row_that_does_something_else_is_noticed(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    both = Both(torch, tmp_path)
    for left, right in [("x.sum(dim=1)", "x.sum(axis=0)"), ("x.permute(1, 0)", "x.reshape(4, 6)"), ("x.view(2, -1)", "x + 0")]:
        first, second = both.run(left, right)
        assert first.shape != second.shape or not np.allclose(first, second)
    first, second = both.run("nn.Linear(4, 3)", "nn.Dense(4, 2)")
    assert first != second


# PyTorch's example ----------------------------------------------------------------------------------------------------


def test_the_example_trains_and_its_file_gives_the_same_network(tmp_path, capsys):
    data = small_data.make(192, shape=(1, 28, 28)), small_data.make(50, shape=(1, 28, 28), seed=1, split="test")
    file = tmp_path / "mnist_cnn.safetensors"
    arguments = ["--epochs", "3", "--batch-size", "16", "--log-interval", "5", "--save-model", str(file)]
    model, optimizer, accuracy = port.main(arguments, data)
    printed = capsys.readouterr().out
    assert "Train epoch 3 [80/192]\tloss" in printed and printed.count("Test: average loss") == 3
    assert accuracy > 0.9 and optimizer.lr == pytest.approx(1e-3 * 0.7**3)
    again = port.Net()
    md.load(file, again)
    images = md.datasets.batches(data[1], batch_size=50, shuffle=False)
    for x, _ in images:
        np.testing.assert_array_equal(again.eval()(x).data, model.eval()(x).data)


def test_the_networks_of_both_libraries_agree():
    """The same class with PyTorch's names: same parameters (Linear's weight transposed), same output."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = port.Net().eval()
    theirs = torch.nn.ModuleDict({
        "conv1": torch.nn.Conv2d(1, 32, 3), "conv2": torch.nn.Conv2d(32, 64, 3),
        "fc1": torch.nn.Linear(9216, 128), "fc2": torch.nn.Linear(128, 10),
    })  # fmt: skip
    state = {name: value.T if name in ("fc1.weight", "fc2.weight") else value for name, value in theirs.state_dict().items()}
    assert list(state) == list(model.state_dict())
    model.load_state_dict(state)
    x = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype("float32")
    y = torch.nn.functional.relu(theirs["conv1"](torch.tensor(x)))
    y = torch.nn.functional.max_pool2d(torch.nn.functional.relu(theirs["conv2"](y)), 2)
    y = theirs["fc2"](torch.nn.functional.relu(theirs["fc1"](torch.flatten(y, 1))))
    expected = torch.nn.functional.log_softmax(y, dim=1).detach().numpy()
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-4, atol=1e-5)


def test_few_lines_had_to_change():
    """A changed line is marked with a comment: what it says in PyTorch."""
    lines = pathlib.Path(port.__file__).read_text().split("import argparse")[1].splitlines()
    changed = [line for line in lines if re.search(r"\S  # ", line) and not line.startswith("MEAN")]
    assert len(changed) <= 20 and len([line for line in lines if line.strip()]) > 75
