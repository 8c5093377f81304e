"""The stand-in for CuPy is held to CuPy itself: its names, its keywords, and what it makes of some 1500 expressions.

Each line of tests/stand_in_cases/*.txt is evaluated on both, with fresh arrays. Values, type, shape, memory order, and whose
memory it is have to agree; what CuPy refuses, the stand-in refuses with the same type of error. It may refuse more only by
`Stricter`, or in a line marked "~": there NumPy refuses, or minidrop has no use for it. The stand-in follows CuPy 14;
otherwise_in_13.toml says where 13 differs.
"""

from __future__ import annotations

import inspect
import operator
import pathlib
import re
import tomllib
import types
import warnings

import cupy_array
import cupy_stand_in
import numpy as np
import pytest
from cupy_array import STRICTER, Stricter
from cupy_methods import CREATED, FUNCTIONS, METHODS

FOLDER = pathlib.Path(__file__).parent / "stand_in_cases"
CASES = {path.stem: path.read_text().splitlines() for path in sorted(FOLDER.glob("*.txt"))}
OTHERWISE_IN_13 = [line for lines in tomllib.loads((FOLDER / "otherwise_in_13.toml").read_text()).values() for line in lines]
HOST = np.array([[1.5, -2, 0], [3, 0.25, -0.5]], dtype="float32")


def put(array, index, value):
    array[index] = value
    return array


def after(result, *done):
    return result


def names(cp):
    """What an expression may use; arrays of this library:

    x (2, 3) float32   f in Fortran order   s every second column   t transposed   h float16   d float64   q (4, 2, 3), axes moved
    i (2, 3) int64   j int32   u uint64   b bool   z 0-d float32   k 0-d int64   e (0, 3)   v (3,)   w (3,) indices
    and of NumPy: n, m (2, 3) float32, (3,) int64
    """
    wide, integers = np.arange(12, dtype="float32").reshape(2, 6), np.array([[1, -2, 0], [3, 7, -5]])
    return {
        "cp": cp, "np": np, "put": put, "after": after, "op": operator,
        "K": lambda *text: cp.ElementwiseKernel(*text, "stand_in_case"),
        "n": HOST.copy(), "m": np.array([2, 0, 1]),
        "x": cp.asarray(HOST), "f": cp.asarray(np.asfortranarray(HOST)), "s": cp.asarray(wide)[:, ::2],
        "t": cp.asarray(HOST.T.copy()).T, "h": cp.asarray(HOST.astype("float16")), "d": cp.asarray(HOST.astype("float64")),
        "q": cp.asarray(np.arange(24, dtype="float32").reshape(2, 3, 4)).transpose(2, 0, 1),
        "i": cp.asarray(integers), "j": cp.asarray(integers.astype("int32")),
        "u": cp.asarray(np.array([[1, 2, 0], [3, 7, 2**63]], dtype="uint64")), "b": cp.asarray(HOST > 0),
        "z": cp.asarray(np.array(2.5, dtype="float32")), "k": cp.asarray(np.array(2)),
        "e": cp.asarray(np.empty((0, 3), dtype="float32")), "v": cp.asarray(np.array([1, 2, 4], dtype="float32")),
        "w": cp.asarray(np.array([2, 0, 1])),
    }  # fmt: skip


def outcome(cp, text):
    """What comes of an expression: an error, or a description that can be compared."""
    available = names(cp)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return describe(cp, eval(text, available), available)
    except Exception as error:
        return error


def describe(cp, value, available=()):
    if isinstance(value, cp.ndarray):
        steps = tuple(step for length, step in zip(value.shape, value.strides, strict=True) if length > 1 and value.size)
        arrays = [(name, array) for name, array in dict(available).items() if isinstance(array, cp.ndarray)]
        shared = [name for name, array in arrays if value.size and memory(array) == memory(value)]
        return "array", steps, shared, value.base is None, cp.asnumpy(value)
    if isinstance(value, (tuple, list)):
        return type(value).__name__, *(describe(cp, part, available) for part in value)
    if isinstance(value, np.ndarray):
        return "numpy", value.strides, value
    return type(value).__name__, value if isinstance(value, (bool, int, float, str, type(None))) else None


def memory(array):
    """The address of the block that an array is a part of."""
    return cupy_array.owner(array._host).ctypes.data if hasattr(array, "_host") else array.data.mem.ptr


def alike(real, own):
    if type(real) is not type(own):
        return False
    if isinstance(real, (tuple, list)):
        return len(real) == len(own) and all(map(alike, real, own))
    if isinstance(real, np.ndarray):
        close = real.dtype == own.dtype and real.shape == own.shape
        return close and np.allclose(real, own, rtol=2e-3 if real.dtype == "float16" else 1e-5, atol=1e-6, equal_nan=True)
    return real == own or real != real or (isinstance(real, float) and abs(real - own) <= 1e-6 * abs(real))


def verdict(real, own, marked=False):
    """ "" if the stand-in may do what it did, else what is wrong."""
    if isinstance(own, Exception):
        if isinstance(own, Stricter) or (marked and not isinstance(real, Exception)):
            return ""
        same = isinstance(real, Exception) and type(real).__name__ in [base.__name__ for base in type(own).__mro__]
        return "" if same else "another error" if isinstance(real, Exception) else "refuses more"
    if isinstance(real, Exception):
        return "lets pass"
    return "" if alike(real, own) else "another result"


def faults(cupy, stand_in, lines):
    """Those lines in which the stand-in does not do what CuPy does."""
    found = []
    for line in lines:
        text = line.removeprefix("~ ")
        real = outcome(cupy, text)
        own = outcome(stand_in, text)
        if wrong := verdict(real, own, marked=line != text):
            found.append(f"{text}: {wrong}\n    CuPy:     {real!r:.300}\n    stand-in: {own!r:.300}")
    return found


def cases(cupy, topic):
    """Those in which this CuPy does what CuPy 14 does."""
    return [line for line in CASES[topic] if not (cupy.__version__.startswith("13.") and line in OTHERWISE_IN_13)]


def missing(stand_in, real, path=""):
    """The names that the stand-in has and CuPy lacks; those with an underscore are its own."""
    for name, value in vars(stand_in).items():
        if name.startswith("_"):
            continue
        if not hasattr(real, name):
            yield f"{path}{name}"
        elif isinstance(value, (types.ModuleType, types.SimpleNamespace, type)) and not issubclass_of(value, Exception):
            yield from missing(value, getattr(real, name), f"{path}{name}.")


def issubclass_of(value, kind):
    return isinstance(value, type) and issubclass(value, kind)


# What a step does while it is captured: (cp, the stream, arrays) -> anything.
IN_A_CAPTURE = {
    "nothing": lambda cp, stream, x, h: None,
    "x + x": lambda cp, stream, x, h: x + x,
    "a sum": lambda cp, stream, x, h: x.sum(),
    "new arrays": lambda cp, stream, x, h: (cp.full(3, 2.5), cp.arange(3), cp.zeros(3)),
    "add.at": lambda cp, stream, x, h: cp.add.at(x, 0, 1),
    "an event": lambda cp, stream, x, h: stream.record(),
    "get": lambda cp, stream, x, h: x.get(),
    "item": lambda cp, stream, x, h: x[0].item(),
    "asnumpy": lambda cp, stream, x, h: cp.asnumpy(x),
    "asarray of NumPy": lambda cp, stream, x, h: cp.asarray(h),
    "asarray of a number": lambda cp, stream, x, h: cp.asarray(2.5),
    "a mask as an index": lambda cp, stream, x, h: x[x > 0],
    "assignment to a mask": lambda cp, stream, x, h: operator.setitem(x, x > 0, 1),
    "matmul": lambda cp, stream, x, h: cp.matmul(x.reshape(2, 2), x.reshape(2, 2)),
    "dot": lambda cp, stream, x, h: x.dot(x),
    "synchronize": lambda cp, stream, x, h: stream.synchronize(),
    "a capture in the capture": lambda cp, stream, x, h: stream.begin_capture(),
}
OF_STREAMS = {
    "capture on the null stream": lambda cp: cp.cuda.get_current_stream().begin_capture(),
    "an end without a beginning": lambda cp: cp.cuda.Stream(non_blocking=True).end_capture(),
    "waiting for no event": lambda cp: cp.cuda.Stream(non_blocking=True).wait_event(None),
    "waiting": lambda cp: cp.cuda.Stream(non_blocking=True).wait_event(cp.cuda.get_current_stream().record()),
    "the null stream": lambda cp: cp.cuda.get_current_stream().ptr,
    "the current stream": lambda cp: entered(cp.cuda.Stream(non_blocking=True), lambda: cp.cuda.get_current_stream().ptr != 0),
    "device 77": lambda cp: cp.cuda.Device(77).id,
    "entering device 77": lambda cp: cp.cuda.Device(77).__enter__(),
    "entering device -1": lambda cp: cp.cuda.Device(-1).__enter__(),
    "device a": lambda cp: cp.cuda.Device("a"),
    "equal devices": lambda cp: cp.cuda.Device(0) == cp.cuda.Device(0),
    "hash of a device": lambda cp: hash(cp.cuda.Device(0)),
    "the current device": lambda cp: cp.cuda.Device().id,
    "an error by its text": lambda cp: cp.cuda.runtime.CUDARuntimeError("no device"),
    "negative memory": lambda cp: cp.cuda.MemoryPool().malloc(-1),
    "a pool of nothing": lambda cp: cp.cuda.MemoryPool().total_bytes(),
    "the name of a device": lambda cp: isinstance(cp.cuda.runtime.getDeviceProperties(0)["name"], bytes),
}


def entered(context, function):
    with context:
        return function()


def kind_of(function, *args):
    """The type of the error, or the result if it is a plain one."""
    try:
        result = function(*args)
    except Exception as error:
        return type(error).__name__
    return result if isinstance(result, (bool, int, str)) else "done"


def in_a_capture(cp, function):
    """What comes of the call, and of the capture."""
    x, host, stream, pool = (
        cp.ones(4, "float32"),
        np.ones(4, "float32"),
        cp.cuda.Stream(non_blocking=True),
        cp.cuda.MemoryPool(),
    )
    _ = x + x, x.sum(), x > 0  # their kernels are compiled before
    with stream, cp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        inside = kind_of(function, cp, stream, x, host)
        return inside, kind_of(stream.end_capture)


@pytest.fixture
def cupy():
    import cupy

    return cupy


@pytest.fixture
def own():
    return cupy_stand_in.make_module()


@pytest.mark.gpu
class TestAgainstCuPy:
    def test_every_name_is_one_of_cupy(self, cupy, own):
        assert list(missing(own, cupy)) == []
        here, there = own.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
        assert [name for name in vars(here) if not hasattr(there, name)] == ["non_blocking"]  # there: is_non_blocking

    @pytest.mark.parametrize("topic", CASES)
    def test_the_same_comes_of_every_expression(self, topic, cupy, own):
        found = faults(cupy, own, lines := cases(cupy, topic))
        assert not found, f"{len(found)} of {len(lines)}:\n" + "\n".join(found)

    def test_cupy_13_differs_where_it_is_said_to(self, cupy, own):
        """So the list is no longer than need be."""
        assert set(OTHERWISE_IN_13) <= {line for lines in CASES.values() for line in lines}
        if cupy.__version__.startswith("13."):
            assert len(faults(cupy, own, OTHERWISE_IN_13)) == len(OTHERWISE_IN_13)

    @pytest.mark.parametrize("name", [*FUNCTIONS, *CREATED])
    def test_parameters_of_functions(self, name, cupy):
        real = inspect.signature(getattr(cupy, name)).parameters
        others = any(parameter.kind is parameter.VAR_KEYWORD for parameter in real.values())
        for parameter in cupy_array.signature({**FUNCTIONS, **CREATED}[name]).parameters:
            assert parameter in real or (others and parameter == "constant_values")

    @pytest.mark.parametrize("name", METHODS)
    def test_parameters_of_methods(self, name, cupy):
        """CuPy's methods are compiled: their first line of documentation has the parameters."""
        given = re.findall(r"(\w+)(?:=[^,)]*)?[,)]", getattr(cupy.ndarray, name).__doc__.split("->")[0])
        for parameter in cupy_array.signature(METHODS[name]).parameters:
            assert parameter in given, given

    @pytest.mark.parametrize("what", IN_A_CAPTURE)
    def test_the_same_in_a_capture(self, what, cupy, own):
        assert in_a_capture(own, IN_A_CAPTURE[what]) == in_a_capture(cupy, IN_A_CAPTURE[what])

    @pytest.mark.parametrize("what", OF_STREAMS)
    def test_the_same_of_streams_devices_and_memory(self, what, cupy, own):
        assert kind_of(OF_STREAMS[what], own) == kind_of(OF_STREAMS[what], cupy)

    def test_finds_a_name_that_cupy_lacks(self, cupy, own):
        own.einsum_fast = np.einsum
        own.cuda.runtime.warpSpeed = 9
        assert list(missing(own, cupy)) == ["cuda.runtime.warpSpeed", "einsum_fast"]

    def test_finds_a_stand_in_that_lets_a_numpy_operand_pass(self, cupy, own, monkeypatch):
        strict = own.maximum
        own.maximum = lambda *args: strict(*(own.asarray(arg) for arg in args))
        assert [text.split(":")[0] for text in faults(cupy, own, cases(cupy, "operands")) if "lets pass" in text] == [
            "cp.maximum(x, n)", "cp.maximum(n, x)", "cp.maximum(x, [1, 2, 3])", "cp.maximum([1, 2, 3], x)", "cp.maximum(n, n)",
        ]  # fmt: skip


def test_every_kind_of_strictness_is_met(own):
    """The list in `STRICTER` is no longer than need be."""
    errors = [outcome(own, line) for lines in CASES.values() for line in lines if not line.startswith("~")]
    met = {str(error).partition(": ")[0] for error in errors if isinstance(error, Stricter)}
    assert met == {text.partition(": ")[0] for text in STRICTER.values()}
