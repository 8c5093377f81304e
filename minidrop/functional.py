"""The ops as functions: what the layers of the paper compute, without parameters of their own.

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
from .ops import conv, loss, norm, pool, window
from .ops.dropalan import Alpha, Beta, Distribution, DropAlan, DropAlanExpectation
from .ops.dropout import Dropout
from .random import Generator, default_generator
from .tensor import Operand, Tensor, apply, as_tensor

CONVOLUTIONS = ("auto", *conv.ALGORITHMS)

# Convolution and pooling ---------------------------------------------------------------------------------------------


def conv2d(
    x: Operand, weight: Operand, bias: Operand | None = None, stride: Any = 1, padding: Any = 0, algorithm: str = "auto"
) -> Tensor:
    """(N, C, H, W) * (F, C, R, S) [+ (F)] -> (N, F, H', W'), H' = floor((H + 2 padding - R) / stride) + 1, W' likewise with S.

    stride: an int or (rows, columns). padding: zeros on each side, an int or (rows, columns), or "same": H' = ceil(H / stride),
    with the odd row or column at the bottom and right (as in Keras, the paper's framework). algorithm: "loops" (the
    definition), "im2col", "fourier", "mixed", or "auto", the fastest by the model in ops/conv_choice.py.
    With "fourier" rounding is relative to the largest number of an image, and an inf or NaN reaches all its outputs; with
    "mixed", those in the columns whose windows contain it. Both need float32 or float64: for other types they raise DTypeError,
    and "auto" is "im2col". Raises ShapeError for a wrong rank, a number of channels that is not the weight's, a kernel larger
    than the padded image, or an empty batch.
    Source: formula in ops/conv.py; the theorem in ops/fourier.py.
    """
    x, weight, bias = as_tensor(x), as_tensor(weight), None if bias is None else as_tensor(bias)
    arguments.require_choice("conv2d", "algorithm", algorithm, CONVOLUTIONS)
    arguments.require_rank("conv2d", "x", x.shape, "(N, C, H, W)")
    arguments.require_rank("conv2d", "weight", weight.shape, "(F, C, R, S)")
    arguments.require_batch("conv2d", x.shape)
    arguments.require_features("conv2d", x.shape, 1, weight.shape[1], "channels")
    if 0 in weight.shape:
        raise ShapeError("conv2d: empty weight", expected="at least one filter, channel, row and column", got=str(weight.shape))
    arguments.require_vector("conv2d", "bias", bias, weight.shape[0])
    stride = window.pair("conv2d", "stride", stride, 1)
    pads = window.padding_pairs("conv2d", padding, x.shape[2:], weight.shape[2:], stride)
    if algorithm in ("fourier", "mixed"):
        arguments.require_floats("conv2d in the frequency domain", x.dtype, conv.FOURIER_TYPES)
    return apply(conv.Conv2d(stride, pads, algorithm), x, weight, bias)


def max_pool2d(x: Operand, kernel_size: Any, stride: Any = None) -> Tensor:
    """(N, C, H, W) -> (N, C, H', W'): the maximum of each window, H' = floor((H - R) / stride) + 1.

    kernel_size: an int or (rows, columns); stride: the same, by default equal to kernel_size. Of equal maxima in a window the
    first, row by row, gets the gradient.
    Raises ShapeError for a wrong rank, a window larger than the image, an empty batch.
    """
    x = as_tensor(x)
    arguments.require_rank("max_pool2d", "x", x.shape, "(N, C, H, W)")
    arguments.require_batch("max_pool2d", x.shape)
    kernel = window.pair("max_pool2d", "kernel_size", kernel_size, 1)
    step = kernel if stride is None else window.pair("max_pool2d", "stride", stride, 1)
    window.padding_pairs("max_pool2d", 0, x.shape[2:], kernel, step)
    return apply(pool.MaxPool2d(kernel, step), x)


# Losses --------------------------------------------------------------------------------------------------------------


def log_softmax(x: Operand, axis: int = -1) -> Tensor:
    """(shape) -> same: x - log(sum of e^x along `axis`); no overflow, however large x is."""
    x = as_tensor(x)
    along = shapes.one_axis("log_softmax", x.shape, axis, fewest=1)
    return apply(loss.LogSoftmax(along), x)


def softmax_cross_entropy(logits: Operand, labels: Any) -> Tensor:
    """(N, K) logits, (N) integer labels -> (): the mean over the batch of -log softmax(logits)[label], in nats.

    K equal logits give ln K. Raises ShapeError for wrong shapes or an empty batch, DTypeError for labels that are not
    integers, ArgumentError for labels outside 0 ... K - 1.
    """
    logits = as_tensor(logits)
    name = "softmax_cross_entropy"
    arguments.require_rank(name, "logits", logits.shape, "(N, K)")
    arguments.require_batch(name, logits.shape)
    batch, classes = logits.shape
    checked = arguments.class_labels(name, labels, batch, classes, logits.device)
    return apply(loss.SoftmaxCrossEntropy(checked), logits)


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

    rate: the probability to drop, 0 to 1 (0 keeps all, 1 drops all). mask: 1 for kept, 0 for dropped, instead of a drawn one.
    generator: the source of the draws, by default `default_generator()`. return_mask: return (output, mask array).
    Source: Srivastava et al., 2014; the paper's reference [1] and section I.
    """
    x = as_tensor(x)
    _require_floats("dropout", x)
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
    return_mask: return (output, theta array); at inference all ones.
    Edge cases: a drawn mask never drops z >= 0 (alpha, beta) or NaN; a given mask is used as it is, except that, scaled, k = 0
    gives 0. A dropped unit is exactly 0. The gradient at z = 0 is finite.
    Source: sections II and III.A of the paper; formulas in ops/dropalan.py.
    """
    z = as_tensor(z)
    arguments.require_choice("dropalan", "scale_gradient", scale_gradient, ("through", "detach"))
    arguments.require_choice("dropalan", "inference", inference, ("identity", "expectation"))
    chosen = as_distribution(distribution)
    _require_floats("dropalan", z)
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


def _require_floats(name: str, x: Tensor) -> None:
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: not floating-point numbers", expected="float32 or float64", got=str(x.dtype))


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
    _require_floats("batch_norm", x)
    if x.ndim < 2:
        raise ShapeError("batch_norm: x has the wrong rank", expected="(N, C) or (N, C, ...)", got=str(x.shape))
    arguments.require_batch("batch_norm", x.shape)
    given = {"running_mean": running_mean, "running_var": running_var}
    running = [arguments.constant("batch_norm", name, value) for name, value in given.items()]
    parameters = [None if value is None else as_tensor(value) for value in (weight, bias)]
    names = ("running_mean", "running_var", "weight", "bias")
    for name, value in zip(names, running + parameters, strict=True):
        arguments.require_vector("batch_norm", name, value, x.shape[1])
        if value is not None and value.dtype != x.dtype:
            raise DTypeError(f"batch_norm: {name} is of another number type", expected=str(x.dtype), got=str(value.dtype))
    if (running[0] is None) != (running[1] is None) or (running[0] is None and not training):
        raise ArgumentError("batch_norm: running statistics", expected="both, or in training none", got="one, or none")
    if not training:
        return apply(norm.BatchNorm(float(eps), (running[0], running[1])), x, *parameters)
    count = arguments.values_per_channel("batch_norm", x.shape)
    op = norm.BatchNorm(float(eps), None)
    output = apply(op, x, *parameters)
    for kept, batch, scale in zip(running, (op.mean, op.variance), (1.0, count / (count - 1)), strict=True):
        if kept is not None:
            run_on(kept, _move_towards, kept, batch, float(momentum), scale)
    return output


def _move_towards(running: Array, batch: Array, momentum: float, scale: float) -> None:
    """running = (1 - momentum) running + momentum * scale * batch, in place."""
    running[...] = (1 - momentum) * running + momentum * scale * batch
