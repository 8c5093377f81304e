"""Solutions of lesson 00. ANSWERS says which is which."""

import numpy as np


def normalised(images):
    """Floats first: bytes wrap around below 0."""
    pixels = images.astype("float32")
    return (pixels - pixels.mean()) / 16


def table_of(labels, guesses):
    """np.add.at counts a place as often as it occurs."""
    table = np.zeros((10, 10), int)
    np.add.at(table, (labels, guesses), 1)
    return table


def nearest_image(train_images, labels, images):
    """The label of the training image at the smallest squared distance."""
    differences = images[:, None].astype("float64") - train_images[None]
    return labels[(differences**2).sum(axis=2).argmin(axis=1)]


ANSWERS = {"1": normalised, "2": table_of, "3": nearest_image}
