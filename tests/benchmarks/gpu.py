"""The GPU's table in one run: `python -m tests.benchmarks.gpu [--json FILE]`, under five minutes on one H200.

On one GPU, in one process, minidrop and PyTorch by turns: the paper's CNN, CIFAR-10 shapes, batch 16; each step op by op and as
a CUDA graph; 1, 2, 4 and 8 replicas of minidrop's captured step at once; and the same gradients as NumPy gives.

Not yet run on a GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minidrop as md
from minidrop import backend

from .frameworks import minidrop as in_minidrop
from .machine import provenance, write_json
from .works import RATE, WORKS, Work, batch, parameters

GOALS = {
    "minidrop, CUDA graph / PyTorch, op by op": 0.5,
    "minidrop, CUDA graph / PyTorch, CUDA graph": 1.0,
    "8 replicas / 1": 3.0,
}
STEPS = 50  # per turn


def minidrop_step(work: Work, given: list[Any], captured: bool) -> tuple[Callable[[], Any], Any]:
    """A training step on the GPU, and its network."""
    import cupy

    network = in_minidrop.network(work, given).to("cuda")
    optimizer = md.optim.SGD(network.parameters(), lr=RATE)
    images, labels = (cupy.asarray(array) for array in batch(work))

    def step(images: Any, labels: Any) -> Any:
        loss = md.functional.softmax_cross_entropy(network(md.Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run: Any = md.capture(step) if captured else step
    return lambda: run(images, labels), network


def torch_step(work: Work, given: list[Any], captured: bool) -> Callable[[], Any]:
    """The same in PyTorch, with its defaults (cuDNN, TF32 in convolutions)."""
    import torch

    from .frameworks import torch as in_torch

    model = in_torch.network(work, given).cuda()
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


def replicas(work: Work, given: list[Any], count: int) -> Callable[[], Any]:
    """`count` captured steps at once."""
    import cupy

    images, labels = (cupy.asarray(array) for array in batch(work))
    steps = []
    for _ in range(count):
        network = in_minidrop.network(work, given).to("cuda")
        optimizer = md.optim.SGD(network.parameters(), lr=RATE)

        def step(images: Any, labels: Any, network: Any = network, optimizer: Any = optimizer) -> Any:
            loss = md.functional.softmax_cross_entropy(network(md.Tensor(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        steps.append(md.capture(step))
    return lambda: md.together(steps, [(images, labels)] * count)


def has_torch() -> bool:
    """True if there is a PyTorch that can use the GPU."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def milliseconds(runs: dict[str, Callable[[], Any]], synchronize: Callable[[], Any], turns: int) -> dict[str, float]:
    """Per step: medians over turns of STEPS steps each."""
    for run in runs.values():
        for _ in range(10):
            run()
        synchronize()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                run()
            synchronize()
            times[name].append((time.perf_counter() - start) / STEPS)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def gradient_error(work: Work, given: list[Any]) -> float:
    """The largest difference between the gradients on the GPU and on the CPU, in units of the largest gradient."""
    gradients = []
    for device in ("cpu", "cuda"):
        network = in_minidrop.network(work, given).to(device)
        images, labels = (backend.to_device(array, device) for array in batch(work))
        md.functional.softmax_cross_entropy(network(md.Tensor(images)), labels).backward()
        gradients.append([backend.to_numpy(parameter.grad) for parameter in network.parameters()])
    return max(float(abs(one - other).max() / abs(other).max()) for one, other in zip(*reversed(gradients), strict=True))


def measure(turns: int) -> dict[str, Any]:
    """All of it."""
    import cupy

    work = WORKS["paper-cifar"]
    given = parameters(work)
    runs = {
        "minidrop, op by op": minidrop_step(work, given, False)[0],
        "minidrop, CUDA graph": minidrop_step(work, given, True)[0],
    }
    if has_torch():
        runs["PyTorch, op by op"] = torch_step(work, given, False)
        runs["PyTorch, CUDA graph"] = torch_step(work, given, True)
    for count in (1, 2, 4, 8):
        runs[f"{count} replicas"] = replicas(work, given, count)
    times = milliseconds(runs, lambda: cupy.cuda.runtime.deviceSynchronize(), turns)
    backend.use_tf32(True)
    try:
        times |= milliseconds(
            {"minidrop, CUDA graph, TF32": minidrop_step(work, given, True)[0]}, cupy.cuda.runtime.deviceSynchronize, turns
        )
    finally:
        backend.use_tf32(False)
    ratios = {"8 replicas / 1": times["8 replicas"] / times["1 replicas"]}
    for peer in ("PyTorch, op by op", "PyTorch, CUDA graph"):
        if peer in times:
            ratios[f"minidrop, CUDA graph / {peer}"] = times["minidrop, CUDA graph"] / times[peer]
    return {"milliseconds": times, "ratios": ratios, "gradient_error": gradient_error(work, given)}


def report(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["| training step, paper CNN, CIFAR-10 shapes, batch 16 | ms |", "|---|---|"]
    lines += [f"| {name} | {value:.3f} |" for name, value in result["milliseconds"].items()]
    lines += ["", "| ratio | measured | goal |", "|---|---|---|"]
    lines += [f"| {name} | {value:.2f} | {GOALS[name]:.2f} |" for name, value in result["ratios"].items()]
    lines += ["", f"Gradients differ from NumPy's by {result['gradient_error']:.1e} of the largest at most."]
    return "\n".join([*lines, "", ", ".join(f"{key} {value}" for key, value in result["provenance"].items()) + "."])


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description="Time training steps on a GPU.")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    backend.require_device("cuda")
    where = provenance(("numpy", "minidrop", "torch")) | {"gpu": backend.device_name("cuda")}
    result = {"provenance": where, "turns": options.turns, **measure(options.turns)}
    print(report(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
