"""What a module is made of: which parameters and parts are found, and that none is lost in silence."""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np
import pytest

import minidrop as md
from minidrop.errors import ArgumentError, DTypeError, GraphError, MinidropError, ShapeError, StateError

nn = md.nn
X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def names(module):
    return [name for name, _ in module.named_parameters()]


# Assignment -----------------------------------------------------------------------------------------------------------


def step(layer, optimizer):
    optimizer.zero_grad()
    layer(X).sum().backward()
    optimizer.step()


class TestNumbersForAParameter:
    def test_scaling_in_place_keeps_the_parameter_and_its_optimiser(self):
        layer = nn.Dense(3, 2)
        weight, before = layer.weight, layer.weight.data.copy()
        optimizer = md.optim.SGD(layer.parameters(), lr=0.1)
        with md.no_grad():
            layer.weight *= 0.5
            layer.bias += 1
        assert layer.weight is weight and isinstance(layer.weight, nn.Parameter) and names(layer) == ["weight", "bias"]
        np.testing.assert_array_equal(layer.state_dict()["weight"], before / 2)
        np.testing.assert_array_equal(layer.bias.data, [1, 1])
        step(layer, optimizer)
        np.testing.assert_allclose(layer.weight.data, before / 2 - 0.1 * X.sum(axis=0)[:, None], rtol=1e-4)

    @pytest.mark.parametrize(
        "numbers",
        [
            np.arange(6.0).reshape(3, 2),
            np.arange(6).reshape(3, 2),
            md.Tensor(np.arange(6.0).reshape(3, 2)),
            [[0, 1], [2, 3], [4, 5]],
            np.asfortranarray(np.arange(6, dtype="float16").reshape(3, 2)),
        ],
        ids=["float64", "int", "tensor", "list", "other order"],
    )
    def test_an_array_or_a_constant_tensor(self, numbers):
        layer = nn.Dense(3, 2)
        weight = layer.weight
        layer.weight = numbers
        assert layer.weight is weight and weight.requires_grad and weight.dtype == np.float32
        np.testing.assert_array_equal(weight.data, np.arange(6).reshape(3, 2))
        if isinstance(numbers, np.ndarray):
            numbers[...] = 7
            assert weight.data[0, 0] == 0, "no memory is shared"

    def test_a_buffer_and_a_plain_tensor_that_is_trained(self):
        layer = nn.BatchNorm1d(3)
        layer(X)
        layer.running_mean *= 0
        layer.running_var = np.ones(3)
        assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
        assert not layer.running_mean.data.any() and layer.running_var.dtype == np.float32
        own = nn.Module()
        own.scale = md.Tensor([2.0], requires_grad=True)
        scale = own.scale
        for constant in (np.array([3.0]), md.Tensor([3.0]), [3.0]):
            with pytest.raises(
                ArgumentError, match=r"would be lost(.|\n)*help: make it an md\.nn\.Parameter(.|\n)*scale\.data"
            ):
                own.scale = constant
        assert names(own) == ["scale"] and own.scale is scale and scale.item() == 2
        own.scale = md.Tensor([4.0], requires_grad=True)
        assert own.scale is not scale and scale.item() == 2 and names(own) == ["scale"]
        own.scale = None
        own.scale = np.array([3.0])
        assert names(own) == []

    def test_what_a_user_hands_over_is_never_written_to(self):
        class Watching(nn.Module):
            def forward(self, x):
                self.seen = x
                return x

        watching, image = Watching(), md.Tensor(np.ones((2, 2)), requires_grad=True)
        watching(image)
        with pytest.raises(ArgumentError, match=r"Watching\.seen"):
            watching(md.Tensor(np.zeros((2, 2))))
        assert (image.data == 1).all()

    def test_in_place_under_another_name(self):
        """An average of weights: the teacher's parameters are frozen, and changed through a list of them."""
        layer = nn.Dense(3, 2)
        norm = nn.BatchNorm1d(3)
        layer.weight.requires_grad = False
        for tensor in (layer.weight, norm.running_var):
            other, before = tensor, tensor.data.copy()
            other *= 0.5
            other += 1.0
            assert other is tensor
            np.testing.assert_array_equal(tensor.data, before * np.float32(0.5) + 1)
        layer.stored = {"count": nn.Buffer(np.zeros(1)), "list": [nn.Buffer(np.zeros(1))]}
        layer.stored["count"] += 1
        layer.stored["list"][0] += 2
        assert layer.state_dict()["stored.count"] == 1 and layer.state_dict()["stored.list.0"] == 2
        with md.no_grad():
            layer.bias += 7.5
            layer.bias //= 2
            layer.bias %= 2
        assert layer.bias.data.tolist() == [1, 1] and layer.bias.requires_grad
        with pytest.raises(GraphError, match="in place"):
            norm.running_mean += md.Tensor(np.ones(3, "float32"), requires_grad=True)

    def test_no_fractions_for_integers(self):
        layer = nn.Module()
        layer.count = nn.Buffer(np.zeros(2, "int64"))
        for wrong in ([2.7, 1.0], np.array([np.nan, 1])):
            with pytest.raises(DTypeError, match="fractions"):
                layer.count = wrong
            with pytest.raises(StateError, match="fractions"):
                layer.load_state_dict({"count": np.asarray(wrong)})
        layer.count = [2, 3]
        assert layer.count.data.tolist() == [2, 3] and layer.count.dtype == np.int64

    def test_a_buffer_keeps_its_array(self):
        """A captured step writes to it."""
        norm = nn.BatchNorm1d(3)
        array = norm.running_mean.data
        norm.running_mean = [1.0, 2.0, 3.0]
        assert norm.running_mean.data is array and array.tolist() == [1, 2, 3]
        norm.load_state_dict({"running_mean": np.zeros(3)}, strict=False)
        assert norm.running_mean.data is array and not array.any()

    def test_on_its_device(self, library):
        layer = nn.Dense(3, 2).to(library.device)
        layer.bias = np.array([1.0, 2.0])
        assert layer.bias.device == library.device and layer.bias.numpy().tolist() == [1, 2]
        layer.bias = library.array(np.array([3.0, 4.0]))
        with md.no_grad():
            layer.bias *= 2
        assert layer.bias.device == library.device and layer.bias.numpy().tolist() == [6, 8]

    def test_a_new_parameter_replaces_the_old_one_and_none_takes_it_away(self):
        one, other = nn.Dense(3, 2), nn.Dense(3, 2)
        one.weight = other.weight
        assert one.weight is other.weight
        one.weight = nn.Parameter(np.zeros((3, 4), "float32"))
        one.bias = None
        assert names(one) == ["weight"] and one(X).shape == (5, 4)
        one.bias = nn.Parameter(np.ones(4, "float32"))
        assert names(one) == ["weight", "bias"]
        del one.bias
        assert names(one) == ["weight"]

    @pytest.mark.parametrize(
        ("value", "error", "words"),
        [
            (np.zeros((2, 3)), ShapeError, r"Dense\.weight: numbers of another shape\n.*\(3, 2\)\n.*\(2, 3\)"),
            (0.0, ShapeError, "another shape"),
            ("zeros", DTypeError, "str 'zeros'(.|\n)*help"),
            (np.zeros((3, 2), complex), DTypeError, "complex128"),
            (np.zeros((3, 2), object), DTypeError, "object"),
            ([[1.0], [2.0, 3.0]], DTypeError, "no numbers"),
            (nn.ReLU(), DTypeError, "no numbers"),
        ],
        ids=["shape", "number", "text", "complex", "objects", "ragged", "module"],
    )
    def test_what_does_not_fit_is_refused_and_nothing_changes(self, value, error, words):
        layer = nn.Dense(3, 2)
        weight, before = layer.weight, layer.weight.data.copy()
        with pytest.raises(error, match=words):
            layer.weight = value
        assert layer.weight is weight
        np.testing.assert_array_equal(weight.data, before)

    def test_a_result_with_a_history_says_no_grad(self):
        layer = nn.Dense(3, 2)
        with pytest.raises(GraphError, match=r"Dense\.weight(.|\n)*the output of Mul\n(.|\n)*with md\.no_grad\(\):"):
            layer.weight = layer.weight * 0.5
        with pytest.raises(GraphError, match=r"with md\.no_grad\(\):"):
            layer.weight *= 0.5
        assert names(layer) == ["weight", "bias"]

    def test_other_attributes_are_as_always(self):
        layer = nn.Dense(3, 2)
        layer.note = layer(X)
        layer.note = np.ones(3)
        layer.note = "x"
        layer.inner = nn.ReLU()
        layer.inner = None
        assert layer.note == "x" and layer.inner is None


# Containers -----------------------------------------------------------------------------------------------------------


class Own(nn.Module):
    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


class TestContainers:
    def test_nested_lists_tuples_and_dicts_in_their_order(self):
        own = Own(
            blocks=[[nn.Dense(1, 1, bias=False), nn.Dense(1, 1, bias=False)], (nn.BatchNorm1d(1),)],
            heads={"right": nn.Dense(1, 2), "left": {"up": [nn.Dense(1, 3)]}, 7: None},
            scales=OrderedDict(b=nn.Parameter([1.0]), a=[md.Tensor([2.0], requires_grad=True)]),
            numbers=[1, "two", {3: 4.0}],
        )
        assert names(own) == [
            "scales.b",
            "scales.a.0",
            "blocks.0.0.weight",
            "blocks.0.1.weight",
            "blocks.1.0.weight",
            "blocks.1.0.bias",
            "heads.right.weight",
            "heads.right.bias",
            "heads.left.up.0.weight",
            "heads.left.up.0.bias",
        ]
        assert [name for name, _ in own.children()][:3] == ["blocks.0.0", "blocks.0.1", "blocks.1.0"]
        own.eval()
        assert not own.heads["left"]["up"][0].training and not own.blocks[1][0].training
        other = Own(**{name: value for name, value in vars(own).items() if name != "training"})
        other.load_state_dict({name: array + 1 for name, array in own.state_dict().items()})
        assert own.scales["b"].item() == 2 and own.blocks[1][0].running_var.item() == 2

    def test_what_is_used_twice_is_listed_once(self):
        shared = nn.Dense(2, 2)
        model = nn.Sequential(shared, nn.ReLU(), shared, nn.Sequential(shared))
        assert [name for name, _ in model.named_modules()] == ["", "0", "1", "3"]
        assert list(model.state_dict()) == ["0.weight", "0.bias"] and len(model.parameters()) == 2
        table = str(model).splitlines()
        assert table[-2 if "?" in table[-1] else -1].split() == ["total", "6"]
        assert sum("Dense(2, 2)" in line and line.startswith("0:") for line in table) == 1

    def test_a_reference_back_and_a_list_that_holds_itself(self):
        parent = Own(child=Own(weight=nn.Parameter([1.0, 2.0])), again=[])
        parent.child.parent = parent
        parent.again += [parent.again, {"me": parent}]
        assert names(parent) == ["child.weight"] and names(parent.child) == ["weight"]
        assert [name for name, _ in parent.named_modules()] == ["", "child"]
        parent.eval().train().to("cpu")
        assert parent.child.training and parent.load_state_dict({"child.weight": [3, 4]}) is parent
        parent.forward = lambda x: x * parent.child.weight
        assert "child: Own()" in repr(parent) and parent.summary((1, 2)).splitlines()[2].split()[-1] == "2"

    @pytest.mark.parametrize(
        "make",
        [
            lambda layer: {layer},
            lambda layer: frozenset([layer.weight]),
            lambda layer: deque([[layer]]),
            lambda layer: {"a": layer}.values(),
            lambda layer: np.array([layer, None], dtype=object),
        ],
        ids=["set", "frozenset", "deque", "view", "objects"],
    )
    def test_other_containers_are_refused(self, make):
        own, container = Own(), make(nn.Dense(2, 2))
        with pytest.raises(ArgumentError, match=r"layers: a module does not look(.|\n)*help: self\.layers = \[\.\.\.\]"):
            own.layers = container
        assert "layers" not in vars(own)
        own.things = [1, {"deep": container}]
        for ask in (own.parameters, own.eval, own.state_dict):
            with pytest.raises(ArgumentError, match=r"things\.1\.deep: a module does not look"):
                ask()

    def test_other_containers_of_other_things_are_fine(self):
        own = Own(seen={1, 2}, recent=deque([X]), names=np.array(["a", None], dtype=object), keys={"a": 1}.keys())
        assert own.parameters() == []

    def test_two_tensors_of_one_name(self):
        own = Own(table={0: nn.Parameter([1.0]), "0": nn.Parameter([2.0])})
        with pytest.raises(StateError, match=r"two tensors with the name table\.0"):
            own.state_dict()

    def test_a_chains_other_lists_have_names(self):
        model = nn.Sequential(nn.Dense(2, 2, bias=False))
        model.more = [nn.Dense(2, 2, bias=False)]
        assert names(model) == ["0.weight", "more.0.weight"]


# State dictionaries ---------------------------------------------------------------------------------------------------


class TestLoading:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("text", "no numbers 1.weight: str 'text'"),
            (None, "no numbers 1.weight: NoneType None"),
            (np.zeros((3, 1), object), "no numbers 1.weight: an array of object"),
            (np.zeros((3, 1), complex), "no numbers 1.weight: an array of complex128"),
            ([[1], [2, 3], [4]], "no numbers 1.weight: list"),
            ([1, 2, 3], r"wrong shape 1.weight: \(3,\) instead of \(3, 1\)"),
        ],
    )
    @pytest.mark.parametrize("strict", [True, False])
    def test_a_bad_value_for_one_name_changes_nothing(self, value, words, strict):
        model = nn.Sequential(nn.Dense(2, 3), nn.Dense(3, 1))
        before = model.state_dict()
        state = {name: array + 1 for name, array in before.items()}
        with pytest.raises(StateError, match=words):
            model.load_state_dict({**state, "1.weight": value}, strict=strict)
        for name, array in model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])

    def test_not_strict_returns_what_was_left_out(self):
        model = nn.Sequential(nn.Dense(2, 3), nn.Dense(3, 1))
        state = {"0.bias": np.ones(3), "5.bias": np.ones(1), "other": "what may be"}
        left_out = model.load_state_dict(state, strict=False)
        assert left_out == (["0.weight", "1.weight", "1.bias"], ["5.bias", "other"])
        assert left_out.missing_keys[0] == "0.weight" and left_out.unexpected_keys[1] == "other"
        np.testing.assert_array_equal(model[0].bias.data, [1, 1, 1])
        assert model.load_state_dict(model.state_dict()) is model

    def test_what_is_no_state(self):
        for value in ("weights.safetensors", [("0.weight", X)], None):
            with pytest.raises(StateError, match="not a state"):
                nn.Dense(2, 3).load_state_dict(value)

    def test_a_whole_checkpoint_in_its_place(self, tmp_path):
        layer = nn.Dense(2, 3)
        md.save(tmp_path / "file", layer)
        with pytest.raises(StateError, match=r"extra module(.|\n)*help: md\.load\(path\)\.module"):
            layer.load_state_dict(md.load(tmp_path / "file"))
        assert layer.load_state_dict(md.load(tmp_path / "file").module) is layer

    def test_values_of_another_library(self):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        layer, theirs = nn.Dense(2, 3), torch.nn.Linear(2, 3)
        layer.load_state_dict({"weight": theirs.weight.detach().T, "bias": theirs.bias.detach()})
        np.testing.assert_allclose(layer(X[:, :2]).data, theirs(torch.tensor(X[:, :2])).detach().numpy(), rtol=1e-5, atol=1e-6)


# Sequential -----------------------------------------------------------------------------------------------------------


class TestSequential:
    def test_a_list_is_a_sequential_of_its_items(self):
        layers = [nn.Dense(3, 4), nn.ReLU(), nn.Dense(4, 2)]
        for made in (nn.Sequential(layers), nn.Sequential(tuple(layers)), nn.Sequential(*layers)):
            assert list(made) == layers and len(made.parameters()) == 4
            np.testing.assert_array_equal(made(X).data, layers[2](layers[1](layers[0](X))).data)

    @pytest.mark.parametrize(
        ("make", "help"),
        [
            (lambda: nn.Sequential(nn.Dense(2, 2), nn.ReLU), r"write ReLU\(\.\.\.\)"),
            (lambda: nn.Sequential(nn.Dense(2, 2), md.functional.relu), "are layers in md.nn"),
            (lambda: nn.Sequential(nn.Dense(2, 2), None), "NoneType"),
            (lambda: nn.Sequential([nn.Dense(2, 2)], [nn.ReLU()]), r"Sequential\(\*layers\)"),
            (lambda: nn.Sequential(nn.ReLU()).append("relu"), "str"),
            (lambda: nn.Sequential(nn.ReLU()).extend([nn.ReLU(), 3]), "int"),
            (lambda: nn.Sequential(nn.ReLU()).insert(0, nn.ReLU), r"write ReLU\(\.\.\.\)"),
        ],
    )
    def test_what_is_no_layer_is_refused(self, make, help):
        with pytest.raises(ArgumentError, match=f"Sequential: not a layer of it(.|\n)*{help}"):
            make()

    def test_a_part_of_itself_is_refused(self):
        model = nn.Sequential(nn.ReLU())
        for layer in (model, nn.Sequential(model)):
            with pytest.raises(MinidropError, match="contains itself"):
                model.append(layer)
        assert len(model) == 1

    def test_append_extend_insert_and_replace(self):
        a, b, c, d = (nn.Dense(2, 2, bias=False) for _ in range(4))
        model = nn.Sequential(a).append(b).extend([c])
        model.insert(0, d)
        assert list(model) == [d, a, b, c] and model[-1] is c and names(model) == [f"{i}.weight" for i in range(4)]
        model[1] = nn.ReLU()
        assert names(model) == ["0.weight", "2.weight", "3.weight"]
        with pytest.raises(ArgumentError):
            model[1] = nn.ReLU
        with pytest.raises(IndexError):
            model[4]

    def test_a_slice_is_a_sequential_that_shares_the_layers(self):
        model = nn.Sequential(nn.Dense(3, 4), nn.ReLU(), nn.Dense(4, 2))
        head, tail = model[:-1], model[-1:]
        assert isinstance(head, nn.Sequential) and head[0] is model[0] and len(tail) == 1
        np.testing.assert_array_equal(tail(head(X)).data, model(X).data)
        model[0].bias = np.ones(4)
        assert head.state_dict()["0.bias"].tolist() == [1, 1, 1, 1]
