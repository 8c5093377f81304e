"""The generator: Philox's published answers, the same bits on every library, sound distributions."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, StateError
from minidrop.random import philox

# Known answers for Philox4x32-10, from the test vectors of Salmon et al.'s Random123: counter, key, result.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter, key, answer, library):
    words = philox(library.array(np.array(counter, dtype=np.uint64).reshape(4, 1)), key)
    assert [int(word) for word in library.numpy(words)[:, 0]] == list(answer)


def test_words_are_philox_of_the_block_number():
    generator = md.Generator(0xA4093822 | 0x299F31D0 << 32)
    generator.counter = 0x12_0000_0007
    expected = philox(np.array([[7], [0x12], [0], [0]], dtype=np.uint64), (0xA4093822, 0x299F31D0))
    np.testing.assert_array_equal(generator.words(3), expected[:3, 0])
    assert generator.counter == 0x12_0000_0008


def test_same_bits_on_every_library(library):
    for draw in (
        lambda g, device: g.uniform((7, 5), device=device),
        lambda g, device: g.uniform(1001, "float64", device=device),
        lambda g, device: g.integers(-3, 17, (50,), device=device),
    ):
        here, there = md.Generator(11), md.Generator(11)
        np.testing.assert_array_equal(draw(here, "cpu"), library.numpy(draw(there, library.device)))
        assert here.state_dict() == there.state_dict()


def test_uniform_is_uniform_and_below_1():
    for dtype in ("float32", "float64"):
        x = md.Generator(1).uniform(100_000, dtype)
        assert x.dtype == dtype and x.min() >= 0 and x.max() < 1
        counts = np.histogram(x, bins=20, range=(0, 1))[0]
        assert ((counts - 5000) ** 2 / 5000).sum() < 45  # chi-squared, 19 degrees of freedom: p = .0007
        assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / np.sqrt(len(x))


def test_extreme_words_stay_inside():
    from minidrop.random import _fill_float32, _fill_float64

    top = np.array([2**32 - 1] * 2, dtype=np.uint64)
    assert _fill_float32(top)[0] == np.float32(1 - 2**-24) and _fill_float64(top)[0] == 1 - 2**-53


def test_bernoulli_0_1_and_nan_are_certain(library):
    keep = library.array(np.array([0.0, 1.0, np.nan] * 1000))
    mask = library.numpy(md.Generator(0).bernoulli(keep)).reshape(-1, 3)
    assert (mask == [0, 1, 1]).all()


def test_normal_is_normal():
    x = md.Generator(2).normal(100_000, "float64")
    for power, moment, spread in ((1, 0, 1), (2, 1, np.sqrt(2)), (3, 0, np.sqrt(15)), (4, 3, np.sqrt(96))):
        assert abs((x**power).mean() - moment) < 4 * spread / np.sqrt(len(x))


def test_integers_and_permutation():
    draws = md.Generator(3).integers(2, 7, 10_000)
    assert set(np.unique(draws)) == {2, 3, 4, 5, 6} and draws.dtype == np.int64
    assert sorted(md.Generator(4).permutation(100)) == list(range(100))
    with pytest.raises(ArgumentError, match="empty range"):
        md.Generator(0).integers(3, 3)


def test_zero_draws():
    generator = md.Generator(0)
    assert generator.uniform((0, 3)).shape == (0, 3) and generator.counter == 0


def test_state_goes_on_at_the_very_place():
    generator = md.Generator(5)
    generator.uniform(13)
    other = md.Generator(99)
    other.load_state_dict(generator.state_dict())
    np.testing.assert_array_equal(generator.uniform(20), other.uniform(20))
    with pytest.raises(StateError):
        other.load_state_dict({"seed": 1})


def test_spawned_streams_differ_and_repeat():
    first, second = (md.Generator(1).spawn() for _ in range(2))
    np.testing.assert_array_equal(first.uniform(8), second.uniform(8))
    parent = md.Generator(1)
    a, b = parent.spawn(), parent.spawn()
    assert a.seed != b.seed != parent.seed and not np.array_equal(a.uniform(8), b.uniform(8))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "one", None, True])
def test_bad_seeds(seed):
    with pytest.raises(ArgumentError, match="bad seed"):
        md.Generator(seed)


def test_seeds_of_64_bits_and_numpy_integers():
    assert md.Generator(2**64 - 1).seed == 2**64 - 1
    assert md.Generator(np.int64(7)).seed == 7


def test_bad_dtype_of_uniform():
    with pytest.raises(ArgumentError, match="bad dtype"):
        md.Generator(0).uniform(3, "int32")


def test_manual_seed_starts_the_default_generator_again():
    layer, x = md.nn.Dropout(0.5), np.ones(50, dtype="float32")
    md.manual_seed(4)
    first = [layer(x).data, md.nn.Dense(3, 4).weight.data]
    md.manual_seed(4)
    second = [layer(x).data, md.nn.Dense(3, 4).weight.data]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert md.default_generator() is md.manual_seed(0)
    assert repr(md.Generator(3)) == "Generator(seed=3, counter=0)"


def test_the_global_state_of_numpy_is_never_touched():
    before = np.random.get_state()[1].copy()
    md.manual_seed(1)
    md.nn.Dropout(0.5)(np.ones(5, dtype="float32"))
    md.Generator(0).normal(10)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_numbers_on_the_second_gpu_are_made_there(two_gpus):
    """Whatever GPU is the current one: CuPy and the stand-in refuse work on an array of another."""
    for draw in (
        lambda device: md.Generator(5).uniform((3, 7), device=device),
        lambda device: md.Generator(5).uniform((3, 7), "float64", device),
        lambda device: md.Generator(5).integers(-4, 100, (3, 7), device),
    ):
        there = draw("cuda:1")
        assert there.device.id == 1 and there.dtype == draw("cpu").dtype
        np.testing.assert_array_equal(there.get(), draw("cpu"))
