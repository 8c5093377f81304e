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
# # 10 · Autopsy of a crash
#
# **You need** lessons 07 (DropAlan) and 09 (the curves on CIFAR-10).
#
# **You get** two suspects for the crash that the paper could not explain, each provoked, known by its marks and prevented,
# and a verdict on how far the published curves can tell them apart.
#
# **Time** about 40 seconds on two cores.
#
# **New names** `md.detect_anomaly`, `minidrop.paper.as_published.ComposedDropAlan`, `minidrop.paper.as_published.SwallowingReLU`, `minidrop.paper.measuring.measure`
#
# The paper's best DropAlan network, beta scaled on CIFAR-10, trained well for 54,000 iterations and then, from one measurement to
# the next, knew nothing any more. It happened again when the author repeated it. "I cannot yet say with certainty why", he writes,
# and names two ideas: a division by zero, and too many units with a drop rate near 1. This lesson follows both.

# %%
import csv

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import minidrop as md
from checks import check
from lesson import BLACK, BLUE, GREEN, ORANGE, RED, SKY, full, made_with, results, say
from minidrop.paper.as_published import ComposedDropAlan, SwallowingReLU
from minidrop.paper.measuring import measure
from minidrop.paper.reproduce.grid import read_runs, steps_path
from minidrop.paper.training import Run, Trainer, load_data

# %% [markdown]
# ## What was found at the scene
#
# The next cell quotes from the author's published training log (repository acasallas/6860-final-project, log
# `convdropalan_cifar_best`): every thousand iterations the mean training loss of that thousand, and the accuracy on 1,600 test
# images.

# %% tags=["quotes"]
# iteration: (mean training loss of the thousand iterations before, accuracy)
published = {
    53_000: (0.5417, 0.7075),
    54_000: (0.5124, 0.6975),
    55_000: (1.7811, 0.096875),
    56_000: (2.3025851249694824, 0.096875),
    60_000: (2.3025851249694824, 0.095625),
    88_000: (2.3025851249694824, 0.096875),
}
crash_again = (
    50_000  # "a crash at around 50,000 iterations" (section III.B) when the author ran it again
)
class_0_seen = (153, 160)  # least and most of 1,600 images counted as right after the crash
mnist_survived = 150_000  # iterations of the scaled network on MNIST, log convdropalanprob2_mnist_scaled, without a crash

# %%
ln10 = float(np.float32(np.log(10)))
say(
    "The loss stays at {loss:.16f}. The logarithm of 10, rounded to 32 bits, is {ln10:.16f}: the"
    " same to the last digit. So all ten logits of every image were **equal**, every probability"
    " was 1/10, and not once in 33,000 iterations did it move.",
    loss=published[56_000][0],
    ln10=ln10,
    holds=published[56_000][0] == published[60_000][0] == published[88_000][0] == ln10,
)
say(
    "The accuracy is {hits:.0f} of 1,600 at first, later {later:.0f}: whoever sees ten equal"
    " numbers and has to name the largest names the first, class 0, and is right as often as class"
    " 0 comes up. (That it moves, over the rest of the log between {least:.0f} and {most:.0f}, does"
    " not say that the network still lived: the test images come through a shuffle buffer, and so"
    " it is not always the same 1,600.)",
    hits=1600 * published[55_000][1],
    later=1600 * published[60_000][1],
    least=class_0_seen[0],
    most=class_0_seen[1],
    holds=all(abs(count - 160) < 2 * (160 * 0.9) ** 0.5 for count in class_0_seen),  # a tenth
)

# %% [markdown]
# What of the thousand iterations in between, whose mean is neither the old loss nor the new? Suppose training went on as before,
# then a spike of total size $S$ (what the loss rose above the old one while it died, summed), then $n$ iterations at ln 10:
#
# $$ 1000 \cdot \text{mean} = (1000 - n) \cdot \text{before} + S + n \ln 10 $$

# %%
before, mean = published[54_000][0], published[55_000][0]
dead_for = np.linspace(0, 708, 300)
spike = 1000 * (mean - before) - dead_for * (ln10 - before)
figure, axes = plt.subplots(figsize=(6.2, 3))
axes.plot(1000 - dead_for, spike, color=RED)
axes.set(
    xlabel="iterations of the thousand before it died",
    ylabel="spike: sum of the losses\nwhile it died (nats)",
)
axes.set_title("All these histories have the published mean")
plt.show()
without_spike = 1000 * (mean - before) / (ln10 - before)
say(
    "Without any spike the network was dead for the last {dead:.0f} of the thousand iterations. But"
    " one number cannot fix two unknowns: a spike of up to {largest:.0f} nats in all fits too, if"
    " death came later. The log does not say that there was none.",
    dead=without_spike,
    largest=spike[0],
    holds=abs(without_spike - 708) < 2 and spike[0] > 1000,
)

# %% [markdown]
# So: how does a network come to give ten equal logits, for every image, for ever? The published network had a ReLU **on the
# logits**. Two ways lead there at once. (A third, losing class after class as in lesson 08, would show in the log as stairs; the log has none.)
#
# * **Suspect one: NaN.** Some number becomes NaN, then all of them do, and a ReLU somewhere turns NaN into 0.
# * **Suspect two: dead logits.** One step is so large that all ten logits are negative for every image. The ReLU makes them 0, its
#   gradient is 0, and nothing ever moves again. All weights are finite.
#
# ## Suspect one: an exact zero
#
# The published code composed DropAlan from elementary operations and let autograd do the rest. `ComposedDropAlan` does the same:
#
# $$ p = \text{clip}(1 + 0.2 / z,\; 0.8,\; p_{max}) \cdot [z < 0], \qquad y = \frac{z}{1 - p}\, \theta $$
#
# Forward there is no trouble at $z = 0$: 0.2/0 is infinite, the clip makes it $p_{max}$, the last factor makes it 0. Backward, the clip
# sends a gradient of 0 into the division, whose own slope is $-0.2 / z^2 = -\infty$. And $0 \cdot \infty$ is NaN.

# %%
values = np.array([0.5, 1e-6, 0.0, -1e-6, -0.5, -2.0], dtype="float32")
for name, layer in {
    "composed, as published": ComposedDropAlan(md.Beta(), scaled=True, generator=md.Generator(1)),
    "one op, minidrop's": md.nn.DropAlan(md.Beta(), scaled=True, generator=md.Generator(1)),
}.items():
    z = md.Tensor(values, requires_grad=True)
    y = layer(z)
    y.backward(np.ones_like(values))
    print(f"{name:24} output  ", *(f"{v:9.3g}" for v in y.data))
    print(f"{'':24} gradient", *(f"{g:9.3g}" for g in z.grad))
    nan = np.isnan(z.grad)
    say(
        f"{name}: the gradient is NaN at {{count:.0f}} of {{all:.0f}} values.",
        count=nan.sum(),
        all=len(values),
        holds=nan.tolist() == (values == 0).tolist() if "composed" in name else not nan.any(),
    )

# %% [markdown]
# The output is finite in every place, so nobody watching the loss sees anything. A millionth to either side of 0 all is well; at exactly 0
# the composed gradient is NaN.
#
# `md.detect_anomaly` looks at every array on the way, and names the operation at which the first number stops being finite:

# %%
z = md.Tensor(values, requires_grad=True)
try:
    with md.detect_anomaly():
        ComposedDropAlan(md.Beta(), scaled=True, generator=md.Generator(1))(z).sum().backward()
    culprit = "nothing"
except ArithmeticError as error:
    culprit = str(error).splitlines()[0]
print(culprit)

# %%
say(
    f'It says "{culprit}". The division has two faults in one: an infinite value forward, an'
    " infinite slope backward. The author's first idea was right about the place.",
    holds=culprit.startswith("Div"),
)

# %% [markdown]
# ### One zero, and three steps later
#
# We take a small network on digits, train it a little, and then put the bias of a single unit on the one float for which a single image
# gives exactly $z = 0$. The bias hardly moves. Then we watch.

# %%
digits = load_data("digits")


def trainer_of(variant, seed=0, steps=0, weights=None):
    """A trainer on digits, after `steps` steps, or from given weights."""
    trainer = Trainer(Run(dataset="digits", variant=variant, seed=seed, iterations=10**6), digits)
    if weights is not None:
        trainer.network.load_state_dict(weights)
    for _ in range(steps):
        trainer.step()
    return trainer


def plant_a_zero(trainer):
    """Shift one unit's bias so that the z of one image of the next batch is exactly 0.

    Returns by how much, and the share of the features that are not 0 for that image.
    """
    place = trainer.batches.state_dict()
    images, _ = next(trainer.batches)
    trainer.batches.load_state_dict(place)  # as if nobody had looked
    with md.no_grad():
        features = trainer.network.features(md.Tensor(images)).data
    sums = features @ trainer.network.dense.weight.data
    bias = trainer.network.dense.bias.data
    image, unit = np.unravel_index(np.abs(sums + bias).argmin(), sums.shape)  # the z nearest to 0
    shift = -sums[image, unit] - bias[unit]
    bias[unit] = -sums[image, unit]
    return abs(float(shift)), (features[image] > 0).mean()


shares = {}
for variant in ("beta-scaled-composed", "beta-scaled"):
    trainer = trainer_of(variant, steps=300)
    shift, heard = plant_a_zero(trainer)
    for step in range(3):
        trainer.step()
        names = [name for name, _ in trainer.network.named_parameters()]
        shares[variant, step] = [
            1 - np.isfinite(p.data).mean() for _, p in trainer.network.named_parameters()
        ]

figure, axes = plt.subplots(figsize=(8, 3))
for step, colour in enumerate((SKY, ORANGE, RED)):
    axes.barh(
        np.arange(len(names)) + 0.27 * (1 - step),
        shares["beta-scaled-composed", step],
        0.25,
        color=colour,
        label=f"after step {step + 1}",
    )
axes.set_yticks(range(len(names)), names, fontsize=8)
axes.invert_yaxis()
axes.set(
    xlabel="share of the numbers that are NaN",
    title="One exact zero in a batch, DropAlan composed as published",
)
figure.legend(loc="outside right upper", fontsize=9)
plt.show()

# %%
first, last = shares["beta-scaled-composed", 0], shares["beta-scaled-composed", 2]
dense, second = names.index("dense.weight"), names.index("features.3.weight")
say(
    "Shift of the bias: {shift:.1e}. After **one** step the first convolution is NaN throughout"
    " ({conv:.0%}), of the second one the filters that were not silent for this image ({conv2:.0%}),"
    " of the dense layer just the unit that was hit ({dense:.2%}: one of"
    " 512), and the logits' weights are untouched ({logits:.0%}). After the second step the share"
    " in the logits' weights is {logits2:.0%}. minidrop's own op, at the same zero:"
    " {explicit:.0%}.",
    shift=shift,
    conv=first[0],
    conv2=first[second],
    dense=first[dense],
    logits=first[dense + 2],
    logits2=shares["beta-scaled-composed", 1][dense + 2],
    explicit=max(shares["beta-scaled", 2]),
    agree=None,
    holds=first[0] == 1
    and first[second] == heard
    and first[dense] < 0.01
    and first[dense + 2] == 0
    and last[dense + 2] == 1
    and max(shares["beta-scaled", 2]) == 0,
)

# %% [markdown]
# ### What a ReLU that swallows NaN shows
#
# With NaN weights the loss should be NaN, and the published log would say `nan`. It says ln 10. Is a maximum of NaN and 0 NaN, or 0?
# NumPy has both: `np.maximum(nan, 0)` is NaN, `np.fmax(nan, 0)` is 0. `SwallowingReLU` is the second kind.

# %%
swallowed = {}
for variant in ("beta-scaled-composed", "beta-scaled-composed-swallow"):
    trainer = trainer_of(variant, steps=300)
    plant_a_zero(trainer)
    swallowed[variant] = [trainer.step() for _ in range(6)]
    measured, _ = measure(trainer.network, trainer.test, trainer.mean, "cpu")
    print(
        f"{variant:30}",
        *(f"{loss:.16f}" for loss in swallowed[variant][-2:]),
        f"  accuracy {measured['accuracy']:.4f}",
    )
class_0 = np.mean(trainer.test.labels == 0)
print(
    "relu of NaN:",
    md.nn.ReLU()(md.Tensor([np.nan])).data,
    SwallowingReLU()(md.Tensor([np.nan])).data,
)

# %%
say(
    "The ReLU that hands NaN on gives NaN. The one that swallows it gives {loss:.16f}: the"
    " published number, to the last digit. The accuracy is {accuracy:.4f}, the share of class 0"
    " ({share:.4f}).",
    loss=swallowed["beta-scaled-composed-swallow"][-1],
    accuracy=measured["accuracy"],
    share=class_0,
    holds=swallowed["beta-scaled-composed-swallow"][-1] == ln10
    and np.isnan(swallowed["beta-scaled-composed"][-1])
    and measured["accuracy"] == class_0,
)

# %% [markdown]
# Did the author's ReLU swallow NaN? TensorFlow issue 32730 (September 2019, for versions that came out a few months after the paper) has the title
# "tf.nn.relu on nan inputs returns zeros on GPU", while the same op on a CPU handed NaN on. Whether the version before them did the same we have not tested, and neither the version nor whether the paper's runs were made on a GPU is recorded.
#
# ### How often is a sum exactly 0?
#
# Floats are a lattice: near a number $c$ they lie `spacing(c)` apart. The dense layer adds its bias last, $z = a + c$ with $a = x \cdot w$, and in floats
# $a + c = 0$ only if $a = -c$ to the last bit. So the question is how often $a$ falls on one particular float:
#
# $$ P(z = 0) \;=\; f_z(0) \cdot \text{spacing}(c), $$
#
# the density of $z$ at 0 times the distance between neighbours **at what was added last**. We count, where counting is cheap: large biases,
# against which a sum runs that all but cancels them.

# %%
generator = np.random.default_rng(0)
biases = 2.0 ** np.arange(4, 13)
counted, expected = [], []
for bias in biases:
    weight = generator.normal(0, 1, size=(32, 400)).astype("float32")
    hits = near = 0
    for _ in range(25):
        x = generator.normal(size=(2000, 32)).astype("float32")
        z = (x @ weight - np.float32(1.3 * bias)) + np.float32(1.3 * bias)
        hits += (z == 0).sum()
        near += (np.abs(z) < 0.1).sum()
    counted.append(hits)
    expected.append(near / 0.2 * np.spacing(np.float32(1.3 * bias)))
counted, expected = np.array(counted), np.array(expected)

figure, axes = plt.subplots(figsize=(6, 3.4))
axes.loglog(1.3 * biases, expected, color=BLACK, label="density of z at 0, times spacing")
axes.errorbar(
    1.3 * biases,
    counted,
    yerr=np.sqrt(counted),
    fmt="o",
    color=RED,
    label="counted, ± its square root",
)
axes.set(xlabel="what was added last", ylabel="zeros in 20 million sums")
axes.legend()
plt.show()
say(
    "In all, {expected:.0f} zeros expected, {counted:.0f} counted, over two and a half orders of"
    " magnitude.",
    expected=expected.sum(),
    counted=counted.sum(),
    agree=0.2,
    holds=abs(counted.sum() - expected.sum()) < 5 * np.sqrt(expected.sum()),
)

# %% [markdown]
# ### In real training
#
# The stored runs below trained the small network under the published protocol, looked at every step, and counted zeros in z as well as what
# the law predicts for each batch. There are two kinds. In `crash` (JPEG copy of CIFAR-10) the dense layer adds its small bias last, as Keras
# does; in `crash-zero` (digits, so that anyone can run it again) the bias is inside the sum and two halves of ordinary size are added last, as
# a fused kernel may do it: a coarser lattice, and so more zeros.

# %%
made_with("crash")
made_with("crash-zero")


def recorded(folder):
    """The runs of a folder that got to their end, by variant."""
    by_variant = {}
    for run in read_runs(results(folder)):
        if run.done:
            by_variant.setdefault(run.run.variant, []).append(run)
    return by_variant


plain, fused = recorded("crash"), recorded("crash-zero")
groups = {
    "bias added last": plain["beta-scaled-composed"],
    "bias inside the sum": fused["beta-scaled-composed-fused"],
}
survivors = {"bias inside the sum, minidrop's op": fused["beta-scaled-fused"]}
rows = [(name, runs) for name, runs in {**groups, **survivors}.items()]
print(f"{'':36}{'runs':>5}{'died':>6}{'values of z':>14}{'zeros':>7}{'expected':>10}")
totals = {}
for name, runs in rows:
    sums = {
        key: sum(run.result["recorded"]["totals"][key] for run in runs)
        for key in ("values", "zeros", "expected_zeros")
    }
    died = [run.result["recorded"]["first_non_finite_gradient"] for run in runs]
    totals[name] = (sums["zeros"], sums["expected_zeros"], died)
    print(
        f"{name:36}{len(runs):5}{sum(d is not None for d in died):6}{sums['values']:14,}{sums['zeros']:7}{sums['expected_zeros']:10.2f}"
    )

# %%
again = "beta-scaled-composed-fused-p_max=.95"  # the same runs once more, as will be seen below
every_run = [
    run for variant, runs in [*plain.items(), *fused.items()] for run in runs if variant != again
]
recorded_totals = [run.result["recorded"]["totals"] for run in every_run]
zeros = sum(total["zeros"] for total in recorded_totals)
expectation = sum(total["expected_zeros"] for total in recorded_totals)
first_zero_kills = all(
    (run.result["recorded"]["totals"]["zeros"] > 0)
    == (run.result["recorded"]["first_non_finite_gradient"] is not None)
    for runs in groups.values()
    for run in runs
)
say(
    "Over {runs:.0f} stored runs, those with remedies (below) included, {zeros:.0f} zeros were"
    " met and {expected:.1f} expected; with the bias added last, {few:.0f} and {expected_few:.1f}, and"
    " {lived:.0f} of {of:.0f} such runs lived through all of their {length:,.0f} iterations. Wherever the gradient went through the composed ops, **the first zero was the end of the"
    " run**, and no run died without one; minidrop's op met {survived:.0f} and trained on.",
    runs=len(every_run),
    zeros=zeros,
    expected=expectation,
    few=totals["bias added last"][0],
    expected_few=totals["bias added last"][1],
    lived=sum(death is None for death in totals["bias added last"][2]),
    of=len(groups["bias added last"]),
    length=groups["bias added last"][0].run.iterations,
    survived=totals["bias inside the sum, minidrop's op"][0],
    holds=first_zero_kills
    and sum(death is None for death in totals["bias added last"][2])
    > len(groups["bias added last"]) / 2
    and abs(zeros - expectation) < 2.5 * np.sqrt(expectation)
    and totals["bias inside the sum, minidrop's op"][0] > 0
    and all(death is None for death in totals["bias inside the sum, minidrop's op"][2]),
)

# %%
figure, axes = plt.subplots(figsize=(7.5, 3.4))
for (name, runs), colour in zip(groups.items(), (BLUE, RED), strict=True):
    steps = np.arange(0, runs[0].run.iterations + 1, 100)
    died = [run.result["recorded"]["first_non_finite_gradient"] or np.inf for run in runs]
    axes.step(
        steps,
        [np.mean([d > step for d in died]) for step in steps],
        color=colour,
        label=f"{name}: alive, of {len(runs)}",
        where="post",
    )
    hazard = totals[name][1] / sum(
        run.result["iteration"] for run in runs
    )  # expected zeros per step, over all runs
    axes.plot(
        steps,
        np.exp(-hazard * steps),
        color=colour,
        linestyle=":",
        label=f"{name}: predicted, exp(-{hazard:.1e} × step)",
    )
axes.set(xlabel="iteration", ylabel="share of runs alive", ylim=(-0.03, 1.25))
axes.legend(fontsize=8, ncols=2, loc="upper center")
plt.show()

# %% [markdown]
# ### The steps before
#
# The recorder keeps at least the last 200 steps of a run that dies. Here is one of them.

# %%
dead = next(
    run
    for run in plain["beta-scaled-composed"]
    if run.result["recorded"]["first_non_finite_gradient"]
)
with steps_path(results("crash"), dead.run).open() as file:
    last_steps = [
        {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)
    ]
at = [row["iteration"] for row in last_steps]
figure, panels = plt.subplots(1, 3, figsize=(9, 2.6))
for axes, (column, label) in zip(
    panels,
    {
        "loss": "loss (nats)",
        "gradient_norm": "gradient norm",
        "smallest_z": "smallest z of the batch",
    }.items(),
    strict=True,
):
    axes.plot(at, [row[column] for row in last_steps], linewidth=0.8)
    axes.axvline(dead.result["recorded"]["first_non_finite_gradient"], color=RED, linestyle=":")
    axes.set(xlabel="iteration", ylabel=label)
    axes.tick_params(axis="x", labelsize=8)
    axes.locator_params(axis="x", nbins=3)
plt.show()
quiet = [row for row in last_steps if np.isfinite(row["gradient_norm"])]
say(
    "No warning of any kind: in the {count:.0f} steps before, the gradient norm never passed"
    " {norm:.1f}, z never fell below {z:.1f}, the loss of the fatal batch was {loss:.2f}. Then the"
    " gradient is NaN.",
    count=len(quiet),
    norm=max(row["gradient_norm"] for row in quiet),
    z=min(row["smallest_z"] for row in quiet),
    loss=last_steps[len(quiet)]["loss"],
    holds=max(row["gradient_norm"] for row in quiet) < 30
    and np.isnan(last_steps[len(quiet)]["gradient_norm"]),
)

# %% [markdown]
# ### How often does the paper's network meet a zero?
#
# The paper's network has 1,000 units, its own density of z and its own biases. And it has two convolutions, not the three of the paper's text: the
# published program calls its second convolution on the image, so that the first one's result is thrown away. That is the network `published`; two stored experiments trained it, on
# CIFAR-10 (JPEG copy) and on MNIST, two seeds of every variant.
#
# Zeros are too rare to give a rate in runs as short as that. But near 0, z falls on a lattice of floats, and on each of them about as often. So every history counts the z on the 4,001 floats around 0;
# divided by 4,001, that is the number of zeros to be expected (the column `lattice_zeros`).

# %%
by_lattice = sum(run.rows[-1]["lattice_zeros"] for run in groups["bias added last"])
by_law = totals["bias added last"][1]
say(
    "In the {runs:.0f} runs with the bias added last both were counted: by the law {law:.2f} zeros"
    " are to be expected in all of them together, by the lattice {lattice:.2f}.",
    runs=len(groups["bias added last"]),
    law=by_law,
    lattice=by_lattice,
    holds=abs(by_law - by_lattice) < 0.1 * by_law,
)

# %%
made_with("gate-cifar10")
made_with("gate-mnist")
rates, counts = {}, []
figure, axes = plt.subplots(figsize=(6.4, 3))
for (name, folder), colour in zip(
    {"CIFAR-10": "gate-cifar10", "MNIST": "gate-mnist"}.items(), (RED, BLUE), strict=True
):
    for run in read_runs(results(folder)):
        if run.run.variant == "beta-scaled":
            steps = np.array([0] + [row["iteration"] for row in run.rows])
            lattice = np.array([0] + [row["lattice_zeros"] for row in run.rows])
            half = len(steps) // 2
            rate = (lattice[-1] - lattice[half]) / (steps[-1] - steps[half])
            rates.setdefault(name, []).append(rate)
            counts.append((run.rows[-1]["zeros"], lattice[-1]))
            label = f"{name}, seed {run.run.seed}: one in {1 / rate:,.0f}"
            style = "-" if run.run.seed == 0 else "--"
            axes.plot(steps / 1000, lattice, style, color=colour, label=label)
axes.set(xlabel="iteration (1,000s)", ylabel="zeros to be expected so far")
axes.legend(fontsize=8, title="scaled beta, second half", title_fontsize=8)
plt.show()

# %%
cifar, mnist = (1 / np.mean(rates[name]) for name in ("CIFAR-10", "MNIST"))
say(
    "At the rate of the second half of these runs, **one zero is to be expected in {cifar:,.0f}"
    " iterations on CIFAR-10**, and one in {mnist:,.0f} on MNIST. The published network died on"
    " CIFAR-10 after 54,000, and near {again:,.0f} when it was run again; on MNIST it was trained for"
    " {lived:,.0f} and lived.",
    cifar=cifar,
    again=crash_again,
    mnist=mnist,
    lived=mnist_survived,
    holds=54_000 / 4 < cifar < 54_000 * 4 and mnist > 2 * cifar,
)
met, to_expect = np.sum(counts, axis=0)
say(
    "(Zeros met in these {runs:.0f} runs: {met:.0f}; to be expected: {to_expect:.2f}. With so few that"
    " may be chance. minidrop's op trained on.)",
    runs=len(counts),
    met=met,
    to_expect=to_expect,
    holds=len(counts) == 4 and abs(met - to_expect) < 2.5 * np.sqrt(to_expect),
)

# %% [markdown]
# So the order of magnitude fits. More than that cannot be had from here, for a rate belongs to a kernel. Ours adds the bias last. What if it did not?


# %%
def expected_per_1000(runs):
    """Zeros to be expected in 1,000 steps, over these runs."""
    return (
        1000
        * sum(run.rows[-1]["lattice_zeros"] for run in runs)
        / sum(run.rows[-1]["iteration"] for run in runs)
    )


last_on_digits = [run for run in read_runs(results("digits")) if run.run.variant == "beta-scaled"]
outside, inside = expected_per_1000(last_on_digits), expected_per_1000(fused["beta-scaled-fused"])
say(
    "The same small network on digits: with the bias added last {outside:.4f} zeros to be expected"
    " in 1,000 steps, with the bias inside the sum {inside:.3f}, {factor:.0f} times as many.",
    outside=outside,
    inside=inside,
    factor=inside / outside,
    agree=None,
    holds=inside > 3 * outside,
)

# %% [markdown]
# Keras adds its bias last, too, unless a kernel below it fuses the two; which it was on the author's machine is not recorded. And our rates are those of the first iterations, carried on to 54,000.
# So nobody can say from them what the odds of a death were in 2018. That both deaths fell near 50,000 is a coincidence that a constant rate does not explain, either. The alpha and the unscaled beta networks,
# which meet zeros too, were trained for up to 250,000 iterations without harm: no gradient goes through a division there.
#
# ## Suspect two: a step too large
#
# A kept unit with z < -1 gives $y = -5 z^2$ with slope $-10 z$ (lesson 07). As z grows, a rare kept unit sends an ever larger gradient. When is that enough to
# kill all ten logits? We can turn z up without changing what the network computes at inference: multiply the dense layer's weights and bias by $s$ and
# divide the logits' weights by $s$. Then training goes on, at the published rate.

# %%
SEEDS = 8 if full else 5
WARM, AFTER = (4000, 500) if full else (1200, 100)
warm = {
    (kind, seed): trainer_of(kind, seed, WARM).network.state_dict()
    for seed in range(SEEDS)
    for kind in ("beta-scaled", "cnn")
}


def turn_up(variant, seed, scale, warmed):
    """Train on for AFTER steps with z larger by `scale`: what became of the network, when, and the largest loss on the way."""
    trainer = trainer_of(variant, 100 + seed, weights=warm[warmed, seed])
    network = trainer.network
    for parameter in (network.dense.weight, network.dense.bias):
        parameter.data *= np.float32(scale)
    network.logits.weight.data /= np.float32(scale)
    largest = 0.0
    for step in range(1, AFTER + 1):  # noqa: B007
        loss = trainer.step()
        largest = max(largest, loss) if np.isfinite(loss) else np.inf
        if trainer.divergence:
            break
    end, _ = measure(network, trainer.test, trainer.mean, "cpu")
    finite = all(np.isfinite(p.data).all() for p in network.parameters())
    fate = (
        "overflow"
        if not finite
        else (
            "dead logits"
            if end["dead_logits"] == 1
            else "lost"
            if end["accuracy"] < 0.2
            else "alive"
        )
    )
    return {
        "fate": fate,
        "step": step if fate in ("overflow", "dead logits") else None,
        "loss": largest,
        "accuracy": end["accuracy"],
    }


scales = (1, 16, 64, 256)
REMEDY_SCALE = 64
by_scale = {
    (kind, scale): [turn_up(kind, seed, scale, kind) for seed in range(SEEDS)]
    for kind in ("beta-scaled", "cnn")
    for scale in scales
}

# %% tags=["thumbnail"]
colours = {"alive": GREEN, "lost": ORANGE, "dead logits": RED, "overflow": BLACK}
figure, panels = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axes, kind in zip(panels, ("beta-scaled", "cnn"), strict=True):
    bottom = np.zeros(len(scales))
    for fate, colour in colours.items():
        counts = np.array(
            [sum(end["fate"] == fate for end in by_scale[kind, scale]) for scale in scales]
        )
        axes.bar(range(len(scales)), counts, bottom=bottom, color=colour, label=fate)
        bottom += counts
    axes.set_xticks(range(len(scales)), scales)
    axes.set(
        xlabel="z multiplied by",
        title={
            "beta-scaled": "DropAlan beta, scaled (minidrop's op)",
            "cnn": "control: CNN with ReLU",
        }[kind],
    )
panels[0].set_ylabel(f"networks, of {SEEDS}")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %%
alive_at_1 = sum(end["fate"] == "alive" for end in by_scale["beta-scaled", 1])
gone_at = {
    scale: sum(end["fate"] != "alive" for end in by_scale["beta-scaled", scale])
    for scale in (64, 256)
}
control_gone = {
    scale: sum(end["fate"] != "alive" for end in by_scale["cnn", scale]) for scale in (64, 256)
}
say(
    "At its own scale {alive:.0f} of {seeds:.0f} trained on. With z turned up 64 times {gone64:.0f}"
    " of {seeds:.0f} were gone, 256 times {gone:.0f}. Of the plain CNNs, which have no $z^2$"
    " anywhere, {control64:.0f} and {control:.0f}. So it is not the square alone: at such a scale"
    " the step itself is too large, for the logits most of all, whose gradient grows with their"
    " input while their weights have shrunk.",
    alive=alive_at_1,
    seeds=SEEDS,
    gone=gone_at[256],
    gone64=gone_at[64],
    control=control_gone[256],
    control64=control_gone[64],
    agree=None,
    holds=alive_at_1 == SEEDS and gone_at[256] > SEEDS / 2 and control_gone[256] > SEEDS / 2,
)

# %% [markdown]
# ### Its marks
#
# Of the networks that are gone, some have all weights finite and all ten logits dead: the loss is ln 10 to the last digit, and the gradient is 0, as published. Some
# overflowed: their numbers grew past what a float holds. What all of them have in common is what came just before.

# %%
gone = [
    end for scale in (64, 256) for end in by_scale["beta-scaled", scale] if end["fate"] != "alive"
]
spikes = np.array([end["loss"] for end in gone])
figure, axes = plt.subplots(figsize=(6.4, 2.6))
for fate, colour in list(colours.items())[1:]:
    chosen = [min(end["loss"], 1e38) for end in gone if end["fate"] == fate]
    axes.plot(chosen, [fate] * len(chosen), "o", color=colour, markersize=7, alpha=0.7)
axes.axvline(spike[0], color=BLACK, linestyle=":")
axes.annotate(
    "largest that fits the published mean",
    (spike[0], 0.95),
    xycoords=("data", "axes fraction"),
    fontsize=8,
    va="top",
)
axes.set(
    xscale="log", xlabel="largest loss of a single batch before the end (nats)", xlim=(1, None)
)
axes.margins(y=0.4)
plt.show()
say(
    "Every one of them spiked: the smallest of the {count:.0f} largest losses is {smallest:.0f}"
    " nats, where a blind guess costs {blind:.1f}. In at most {fitting:.0f} could the whole spike"
    " hide in the published mean, for this is one batch, and the bound is for all batches"
    " together.",
    count=len(spikes),
    smallest=spikes.min(),
    blind=ln10,
    fitting=(spikes < spike[0]).sum(),
    agree=None,
    holds=spikes.min() > ln10,
)

# %% [markdown]
# ## Prevention
#
# Each remedy alone, same seeds. For suspect one from the stored runs (on digits, bias inside the sum, 12,000 iterations), for suspect two live, with z turned up.

# %%
remedies = {
    "none": "",
    "guarded division": None,
    "detach (no gradient through k)": "-detach",
    "linear logits": "-linear",
    "p_max = .95": "-p_max=.95",
    "p_max = .8": "-p_max=.8",
    "gradient clipped to norm 1": "-clip_norm=1",
    "a tenth of the step": "-learning_rate=.001",
}
table = []
for remedy, option in remedies.items():
    runs = fused["beta-scaled-fused" if option is None else f"beta-scaled-composed-fused{option}"]
    deaths = [run.result["recorded"]["first_non_finite_gradient"] for run in runs]
    when = sorted(d for d in deaths if d is not None)
    if option:
        ends = [
            turn_up(f"beta-scaled{option}", seed, REMEDY_SCALE, "beta-scaled")
            for seed in range(SEEDS)
        ]
    else:  # minidrop's op is guarded already: the runs of above
        ends = by_scale["beta-scaled", REMEDY_SCALE]
    table.append(
        {
            "remedy": remedy,
            "runs": len(runs),
            "survivors with a zero": sum(
                run.result["recorded"]["totals"]["zeros"] > 0
                for run, death in zip(runs, deaths, strict=True)
                if death is None
            ),
            "deaths without a zero": sum(
                run.result["recorded"]["totals"]["zeros"] == 0
                for run, death in zip(runs, deaths, strict=True)
                if death is not None
            ),
            "died": len(when),
            "when": when,
            "gone": sum(end["fate"] != "alive" for end in ends),
            "fates": ", ".join(
                f"{sum(end['fate'] == fate for end in ends)} {fate}"
                for fate in colours
                if any(end["fate"] == fate for end in ends)
            ),
        }
    )

lines = [
    (
        f"| remedy | an exact zero: died | at iteration | z turned up {REMEDY_SCALE} times: gone |"
        " what became of them |"
    ),
    "|---|---|---|---|---|",
]
for row in table:
    when = ", ".join(f"{d:,}" for d in row["when"])
    lines.append(
        f"| {row['remedy']} | {row['died']} of {row['runs']} | {when} | {row['gone']} of {SEEDS} |"
        f" {row['fates']} |"
    )
display(Markdown("\n".join(lines)))

# %%
by_remedy = {row["remedy"]: row for row in table}
cured = [by_remedy["guarded division"], by_remedy["detach (no gradient through k)"]]
uncured = [row for row in table if row not in cured]
say(
    "Against the zero only what removes the cause helps: guarding the division, or sending no"
    " gradient through k: {cured:.0f} of {of:.0f} died, though all but {spared:.0f} of them met a zero. With"
    " none of the other remedies is the zero harmless; with each of them at least {least:.0f} of"
    " {each:.0f} died of it, and each survivor is one that did not meet a zero.",
    cured=sum(row["died"] for row in cured),
    of=sum(row["runs"] for row in cured),
    spared=sum(row["runs"] - row["survivors with a zero"] for row in cured),
    least=min(row["died"] for row in uncured),
    each=uncured[0]["runs"],
    holds=sum(row["died"] for row in cured) == 0
    and min(row["died"] for row in uncured) >= uncured[0]["runs"] / 2
    and sum(row["survivors with a zero"] for row in uncured) == 0
    and sum(row["deaths without a zero"] for row in uncured) == 0
    and all(row["runs"] >= 5 for row in table),
)
when = {remedy: by_remedy[remedy]["when"] for remedy in ("none", "p_max = .95", "p_max = .8")}
say(
    "p_max .95 changes the hour of no death: {deaths:.0f} with it, at the same steps as the"
    " {none:.0f} without. (They are the same runs to the last digit: no z went where that clip sets"
    " in.) With .8, which touches every z below -1, all but {same:.0f} come at other steps; fewer"
    " they are not ({eight:.0f}).",
    deaths=len(when["p_max = .95"]),
    none=len(when["none"]),
    eight=len(when["p_max = .8"]),
    same=len(set(when["none"]) & set(when["p_max = .8"])),
    holds=when["none"] == when["p_max = .95"]
    and np.array_equal(
        *(
            [row["loss"] for run in fused[variant] for row in run.rows]
            for variant in (again, "beta-scaled-composed-fused")
        ),
        equal_nan=True,
    )
    and 2 * len(set(when["none"]) & set(when["p_max = .8"])) < len(when["none"])
    and len(when["p_max = .8"]) >= len(when["none"]),
)
gentle = ["p_max = .95", "p_max = .8", "gradient clipped to norm 1", "a tenth of the step"]
say(
    "Against large steps it is the other way round. With the division guarded (as it is in"
    " minidrop's op, so that the first two rows are the same runs) {none:.0f} of {seeds:.0f} are"
    " gone all the same; what makes the steps smaller helps: of p_max .95, p_max .8, clipping and a"
    " tenth of the step, {gentle:.0f} of {all:.0f} are gone. With `detach`, whose slope is 1/k and"
    " not -10 z, {detach:.0f} of {seeds:.0f} are gone; with linear logits, which cannot die but can"
    " be lost, {linear:.0f}.",
    none=by_remedy["guarded division"]["gone"],
    seeds=SEEDS,
    gentle=sum(by_remedy[remedy]["gone"] for remedy in gentle),
    all=4 * SEEDS,
    detach=by_remedy["detach (no gradient through k)"]["gone"],
    linear=by_remedy["linear logits"]["gone"],
    agree=None,
    holds=sum(by_remedy[remedy]["gone"] for remedy in gentle) / 4
    < by_remedy["guarded division"]["gone"],
)

# %% [markdown]
# ## The verdict
#
# | mark | published log | an exact zero (NaN) | a step too large (dead logits) |
# |---|---|---|---|
# | loss afterwards | ln 10 to the last digit, for ever | the same, **if** a ReLU swallows NaN; else NaN | the same, if all ten logits die; else a large number, or NaN |
# | accuracy afterwards | share of class 0 | share of class 0 | share of class 0 |
# | weights | not recorded | NaN: one unit of the dense layer and nearly everything below it first | finite, or overflowed |
# | the steps before | only means of 1,000 | nothing at all to be seen | losses far above ln 10 |
# | happens to | beta scaled, not alpha, not unscaled | only where a gradient goes through beta's division: beta scaled | any network whose steps are too large |
# | z needed | not recorded | the ordinary one | many times the ordinary one, on digits |
#
# **What can be concluded.** The published program contains a fault that kills exactly the kind of network that died, within two steps and without warning. Its rate follows from
# first principles, and counting bears it out. With our kernels, one zero is to be expected on CIFAR-10 in a number of iterations of the published order of magnitude, and far
# more rarely on MNIST, where the scaled network lived. With a ReLU that swallows NaN it leaves exactly the number in the log. Dead logits leave the same number, but to get there we had to turn z up, suddenly and many times over, and we
# watched for some hundred steps on digits; what the scale of z was in the published network after 54,000 iterations nobody knows.
#
# **What cannot.** One look at the weights would have told NaN from finite; nobody looked, and the log does not keep them. A spike may hide in the mean of a thousand losses. Our
# rate is that of our kernels and of the first 10,000 iterations: it gives no odds for the author's machine, and does not explain why both runs died near 50,000. One more log of the author
# (`convdropalan_cifar`, 173,000 iterations, no crash) does not say which variant it is. Its losses follow those of the crashed run closely, so it was probably a scaled one: if alpha, there is no puzzle, for alpha
# has no division to die of; if beta, it lived three times as long as the two that died. So: the zero is a
# sufficient cause in the published code, it fits the marks, and the time is of the order to be expected. It is the best explanation we have, and not proven.
#
# **Against our own first guess.** The notes that this lesson started from had seen a small imitation die in four runs of four, within 3,000 iterations, about one zero in 30 million
# values. Here the small network with the bias added last lived through its 20,000 iterations in most of the stored runs. Both can be true: the rate depends on
# what is added last, and that imitation was another network in another framework. A rate is a property of a kernel, not of a paper.
#
# The second of the author's ideas, too many units with a drop rate near 1, finds no support in these runs: lesson 15 lays the keep probability of those that died beside that of those that lived. A unit that is always dropped is only silent; a drop rate near 1 matters through $1/k$, and that is suspect two.
#
# ## What to keep
#
# * A loss of exactly ln K that never moves means equal logits: dead, or NaN swallowed. Look at the weights: finite or not?
# * Autograd differentiates the branch that was not taken. Guard the **input** of a division, not its result.
# * An exact 0 among floats is not impossible, it is rare: density times spacing, and training draws billions.
# * The cures are as different as the causes: smaller steps help against dead logits and hardly against a zero; a guarded division is no protection against large steps.
#
# ## Exercises
#
# **1.** Write beta's drop probability with minidrop's operations (`z.clip(low, high)`, `*`, `+`, `/`) so that its values are those of the paper (p_max .999) and its gradient is finite
# everywhere, also at 0. Your function gets a tensor.


# %%
def guarded_probability(z): ...


check("10.1", guarded_probability)

# %% [markdown]
# **2.** After how many steps is the first exact zero to be expected? Given the density of z at 0, what is added last (one number, a float32), the batch size
# and the number of units.


# %%
def steps_until_a_zero(density, added_last, batch, units): ...


check("10.2", steps_until_a_zero)

# %% [markdown]
# **3.** A coroner's routine: from a list of weight arrays and the logits of a batch, shape (N, K), behind their ReLU, say `"nan"`, `"dead logits"` or `"alive"`.


# %%
def diagnose(weights, logits): ...


check("10.3", diagnose)

# %% [markdown]
# ## Read on
#
# * `minidrop/paper/as_published.py`: DropAlan composed as published, and the ReLU that swallows NaN.
# * `minidrop/ops/dropalan.py`: `Beta.drop_probability`, where min(z, -1) is the plateau and the guard at once.
# * `minidrop/paper/recorder.py`: the recorder of the last steps, and the law of the zeros in four lines.
# * `minidrop/guard/anomaly.py`: how `detect_anomaly` finds the op and the line.
# * `lessons/results/README.md`: the commands that made the stored runs.
# * `lessons/solutions/lesson_10.py`: solutions.
