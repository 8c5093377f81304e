"""Captured steps: a replay gives the same as the recorded step; on the stand-in for CuPy, and on a GPU where there is one."""

from __future__ import annotations

import gc
import weakref

import cupy_stand_in
import numpy as np
import pytest
from cupy_gpu import FakeCublas
from hypothesis import given, strategies as st

import minidrop as md
from minidrop import backend, nn
from minidrop.capture import Capture, _pools_left
from minidrop.errors import ArgumentError, ShapeError
from minidrop.gpu import cublas
from minidrop.ops import products
from minidrop.paper.networks import Network

F = md.functional


@pytest.fixture
def xp(capturing_cupy):
    return capturing_cupy


def training(variant="dropout", seed=0, lr=0.05, size="lite", shape=(1, 8, 8)):
    """A small network on the GPU, and a step of it: (images, labels) -> (loss, hidden units)."""
    seeds = md.Generator(seed)
    network = Network(size, variant, shape, 10, seeds.spawn(), seeds.spawn()).to("cuda")
    optimizer = md.optim.SGD(network.parameters(), lr=lr)

    def step(images, labels):
        _, hidden, logits = network.stages(md.Tensor(images))
        loss = F.softmax_cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, hidden

    return network, step


def batches(xp, count, size=4):
    random = np.random.default_rng(0)
    return [
        (xp.asarray(random.random((size, 1, 8, 8)).astype("float32")), xp.asarray(random.integers(0, 10, size)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("variant", ["cnn", "dropout", "beta-scaled"])
def test_a_captured_step_trains_like_the_step_itself(xp, variant):
    network, step = training(variant)
    other, same_step = training(variant)
    captured = md.capture(same_step)
    for images, labels in batches(xp, 8):
        loss, hidden = step(images, labels)
        replayed, replayed_hidden = captured(images, labels)
        assert replayed.item() == pytest.approx(loss.item(), rel=1e-5)
        different = (hidden.numpy() == 0) != (replayed_hidden.numpy() == 0)  # the same masks, except for inputs that round to 0
        assert different.mean() < 0.01
    assert captured.reason is None and captured.graph is not None
    for own, peer in zip(network.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(own.numpy(), peer.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", ["op by op", "captured", "together"])
@pytest.mark.parametrize("regulariser", ["dropout", "alpha", "beta"])
def test_on_digits_losses_and_masks_are_the_cpus(xp, regulariser, way):
    """Masks bit for bit; DropAlan's to the last bit of an input that decides."""
    digits = md.datasets.digits("train")
    images = (digits.images.reshape(-1, 64) / digits.maximum).astype("float32")

    def training(device):
        seeds = md.Generator(3)
        first, last = (nn.Dense(*shape, generator=seeds.spawn()).to(device) for shape in ((64, 100), (100, 10)))
        masks, optimizer = seeds.spawn(), md.optim.SGD([*first.parameters(), *last.parameters()], lr=0.1)

        def step(x, labels):
            hidden = first(md.Tensor(x))
            if regulariser == "dropout":
                hidden, mask = F.dropout(hidden, 0.5, generator=masks, return_mask=True)
            else:
                hidden, mask = F.dropalan(hidden, regulariser, True, generator=masks, return_mask=True)
            loss = F.softmax_cross_entropy(last(hidden.relu()), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss, mask

        return step

    steps = [training("cuda") for _ in range(2 if way == "together" else 1)]
    steps = steps if way == "op by op" else [md.capture(step) for step in steps]
    on_cpu, differing = training("cpu"), []
    for number in range(8):
        rows = slice(16 * number, 16 * number + 16)
        loss, mask = on_cpu(images[rows], digits.labels[rows])
        there = xp.asarray(images[rows]), xp.asarray(digits.labels[rows])
        results = md.together(steps, [there] * 2) if way == "together" else [steps[0](*there)]
        for loss_there, mask_there in results:
            assert loss_there.item() == pytest.approx(loss.item(), rel=1e-4)
            differing.append((backend.to_numpy(mask_there) != mask).mean())
            assert 0 < mask.mean() < 1
    assert way == "op by op" or all(step.graph is not None for step in steps)
    assert max(differing) <= (0 if regulariser == "dropout" else 1e-3)


def test_each_replay_draws_a_new_mask_and_moves_the_generator_on(xp):
    generator, reference = md.Generator(5), md.Generator(5)
    ones = xp.ones((40, 10), dtype="float32")
    captured = md.capture(lambda x: F.dropout(md.Tensor(x), 0.5, generator=generator))
    for _ in range(7):
        got = captured(ones).numpy()
        expected = F.dropout(md.Tensor(ones), 0.5, generator=reference).numpy()
        np.testing.assert_array_equal(got, expected)
        assert generator.counter == reference.counter
    assert captured.graph is not None


def test_a_counter_baked_into_the_graph_would_repeat_the_mask(xp, monkeypatch):
    """The error that the test above must catch."""

    def draw(self, generator, xp, blocks):
        baked = xp.zeros(1, dtype="uint64") + generator.counter
        generator.counter += blocks
        self.blocks[generator] = blocks
        return baked

    monkeypatch.setattr(Capture, "draw", draw)
    if not backend.has_kernels(xp.ones(1)):
        pytest.skip("no C++ compiler: the stand-in has no kernels, and draws in array code")
    generator = md.Generator(5)
    captured = md.capture(lambda x: F.dropout(md.Tensor(x), 0.5, generator=generator))
    ones = xp.ones((40, 10), dtype="float32")
    masks = [captured(ones).numpy().copy() for _ in range(6)]
    assert (masks[0] != masks[1]).any() and (masks[4] == masks[5]).all()


def test_a_generator_that_is_reseeded_is_followed(xp):
    generator = md.Generator(5)
    captured = md.capture(lambda x: F.dropout(md.Tensor(x), 0.5, generator=generator))
    ones = xp.ones((40, 10), dtype="float32")
    first = captured(ones).numpy().copy()
    for _ in range(5):
        captured(ones)
    generator.load_state_dict({"seed": 5, "counter": 0})
    np.testing.assert_array_equal(captured(ones).numpy(), first)


def test_another_seed_is_recorded_anew(xp):
    generator = md.Generator(5)
    captured = md.capture(lambda x: F.dropout(md.Tensor(x), 0.5, generator=generator))
    ones = xp.ones((40, 10), dtype="float32")
    for _ in range(5):
        captured(ones)
    generator.reseed(6)
    expected = F.dropout(md.Tensor(ones), 0.5, generator=md.Generator(6)).numpy()
    np.testing.assert_array_equal(captured(ones).numpy(), expected)


def test_replicas_run_together_as_they_would_alone(xp):
    alone, together = [], []
    for seed in (1, 2, 3):
        _, step = training(seed=seed)
        alone.append([step(*batch)[0].item() for batch in batches(xp, 6)])
    steps = [md.capture(training(seed=seed)[1]) for seed in (1, 2, 3)]
    for batch in batches(xp, 6):
        together.append([loss.item() for loss, _ in md.together(steps, [batch] * 3)])
    np.testing.assert_allclose(np.transpose(together), alone, rtol=1e-5)
    assert len({step.stream for step in steps}) == 3 and all(step.graph is not None for step in steps)


def test_what_a_step_makes_lies_in_a_pool_of_its_own(xp):
    """Memory of the common pool would be reused, while each replay still writes to it."""
    captured = md.capture(lambda x: (md.Tensor(x) + 1).data)
    ones = xp.ones((64, 1024), dtype="float32")
    for _ in range(4):
        captured(ones)
    assert captured.graph is not None and captured.pool.total_bytes() >= ones.nbytes


def test_tensors_reach_the_step_as_tensors(xp):
    captured = md.capture(lambda x, y: (x * 2, type(y).__name__))
    for _ in range(5):
        doubled, kind = captured(md.Tensor(xp.ones(3, dtype="float32")), xp.ones(2, dtype="float32"))
        np.testing.assert_array_equal(doubled.numpy(), [2, 2, 2])
        assert kind == "ndarray"
    assert captured.graph is not None


def test_weights_that_are_loaded_later_are_trained_from_there(xp):
    """They are in other memory than the graph writes to: the step is recorded again."""
    network, step = training("cnn")
    other, same_step = training("cnn")
    captured = md.capture(same_step)
    start = network.state_dict()
    for number, batch in enumerate(batches(xp, 12)):
        if number == 6:
            for each in (network, other):
                each.load_state_dict(start)
        assert captured(*batch)[0].item() == pytest.approx(step(*batch)[0].item(), rel=1e-5)
    assert captured.graph is not None and captured.reason is None


@pytest.mark.parametrize("shape", [(3, 1, 2), (4, 3, 1, 1)])
def test_a_velocity_grows_from_replay_to_replay_in_any_layout(xp, shape):
    """Strides along axes of length 1 are meaningless, and need not agree."""
    trained = []
    for run_by in (lambda step: step, md.capture):
        weight = md.Tensor(xp.asarray(np.ones(shape, "float32")), requires_grad=True)
        odd = [4 if length == 1 else step for length, step in zip(shape, np.ones(shape, "float32").strides, strict=True)]
        weight.data = xp.asarray(np.ones(shape, "float32"))
        if hasattr(weight.data, "_host"):  # the stand-in: any strides can be given
            weight.data._host = np.lib.stride_tricks.as_strided(weight.data._host, shape, odd)
        optimizer = md.optim.SGD([weight], lr=0.1, momentum=0.9)

        def step(x, weight=weight, optimizer=optimizer):
            loss = (weight * md.Tensor(x)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run = run_by(step)
        for _ in range(10):
            run(xp.ones(shape, dtype="float32"))
        trained.append(weight.numpy())
    np.testing.assert_allclose(*trained, rtol=1e-5)
    assert trained[0].max() < -3


def steps_on_the_second_gpu(xp):
    """Two captured steps, alone and together, while the first GPU is the current one."""
    with xp.cuda.Device(1):
        there = xp.ones(3, dtype="float32")
    captured, other = md.capture(lambda x: md.Tensor(x) * 2), md.capture(lambda x: md.Tensor(x) * 3)
    for _ in range(5):
        assert captured(there).device == "cuda:1"
        assert [result.numpy()[0] for result in md.together([captured, other], [[there], [there]])] == [2, 3]
    return captured, other


def test_on_another_gpu_there(xp, two_gpus):
    """CUDA refuses work on a stream of a GPU that is not the current one; copies and events are the easiest to forget."""
    assert all(step.graph is not None for step in steps_on_the_second_gpu(xp))


def test_on_another_gpu_its_own_stream_waits(stand_in, monkeypatch):
    """CUDA lets any stream wait for any event, so the real CuPy cannot say that it was the wrong one."""
    xp = stand_in
    monkeypatch.setattr(cublas, "load_library", lambda xp: FakeCublas())
    devices, stream = [], type(xp.cuda.get_current_stream())
    record, wait = stream.record, stream.wait_event
    monkeypatch.setattr(stream, "record", lambda self: (devices.append(cupy_stand_in.current_device()), record(self))[1])
    monkeypatch.setattr(
        stream, "wait_event", lambda self, event: (devices.append(cupy_stand_in.current_device()), wait(self, event))[1]
    )
    steps_on_the_second_gpu(xp)
    assert len(devices) > 20 and set(devices) == {1}


def test_what_a_step_has_made_outlives_it(xp):
    """CuPy 13 frees a memory pool with all that is in it; new arrays would get that memory."""
    captured = md.capture(lambda x: md.Tensor(x) * 2, warm_up=1)
    for _ in range(3):
        result = captured(xp.ones(3, dtype="float32"))
    pool, gone = id(captured.pool), weakref.ref(captured)
    del captured
    gc.collect()
    assert gone() is None and any(id(left) == pool for _, left in _pools_left)

    def another():
        md.capture(lambda x: md.Tensor(x) * 2)(xp.ones(3, dtype="float32"))

    another()
    with xp.cuda.using_allocator(xp.cuda.MemoryPool().malloc):
        others = [xp.zeros(3, dtype="float32") for _ in range(500)]
    np.testing.assert_array_equal(result.numpy(), [2, 2, 2])
    assert "stand-in" in xp.__version__ or any(id(left) == pool for _, left in _pools_left)
    del others, result
    another()  # now its memory is given back
    assert not any(id(left) == pool for _, left in _pools_left)


class TestWhatCannotBeCaptured:
    def test_on_a_cpu_the_step_is_just_run(self):
        captured = md.capture(lambda x: md.Tensor(x) * 2)
        with pytest.warns(RuntimeWarning, match="capture: the step runs op by op: its inputs are not on a GPU"):
            result = captured(np.ones(3, dtype="float32"))
        np.testing.assert_array_equal(result.data, [2, 2, 2])
        captured(np.ones(3, dtype="float32"))  # warns only once
        assert "not on a GPU" in captured.reason

    def test_a_step_that_reads_a_number_back(self, xp):
        captured = md.capture(lambda x: md.Tensor(x) * float(x.max().item()), warm_up=1)
        captured(xp.ones(3, dtype="float32"))
        with pytest.warns(RuntimeWarning, match="capture: the step runs op by op"):
            result = captured(2 * xp.ones(3, dtype="float32"))
        np.testing.assert_array_equal(result.numpy(), [4, 4, 4])
        np.testing.assert_array_equal(captured(3 * xp.ones(3, dtype="float32")).numpy(), [9, 9, 9])

    def test_adam_which_counts_in_python(self, xp):
        weight = nn.Parameter(np.ones(3, dtype="float32"))
        module = nn.Sequential()
        module.weight = weight
        module.to("cuda")
        optimizer = md.optim.Adam([weight], lr=0.1)

        def step(x):
            loss = (weight * md.Tensor(x)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        captured, ones = md.capture(step, warm_up=1), xp.ones(3, dtype="float32")
        captured(ones)
        with pytest.warns(RuntimeWarning, match="Adam counts its steps in Python"):
            captured(ones)
        for _ in range(3):
            captured(ones)
        assert weight.numpy()[0] == pytest.approx(1 - 5 * 0.1, rel=1e-3)

    def test_a_step_that_adds_to_the_gradients_of_the_one_before(self, xp):
        """The replay would find the old gradient in other memory; what was recorded but not computed is discarded."""
        weight = md.Tensor(np.ones(3, dtype="float32")).to("cuda")
        weight.requires_grad = True

        def step(x):
            loss = (weight * md.Tensor(x)).sum()
            loss.backward()
            return loss

        captured, ones = md.capture(step, warm_up=1), xp.ones(3, dtype="float32")
        captured(ones)
        with pytest.warns(RuntimeWarning, match="adds to gradients of the step before"):
            captured(ones)
        np.testing.assert_array_equal(md.Tensor(weight.grad).numpy(), [2, 2, 2])

    def test_a_generator_that_is_first_used_when_the_step_is_recorded(self, xp):
        generator, calls = md.Generator(5), []

        def step(x):
            calls.append(x)
            return F.dropout(md.Tensor(x), 0.5, generator=generator) if len(calls) > 3 else md.Tensor(x)

        captured, ones = md.capture(step), xp.ones((40, 10), dtype="float32")
        with pytest.warns(RuntimeWarning, match="a random generator that it has not used in the steps before"):
            masks = [captured(ones).numpy().copy() for _ in range(7)]
        assert (masks[5] != masks[6]).any()

    def test_an_array_that_is_copied_to_the_gpu(self, xp):
        captured = md.capture(lambda x: md.Tensor(x) * md.Tensor(np.ones(3, dtype="float32")).to("cuda"), warm_up=1)
        captured(xp.ones(3, dtype="float32"))
        with pytest.warns(RuntimeWarning, match="it copies an array to the GPU"):
            captured(xp.ones(3, dtype="float32"))

    def test_a_product_of_two_number_types(self, xp):
        captured = md.capture(lambda x: products.matmul(x, xp.ones((3, 3), dtype="float64")), warm_up=1)
        with pytest.raises(md.errors.CaptureError, match="a matrix product of float32 and float64"):
            captured(xp.ones((3, 3), dtype="float32"))

    def test_bad_inputs(self, xp):
        captured, there = md.capture(lambda x: x), xp.ones(3, dtype="float32")
        with pytest.raises(ArgumentError, match=r"capture: bad input(.|\n)*requires_grad"):
            captured(md.Tensor(there, requires_grad=True))
        captured(there)
        with pytest.raises(ShapeError, match="capture: other inputs than at the first call"):
            captured(np.ones(3, dtype="float32"))
        assert captured.reason is None
        with pytest.raises(ArgumentError, match="together: the same step twice"):
            md.together([captured, captured], [[there], [there]])
        assert md.together([], []) == []
        with pytest.warns(RuntimeWarning, match="not on a GPU"):
            assert md.capture(lambda x: x)([1.0]) == [1.0]

    def test_without_a_warm_up(self):
        with pytest.raises(ArgumentError, match="bad warm_up"):
            md.capture(lambda x: x, warm_up=0)

    def test_other_shapes_than_before(self, xp):
        captured = md.capture(lambda x: md.Tensor(x) * 2)
        captured(xp.ones(3, dtype="float32"))
        with pytest.raises(ShapeError, match="capture: other inputs than at the first call"):
            captured(xp.ones(4, dtype="float32"))

    def test_labels_out_of_range_are_found_before_the_capture(self, xp):
        captured = md.capture(
            lambda labels: F.softmax_cross_entropy(md.Tensor(np.ones((2, 3), dtype="float32")).to("cuda"), labels)
        )
        with pytest.raises(ArgumentError, match="labels out of range"):
            captured(xp.asarray(np.array([0, 3])))


class TestCublas:
    @given(data=st.data())
    def test_reads_operands_in_any_layout(self, data):
        draw = data.draw
        rows, inner, columns = draw(st.integers(0, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
        batch = draw(st.sampled_from([(), (2,), (3, 2)]))
        random = np.random.default_rng(draw(st.integers(0, 10**6)))
        dtype = draw(st.sampled_from(["float32", "float64"]))

        def make(height, width, leading):
            layout = draw(st.sampled_from(["rows", "columns", "gaps", "part", "batch last"]))
            if layout == "columns":
                return random.normal(size=(*leading, width, height)).astype(dtype).swapaxes(-1, -2)
            if layout == "gaps":
                return random.normal(size=(*leading, height, 2 * width)).astype(dtype)[..., ::2]
            if layout == "part":
                return random.normal(size=(*leading, height + 1, width + 2)).astype(dtype)[..., 1:, 1 : 1 + width]
            if layout == "batch last":
                return np.moveaxis(random.normal(size=(height, width, *leading)).astype(dtype), (0, 1), (-2, -1))
            return random.normal(size=(*leading, height, width)).astype(dtype)

        shared = draw(st.sampled_from(["neither", "left", "right", "stretched"]))
        a = make(rows, inner, () if shared == "left" else batch)
        b = make(inner, columns, () if shared == "right" else (1,) * len(batch) if shared == "stretched" else batch)
        with cupy_stand_in.installed() as module, pytest.MonkeyPatch.context() as patch:
            patch.setattr(cublas, "load_library", lambda xp: FakeCublas())
            patch.setattr(cublas, "WORKSPACE_BYTES", 8)
            left, right = (cupy_stand_in.ndarray(array, 0) for array in (a, b))
            out = None
            if draw(st.booleans()):
                out = module.empty((*(a @ b).shape[:-1], columns), dtype=dtype)
            product = cublas.Cublas(module).matmul(left, right, out)
            assert out is None or product is out
            np.testing.assert_allclose(product.get(), a @ b, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)

    def test_a_status_other_than_success_is_an_error(self, xp, monkeypatch):
        handle = cublas.Cublas(xp)
        monkeypatch.setattr(cublas, "operand", lambda array, batch: cublas.Operand(array, 0, 0, 0))  # no such leading dimension
        with pytest.raises(md.errors.CaptureError, match="cublasSgemmStridedBatched failed"):
            handle.matmul(xp.ones((2, 2), dtype="float32"), xp.ones((2, 2), dtype="float32"))
