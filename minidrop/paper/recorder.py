"""Records of single training steps, through hooks on a network's modules: exact zeros, and the steps before a crash.

`ZeroCounter` counts in every run, for the columns `zeros` and `lattice_zeros` of the history; it never waits for the GPU.
`StepRecorder` records single steps, which a history with a row per thousand steps cannot show. It is off unless
`Run.record_steps` is set, because it reads every step's arrays, and on a GPU that means waiting for each step.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backend import Array, array_module, device_of, run_on, to_device, to_numpy
from ..nn.module import Module
from ..tensor import Tensor
from .measuring import gradient_norm
from .networks import Network

STEP_COLUMNS = {
    "iteration": "the step, counted from 1",
    "loss": "of its batch, in nats",
    "gradient_norm": "length of the whole gradient, as the step used it: after any clipping",
    "zeros": "how many inputs z of the hidden stage are exactly 0",
    "expected_zeros": "as many to expect: density of z at 0 times spacing of floats at what is added last, mostly the bias",
    "smallest_z": "the lowest z of the batch",
    "largest_output": "the largest |y| of the hidden stage's output",
    "dead_logits": "share of the logits that are 0 for the whole batch",
    "non_finite": "share of the parameters, after the step, that are inf or NaN",
}
AFTER = 20  # steps recorded after the first that went wrong
WIDTH = 0.01  # the density of z at 0 is counted within this distance of it


REACH = 2_000  # floats on either side of 0 that make up the lattice


class ZeroCounter:
    """Counts, over all training steps, the z that are exactly 0, and those on the 4,001 floats around 0 on which z can fall.

    z = a + c, c added last (the bias), is rounded so that near 0 it falls on multiples of the spacing of floats at c, each
    about as often. So |z| <= 2,000 spacings holds 4,001 times as often as z = 0, and predicts the number of zeros long before
    one occurs. The counts are on the network's device and change in place, also in a step that is replayed as a CUDA graph.
    """

    def __init__(self, network: Network, device: str) -> None:
        self.network = network
        self.counts: Array = to_device(np.zeros(2, dtype="int64"), device)
        network.hidden.register_forward_hook(self.see)

    def see(self, stage: Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        """A forward hook of the hidden stage: count its input z (N, units)."""
        if stage.training:
            z = inputs[0].data
            run_on(z, self._count, z, self.network.added_last)

    def _count(self, z: Array, added_last: Array) -> None:
        count = array_module(z).count_nonzero  # six times as fast as a sum of booleans
        self.counts[0] += count(z == 0)
        self.counts[1] += count(abs(z) <= REACH * spacing(added_last))

    def columns(self) -> dict[str, float]:
        """{"zeros", "lattice_zeros"} so far."""
        zeros, near = self.state_dict()["counts"]
        return {"zeros": zeros, "lattice_zeros": near / (2 * REACH + 1)}

    def state_dict(self) -> dict[str, list[int]]:
        """The state, JSON-serialisable."""
        return {"counts": to_numpy(self.counts).tolist()}

    def load_state_dict(self, state: Mapping[str, list[int]]) -> None:
        """Continue from `state`, as `state_dict` returned it."""
        self.counts = to_device(np.array(state["counts"], dtype="int64"), device_of(self.counts))


def spacing(array: Array) -> Array:
    """(any shape) -> same: the distance from |a| to the next float above it; CuPy has no np.spacing."""
    xp = array_module(array)
    size = abs(array)
    gap: Array = xp.nextafter(size, xp.full_like(size, math.inf)) - size
    return gap


class StepRecorder:
    """The last `limit` steps; recording ends AFTER steps after the first that is not finite or has equal logits.

    first_non_finite_gradient: the step at which the gradient first was not finite. zeros, expected_zeros, values: sums over
    all steps until then, or until the record ends.
    """

    def __init__(self, limit: int) -> None:
        self.rows: deque[dict[str, float]] = deque(maxlen=limit + AFTER)
        self.totals: dict[str, float] = {"zeros": 0, "expected_zeros": 0.0, "values": 0}
        self.first_non_finite_gradient: int | None = None
        self.left = AFTER  # steps still to record after the trouble
        self.dead_layers: dict[str, float] = {}  # share of non-finite numbers in each parameter, one step after the trouble
        self.seen: dict[str, Array] = {}  # the arrays of the last training step

    def watch(self, network: Network) -> None:
        """Keep the arrays of each training step of this network until `see` has read them."""

        def stage(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if module.training:
                added_last = run_on(inputs[0].data, network.added_last.copy)  # the optimiser will change the bias in place
                self.seen |= {"z": inputs[0].data, "hidden": output.data, "added_last": added_last}

        def whole(module: Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
            if module.training:
                self.seen["logits"] = output.data

        network.hidden.register_forward_hook(stage)
        network.register_forward_hook(whole)

    def see(self, network: Network, iteration: int, loss: float, trouble: bool) -> None:
        """Record the step just taken by a network that is watched; the parameters' gradients are those of the step."""
        if not self.left:
            return
        z = self.seen["z"]
        norm = gradient_norm(network.parameters())
        row = {"iteration": iteration, "loss": loss, "gradient_norm": norm}
        row |= run_on(z, lambda: _look_at(**self.seen))
        row["non_finite"] = 1 - sum(_finite(p.data) for p in network.parameters()) / sum(p.size for p in network.parameters())
        if self.first_non_finite_gradient is None:
            self.totals["values"] += z.size
            for name in ("zeros", "expected_zeros"):
                self.totals[name] += row[name]
            if not math.isfinite(norm):
                self.first_non_finite_gradient = iteration
        if trouble or self.first_non_finite_gradient is not None:
            self.left -= 1
            if not self.dead_layers:
                self.dead_layers = {name: 1 - _finite(p.data) / p.size for name, p in network.named_parameters()}
        self.rows.append(row)

    def state_dict(self) -> dict[str, Any]:
        """The state, JSON-serialisable."""
        return {
            "rows": list(self.rows),
            "totals": self.totals,
            "first_non_finite_gradient": self.first_non_finite_gradient,
            "left": self.left,
            "dead_layers": self.dead_layers,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, as `state_dict` returned it."""
        self.rows.extend(state["rows"])
        self.totals, self.dead_layers = dict(state["totals"]), dict(state["dead_layers"])
        self.first_non_finite_gradient, self.left = state["first_non_finite_gradient"], state["left"]


def _look_at(z: Array, hidden: Array, logits: Array, added_last: Array) -> dict[str, float]:
    """z, hidden (N, units), logits (N, classes), added_last (N, units) or (units) -> the columns of a row that depend on them.

    z = a + c in floats is 0 only if a = -c. For z near 0, a falls on each float of that size with the same probability, so
    P(z = 0) = density of z at 0 * spacing of floats at c.
    """
    xp = array_module(z)
    near = (abs(z) < WIDTH) * spacing(added_last)
    return {
        "zeros": int((z == 0).sum().item()),
        "expected_zeros": float(xp.nansum(near).item() / (2 * WIDTH)),
        "smallest_z": z.min().item(),
        "largest_output": abs(hidden).max().item(),
        "dead_logits": 1 - (logits != 0).any(axis=0).mean().item(),
    }


def _finite(array: Array) -> int:
    return int(run_on(array, lambda: array_module(array).isfinite(array).sum().item()))
