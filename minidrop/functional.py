"""The ops as functions: the one namespace of all. Defined here: dropout, DropAlan, normalisation, tables.

Every function checks its input before any work: errors name the function, what was expected and what was given.
Inputs are tensors; arrays and lists are converted to tensors.
"""

from __future__ import annotations

from typing import Any

from .backend import Array, ones_like, run_on
from .errors import ArgumentError, DTypeError, ShapeError
from .functions import (
    abs as abs,
    argmax as argmax,
    argmin as argmin,
    clip as clip,
    concatenate as concatenate,
    elu as elu,
    exp as exp,
    expand as expand,
    flatten as flatten,
    log as log,
    max as max,
    maximum as maximum,
    mean as mean,
    min as min,
    minimum as minimum,
    pad as pad,
    prod as prod,
    relu as relu,
    reshape as reshape,
    sigmoid as sigmoid,
    softmax as softmax,
    softplus as softplus,
    split as split,
    sqrt as sqrt,
    squeeze as squeeze,
    stack as stack,
    std as std,
    sum as sum,
    tanh as tanh,
    transpose as transpose,
    unsqueeze as unsqueeze,
    var as var,
    where as where,
)
from .guard import arguments, operands, shapes
from .guard.labels import row_indices
from .images import (
    CONVOLUTIONS as CONVOLUTIONS,
    avg_pool2d as avg_pool2d,
    conv2d as conv2d,
    global_avg_pool2d as global_avg_pool2d,
    max_pool2d as max_pool2d,
)
from .losses import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    cross_entropy as cross_entropy,
    log_softmax as log_softmax,
    mse_loss as mse_loss,
    nll_loss as nll_loss,
    softmax_cross_entropy as softmax_cross_entropy,
)
from .ops import norm
from .ops.dropalan import Alpha, Beta, Distribution, DropAlan, DropAlanExpectation
from .ops.dropout import Dropout
from .random import Generator, default_generator
from .tensor import Operand, Tensor, apply, as_tensor

# Dropout and DropAlan ------------------------------------------------------------------------------------------------


def dropout(
    x: Operand,
    rate: float,
    training: bool = True,
    mask: Any = None,
    generator: Generator | None = None,
    return_mask: bool = False,
) -> Any:
    """(any shape) -> same: x * mask / (1 - rate), mask ~ Bernoulli(1 - rate); not training: x.

    rate: the probability to drop, 0 to 1 (0 keeps all, 1 drops all). mask: 1 for kept, 0 for dropped, instead of a drawn one
    (that it holds nothing else is checked, for which a GPU is waited for, but not in a captured step).
    generator: the source of the draws, by default `default_generator()`. return_mask: return (output, mask array).
    Source: Srivastava et al., 2014; the paper's reference [1] and section I.
    """
    x = as_tensor(x)
    arguments.require_floating("dropout", x.dtype)
    rate = arguments.probability("dropout", "rate", rate)
    if mask is not None:
        mask = arguments.keep_mask("dropout", mask, x.data)
    if not training:
        return (x, ones_like(x.data)) if return_mask else x
    op = Dropout(rate, mask, generator or default_generator())
    output = apply(op, x)
    return (output, op.mask) if return_mask else output


def dropalan(
    z: Operand,
    distribution: str | Distribution = "beta",
    scaled: bool = False,
    scale_gradient: str = "through",
    inference: str = "identity",
    training: bool = True,
    mask: Any = None,
    generator: Generator | None = None,
    return_mask: bool = False,
) -> Any:
    """(any shape) -> same: z * theta, or scaled z * theta / k(z); theta ~ Bernoulli(k(z)), k(z) = 1 - p(z).

    distribution: "alpha", "beta", or any object with drop_probability(z) (see `Alpha`, `Beta`). scale_gradient, for the scaled
    variant: "through" k(z), as published, or "detach", k held constant. inference (not training): "identity" gives z, as
    published; "expectation" gives z * k(z), scaled: z. mask: theta, 1 for kept, 0 for dropped, instead of a drawn one.
    return_mask: return (output, theta array); at inference all ones. A given mask, and p(z) of your own
    distribution, are checked, for which a GPU is waited for, but not in a captured step.
    Edge cases: a drawn mask never drops z >= 0 (alpha, beta) or NaN; a given mask is used as it is, except that, scaled, k = 0
    gives 0. A dropped unit is exactly 0. The gradient at z = 0 is finite.
    Source: sections II and III.A of the paper; formulas in ops/dropalan.py.
    """
    z = as_tensor(z)
    arguments.require_choice("dropalan", "scale_gradient", scale_gradient, ("through", "detach"))
    arguments.require_choice("dropalan", "inference", inference, ("identity", "expectation"))
    chosen = as_distribution(distribution)
    arguments.require_floating("dropalan", z.dtype)
    through = scaled and scale_gradient == "through"
    if z.requires_grad and (through if training else inference == "expectation" and not scaled):
        _require_derivative(chosen)
    if mask is not None:
        mask = arguments.keep_mask("dropalan", mask, z.data)
    if not isinstance(chosen, (Alpha, Beta)):
        arguments.require_probabilities(type(chosen).__name__, drop_probability(z, chosen), z.data)
    if not training:
        output = apply(DropAlanExpectation(chosen), z) if inference == "expectation" and not scaled else z
        return (output, ones_like(z.data)) if return_mask else output
    op = DropAlan(chosen, scaled, through, mask, generator or default_generator())
    output = apply(op, z)
    return (output, op.mask) if return_mask else output


def drop_probability(z: Any, distribution: str | Distribution = "beta") -> Array:
    """(any shape) -> same, array in, array out: p(z), the probability that DropAlan drops a unit whose input is z."""
    array = z.data if isinstance(z, Tensor) else operands.as_array(z, None)
    if array.dtype.kind != "f":
        array = array.astype("float32")
    p = run_on(array, as_distribution(distribution).drop_probability, array)
    return operands.as_array(p, None) if array.ndim == 0 else p


def as_distribution(distribution: str | Distribution) -> Distribution:
    """ "alpha" or "beta" -> the paper's distribution with its default parameters; an object with drop_probability -> itself."""
    if isinstance(distribution, str) and distribution in ("alpha", "beta"):
        return Alpha() if distribution == "alpha" else Beta()
    if isinstance(distribution, (str, type)) or not callable(getattr(distribution, "drop_probability", None)):
        raise ArgumentError(
            "dropalan: bad distribution",
            expected='"alpha", "beta", or an object with a method drop_probability(z)',
            got=repr(distribution),
            help="for example md.Beta(c=.2, p_max=.95)",
        )
    return distribution


def _require_derivative(distribution: Distribution) -> None:
    if not callable(getattr(distribution, "derivative", None)):
        raise ArgumentError(
            f"dropalan: {type(distribution).__name__} has no derivative",
            expected="a method derivative(z), dp/dz, for a gradient through k(z)",
            got=f"methods {[name for name in dir(distribution) if not name.startswith('_')]}",
            help='add it, or use scale_gradient="detach"',
        )


# Normalisation -------------------------------------------------------------------------------------------------------


def batch_norm(
    x: Operand,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(N, C, ...) -> same: weight * (x - mean) / sqrt(var + eps) + bias, per channel; weight and bias (C).

    Training: mean and variance of this batch; the running arrays (C) are updated in place: running = (1 - momentum) running +
    momentum * batch, with the unbiased estimate of the variance. Not training: the running statistics, as constants.
    Raises ShapeError for shapes that do not fit, an empty batch, or, in training, a single value per channel.
    Source: Ioffe and Szegedy, 2015; formula in ops/norm.py.
    """
    x = as_tensor(x)
    arguments.require_floating("batch_norm", x.dtype)
    eps, momentum = arguments.positive("batch_norm", "eps", eps), arguments.probability("batch_norm", "momentum", momentum)
    if x.ndim < 2:
        raise ShapeError("batch_norm: x has the wrong rank", expected="(N, C) or (N, C, ...)", got=str(x.shape))
    arguments.require_batch("batch_norm", x.shape)
    given = {"running_mean": running_mean, "running_var": running_var}
    running = [arguments.constant("batch_norm", name, value) for name, value in given.items()]
    parameters = [None if value is None else as_tensor(value) for value in (weight, bias)]
    arguments.require_type_of_layer("batch_norm", x, *parameters, *running)
    names = ("running_mean", "running_var", "weight", "bias")
    for name, value in zip(names, running + parameters, strict=True):
        arguments.require_vector("batch_norm", name, value, x.shape[1])
        if value is not None and value.dtype != x.dtype:
            raise DTypeError(f"batch_norm: {name} is of another number type", expected=str(x.dtype), got=str(value.dtype))
    if (running[0] is None) != (running[1] is None) or (running[0] is None and not training):
        raise ArgumentError("batch_norm: running statistics", expected="both, or in training none", got="one, or none")
    if not training:
        return apply(norm.BatchNorm(eps, (running[0], running[1])), x, *parameters)
    count = arguments.values_per_channel("batch_norm", x.shape)
    op = norm.BatchNorm(eps, None)
    output = apply(op, x, *parameters)
    for kept, batch, scale in zip(running, (op.mean, op.variance), (1.0, count / (count - 1)), strict=True):
        if kept is not None:
            run_on(kept, _move_towards, kept, batch, momentum, scale)
    return output


def layer_norm(x: Operand, weight: Operand | None = None, bias: Operand | None = None, eps: float = 1e-5) -> Tensor:
    """(..., features) -> same: weight * (x - mean) / sqrt(var + eps) + bias over the last axis; weight and bias (features).

    Raises ShapeError for shapes that do not fit or no features, DTypeError for numbers that are not floating-point.
    Source: Ba et al., 2016.
    """
    x = as_tensor(x)
    arguments.require_floating("layer_norm", x.dtype)
    eps = arguments.positive("layer_norm", "eps", eps)
    shapes.one_axis("layer_norm", x.shape, -1, fewest=1)
    parameters = [None if value is None else as_tensor(value) for value in (weight, bias)]
    arguments.require_type_of_layer("layer_norm", x, *parameters)
    for name, value in zip(("weight", "bias"), parameters, strict=True):
        arguments.require_vector("layer_norm", name, value, x.shape[-1])
    wide = x.astype("float32") if x.dtype == "float16" else x  # the largest float16 is 65504, the square of 256
    y = (wide - wide.mean(axis=-1, keepdims=True)) / (wide.var(axis=-1, keepdims=True) + eps).sqrt()
    y = y.astype("float16") if x.dtype == "float16" else y
    y = y if parameters[0] is None else y * parameters[0]
    return y if parameters[1] is None else y + parameters[1]


# Tables --------------------------------------------------------------------------------------------------------------


def embedding(indices: Any, weight: Operand) -> Tensor:
    """(shape) of integers, (count, features) -> (shape, features): row i of the table `weight` for each index i.

    Each row gets the sum of the gradients of all places where it was taken.
    Raises DTypeError for indices that are not integers, ArgumentError for those outside 0 ... count - 1.
    """
    weight = as_tensor(weight)
    arguments.require_rank("embedding", "weight", weight.shape, "(count, features)")
    return weight[row_indices("embedding", indices, weight.shape[0], weight.device)]


def _move_towards(running: Array, batch: Array, momentum: float, scale: float) -> None:
    """running = (1 - momentum) running + momentum * scale * batch, in place."""
    running[...] = (1 - momentum) * running + momentum * scale * batch
