"""capture: a training step of fixed shapes, recorded once as a CUDA graph and replayed.

At batch 16 a GPU is done with an op before Python has said what comes next. A CUDA graph holds all the kernels of a step; to
launch it is one call. What is recorded is what happens on the GPU, with the memory it happened in: numbers that Python
computes on the way (a learning rate, a step count, `.item()`) are not computed again. So the counters of the random generators
lie on the GPU while a step is being captured, and each replay draws new masks.

Not yet run on a GPU: the tests record and replay on the stand-in for CuPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .backend import Array, array_module, device_of, set_capturing
from .cublas import Cublas
from .errors import ArgumentError, CaptureError, ShapeError
from .random import Generator
from .tensor import Tensor

WARM_UP = 3  # steps before the capture: kernels are compiled, memory is allocated, labels are checked


class Capture:
    """What the ops of a step that is being captured need in place of the usual: cuBLAS, and counters on the GPU."""

    def __init__(self, xp: Any) -> None:
        self.cublas = Cublas(xp)
        self.recording = False
        self.kept: list[Any] = []  # what the graph reads and nobody else need hold: the matrices of a convolution
        self.gradients: list[tuple[Tensor, Array | None]] = []  # tensor, its gradient before the step changed it
        self.counters: dict[Generator, Array] = {}  # a number each, on the GPU
        self.expected: dict[Generator, int] = {}  # what the counter on the GPU is at the end of the last step
        self.blocks: dict[Generator, int] = {}  # how far one step moves it

    def matmul(self, a: Array, b: Array, out: Array | None) -> Array:
        """(..., M, K) @ (..., K, N) -> (..., M, N)."""
        return self.cublas.matmul(a, b, out)

    def draw(self, generator: Generator, xp: Any, blocks: int) -> Array:
        """-> (1,) on the GPU: the counter as it is; it moves on by `blocks`, there and in `generator`."""
        if generator not in self.counters:
            self.counters[generator] = xp.zeros(1, dtype="uint64")
            self.counters[generator] += generator.counter
            self.blocks[generator] = 0
        now: Array = self.counters[generator].copy()
        self.counters[generator] += blocks
        generator.counter += blocks
        self.expected[generator] = generator.counter
        self.blocks[generator] += blocks
        return now

    def begin_step(self) -> None:
        """Bring the counters on the GPU up to the generators, if somebody has reseeded or used them, and count anew."""
        for generator, counter in self.counters.items():
            if generator.counter != self.expected[generator]:
                counter[...] = 0
                counter += generator.counter
            self.blocks[generator] = 0

    def replayed(self, blocks: dict[Generator, int]) -> None:
        """Move the generators on as the replay has moved their counters."""
        for generator, count in blocks.items():
            generator.counter += count
            self.expected[generator] = generator.counter


class CapturedStep:
    """A step that is replayed: call it like the step, with arrays or tensors of always the same shapes and types.

    The first calls run it as it is (they count as steps), the next one records it. `reason` is None, or says why the step is
    not replayed but run as it is: there is no GPU, or it does what a graph cannot hold. Outputs lie in the same memory at each
    call, and the next call overwrites them.

    The step must change whatever outlives it in place (as the optimisers do with parameters), and those arrays must stay the
    same: load weights before the first call. It may not read numbers back (`.item()`), nor depend on numbers that Python
    changes between steps; it sets gradients to None before backward. `Optimizer.steps` does not count replays.
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
        self.blocks: dict[Generator, int] = {}
        self.seeds: dict[Generator, int] = {}

    def __call__(self, *inputs: Any) -> Any:
        """One step. Raises ShapeError if the inputs differ from those of the first call in shape or type."""
        current = self.current_stream(inputs)
        if current is None:
            return self.step(*inputs)
        current.wait_event(self.launch(inputs, current.record()))
        return self.outputs

    def current_stream(self, inputs: Sequence[Any]) -> Any:
        """The stream of the caller; None if there is nothing to capture, with a warning at the first time."""
        arrays = [value.data if isinstance(value, Tensor) else value for value in inputs]
        on_gpu = [array for array in arrays if device_of(array) != "cpu"]
        if self.reason is None and not (arrays and len(on_gpu) == len(arrays)):
            self.give_up("its inputs are not on a GPU, and only a GPU has CUDA graphs")
        if self.reason is not None:
            return None
        with on_gpu[0].device:
            return array_module(on_gpu[0]).cuda.get_current_stream()

    def give_up(self, reason: str) -> None:
        """From now on run the step as it is."""
        self.reason = reason
        warnings.warn(f"capture: the step runs op by op: {reason}", RuntimeWarning, stacklevel=3)

    def launch(self, inputs: Sequence[Any], after: Any) -> Any:
        """Start one step on the stream of this one, once `after` (an event) has happened; returns the event of its end."""
        arrays = [value.data if isinstance(value, Tensor) else value for value in inputs]
        xp = array_module(arrays[0])
        with arrays[0].device:
            if self.stream is None:
                self.stream = xp.cuda.Stream(non_blocking=True)
                self.pool = xp.cuda.MemoryPool()  # of its own: nobody else may use the memory that the graph writes to
                self.inputs = [xp.empty_like(array) for array in arrays]
                self.capture = Capture(xp)
            self.require_same(arrays)
            self.stream.wait_event(after)
            with self.stream, xp.cuda.using_allocator(self.pool.malloc):
                for own, array in zip(self.inputs, arrays, strict=True):
                    own[...] = array
                self.capture.begin_step()
                if self.graph is not None and any(generator.seed != seed for generator, seed in self.seeds.items()):
                    self.stream.synchronize()
                    self.graph = None  # seeds are numbers in the graph: record it again
                if self.calls >= self.warm_up and self.graph is None and self.reason is None:
                    self.record()
                if self.graph is None:
                    self.outputs = self.run_as_it_is()
                else:
                    self.graph.launch(self.stream)
                    self.capture.replayed(self.blocks)
            self.calls += 1
            return self.stream.record()

    def require_same(self, arrays: list[Array]) -> None:
        """Raise ShapeError unless the inputs are like those of the first call."""
        expected = [(array.shape, str(array.dtype)) for array in self.inputs]
        got = [(array.shape, str(array.dtype)) for array in arrays]
        if got != expected:
            raise ShapeError("capture: other inputs than at the first call", expected=str(expected), got=str(got))

    def run_as_it_is(self) -> Any:
        """The step, op by op, with counters on the GPU and cuBLAS as in the capture."""
        self.capture.cublas.use(self.stream)
        set_capturing(self.capture if self.reason is None else None)
        try:
            return self.step(*self.inputs)
        finally:
            set_capturing(None)

    def record(self) -> None:
        """Record the step, which does not run it; or give up, and leave generators and gradients as they were."""
        before = {generator: generator.counter for generator in self.capture.counters}
        self.capture.gradients.clear()
        ended = False
        self.stream.begin_capture()
        self.capture.recording = True
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
                tensor.grad = gradient  # what was recorded has not been computed
            self.give_up(f"{type(error).__name__}: {error}")
        else:
            self.outputs, self.graph, self.blocks = outputs, graph, dict(self.capture.blocks)
            self.seeds = {generator: generator.seed for generator in self.capture.counters}
        finally:
            self.capture.recording = False
            for generator, counter in before.items():
                generator.counter = counter  # what was recorded has not happened yet

    def _end_of_failed_capture(self) -> None:
        try:
            self.stream.end_capture()
        except Exception as error:  # an invalidated capture is over once it was ended, and says so with an error of CUDA's
            warnings.warn(f"capture: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=4)


def capture(step: Callable[..., Any], warm_up: int = WARM_UP) -> CapturedStep:
    """step(*arrays) -> a `CapturedStep`: after `warm_up` calls recorded as a CUDA graph, then replayed. On a CPU just run."""
    return CapturedStep(step, warm_up)


def together(steps: Sequence[CapturedStep], inputs: Sequence[Sequence[Any]]) -> list[Any]:
    """One step of several replicas at once, each on its own stream: the outputs of each.

    For other seeds or variants of a small network, one of which leaves most of a GPU idle.
    """
    currents = [step.current_stream(given) for step, given in zip(steps, inputs, strict=True)]
    if any(current is None for current in currents):
        return [step(*given) for step, given in zip(steps, inputs, strict=True)]
    after, ends = currents[0].record(), []
    for step, given in zip(steps, inputs, strict=True):
        ends.append(step.launch(given, after))
        if step.graph is None:
            after = ends[-1]  # until they are recorded, one after the other: they share what they make on first use
    for end in ends:
        currents[0].wait_event(end)
    return [step.outputs for step in steps]
