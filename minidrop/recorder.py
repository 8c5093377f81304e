"""The last steps before something went wrong, step by step: what a history with a row per thousand steps cannot show.

Switched on with `Run.record_steps`; it looks at every step's arrays (on a GPU that means waiting for each), so it is off by
default.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from .backend import Array, array_module, run_on
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
AFTER = 20  # steps recorded after the one at which the first thing went wrong
WIDTH = 0.01  # the density of z at 0 is counted within this distance of it


class StepRecorder:
    """The last `limit` steps; the first that is not finite or has equal logits ends the record, AFTER steps later.

    first_non_finite_gradient: the step at which the gradient first was not finite. zeros, expected_zeros, values: sums over
    all steps until then, or until the record ends.
    """

    def __init__(self, limit: int) -> None:
        self.rows: deque[dict[str, float]] = deque(maxlen=limit + AFTER)
        self.totals: dict[str, float] = {"zeros": 0, "expected_zeros": 0.0, "values": 0}
        self.first_non_finite_gradient: int | None = None
        self.left = AFTER  # steps still to record after the trouble
        self.dead_layers: dict[str, float] = {}  # share of non-finite numbers in each parameter, one step after the trouble

    def see(self, network: Network, iteration: int, loss: float, trouble: bool) -> None:
        """Record the step just taken; `network.watched` holds its arrays, the parameters' gradients are those of the step."""
        if not self.left:
            return
        z, hidden, logits, added_last = network.watched
        norm = gradient_norm(network.parameters())
        row = {"iteration": iteration, "loss": loss, "gradient_norm": norm}
        row |= run_on(z, _look_at, z, hidden, logits, added_last)
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
        """As JSON can hold it."""
        return {
            "rows": list(self.rows),
            "totals": self.totals,
            "first_non_finite_gradient": self.first_non_finite_gradient,
            "left": self.left,
            "dead_layers": self.dead_layers,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the recorder that gave `state` stood."""
        self.rows.extend(state["rows"])
        self.totals, self.dead_layers = dict(state["totals"]), dict(state["dead_layers"])
        self.first_non_finite_gradient, self.left = state["first_non_finite_gradient"], state["left"]


def _look_at(z: Array, hidden: Array, logits: Array, added_last: Array) -> dict[str, float]:
    """z, hidden (N, units), logits (N, classes), added_last (N, units) or (units) -> the numbers of a row that stem from them.

    z = a + c in floats is 0 only if a = -c. Near 0 a falls on each float of that size with the same probability, so
    P(z = 0) = density of z at 0 * spacing of floats at c.
    """
    xp = array_module(z)
    size = abs(added_last)
    spacing = xp.nextafter(size, xp.full_like(size, math.inf)) - size  # CuPy has no np.spacing
    near = (abs(z) < WIDTH) * spacing
    return {
        "zeros": int((z == 0).sum().item()),
        "expected_zeros": float(xp.nansum(near).item() / (2 * WIDTH)),
        "smallest_z": z.min().item(),
        "largest_output": abs(hidden).max().item(),
        "dead_logits": 1 - (logits != 0).any(axis=0).mean().item(),
    }


def _finite(array: Array) -> int:
    return int(run_on(array, lambda: array_module(array).isfinite(array).sum().item()))
