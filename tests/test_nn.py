"""Layers: shapes, parameters, state, initialisation, printing; a network on every library."""

from __future__ import annotations

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, GraphError, MinidropError, ShapeError, StateError
from minidrop.nn.initialise import INITIALISERS, initialise

nn, F = md.nn, md.functional


def small_network(seed=0, **kwargs):
    g = md.Generator(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same", generator=g, **kwargs),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, stride=2, padding=1, generator=g, **kwargs),
        nn.BatchNorm2d(5, **kwargs),
        nn.ELU(),
        nn.Flatten(),
        nn.Dense(20, 6, generator=g, **kwargs),
        nn.BatchNorm1d(6, **kwargs),
        nn.DropAlan("beta", scaled=True, generator=g),
        nn.Dropout(0.3, generator=g),
        nn.Dense(6, 3, bias=False, generator=g, **kwargs),
    )


IMAGES = np.random.default_rng(0).normal(size=(5, 1, 8, 8)).astype("float32")
LABELS = np.array([0, 1, 2, 1, 0])


class TestLayers:
    def test_shapes_of_weights_and_outputs(self):
        assert nn.Dense(3, 4).weight.shape == (3, 4) and nn.Dense(3, 4).bias.shape == (4,)
        conv = nn.Conv2d(3, 8, (5, 2), stride=(2, 1), padding=(1, 0))
        assert conv.weight.shape == (8, 3, 5, 2) and conv(np.zeros((2, 3, 9, 9), "float32")).shape == (2, 8, 4, 8)
        assert nn.MaxPool2d(2)(np.zeros((1, 2, 7, 7), "float32")).shape == (1, 2, 3, 3)
        assert nn.MaxPool2d(3, 1)(np.zeros((1, 2, 7, 7), "float32")).shape == (1, 2, 5, 5)
        assert nn.Flatten()(np.zeros((2, 3, 4, 5), "float32")).shape == (2, 60)

    def test_the_papers_network_with_same_padding_has_1024_and_576_features(self):
        for size, channels, features in ((32, 3, 1024), (28, 1, 576)):
            layers = [nn.Conv2d(channels, 64, 11, padding="same"), nn.MaxPool2d(2), nn.Conv2d(64, 64, 7, padding="same")]
            layers += [nn.MaxPool2d(2), nn.Conv2d(64, 64, 5, padding="same"), nn.MaxPool2d(2), nn.Flatten()]
            assert nn.Sequential(*layers)(np.zeros((1, channels, size, size), "float32")).shape == (1, features)

    def test_dense_is_x_at_weight_plus_bias(self):
        layer, x = nn.Dense(3, 4), np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        layer.bias.data[...] = [1, 2, 3, 4]
        np.testing.assert_allclose(layer(x).data, x @ layer.weight.data + [1, 2, 3, 4], rtol=1e-6)

    def test_batch_norm_normalises_in_training_and_uses_running_statistics_after(self):
        layer = nn.BatchNorm1d(2)
        x = np.array([[1.0, 10.0], [3.0, 30.0]], dtype="float32")
        np.testing.assert_allclose(layer(x).data, [[-1, -1], [1, 1]], atol=1e-4)
        np.testing.assert_allclose(layer.running_mean.data, [0.2, 2.0], rtol=1e-6)
        np.testing.assert_allclose(layer.running_var.data, [0.9 + 0.2, 0.9 + 20], rtol=1e-6)
        layer.eval()
        np.testing.assert_allclose(layer(x).data[0], (x[0] - [0.2, 2]) / np.sqrt([1.1, 20.9]), rtol=1e-4)
        assert layer(x[:1]).shape == (1, 2)

    def test_train_and_eval_reach_every_layer(self):
        model = small_network()
        model.eval()
        assert not any(module.training for _, module in model.named_modules())
        first, second = model(IMAGES), model(IMAGES)
        np.testing.assert_array_equal(first.data, second.data)
        model.train()
        assert not np.array_equal(model(IMAGES).data, model(IMAGES).data)

    def test_own_modules_find_parameters_in_attributes_and_lists(self):
        class Own(nn.Module):
            def __init__(self):
                self.scale = nn.Parameter([2.0])
                self.blocks = [nn.Dense(2, 2), nn.Dense(2, 2)]
                self.head = nn.Sequential(nn.Dense(2, 1))
                self.again = self.scale

            def forward(self, x):
                for block in self.blocks:
                    x = block(x)
                return self.head(x) * self.scale

        names = [name for name, _ in Own().named_parameters()]
        expected = [
            "scale",
            "blocks.0.weight",
            "blocks.0.bias",
            "blocks.1.weight",
            "blocks.1.bias",
            "head.0.weight",
            "head.0.bias",
        ]
        assert names == expected
        assert Own()(np.zeros((1, 2), "float32")).shape == (1, 1)

    def test_plain_tensors_that_require_a_gradient_are_parameters_too(self):
        class Own(nn.Module):
            def __init__(self):
                self.weight = md.Tensor([2.0], requires_grad=True)
                self.more = [nn.Parameter([3.0])]
                self.constant = md.Tensor([5.0])

            def forward(self, x, scale=1.0):
                return x * self.weight * scale, x * self.more[0]

        own = Own()
        assert [name for name, _ in own.named_parameters()] == ["weight", "more.0"] == list(own.state_dict())
        first, second = own(md.Tensor([1.0]), scale=10.0)
        assert first.item() == 20 and second.item() == 3 and own.output_shape is None

    def test_a_device_is_checked_even_if_nothing_moves(self):
        with pytest.raises(MinidropError, match="unknown device"):
            nn.ReLU().to("bogus")

    def test_a_module_without_forward(self):
        with pytest.raises(TypeError, match=r"has no forward\(\)"):
            nn.Module()(1)


class TestOnEveryLibrary:
    def test_a_training_step_gives_the_same_numbers(self, library):
        reference, model = small_network(dtype="float64"), small_network(dtype="float64").to(library.device)
        assert model.parameters()[0].device == library.device
        losses = []
        for network, array in ((reference, np.asarray), (model, library.array)):
            for layer in network.layers:
                if isinstance(getattr(layer, "generator", None), md.Generator):
                    layer.generator.reseed(7)
            optimizer = md.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
            for _ in range(3):
                optimizer.zero_grad()
                loss = F.softmax_cross_entropy(network(array(IMAGES.astype("float64"))), LABELS)
                loss.backward()
                optimizer.step()
            losses.append(loss.item())
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
        for (name, ours), theirs in zip(model.state_dict().items(), reference.state_dict().values(), strict=True):
            np.testing.assert_allclose(library.numpy(ours), theirs, rtol=1e-7, atol=1e-9, err_msg=name)

    @pytest.mark.parametrize("optimizer", [md.optim.SGD, md.optim.Adam])
    def test_float32_training_on_the_device(self, library, optimizer):
        model = small_network().to(library.device)
        steps = optimizer(model.parameters(), lr=0.01)
        before = {name: library.numpy(array) for name, array in model.state_dict().items()}
        F.softmax_cross_entropy(model(library.array(IMAGES)), library.array(LABELS)).backward()
        steps.step()
        for name, parameter in model.named_parameters():
            assert parameter.dtype == np.float32 and parameter.device == library.device
            assert not np.array_equal(library.numpy(parameter.data), before[name]) or not library.numpy(parameter.grad).any()
        assert "Conv2d" in model.summary((2, 1, 8, 8))

    def test_to_and_back(self, library):
        model = small_network()
        expected = model.state_dict()
        model.to(library.device).to("cpu")
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, expected[name])


class TestState:
    def test_names_and_copies(self):
        model = nn.Sequential(nn.Dense(2, 3), nn.BatchNorm1d(3))
        state = model.state_dict()
        assert list(state) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
        state["0.weight"][...] = 7
        assert not (model[0].weight.data == 7).any()

    def test_loading_gives_the_same_network(self):
        first, second = small_network(seed=1).eval(), small_network(seed=2).eval()
        assert not np.array_equal(first(IMAGES).data, second(IMAGES).data)
        second.load_state_dict(first.state_dict())
        np.testing.assert_array_equal(first(IMAGES).data, second(IMAGES).data)

    def test_everything_that_does_not_fit_is_listed_and_nothing_changed(self):
        model = nn.Sequential(nn.Dense(2, 3), nn.Dense(3, 1))
        before = model.state_dict()
        state = model.state_dict()
        del state["0.bias"]
        state["0.weight"] = state["0.weight"].T
        state["2.weight"] = np.zeros(3)
        state["1.bias"] += 5
        with pytest.raises(StateError) as error:
            model.load_state_dict(state)
        message = str(error.value)
        assert "missing 0.bias (3,)" in message and "extra 2.weight" in message
        assert "wrong shape 0.weight: (3, 2) instead of (2, 3)" in message
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])

    def test_number_types_are_those_of_the_module(self):
        model = nn.Dense(2, 3)
        model.load_state_dict({"weight": np.ones((2, 3)), "bias": [1, 2, 3]})
        assert model.weight.dtype == np.float32
        np.testing.assert_array_equal(model.bias.data, [1, 2, 3])


class TestInitialisation:
    @pytest.mark.parametrize(
        ("name", "variance"),
        [("glorot_uniform", 2 / 500), ("glorot_normal", 2 / 500), ("he_uniform", 2 / 300), ("he_normal", 2 / 300)],
    )
    def test_variances(self, name, variance):
        weights = initialise(name, (300, 200), 300, 200, md.Generator(0), "float64")
        assert abs(weights.mean()) < 5 * np.sqrt(variance / weights.size)
        np.testing.assert_allclose(weights.var(), variance, rtol=0.03)
        if "uniform" in name:
            assert np.abs(weights).max() <= np.sqrt(3 * variance)

    def test_every_name_works_on_layers_and_others_are_refused(self):
        for name in INITIALISERS:
            assert nn.Dense(3, 4, init=name).weight.dtype == np.float32
        with pytest.raises(ArgumentError, match="bad initialiser"):
            nn.Conv2d(1, 1, 1, init="lecun")

    def test_the_default_is_glorot_uniform_as_in_the_paper(self):
        for layer, limit in ((nn.Dense(30, 20), np.sqrt(6 / 50)), (nn.Conv2d(3, 8, 5), np.sqrt(6 / (25 * 11)))):
            weights = layer.weight.data
            assert 0.95 * limit < np.abs(weights).max() <= limit * (1 + 1e-6)
            assert not layer.bias.data.any()

    def test_a_generator_decides(self):
        a, b, c = (nn.Dense(3, 4, generator=md.Generator(seed)).weight.data for seed in (1, 1, 2))
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


class TestPrinting:
    def test_the_table(self):
        model = nn.Sequential(nn.Dense(4, 1000), nn.DropAlan("alpha"), nn.Dense(1000, 10))
        assert "?" in str(model) and "summary(input_shape)" in str(model)
        table = model.summary((16, 4))
        assert table == str(model) == repr(model)
        lines = table.splitlines()
        assert lines[0].split() == ["layer", "output", "shape", "parameters"]
        assert lines[2].split() == ["0:", "Dense(4,", "1000)", "(16,", "1000)", "5,000"]
        assert lines[-1].split() == ["total", "15,010"]
        assert "Alpha(slope=0.8, limit=0.8)" in lines[3]
        model(np.zeros((3, 4), "float32"))
        assert "(3, 1000)" in str(model)

    def test_summary_leaves_no_trace(self):
        model = small_network()
        before = model.state_dict()
        model.summary((2, 1, 8, 8))
        assert all(module.training for _, module in model.named_modules())
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])

    def test_one_line_each(self):
        assert repr(nn.Conv2d(3, 64, 11, padding="same")) == "Conv2d(3, 64, 11x11, padding='same')"
        assert repr(nn.Dense(3, 4, bias=False)) == "Dense(3, 4, bias=False)"
        assert repr(nn.MaxPool2d(2)) == "MaxPool2d(2x2)" and repr(nn.Dropout(0.5)) == "Dropout(0.5)"
        assert "scaled, detach" in repr(nn.DropAlan(scaled=True, scale_gradient="detach"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Dense(0, 3), lambda: nn.Dense(3, 1.5), lambda: nn.Conv2d(1, 0, 3), lambda: nn.Conv2d(1, 1, 0),
        lambda: nn.Conv2d(1, 1, 3, padding="valid"), lambda: nn.Conv2d(1, 1, 3, padding=-1), lambda: nn.Conv2d(1, 1, 3, stride=0),
        lambda: nn.MaxPool2d((2, 2, 2)), lambda: nn.MaxPool2d(2, 0), lambda: nn.BatchNorm1d(0),
        lambda: nn.DropAlan(scale_gradient="none"), lambda: nn.DropAlan(inference="mean"),
    ],
)  # fmt: skip
def test_bad_arguments(make):
    with pytest.raises(MinidropError, match=r"bad (.|\n)*expected: (.|\n)*got: "):
        make()


# Hooks ----------------------------------------------------------------------------------------------------------------


def test_a_hook_sees_each_call_and_changes_nothing():
    layer, seen = md.nn.Dense(3, 2), []

    def look(module, inputs, output):
        seen.append((module, inputs, output))
        return "ignored"

    x = md.Tensor(np.ones((4, 3), dtype="float32"))
    plain = layer(x)
    remove = layer.register_forward_hook(look)
    watched = layer(x)
    ((module, inputs, output),) = seen
    assert module is layer and inputs == (x,) and output is watched
    np.testing.assert_array_equal(watched.data, plain.data)
    layer.eval()(x)
    assert len(seen) == 2 and [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    remove()
    remove()  # removing twice is harmless
    layer(x)
    assert len(seen) == 2


def test_hooks_run_in_order_and_belong_to_one_module():
    one, other, seen = md.nn.ReLU(), md.nn.ReLU(), []
    removes = [one.register_forward_hook(lambda *_, number=number: seen.append(number)) for number in range(3)]
    x = md.Tensor([1.0])
    one(x), other(x)
    assert seen == [0, 1, 2] and other.hooks == ()
    removes[1]()
    md.nn.Sequential(one, other)(x)
    assert seen == [0, 1, 2, 0, 2]


def test_a_module_that_looks_on_is_no_part_of_what_it_looks_at():
    layer = md.nn.Dense(3, 2)
    layer.register_forward_hook(md.nn.Sequential(md.nn.Dense(4, 4)).register_forward_hook)
    watcher = md.nn.Dense(5, 5)
    watcher.forward = lambda *_: md.Tensor([0.0])
    layer.register_forward_hook(watcher)
    assert len(layer.parameters()) == 2 and [name for name, _ in layer.named_modules()] == [""]


def test_a_module_that_fails_has_no_hook_called():
    layer = md.nn.Dense(3, 2)
    layer.register_forward_hook(lambda *_: pytest.fail("there is no output to look at"))
    with pytest.raises(ShapeError):
        layer(md.Tensor(np.ones((4, 5), dtype="float32")))


def test_a_forward_that_returns_nothing_says_so():
    class Net(nn.Module):
        def forward(self, x):
            x * 2

    with pytest.raises(GraphError, match=r"Net\.forward returned nothing(.|\n)*help: .*return"):
        Net()(np.ones(2, "float32"))


@pytest.mark.parametrize(
    ("shape", "help"),
    [((2, 8, 8), r"x\[:, None\]"), ((8, 8), r"x\[None\]"), ((2, 8, 8, 3), r"x\.transpose\(0, 3, 1, 2\)")],
)
def test_images_of_another_layout_are_told_the_way(shape, help):
    with pytest.raises(ShapeError, match=rf"help: .*{help}"):
        nn.Conv2d(3, 2, 3)(np.zeros(shape, "float32"))
