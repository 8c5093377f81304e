"""Every op, on both array libraries: values and gradients against PyTorch and against difference quotients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from layouts import layouts
from op_registry import OPS, without_detach

import minidrop as md
from minidrop.core import Op

every_op = pytest.mark.parametrize("name", OPS)


def leaves_below(kind):
    """The ops of `minidrop.ops` without subclasses there; the GPU versions of some (`gpu/fused.py`) do not count."""
    for child in kind.__subclasses__():
        below = list(leaves_below(child))
        yield from below or ([child] if child.__module__.startswith("minidrop.ops.") else [])


def test_every_op_has_an_entry():
    ours = set(leaves_below(Op))
    assert len(ours) > 40 and ours == {entry.op for entry in OPS.values()}


def assert_close(got, expected, upstream=0.0, tolerance=1e-10):
    """Relative to the largest element; a gradient that vanishes by cancellation, to 1e-4 of the upstream one."""
    assert got.shape == expected.shape
    scale = max(np.max(np.abs(expected), initial=0), 1e-4 * np.max(np.abs(upstream), initial=0))
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale)


def run_backward(case, library, arrays, upstream):
    """Forward and backward in minidrop: output, gradients; asserts that its inputs were not written to."""
    tensors = [md.Tensor(array, requires_grad=True) for array in arrays]
    before = [library.numpy(array).copy() for array in arrays]
    output = case.run(library, *tensors)
    assert output.device == library.device
    given = library.array(upstream)
    output.backward(given)
    for array, values in zip(arrays, before, strict=True):
        assert np.array_equal(library.numpy(array), values)
    assert np.array_equal(library.numpy(given), upstream)
    for tensor in tensors:
        assert tensor.grad is None or tensor.grad.dtype == tensor.dtype
    return library.numpy(output.data), [
        np.zeros(tensor.shape) if tensor.grad is None else library.numpy(tensor.grad) for tensor in tensors
    ]


@pytest.mark.filterwarnings("ignore:(var|std).*degrees of freedom:UserWarning")  # PyTorch, of tensors without elements
@every_op
@given(data=st.data())
def test_agrees_with_pytorch(name, library, data):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'test' has it)")
    case = data.draw(OPS[name].cases)
    arrays = [library.array(value, data.draw(layouts)) for value in case.inputs]
    theirs = [torch.tensor(value, requires_grad=True) for value in case.inputs]
    expected = case.torch(torch, *theirs)
    upstream = np.random.default_rng(data.draw(st.integers(0, 1000))).normal(size=tuple(expected.shape))
    expected.backward(torch.tensor(upstream))

    output, gradients = run_backward(case, library, arrays, upstream)

    assert_close(output, expected.detach().numpy())
    for gradient, tensor in zip(gradients, theirs, strict=True):
        assert_close(gradient, np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy(), upstream)


@every_op
@given(data=st.data())
def test_agrees_with_difference_quotients(name, library, data):
    case = data.draw(OPS[name].cases)
    assume(without_detach(case))
    arrays = [library.array(value, data.draw(layouts)) for value in case.inputs]
    assert md.gradcheck(lambda *tensors: case.run(library, *tensors), arrays, seed=data.draw(st.integers(0, 1000)))


@every_op
@given(data=st.data())
def test_float32_stays_float32(name, library, data):
    if name == "AsType":
        pytest.skip("changes the number type; see test_ops_edges.py")
    case = data.draw(OPS[name].cases)
    arrays = [library.array(value.astype("float32")) for value in case.inputs]
    tensors = [md.Tensor(array, requires_grad=True) for array in arrays]
    output = case.run(library, *tensors) if name != "BatchNorm" else _batch_norm_in_float32(case, library, tensors)
    assert output.dtype == np.float32
    upstream = np.random.default_rng(0).normal(size=output.shape).astype("float32")
    output.backward(library.array(upstream))
    assert all(tensor.grad is None or tensor.grad.dtype == np.float32 for tensor in tensors)


def _batch_norm_in_float32(case, library, tensors):
    """The running statistics of the registry are float64; here they have to be float32."""

    class Float32Library:
        @staticmethod
        def array(values):
            return library.array(values.astype("float32"))

    return case.run(Float32Library, *tensors)


@pytest.mark.parametrize("name", [name for name, entry in OPS.items() if entry.elementwise])
def test_elementwise_ops_keep_the_memory_order(name):
    """(N, C, H, W) in shape and (H, W, N, C) in memory is kept, forward and backward (NumPy; CuPy decides for itself)."""
    entry = OPS[name]
    stored = np.random.default_rng(0).uniform(0.3, 0.9, size=(4, 5, 2, 3))
    image = stored.transpose(2, 3, 0, 1)
    tensors = [md.Tensor(image.copy(order="K"), requires_grad=True) for _ in range(3)]
    run = {
        "Add": lambda x, y, _: x + y,
        "Sub": lambda x, y, _: x - y,
        "Mul": lambda x, y, _: x * y,
        "Div": lambda x, y, _: x / y,
        "Pow": lambda x, y, _: x**y,
        "Maximum": lambda x, y, _: md.maximum(x, y),
        "Minimum": lambda x, y, _: md.minimum(x, y),
        "Where": lambda x, y, _: md.where(image > 0.5, x, y),
        "Clip": lambda x, *_: x.clip(0.4, 0.6),
        "Elu": lambda x, *_: x.elu(),
        "Dropout": lambda x, *_: md.functional.dropout(x, 0.5),
        "DropAlan": lambda x, *_: md.functional.dropalan(x - 2, scaled=True),
        "DropAlanExpectation": lambda x, *_: md.functional.dropalan(x - 2, inference="expectation", training=False),
        "AsType": lambda x, *_: x.astype("float32"),
        "Add number": lambda x, *_: x + 2.0,
        "Sub number": lambda x, *_: 2.0 - x,
        "Mul number": lambda x, *_: x * 2.0,
        "Div number": lambda x, *_: 2.0 / x,
        "Pow number": lambda x, *_: x**2,
        "Pow of a number": lambda x, *_: 2**x,
        "Neg": lambda x, *_: -x,
    }.get(name, lambda x, *_: getattr(x, entry.op.__name__.lower())())
    output = run(*tensors)
    assert _order(output.data) == _order(image), "forward"
    output.backward(image.astype(output.dtype).copy(order="K"))
    for tensor in tensors:
        assert tensor.grad is None or _order(tensor.grad) == _order(image), "backward"


def _order(array):
    """The axes, from the one that moves slowest in memory to the fastest."""
    return tuple(int(axis) for axis in np.argsort([-stride for stride in array.strides], kind="stable"))
