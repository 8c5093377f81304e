"""Ops, masks, optimisers and TF32 on a GPU, held against the CPU's numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F, optim
from ..backend import Array, array_module, empty_on, run_on, to_device, to_numpy, use_tf32
from ..core import Op
from ..gpu.fused import TWINS
from ..nn.parts import Parameter
from ..ops.dropalan import Alpha, Beta
from ..random import Generator
from ..tensor import Tensor
from .programs import PROGRAMS, WIDE, On, Program, ops_behind, plain

# The largest error, in units of the largest number of the same array (at least 1): some hundred roundings.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
SHOWN = 3  # failures that a line names; the JSON file has all


class Found(NamedTuple):
    """What a check found: one line of text, and numbers for the JSON file."""

    detail: str
    numbers: dict[str, Any]


class Wrong(Exception):
    """A check that did not get what it should."""

    def __init__(self, detail: str, numbers: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.numbers = numbers or {}


def error_text(error: BaseException) -> str:
    """Type and message, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def distance(got: Any, expected: Any) -> float:
    """(shape), (shape) -> the largest difference, in units of the largest of `expected`, at least 1; inf for another kind."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return float("inf")
    if expected.size == 0:
        return 0.0
    difference = float(np.abs(got.astype("float64") - expected.astype("float64")).max())
    return difference / max(float(np.abs(expected).max()), 1.0) if np.isfinite(difference) else float("inf")


def played(program: Program, device: str, dtype: str) -> tuple[list[Any], set[type[Op]]]:
    """On one device: [output, gradient of each input] for a random upstream gradient, in host memory; and the ops that ran."""
    random = np.random.default_rng(0)
    arrays = [np.asarray(draw(random)).astype(dtype) for draw in program.inputs]
    tensors = [Tensor(to_device(array, device), requires_grad=True) for array in arrays]
    output = program.run(On(device), *tensors)
    ran = set(ops_behind(output))
    upstream = np.asarray(random.normal(size=output.shape)).astype(str(output.dtype))
    output.backward(to_device(upstream, device))
    return [to_numpy(array) for array in (output.data, *(tensor.grad for tensor in tensors))], ran


def compare(program: Program, device: str, dtype: str) -> tuple[float, set[type[Op]]]:
    """The largest error of the GPU's output and gradients, and the ops that ran there."""
    expected, _ = played(program, "cpu", dtype)
    got, ran = played(program, device, dtype)
    return max(distance(one, other) for one, other in zip(got, expected, strict=True)), ran


def of_type(device: str, dtype: str, time_is_up: Callable[[], bool]) -> Found:
    """All programs in one number type: outputs and gradients of the GPU against the CPU's."""
    tolerance = TOLERANCES[dtype]
    errors: dict[str, float] = {}
    failures: dict[str, str] = {}
    ran: set[type[Op]] = set()
    for name, program in PROGRAMS.items():
        if time_is_up():
            failures["time is up"] = f"{len(PROGRAMS) - len(errors)} programs not run; run it again, kernels are kept"
            break
        try:
            errors[name], ops = compare(program, device, dtype)
            ran |= ops
            if not errors[name] <= tolerance:
                failures[name] = f"error {errors[name]:.1e}"
        except Exception as error:
            errors[name] = float("inf")
            failures[name] = error_text(error)
    twins = sorted(op.__name__ for op, twin in TWINS.items() if twin in ran)
    numbers = {"errors": errors, "failures": failures, "ops": sorted(plain(op).__name__ for op in ran), "fused": twins}
    if failures:
        raise Wrong(f"{of(len(failures), len(PROGRAMS))} programs (limit {tolerance:.0e}): {listed(failures)}", numbers)
    missing = sorted(op.__name__ for op in set(TWINS) - {plain(op) for op in ran if plain(op) is not op})
    if missing:
        raise Wrong(f"these ops did not take their GPU kernels: {', '.join(missing)}", numbers)
    largest = max(errors.values())
    return Found(
        f"{len(PROGRAMS)} programs of {len({plain(op) for op in ran})} ops, {len(twins)} fused: "
        f"error {largest:.0e} (limit {tolerance:.0e})",
        numbers,
    )


def of(part: int, whole: int) -> str:
    """ "3 of 50"."""
    return f"{part} of {whole}"


def shortened(text: str) -> str:
    """For a line of the terminal; the JSON file has the whole text."""
    return textwrap.shorten(text, 160, placeholder=" ...")


def listed(failures: dict[str, str]) -> str:
    """The first few of them."""
    some = [f"{name}: {shortened(what)}" for name, what in list(failures.items())[:SHOWN]]
    return "; ".join([*some, *(["..."] if len(failures) > SHOWN else [])])


class Narrow(Beta):
    """A distribution of a user: it has no kernel of its own, and its masks come from that of `bernoulli`."""


DRAWS: dict[str, Callable[[Tensor], Any]] = {
    "dropout": lambda x: F.dropout(x, 0.4, generator=Generator(5), return_mask=True)[1],
    "alpha": lambda x: F.dropalan(x, Alpha(), generator=Generator(6), return_mask=True)[1],
    "beta": lambda x: F.dropalan(x, Beta(), True, generator=Generator(7), return_mask=True)[1],
    "another distribution": lambda x: F.dropalan(x, Narrow(), generator=Generator(8), return_mask=True)[1],
    "random words": lambda x: Generator(9).words(1001, x.device),
    "uniform": lambda x: Generator(9).uniform(WIDE, device=x.device),
    "integers": lambda x: Generator(9).integers(-3, 1000, WIDE, device=x.device),
}


def masks(device: str) -> Found:
    """Masks and random numbers, bit for bit."""
    different: dict[str, str] = {}
    for dtype in TOLERANCES:
        inputs = (3 * np.random.default_rng(1).normal(size=(300, 70))).astype(dtype)
        for name, draw in DRAWS.items():
            try:
                expected, got = (to_numpy(draw(Tensor(to_device(inputs, where)))) for where in ("cpu", device))
                if got.dtype != expected.dtype or not np.array_equal(got, expected):
                    different[f"{name}, {dtype}"] = f"{of(int((got != expected).sum()), expected.size)} differ"
            except Exception as error:
                different[f"{name}, {dtype}"] = error_text(error)
    if different:
        raise Wrong(listed(different), {"failures": different})
    return Found("dropout, DropAlan, random numbers: the CPU's, bit for bit", {})


OPTIMISERS: dict[str, Callable[[list[Parameter]], Any]] = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1, weight_decay=0.01),
    "SGD with momentum": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.01),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.01),
}


def stepped(make: Callable[[list[Parameter]], Any], device: str, dtype: str) -> list[Any]:
    """Some parameters after three steps, their gradients clipped."""
    random = np.random.default_rng(2)
    shapes = [(7, 5, 3, 3), (30, 40), (40,)]
    parameters = [Parameter(to_device(random.normal(size=shape).astype(dtype), device)) for shape in shapes]
    optimizer = make(parameters)
    for _ in range(3):
        for parameter in parameters:
            parameter.grad = to_device(random.normal(size=parameter.shape).astype(dtype), device)
        optim.clip_gradient_norm(parameters, 20.0)
        optimizer.step()
    return [to_numpy(parameter.data) for parameter in parameters]


def optimisers(device: str) -> Found:
    """Three steps of each optimiser."""
    errors: dict[str, float] = {}
    failures: dict[str, str] = {}
    for dtype, tolerance in TOLERANCES.items():
        for name, make in OPTIMISERS.items():
            key = f"{name}, {dtype}"
            try:
                pairs = zip(stepped(make, device, dtype), stepped(make, "cpu", dtype), strict=True)
                errors[key] = max(distance(got, expected) for got, expected in pairs)
                if not errors[key] <= tolerance:
                    failures[key] = f"error {errors[key]:.1e}, limit {tolerance:.0e}"
            except Exception as error:
                failures[key] = error_text(error)
    if failures:
        raise Wrong(listed(failures), {"errors": errors, "failures": failures})
    return Found("three steps of SGD, Adam, AdamW: as on the CPU", {"errors": errors})


TF32_CAPABILITY = 8  # the first with TensorFloat-32: Ampere
ROUNDED = (5e-5, 5e-3)  # the error of a product of numbers of 10 bits, in units of its largest element


def product_errors(device: str) -> dict[str, float]:
    """Of float32 products of two axes (CuPy's own call) and of three (another function of cuBLAS)."""
    random = np.random.default_rng(3)
    found = {}
    for name, batch in (("two axes", ()), ("three axes", (2,))):
        a, b = (random.normal(size=(*batch, 200, 200)).astype("float32") for _ in range(2))
        got = to_numpy(_product(to_device(a, device), to_device(b, device))).astype("float64")
        expected = a.astype("float64") @ b.astype("float64")
        found[name] = float(np.abs(got - expected).max() / np.abs(expected).max())
    return found


def _product(a: Array, b: Array) -> Array:
    return run_on(a, lambda: a @ b)


def tf32(device: str) -> Found:
    """use_tf32: off, products are exact to float32; on, to ten bits, where the GPU has TensorFloat-32."""
    off = product_errors(device)
    use_tf32(True, device)
    try:
        on = product_errors(device)
    finally:
        use_tf32(False, device)
    numbers = {"off": off, "on": on, "off again": product_errors(device)}
    has_it = capability(device)[0] >= TF32_CAPABILITY
    texts = [f"{state} {max(errors.values()):.0e}" for state, errors in numbers.items()]
    text = f"error of a product: {', '.join(texts)}"
    exact = TOLERANCES["float32"]
    if not max(*off.values(), *numbers["off again"].values()) < exact:
        raise Wrong(f"{text}; off, it must be below {exact:.0e}", numbers)
    if has_it and not all(ROUNDED[0] < error < ROUNDED[1] for error in on.values()):
        apart = ", ".join(f"{name} {error:.0e}" for name, error in on.items())
        raise Wrong(f"{text}; on, it must lie between {ROUNDED[0]:.0e} and {ROUNDED[1]:.0e}: {apart}", numbers)
    if not has_it and not max(on.values()) < exact:
        raise Wrong(f"{text}; this GPU has no TensorFloat-32, so it must stay", numbers)
    return Found(text if has_it else f"{text}; no TensorFloat-32 here, so it stays", numbers)


def capability(device: str) -> tuple[int, int]:
    """The compute capability: (9, 0)."""
    properties = _properties(device)
    return int(properties["major"]), int(properties["minor"])


def _properties(device: str) -> Any:
    where = empty_on(device)
    return array_module(where).cuda.runtime.getDeviceProperties(int(where.device.id))


def gpu(device: str) -> Found:
    """Name, compute capability, memory."""
    properties = _properties(device)
    memory = int(properties["totalGlobalMem"])
    name, (major, minor) = properties["name"].decode(), capability(device)
    numbers = {"name": name, "capability": f"{major}.{minor}", "memory": memory}
    return Found(f"{name}, compute capability {major}.{minor}, {memory / 2**30:.1f} GiB", numbers)
