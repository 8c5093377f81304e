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
# # 06 · Dropout
#
# **You need** lesson 02 (an op, its backward, `gradcheck`) and lesson 05 (the CNN, the standard error).
#
# **You get** dropout in six lines of your own, its expectation measured against 10,000 draws, and the ensemble of masked networks that it stands for.
#
# **Time** about 15 seconds on two cores.
#
# **New names** `md.functional.dropout`, `md.nn.Dropout`
#
# A large network can learn its training images by heart. One remedy is odd: while it trains, switch off a random half of its hidden units, other ones for every
# image and every step. No unit can then count on a particular other one being there. This is **dropout** (Srivastava et al., 2014), the method that the paper
# sets out to improve on. It is a mask, a factor, and one rule for the way back.

# %%
import itertools
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import minidrop as md
from checks import check
from lesson import BLACK, BLUE, COLOURS, GREEN, ORANGE, RED, made_with, results, say
from minidrop.paper.protocol import CAREFUL, normalise, pixel_mean, split
from minidrop.paper.reproduce.grid import read_runs
from minidrop.paper.training import Run, load_data, train

# %% [markdown]
# ## The mask
#
# Let $x$ be the outputs of a layer, and $p$ the **rate**, the probability that a unit is dropped. For each unit draw a uniform number and compare it with $p$: the mask
# $m$ is 1 (kept) with probability $1-p$ and 0 (dropped) with probability $p$. Then
#
# $$y = \frac{x \cdot m}{1 - p}.$$
#
# In minidrop, as in the paper, a mask holds 1 for *kept*.


# %%
def draw_mask(shape, rate, random):
    return (random.random(shape) >= rate).astype("float64")


random = np.random.default_rng(0)
x = np.abs(random.normal(size=20))  # twenty units, all positive, as after a ReLU
rate = 0.5
masks = draw_mask((8, 20), rate, random)

figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 3.6), height_ratios=(1, 8))
for axes, values in ((top, x[None]), (bottom, np.where(masks == 1, x / (1 - rate), np.nan))):
    picture = axes.imshow(values, cmap="viridis", vmin=0, vmax=2 * x.max(), aspect="auto")
    axes.grid(visible=False)
    axes.set_xticks([])
top.set(yticks=[0], yticklabels=["x"])
bottom.set(xlabel="unit", yticks=range(8), yticklabels=[f"draw {i + 1}" for i in range(8)])
figure.colorbar(picture, ax=(top, bottom), label="output")
plt.show()

# %%
say(
    "White is dropped. What is kept is {scale:g} times as bright as in $x$. In these eight draws"
    " {kept:.0f} of {all} units were kept.",
    scale=1 / (1 - rate),
    kept=masks.sum(),
    all=masks.size,
    holds=abs(masks.mean() - 0.5) < 0.15,
)

# %% [markdown]
# ## Why divide by 1 - p?
#
# After training nothing is dropped any more. The next layer has learned its weights from sums in which about half of the terms were missing; now all are there. Without a correction
# its inputs would all be about twice as large as it has ever seen.
#
# The correction comes from the expectation. The mean of $m$ is $1-p$, so the mean of $x m$ is $(1-p)\,x$, and the mean of $x m / (1-p)$ is $x$: **on average**
# the unit gives what it gives after training. That is a claim about the average over draws, so let us draw 10,000 times.

# %%
draws = 10_000
x = random.normal(size=100)
masks = draw_mask((draws, 100), rate, random)
plain, scaled = x * masks, x * masks / (1 - rate)
error = (
    np.abs(x) * math.sqrt(rate / (1 - rate)) / math.sqrt(draws)
)  # standard error of a mean of 10,000 scaled draws

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
line = np.array([-3, 3])
left.plot(line, line, color="#999999", linewidth=1)
left.plot(line, (1 - rate) * line, color="#999999", linewidth=1, linestyle=":")
left.plot(x, plain.mean(axis=0), ".", color=ORANGE, label="mean of x m")
left.plot(x, scaled.mean(axis=0), ".", color=BLUE, label="mean of x m / (1 - p)")
left.set(
    xlabel="x, one point per unit", ylabel="mean of 10,000 draws", title="lines: slope 1, and 1 - p"
)
left.legend(loc="upper left", fontsize=9)
unit = int(np.abs(x).argmax())
count = np.arange(1, draws + 1)
running = np.cumsum(scaled[:, unit]) / count
funnel = 2 * error[unit] * math.sqrt(draws) / np.sqrt(count)
right.fill_between(
    count,
    x[unit] - funnel,
    x[unit] + funnel,
    color=ORANGE,
    alpha=0.25,
    label="x ± 2 standard errors",
)
right.plot(count, running, color=BLUE, label="mean of the first n draws")
right.axhline(x[unit], color="#999999", linewidth=1)
right.set(
    xscale="log",
    xlim=(10, draws),
    ylim=(x[unit] - funnel[9], x[unit] + funnel[9]),
    xlabel="n",
    ylabel="output",
    title="the largest unit",
)
right.legend(loc="lower right" if x[unit] > 0 else "upper right", fontsize=9)
plt.show()


# %%
def slope(y):
    """Of the line through 0 that fits best."""
    return (x * y).sum() / (x * x).sum()


deviation = np.abs(scaled.mean(axis=0) - x) / error
say(
    "Slope of the orange points: {plain:.3f}; of the blue ones: {scaled:.3f}. Of the 100 blue means"
    " {inside} lie within two standard errors of $x$, the farthest at {worst:.1f}.",
    plain=slope(plain.mean(axis=0)),
    scaled=slope(scaled.mean(axis=0)),
    inside=(deviation < 2).sum(),
    worst=deviation.max(),
    holds=abs(slope(plain.mean(axis=0)) - 0.5) < 0.01
    and abs(slope(scaled.mean(axis=0)) - 1) < 0.02
    and (deviation < 2).sum() >= 88
    and deviation.max() < 5,
)

# %% [markdown]
# That is the same standard error as in lesson 05: the mask is a coin with variance $p(1-p)$, so one draw of $y$ has the variance
#
# $$x^2 \, \frac{p (1-p)}{(1-p)^2} = x^2 \, \frac{p}{1-p}.$$
#
# The average is right at any rate, and the price is noise: at $p = .5$ a single draw is off by as much as $x$ itself, and at $p = .9$ by three times as much.

# %%
rates = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
noise = np.array([(draw_mask(draws, p, random) / (1 - p)).std() for p in rates])
print("rate                  ", rates)
print("measured, x = 1       ", noise.round(2))
print("square root of p/(1-p)", np.sqrt(rates / (1 - rates)).round(2))
say(
    "Measured and predicted noise differ by at most {worst:.1%}.",
    worst=np.abs(noise / np.sqrt(rates / (1 - rates)) - 1).max(),
    holds=np.abs(noise / np.sqrt(rates / (1 - rates)) - 1).max() < 0.06,
)

# %% [markdown]
# ## The way back
#
# For one draw the mask is a constant. So $y$ is $x$ times a constant, and $dy/dx = m/(1-p)$ with **the same mask**: a unit that was dropped did not contribute to the loss, and gets nothing
# back. As an op (lesson 02):


# %%
class OurDropout(md.Op):
    def __init__(self, rate, random):
        self.rate, self.random = rate, random

    def forward(self, x):
        self.factor = draw_mask(x.shape, self.rate, self.random) / (
            1 - self.rate
        )  # kept for the way back
        return x * self.factor

    def backward(self, grad):
        return (grad * self.factor,)


class Forgetful(OurDropout):
    """The usual mistake: the mask is drawn again in backward."""

    def backward(self, grad):
        return (grad * draw_mask(grad.shape, self.rate, self.random) / (1 - self.rate),)


# %% [markdown]
# Does the mistake matter? One might hope that it evens out, for the new mask is as good as the old one, on average. Take the loss $L = \sum y^2$ and average
# over 10,000 draws. By hand: the mean of $y^2$ is $x^2/(1-p)$, so the mean of the derivative must be $2x/(1-p)$.


# %%
def mean_derivative(op):
    """Of the sum of y^2, for each of ten units, over 10,000 draws."""
    random = np.random.default_rng(1)
    x = md.Tensor(np.tile(np.linspace(0.2, 2, 10), (draws, 1)), requires_grad=True)
    (md.apply(op(0.5, random), x) ** 2.0).sum().backward()
    return x.grad.mean(axis=0)


units = np.linspace(0.2, 2, 10)
ours, forgetful = mean_derivative(OurDropout), mean_derivative(Forgetful)
ratio = (units * forgetful).sum() / (units * ours).sum()

figure, axes = plt.subplots(figsize=(6.4, 3.1))
axes.plot(units, 2 * units / 0.5, color="#999999", linewidth=1, label="2x / (1 - p)")
axes.plot(units, ours, "o", color=BLUE, label="the mask of the forward pass")
axes.plot(units, forgetful, "o", color=RED, label="a mask drawn again")
axes.set(xlabel="x", ylabel="mean of dL/dx")
axes.legend(loc="upper left", fontsize=9)
plt.show()
say(
    "With a mask that is drawn again the gradient is {ratio:.2f} of what it should be. No error, no"
    " warning.",
    ratio=ratio,
    holds=abs(ratio - 0.5) < 0.03,
)

# %% [markdown]
# The hope fails because what arrives from behind, $2y$, depends on the mask too. The right gradient sees a unit only when it was kept. The forgetful one hits kept units half of the time, and
# spends the other half on units where $2y = 0$.
#
# How does one check such an op with `gradcheck`, which calls it again and again and compares? By holding the mask fixed. minidrop's function takes one:

# %%
x32 = md.Tensor(random.normal(size=(4, 6)).astype("float32"))
mask = draw_mask((4, 6), 0.3, random).astype("float32")
theirs = md.functional.dropout(x32, 0.3, mask=mask)
md.gradcheck(
    lambda t: md.functional.dropout(t, 0.3, mask=mask.astype("float64")), x32.data.astype("float64")
)
say(
    "Our formula and `md.functional.dropout` with the same mask differ by at most {difference:.0e},"
    " and its gradient passes `gradcheck`.",
    difference=np.abs(theirs.data - x32.data * mask / 0.7).max(),
    holds=np.abs(theirs.data - x32.data * mask / 0.7).max() < 1e-6,
)

# %% [markdown]
# As a layer it is `md.nn.Dropout(rate)`. A layer knows whether the network is in training: `train()` and `eval()` switch all layers of a network at once. Its masks come from
# a `md.Generator`, so the same seed gives the same masks.

# %%
layer = md.nn.Dropout(0.5, generator=md.Generator(7))
first, second = layer(x32).data, layer(x32).data
repeated = md.nn.Dropout(0.5, generator=md.Generator(7))(x32).data
at_rest = layer.eval()(x32).data
print("two calls, the same mask:      ", np.array_equal(first, second))
print("the same seed, the same mask:  ", np.array_equal(first, repeated))
print("after eval(), the input itself:", np.array_equal(at_rest, x32.data))
print("rate 1, all dropped:           ", not md.functional.dropout(x32, 1.0).data.any())
say(
    "Of {units} units the first call kept {first}.",
    units=first.size,
    first=np.count_nonzero(first),
    holds=not np.array_equal(first, second)
    and np.array_equal(first, repeated)
    and np.array_equal(at_rest, x32.data),
)

# %% [markdown]
# Forgetting `eval()` is the other usual mistake: the network then answers with half of its units missing, differently each time.
#
# ## One network, or very many?
#
# Each mask leaves a smaller network. With $n$ units there are $2^n$ of them, all sharing the same weights; training with dropout draws one of them for each image and each step. Asking many
# networks and averaging is an old way to better answers. So the claim is: **the one network at rest stands for the average of them all.** Average of what, exactly?
#
# Let dropout stand in front of the last dense layer, as in the paper. The logits are $\ell(m) = W^T (h\, m / (1-p)) + b$, linear in the mask. So their mean over masks is
# exactly $W^T h + b$, the logits of the network at rest. The probabilities are $\mathrm{softmax}(\ell) \propto e^{\ell}$, and the mean of $\ell$ in an exponent is a *geometric* mean: multiply
# the $M$ probabilities of a class, take the $M$-th root, and divide by the sum over classes. Ten hidden units have few enough masks to try all:

# %%
h, W, b = np.abs(random.normal(size=10)), random.normal(size=(10, 3)), random.normal(size=3)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def geometric_mean(probabilities):
    """(M, ..., classes) -> (..., classes): the normalised geometric mean over the first axis."""
    return softmax(np.log(probabilities).mean(axis=0))


all_masks = np.array(list(itertools.product((0, 1), repeat=10)))  # at p = .5 all are equally likely
probabilities = softmax((h * all_masks / 0.5) @ W + b)
at_rest = softmax(h @ W + b)
print("network at rest", at_rest.round(6))
print("geometric mean ", geometric_mean(probabilities).round(6))
print("arithmetic mean", probabilities.mean(axis=0).round(6))
say(
    "Over all {masks:,} masks the geometric mean differs from the network at rest by"
    " {geometric:.0e}, the arithmetic mean by {arithmetic:.2f}.",
    masks=len(all_masks),
    geometric=np.abs(geometric_mean(probabilities) - at_rest).max(),
    arithmetic=np.abs(probabilities.mean(axis=0) - at_rest).max(),
    holds=np.abs(geometric_mean(probabilities) - at_rest).max() < 1e-9
    and np.abs(probabilities.mean(axis=0) - at_rest).max() > 0.01,
)

# %% [markdown]
# So for one layer of dropout in front of the logits, the network at rest *is* the ensemble, exactly, with the geometric mean as the average. With a ReLU and more layers behind the dropout
# it is not exact any more: the mean of max(0, z) is not max(0, mean of z). Lesson 11 measures that.
#
# ## The ensemble of a trained network
#
# Now with a network that has learned: the CNN of lesson 05 on `digits`, once without and once with dropout at $p = .5$ (the variants `cnn` and `dropout`), same seed, so the same starting
# weights and the same images in the same order.

# %%
protocol = replace(CAREFUL, learning_rate=0.05, evaluate_every=100)
trained = {
    variant: train(
        Run(
            dataset="digits",
            network="lite",
            variant=variant,
            seed=0,
            iterations=1500,
            protocol=protocol,
        )
    )
    for variant in ("cnn", "dropout")
}

figure, axes = plt.subplots(figsize=(7, 3.1))
for variant, result in trained.items():
    rows = result.history.rows
    axes.plot(
        [row["iteration"] for row in rows],
        [row["loss"] for row in rows],
        color=COLOURS[variant],
        label=variant,
        marker=".",
    )
axes.axhline(math.log(10), color=RED, linestyle=":", linewidth=1)
axes.text(1500, math.log(10), "ln 10", color=RED, ha="right", va="bottom")
axes.set(
    xlabel="step", ylabel="training loss (nats),\nmean of 100 steps", yscale="log", ylim=(0.01, 4)
)
axes.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
axes.legend(loc="center right")
plt.show()

# %%
last = {
    variant: np.mean([row["loss"] for row in result.history.rows[-5:]])
    for variant, result in trained.items()
}
say(
    "Mean training loss of the last 500 steps: {cnn:.3f} without dropout, {dropout:.3f} with it. "
    "Of course: with dropout it is the loss of a network with half of its units missing.",
    cnn=last["cnn"],
    dropout=last["dropout"],
    holds=last["dropout"] > last["cnn"],
)

# %% [markdown]
# Take the network that was trained with dropout. Its hidden layer has 512 units, so there are $2^{512}$ masked networks; we draw 400 of them. For each, *one* mask for all test images, to
# make it a network and not a different one per image.

# %%
network = trained["dropout"].network.eval()
train_set, test_set = load_data("digits")
learned_from, _ = split(protocol, train_set, test_set)
images = normalise(test_set.images, pixel_mean(protocol, learned_from), test_set.maximum)
answers = test_set.labels
with md.no_grad():
    _, hidden, logits = network.stages(
        md.Tensor(images)
    )  # at rest: `hidden` is what dropout would act on
W, b = network.logits.weight.data, network.logits.bias.data
masks = draw_mask((400, hidden.shape[1]), 0.5, np.random.default_rng(2)).astype("float32")
probabilities = np.stack([softmax((hidden.data * mask / 0.5) @ W + b) for mask in masks]).astype(
    "float64"
)
at_rest = softmax(logits.data.astype("float64"))


def log_loss(probabilities):
    """(..., N, classes) -> (...): mean over images of -ln(probability of the right class), the loss we train with."""
    return -np.log(probabilities[..., np.arange(len(answers)), answers]).mean(axis=-1)


def accuracy(probabilities):
    return (probabilities.argmax(axis=-1) == answers).mean(axis=-1)


single = log_loss(probabilities)
sizes = np.array([1, 2, 4, 8, 16, 32, 64, 128, 400])
teams = [
    random.permuted(np.tile(np.arange(400), (20, 1)), axis=1)[:, :size] for size in sizes
]  # 20 random teams of each size
arithmetic = np.array(
    [np.mean([log_loss(probabilities[team].mean(axis=0)) for team in some]) for some in teams]
)
geometric = np.array(
    [np.mean([log_loss(geometric_mean(probabilities[team])) for team in some]) for some in teams]
)

# %% tags=["thumbnail"]
figure, axes = plt.subplots(figsize=(8, 3.6))
axes.axhspan(np.quantile(single, 0.1), np.quantile(single, 0.9), color="#999999", alpha=0.2)
axes.axhline(single.mean(), color="#777777", linewidth=1)
axes.grid(axis="x", visible=False)
axes.text(
    400,
    single.mean(),
    "one masked network: mean, and the middle 80 %",
    ha="right",
    va="bottom",
    fontsize=9,
    color="#555555",
)
axes.plot(
    sizes, geometric, color=BLUE, marker="o", label="geometric mean of so many masked networks"
)
axes.plot(sizes, arithmetic, color=GREEN, marker="o", label="arithmetic mean")
axes.axhline(log_loss(at_rest), color=BLACK, linestyle="--", label="the one network at rest")
axes.set(
    xscale="log",
    xlabel="number of masked networks (mean over 20 random choices of so many)",
    ylabel="loss on the test images (nats)",
)
axes.set_xticks(sizes, [str(size) for size in sizes])
axes.minorticks_off()
axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=9)
plt.show()

# %%
say(
    "A single masked network has a loss of {single:.3f} on average, the network at rest {rest:.3f},"
    " the geometric mean of 400 masked ones {geometric:.3f}. The arithmetic mean of the 400 has"
    " {arithmetic:.3f}.",
    single=single.mean(),
    rest=log_loss(at_rest),
    geometric=geometric[-1],
    arithmetic=arithmetic[-1],
    holds=single.mean() > log_loss(at_rest) > arithmetic[-1]
    and abs(geometric[-1] - log_loss(at_rest)) < 0.01,
)

# %% [markdown]
# Three things to see. The blue points come down to the dashed line and settle there: that is the exact result above, at work with a sample of masks. They leave the grey line behind:
# the average is better than its members. And the green points end *lower still*: the ensemble that averages probabilities beats the one network at rest. The network at rest is not the best average there is; it is a very good one, at the price of one network instead of 400.
#
# Why is the arithmetic mean better here? A geometric mean has a veto in it: one network that gives a class next to nothing pulls the product down, and the classes that no network rules out gain. In an arithmetic mean every vote counts, and doubt stays visible. Look at the test image on which the masked networks disagree most.

# %%
disagreement = probabilities.std(axis=0).sum(axis=1)
image = int(disagreement.argmax())
figure, (small, axes) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1, 3.2))
small.imshow(images[image, 0], cmap="gray_r")
small.set(xticks=[], yticks=[], title=f"labelled {answers[image]}")
small.grid(visible=False)
small.spines[:].set_visible(False)
rows = np.vstack(
    [
        probabilities[:8, image],
        geometric_mean(probabilities)[image],
        probabilities.mean(axis=0)[image],
        at_rest[image],
    ]
)
picture = axes.imshow(rows, cmap="Blues", vmin=0, vmax=1, aspect="auto")
names = [f"masked network {i + 1}" for i in range(8)] + [
    "geometric mean of 400",
    "arithmetic mean of 400",
    "network at rest",
]
axes.set_yticks(range(11), names, fontsize=8)
axes.set_xticks(range(10))
axes.axhline(7.5, color=BLACK, linewidth=1)
axes.grid(visible=False)
axes.set_xlabel("class")
figure.colorbar(picture, ax=axes, label="probability")
plt.show()

# %%
sure = {
    "rest": at_rest.max(axis=1).mean(),
    "arithmetic": probabilities.mean(axis=0).max(axis=1).mean(),
}
say(
    "Where they disagree, the arithmetic mean says so. Over all test images the network at rest"
    " gives its favourite class {rest:.3f} on average, the arithmetic mean {arithmetic:.3f}, and"
    " right they are in {right_rest:.3f} and {right_arithmetic:.3f} of the cases: the network at"
    " rest is too sure of itself, the ensemble less so.",
    rest=sure["rest"],
    arithmetic=sure["arithmetic"],
    right_rest=accuracy(at_rest),
    right_arithmetic=accuracy(probabilities.mean(axis=0)),
    holds=sure["rest"] > sure["arithmetic"] and sure["rest"] > accuracy(at_rest),
)

# %% [markdown]
# ## Does it help?
#
# That was the loss. By *accuracy* the same networks are hard to tell apart:

# %%
a = accuracy(at_rest)
error = math.sqrt(a * (1 - a) / len(answers))
say(
    "Accuracy on the {n} test images: a masked network {single:.3f} on average, the network at rest"
    " {rest:.3f}, the CNN trained without dropout {cnn:.3f}; the standard error of each is"
    " {error:.3f}.",
    n=len(answers),
    single=accuracy(probabilities).mean(),
    rest=a,
    cnn=trained["cnn"].test_accuracy,
    error=error,
    holds=abs(a - trained["dropout"].test_accuracy) < 1e-3
    and abs(accuracy(probabilities).mean() - a) < 2 * error,
)

# %% [markdown]
# With digits this small there is not enough to see. So look at MNIST, at a stored run with both variants.

# %%
made_with("mnist-lite-careful")
runs = read_runs(results("mnist-lite-careful"))
of = {
    variant: [run.result["test_accuracy"] for run in runs if run.run.variant == variant]
    for variant in ("cnn", "dropout")
}
means = {variant: np.mean(values) for variant, values in of.items()}
ranges = {variant: max(values) - min(values) for variant, values in of.items()}
error = math.sqrt(means["cnn"] * (1 - means["cnn"]) / 10_000)
say(
    "Share of the 10,000 test images, mean of {seeds:.0f} seeds: CNN {cnn:.4f}, with dropout"
    " {dropout:.4f}. Between the two variants lie {between:.4f}, between the seeds of one and the"
    " same up to {apart:.4f}, and a standard error is {error:.4f}. No, or not yet: nothing can be"
    " said from this.",
    seeds=len(of["cnn"]),
    cnn=means["cnn"],
    dropout=means["dropout"],
    between=means["dropout"] - means["cnn"],
    apart=max(ranges.values()),
    error=error,
    holds=max(ranges.values()) > abs(means["dropout"] - means["cnn"]),
)

# %% [markdown]
# Dropout works against learning by heart, and 5,000 steps of 16 images are hardly enough to learn 54,000 images by heart. The paper's dropout network had its peak on MNIST
# after 116,000, and its tables give dropout a lead on both data sets. How large a lead has to be to mean something is the subject of lesson 12.
#
# ## What to keep
#
# * Dropout: $y = x\,m/(1-p)$ while training, $y = x$ at rest.
# * Dividing by $1-p$ makes the *mean* right; the variance is $x^2\,p/(1-p)$, and grows without bound as $p$ goes to 1.
# * The way back uses the mask of the way forward. A mask drawn again runs without an error and gives a wrong gradient, in our example half of it.
# * In front of the logits, the network at rest is the normalised geometric mean of all masked networks: exactly. An arithmetic mean of many is a little better, and costs as many networks.
#
# ## Exercises
#
# **1.** Write dropout: from `x`, the rate and uniform random numbers `u` of the same shape, return $y$. A unit is dropped if its number is below the rate.


# %%
def dropout(x, rate, u): ...


check("06.1", dropout)

# %% [markdown]
# **2.** Write it as a class with a way back: `forward` draws with `random.random(x.shape)`, `backward` gets $\partial L/\partial y$ and returns $\partial L/\partial x$.


# %%
class MyDropout:
    def __init__(self, rate, random):
        self.rate, self.random = rate, random

    def forward(self, x): ...

    def backward(self, grad): ...


check("06.2", MyDropout)

# %% [markdown]
# **3.** Write the normalised geometric mean: `probabilities` has shape (M, N, classes), from M masked networks; return shape (N, classes), rows that sum to 1. (A product of a thousand small numbers
# is 0 in floating point. Sums of logarithms are not.)


# %%
def ensemble(probabilities): ...


check("06.3", ensemble)

# %% [markdown]
# ## Read on
#
# * `minidrop/ops/dropout.py`: the op; why a dropped unit is an exact 0 even where x is infinite; what happens at rate 1.
# * `minidrop/random.py`: random numbers from a counter, the same on CPU and GPU, and `bernoulli`, which draws the masks.
# * `minidrop/paper/networks.py`: `_hidden_stage`, the place where the five networks of the paper differ.
# * `lessons/solutions/lesson_06.py`: solutions.
