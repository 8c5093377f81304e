"""The entries of the ops that layers are made of: products, convolution, pooling, losses, normalisation, dropout."""

from __future__ import annotations

from hypothesis import strategies as st
from op_cases import Case, broadcastable, distinct, normal, positive, register, rng, shapes

import minidrop as md
from minidrop.ops import conv, dropalan, dropout, fourier, im2col, loss, matmul, mixed, norm, pool

F = md.functional


@register(matmul.MatMul)
def matrix_product(draw):
    m, k, n = (draw(st.integers(0, 4)) for _ in range(3))
    batch = draw(shapes(max_dims=2))
    a, b = (*batch, m, k), (*broadcastable(draw, batch), k, n)
    if draw(st.booleans()):
        a, b = (*b[:-2], m, k), (*batch, k, n)
    kind = draw(st.sampled_from(["matrices", "vector left", "vector right", "vectors"]))
    if kind in ("vector left", "vectors"):
        a = (k,)
    if kind in ("vector right", "vectors"):
        b = (k,)
    return Case([normal(draw, a), normal(draw, b)], lambda library, a, b: a @ b, lambda torch, a, b: a @ b, {"kind": kind})


def convolution(draw, algorithm, most=3, room=4):
    side = st.integers(1, most)
    images, channels, filters = draw(side), draw(side), draw(side)
    kernel = draw(side), draw(side)
    stride = draw(st.sampled_from([1, 2, (1, 2), (3, 1)]))
    padding = draw(st.sampled_from([0, 1, (1, 0), (0, 2), "same"]))
    height, width = (kernel[i] + draw(st.integers(0, room)) for i in range(2))
    with_bias = draw(st.booleans())

    def torch_run(torch, x, weight, bias=None):
        pads = padding
        if padding == "same":  # Keras' rule, which for stride 1 is PyTorch's too
            steps = (stride, stride) if isinstance(stride, int) else stride
            total = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip((height, width), steps, kernel, strict=True)]
            around = [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2]
            x, pads = torch.nn.functional.pad(x, around), 0
        return torch.nn.functional.conv2d(x, weight, bias, stride=stride, padding=pads)

    inputs = [normal(draw, (images, channels, height, width)), normal(draw, (filters, channels, *kernel))]
    return Case(
        inputs + ([normal(draw, (filters,))] if with_bias else []),
        lambda library, x, weight, bias=None: F.conv2d(x, weight, bias, stride=stride, padding=padding, algorithm=algorithm),
        torch_run,
        {"stride": stride, "padding": padding},
    )


@register(conv.Conv2d)
def convolution_by_the_fastest_way(draw):
    return convolution(draw, "auto")


@register(im2col.Conv2dLoops)
def convolution_in_loops(draw):
    return convolution(draw, "loops", most=2, room=1)  # slow, so small


@register(im2col.Conv2dIm2col)
def convolution_of_columns(draw):
    return convolution(draw, "im2col")


@register(fourier.Conv2dFourier)
def convolution_in_the_frequency_domain(draw):
    return convolution(draw, "fourier")


@register(mixed.Conv2dMixed)
def convolution_in_the_frequency_domain_of_one_axis(draw):
    return convolution(draw, "mixed")


def pooling(op, name, values, **options):
    @register(op)
    def case(draw):
        kernel = draw(st.sampled_from([2, 1, 3, (1, 2), (3, 2)]))
        stride = draw(st.sampled_from([None, 1, 2, (2, 1), 4]))
        smallest = min(kernel) if isinstance(kernel, tuple) else kernel
        padding = draw(st.sampled_from([0, 0, smallest // 2, (0, smallest // 2)]))
        chosen = {key: draw(st.sampled_from(choices)) for key, choices in options.items()}
        height, width = (draw(st.integers(3, 7)) for _ in range(2))
        return Case(
            [values(draw, (draw(st.integers(1, 3)), draw(st.integers(1, 2)), height, width))],
            lambda library, x: getattr(F, name)(x, kernel, stride, padding, **chosen),
            lambda torch, x: getattr(torch.nn.functional, name)(x, kernel, stride, padding, **chosen),
            {"kernel": kernel, "stride": stride, "padding": padding, **chosen},
        )


pooling(pool.MaxPool2d, "max_pool2d", distinct)
pooling(pool.AvgPool2d, "avg_pool2d", normal, count_include_pad=[True, False])


def of_an_axis(op, run, torch_name):
    @register(op)
    def case(draw):
        source = draw(shapes(min_dims=1, max_dims=3, min_side=1))
        axis = draw(st.integers(-len(source), len(source) - 1))
        return Case(
            [3 * normal(draw, source)],
            lambda library, x: run(x, axis=axis),
            lambda torch, x: getattr(torch, torch_name)(x, dim=axis),
            {"axis": axis},
        )


of_an_axis(loss.LogSoftmax, F.log_softmax, "log_softmax")
of_an_axis(loss.Softmax, md.Tensor.softmax, "softmax")


@register(loss.SoftmaxCrossEntropy)
def cross_entropy(draw):
    batch, classes = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    labels = rng(draw).integers(0, classes, size=batch).astype(draw(st.sampled_from(["uint8", "int32", "int64"])))
    return Case(
        [3 * normal(draw, (batch, classes))],
        lambda library, x: F.softmax_cross_entropy(x, library.array(labels)),
        lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor(labels.astype("int64"))),
    )


@register(norm.BatchNorm)
def batch_norm(draw):
    rank = draw(st.sampled_from([2, 3, 4]))
    source = tuple(draw(st.integers(2, 4)) for _ in range(rank))
    channels, training = source[1], draw(st.booleans())
    mean, var = normal(draw, (channels,)), positive(draw, (channels,))

    def run(library, x, weight=None, bias=None):
        running = (library.array(mean.copy()), library.array(var.copy()))
        return F.batch_norm(x, *running, weight, bias, training=training)

    def torch_run(torch, x, weight=None, bias=None):
        running = (torch.tensor(mean), torch.tensor(var))
        return torch.nn.functional.batch_norm(x, *running, weight, bias, training=training)

    affine = [normal(draw, (channels,)), normal(draw, (channels,))] if draw(st.booleans()) else []
    return Case([normal(draw, source), *affine], run, torch_run, {"training": training})


@register(dropout.Dropout, elementwise=True)
def drop(draw):
    source = draw(shapes())
    rate = draw(st.sampled_from([0.0, 0.25, 0.5, 0.9]))
    mask = (rng(draw).random(source) >= rate).astype(float)
    return Case(
        [normal(draw, source)],
        lambda library, x: F.dropout(x, rate, mask=library.array(mask)),
        lambda torch, x: x * torch.tensor(mask) / (1 - rate),
        {"rate": rate},
    )


DISTRIBUTIONS = [md.Alpha(), md.Beta(), md.Beta(p_max=0.95), md.Alpha(0.3, 0.6), md.Beta(0.5, 0.8), md.Beta(0.2, 1.0)]


def z_values(draw, shape_):
    """On both sides of 0, -1 and the clips, none within .002 of a kink of one of the DISTRIBUTIONS."""
    z = rng(draw).choice([-300.0, -30.0, -6.0, -2.6, -1.4, -0.7, -0.4, 0.3, 2.0], size=shape_)
    return z * rng(draw).uniform(0.99, 1.01, size=shape_)


def torch_keep(torch, distribution, z):
    """k(z), composed from PyTorch's own elementary operations."""
    if isinstance(distribution, md.Alpha):
        return 1 - torch.clamp(-distribution.slope * z, 0, distribution.limit)
    inner = torch.clamp(1 + distribution.c / z, max=distribution.p_max)
    plateau = torch.full_like(z, min(1 - distribution.c, distribution.p_max))
    return 1 - torch.where(z >= 0, torch.zeros_like(z), torch.where(z >= -1, plateau, inner))


@register(dropalan.DropAlan, elementwise=True)
def drop_alan(draw):
    source = draw(shapes())
    distribution = draw(st.sampled_from(DISTRIBUTIONS))
    scaled, gradient = draw(st.booleans()), draw(st.sampled_from(["through", "detach"]))
    mask = (rng(draw).random(source) < 0.7).astype(float)

    def torch_run(torch, z):
        if not scaled:
            return z * torch.tensor(mask)
        keep = torch_keep(torch, distribution, z)
        return z * torch.tensor(mask) / (keep if gradient == "through" else keep.detach())

    return Case(
        [z_values(draw, source)],
        lambda library, z: F.dropalan(z, distribution, scaled, gradient, mask=library.array(mask)),
        torch_run,
        {"distribution": distribution, "scaled": scaled, "gradient": gradient},
    )


@register(dropalan.DropAlanExpectation, elementwise=True)
def drop_alan_expectation(draw):
    distribution = draw(st.sampled_from(DISTRIBUTIONS))
    return Case(
        [z_values(draw, draw(shapes()))],
        lambda library, z: F.dropalan(z, distribution, inference="expectation", training=False),
        lambda torch, z: z * torch_keep(torch, distribution, z),
        {"distribution": distribution},
    )


def without_detach(case: Case) -> bool:
    """Whether backward is the derivative of forward: not if k(z) is held constant on purpose."""
    return not (case.note.get("scaled") and case.note.get("gradient") == "detach")
