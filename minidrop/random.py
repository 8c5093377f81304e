"""Random numbers that are the same on NumPy and on CuPy, from a counter-based generator.

A counter-based generator has no hidden state: random number i is a fixed function of a key (the seed) and of i. The function
here is Philox4x32-10 (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011), which PyTorch uses on GPUs and
cuRAND offers: ten rounds of integer multiplications, written in array operations that both libraries have. Integers do not
round, so the same seed gives the same bits everywhere. The global random state of NumPy is never touched.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .backend import Array, array_module, device_of, empty_on, fused, run_on
from .errors import ArgumentError, StateError
from .threads import shared_lock

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW_32_BITS = 0xFFFFFFFF

_counting = shared_lock()  # one for all generators, because a lock in each could not be copied with a layer


def philox(counter: Array, key: tuple[int, int]) -> Array:
    """(4, n) counters of 32 bits each -> (4, n) random words of 32 bits, both held as uint64.

    Source: Salmon et al. 2011, section 3.3; checked against the known answers that they publish.
    """
    a, b, c, d = (counter[word] for word in range(4))  # one by one: NumPy takes twice as long for two rows at once
    key0, key1 = key
    for _ in range(ROUNDS):
        left, right = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b = (right >> 32) ^ b ^ key0, right & LOW_32_BITS
        c, d = (left >> 32) ^ d ^ key1, left & LOW_32_BITS
        key0, key1 = (key0 + KEY_STEPS[0]) & LOW_32_BITS, (key1 + KEY_STEPS[1]) & LOW_32_BITS
    return array_module(counter).stack([a, b, c, d])


class Generator:
    """A stream of random numbers: `Generator(seed)`, seed an integer from 0 to 2^64 - 1.

    The same seed and the same calls give the same numbers on the CPU and on a GPU, bit for bit. `state_dict()` is two
    integers, so a stream can be stored in a checkpoint and continued at the same place. Threads may share a generator: no two
    get the same numbers, but which thread gets which is up to chance. Give each its own (`spawn`) to make that repeatable.
    """

    def __init__(self, seed: int) -> None:
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Restart as Generator(seed)."""
        self._continue_at(seed, 0)

    def _continue_at(self, seed: Any, counter: Any) -> None:
        for what, value in (("seed", seed), ("counter", counter)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**64:
                raise ArgumentError(
                    f"Generator: bad {what}",
                    expected="an integer from 0 to 2**64 - 1",
                    got=repr(value),
                    help="for example md.Generator(0)",
                )
        with _counting:
            self.seed, self.counter = int(seed), int(counter)

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, counter={self.counter})"

    def words(self, count: int, device: str = "cpu") -> Array:
        """count -> (count,) random integers of 32 bits, held as uint64. Advances the counter by ceil(count / 4) blocks."""
        where = empty_on(device)
        return run_on(where, fused(words, where), self, count, where)

    def advance(self, count: int) -> int:
        """Advance the counter by as many blocks as `count` words take; returns its old value."""
        with _counting:
            before = self.counter
            self.counter += _blocks(count)
        return before

    def uniform(self, shape: tuple[int, ...] | int, dtype: Any = "float32", device: str = "cpu") -> Array:
        """shape -> numbers in [0, 1): multiples of 2^-24 (float32) or 2^-53 (float64), each equally likely."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if dtype not in ("float32", "float64"):
            raise ArgumentError("Generator.uniform: bad dtype", expected="float32 or float64", got=str(dtype))
        fill = _fill_float32 if dtype == "float32" else _fill_float64
        words = self.words(math.prod(shape) * (1 if dtype == "float32" else 2), device)
        return run_on(words, lambda: fill(words).reshape(shape))

    def bernoulli(self, keep: Array) -> Array:
        """(shape) of probabilities -> same shape and type: 1 with probability `keep`, else 0; NaN counts as 1.

        keep = 1 always gives 1 and keep = 0 always gives 0. The draws depend on neither the number type nor the device.
        """
        return run_on(keep, fused(bernoulli, keep), self, keep)

    def normal(self, shape: tuple[int, ...] | int, dtype: Any = "float32") -> Array:
        """shape -> numbers of the standard normal distribution, on the CPU (Box and Muller, 1958).

        sqrt(-2 ln(1 - u)) cos(2 pi v), with u and v uniform; 1 - u, because u may be 0, and ln 0 is -inf.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        count = math.prod(shape)
        radius = np.sqrt(-2 * np.log1p(-self.uniform(count, "float64")))
        angle = 2 * np.pi * self.uniform(count, "float64")
        return (radius * np.cos(angle)).astype(dtype).reshape(shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...] | int = (), device: str = "cpu") -> Array:
        """shape -> int64 numbers from low to high - 1, equally likely up to (high - low) / 2^53."""
        if high <= low:
            raise ArgumentError("Generator.integers: empty range", expected="low < high", got=f"low={low}, high={high}")
        draws = self.uniform(shape, "float64", device)
        return run_on(draws, lambda: low + (draws * (high - low)).astype("int64"))

    def permutation(self, count: int) -> Array:
        """(count,) the numbers 0 to count - 1 in random order, on the CPU."""
        return np.argsort(self.uniform(count, "float64"), kind="stable")

    def spawn(self) -> Generator:
        """A new generator with a seed drawn from this one: its stream is independent of this one's."""
        low, high = (int(word) for word in self.words(2))
        return Generator(high << 32 | low)

    def state_dict(self) -> dict[str, int]:
        """{"seed", "counter"}: the complete state."""
        with _counting:
            return {"seed": self.seed, "counter": self.counter}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a `state` that `state_dict` returned. Raises, and changes nothing, if it is no such state."""
        if not {"seed", "counter"} <= set(state):
            raise StateError("Generator: bad state", expected="the keys seed and counter", got=str(sorted(state)))
        self._continue_at(state["seed"], state["counter"])


def words(generator: Generator, count: int, where: Array) -> Array:
    """count -> (count,) random words, on the device of `where`: block i is Philox of (i, 0), keyed with the seed."""
    xp = array_module(where)
    first = generator.advance(count)
    index = xp.arange(first, first + _blocks(count), dtype="uint64")
    zeros = xp.zeros_like(index)
    counter = xp.stack([index & LOW_32_BITS, index >> 32, zeros, zeros])
    return philox(counter, (generator.seed & LOW_32_BITS, generator.seed >> 32)).T.reshape(-1)[:count]


def _blocks(count: int) -> int:
    """How many blocks hold `count` words, four a block."""
    return -(-count // 4)


def bernoulli(generator: Generator, keep: Array) -> Array:
    """(shape) of probabilities -> same shape, type and memory order: 1 with probability `keep`, else 0; NaN counts as 1."""
    draws = generator.uniform(keep.shape, device=device_of(keep))
    result = array_module(keep).empty_like(keep)
    result[...] = ~(draws >= keep)  # not `draws < keep`: NaN has to count as kept
    return result


def _fill_float32(words: Array) -> Array:
    return (words >> 8).astype("float32") * np.float32(2.0**-24)


def _fill_float64(words: Array) -> Array:
    bits = (words[0::2] >> 5) << 26 | words[1::2] >> 6  # 27 bits of one word and 26 of the next: the 53 of a float64
    return bits.astype("float64") * 2.0**-53


_default = Generator(0)


def default_generator() -> Generator:
    """The generator that layers and functions use if none is given. It starts at seed 0."""
    return _default


def manual_seed(seed: int) -> Generator:
    """Restart the default generator at `seed`, and return it."""
    _default.reseed(seed)
    return _default
