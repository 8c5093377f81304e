"""Wrong answers to the exercises of lesson 00, and what the checker must say of each."""

import numpy as np


def counted_once(labels, guesses):
    table = np.zeros((10, 10), int)
    table[labels, guesses] += 1
    return table


def table(labels, guesses, size=10):
    counts = np.zeros((size, size), int)
    np.add.at(counts, (labels, guesses), 1)
    return counts


def distances(train, images):
    return ((images[:, None].astype(float) - train[None]) ** 2).sum(axis=2)


WRONG = {
    "1": [
        (lambda images: (images - np.uint8(images.mean())) / 16, "wrapped around"),
        (lambda images: images / 16, "mean is still in it"),
        (lambda images: images / 16 - images.mean(), "before the division"),
        (lambda images: images - images.mean(), "now divide by 16"),
        (lambda images: (images - images.mean()) / 255, "not 255"),
        (lambda images: (images - images.mean(axis=0)) / 16, "per pixel"),
        (lambda images: (images - images.mean(axis=(1, 2, 3), keepdims=True)) / 16, "per image"),
        (lambda images: ((images - images.mean()) / 16).reshape(len(images), -1), "right numbers in shape"),
    ],
    "2": [
        (counted_once, "np.add.at"),
        (lambda labels, guesses: table(guesses, labels), "transposed"),
        (lambda labels, guesses: table(labels, guesses) / len(labels), "return the counts"),
        (lambda labels, guesses: np.diag(table(labels, guesses)), r"expected shape \(10, 10\)"),
    ],
    "3": [
        (lambda train, labels, images: distances(train, images).argmin(axis=1), "return their labels"),
        (lambda train, labels, images: labels[distances(train, images).argmax(axis=1)], "farthest away"),
        (
            lambda train, labels, images: labels[((images[:, None] - train[None]) ** 2).sum(axis=2).argmin(axis=1)],
            "wrapped around",
        ),
        (
            lambda train, labels, images: labels[(images[:, None].astype(float) - train).sum(axis=2).argmin(axis=1)],
            "square them",
        ),
        (lambda train, labels, images: labels[distances(train, images).argmin(axis=0) % 25], "one label per training image"),
    ],
}
