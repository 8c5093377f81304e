"""The protocol: which images in which order, how they become numbers, and that the stream can be resumed anywhere."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import small_data
from hypothesis import given, strategies as st

from minidrop import Generator
from minidrop.backend import device_of
from minidrop.errors import ArgumentError
from minidrop.paper.protocol import CAREFUL, PAPER, Batches, buffer_order, drawn, find_protocol, normalise, pixel_mean, split


def test_the_papers_protocol_is_the_published_one():
    """Casallas (2018), section III, and the published code."""
    assert (PAPER.batch_size, PAPER.learning_rate, PAPER.shuffle_buffer) == (16, 0.01, 100)
    assert (PAPER.evaluate_every, PAPER.evaluation_images, PAPER.validation_share) == (1000, 1600, 0)
    assert PAPER.relu_logits and not CAREFUL.relu_logits
    assert CAREFUL.shuffle_buffer is None and CAREFUL.validation_share == 0.1 and CAREFUL.evaluation_images is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        PAPER.batch_size = 32


def test_unknown_protocol():
    assert find_protocol("careful") is CAREFUL
    with pytest.raises(ArgumentError, match="paper, careful"):
        find_protocol("sloppy")


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("learning_rate", 0), ("evaluate_every", 0), ("evaluation_images", 0), ("shuffle_buffer", 0), ("evaluation_buffer", 0), ("mean_images", -1),
     ("validation_share", 0.9), ("validation_share", 0.3), ("validation_share", -0.1), ("batch_size", 2.5)],
)  # fmt: skip
def test_a_protocol_that_cannot_be_carried_out(name, value):
    with pytest.raises(ArgumentError, match=f"bad {name}"):
        dataclasses.replace(PAPER, **{name: value})


# The 100-element buffer -----------------------------------------------------------------------------------------------


class PlainBuffer:
    """tf.data's shuffle as documented, one element at a time, with the same draws as ours."""

    def __init__(self, count, size, generator):
        self.source = iter(range(count))
        self.buffer = [next(self.source) for _ in range(min(size, count))]
        self.draws = iter(generator.integers(0, max(len(self.buffer), 1), count - len(self.buffer)).tolist())
        self.generator = generator

    def __iter__(self):
        for new in self.source:
            slot = next(self.draws)
            yield self.buffer[slot]
            self.buffer[slot] = new
        yield from (self.buffer[i] for i in self.generator.permutation(len(self.buffer)))


@given(count=st.integers(0, 300), size=st.integers(1, 120), seed=st.integers(0, 2**32))
def test_the_buffer_hands_out_every_image_once_as_the_plain_version_does(count, size, seed):
    order = buffer_order(count, size, Generator(seed))
    assert sorted(order) == list(range(count))
    assert list(order) == list(PlainBuffer(count, size, Generator(seed)))
    # An image cannot leave before it is in the buffer: at most size - 1 places early.
    assert all(place >= image - (size - 1) for place, image in enumerate(order))


def test_a_buffer_of_one_does_not_shuffle_and_a_large_one_shuffles_fully():
    assert list(buffer_order(50, 1, Generator(0))) == list(range(50))
    firsts = [buffer_order(10, 10, Generator(seed))[0] for seed in range(400)]
    assert len(set(firsts)) == 10 and max(np.bincount(firsts)) < 80


def test_the_published_buffer_hardly_shuffles():
    """Late images stay late: the reason why `careful` shuffles fully."""
    order = buffer_order(60_000, 100, Generator(3))
    moved = np.abs(order - np.arange(60_000))
    assert 50 < np.median(moved) < 120 and np.corrcoef(order, np.arange(60_000))[0, 1] > 0.9999


# Pixels and parts -----------------------------------------------------------------------------------------------------


def test_normalise():
    images = np.array([[0, 100, 255]], dtype=np.uint8)
    x = normalise(images, 30.0, 255)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, [[-30 / 255, 70 / 255, 225 / 255]], rtol=1e-6)


def test_the_mean_is_that_of_the_first_images_as_published():
    data = small_data.make(1200)
    assert pixel_mean(PAPER, data) == pytest.approx(data.images[:1000].mean())
    assert pixel_mean(CAREFUL, data) == pytest.approx(data.images.mean())
    data.images[1100:] = 0
    cifar = small_data.make(1200, name="cifar10")
    cifar.images = data.images
    assert pixel_mean(PAPER, cifar) == pytest.approx(data.images.mean()) != pixel_mean(PAPER, data)  # 10,000 for CIFAR-10


def test_careful_measures_on_held_out_training_images():
    train, test = small_data.make(200), small_data.make(60, split="test")
    images, measured = split(CAREFUL, train, test)
    assert (len(images), len(measured), measured.split) == (180, 20, "train")
    together = np.concatenate([images.images, measured.images])
    assert {image.tobytes() for image in together} == {image.tobytes() for image in train.images}
    assert not {image.tobytes() for image in images.images} & {image.tobytes() for image in measured.images}


def test_the_paper_measures_on_the_first_test_images():
    train, test = small_data.make(50), small_data.make(2000, split="test")
    images, measured = split(PAPER, train, test)
    assert images is train
    np.testing.assert_array_equal(measured.images, test.images[:1700])
    whole = dataclasses.replace(PAPER, evaluation_buffer=None)
    np.testing.assert_array_equal(drawn(whole, split(whole, train, test)[1], Generator(0)).images, test.images[:1600])


def test_an_evaluation_draws_its_images_through_the_buffer_too():
    """1,600 of the first 1,699, each at most once, other ones each time; as a buffer over the whole test set would."""
    test = small_data.make(2000, split="test")
    test.labels[:] = np.arange(2000)  # to identify the images
    _, measured = split(PAPER, test, test)
    for seed in range(5):
        labels = drawn(PAPER, measured, Generator(seed)).labels
        assert len(set(labels)) == len(labels) == 1600 and labels.max() <= 1698
        np.testing.assert_array_equal(labels, buffer_order(2000, 100, Generator(seed))[:1600])
    assert len(set(drawn(PAPER, measured, Generator(1)).labels) - set(labels)) > 20
    few = small_data.make(60, split="test")
    assert len(drawn(PAPER, split(PAPER, few, few)[1], Generator(0))) == 60
    assert drawn(CAREFUL, few, Generator(0)) is few


# The stream -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [PAPER, CAREFUL], ids=lambda protocol: protocol.name)
def test_a_pass_has_every_image_once_and_batches_are_always_full(protocol):
    data = small_data.make(40)
    batches = Batches(data, protocol, 0.0, Generator(5))
    stream = np.concatenate([batches.next_indices() for _ in range(10)])  # 160 = 4 passes of 40
    for start in range(0, 160, 40):
        assert sorted(stream[start : start + 40]) == list(range(40))
    assert list(stream[:40]) != list(stream[40:80])  # drawn anew on each pass


@given(before=st.integers(0, 30), seed=st.integers(0, 99), careful=st.booleans())
def test_the_stream_can_be_taken_up_anywhere(before, seed, careful):
    data, protocol = small_data.make(50), CAREFUL if careful else PAPER
    batches = Batches(data, protocol, 12.5, Generator(seed))
    for _ in range(before):
        next(batches)
    state = batches.state_dict()
    other = Batches(data, protocol, 12.5, Generator(seed + 1))
    other.load_state_dict(state)
    for _ in range(8):
        (x, labels), (y, others) = next(batches), next(other)
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(labels, others)
    assert x.dtype == np.float32 and x.shape == (16, 1, 8, 8)


def test_fewer_images_than_a_batch():
    with pytest.raises(ArgumentError, match="at least a batch of 16"):
        Batches(small_data.make(15), PAPER, 0.0, Generator(0))


def test_batches_are_the_same_on_every_device(library):
    data = small_data.make(50)
    batches, reference = (Batches(data, PAPER, 9.0, Generator(1), device) for device in (library.device, "cpu"))
    for _ in range(5):
        (x, labels), (y, others) = next(batches), next(reference)
        assert device_of(x) == device_of(labels) == library.device
        np.testing.assert_array_equal(library.numpy(x), y)
        np.testing.assert_array_equal(library.numpy(labels), others)
