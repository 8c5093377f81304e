"""What threads share: the default generator, the leaves, detect_anomaly, no_grad."""

from __future__ import annotations

import concurrent.futures
import os
import sys
import threading

import numpy as np
import pytest

import minidrop as md

THREADS = 4


@pytest.fixture(autouse=True)
def threads_change_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work):
    """work(number of the thread) in each thread at once -> the results."""
    start = threading.Barrier(THREADS)

    def begin(number):
        start.wait()
        return work(number)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def test_no_two_threads_draw_the_same_numbers():
    generator = md.manual_seed(0)
    drawn = np.concatenate(in_threads(lambda _: np.concatenate([generator.words(4) for _ in range(3000)])))
    md.manual_seed(0)
    np.testing.assert_array_equal(np.sort(drawn), np.sort(generator.words(4 * 3000 * THREADS)))
    md.manual_seed(0)


def while_the_first_is_inside(first, second):
    """first(pause) in one thread, and second() in another while it calls pause(), for up to a fifth of a second."""
    inside, done = threading.Event(), threading.Event()

    def pause():
        inside.set()
        done.wait(0.2)

    def other():
        inside.wait(10)
        second()
        done.set()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for task in (pool.submit(first, pause), pool.submit(other)):
            task.result()


def test_a_draw_between_reading_and_writing_the_counter_has_to_wait():
    pauses = []

    class Slow(md.Generator):
        @property
        def counter(self):
            now = self._now
            if pauses:
                pauses.pop()()
            return now

        @counter.setter
        def counter(self, value):
            self._now = value

    generator, drawn = Slow(0), []

    def draw(pause=None):
        pauses.extend([pause] if pause else [])
        drawn.append(generator.words(4))

    while_the_first_is_inside(draw, draw)
    np.testing.assert_array_equal(np.sort(np.concatenate(drawn)), np.sort(md.Generator(0).words(8)))


def test_a_leaf_gets_every_gradient():
    leaf = md.Tensor(np.zeros(3), requires_grad=True)
    pauses = []

    class Slow(np.ndarray):
        def __add__(self, other):
            if pauses:
                pauses.pop()()
            return np.asarray(self) + other

    leaf.grad = np.zeros(3).view(Slow)

    def backward(pause=None):
        pauses.extend([pause] if pause else [])
        (leaf * 2.0).sum().backward()

    while_the_first_is_inside(backward, backward)
    np.testing.assert_array_equal(leaf.grad, [4, 4, 4])


def test_no_grad_is_of_one_thread():
    x = md.Tensor([1.0], requires_grad=True)

    @md.no_grad
    def quiet():
        return (x * 2).requires_grad

    def alternately(number):
        return [quiet() if number % 2 else (x * 2).requires_grad for _ in range(2000)]

    for number, seen in enumerate(in_threads(alternately)):
        assert set(seen) == {number % 2 == 0}
    assert (x * 2).requires_grad


def test_detect_anomaly_ends_with_the_last_thread_to_leave():
    first, second = md.detect_anomaly(), md.detect_anomaly()
    zero = md.Tensor([0.0])
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # entered first, left first: as threads may do
    with pytest.raises(md.errors.AnomalyError):
        1 / zero
    second.__exit__(None, None, None)
    assert (1 / zero).data[0] == np.inf


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_finds_the_locks_open():
    generator, leaf = md.Generator(0), md.Tensor([1.0], requires_grad=True)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            generator.words(4)
            (leaf * 2.0).sum().backward()

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                md.Generator(0).words(4)
                (md.Tensor([1.0], requires_grad=True) * 2.0).sum().backward()
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7  # a child that waits for ever fails the time limit
    finally:
        stop.set()
        for thread in threads:
            thread.join()
