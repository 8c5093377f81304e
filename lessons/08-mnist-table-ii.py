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
# # 08 · MNIST: Table II
#
# **You need** lessons 05 to 07: the paper's CNN, its protocol, dropout and DropAlan.
#
# **You get** the paper's Table II with your own numbers beside it, and the reason why some of your runs never learn a digit.
#
# **Time** about 15 seconds on two cores.
#
# **New names** `minidrop.reproduce.grid`, `minidrop.reproduce.table`, `minidrop.reproduce.published`, `minidrop.reproduce.figures`, `minidrop.history.summarise`
#
# The paper trains five networks on handwritten digits and reports one number for each: the highest accuracy that any evaluation showed. That is its
# Table II. We have trained the same five, five times each, and lay the two tables side by side. Most of the numbers agree. A few do not,
# by a lot, and those are the ones to learn from.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import minidrop as md
from checks import check
from lesson import BLUE, COLOURS, RED, full, made_with, results, say
from minidrop.history import summarise
from minidrop.protocol import PAPER, normalise, pixel_mean
from minidrop.reproduce.figures import together
from minidrop.reproduce.grid import read_config, read_runs
from minidrop.reproduce.published import NAMES, TABLES
from minidrop.reproduce.table import rows_of
from minidrop.training import Run, train

# %% [markdown]
# ## The table that was published
#
# | network | what stands after the dense layer |
# |---|---|
# | CNN | a ReLU |
# | CNN with dropout | a ReLU, then half of the units dropped |
# | DropAlan alpha, beta | no activation function; a unit is dropped with a probability that depends on its own input (lesson 07) |
# | DropAlan beta, scaled | the same, and what is kept is divided by its probability to be kept |
#
# All five share the rest: three convolutions with pooling, a dense layer, ten logits **with a ReLU on them**, plain gradient descent with batches of 16. Every 1,000
# iterations the published code looked at 1,600 test images. The table has the best of some 150 such looks, and the iteration at which it came.

# %%
table = TABLES["mnist"]
display(
    Markdown(
        "| network | accuracy, Table II | iteration, Table II |\n|---|---|---|\n"
        + "\n".join(
            f"| {NAMES[name]} | {row.accuracy} | {row.iteration:,} |" for name, row in table.items()
        )
    )
)

# %% [markdown]
# (By the author's logs every iteration in that column is 1,000 too small: it counts evaluations from 0.)
#
# ## The same experiment, in a folder
#
# One training run takes a dataset, a network, a variant, a seed and a protocol. An experiment is a grid of them, and `minidrop reproduce` leaves a folder behind:
# settings, and for each run a file with a row per evaluation. What we use here was made with the paper's protocol, quirks included, and with
# `lite`, a small network of the same shape, so that five seeds fit into an evening without a GPU.

# %%
made_with("mnist-lite")
config = read_config(results("mnist-lite"))
runs = [run for run in read_runs(results("mnist-lite")) if run.run.variant in table]
rows = runs[0].rows
print(f"{len(runs)} runs; the first is {runs[0].run.name}, with {len(rows)} rows; its last one:")
for column, value in rows[-1].items():
    print(f"  {column:17} {value:.4g}")

# %% [markdown]
# A row of our table needs little. For each seed: the peak, and, as a second opinion, the mean of the last 20 evaluations, which no lucky moment can lift. Then
# the mean of these over the seeds.


# %%
def our_row(variant):
    """-> peak and mean of the last 20 evaluations, both as means over seeds; the peak of the worst and the best seed."""
    accuracies = [
        [row["accuracy"] for row in run.rows] for run in runs if run.run.variant == variant
    ]
    peaks = [max(seed) for seed in accuracies]
    return (
        np.mean(peaks),
        np.mean([np.mean(seed[-20:]) for seed in accuracies]),
        min(peaks),
        max(peaks),
    )


lines = [
    (
        "| network | paper: peak | ours: peak, mean over seeds | mean of the last 20 | worst seed |"
        " best seed |"
    ),
    "|---|---|---|---|---|---|",
]
for variant, published in table.items():
    peak, tail, worst, best = our_row(variant)
    lines.append(
        f"| {NAMES[variant]} | {published.accuracy:.4f} | {peak:.4f} | {tail:.4f} | {worst:.4f} |"
        f" {best:.4f} |"
    )
display(Markdown("MNIST, `lite` network, 20,000 iterations:\n\n" + "\n".join(lines)))

# %%
theirs = {row[0]: row for row in rows_of(config, runs)}
difference = max(abs(float(theirs[NAMES[variant]][3]) - our_row(variant)[0]) for variant in table)
say(
    "minidrop makes this table itself (`table.md` of every experiment), from the same rows; its"
    " peaks differ from ours by at most {difference:.5f}, the rounding. `summarise` of one run says"
    " the same as the two lines above: a peak of {peak:.4f}.",
    difference=difference,
    peak=summarise(rows)["peak"],
    holds=difference < 1e-4 and summarise(rows)["peak"] == max(row["accuracy"] for row in rows),
)

# %% [markdown]
# Look at the last two columns. The best seeds are close to the paper, although the network is small and has run for a fraction of the time. The worst seeds of some networks are
# far off, and drag the means along. A mean over seeds hides which of the two we look at, so let us look at every seed.
#
# ## Every seed a line

# %% tags=["thumbnail"]
figure, panels = plt.subplots(1, 5, figsize=(9, 3.1), sharey=True)
for axes, variant in zip(panels, table, strict=True):
    mine = [run for run in runs if run.run.variant == variant]
    iterations, values = together(mine, "accuracy")
    axes.plot(iterations / 1000, values.T, color=COLOURS[variant], linewidth=1)
    axes.axhline(table[variant].accuracy, color="#777777", linestyle=":", linewidth=1.2)
    axes.set(
        title=NAMES[variant].replace("CNN with ", "").replace("DropAlan ", ""),
        xlabel="iteration (1,000s)",
        ylim=(0.25, 1.02),
    )
    axes.set_yticks(np.arange(0.3, 1.01, 0.1))
panels[0].set_ylabel("accuracy")
figure.suptitle("MNIST, lite network: five seeds each; dotted: the paper's peak", fontsize=10)
plt.show()

# %% [markdown]
# Two things stand out. First, in each panel most lines end in a tight bundle near the paper's dotted line. Second, some lines do not climb, they take **stairs**,
# and some stay on a step for good. A step is about a tenth of the images high. MNIST has ten digits. It looks as if whole digits were
# missing.
#
# Take the median over seeds instead of the mean, so that one bad seed does not decide:

# %%
middle = {
    variant: float(
        np.median([summarise(run.rows)["mean_last"] for run in runs if run.run.variant == variant])
    )
    for variant in table
}
ahead, behind = (
    [middle[name] for name in ("cnn", "dropout", "beta-scaled")],
    [middle[name] for name in ("alpha", "beta")],
)
say(
    "Medians over seeds of the mean of the last 20: CNN {cnn:.4f}, dropout {dropout:.4f}, scaled"
    " beta {scaled:.4f}; then, {gap:.4f} below the lowest of these, alpha {alpha:.4f} and beta"
    " {beta:.4f}. That is the grouping of the paper's table: three networks close together in"
    " front, unscaled alpha and beta behind.",
    cnn=middle["cnn"],
    dropout=middle["dropout"],
    scaled=middle["beta-scaled"],
    alpha=middle["alpha"],
    beta=middle["beta"],
    gap=min(ahead) - max(behind),
    holds=min(ahead) > max(behind),
)

# %% [markdown]
# Whether differences of that size mean anything is the question of lesson 12. Here we follow the stairs.
#
# ## Ten logits, by hand
#
# The network's last layer gives ten numbers $a_0 \dots a_9$, and the published code puts a ReLU on them: the logits are $z_i = \max(a_i, 0)$. With
# $p = \mathrm{softmax}(z)$ and $y$ the right class, the derivative of the cross-entropy (lesson 03) is $p_i - [i = y]$; the ReLU lets it pass where $a_i > 0$:
#
# $$\frac{\partial L}{\partial a_i} = (p_i - [i = y]) \cdot [a_i > 0].$$
#
# For the right class the first factor is negative, so gradient descent raises $a_y$. **Unless $a_y \le 0$.** Then the derivative is 0, and the one number that ought
# to go up stays where it is. Here is gradient descent on the ten numbers themselves, one image, its own logit a little below 0 at the start.


# %%
def descend(numbers, label, relu, steps=400, rate=0.2):
    """Gradient descent on ten numbers -> the numbers at each step, and the loss at each step."""
    numbers, path, losses = numbers.copy(), [], []
    for _ in range(steps):
        logits = np.maximum(numbers, 0) if relu else numbers
        p = np.exp(logits - logits.max())
        p /= p.sum()
        path.append(numbers.copy())
        losses.append(-np.log(p[label]))
        gradient = p - (np.arange(10) == label)
        if relu:
            gradient = gradient * (numbers > 0)
        numbers -= rate * gradient
    return np.array(path), np.array(losses)


start = np.random.default_rng(0).uniform(0.3, 1.5, 10)
start[7] = -0.1  # the right class: just below 0
figure, panels = plt.subplots(1, 3, figsize=(9, 2.9))
ends = {}
for axes, relu, name in zip(
    panels, (True, False), ("ReLU on the logits", "linear logits"), strict=False
):
    path, losses = descend(start, 7, relu)
    axes.plot(path[:200], color="#aaaaaa", linewidth=0.9)
    axes.plot(path[:200, 7], color=RED, linewidth=2)
    axes.axhline(0, color="black", linewidth=0.7)
    axes.set(title=name, xlabel="step", ylabel="$a_i$; red: the right class")
    panels[2].plot(losses, color=RED if relu else BLUE, label=name)
    ends[name] = losses[-1]
panels[2].axhline(math.log(10), color="#777777", linestyle=":", linewidth=1.2)
panels[2].text(395, math.log(10) + 0.07, "ln 10", ha="right", fontsize=9, color="#555555")
panels[2].set(title="loss", xlabel="step", ylabel="nats", ylim=(0, 3.2))
panels[2].legend(fontsize=8, loc=(0.3, 0.38))
plt.show()

# %%
say(
    "With the ReLU the nine wrong logits are pushed down until they are 0 as well, and there it"
    " ends: ten equal logits, a loss of {stuck:.6f}, which is ln 10, and no gradient at all. With"
    " linear logits the same start ends at a loss of {linear:.3f}.",
    stuck=ends["ReLU on the logits"],
    linear=ends["linear logits"],
    holds=abs(ends["ReLU on the logits"] - math.log(10)) < 1e-9 and ends["linear logits"] < 0.1,
)

# %% [markdown]
# In a network the ten numbers are not free: all images share the weights. But the conclusion carries over. If $a_y \le 0$ for **every** image of class $y$, none of them
# can raise it. The class is *lost*. It comes back only by accident, when other images happen to move the shared weights so that one of its images gets above 0.
# When that happens, the line in the figure takes its step up.
#
# ## The loss counts lost classes
#
# An image of a lost class has at least the loss ln 10: its own logit is 0, and no other is lower. A tenth of the images are of that class. So each lost class adds $\frac{1}{10} \ln 10$ to the mean loss, and takes a tenth
# from the accuracy. Divide the last training loss of each run by that unit:

# %%
unit = math.log(10) / 10


def lost_by_loss(run):
    """How many whole units of ln 10 / 10 are in the last training loss of a run; a healthy one is well below 1."""
    return int(run.rows[-1]["loss"] // unit)


paper_size = read_runs(results("mnist-paper"))
figure, axes = plt.subplots(figsize=(6.6, 3.8))
counts = np.arange(0, 5)
axes.plot(
    counts,
    0.98 - counts / 10,
    color="#999999",
    linewidth=1,
    label="a tenth of the images per lost class",
)
for run in [*runs, *paper_size]:
    size = run.run.network
    axes.plot(
        run.rows[-1]["loss"] / unit,
        run.rows[-1]["accuracy"],
        marker="o" if size == "lite" else "s",
        markersize=8,
        alpha=0.7,
        linestyle="none",
        color=COLOURS[run.run.variant],
    )
for variant in table:
    axes.plot([], [], "o", color=COLOURS[variant], label=NAMES[variant])
axes.plot([], [], "s", color="#777777", label="square: the paper's network")
axes.set(
    xlabel="last training loss, in units of ln 10 / 10",
    ylabel="last accuracy",
    title="MNIST, every stored run: lite and paper network",
)
axes.legend(fontsize=8, loc="lower left")
plt.show()

# %%
hidden = [run for run in runs if lost_by_loss(run) >= 1 and run.rows[-1]["accuracy"] > 0.95]
open_ones = [run for run in [*runs, *paper_size] if lost_by_loss(run) >= 1 and run not in hidden]
misfit = [abs(run.rows[-1]["accuracy"] - (0.98 - lost_by_loss(run) / 10)) for run in open_ones]
say(
    "{lost:.0f} runs have lost at least one class by this count. In {open_ones:.0f} of them the"
    " accuracy says so too. In {hidden:.0f} it does not: its loss has a whole unit too much, and"
    " its accuracy is {accuracy:.3f}.",
    lost=len(hidden) + len(open_ones),
    open_ones=len(open_ones),
    hidden=len(hidden),
    accuracy=hidden[0].rows[-1]["accuracy"],
    holds=len(hidden) == 1
    and len(open_ones) >= 3
    and hidden[0].run.variant == "beta"
    and np.median(misfit) < 0.03,
)

# %% [markdown]
# How can a network that has lost a digit be right about it? By the way a class is read off. If all ten logits of an image are 0, they are equal, and `argmax` of equal
# numbers returns the **first**: class 0. A network that has lost the digit 0, and only answers "ten zeros" to it, gets the zeros right. Its accuracy is that of a healthy
# network and its loss is not. One more reason to look at both. (It also explains why the point at the bottom right, with four units of loss, sits above the line.)
#
# ## Live: the digits that are lost
#
# On MNIST the runs above are stored. On `digits`, 1,437 images of 8x8 pixels, we can watch it happen: the CNN with the ReLU on its logits (`cnn`), and without (`cnn-linear`), same
# seed, same weights at the start, same images in the same order.

# %%
steps = 4000 if full else 2500
trained = {
    variant: train(
        Run(
            dataset="digits",
            network="lite",
            variant=variant,
            seed=0,
            iterations=steps,
            protocol=PAPER,
        )
    )
    for variant in ("cnn", "cnn-linear")
}

digits = md.datasets.digits("test")
mean = pixel_mean(PAPER, md.datasets.digits("train"))
images, labels = normalise(digits.images, mean, digits.maximum), digits.labels


def logits_of(network):
    network.eval()
    with md.no_grad():
        return network(md.Tensor(images)).data


def lost_classes(logits, labels):
    """Classes whose own logit is above 0 for almost none of their images: they can hardly send a gradient back."""
    return [k for k in range(10) if np.mean(logits[labels == k, k] > 0) < 0.1]


figure, panels = plt.subplots(1, 2, figsize=(9, 3.9))
for axes, (variant, result) in zip(panels, trained.items(), strict=True):
    logits = logits_of(result.network)
    confusion = np.zeros((10, 10))
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    axes.imshow(confusion / confusion.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    axes.set(xlabel="answer", ylabel="digit", xticks=range(10), yticks=range(10))
    axes.set_title(
        f"{variant}: "
        + (
            "lost " + ", ".join(map(str, lost_classes(logits, labels)))
            if variant == "cnn"
            else "every image sends a gradient"
        )
    )
plt.show()

# %%
relu_logits = logits_of(trained["cnn"].network)
lost = lost_classes(relu_logits, labels)
accuracy = {variant: summarise(result.history.rows)["peak"] for variant, result in trained.items()}
say(
    "With the ReLU, {lost:.0f} digits are lost after {steps:,} iterations, and the best evaluation"
    " was {relu:.2f}; with linear logits it was {linear:.2f}.",
    lost=len(lost),
    steps=steps,
    relu=accuracy["cnn"],
    linear=accuracy["cnn-linear"],
    holds=len(lost) >= 1 and accuracy["cnn-linear"] > accuracy["cnn"] + 0.05,
    agree=1.0,  # which digits are lost, and how many, hangs on the last bit
)

# %% [markdown]
# The left matrix has empty columns: digits that the network never answers. An empty column alone does not make a digit lost: as long as its logit is above 0 for some of its
# images, they pull it up. Which ones they are depends on the seed and, because training amplifies the last bit of every sum, on the
# machine. That some are lost does not.
#
# ## Digits against digits-linear
#
# One pair of runs proves little. The stored ones have three seeds for each network, 4,000 iterations.

# %%
made_with("digits")
made_with("digits-linear")
stored = {
    run.run.name: run for name in ("digits", "digits-linear") for run in read_runs(results(name))
}


def tails(variant):
    return np.array(
        [summarise(stored[f"{variant}_seed{seed}"].rows)["mean_last"] for seed in range(3)]
    )


figure, axes = plt.subplots(figsize=(6.6, 3.2))
for position, variant in enumerate(("cnn", "alpha", "beta")):
    for shift, name, colour in ((-0.12, variant, RED), (0.12, f"{variant}-linear", BLUE)):
        axes.plot(
            np.full(3, position + shift), tails(name), "o", color=colour, alpha=0.7, markersize=8
        )
axes.plot([], [], "o", color=RED, label="ReLU on the logits")
axes.plot([], [], "o", color=BLUE, label="linear logits")
for position, variant in enumerate(("dropout", "beta-scaled"), start=3):
    axes.plot(np.full(3, position - 0.12), tails(variant), "o", color=RED, alpha=0.7, markersize=8)
axes.set_xticks(range(5), ["CNN", "alpha", "beta", "dropout", "scaled beta"])
axes.set(ylabel="accuracy, mean of the last 20", title="digits, lite network: three seeds each")
axes.legend(fontsize=9, loc="lower right")
plt.show()

# %%
gains = {
    variant: (tails(f"{variant}-linear") - tails(variant)).mean()
    for variant in ("cnn", "alpha", "beta")
}
say(
    "Taking the ReLU away lifts the CNN by {cnn:.2f}, alpha by {alpha:.2f} and beta by {beta:.2f},"
    " in each of the nine pairs of runs. With linear logits the three are within {spread:.3f} of"
    " each other: the large differences that they showed before were differences in lost classes.",
    cnn=gains["cnn"],
    alpha=gains["alpha"],
    beta=gains["beta"],
    spread=np.ptp([tails(f"{variant}-linear").mean() for variant in gains]),
    holds=all((tails(f"{variant}-linear") > tails(variant)).all() for variant in gains)
    and np.ptp([tails(f"{variant}-linear").mean() for variant in gains]) < 0.03,
)

# %% [markdown]
# ## Who loses classes?
#
# The same count for all stored runs under the paper's protocol: how many runs of each network end with at least one unit of ln 10 / 10 in their loss.

# %%
sources = {
    "digits, lite": "digits",
    "MNIST, lite": "mnist-lite",
    "MNIST, paper's network": "mnist-paper",
}
counted = {
    (name, variant): [
        lost_by_loss(run) >= 1 for run in read_runs(results(folder)) if run.run.variant == variant
    ]
    for name, folder in sources.items()
    for variant in table
}
lines = ["| network | " + " | ".join(sources) + " |", "|---|" + "---|" * len(sources)]
for variant in table:
    cells = [counted[name, variant] for name in sources]
    lines.append(
        f"| {NAMES[variant]} | "
        + " | ".join(f"{sum(cell)} of {len(cell)}" if cell else "" for cell in cells)
        + " |"
    )
display(Markdown("Runs that end with a lost class:\n\n" + "\n".join(lines)))

# %%
by_variant = {
    variant: [value for name in sources for value in counted[name, variant]] for variant in table
}
noisy = by_variant["dropout"] + by_variant["beta-scaled"]
others = by_variant["cnn"] + by_variant["alpha"] + by_variant["beta"]
say(
    "CNN, alpha and beta together: {others:.0f} of {count:.0f} runs. Dropout and the scaled beta:"
    " {noisy:.0f} of {noisy_count:.0f}.",
    others=sum(others),
    count=len(others),
    noisy=sum(noisy),
    noisy_count=len(noisy),
    holds=sum(noisy) == 0 and sum(others) >= 8,
)

# %% [markdown]
# Dropout and the scaled variant have not lost one. It is tempting to say that noise in front of the logits saves them: a logit that is a little below 0 on average is above it now
# and then. But alpha and beta make noise too, and lose classes all the same. Why these two differ from the rest is open here. The functions of exercises 1 and 2, and a variant
# such as `alpha-scaled`, are the tools to look.
#
# The paper's own runs on MNIST all end with a loss far below one unit: none had lost a class. Each was a single run. Neither of our two CNNs of the paper's size got off its step
# in the time it had. So with the published protocol a table of single runs is also a draw: a run that had lost a digit would have gone into it as a worse *method*.
#
# ## What to keep
#
# * Lay every seed out before you take a mean. Medians of five seeds bring back the paper's grouping; means are decided by who lost a class.
# * Behind a ReLU, a logit at or below 0 gets no gradient. A class whose own logit is 0 for all its images is lost until an accident frees it.
# * Each lost class adds a tenth of ln 10 to the loss. Accuracy can hide it, for `argmax` of ten zeros is 0.
# * Leave the logits linear, and the problem is gone.
#
# ## Exercises
#
# **1.** `dead_logits` in the history counts logits that are 0 for *every* image. That is not what loses a class. Write the list of classes (smallest first) whose own logit is
# above 0 for none of **their own** images.


# %%
def classes_lost(logits, labels): ...


check("08.1", classes_lost)

# %% [markdown]
# **2.** From a mean loss to a count: how many classes out of `classes` has a network lost, if its mean training loss is `loss`, and a healthy network's would be below one unit? The classes
# are equally frequent. Return an integer.


# %%
def count_lost(loss, classes): ...


check("08.2", count_lost)

# %% [markdown]
# **3.** A row of the table: given `accuracies` of shape (seeds, evaluations), return the mean over seeds of the peak, and the standard deviation of the peaks over seeds, as a
# sample's (divided by the number of seeds minus 1).


# %%
def peak_and_spread(accuracies): ...


check("08.3", peak_and_spread)

# %% [markdown]
# ## Read on
#
# * `minidrop/reproduce/grid.py`: which runs make an experiment, and what they leave in its folder.
# * `minidrop/reproduce/table.py`: the table, with the notes that a reader of it needs.
# * `minidrop/networks.py`: the five networks in one class, and what else a variant's name can say.
# * `minidrop/measuring.py`: how accuracy and dead logits are counted.
# * `lessons/solutions/lesson_08.py`: solutions.
