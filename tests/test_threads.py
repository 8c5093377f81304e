"""BLAS uses one thread while minidrop multiplies, unless the user sets a number; elsewhere its number is unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import minidrop as md
from minidrop import threads
from minidrop.errors import ArgumentError
from minidrop.ops import products

LARGE = np.ones((100, 300), "float32"), np.ones((300, 200), "float32")


def blas_threads():
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


pytestmark = pytest.mark.skipif(not blas_threads(), reason="a BLAS that threadpoolctl does not know")


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    """BLAS uses three by default, on any machine; minidrop's setting is restored afterwards.

    The libraries are looked up again: another test may have loaded one, such as SciPy's, after minidrop's first product.
    """
    before = threads.get_threads()
    monkeypatch.setattr(threads.blas_limited, "libraries", None)
    with threadpool_limits(3, user_api="blas"):
        yield
    md.set_threads(before)


@pytest.fixture
def seen(monkeypatch):
    """How many threads BLAS had at each product."""
    found = []

    def spy(a, b, out):
        found.append(blas_threads())
        return a @ b

    monkeypatch.setattr(products, "_large_product", spy)
    return found


def test_one_by_default_and_as_before_afterwards(seen):
    assert threads.get_threads() == int(os.environ.get("MINIDROP_THREADS", "1"))
    md.set_threads(1)
    np.testing.assert_array_equal(products.matmul(*LARGE), LARGE[0] @ LARGE[1])
    assert seen == [[1] * len(blas_threads())] and set(blas_threads()) == {3}


def test_as_many_as_the_user_says(seen):
    md.set_threads(2)
    products.matmul(*LARGE)
    assert set(seen[0]) == {2} and set(blas_threads()) == {3}


def test_never_more_than_blas_itself_would_take(seen):
    md.set_threads(8)
    products.matmul(*LARGE)
    assert set(seen[0]) == {3} and set(blas_threads()) == {3}


def test_small_products_ask_nobody(monkeypatch):
    monkeypatch.setattr(threads, "_blas_libraries", None)
    monkeypatch.setattr(products.blas_limited, "libraries", None)
    assert products.matmul(np.ones((4, 4)), np.ones((4, 4))).sum() == 64


def test_the_last_thread_to_leave_puts_it_back():
    def multiply():
        with threads.blas_limited:
            pass

    with threads.blas_limited:
        other = threading.Thread(target=multiply)
        other.start()
        other.join()
        assert set(blas_threads()) == {1}  # this one still multiplies
    assert set(blas_threads()) == {3}


def test_it_is_put_back_after_an_error():
    with pytest.raises(ValueError, match="matmul"):
        products.matmul(np.ones((300, 300)), np.ones((301, 300)))
    assert set(blas_threads()) == {3}


def test_it_is_put_back_whatever_is_set_meanwhile():
    with threads.blas_limited:
        md.set_threads(3)  # in another thread, say
    assert set(blas_threads()) == {3}


@pytest.mark.parametrize("broken", ["get_num_threads", "set_num_threads"])
def test_ctrl_c_while_the_limit_is_set_leaves_nothing_behind(broken, monkeypatch):
    with threads.blas_limited:
        pass  # the libraries are known
    library = threads.blas_limited.libraries[-1]
    real = getattr(library, broken)

    def interrupted(*arguments):
        monkeypatch.setattr(library, broken, real)
        raise KeyboardInterrupt

    monkeypatch.setattr(library, broken, interrupted)
    with pytest.raises(KeyboardInterrupt), threads.blas_limited:
        pass
    assert set(blas_threads()) == {3} and threads.blas_limited.inside == 0
    with threads.blas_limited:
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_process_begins_with_nobody_inside():
    """It was forked while another thread multiplied: that thread is not in the child, and will never leave."""
    script = """
import os, threading
import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_limits
from minidrop import threads
from minidrop.ops import products

def blas_threads():
    return {library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()}

threadpool_limits(3, user_api="blas")
inside, done = threading.Event(), threading.Event()
def multiply():
    with threads.blas_limited:
        inside.set()
        done.wait()
other = threading.Thread(target=multiply)
other.start()
inside.wait()
child = os.fork()
if child == 0:
    products.matmul(np.ones((100, 300)), np.ones((300, 200)))
    os._exit(0 if threads.blas_limited.inside == 0 and blas_threads() == {3} else 1)
_, status = os.waitpid(child, 0)
done.set()
other.join()
assert status == 0 and blas_threads() == {3}, (status, blas_threads())
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_on_a_gpu_blas_is_left_alone(monkeypatch):
    class OnAGpu:
        pass

    @threads.limits_blas
    def forward(self, x):
        return threads.blas_limited.inside

    assert forward(None, np.ones(2)) == 1 and forward(None, OnAGpu()) == 0


def test_numpy_s_integers_are_integers():
    md.set_threads(np.int64(2))
    assert md.get_threads() == 2 and type(md.get_threads()) is int


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None, True])
def test_bad_numbers(count):
    before = threads.get_threads()
    with pytest.raises(
        ArgumentError, match=r"set_threads: bad number of threads(.|\n)*an integer from 1(.|\n)*md.set_threads\(2\)"
    ):
        md.set_threads(count)
    assert threads.get_threads() == before


@pytest.mark.parametrize(("value", "expected"), [("3", "3"), ("0", "bad number of threads"), ("all", "'all'"), ("-1", "'-1'")])
def test_the_variable_of_the_environment(value, expected):
    command = [sys.executable, "-c", "import minidrop.threads as t; print(t.get_threads())"]
    done = subprocess.run(command, env=os.environ | {"MINIDROP_THREADS": value}, capture_output=True, text=True, check=False)
    assert expected in done.stdout + done.stderr
    assert (done.returncode == 0) == (value == "3")
