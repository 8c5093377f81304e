"""md.datasets.batches: each image once, with its own label, as the numbers that a network takes."""

from __future__ import annotations

import numpy as np
import pytest
import small_data

import minidrop as md
from minidrop.errors import ArgumentError, DTypeError, MinidropError, ShapeError

batches = md.datasets.batches


def numbered(count=23):
    """Images that say in two pixels which one they are, and labels that say it too."""
    images = np.zeros((count, 1, 2, 2), "uint8")
    images[:, 0, 0, 0], images[:, 0, 1, 1] = np.arange(count), 200
    return images, np.arange(count) * 10


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("size", "drop_last", "sizes"), [(5, False, [5, 5, 5, 5, 3]), (5, True, [5] * 4), (30, False, [23])])
def test_a_pass_sees_each_image_once_with_its_own_label(library, shuffle, size, drop_last, sizes):
    images, labels = numbered()
    loader = batches(images, labels, size, shuffle, md.Generator(3), drop_last, library.device)
    assert len(loader) == len(sizes)
    orders = []
    for _ in range(2):
        seen, given = [], []
        for x, y in loader:
            assert type(x) is type(y) is type(library.array(images)) and x.dtype == np.float32
            seen.append(np.round(255 * library.numpy(x)).astype(int))
            given.append(library.numpy(y))
        assert [len(part) for part in seen] == [len(part) for part in given] == sizes
        seen, given = np.concatenate(seen), np.concatenate(given)
        np.testing.assert_array_equal(10 * seen[:, 0, 0, 0], given)
        assert (seen[:, 0, 1, 1] == 200).all() and not seen[:, 0, 0, 1].any()
        assert len(set(given)) == len(given) == sum(sizes)
        orders.append(given.tolist())
    if shuffle:
        assert orders[0] != orders[1] and sorted(orders[0]) != orders[0]
    else:
        assert orders[0] == orders[1] == labels[: sum(sizes)].tolist()


def test_the_order_comes_from_the_generator():
    images, labels = numbered()
    order = lambda loader: [label for _, y in loader for label in y.tolist()]  # noqa: E731
    first, again = (order(batches(images, labels, 4, generator=md.Generator(1))) for _ in range(2))
    assert first == again != order(batches(images, labels, 4, generator=md.Generator(2)))
    md.manual_seed(5)
    loader = batches(images, labels, 4)
    expected = [order(loader), order(loader)]
    md.manual_seed(5)
    assert [order(loader), order(loader)] == expected
    side_by_side = batches(images, labels, 4, generator=md.Generator(7))
    pairs = list(zip(side_by_side, side_by_side, strict=True))  # two passes at once do not disturb each other
    for pass_ in (0, 1):
        assert sorted(label for pair in pairs for label in pair[pass_][1].tolist()) == labels.tolist()


def test_pixels_become_numbers_from_0_to_1_or_as_the_experiment_normalises_them():
    images, labels = np.array([[0, 51, 255]], "uint8"), [4]
    one = lambda *arguments, **options: next(iter(batches(*arguments, **options)))  # noqa: E731
    np.testing.assert_allclose(one(images, labels)[0], [[0, 0.2, 1]], rtol=1e-6)
    np.testing.assert_allclose(one(images, labels, mean=51.0)[0], [[-0.2, 0, 0.8]], atol=1e-6)
    x, y = one(images, labels, mean=0.1307 * 255, maximum=0.3081 * 255)
    np.testing.assert_allclose(x, (images / 255 - 0.1307) / 0.3081, rtol=1e-5)
    assert x.dtype == np.float32 and y.tolist() == [4]
    floats = np.array([[0.5, 2.0]])
    x, _ = one(floats, labels)
    assert x.dtype == np.float64 and x.tolist() == [[0.5, 2.0]]
    x[...] = 0
    assert floats[0, 1] == 2, "no memory is shared"
    assert one(np.array([[7, 300]]), labels)[0].tolist() == [[7, 300]]
    np.testing.assert_allclose(one(floats, labels, mean=0.5, maximum=3)[0], [[0, 0.5]])
    assert one(md.Tensor(floats), md.Tensor(floats))[1].tolist() == [[0.5, 2.0]]


def test_a_dataset_brings_its_labels_and_its_maximum():
    data = small_data.make(50)
    data.maximum = 16
    x, y = next(iter(batches(data, batch_size=50, shuffle=False)))
    np.testing.assert_allclose(x, data.images / 16, rtol=1e-6)
    np.testing.assert_array_equal(y, data.labels)
    data.images = data.images / 7
    x, _ = next(iter(batches(data, batch_size=50, shuffle=False)))
    np.testing.assert_array_equal(x, data.images)
    assert repr(batches(data)) == "Loader(50 images (1, 8, 8), 2 batches of 32, shuffled)"
    digits = md.datasets.digits("test")
    x, _ = next(iter(batches(digits, batch_size=360)))
    assert x.shape == (360, 1, 8, 8) and x.max() == 1 and x.min() == 0


def test_a_network_learns_from_it():
    model = md.nn.Sequential(md.nn.Flatten(), md.nn.Dense(64, 10, generator=md.Generator(0)))
    optimizer = md.optim.SGD(model.parameters(), lr=0.1)
    loader = batches(small_data.make(200), batch_size=16, generator=md.Generator(0))
    for _ in range(10):
        for images, labels in loader:
            optimizer.zero_grad()
            md.functional.softmax_cross_entropy(model(images), labels).backward()
            optimizer.step()
    ((images, labels),) = batches(small_data.make(60, seed=1), batch_size=60)
    assert (model(images).data.argmax(axis=1) == labels).mean() > 0.9


X, Y = numbered(4)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: batches(X, Y, 0), ArgumentError),
        (lambda: batches(X, Y, -1), ArgumentError),
        (lambda: batches(X, Y, 2.0), ArgumentError),
        (lambda: batches(X, Y[:3], 2), ShapeError),
        (lambda: batches(X[:0], Y[:0], 2), ShapeError),
        (lambda: batches(X, None, 2), DTypeError),
        (lambda: batches("train", Y, 2), DTypeError),
        (lambda: batches(X, ["a", "b", "c", "d"], 2), DTypeError),
        (lambda: batches([[1], [1, 2]], [1, 2], 2), ShapeError),
        (lambda: batches(3.0, 4.0, 1), ShapeError),
        (lambda: batches(X, Y, 2, md.Generator(0)), ArgumentError),
        (lambda: batches(X, Y, 2, generator=np.random.default_rng(0)), ArgumentError),
        (lambda: batches(X, Y, 2, drop_last=1), ArgumentError),
        (lambda: batches(X, Y, 5, drop_last=True), ArgumentError),
        (lambda: batches(X, Y, 2, maximum=0), ArgumentError),
        (lambda: batches(X, Y, 2, mean=float("nan")), ArgumentError),
        (lambda: batches(X, Y, 2, device="gpu"), ArgumentError),
        (lambda: batches(small_data.make(5), 2), ArgumentError),
    ],
)
def test_bad_input(make, error):
    with pytest.raises(error, match=r"(.|\n)*expected: (.|\n)*got: ") as caught:
        make()
    assert isinstance(caught.value, MinidropError)


@pytest.mark.parametrize(
    ("name", "value"), [("mean", 10**400), ("mean", float("inf")), ("mean", "a"), ("maximum", 10**400), ("maximum", 0)]
)
def test_scales_that_are_no_numbers(name, value):
    with pytest.raises(ArgumentError, match=f"batches: bad {name}"):
        md.datasets.batches(np.zeros((3, 2), "uint8"), [0, 1, 2], **{name: value})
