"""NumPy's functions called with tensors: they see the numbers alone, so a tensor with a gradient to lose is refused.

NumPy asks `__array_function__` for np.where(mask, x, 0) and its like, and `__array__` for np.asarray(x) and buffer[:] = x. Both
would go on with constants, and backward would miss what came through there without a word. A tensor that requires no gradient,
and any tensor inside `no_grad`, is taken as its array. So is a single number (0-d) that reaches `__array__`, as in a list of
losses: np.mean([loss1, loss2]), plt.plot(losses).
"""

from __future__ import annotations

from typing import Any

from ..core import Variable, no_grad_depth
from ..errors import GraphError

# What keeps the gradient, by the name of NumPy's function. Names without a dot are functions of md.functional.
INSTEAD = {
    "amax": "max", "amin": "min", "append": "concatenate", "clip": "clip", "concatenate": "concatenate",
    "max": "max", "mean": "mean", "min": "min", "pad": "pad", "prod": "prod", "reshape": "reshape", "split": "split",
    "squeeze": "squeeze", "stack": "stack", "std": "std", "sum": "sum", "transpose": "transpose", "var": "var",
    "where": "where",
    "broadcast_to": "expand", "ravel": "flatten", "expand_dims": "unsqueeze", "array_split": "split",
    "column_stack": "stack", "dstack": "stack", "hstack": "concatenate", "vstack": "concatenate",
    "moveaxis": "transpose", "swapaxes": "transpose", "average": "mean",
    "dot": "a @ b", "inner": "a @ b", "vdot": "a @ b", "tensordot": "a @ b", "einsum": "a @ b", "outer": "a @ b",
    "norm": "(x * x).sum().sqrt()", "square": "x * x", "take": "x[index]", "copy": "x * 1", "diff": "x[1:] - x[:-1]",
}  # fmt: skip

# What says nothing that a gradient could flow through: shapes, places, comparisons, text, files.
WITHOUT_GRADIENT = frozenset({
    "shape", "ndim", "size", "result_type", "iscomplexobj", "isrealobj", "zeros_like", "ones_like", "empty_like",
    "allclose", "isclose", "array_equal", "array_equiv", "all", "any", "count_nonzero", "shares_memory", "may_share_memory",
    "argmax", "argmin", "argsort", "argwhere", "nonzero", "flatnonzero", "searchsorted",
    "array_repr", "array_str", "array2string", "save", "savetxt", "savez", "savez_compressed",
})  # fmt: skip


def call(function: Any, args: Any, kwargs: Any) -> Any:
    """A NumPy function and its arguments -> its result, with tensors as arrays; GraphError if one would lose a gradient."""
    name = function.__name__
    if name not in WITHOUT_GRADIENT:
        for tensor in _tensors((args, kwargs)):
            if loses_a_gradient(tensor):
                raise _refusal(f"np.{name}", tensor, _instead(name))
    return function(*_as_arrays(args), **_as_arrays(kwargs))


def require_nothing_lost(tensor: Any) -> None:
    """Raise GraphError if a gradient would be lost by taking the tensor as an array."""
    if tensor.ndim and loses_a_gradient(tensor):
        raise _refusal("NumPy", tensor, "the functions of md.functional keep it")


def loses_a_gradient(tensor: Any) -> bool:
    """True if it requires a gradient, and ops with it would be recorded."""
    return bool(tensor._requires_grad and not no_grad_depth.now)


def _instead(name: str) -> str:
    other = INSTEAD.get(name, "")
    if not other:
        return "minidrop has no such function; those of md.functional keep it"
    return f"{f'md.functional.{other}' if other.isidentifier() else other} keeps it"


def _refusal(who: str, tensor: Any, instead: str) -> GraphError:
    return GraphError(
        f"{who} would take this tensor as plain numbers, and its gradient would be lost",
        expected="an array, or a tensor without gradient",
        got=f"a tensor of shape {tensor.shape} that requires a gradient",
        help=f"{instead}; x.numpy() is the array, if no gradient is wanted",
    )


def _tensors(value: Any) -> Any:
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _as_arrays(value: Any) -> Any:
    if isinstance(value, Variable):
        return value.numpy()  # type: ignore[attr-defined]
    if type(value) in (list, tuple):
        return type(value)(_as_arrays(item) for item in value)
    return {name: _as_arrays(item) for name, item in value.items()} if type(value) is dict else value
