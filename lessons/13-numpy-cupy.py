# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 13 · NumPy, CuPy
#
# **You need** lessons 03, 04 and 05.
#
# **You get** one training step that runs on either array library, a count of what it asks of the machine, a way to say beforehand when a GPU will lose, and a look at what a GPU's driver is asked: streams, waiting, captures.
#
# **Time** about 10 seconds on two cores.
#
# **New names** `minidrop.backend.array_module`, `minidrop.backend.device_of`, `minidrop.backend.to_device`, `md.capture`
#
# CuPy is NumPy again, function by function, for arrays that lie on a GPU. minidrop runs on both, and the switch between them is one line. This lesson shows the line, and then asks what one wins with it: where does
# the time of a training step go, and what would a GPU do with it?
#
# No GPU was available when this page was written. **All measurements here are made on a CPU.** Where a GPU comes in, its speeds are assumptions, and are called so; what its driver is asked was written down by a driver without a GPU. The last section reads measurements, if somebody has made
# them.

# %%
import cProfile
import json
import pathlib
import pstats
import statistics
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from threadpoolctl import threadpool_limits

import minidrop as md
from checks import check
from lesson import BLACK, BLUE, GREEN, HERE, ORANGE, RED, say
from minidrop.backend import array_module, device_of, to_device
from minidrop.ops import conv_choice
from minidrop.paper.networks import Network

one_core = threadpool_limits(
    1
)  # matrix products on one core: the times below then depend less on who else is using the machine

# %% [markdown]
# ## The switch
#
# A function that starts with `import numpy as np` and says `np.maximum` is a NumPy function for good. So ask the *array* for its library, and say `xp.maximum`, whatever `xp` may be. Operators (`+`, `@`) and methods (`.sum()`)
# belong to the array anyway.


# %%
def relu(x):
    xp = array_module(x)  # numpy for a NumPy array, cupy for a CuPy array
    return xp.maximum(x, 0)


x = np.array([-1.5, 0.0, 2.0], dtype="float32")
print(array_module(x).__name__, device_of(x), relu(x))

try:
    print("on a GPU:", device_of(to_device(x, "cuda")))
except RuntimeError as error:  # minidrop's DeviceError
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# `to_device` is the only way from one to the other: nothing in minidrop moves an array without being told. A network moves with `network.to("cuda")`, a training run with `device="cuda"` or `--device cuda`.
#
# How far does the one line carry? Look through minidrop's own source for those who know CuPy by name.

# %%
package = pathlib.Path(md.__file__).parent
sources = {
    path.relative_to(package).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(package.rglob("*.py"))
}
importing = [
    name
    for name, text in sources.items()
    if 'import_module("cupy")' in text or "import cupy" in text
]
asking = [
    name for name, text in sources.items() if "array_module(" in text and name != "backend.py"
]
print("imports CuPy:", *importing)
print("asks the array for its library:", *asking)
say(
    "Of {files} source files {importing} imports CuPy, `backend.py`, and {asking} ask an array for"
    " its library.",
    files=len(sources),
    importing=len(importing),
    asking=len(asking),
    agree=0.2,
    holds=importing == ["backend.py"] and len(asking) > 5,
)

# %% [markdown]
# ## A library that counts
#
# The function above does not care what it is given, as long as it behaves like an array. We can use that without a GPU: here is a kind of NumPy array that keeps a list of what is done to it. For each call: its name, how many operations (a product and a sum
# count as two), and how many bytes it reads and writes.


# %%
noted = []  # (name, operations, bytes) of each call


def plain(value):
    """A counted array as the ordinary one that it is; all else as it is (a Python number must stay one, or float32 becomes float64)."""
    return value.view(np.ndarray) if isinstance(value, Counted) else value


class Counted(np.ndarray):
    """A NumPy array that notes every call that computes something."""

    def __array_ufunc__(self, function, method, *inputs, out=(), **settings):
        inputs = [plain(one) for one in inputs]
        if out:
            settings["out"] = tuple(plain(one) for one in out)
        result = getattr(function, method)(*inputs, **settings)
        arrays = [one for one in (*inputs, result) if isinstance(one, np.ndarray)]
        operations = (
            2 * result.size * inputs[0].shape[-1]
            if function is np.matmul
            else max(one.size for one in arrays)
        )
        name = function.__name__ + ("" if method == "__call__" else f".{method}")
        noted.append((name, operations, sum(one.nbytes for one in arrays)))
        return out[0] if out else result.view(Counted)


def step(x, one_hot, weights, lr):
    """One step of a network with a hidden layer, as in lesson 03, written for either library; the weights are changed in place."""
    xp = array_module(x)
    W1, b1, W2, b2 = weights
    z = x @ W1 + b1
    hidden = xp.maximum(z, 0)
    logits = hidden @ W2 + b2
    exponentials = xp.exp(logits - logits.max(axis=1, keepdims=True))
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    grad = (p - one_hot) / len(x)
    grad_z = grad @ W2.T * (z > 0)
    for weight, gradient in zip(
        weights, (x.T @ grad_z, grad_z.sum(axis=0), hidden.T @ grad, grad.sum(axis=0)), strict=True
    ):
        weight -= lr * gradient
    return p


UNITS = 64


def problem(batch, dtype="float32", kind=np.ndarray):
    """Images (batch, 64), labels one-hot, and weights for 64 -> 64 -> 10."""
    numbers = np.random.default_rng(0)
    digits = md.datasets.digits("train")
    rows = np.arange(batch) % len(digits)
    x = (digits.images[rows].reshape(batch, 64) / digits.maximum).astype(dtype)
    one_hot = np.eye(10, dtype=dtype)[digits.labels[rows]]
    shapes = (64, UNITS), (UNITS,), (UNITS, 10), (10,)
    weights = [(0.1 * numbers.normal(size=shape)).astype(dtype) for shape in shapes]
    return x.view(kind), one_hot.view(kind), [weight.view(kind) for weight in weights], 0.1


def count(batch):
    """The calls of one step."""
    given = problem(batch, kind=Counted)
    noted.clear()
    step(*given)
    return list(noted)


calls = count(16)
for name, operations, size in calls:
    print(f"{name:16}{operations:>10,} operations{size:>10,} bytes")

# %%
x, one_hot, weights, lr = problem(16, "float64")
network = md.nn.Sequential(
    md.nn.Dense(64, UNITS, dtype="float64"), md.nn.ReLU(), md.nn.Dense(UNITS, 10, dtype="float64")
)
for parameter, weight in zip(network.parameters(), weights, strict=True):
    parameter.data = weight.copy()
optimizer = md.optim.SGD(network.parameters(), lr=lr)
md.functional.softmax_cross_entropy(network(x), one_hot.argmax(axis=1)).backward()
optimizer.step()
step(x, one_hot, weights, lr)
gap = max(
    np.abs(parameter.data - weight).max()
    for parameter, weight in zip(network.parameters(), weights, strict=True)
)

large = count(4096)
say(
    "One step makes {calls} calls, at batch 16 as at batch 4,096; what grows is the work in each of"
    " them, here {growth:.0f} times in operations. The step is right: against minidrop's the"
    " weights differ by {gap:.0e}.",
    calls=len(calls),
    growth=sum(one[1] for one in large) / sum(one[1] for one in calls),
    gap=gap,
    holds=len(large) == len(calls) and gap < 1e-12,
)

# %% [markdown]
# On a GPU each of these calls is a **launch**: Python asks the driver to start a small program (a kernel) on the GPU. So `Counted` counts launches. Transposing is not among them: it only changes how an array is read.
#
# ## What a call costs, and what its work costs
#
# A call has a price of its own, however small the arrays are: finding the function, checking types and shapes, making the result. On this CPU, for `x + 1`:


# %%
def seconds(runs, turns):
    """The median time of each function, called by turns, a few times in a row each."""
    times = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, (run, repeats) in runs.items():
            started = time.perf_counter()
            for _ in range(repeats):
                run()
            if turn:  # the first turn warms up
                times[name].append((time.perf_counter() - started) / repeats)
    return {name: statistics.median(values) for name, values in times.items()}


lengths = [10**k for k in range(7)] + [4 * 10**6]
arrays = {n: np.zeros(n, dtype="float32") for n in lengths}
outs = {n: np.empty(n, dtype="float32") for n in lengths}
adding = seconds(
    {
        n: (lambda n=n: np.add(arrays[n], np.float32(1), out=outs[n]), max(1, min(300, 10**6 // n)))
        for n in lengths
    },
    turns=25,
)
side = 512
square = np.random.default_rng(0).normal(size=(side, side)).astype("float32")
product = seconds({"product": (lambda: square @ square, 1)}, turns=25)["product"]

CPU = {
    "call": adding[1],  # seconds
    "bandwidth": (
        2 * 4 * lengths[-1] / adding[lengths[-1]]
    ),  # bytes per second, read and written, when they do not fit the cache
    "rate": 2 * side**3 / product,  # operations per second, in a large matrix product
}
figure, axes = plt.subplots(figsize=(7, 3.3))
axes.plot(lengths, [1e6 * adding[n] for n in lengths], "o-", color=BLUE, label="x + 1, measured")
axes.axhline(1e6 * CPU["call"], color=BLACK, linestyle=":", label="the price of a call")
line = np.array([1e3, 4e6])
axes.plot(
    line,
    1e6 * 8 * line / CPU["bandwidth"],
    color=RED,
    linestyle="--",
    label="8 bytes per number, at the bandwidth",
)
axes.set(
    xscale="log",
    yscale="log",
    xlabel="numbers in x (float32)",
    ylabel="microseconds",
    ylim=(0.05, None),
)
axes.legend(fontsize=9, loc="upper left")
plt.show()

say(
    "Adding 1 to a thousand numbers took {ratio:.1f} times as long as adding 1 to a single one. In"
    " this run, on one core: {call:.2f} microseconds per call, {bandwidth:.0f} GB per second, and"
    " {rate:.0f} billion operations per second in a large matrix product.",
    ratio=adding[1000] / adding[1],
    call=1e6 * CPU["call"],
    bandwidth=CPU["bandwidth"] / 1e9,
    rate=CPU["rate"] / 1e9,
    agree=None,
    holds=adding[1000] < 5 * adding[1],
)

# %% [markdown]
# Left of the bend one pays for the call, right of it for the bytes. The whole economy of a GPU is in this picture: there, by all reports, the flat part lies *higher* (a launch is dearer than a call), and the slope begins much *later*.
#
# So three numbers describe a machine: seconds per call, bytes per second, operations per second. A call should take about
#
# $$t = t_{\text{call}} + \max\!\Big(\frac{\text{bytes}}{\text{bandwidth}}, \; \frac{\text{operations}}{\text{rate}}\Big),$$
#
# since moving and computing go on at the same time, and the slower one counts. Does it? Our step, by the model and by the clock, for batches from 1 to 65,536.

# %%
batches = [4**k for k in range(9)]
counts = {batch: count(batch) for batch in batches}


def work(call, machine):
    """Seconds that the machine is busy with a call."""
    _name, operations, size = call
    return max(size / machine["bandwidth"], operations / machine["rate"])


by_model = {
    batch: sum(CPU["call"] + work(call, CPU) for call in counts[batch]) for batch in batches
}
problems = {batch: problem(batch) for batch in batches}
steps = {
    batch: (lambda batch=batch: step(*problems[batch]), max(1, 32 // batch)) for batch in batches
}
measured = {}
for some, turns in (
    (batches[:6], 31),
    (batches[6:], 9),
):  # small and large apart: a large step throws out of the cache what a small one needs
    measured |= seconds({batch: steps[batch] for batch in some}, turns)

figure, axes = plt.subplots(figsize=(7, 3.3))
axes.plot(batches, [1e6 * measured[batch] for batch in batches], "o-", color=BLUE, label="measured")
axes.plot(
    batches,
    [1e6 * by_model[batch] for batch in batches],
    color=RED,
    linestyle="--",
    label="by the model",
)
axes.axhline(
    1e6 * len(calls) * CPU["call"],
    color=BLACK,
    linestyle=":",
    label=f"{len(calls)} calls, without their work",
)
axes.set(xscale="log", yscale="log", xlabel="batch", ylabel="microseconds per step")
axes.legend(fontsize=9, loc="upper left")
plt.show()

off = max(
    max(measured[batch] / by_model[batch], by_model[batch] / measured[batch]) for batch in batches
)
per_image = {batch: 1e6 * measured[batch] / batch for batch in batches}
say(
    "Three numbers are within a factor of {off:.1f} of the clock over almost five decades. Per"
    " image a step took {one:.1f} microseconds at batch 1, {many:.2f} at batch 1,024: {ratio:.0f}"
    " times less, because the calls are shared.",
    off=off,
    one=per_image[1],
    many=per_image[1024],
    ratio=per_image[1] / per_image[1024],
    agree=None,
    holds=off < 10 and per_image[1] > 5 * per_image[1024],
)

# %% [markdown]
# What the model leaves out (caches, fresh memory for each result) is the gap between the two lines. It is good enough to say on which side of the bend one is.
#
# ## Where the time goes
#
# Now the paper's network in minidrop, the one that its program trained (`published`): two convolutions, a dense layer of 1,000 units, ten logits. A training step on 16 images of MNIST's size. (Random images: the time does not depend on what they show.) Python's own profiler adds up the time that was spent in each op. It makes Python calls somewhat slower and leaves array work
# alone. Beside it, the small dense network from above.

# %%
numbers = np.random.default_rng(0)
GROUPS = {
    "conv": "convolution",
    "matmul": "dense layers",
    "pool": "pooling",
    "activation": "ReLU",
}


def training(network, x):
    """A training step of minidrop, on the images x, or on others of as many."""
    optimizer = md.optim.SGD(network.parameters(), lr=0.01)
    labels = np.arange(len(x)) % 10

    def run(x=x):
        loss = md.functional.softmax_cross_entropy(network(md.Tensor(x)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return run


def profile(run, steps):
    """Milliseconds per step: {part: {"forward": ..., "backward": ...}}; and how many ops ran, forward and backward."""
    for _ in range(3):
        run()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(steps):
        run()
    profiler.disable()
    stats = pstats.Stats(profiler)
    parts, ops = {}, 0
    for (file, _line, function), (_calls, calls, _own, total, _callers) in stats.stats.items():
        path = pathlib.Path(file)
        if path.stem in ("im2col", "fourier", "mixed"):
            continue  # called by conv, whose time holds theirs
        if path.parent.name == "ops" and function in ("forward", "backward"):
            group, ops = GROUPS.get(path.stem, "other ops"), ops + calls / steps
        elif path.stem == "optimizer" and function == "step":
            group, function = "SGD", "forward"
        else:
            continue
        times = parts.setdefault(group, {"forward": 0.0, "backward": 0.0})
        times[function] += 1000 * total / steps
    rest = 1000 * stats.total_tt / steps - sum(sum(times.values()) for times in parts.values())
    parts["tape, Python, memory"] = {"forward": max(rest, 0.0), "backward": 0.0}
    return parts, round(ops)


def paper_network():
    return Network("published", "cnn", (1, 28, 28), 10, md.Generator(0), md.Generator(1))


def dense_network():
    weights = md.Generator(0)
    return md.nn.Sequential(
        md.nn.Dense(64, UNITS, generator=weights),
        md.nn.ReLU(),
        md.nn.Dense(UNITS, 10, generator=weights),
    )


images = numbers.random((16, 1, 28, 28), dtype="float32")
profiles = {
    "the paper's network": profile(training(paper_network(), images), 40),
    "64 - 64 - 10": profile(training(dense_network(), problem(16)[0]), 1000),
}

# %% tags=["thumbnail"]
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
for axes, (name, (parts, _ops)) in zip(panels, profiles.items(), strict=True):
    order = sorted(parts, key=lambda part: sum(parts[part].values()))
    forward, backward = ([parts[part][way] for part in order] for way in ("forward", "backward"))
    axes.barh(order, forward, color=BLUE, label="forward (SGD and tape: all)")
    axes.barh(order, backward, left=forward, color=ORANGE, label="backward")
    axes.set(xlabel="milliseconds per step", title=f"{name}, batch 16")
    axes.grid(axis="y", visible=False)
panels[0].legend(fontsize=9, loc="lower right")
plt.show()


def share(name, *groups):
    parts = profiles[name][0]
    return sum(sum(parts[group].values()) for group in groups if group in parts) / sum(
        sum(times.values()) for times in parts.values()
    )


say(
    "In the paper's network {heavy:.0%} of the step went into convolutions and dense layers,"
    " {tape:.0%} into what is no op: the tape, Python, memory taken and given back. In the small"
    " one that took {small:.0%}.",
    heavy=share("the paper's network", "convolution", "dense layers"),
    tape=share("the paper's network", "tape, Python, memory"),
    small=share("64 - 64 - 10", "tape, Python, memory"),
    agree=None,
    holds=share("the paper's network", "convolution", "dense layers") > 0.5
    and share("64 - 64 - 10", "tape, Python, memory")
    > 2 * share("the paper's network", "tape, Python, memory"),
)

# %% [markdown]
# A faster machine for arithmetic would help the left network, and hardly the right one: there the arithmetic is not what takes the time.
#
# ## When a GPU loses
#
# The model needs three numbers for a GPU, and we have none that we measured. So we **assume**: round numbers, of the order that data sheets of large GPUs print and that people report for launches from Python. Between 5 and 20 microseconds per launch,
# because it depends on the driver, on CuPy and on the processor that runs Python.

# %%
ASSUMED = {"bandwidth": 2e12, "rate": 3e13}  # not measured: bytes and float32 operations per second
LAUNCH = {"cheap": 5e-6, "dear": 20e-6}  # not measured: seconds per launch


def timeline(calls, launch, machine):
    """When each call is launched, and when the GPU starts and ends it.

    Python does not wait for the GPU: it launches, and goes on to the next. The GPU takes the calls one after the other.
    """
    rows, free = [], 0.0
    for number, call in enumerate(calls):
        launched = (number + 1) * launch
        start = max(launched, free)
        free = start + work(call, machine)
        rows.append((launched, start, free))
    return np.array(rows)


def assumed(batch, launch):
    """Seconds of one step."""
    return timeline(counts[batch], launch, ASSUMED)[-1, 2]


figure, panels = plt.subplots(2, 1, figsize=(9, 3.6))
for axes, batch in zip(panels, (16, 65536), strict=True):
    rows = 1e6 * timeline(counts[batch], LAUNCH["cheap"], ASSUMED)
    launch = 1e6 * LAUNCH["cheap"]
    axes.broken_barh(
        [(row[0] - launch, launch) for row in rows],
        (1, 0.7),
        color=BLUE,
        edgecolor="white",
        linewidth=0.8,
    )
    axes.broken_barh([(row[1], max(row[2] - row[1], 0.3)) for row in rows], (0, 0.7), color=GREEN)
    axes.set_yticks([0.35, 1.35], labels=["GPU works", "Python launches"])
    axes.set(
        title=(
            f"batch {batch:,}: {len(rows)} launches of {launch:g} microseconds (assumed speeds, not"
            " measured)"
        ),
        xlim=(0, None),
    )
    axes.grid(axis="y", visible=False)
panels[1].set_xlabel("microseconds")
plt.show()

idle = {}
for batch in (16, 65536):
    rows = timeline(counts[batch], LAUNCH["cheap"], ASSUMED)
    idle[batch] = 1 - (rows[:, 2] - rows[:, 1]).sum() / rows[-1, 2]
say(
    "By these assumptions the GPU would be idle for {small:.1%} of the step at batch 16, and for"
    " {large:.0%} at batch 65,536.",
    small=idle[16],
    large=idle[65536],
    holds=idle[16] > 0.9 and idle[65536] < idle[16] - 0.1,
)

# %% [markdown]
# At batch 16 the GPU is done with each call before Python has asked for the next: the step takes as long as its launches, and a GPU of twice the speed would not shorten it. So, as long as the work is small:
#
# $$\text{a GPU loses where} \quad \text{launches} \times t_{\text{launch}} \; > \; \text{the whole step on the CPU}.$$
#
# The blue points below are this CPU, measured. The green band is **assumed**.

# %%
cheap, dear = (
    [1e6 * assumed(batch, LAUNCH[price]) for batch in batches] for price in ("cheap", "dear")
)
figure, axes = plt.subplots(figsize=(7, 3.6))
axes.fill_between(
    batches, cheap, dear, color=GREEN, alpha=0.3, label="a GPU: assumed, not measured"
)
axes.plot(
    batches,
    [1e6 * measured[batch] for batch in batches],
    "o-",
    color=BLUE,
    label="this CPU, one core: measured",
)
axes.set(
    xscale="log",
    yscale="log",
    xlabel="batch",
    ylabel="microseconds per step",
    title="64 - 64 - 10, the step of this page",
)
axes.legend(fontsize=9, loc="upper left")
plt.show()

wins = {
    price: [batch for batch in batches if assumed(batch, LAUNCH[price]) < measured[batch]]
    for price in LAUNCH
}
say(
    "With cheap launches the assumed GPU would be ahead of this run's CPU from batch {cheap} on (of"
    " those tried), with dear ones from batch {dear:,}. At batch 16 its {calls} launches alone"
    " would take {least:.0f} to {most:.0f} microseconds; the CPU took {cpu:.0f}.",
    cheap=wins["cheap"][0],
    dear=wins["dear"][0],
    calls=len(calls),
    least=1e6 * len(calls) * LAUNCH["cheap"],
    most=1e6 * len(calls) * LAUNCH["dear"],
    cpu=1e6 * measured[16],
    agree=None,
    holds=measured[65536] > 2 * assumed(65536, LAUNCH["dear"])
    and wins["cheap"][0] <= wins["dear"][0],
)

# %% [markdown]
# ### Arithmetic against bytes
#
# Once the work is large enough to fill a GPU, is it arithmetic that it waits for? Per call, divide operations by bytes. A machine that does $r$ operations per second and moves $b$ bytes per second waits for bytes wherever the quotient is below $r / b$.

# %%
balance = ASSUMED["rate"] / ASSUMED["bandwidth"], CPU["rate"] / CPU["bandwidth"]
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharex=True, sharey=True)
for axes, batch in zip(panels, (16, 65536), strict=True):
    for kind, colour, marker in (("matrix product", RED, "s"), ("all others", BLUE, "o")):
        some = [
            call for call in counts[batch] if (call[0] == "matmul") == (kind == "matrix product")
        ]
        axes.plot(
            [call[2] for call in some],
            [call[1] / call[2] for call in some],
            marker,
            color=colour,
            label=kind,
            alpha=0.7,
        )
    axes.axhline(balance[0], color=GREEN, linestyle="--", label="balance of the assumed GPU")
    axes.axhline(balance[1], color=BLACK, linestyle=":", label="balance of this CPU core, measured")
    axes.set(xscale="log", yscale="log", xlabel="bytes read and written", title=f"batch {batch:,}")
panels[0].set_ylabel("operations per byte")
panels[0].set_ylim(0.03, 1000)
panels[0].legend(fontsize=8, loc="upper left", ncols=1)
plt.show()

intensity = {
    name: max(call[1] / call[2] for call in counts[65536] if (call[0] == "matmul") == name)
    for name in (True, False)
}
say(
    "Only matrix products do more than {other:.2f} operations per byte; the best of them, at batch"
    " 65,536, reaches {product:.0f}. The assumed GPU breaks even at {gpu:.0f}: there, all other"
    " calls would wait for bytes.",
    other=intensity[False],
    product=intensity[True],
    gpu=balance[0],
    holds=intensity[False] < 1 < intensity[True] and intensity[False] < balance[0],
)

# %% [markdown]
# This is why libraries **fuse**: `exp(x - m)` as two calls reads and writes everything twice, as one it does so once, and saves a launch. `minidrop/gpu/kernels.py` does that by hand for the ops that need it most: a mask, dropout and its derivative in one
# kernel, all parameters of SGD in another.
#
# ### And the paper's network?
#
# Count its launches from below: every op that ran in the profile is at least one. Count its arithmetic: the multiplications of the convolutions, as the cost model of lesson 04 has them, and of the dense layers, two operations
# each.


# %%
def paper_operations(batch):
    """Operations of one training step on images of 28x28: convolutions and dense layers."""
    total = 0
    for side, channels, kernel in ((28, 1, 7), (11, 64, 5)):
        needs = (channels > 1, True)  # the image itself needs no gradient
        shape = conv_choice.Shape(
            batch,
            channels,
            64,
            (side, side),
            (kernel, kernel),
            (1, 1),
            ((0, 0), (0, 0)),  # no padding
            needs,
        )
        done = conv_choice.work(conv_choice.fastest(shape), shape)
        total += 2 * (done.large + done.small)
    return total + 2 * 3 * batch * (3 * 3 * 64 * 1000 + 1000 * 10)


launches = profiles["the paper's network"][1] + 1  # and SGD
arithmetic = {batch: paper_operations(batch) / ASSUMED["rate"] for batch in (16, 256)}
say(
    "At batch 16: {operations:.1f} billion operations, {times:,.0f} times as many as in the small"
    " network. The assumed GPU would do them in {work:.0f} microseconds. Its launches, {launches}"
    " at least, would take {least:.0f} to {most:.0f}. At batch 256 the arithmetic alone would take"
    " {more:.0f}.",
    operations=paper_operations(16) / 1e9,
    times=paper_operations(16) / sum(call[1] for call in calls),
    work=1e6 * arithmetic[16],
    launches=launches,
    least=1e6 * launches * LAUNCH["cheap"],
    most=1e6 * launches * LAUNCH["dear"],
    more=1e6 * arithmetic[256],
    holds=arithmetic[16] < launches * LAUNCH["cheap"] and arithmetic[256] > 4 * arithmetic[16],
)

# %% [markdown]
# So even for the paper's network, at the paper's batch, launches would weigh more than arithmetic at the full rate (which a batch of 16 hardly reaches), if the assumptions hold. (The true count of launches is higher: the next section has it.) What helps:
#
# * **A larger batch**, where the experiment allows it. The paper's says 16.
# * **Fewer launches**: fused kernels.
# * **One launch for all**: a CUDA graph records the launches of a step, and replays them with one call. That is `md.capture(step)`.
# * **Several runs at once**: `md.together` replays the graphs of several seeds side by side, on a GPU that one of them leaves idle.
# * **Do not ask.** `.item()`, `print(loss)`, `if loss > 3`: each makes Python wait until the GPU has done all that was launched, and the lead of Python, the thing that hides launches behind work, is gone.
#
# On a CPU there is nothing to record, and `capture` says so and runs the step as it is:

# %%
x = problem(16)[0]
networks = dense_network(), dense_network()
plain_step, captured_step = training(networks[0], x), md.capture(training(networks[1], x))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    losses = [(plain_step().item(), captured_step(x).item()) for _ in range(5)]
print(*{str(one.message) for one in told}, sep="\n")
say(
    "Five steps, plain and captured: the losses differ by {gap:g}.",
    gap=max(abs(a - b) for a, b in losses),
    holds=all(a == b for a, b in losses) and losses[0] != losses[-1],
)

# %% [markdown]
# ## What the driver is asked
#
# `Counted` listened to the calls of an array library. We can also listen one level lower. Every program speaks to a GPU through the GPU's **driver**, a library that is installed with it. CuPy translates: `x + b` becomes a call of the driver, "put this kernel into that queue". The queue is called a **stream**. The driver puts the work into the stream and returns at once; the GPU does the work of a stream in its order, some time later. So Python runs ahead of the GPU, until it wants to see a number.
#
# minidrop's tests have a driver of their own (`tests/fake_gpu`), with a compiler for the kernels and a library of matrix products. It does all work on a CPU, in ordinary memory, so it says nothing about speed. But the CuPy above it is the real one, and it writes down in order which work, which copies and which waits it is asked for.
#
# Below is such a log: one training step of 64 - 64 - 10 in minidrop, on 16 digits, and then reading its loss. How to read it:
#
# * `stream 0: kernel ...`: this kernel was put into stream 0, the one that is there from the start. `minidrop_...` are the kernels of `minidrop/gpu/kernels.py` and `sgd.py` (`sgd_4` updates four parameters at once), `cupy_...` those of CuPy.
# * `cuBLAS: gemm 10 x 16 x 64`: a matrix product, (16, 64) @ (64, 10). First the columns of the result, then its rows, then the length of each sum. CuPy leaves products to NVIDIA's library cuBLAS, which puts a kernel of its own into the stream: the next line. (`1 times`: one product, not many at once. `math mode 0`: float32 is not rounded.)
# * `copy device to host`: from the memory of the GPU, the device, to that of Python, the host.
# * `synchronise`: Python stands still until the stream is empty.

# %%
stored = json.loads((HERE / "results" / "driver" / "step.json").read_text(encoding="utf-8"))
driver = stored["64 - 64 - 10"]

print("loss = step(images, labels)")
print(*driver["op by op"], sep="\n")
print("\nloss.item()")
print(*driver["read"], sep="\n")
print("\n" + ", ".join(f"{key} {value}" for key, value in stored["provenance"].items()))


# %%
def launched(lines):
    """What was put into a stream: matrix products, kernels of minidrop, kernels of CuPy, the rest."""
    kinds = {"products": 0, "of minidrop": 0, "of CuPy": 0, "others": 0}
    for line in lines:
        if line.startswith(("stream", "captured")):
            work = line.partition(": ")[2]
            starts = {
                "cuBLAS": "products",
                "kernel minidrop_": "of minidrop",
                "kernel cupy_": "of CuPy",
            }
            kinds[
                next((kind for start, kind in starts.items() if work.startswith(start)), "others")
            ] += 1
    return kinds


one_by_one = launched(driver["op by op"])
waits = sum(line.startswith("synchronise") for line in driver["op by op"])
say(
    "The step put {launches} pieces of work into stream 0: {products} matrix products, {own} kernels"
    " of minidrop and {others} of CuPy. It waited {waits} times. Reading the loss copies 4 bytes,"
    " and there Python waits.",
    launches=sum(one_by_one.values()),
    products=one_by_one["products"],
    own=one_by_one["of minidrop"],
    others=one_by_one["of CuPy"],
    waits=waits,
    agree=0,
    holds=waits == 0
    and driver["read"][0] == "stream 0: copy device to host, 4 bytes"
    and any(line.startswith("synchronise") for line in driver["read"]),
)

# %% [markdown]
# `Counted` saw more calls than that in the step by hand. The difference is fusion: softmax, loss and gradient are four lines here (one of them fills in the 1 with which backward starts), and the update is one, not two for each parameter. So what `Counted` counts are *about* the launches of a GPU.
#
# The word to look for is *synchronise*. After it Python is no longer ahead. A framework may wait where you do not see it: in a check of the labels, in a test for NaN. So minidrop's tests count these lines in real training, and allow none between two readings of the loss, which are 50 steps apart.
#
# (The cell reads a stored log. To make one: `python -m tests.fake_gpu -m tests.fake_gpu.lesson_log FILE`, in a checkout on Linux with a C++ compiler; no GPU, but some 80 MB to download.)
#
# ### A capture
#
# One can also tell a stream: *write down what comes, and do not do it.* That is a **capture**. What it gives is a **graph**; each piece of work in it is a **node**. `md.capture(step)` runs the step op by op three times, and captures it at the fourth call, in a stream of its own, since stream 0 cannot be captured. An **event** is a mark in a stream, and another stream can wait for it. Here is the fourth call:

# %%
print(*driver["capture"], sep="\n")

# %% [markdown]
# `captured:` instead of `stream 0:`. These lines computed nothing. (The workspace is memory for cuBLAS, which may ask for none during a capture.) The third line from the end puts the whole graph into the new stream. From now on a step is this:

# %%
print(*driver["replay"], sep="\n")


# %%
def draw(axes, lines, title):
    """Each line of a log as a box in the row of its stream, in their order."""
    rows = sorted({line.partition(":")[0] for line in lines if line.startswith("stream")})
    colours = {"copy": ORANGE, "event": BLACK, "wait": BLACK, "graph": RED}
    boxes = [line for line in lines if line.startswith("stream")]
    for place, line in enumerate(boxes):
        stream, _, work = line.partition(": ")
        colour = colours.get(work.split()[0], BLUE)
        row = rows.index(stream)
        axes.barh(row, 0.8, left=place, color=colour, height=0.6)
        if work.startswith("wait"):
            mark = max(
                at for at in range(place) if boxes[at] == f"stream {work.split()[-1]}: event"
            )
            start = rows.index(boxes[mark].partition(":")[0])
            axes.annotate(
                "", (place + 0.2, row), (mark + 0.6, start), arrowprops={"arrowstyle": "->"}
            )
    axes.set_yticks(range(len(rows)), labels=rows)
    axes.set(title=title, xlim=(-0.3, len(launches_drawn) + 0.3), ylim=(-0.6, len(rows) - 0.4))
    axes.set_xticks([])
    axes.grid(visible=False)


launches_drawn = [line for line in driver["op by op"] if line.startswith("stream")]
figure, panels = plt.subplots(2, 1, figsize=(8, 3), height_ratios=(1, 2))
draw(panels[0], driver["op by op"], "op by op: kernels and products (blue)")
draw(
    panels[1],
    driver["replay"],
    "replay: copies (orange), the graph (red), events and who waits for them (black)",
)
panels[1].set_xlabel("requests, in the order in which Python makes them; their lengths say nothing")
plt.show()

nodes = sum(launched(line for line in driver["capture"] if line.startswith("captured")).values())
replayed = [line for line in driver["replay"] if line.split()[2] in ("copy", "graph")]
say(
    "{work} pieces of work instead of {launches}: two copies, which put images and labels where the"
    " graph expects them, and one graph of {nodes} nodes. The other lines keep the order: the"
    " graph's stream waits for what the caller has put into stream 0, and stream 0 for the end of"
    " the graph. Python waits for neither.",
    work=len(replayed),
    launches=sum(one_by_one.values()),
    nodes=nodes,
    agree=0,
    holds=[line.split()[2] for line in replayed] == ["copy", "copy", "graph"]
    and nodes == sum(one_by_one.values())
    and not any(line.startswith("synchronise") for line in driver["replay"]),
)

# %% [markdown]
# A graph holds addresses and numbers as they were. So the weights must stay in the same arrays, and the result of a replay lies where that of the one before lay: **copy what you want to keep.** If the learning rate changes, `md.capture` notices and captures anew. And a step that is captured can read nothing: to read a number is to wait for work that is only written down. CuPy raises an error then, before it asks the driver; `md.capture` catches it, says why, and runs the step op by op from then on:

# %%
print(stored["refused"])

paper = stored["the paper's network"]
paper_steps = {"op by op": launched(paper["op by op"])}
paper_steps["in the graph"] = launched(line for line in paper["capture"] if line[0] == "c")
print(f"\n{'':22}  all" + "".join(f"{kind:>13}" for kind in one_by_one))
for name, kinds in paper_steps.items():
    print(f"{name:22}{sum(kinds.values()):5}" + "".join(f"{kind:13}" for kind in kinds.values()))
pointers = sum("cupy_mat_ptrs" in line for line in paper["op by op"])
say(
    "The paper's network takes {launches} launches op by op, where the count of ops above said"
    " {assumed} at least, and {nodes} nodes in its graph. Most of the difference, {pointers}, are"
    " lists of addresses: where a product has many matrices, CuPy makes three of them for cuBLAS,"
    " and in a capture minidrop asks cuBLAS itself.",
    launches=sum(paper_steps["op by op"].values()),
    assumed=launches,
    nodes=sum(paper_steps["in the graph"].values()),
    pointers=pointers,
    agree=0,
    holds=launches < sum(paper_steps["in the graph"].values())
    and sum(paper_steps["op by op"].values()) - sum(paper_steps["in the graph"].values())
    < 2 * pointers,
)

# %% [markdown]
# ## Measured on a GPU
#
# `python -m tests.benchmarks.gpu --json lessons/results/gpu/NAME.json`, in a checkout on a machine with a GPU, times the step of a network with convolutions op by op and as a CUDA graph, beside PyTorch where that is installed, and compares the gradients with NumPy's. If there is such a file, the next cell draws it.

# %%
on_gpus = sorted((HERE / "results" / "gpu").glob("*.json"))
for path in on_gpus:
    result = json.loads(path.read_text(encoding="utf-8"))
    for name, work in result["works"].items():
        times = work["milliseconds"]
        figure, axes = plt.subplots(figsize=(7, 0.4 * len(times) + 1))
        axes.barh(list(times)[::-1], list(times.values())[::-1], color=BLUE)
        axes.set(
            xlabel="milliseconds per step",
            title=f"{name}, batch 16: {result['provenance']['gpu']}",
        )
        axes.grid(axis="y", visible=False)
        plt.show()
        print(", ".join(f"{way} {value:.2f}" for way, value in work["ratios"].items()))
        print(
            f"gradients differ from NumPy's by {work['gradient_error']:.1e} of the largest at most"
        )
    print(", ".join(f"{key} {value}" for key, value in result["provenance"].items()))
if not on_gpus:
    print("minidrop has not yet been run on a GPU: there is no file in lessons/results/gpu.")
    print("To make one:  python -m tests.benchmarks.gpu --json lessons/results/gpu/NAME.json")

# %% [markdown]
# Until that has been done, the green band is a guess with reasons, and this page does not say that minidrop is fast on a GPU. It says what to expect, so that a measurement can prove it wrong.
#
# ## What to keep
#
# * The switch is one line: ask the array for its library. Then the same code runs on both, and also on a library of your own that counts.
# * Three numbers describe a machine: seconds per call, bytes per second, operations per second. Of the last two a GPU has much more; in the first, by all reports, it is worse.
# * A GPU loses on small work, because each call is a launch. Count the launches before you buy one.
# * Apart from matrix products, calls wait for bytes: fuse them.
# * A driver puts work into a stream and returns. Python waits where it reads a number. A captured step is one launch, and a copy for each input.
# * An assumption is not a measurement. Mark it.
#
# ## Exercises
#
# **1.** Write the softmax of lesson 03 (largest logit taken out first, along the last axis) for any library: your function gets the library as `xp`, and an array of it. The checker brings a library of its own, whose arrays NumPy cannot read.


# %%
def softmax(xp, logits): ...


check("13.1", softmax)

# %% [markdown]
# **2.** When is the GPU done? `work` lists how many seconds it needs for each call. Python launches one call after the other without waiting, the first launch ends after `launch` seconds, the second after twice that, and so on. The GPU starts a call when it has been launched
# and the one before is done. Return when the last call ends.


# %%
def finished(work, launch): ...


check("13.2", finished)

# %% [markdown]
# **3.** A step takes $a + b \cdot N$ seconds for a batch of $N$ images. Given `cpu = (a, b)` and `gpu = (a, b)`, return the smallest batch, a whole number from 1 on, at which the GPU is faster (not just equal), or `"never"`.


# %%
def break_even(cpu, gpu): ...


check("13.3", break_even)

# %% [markdown]
# ## Read on
#
# * `minidrop/backend.py`: the switch, devices, and the matrix product.
# * `minidrop/gpu/kernels.py`: the fused kernels, in CUDA C++, each beside the array code that it replaces.
# * `minidrop/capture.py`: `capture` and `together`.
# * `tests/fake_gpu`: the driver that keeps a log; streams and captures are in `queue.cpp`.
# * `tests/benchmarks/NOTES.md`: what was tried to make minidrop fast, what it brought, and the launches of a step.
# * `lessons/solutions/lesson_13.py`: solutions.
