"""The networks: sizes, variants by name, the same start for all variants, and what `DropAlan + ReLU` is equivalent to."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minidrop as md
from minidrop import Generator, Tensor
from minidrop.errors import ArgumentError, ShapeError
from minidrop.paper import networks
from minidrop.paper.as_published import ComposedDropAlan
from minidrop.paper.networks import SIZES, Network, require_room
from minidrop.paper.reproduce.grid import Grid
from minidrop.paper.variants import VARIANTS, Variant


def network(variant, size="lite", shape=(1, 8, 8), seed=0, **options):
    seeds = Generator(seed)
    return Network(size, variant, shape, 10, seeds.spawn(), seeds.spawn(), **options)


def images(count=6, shape=(1, 8, 8)):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype("float32")


CIFAR_10, MNIST, DIGITS = (3, 32, 32), (1, 28, 28), (1, 8, 8)


def stages(net, shape):
    """The sides of the image after each convolution and each pool, and the features and units after that."""
    net.summary((2, *shape))
    net.features.summary((2, *shape))  # on whole images: the network itself crops them
    layers = net.features.layers
    sides = [layer.output_shape[2] for layer in layers if isinstance(layer, md.nn.Conv2d | md.nn.MaxPool2d)]
    return sides, *net.dense.weight.shape, net.logits.output_shape[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (2, 3, 32, 40), (2, 1, 32, 32), (2, 3, 30, 30), (3, 32, 32), (2, 3072)])
def test_images_of_another_shape(size, shape):
    """Otherwise they would be cropped silently."""
    with pytest.raises(ShapeError, match=r"another shape(.|\n)*\(N, 3, 32, 32\)(.|\n)*" + re.escape(str(shape))):
        network("cnn", size, CIFAR_10)(np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    ("size", "shape", "expected"),
    [
        ("published", CIFAR_10, ([26, 13, 9, 4], 1024, 1000, 10)),  # the table of PROTOCOL.md, from the published program
        ("published", MNIST, ([22, 11, 7, 3], 576, 1000, 10)),
        ("described", CIFAR_10, ([32, 16, 16, 8, 8, 4], 1024, 1000, 10)),
        ("described", MNIST, ([28, 14, 14, 7, 7, 3], 576, 1000, 10)),
        ("described", DIGITS, ([8, 4, 4, 2, 2, 1], 64, 1000, 10)),
        ("lite", CIFAR_10, ([26, 13, 9, 4], 512, 512, 10)),
        ("lite", MNIST, ([22, 11, 7, 3], 288, 512, 10)),
        ("lite", DIGITS, ([6, 3, 2, 1], 32, 512, 10)),
    ],
)
def test_the_sizes_after_each_stage(size, shape, expected):
    """As built, as computed beforehand, and as in the docstring's table."""
    net = network("cnn", size, shape)
    assert stages(net, shape) == expected
    assert [side for side, _ in SIZES[size].stages(shape)] == expected[0]
    line = f"{', '.join(map(str, expected[0]))}: {expected[1]:,}"
    assert sum(line in row for row in networks.__doc__.splitlines()) == 1


@pytest.mark.parametrize(
    ("size", "kernels"),
    [("published", [(64, 3, 7, 7), (64, 64, 5, 5)]), ("described", [(64, 3, 11, 11), (64, 64, 7, 7), (64, 64, 5, 5)])],
)
def test_the_filters_of_the_papers_networks(size, kernels):
    net = network("cnn", size, CIFAR_10)
    assert [layer.weight.shape for _, layer in net.named_modules() if isinstance(layer, md.nn.Conv2d)] == kernels


def test_lite_has_the_shape_of_the_published_network_and_is_small():
    published, lite = network("cnn", "published", MNIST), network("cnn", "lite", MNIST)
    kinds = lambda net: [type(module).__name__ for _, module in net.named_modules()]  # noqa: E731
    assert kinds(published) == kinds(lite)
    assert sum(p.size for p in lite.parameters()) * 3 < sum(p.size for p in published.parameters())


@pytest.mark.parametrize(("size", "shape", "seen"), [("published", CIFAR_10, 30), ("lite", MNIST, 26)])
def test_no_output_depends_on_the_last_rows_and_columns(size, shape, seen):
    """Computed from whole images, layer by layer; one pixel further in, the output does depend on them."""
    net = network("cnn", size, shape)
    whole = images(2, shape)
    other = whole.copy()
    other[:, :, seen:], other[..., seen:] = 7, 7
    expected = net.features(Tensor(whole)).data
    np.testing.assert_allclose(net.features(Tensor(other)).data, expected, atol=1e-5)  # the rounding depends on all pixels
    other[:, 0, seen - 1, 3] += 10
    assert abs(net.features(Tensor(other)).data - expected).max() > 0.1


@pytest.mark.parametrize(
    ("size", "shape"), [("published", CIFAR_10), ("published", MNIST), ("lite", CIFAR_10), ("lite", DIGITS)]
)
def test_leaving_them_out_changes_neither_outputs_nor_gradients(size, shape):
    results = []
    for whole in (False, True):
        net = network("cnn", size, shape)
        assert (net.seen is None) == (shape == DIGITS)
        if whole:
            net.seen = None
        x = Tensor(images(2, shape), requires_grad=True)
        y = net(x)
        y.backward(np.random.default_rng(1).normal(size=y.shape).astype("float32"))
        results.append([y.data, x.grad, *(p.grad for p in net.parameters())])
    for left_out, computed in zip(*results, strict=True):
        np.testing.assert_allclose(left_out, computed, atol=1e-5 * abs(computed).max())


def test_padded_images_are_seen_as_a_whole():
    assert SIZES["described"].seen(CIFAR_10) == (32, 32) and network("cnn", "described", CIFAR_10).seen is None


def test_images_that_would_shrink_to_nothing():
    with pytest.raises(
        ArgumentError, match=r"`published` network needs larger images(.|\n)*8x8: a side of 2, 1, -3(.|\n)*lite"
    ):
        network("cnn", "published", DIGITS)
    assert require_room("published", MNIST) == (3, 3)


def test_paper_is_no_longer_a_network():
    for ask in (lambda: network("cnn", "paper"), lambda: Grid.of(network="paper")):
        with pytest.raises(ArgumentError, match=r"there are two networks of the paper(.|\n)*published: (.|\n)*described: "):
            ask()


@pytest.mark.parametrize(
    "variant",
    [
        *VARIANTS,
        "alpha-expectation",
        "beta-expectation",
        "beta-scaled-relu",
        "beta-scaled-elu",
        "beta-scaled-batchnorm",
        "beta-scaled-detach",
        "cnn-linear",
        "beta-scaled-linear",
        "beta-p_max=.95-c=.1",
    ],
)
def test_every_variant_computes_and_learns(variant):
    net = network(variant, relu_logits=True)
    loss = md.functional.softmax_cross_entropy(net(Tensor(images())), np.arange(6))
    loss.backward()
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in net.parameters())


def test_one_seed_starts_every_variant_from_the_same_weights():
    states = [network(variant).state_dict() for variant in VARIANTS]
    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all(np.array_equal(state[name], states[0][name]) for name in state)
    assert not np.array_equal(network("cnn", seed=1).state_dict()["dense.weight"], states[0]["dense.weight"])


def test_what_the_names_mean():
    drop = lambda name: network(name).hidden[0]  # noqa: E731
    assert (drop("beta").scaled, drop("beta").inference) == (False, "identity")  # as published
    assert drop("beta-scaled").scaled and drop("beta-scaled").scale_gradient == "through"
    assert drop("beta-scaled-detach").scale_gradient == "detach"
    assert drop("alpha-expectation").inference == "expectation"
    assert (drop("beta-p_max=.95-c=.1").distribution.p_max, drop("beta-p_max=.95-c=.1").distribution.c) == (0.95, 0.1)
    assert network("beta-scaled-batchnorm").norm is not None and network("cnn-batchnorm").norm is not None
    assert network("cnn").norm is None
    assert network("cnn", relu_logits=True).relu_logits and not network("cnn-linear", relu_logits=True).relu_logits
    x = Tensor(images(50))
    assert network("cnn", relu_logits=True)(x).data.min() == 0 > network("cnn", relu_logits=False)(x).data.min()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("resnet", "unknown base"), ("", "unknown base"), ("cnn-scaled", "'scaled' does not go with cnn"), ("beta-detach", "detach without scaled"),
     ("beta-scaled-scaled", "twice"), ("alpha-p_max=.9", "p_max= does not go with alpha"), ("beta-p_max=high", "p_max=high: not a number"), ("beta-size=3", "unknown option size="), ("beta-p_max=.9_5", "not a number"), ("beta-p_max= .95", "not a number"), ("beta-p_max=nan", "not a number"),
     ("beta-slope=1", "slope= does not go with beta"), ("alpha-c=.1", "c= does not go with alpha"), ("alpha-slope=1e", "not a number like .95 or 1e-3"),
     ("beta-scaled-expectation", "leave one out"), ("dropout-0.3", "unknown option '0.3'"), ("cnn-learning_rate=-1e-3", "not a number|not above 0"), ("beta-", "unknown option ''")],
)  # fmt: skip
def test_names_that_say_nothing(name, problem):
    with pytest.raises(ArgumentError, match=problem):
        Variant(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("dropuot", "dropout"), ("beta-sclaed", "beta-scaled"), ("beta_scaled", "beta-scaled"), ("Beta-Scaled", "beta-scaled"),
     ("scaled-beta", "beta-scaled"), ("scaled", "beta-scaled"), ("learning_rate=1e-3", "cnn-learning_rate=1e-3"),
     ("cnn-learning-rate=1e-3", "cnn-learning_rate=1e-3"), ("beta-pmax=.9", "beta-p_max=.9"), ("slope=1", "alpha-slope=1"),
     ("beta-scaled-detatch-Batchnrom", "beta-scaled-detach-batchnorm"), ("cnn-lerning_rate=.1", "cnn-learning_rate=.1")],
)  # fmt: skip
def test_a_name_that_is_nearly_one(name, meant):
    with pytest.raises(ArgumentError, match=f"unknown variant '{name}'") as error:
        Variant(name)
    assert error.value.help == f"did you mean {meant!r}?" and Variant(meant).name == meant


@pytest.mark.parametrize("name", ["resnet", "", "cnn-scaled", "beta-detach", "cnn-learning_rate=x"])
def test_a_name_that_is_far_from_every_one(name):
    """No suggestion that would not be accepted, nor the name itself."""
    with pytest.raises(ArgumentError) as error:
        Variant(name)
    assert "mean" not in error.value.help and "beta-scaled-detach, cnn-learning_rate=1e-3" in error.value.help


def test_the_settings_that_the_published_logs_may_have():
    """Alpha's slope is .8 in the paper and 1.2 in a line of the last code; beta's p_max .999, and .95 in the last code."""
    z = np.array([-2.0, -0.5, -0.1, 0.5], dtype="float32")
    drop = lambda name: Variant(name).distribution.drop_probability(z)  # noqa: E731
    np.testing.assert_allclose(drop("alpha"), [0.8, 0.4, 0.08, 0], rtol=1e-6)
    np.testing.assert_allclose(drop("alpha-slope=1.2"), [0.8, 0.6, 0.12, 0], rtol=1e-6)
    far = np.array([-1000.0], dtype="float32")
    for name, expected in (("beta", 0.999), ("beta-p_max=.95", 0.95), ("beta-scaled-p_max=.95", 0.95)):
        np.testing.assert_allclose(Variant(name).distribution.drop_probability(far), expected, rtol=1e-6)


@pytest.mark.parametrize("ending", ["", "-composed"])
@pytest.mark.parametrize("variant", ["alpha-slope=0", "beta-p_max=0", "beta-scaled-p_max=0", "beta-c=1-p_max=0"])
def test_a_distribution_that_is_switched_off_never_drops(variant, ending):
    """Then DropAlan is the identity, in training too, and so is its gradient."""
    z = np.random.default_rng(0).normal(0, 3, size=(50, 40)).astype("float32")
    gradient, y = hidden_gradient(variant + ending, z)
    np.testing.assert_array_equal(y, z)
    off = hidden_gradient(variant, z)[0]
    np.testing.assert_array_equal(gradient, off)
    np.testing.assert_array_equal(network(variant).keep_probability(z), 1)


@pytest.mark.parametrize("p_max", [0.5, 0.9])
def test_a_clip_below_the_plateau_lowers_the_plateau_too(p_max):
    """In both forms: c / z = -.2 at z = -1 would give .8."""
    z = np.random.default_rng(0).normal(0, 3, size=(50, 40)).astype("float32")
    (explicit, y), (composed, same) = (hidden_gradient(f"beta-scaled-p_max={p_max}{how}", z) for how in ("", "-composed"))
    np.testing.assert_allclose(same, y, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(composed, explicit, rtol=2e-4, atol=1e-6)


def test_inference_by_expectation_beside_the_identity():
    """The same numbers as the variant that has it at inference; None where the mean is passed on anyway."""
    for name, mean in (("alpha", "alpha-expectation"), ("beta", "beta-expectation"), ("beta-elu", "beta-expectation-elu")):
        plain, other = network(name).eval(), network(mean).eval()
        z, _, logits = plain.stages(Tensor(images()))
        np.testing.assert_array_equal(plain.by_expectation(z).data, other(Tensor(images())).data)
        assert not np.array_equal(plain.by_expectation(z).data, logits.data)
    for name in ("cnn", "dropout", "alpha-scaled", "beta-scaled"):
        net = network(name)
        assert net.by_expectation(net.stages(Tensor(images()))[0]) is None


def test_clip_outside_its_range():
    with pytest.raises(ArgumentError, match="p_max"):
        network("beta-p_max=1.5")


def test_unknown_size():
    with pytest.raises(ArgumentError, match="published, described, lite"):
        network("cnn", "huge")


@pytest.mark.parametrize("variant", ["alpha-relu", "beta-relu", "beta-scaled-relu", "beta-scaled-detach-relu"])
def test_a_relu_after_dropalan_is_a_relu(variant):
    """What is not negative is never dropped, and the ReLU zeroes the rest: the paper's idea gives the plain CNN, bit for bit."""
    x, labels = images(), np.arange(6)
    plain, other = network("cnn"), network(variant)
    for net in (plain, other):
        md.functional.softmax_cross_entropy(net(Tensor(x)), labels).backward()
    for p, q in zip(plain.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)


def test_stages_and_keep_probability():
    net = network("beta-scaled").eval()
    z, hidden, logits = net.stages(Tensor(images()))
    assert (z.shape, hidden.shape, logits.shape) == ((6, 512), (6, 512), (6, 10))
    np.testing.assert_array_equal(hidden.data, z.data)  # identity at inference
    expected = np.where(z.data >= 0, 1, np.where(z.data > -1, 0.2, -0.2 / np.minimum(z.data, -1)))
    np.testing.assert_allclose(net.keep_probability(z.data), expected, rtol=1e-5)
    np.testing.assert_array_equal(network("cnn").keep_probability(z.data), 1)
    np.testing.assert_array_equal(network("dropout").keep_probability(z.data), 0.5)


def test_pooling_and_relu_commute_to_the_bit():
    """So it does not matter that the networks pool first, where the paper's code applies the ReLU first."""
    values = np.random.default_rng(0).normal(size=(3, 4, 8, 6)).astype("float32").round(1)  # with ties
    grad = np.random.default_rng(1).normal(size=(3, 4, 4, 3)).astype("float32")
    outcomes = []
    for stages in (
        (md.functional.relu, lambda x: md.functional.max_pool2d(x, 2)),
        (lambda x: md.functional.max_pool2d(x, 2), md.functional.relu),
    ):
        x = md.Tensor(values, requires_grad=True)
        y = stages[1](stages[0](x))
        y.backward(grad)
        outcomes.append((y.data, x.grad))
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 1)])
def test_a_pool_takes_its_gradient_in_either_order_of_memory(kernel, stride):
    """After a flatten it is stored as (N, C, H, W), after a convolution as (H, W, N, C)."""
    random = np.random.default_rng(0)
    values = random.integers(0, 5, (2, 3, 7, 7)).astype("float32")  # with ties
    gradients = []
    for order in ((0, 1, 2, 3), (2, 3, 0, 1)):
        x = md.Tensor(np.ascontiguousarray(values.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1), requires_grad=True)
        y = md.functional.max_pool2d(x, kernel, stride)
        upstream = np.random.default_rng(1).normal(size=y.shape).astype("float32")
        y.backward(np.ascontiguousarray(upstream.transpose(order)).transpose(np.argsort(order)))
        gradients.append(x.grad)
        assert x.grad.transpose(2, 3, 0, 1).flags.c_contiguous
    np.testing.assert_array_equal(*gradients)


# As published ---------------------------------------------------------------------------------------------------------


def hidden_gradient(variant, z, seed=0):
    """dL/dz of a random linear loss through the hidden stage of a network of this variant; its output."""
    net = network(variant, seed=seed)
    z = Tensor(z, requires_grad=True)
    y = net.hidden(z)
    weights = np.random.default_rng(1).normal(size=z.shape).astype("float32")
    (y * Tensor(weights)).sum().backward()
    return z.grad, y.data


@pytest.mark.parametrize(
    "variant", ["alpha", "beta", "alpha-scaled", "beta-scaled", "beta-scaled-detach", "beta-scaled-p_max=.9"]
)
def test_composed_is_the_explicit_op_but_at_zero(variant):
    z = np.random.default_rng(0).normal(0, 3, size=(50, 40)).astype("float32")
    (explicit, y), (composed, same) = (hidden_gradient(name, z) for name in (variant, variant + "-composed"))
    np.testing.assert_allclose(same, y, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(composed, explicit, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("variant", "dies"), [("beta-scaled", True), ("beta-scaled-detach", False), ("beta", False), ("alpha-scaled", False)]
)
def test_one_exact_zero_costs_the_composed_gradient(variant, dies):
    """Only where a gradient flows through the division of beta, and only that element: nothing shows in the output."""
    z = np.array([[0.5, 0.0, -0.5, -2.0]], dtype="float32")
    gradient, y = hidden_gradient(variant + "-composed", z)
    assert np.isfinite(y).all()
    assert np.isnan(gradient).tolist() == [[False, dies, False, False]]
    gradient, _ = hidden_gradient(variant, z)
    assert np.isfinite(gradient).all()


def test_the_anomaly_is_named():
    z = Tensor(np.array([0.0, 1.0], dtype="float32"), requires_grad=True)
    with md.detect_anomaly(), pytest.raises(md.errors.AnomalyError, match="Div: the output is not finite"):
        network("beta-scaled-composed").hidden(z).sum().backward()


def test_a_relu_that_swallows_nan_hides_it():
    x = np.array([[np.nan, -1.0, 2.0]], dtype="float32")
    kinds = {name: network(name).relu for name in ("cnn", "cnn-swallow")}
    np.testing.assert_array_equal(kinds["cnn"](Tensor(x)).data, [[np.nan, 0, 2]])
    np.testing.assert_array_equal(kinds["cnn-swallow"](Tensor(x)).data, [[0, 0, 2]])
    net = network("beta-scaled-swallow", relu_logits=True)
    for parameter in net.parameters():
        parameter.data[...] = np.nan
    loss = md.functional.softmax_cross_entropy(net(Tensor(images(16))), np.arange(16) % 10)
    assert loss.data.item() == np.float32(np.log(10))  # all logits are 0, and no NaN is visible


def test_composed_is_for_the_papers_distributions():
    for wrong in ("beta", object()):
        with pytest.raises(ArgumentError, match="ComposedDropAlan: bad distribution"):
            ComposedDropAlan(wrong)


def test_numbers_for_the_step_are_for_all():
    assert Variant("cnn-learning_rate=.05-clip_norm=2").numbers == {"learning_rate": 0.05, "clip_norm": 2.0}
    assert Variant("beta-p_max=.9-clip_norm=2").distribution.p_max == 0.9
    assert Variant("beta-scaled-learning_rate=1e-3-clip_norm=2E+0-linear").numbers == {"learning_rate": 1e-3, "clip_norm": 2.0}
    assert Variant("beta-scaled-learning_rate=1e-3-clip_norm=2E+0-linear").options == {"scaled", "linear"}
    for name, problem in {
        "cnn-p_max=.9": "p_max= does not go with cnn",
        "cnn-clip_norm=0": "clip_norm=0: not above 0",
        "cnn-composed": "'composed' does not go with cnn",
        "cnn-rate=.1": "unknown option rate=",
        "beta-composed-expectation": "composed or expectation",
    }.items():
        with pytest.raises(ArgumentError, match=problem):
            Variant(name)
