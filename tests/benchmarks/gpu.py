"""The GPU's tables in one run: `python -m tests.benchmarks.gpu [--json FILE]`, a few minutes on one GPU.

In one process, minidrop and PyTorch by turns: a training step op by op and as a CUDA graph; 1, 2, 4 and 8 replicas of minidrop's
captured step at once. First what they compute is compared with the CPU: gradients, and the loss after three steps. `--dry-run`
does all of it but the clock, on a fake GPU too: `python -m tests.fake_gpu -m tests.benchmarks.gpu --dry-run --works lite-mnist`.

Not yet run on hardware.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import minidrop as md
from minidrop import backend

from .frameworks import minidrop as in_minidrop
from .machine import provenance, write_json
from .works import RATE, WORKS, Work, batch, parameters

GOALS = {  # of `published`
    "minidrop, CUDA graph / PyTorch, op by op": 0.5,
    "minidrop, CUDA graph / PyTorch, CUDA graph": 1.0,
    "8 replicas / 1": 3.0,
}
REPLICAS = (1, 2, 4, 8)
STEPS_TO_LOSS = 6  # a capture's warm-up, the capture, replays
TOLERANCE = 1e-4  # of a loss after so many steps; cuDNN and TF32 round to 10 bits
TOLERANCE_TF32 = 1e-2


class Pace(NamedTuple):
    """How often: calls before the clock starts, steps per turn, turns."""

    first: int = 10
    steps: int = 50
    turns: int = 9


DRY = Pace(first=5, steps=1, turns=1)  # a capture's warm-up, the capture, a replay


class Disagreement(RuntimeError):
    """Two that should compute the same do not."""


def training_step(network: Any, rate: float = RATE) -> Callable[[Any, Any], Any]:
    """(images, labels) -> loss, of minidrop."""
    optimizer = md.optim.SGD(network.parameters(), lr=rate)

    def step(images: Any, labels: Any) -> Any:
        loss = md.functional.softmax_cross_entropy(network(md.Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def minidrop_step(work: Work, device: str, captured: bool, dropout: bool = True, count: int = 1) -> Callable[[], Any]:
    """`count` networks, each with its training step; a call does one step of each and returns the last one's loss."""
    images, labels = (backend.to_device(array, device) for array in batch(work))
    networks = [in_minidrop.network(work, parameters(work), dropout).to(device) for _ in range(count)]
    steps: list[Any] = [training_step(network) for network in networks]
    if not captured:
        return lambda: [step(images, labels) for step in steps][-1]
    steps = [md.capture(step) for step in steps]
    return lambda: md.together(steps, [(images, labels)] * count)[-1]


def torch_step(work: Work, captured: bool, dropout: bool = True) -> Callable[[], Any]:
    """The same in PyTorch, with its defaults (cuDNN, TF32 in convolutions)."""
    import torch

    from .frameworks import torch as in_torch

    model = in_torch.network(work, parameters(work), dropout).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    images, labels = (torch.from_numpy(array).cuda() for array in batch(work))

    def step() -> Any:
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    if not captured:
        return step
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def has_torch() -> bool:
    """True if there is a PyTorch that can use the GPU."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def milliseconds(runs: dict[str, Callable[[], Any]], pace: Pace) -> dict[str, float]:
    """Per step: medians over turns."""
    import cupy

    for run in runs.values():
        for _ in range(pace.first):
            run()
        cupy.cuda.runtime.deviceSynchronize()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(pace.turns):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(pace.steps):
                run()
            cupy.cuda.runtime.deviceSynchronize()
            times[name].append((time.perf_counter() - start) / pace.steps)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def gradient_error(work: Work) -> float:
    """The largest difference between the gradients on the GPU and on the CPU, in units of the largest gradient."""
    gradients = []
    for device in ("cpu", "cuda"):
        network = in_minidrop.network(work, parameters(work), False).to(device)
        images, labels = (backend.to_device(array, device) for array in batch(work))
        md.functional.softmax_cross_entropy(network(md.Tensor(images)), labels).backward()
        gradients.append([backend.to_numpy(parameter.grad) for parameter in network.parameters()])
    return max(float(abs(one - other).max() / abs(other).max()) for one, other in zip(*reversed(gradients), strict=True))


def losses(work: Work) -> dict[str, float]:
    """After some steps without dropout: on the CPU, then on the GPU in each way."""
    ways = {
        "CPU": lambda: minidrop_step(work, "cpu", False, False),
        "minidrop, op by op": lambda: minidrop_step(work, "cuda", False, False),
        "minidrop, CUDA graph": lambda: minidrop_step(work, "cuda", True, False),
        "minidrop, 2 replicas": lambda: minidrop_step(work, "cuda", True, False, 2),
    }
    if has_torch():
        ways["PyTorch, op by op"] = lambda: torch_step(work, False, False)
    found = {}
    for name, way in ways.items():
        run = way()
        found[name] = [float(run().item()) for _ in range(STEPS_TO_LOSS)][-1]
    with tf32():
        run = minidrop_step(work, "cuda", True, False)
        found["minidrop, CUDA graph, TF32"] = [float(run().item()) for _ in range(STEPS_TO_LOSS)][-1]
    return found


def require_agreement(found: dict[str, float]) -> None:
    """Raise Disagreement if a loss is not the CPU's."""
    for name, loss in found.items():
        tolerance = TOLERANCE_TF32 if "TF32" in name or "PyTorch" in name else TOLERANCE
        if not abs(loss - found["CPU"]) <= tolerance * abs(found["CPU"]):
            raise Disagreement(f"{name}: the loss after {STEPS_TO_LOSS} steps is {loss}, on the CPU {found['CPU']}")


@contextlib.contextmanager
def tf32() -> Iterator[None]:
    """Products that may round to 10 bits."""
    backend.use_tf32(True)
    try:
        yield
    finally:
        backend.use_tf32(False)


def measure(work: Work, pace: Pace) -> dict[str, Any]:
    """All of it, for one work."""
    found = losses(work)
    require_agreement(found)
    dropout = work.size.dropout
    runs = {
        "minidrop, op by op": minidrop_step(work, "cuda", False, dropout),
        "minidrop, CUDA graph": minidrop_step(work, "cuda", True, dropout),
    }
    if has_torch():
        runs["PyTorch, op by op"] = torch_step(work, False, dropout)
        runs["PyTorch, CUDA graph"] = torch_step(work, True, dropout)
    runs |= {f"{count} replicas": minidrop_step(work, "cuda", True, dropout, count) for count in REPLICAS}
    times = milliseconds(runs, pace)
    with tf32():
        times |= milliseconds({"minidrop, CUDA graph, TF32": minidrop_step(work, "cuda", True, dropout)}, pace)
    ratios = {"8 replicas / 1": times["8 replicas"] / times["1 replicas"]}
    for peer in ("PyTorch, op by op", "PyTorch, CUDA graph"):
        if peer in times:
            ratios[f"minidrop, CUDA graph / {peer}"] = times["minidrop, CUDA graph"] / times[peer]
    return {"milliseconds": times, "ratios": ratios, "gradient_error": gradient_error(work), "losses": found}


def report(result: dict[str, Any]) -> str:
    """The result as Markdown; without times if it was a dry run."""
    lines = []
    for name, work in result["works"].items():
        lines += [f"| training step, {name}, batch {WORKS[name].batch} | ms |", "|---|---|"]
        lines += [f"| {way} | {'-' if result['dry_run'] else f'{value:.3f}'} |" for way, value in work["milliseconds"].items()]
        lines += ["", "| ratio | measured | goal |", "|---|---|---|"]
        lines += [
            f"| {way} | {'-' if result['dry_run'] else f'{value:.2f}'} | {GOALS[way]:.2f} |"
            for way, value in work["ratios"].items()
        ]
        lines += ["", f"Gradients differ from NumPy's by {work['gradient_error']:.1e} of the largest at most. Losses after"]
        lines[-1] += f" {STEPS_TO_LOSS} steps: " + ", ".join(f"{way} {loss:.6f}" for way, loss in work["losses"].items()) + "."
        lines += [""]
    if result["dry_run"]:
        lines += ["A dry run: everything ran, nothing was timed.", ""]
    return "\n".join([*lines, ", ".join(f"{key} {value}" for key, value in result["provenance"].items()) + "."])


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description="Time training steps on a GPU.")
    training = [name for name, work in WORKS.items() if work.trains]
    parser.add_argument("--works", nargs="+", default=["published-cifar", "described-cifar"], choices=training, metavar="WORK")
    parser.add_argument("--turns", type=int, default=Pace().turns)
    parser.add_argument("--dry-run", action="store_true", help="everything but the times; for a fake GPU")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.dry_run and options.json:
        parser.error("a dry run has no times to store: leave out --json")
    backend.require_device("cuda")
    where = provenance(("numpy", "minidrop", "torch")) | {"gpu": backend.device_name("cuda")}
    pace = DRY if options.dry_run else Pace(turns=options.turns)
    works = {name: measure(WORKS[name], pace) for name in options.works}
    result = {"provenance": where, "turns": pace.turns, "dry_run": options.dry_run, "works": works}
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
