"""Checkers of lesson 00: bytes to small numbers, a table of mistakes, the nearest image; and a toy to show how they work."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Wrong, called, compare


def exercise_0(answer: Any) -> str:
    """row_means(table), the toy."""
    table = np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0], [4.0, 5.0, 6.0]])
    got = called(answer, table)
    if np.shape(got) == (3,) and np.allclose(got, table.mean(axis=0)):
        raise Wrong(
            "those are the means of the columns: `axis` says which axis goes away, and rows lie along axis 1"
        )
    if np.shape(got) == (3,) and np.allclose(got, table.sum(axis=1)):
        raise Wrong("those are the sums: divide by the number of columns")
    compare(got, table.mean(axis=1), "the means")
    return "This remark may tell you why it matters."


def exercise_1(answer: Any) -> str:
    """normalised(images)."""
    images = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8)).astype(np.uint8)
    exact = images.astype("float64")
    expected = (exact - exact.mean()) / 16
    got = called(answer, images)
    if np.shape(got) == images.shape:
        wrapped = images - np.uint8(exact.mean())
        if np.allclose(got, wrapped / 16) or np.allclose(got, wrapped // 16):
            raise Wrong(
                "the bytes wrapped around: 3 - 5 is 254 in uint8. Convert to floats before you subtract"
            )
        if np.allclose(got, exact / 16):
            raise Wrong("divided, but the mean is still in it")
        if np.allclose(got, exact / 16 - exact.mean()):
            raise Wrong("the mean belongs to the pixels before the division: (pixel - mean) / 16")
        if np.allclose(got, exact - exact.mean()):
            raise Wrong("the mean is gone; now divide by 16")
        if np.allclose(got, (exact - exact.mean(axis=0)) / 16):
            raise Wrong("you subtracted a mean per pixel: take one mean over all images and pixels")
        if np.allclose(got, (exact - exact.mean(axis=(1, 2, 3), keepdims=True)) / 16):
            raise Wrong("you subtracted a mean per image: take one mean over all images and pixels")
    compare(
        got,
        expected,
        "the images",
        {16 / 255: "these pixels go up to 16, not 255", 1 / 16: "divided by 16 twice"},
    )
    return "The paper does the same to its images, with 255 in place of 16."


def exercise_2(answer: Any) -> str:
    """table_of(labels, guesses)."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 9, 200)  # no 9 among the labels, so that the size has to be known
    guesses = np.where(random.random(200) < 0.7, labels, random.integers(0, 10, 200))
    expected = np.zeros((10, 10))
    np.add.at(expected, (labels, guesses), 1)
    got = called(answer, labels, guesses)
    if np.shape(got) == (10, 10):
        if np.array_equal(got, expected > 0):
            raise Wrong(
                "no count is above 1: `table[labels, guesses] += 1` adds once per place, however often it occurs; see np.add.at"
            )
        if np.allclose(got, expected / len(labels)):
            raise Wrong("those are shares: return the counts")
    compare(got, expected, "the table")
    return "What is on the diagonal is right; the rest says which digits look alike."


def exercise_3(answer: Any) -> str:
    """nearest_image(train_images, labels, images)."""
    random = np.random.default_rng(0)
    train, images = (
        random.integers(0, 17, (60, 64)).astype(np.uint8),
        random.integers(0, 17, (25, 64)).astype(np.uint8),
    )
    labels = random.integers(0, 10, 60)
    differences = images[:, None].astype("float64") - train[None]
    distances = (differences**2).sum(axis=2)
    expected = labels[distances.argmin(axis=1)]
    got = np.asarray(called(answer, train, labels, images))
    if got.shape == expected.shape and not np.array_equal(got, expected):
        wrapped = ((images[:, None] - train[None]) ** 2).sum(axis=2)
        if np.array_equal(got, distances.argmin(axis=1)):
            raise Wrong("those are the positions of the nearest images: return their labels")
        if np.array_equal(got, labels[distances.argmax(axis=1)]):
            raise Wrong("those are the labels of the images that are farthest away")
        if np.array_equal(got, labels[wrapped.argmin(axis=1)]):
            raise Wrong("the bytes wrapped around: convert to floats before you subtract")
        if np.array_equal(got, labels[differences.sum(axis=2).argmin(axis=1)]):
            raise Wrong("differences of both signs cancel in the sum: square them first")
    if got.shape == labels.shape:
        raise Wrong(
            "one label per training image came back: one per image of `images` is wanted; the minimum is over the other axis"
        )
    compare(got, expected, "the labels")
    return "Nothing was learnt, and the whole training set must be kept and searched: that is its price."
