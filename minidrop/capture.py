"""capture: a training step of fixed shapes, captured once as a CUDA graph and replayed.

At batch size 16 a GPU finishes an op before Python launches the next one. A CUDA graph holds all the kernels of a step and is
launched by one call. Only the work on the GPU is captured, with its memory addresses: numbers that Python computes (a learning
rate, a step count, `.item()`) are not computed again. So the counters of the random generators are on the GPU while a step is
being captured, and each replay draws new masks.

Run on the real CuPy over a driver of host memory, which captures and replays (tests/fake_gpu); on hardware: not yet.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .backend import Array, array_module, device_of, is_array, run_on, set_capture
from .errors import ArgumentError, CaptureError, ShapeError
from .gpu.cublas import Cublas
from .random import Generator
from .tensor import Tensor

WARM_UP = 3  # steps before the capture: kernels are compiled, memory is allocated, labels are checked


class Capture:
    """What the ops of a step that is being captured use instead of the usual: cuBLAS, and counters on the GPU."""

    def __init__(self, xp: Any) -> None:
        self.cublas = Cublas(xp)
        self.capturing = False
        self.kept: list[Any] = []  # arrays kept alive for the graph: matrices of convolutions, velocities
        self.gradients: list[tuple[Tensor, Array | None]] = []  # tensor, its gradient before the step changed it
        self.optimizers: dict[Any, Any] = {}  # optimiser: its settings and arrays when the graph was made
        self.counters: dict[Generator, Array] = {}  # one number each, on the GPU
        self.expected: dict[Generator, int] = {}  # the counter on the GPU at the end of the last step
        self.blocks: dict[Generator, int] = {}  # how far one step advances it

    def matmul(self, a: Array, b: Array, out: Array | None) -> Array:
        """(..., M, K) @ (..., K, N) -> (..., M, N)."""
        return self.cublas.matmul(a, b, out)

    def draw(self, generator: Generator, xp: Any, blocks: int) -> Array:
        """-> (1,) on the GPU: the current counter; it advances by `blocks`, there and in `generator`."""
        if generator not in self.counters:
            if self.capturing:  # the graph would reset its counter at each replay
                raise CaptureError("it draws from a random generator that it has not used in the steps before")
            self.counters[generator] = xp.zeros(1, dtype="uint64")
            self.counters[generator] += generator.counter
            self.blocks[generator] = 0
        now: Array = self.counters[generator].copy()
        self.counters[generator] += blocks
        generator.advance(4 * blocks)
        self.expected[generator] = generator.counter
        self.blocks[generator] += blocks
        return now

    def begin_step(self) -> None:
        """Update the counters on the GPU of generators that were reseeded or used elsewhere, and count blocks from 0."""
        for generator, counter in self.counters.items():
            if generator.counter != self.expected[generator]:
                counter[...] = 0
                counter += generator.counter
            self.blocks[generator] = 0

    def replayed(self, blocks: dict[Generator, int]) -> None:
        """Advance the generators as the replay has advanced their counters."""
        for generator, count in blocks.items():
            generator.advance(4 * count)
            self.expected[generator] = generator.counter


class CapturedStep:
    """A step that is replayed: call it like the step, always with arrays or tensors of the same shapes and types.

    The step receives tensors as new tensors, so they may not require gradients.

    The first calls run the step op by op (they count as steps), the next one captures it. `reason` is None, or says why the
    step is run op by op and not replayed: there is no GPU, or it does something that a graph cannot hold. Outputs have the same
    memory at each call, and the next call overwrites them.

    State that survives the step must be updated in place (as the optimisers do with parameters). If a parameter has been given
    another array (by `load_state_dict`), or an optimiser another learning rate, setting or state, the step runs op by op
    once, and is captured again; other arrays must stay the same. The step may not read numbers back (`.item()`) or
    depend on other numbers that Python changes between steps, and must set gradients to None before backward.
    `Optimizer.steps` does not count replays. A capture takes longer than a step: with a schedule, change the rate every hundred
    steps rather than at each.
    """

    def __init__(self, step: Callable[..., Any], warm_up: int = WARM_UP) -> None:
        if warm_up < 1:
            help = "what a step makes on first use must be there before the capture"
            raise ArgumentError("capture: bad warm_up", expected="at least 1", got=str(warm_up), help=help)
        self.step = step
        self.warm_up = warm_up
        self.reason: str | None = None
        self.calls = 0
        self.stream: Any = None
        self.graph: Any = None
        self.outputs: Any = None
        self.inputs: list[Array] = []
        self.parameters: list[tuple[Tensor, Array]] = []  # the tensors that the graph changes, and their arrays
        self.blocks: dict[Generator, int] = {}
        self.seeds: dict[Generator, int] = {}

    def __call__(self, *inputs: Any) -> Any:
        """One step. Raises ShapeError if the inputs differ from those of the first call in shape, type or device."""
        if not self.runs_on_gpu(inputs):
            return self.step(*inputs)
        self.finish(self.start(inputs, []))
        return self.outputs

    def runs_on_gpu(self, inputs: Sequence[Any]) -> bool:
        """False if there is nothing to capture, with a warning the first time."""
        if any(isinstance(value, Tensor) and value.requires_grad for value in inputs):
            help = "hand the step the array, and let it make the tensor"
            raise ArgumentError("capture: bad input", expected="no gradients of inputs", got="requires_grad", help=help)
        arrays = arrays_of(inputs)
        all_there = bool(arrays) and all(is_array(array) and device_of(array) != "cpu" for array in arrays)
        if self.inputs and self.reason is None and not all_there:
            raise ShapeError("capture: other inputs than at the first call", expected="arrays on a GPU", got="others too")
        if self.reason is None and not all_there:
            self.give_up("its inputs are not on a GPU, and only a GPU has CUDA graphs")
        return self.reason is None

    def start(self, inputs: Sequence[Any], after: list[Any]) -> Any:
        """Launch one step after the work on the caller's stream and after some events; returns the event of its end."""
        return run_on(arrays_of(inputs)[0], self.launch, inputs, after)

    def finish(self, end: Any) -> None:
        """Make the caller's stream wait for the end of a step."""
        run_on(self.inputs[0], lambda: array_module(self.inputs[0]).cuda.get_current_stream().wait_event(end))

    def give_up(self, reason: str) -> None:
        """From now on run the step op by op."""
        self.reason = reason
        warnings.warn(f"capture: the step runs op by op: {reason}", RuntimeWarning, stacklevel=4)

    def launch(self, inputs: Sequence[Any], after: list[Any]) -> Any:
        """`start`, on the GPU of the inputs."""
        arrays = arrays_of(inputs)
        xp = array_module(arrays[0])
        if self.stream is None:
            self.stream = xp.cuda.Stream(non_blocking=True)
            self.pool = pool_for(self, xp)  # its own: nothing else may use the memory that the graph writes to
            self.inputs = [xp.empty_like(array) for array in arrays]
            self.as_tensors = [isinstance(value, Tensor) for value in inputs]
            self.capture = Capture(xp)
        self.require_same(arrays)
        for event in (xp.cuda.get_current_stream().record(), *after):
            self.stream.wait_event(event)
        with self.stream, xp.cuda.using_allocator(self.pool.malloc):
            for own, array in zip(self.inputs, arrays, strict=True):
                own[...] = array
            self.capture.begin_step()
            if self.graph is not None and self.has_changed():
                self.stream.synchronize()
                self.graph, self.calls = None, self.warm_up - 1  # one step op by op makes what it needs now, such as a velocity
            if self.calls >= self.warm_up and self.graph is None and self.reason is None:
                self.capture_graph()
            if self.graph is None:
                self.outputs = self.run_as_it_is()
            else:
                self.graph.launch(self.stream)
                self.capture.replayed(self.blocks)
        self.calls += 1
        return self.stream.record()

    def has_changed(self) -> bool:
        """True if the graph no longer does what the step would do: numbers are in it as they were, and addresses."""
        seeds = any(generator.seed != seed for generator, seed in self.seeds.items())
        optimizers = any(optimizer.differs_from(before) for optimizer, before in self.capture.optimizers.items())
        return seeds or optimizers or any(tensor.data is not array for tensor, array in self.parameters)

    def require_same(self, arrays: list[Array]) -> None:
        """Raise ShapeError unless the inputs are like those of the first call."""
        expected = [(array.shape, str(array.dtype)) for array in self.inputs]
        got = [(array.shape, str(array.dtype)) for array in arrays]
        if got != expected:
            raise ShapeError("capture: other inputs than at the first call", expected=str(expected), got=str(got))

    def run_as_it_is(self) -> Any:
        """The step, op by op, with counters on the GPU and cuBLAS as in the capture."""
        self.capture.cublas.use(self.stream)
        set_capture(self.capture if self.reason is None else None)
        try:
            inputs = zip(self.inputs, self.as_tensors, strict=True)
            return self.step(*(Tensor(array) if as_tensor else array for array, as_tensor in inputs))
        finally:
            set_capture(None)

    def capture_graph(self) -> None:
        """Record the step, which does not run it; or give up, and restore generators and gradients."""
        before = {generator: generator.counter for generator in self.capture.counters}
        self.capture.gradients.clear()
        self.capture.kept.clear()
        self.capture.optimizers.clear()
        ended = False
        self.stream.begin_capture()
        self.capture.capturing = True
        try:
            outputs = self.run_as_it_is()
            if any(gradient is not None for _, gradient in self.capture.gradients):
                raise CaptureError("it adds to gradients of the step before, which replays would find in other memory")
            ended = True
            graph = self.stream.end_capture()
        except Exception as error:
            if not ended:
                self._end_of_failed_capture()
            for tensor, gradient in reversed(self.capture.gradients):
                tensor.grad = gradient  # captured work has not been computed
            self.give_up(f"{type(error).__name__}: {error}")
        else:
            self.outputs, self.graph, self.blocks = outputs, graph, dict(self.capture.blocks)
            self.parameters = [(tensor, tensor.data) for tensor, _ in self.capture.gradients]
            self.seeds = {generator: generator.seed for generator in self.capture.counters}
        finally:
            self.capture.capturing = False
            for generator, counter in before.items():
                generator.counter = counter  # captured draws have not happened yet

    def _end_of_failed_capture(self) -> None:
        try:
            self.stream.end_capture()
        except Exception as error:  # ending an invalidated capture works, and raises a CUDA error
            warnings.warn(f"capture: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=4)


_pools_left: list[tuple[int, Any]] = []  # GPU, pool: of steps that are gone


def pool_for(step: CapturedStep, xp: Any) -> Any:
    """A memory pool on the current GPU that outlives the step, while there is an array in it: an output, a gradient.

    CuPy 13 frees the memory of a pool with the pool, whoever uses it. What is left is freed here, for the next step, and not
    when Python happens to collect the old one: in the middle of a capture CUDA would refuse it.
    """
    for _ in range(len(_pools_left)):
        gpu, pool = _pools_left.pop(0)
        with xp.cuda.Device(gpu):
            pool.free_all_blocks()
            if pool.used_bytes():
                _pools_left.append((gpu, pool))
    pool = xp.cuda.MemoryPool()
    weakref.finalize(step, _pools_left.append, (xp.cuda.Device().id, pool)).atexit = False
    return pool


def capture(step: Callable[..., Any], warm_up: int = WARM_UP) -> CapturedStep:
    """step(*arrays) -> a `CapturedStep`: after `warm_up` calls captured as a CUDA graph, then replayed. On a CPU only run."""
    return CapturedStep(step, warm_up)


def arrays_of(inputs: Sequence[Any]) -> list[Any]:
    """Tensors replaced by their arrays; all else unchanged."""
    return [value.data if isinstance(value, Tensor) else value for value in inputs]


def together(steps: Sequence[CapturedStep], inputs: Sequence[Sequence[Any]]) -> list[Any]:
    """One step of several replicas at once, each on its own stream: the outputs of each.

    For several seeds or variants of a small network, one of which leaves most of a GPU idle. Raises ArgumentError for the same
    step twice: its first outputs would be overwritten.
    """
    if len({id(step) for step in steps}) < len(steps):
        raise ArgumentError("together: the same step twice", expected="each once", got="a list with repeats")
    if not all(step.runs_on_gpu(given) for step, given in zip(steps, inputs, strict=True)):
        return [step(*given) for step, given in zip(steps, inputs, strict=True)]
    after: list[Any] = []
    ends = []
    for step, given in zip(steps, inputs, strict=True):
        ends.append(step.start(given, after))
        if step.graph is None:
            after = ends[-1:]  # until they are captured, run one after the other: they share what is created on first use
    for step, end in zip(steps, ends, strict=True):
        step.finish(end)
    return [step.outputs for step in steps]
