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
# # 12 · Is the difference real?
#
# **You need** lessons 08 and 09: Tables I and II, and our runs beside them. Mean, variance, and that a coin thrown often lands heads about half of the time.
#
# **You get** the four things to ask of a table of accuracies, two tests written out by hand, and a verdict on what Table I can say.
#
# **Time** about 5 seconds on two cores.
#
# **New names** none.
#
# "Our method reaches .736, the baseline .724." Is that a better method? Or better luck? There are three kinds of luck in such a number: the images it was measured on, the
# moment at which it was measured, and the seed. This lesson takes them apart, with simulations and with the stored runs of lessons 08 and 09. Not a single network is trained.

# %%
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np

from checks import check
from lesson import BLUE, COLOURS, GREEN, ORANGE, RED, made_with, results, say
from minidrop.paper.history import summarise
from minidrop.paper.reproduce.grid import read_runs
from minidrop.paper.reproduce.published import NAMES, TABLES

# %% [markdown] tags=["quotes"]
# ## The figures in question
#
# | CIFAR-10 | Table I: the best of all evaluations | the author's logs: mean of the last 20 |
# |---|---|---|
# | CNN | .724 | .7171 |
# | CNN with dropout | .736 | .7278 |
# | DropAlan alpha | .699 | .6692 |
# | DropAlan beta | .704 | .6620 |
# | DropAlan beta, scaled | .723 | crashed |
#
# One run each. But the author's logs hold more than the paper: three runs of what seems to be the same network, unscaled beta (the third learns its training set more slowly; its settings may differ), whose peaks are .70375, .689375 and .6725.
# (The means of their last 20: .6620, .6639 and .6544.)
# And his logs are of different lengths: 125 evaluations for the CNN, 250 for dropout, alpha and beta, 54 for the scaled variant until it crashed.

# %% [markdown]
# ## First luck: which images
#
# One evaluation is a count: of $n$ images, so many right. If the network is right on a share $a$ of *all* images there might be, then a draw of $n$ of them has a share that scatters around
# $a$ with the standard deviation
#
# $$\sqrt{\frac{a (1 - a)}{n}},$$
#
# called the **standard error**. The paper used $n = 1600$. Check the formula with ten thousand draws:

# %%
random = np.random.default_rng(0)
a, n = 0.72, 1600
measured = random.binomial(n, a, 10_000) / n
formula = math.sqrt(a * (1 - a) / n)
say(
    "An accuracy of .72, measured on 1,600 images: standard deviation {seen:.4f} in the draws,"
    " {formula:.4f} by the formula. One evaluation is good to about a point, up or down.",
    seen=measured.std(),
    formula=formula,
    holds=abs(measured.std() / formula - 1) < 0.05,
)

# %% [markdown]
# On MNIST, with $a$ near 1, the formula gives a quarter of that, and the differences of Table II are smaller still.
#
# The paper's 1,600 come out of a shuffle buffer of 100 images (`minidrop/paper/protocol.py`), so that each evaluation sees 1,600 of the first 1,699 test images: nearly always the same. That is one draw, and all its networks share its luck. Our MNIST runs were measured in the same way, and once,
# at the end, on all 10,000:

# %%
made_with("mnist-lite")
mnist = [run for run in read_runs(results("mnist-lite")) if run.done and run.run.variant in NAMES]
gap = np.array([run.result["test_accuracy"] - run.rows[-1]["accuracy"] for run in mnist])
healthy = np.array([run.rows[-1]["lost_classes"] == 0 for run in mnist])

figure, axes = plt.subplots(figsize=(6, 3.8))
for run, shown in zip(mnist, healthy, strict=True):
    if shown:
        axes.plot(
            run.rows[-1]["accuracy"],
            run.result["test_accuracy"],
            "o",
            color=COLOURS[run.run.variant],
            alpha=0.75,
        )
axes.plot([0.964, 0.984], [0.964, 0.984], color="#777777", linewidth=1, linestyle=":")
for variant in TABLES["mnist"]:
    axes.plot([], [], "o", color=COLOURS[variant], label=NAMES[variant])
axes.set(
    xlabel="accuracy on 1,600 of the first 1,699 test images",
    ylabel="on all 10,000",
    title="MNIST, lite network, last weights (runs without a lost class)",
)
axes.legend(fontsize=8, loc="lower right")
plt.show()

# %%
say(
    "All {count:.0f} of these runs lie above the diagonal: the first images are *harder* than"
    " the rest, and cost every network about {gap:.4f}, some {times:.1f} times the standard error."
    " If so, they cost the networks of Table II something too. For the comparison of networks it"
    " matters little, because all of them have the same handicap.",
    count=healthy.sum(),
    gap=gap[healthy].mean(),
    times=gap[healthy].mean() / math.sqrt(0.98 * 0.02 / 1600),
    holds=(gap[healthy] > 0).all(),
    agree=0.3,
)

# %% [markdown]
# ## Second luck: which moment
#
# The tables report the *best* of some 150 evaluations. Take a network that does not change at all: its accuracy is $.72$, for ever. Measure it 150 times, each time on 1,600 **new** images, and report the best.

# %%
evaluations = 150
fixed = random.binomial(n, a, (4000, evaluations)) / n
best = fixed.max(axis=1)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot(np.arange(1, evaluations + 1), fixed[0], "o", color=BLUE, markersize=3)
left.plot(
    fixed[0].argmax() + 1,
    fixed[0].max(),
    "o",
    color=RED,
    markersize=8,
    markerfacecolor="none",
    markeredgewidth=2,
)
left.axhline(a, color="black", linewidth=1)
left.set(
    xlabel="evaluation", ylabel="accuracy", title="one network of accuracy .72, measured 150 times"
)
right.hist(
    fixed[:, 0], bins=np.arange(0.67, 0.78, 0.0025), color=BLUE, alpha=0.8, label="one evaluation"
)
right.hist(best, bins=np.arange(0.67, 0.78, 0.0025), color=RED, alpha=0.8, label="the best of 150")
right.axvline(a, color="black", linewidth=1)
right.set(xlabel="accuracy", ylabel="networks, of 4,000", title="4,000 such networks")
right.legend(fontsize=9, loc="upper left")
plt.show()

# %%
lift = {
    count: (random.standard_normal((4000, count)).max(axis=1)).mean()
    for count in (20, 54, 125, 150, 250)
}
say(
    "The best of 150 is .72 plus {bias:.3f} on average: {errors:.2f} standard errors, for nothing."
    " For 20 evaluations it would be {twenty:.2f} standard errors, for 54 {short:.2f}, for 125"
    " {middle:.2f}, for 250 {long:.2f}. Who is measured more often gets the better peak.",
    bias=best.mean() - a,
    errors=(best.mean() - a) / formula,
    twenty=lift[20],
    short=lift[54],
    middle=lift[125],
    long=lift[250],
    holds=2.4 < (best.mean() - a) / formula < 2.8 and lift[250] > lift[125] > lift[54] > lift[20],
)

# %% [markdown]
# Three points of accuracy would swallow all of Table I. But wait: is that what happened? In the paper the images were **not** new each time, but 1,600 of the same 1,699. Draw those from a network that does not change, and is right on a share of $.72$ of the 1,699:

# %%
same = random.hypergeometric(round(0.72 * 1699), 1699 - round(0.72 * 1699), n, 10_000) / n
say(
    "The standard deviation from evaluation to evaluation is {same:.4f}, {share:.2f} standard"
    " errors: its 150 evaluations are nearly the same number.",
    same=same.std(),
    share=same.std() / formula,
    holds=same.std() < 0.3 * formula,
)

# %% [markdown]
# What else makes them differ is that training goes on, and some images flip. How much that is, only histories can say. Take the last 20 evaluations of each stored
# run, and compare their best with their mean. (On MNIST only of runs that knew all ten digits throughout: one that comes back makes a step, not a wobble.)


# %%
def wobble(accuracies):
    """Standard deviation around the straight line through them: what is left when the trend is taken out."""
    places = np.arange(len(accuracies))
    trend = np.polyval(np.polyfit(places, accuracies, 1), places)
    return math.sqrt(np.sum((accuracies - trend) ** 2) / (len(accuracies) - 2))


made_with("cifar10-lite")
cifar = [run for run in read_runs(results("cifar10-lite")) if run.done]


def knows_all(row):
    """At least half of the images of each digit are classified rightly."""
    return all(row[f"right_{k}"] >= row[f"images_{k}"] / 2 for k in range(10))


tails = {
    "MNIST, lite network": [
        np.array([row["accuracy"] for row in run.rows[-20:]])
        for run in mnist
        if all(knows_all(row) for row in run.rows[-20:])
    ],
    "CIFAR-10 (JPEG copy), lite network": [
        np.array([row["accuracy"] for row in run.rows[-20:]]) for run in cifar
    ],
}
figure, axes = plt.subplots(figsize=(6.4, 3.8))
for (name, histories), colour, marker in zip(tails.items(), (BLUE, ORANGE), "os", strict=True):
    lifts = [tail.max() - tail.mean() for tail in histories]
    axes.plot(
        [wobble(tail) for tail in histories], lifts, marker, color=colour, alpha=0.7, label=name
    )
axes.plot(
    [0, 0.015],
    [0, 0.015 * lift[20]],
    color="#777777",
    linewidth=1.2,
    linestyle=":",
    label="the best of 20 draws around a fixed mean",
)
axes.set(
    xlabel="standard deviation from evaluation to evaluation, trend removed",
    ylabel="best minus mean of the last 20",
    ylim=(0, 0.056),
)
axes.legend(fontsize=8, loc="upper left")
plt.show()

# %%
numbers = {}
for short, histories in zip(("mnist", "cifar"), tails.values(), strict=True):
    numbers[f"{short}_wobble"] = np.mean([wobble(tail) for tail in histories])
    numbers[f"{short}_lift"] = np.mean([tail.max() - tail.mean() for tail in histories])
    numbers[f"{short}_ratio"] = np.mean(
        [wobble(tail) / math.sqrt(tail.mean() * (1 - tail.mean()) / 1600) for tail in histories]
    )
say(
    "Our MNIST points scatter around the dotted line: there the best of 20 is about as lucky as the"
    " theory says. Our runs wobble by {mnist_wobble:.4f} (MNIST) and {cifar_wobble:.4f} (CIFAR-10)"
    " from evaluation to evaluation, {mnist_ratio:.2f} and {cifar_ratio:.2f} standard errors, and"
    " the best of the last 20 lies {mnist_lift:.4f} and {cifar_lift:.4f} above their mean. On"
    " CIFAR-10 part of that is trend, for these runs still climb: the squares lie above the line.",
    holds=abs(numbers["mnist_lift"] / (lift[20] * numbers["mnist_wobble"]) - 1) < 0.2
    and numbers["cifar_lift"] > 1.3 * lift[20] * numbers["cifar_wobble"]
    and numbers["cifar_ratio"] < 1.1,
    agree=0.2,
    **numbers,
)

# %%
peaks = {"CNN": (0.724375, 0.7171), "dropout": (0.736875, 0.7278)}
say(
    "In the published logs, which are long and end flat, the peak lies {cnn:.4f} (CNN) and"
    " {dropout:.4f} (dropout) above the mean of the last 20: real, but at most a third of the"
    " {naive:.3f} that new images each time would give. Those late networks wobble less, probably"
    " because they hardly change any more.",
    cnn=np.subtract(*peaks["CNN"]),
    dropout=np.subtract(*peaks["dropout"]),
    naive=best.mean() - a,
    holds=max(np.subtract(*pair) for pair in peaks.values()) < (best.mean() - a) / 3,
)

# %% [markdown]
# So the bias of the maximum is there, and its size is not what the textbook formula says: multiply the factor above with the *wobble*, not with the standard error. Alpha and beta show that a peak can also be a
# different thing altogether: they lose three and four points between their peak and their end, by overfitting. To report the peak is to report what one would have got by stopping at the right moment, chosen on
# the test images.
#
# The cure costs nothing: report the mean of the last 20, or choose the moment on held-out training images, as the `careful` protocol does.
#
# ## Third luck: which seed
#
# Train the same network again, from other weights. That is the luck which the paper's table cannot show, and its logs can: three runs of unscaled beta.

# %% tags=["thumbnail"]
repeats = np.array([0.70375, 0.689375, 0.6725])
spread = repeats.std(ddof=1)
figure, axes = plt.subplots(figsize=(7.4, 3.4))
for position, (variant, row) in enumerate(TABLES["cifar10"].items()):
    axes.plot(row.accuracy, -position, "o", color=COLOURS[variant], markersize=9)
    axes.plot(
        [row.accuracy - spread, row.accuracy + spread],
        [-position] * 2,
        color=COLOURS[variant],
        linewidth=2,
        alpha=0.5,
    )
axes.plot(
    repeats,
    [-5] * 3,
    "o",
    color=COLOURS["beta"],
    markersize=9,
    markerfacecolor="none",
    markeredgewidth=2,
)
axes.set_yticks(
    range(0, -6, -1), [*(NAMES[variant] for variant in TABLES["cifar10"]), "three runs of beta"]
)
axes.set(
    xlabel="peak accuracy, CIFAR-10 (published)",
    title="Table I; the bars are one standard deviation of the three repeats",
    ylim=(-5.5, 0.5),
)
plt.show()

# %%
difference_spread = spread * math.sqrt(2)
pairs = {
    pair: TABLES["cifar10"][pair[0]].accuracy - TABLES["cifar10"][pair[1]].accuracy
    for pair in itertools.combinations(TABLES["cifar10"], 2)
}
beyond = [pair for pair, difference in pairs.items() if abs(difference) > 2 * difference_spread]
say(
    "The three repeats have a standard deviation of {spread:.4f}. The difference of two *single*"
    " runs then has one of {both:.4f} ($\\sqrt{{2}}$ times as much). The largest difference in"
    " Table I, dropout against alpha, is {largest:.3f}: {units:.1f} of these. Of the ten pairs of"
    " rows, {beyond:.0f} differ by more than two.",
    spread=spread,
    both=difference_spread,
    largest=max(abs(value) for value in pairs.values()),
    units=max(abs(value) for value in pairs.values()) / difference_spread,
    beyond=len(beyond),
    holds=len(beyond) == 0,
)

# %% [markdown]
# The means of the last 20 tell another story. Of the same three runs:

# %%
steady = np.array([0.6620, 0.6639, 0.6544])
say(
    "The means of the last 20 of the three repeats have a standard deviation of {tail:.4f}, a third"
    " of that of their peaks. Measured so, dropout and alpha are .0586 apart: {units:.0f} standard"
    " deviations of a difference. Dropout and the CNN are .0107 apart: {few:.1f}. A third of the"
    " standard deviation is worth nine times the seeds.",
    tail=steady.std(ddof=1),
    units=(0.7278 - 0.6692) / (steady.std(ddof=1) * math.sqrt(2)),
    few=(0.7278 - 0.7171) / (steady.std(ddof=1) * math.sqrt(2)),
    holds=steady.std(ddof=1) < spread / 2
    and (0.7278 - 0.6692) / (steady.std(ddof=1) * math.sqrt(2)) > 5,
)

# %% [markdown]
# Any such standard deviation is itself a guess, from three numbers. How good a guess? Draw three numbers from a normal distribution whose standard deviation is 1, many times over, and look at what
# they say:

# %%
guesses = random.standard_normal((20_000, 3)).std(axis=1, ddof=1)
say(
    "Three draws from a distribution with standard deviation 1 say anything between {low:.2f} and"
    " {high:.2f} (nine times in ten).",
    low=np.quantile(guesses, 0.05),
    high=np.quantile(guesses, 0.95),
    holds=np.quantile(guesses, 0.05) < 0.3 and np.quantile(guesses, 0.95) > 1.6,
)

# %% [markdown]
# ## Pairs
#
# Two networks with the same seed start from the same weights and see the same images in the same order. If a seed is a hard one, both feel it, and in their *difference* it cancels. So compare **pairs**: one difference per
# seed, then the mean of the differences $\bar d$ and its standard error, from the standard deviation $s$ of the differences over $n$ seeds:
#
# $$t = \frac{\bar d}{s / \sqrt{n}}.$$
#
# Dropout against the other four, on MNIST, three seeds each:


# %%
def last_20(runs, variant):
    """-> {seed: mean of the last 20 evaluations}."""
    return {
        run.run.seed: summarise(run.rows)["mean_last"] for run in runs if run.run.variant == variant
    }


def differences(runs, first, second):
    """One difference per seed that both have, in the order of the seeds."""
    one, other = last_20(runs, first), last_20(runs, second)
    return np.array([one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())])


def t_statistic(d):
    return d.mean() / (d.std(ddof=1) / math.sqrt(len(d)))


chosen = [("dropout", "beta-scaled"), ("dropout", "alpha"), ("dropout", "beta"), ("dropout", "cnn")]
figure, axes = plt.subplots(figsize=(7.4, 3.2))
for position, pair in enumerate(chosen):
    d = differences(mnist, *pair)
    axes.plot(d, np.full(len(d), -position), "o", color=COLOURS[pair[1]], alpha=0.7, markersize=8)
axes.axvline(0, color="black", linewidth=1)
axes.set_xscale("symlog", linthresh=0.01)
axes.set_xticks([-0.005, 0, 0.005, 0.01, 0.1, 0.5], ["-.005", "0", ".005", ".01", ".1", ".5"])
axes.set_yticks(
    range(0, -4, -1),
    [f"dropout minus {NAMES[other].replace('DropAlan ', '')}" for _, other in chosen],
)
axes.set(
    xlabel="difference of the means of the last 20, a point per seed (beyond .01: logarithmic)",
    title="MNIST, lite network",
    xlim=(-0.007, 0.6),
    ylim=(-3.6, 0.6),
)
plt.show()

# %%
scaled, beta, plain = (
    differences(mnist, "dropout", other) for other in ("beta-scaled", "beta", "cnn")
)
say(
    "Dropout minus beta: {beta:.4f} on average, above 0 in all three seeds, t = {t_beta:.1f}. Dropout"
    " minus scaled beta: {scaled:.4f}, t = {t_scaled:.1f}. Dropout minus CNN: {plain:.3f}, by far the"
    " largest mean of the three, and yet t = {t_plain:.1f}, less than for beta: lost classes (lesson"
    " 08) make both the mean and its error.",
    beta=beta.mean(),
    t_beta=t_statistic(beta),
    scaled=scaled.mean(),
    t_scaled=t_statistic(scaled),
    plain=plain.mean(),
    t_plain=t_statistic(plain),
    holds=len(beta) == 3
    and (beta > 0).all()
    and abs(t_statistic(scaled)) < 1
    and t_statistic(plain) < t_statistic(beta)
    and plain.mean() > 5 * beta.mean(),
)

# %% [markdown]
# How large must t be? If the differences were pure luck, normally distributed around 0, t would scatter like this:


# %%
def t_by_luck(count, repeats=200_000):
    """t of as many experiments of `count` seeds in which there is no difference."""
    noise = random.standard_normal((repeats, count))
    return noise.mean(axis=1) / (noise.std(axis=1, ddof=1) / math.sqrt(count))


count = len(beta)
luck = t_by_luck(count)
critical = np.quantile(np.abs(luck), 0.95)
figure, axes = plt.subplots(figsize=(7.4, 3))
axes.hist(
    luck,
    bins=np.arange(-8, 8.01, 0.1),
    density=True,
    color="#999999",
    alpha=0.7,
    label=f"luck alone, {count} seeds",
)
axes.axvspan(-critical, critical, color="#dddddd", alpha=0.4, linewidth=0, label="19 of 20 times")
for name, d, colour in (
    ("scaled beta", scaled, RED),
    ("beta", beta, GREEN),
    ("CNN", plain, "black"),
):
    axes.axvline(t_statistic(d), color=colour, linewidth=2, label=f"dropout minus {name}")
axes.set(xlabel="t", ylabel="density", xlim=(-8, 8))
axes.legend(fontsize=8, loc="upper left")
plt.show()

# %%
p_value = {
    name: float(np.mean(np.abs(luck) >= abs(t_statistic(d))))
    for name, d in (("scaled", scaled), ("beta", beta))
}
say(
    "With {count:.0f} seeds, luck stays within {critical:.2f} in 19 of 20 cases, with five within"
    " {five:.2f}, and with many within 1.96. A t as large as that of dropout minus beta comes by luck"
    " with probability {p_beta:.3f}; as that of dropout minus scaled beta, {p_scaled:.2f}. So three"
    " seeds that agree, and a mean three and a half times its standard error, are not enough for the"
    " customary .05.",
    count=count,
    critical=critical,
    five=np.quantile(np.abs(t_by_luck(5)), 0.95),
    p_beta=p_value["beta"],
    p_scaled=p_value["scaled"],
    holds=0.05 < p_value["beta"] < 0.1 and 3.4 < t_statistic(beta) < 3.6,
)

# %% [markdown]
# ## A test without a bell curve
#
# The lost classes show that our differences are anything but normally distributed. Here is a test that does not ask for it. If there were no difference between two networks, then in each pair it would have been a toss of a coin which of
# them came out ahead: each difference could as well have had the other sign. So try **all** $2^n$ choices of signs, and count how many have a mean at least as far from 0 as the one we saw.


# %%
def sign_flip(d):
    """-> the share of the sign patterns with a mean as far from 0 as that of `d`, or further."""
    patterns = np.array(list(itertools.product((1, -1), repeat=len(d))))
    means = (patterns * np.abs(d)).mean(axis=1)
    return np.mean(np.abs(means) >= abs(d.mean()) - 1e-12)


smallest = 2 / 2**count
say(
    "Dropout minus beta: p = {p_beta:.2f}. Dropout minus scaled beta: p = {p_scaled:.2f}. Dropout"
    " minus CNN, a matter of {points:.0f} points: p = {p_plain:.2f} again. That is the **smallest p"
    " that this test can give** with {count:.0f} seeds: all signs agree, only the two patterns with"
    " all signs alike are as extreme, and 2 of {patterns:.0f} is {smallest:.2f}.",
    p_beta=sign_flip(beta),
    p_scaled=sign_flip(scaled),
    p_plain=sign_flip(plain),
    points=100 * plain.mean(),
    count=count,
    patterns=2**count,
    smallest=smallest,
    holds=sign_flip(beta) == smallest and sign_flip(plain) == smallest < sign_flip(scaled),
)

# %% [markdown]
# Of this last pair we have five seeds elsewhere. Under the `careful` protocol, without a ReLU on the logits, no class can be lost. There the CNN and dropout have been trained for 5,000 iterations each, and looked at
# the 10,000 test images once, at the end:

# %%
made_with("mnist-lite-careful")
careful = [run for run in read_runs(results("mnist-lite-careful")) if run.done]
cnn_test, dropout_test = (
    {run.run.seed: run.result["test_accuracy"] for run in careful if run.run.variant == variant}
    for variant in ("cnn", "dropout")
)
five = np.array([dropout_test[seed] - cnn_test[seed] for seed in sorted(cnn_test)])
say(
    "Dropout minus CNN is now {mean:.4f}, with dropout ahead in {ahead:.0f} of {count:.0f} seeds:"
    " t = {t:.1f}, and by the sign-flip test p = {p:.2f}. Of the {points:.0f} points nothing is left"
    " that these seeds could tell from luck.",
    mean=five.mean(),
    ahead=(five > 0).sum(),
    count=len(five),
    t=t_statistic(five),
    p=sign_flip(five),
    points=100 * plain.mean(),
    holds=len(five) == 5
    and abs(five.mean()) < 0.005
    and abs(t_statistic(five)) < 2
    and sign_flip(five) > 0.2
    and not any(run.rows[-1]["lost_classes"] for run in careful),
)

# %% [markdown]
# A test asks whether there *is* a difference, not whether it is worth having. Look at its size too.
#
# And with five seeds, however clear the case, the honest test cannot reach the customary .05: 2 of 32 is one in sixteen. The t test can, because it *assumes* the bell curve. With six seeds both can (exercise 3). With three, the smallest
# possible p is a quarter. With one seed there is nothing to test.
#
# ## How much does pairing buy?
#
# If seeds are hard or easy for all networks alike, the differences scatter less than two independent runs would. Compare, over all pairs of networks. Five seeds of six networks on digits, with linear logits, come from lesson 11; three seeds
# from lessons 08 and 09, without the CNN on MNIST, which lost classes.

# %%
made_with("expectation")
digits = [run for run in read_runs(results("expectation")) if run.done]


def pairing(runs, variants):
    """For each pair of networks: how much less the paired differences scatter than unpaired ones would."""
    ratios = []
    for one, other in itertools.combinations(variants, 2):
        first, second = last_20(runs, one), last_20(runs, other)
        x, y = (np.array([side[seed] for seed in sorted(first)]) for side in (first, second))
        ratios.append((x - y).std(ddof=1) / math.hypot(x.std(ddof=1), y.std(ddof=1)))
    return ratios


five_seeds = pairing(
    digits,
    [
        "cnn-linear",
        "alpha-linear",
        "alpha-scaled-linear",
        "beta-linear",
        "beta-scaled-linear",
        "beta-p_max=0-linear",
    ],
)
three_seeds = pairing(mnist, ["dropout", "alpha", "beta", "beta-scaled"]) + pairing(
    cifar, list(TABLES["cifar10"])
)
say(
    "Over {count:.0f} pairs of networks on digits, the standard deviation of the paired differences"
    " is {ratio:.2f} times that of unpaired ones (median). Squared, that is the share of seeds that"
    " pairing leaves necessary: {squared:.2f}. With three seeds the same median is {three:.2f}, over"
    " {pairs:.0f} pairs that go from {low:.2f} to {high:.2f}: three numbers cannot tell.",
    count=len(five_seeds),
    ratio=np.median(five_seeds),
    squared=np.median(five_seeds) ** 2,
    three=np.median(three_seeds),
    pairs=len(three_seeds),
    low=min(three_seeds),
    high=max(three_seeds),
    holds=len(five_seeds) >= 10
    and np.median(five_seeds) < 0.9
    and min(three_seeds) < 0.5
    and max(three_seeds) > 1.2,
    agree=0.2,
)

# %% [markdown]
# ## How many seeds for one point?
#
# Plan before you train. Suppose differences between pairs scatter with standard deviation $s$, and the true difference is $\delta$. How often will $n$ seeds show it, at the customary level? Simulate: this is the
# **power** of the test.

# %%
scatter, true_difference = 0.016 * math.sqrt(2), 0.013
numbers_of_seeds = np.array([2, 3, 5, 8, 12, 20, 30, 40])


def power(n, delta, s, repeats=20_000):
    """How often |t| exceeds what luck gives in 1 of 20 cases, if the true mean is delta."""
    noise = random.standard_normal((2, repeats, n))
    t = [
        (x.mean(axis=1) + shift) / (x.std(axis=1, ddof=1) / math.sqrt(n))
        for x, shift in zip(noise, (0, delta / s), strict=True)
    ]
    return np.mean(np.abs(t[1]) > np.quantile(np.abs(t[0]), 0.95))


found = np.array([power(n, true_difference, scatter) for n in numbers_of_seeds])
larger = np.array([power(n, 0.035, scatter) for n in numbers_of_seeds])
figure, axes = plt.subplots(figsize=(7, 3.2))
axes.plot(
    numbers_of_seeds, found, "o-", color=BLUE, label="1.3 points: dropout against scaled beta"
)
axes.plot(
    numbers_of_seeds, larger, "s-", color=ORANGE, label="3.5 points: dropout against alpha or beta"
)
axes.axhline(0.8, color="#777777", linestyle=":", linewidth=1.2)
axes.set(
    xlabel="seeds of each network",
    ylabel="share of experiments that find it",
    ylim=(0, 1.04),
    title="if seeds scatter as the three published repeats do",
)
axes.legend(fontsize=9, loc="center right")
plt.show()

# %%
say(
    "With five seeds an experiment finds a true difference as large as Table I's between dropout"
    " and scaled beta in {five:.0%} of cases; for four out of five one needs about {enough:.0f}"
    " seeds. The larger one, to alpha or beta, five seeds find in {five_larger:.0%}.",
    five=found[numbers_of_seeds == 5][0],
    enough=float(np.interp(0.8, found, numbers_of_seeds)),
    five_larger=larger[numbers_of_seeds == 5][0],
    holds=found[numbers_of_seeds == 5][0] < 0.4
    and 15 < np.interp(0.8, found, numbers_of_seeds) < 40,
)

# %% [markdown] tags=["quotes"]
# ## What Table I can say, and what it cannot
#
# | statement | verdict |
# |---|---|
# | dropout is better than the plain CNN (1.2 points) | not from one run each: the three repeats of beta move by more than that |
# | scaled beta is as good as the CNN (0.1 points) | nothing speaks against it, little for it; the scaled run had 54 evaluations to find its best in, the CNN 125 |
# | alpha and beta are worse than dropout (3.7 and 3.2 points) | not by the peaks alone, about one and a half standard deviations; the means of the last 20 speak for it, if the others scatter as beta does |
# | scaling helps beta (1.9 points) | suggestive; the table has the best of three repeats of unscaled beta, and against the worst it would be 5.0 points |
# | scaled beta converges sooner (42,000 against 110,000) | the iteration of a peak says little (lesson 09); curves and levels say more, and there we see it too |
# | scaled beta crashes | yes: in both runs that are known to be of this variant, and to the last digit. An effect this large needs no statistics, but a cause |
#
# All verdicts on CIFAR-10 borrow their yardstick from three repeats of *one* network; the others may scatter more, or less.
#
# A last trap: ten pairs of rows can be formed from five. If each were tested at the level of one in twenty, the chance that at least one comes out by luck is far above one in twenty. Decide *before* you look which
# comparison you care about.
#
# ## What to keep
#
# * Images, moment, seed: three kinds of luck. The standard error of one evaluation covers only the first.
# * The best of many evaluations is too good. By how much depends on the wobble of the run, not on the size of the test set; the mean of the last 20 is free of it.
# * One run each can show a crash, but not a point of accuracy. Repeat, pair by seed, and test the differences.
# * A sign-flip test assumes least. It tells you how many seeds you need before you begin: with five its p is never below one in sixteen.
#
# ## Exercises
#
# **1.** Given the results `a` and `b` of two networks, one number per seed and in the same order of seeds, return the mean of the paired differences `a - b` and its standard error.


# %%
def paired(a, b): ...


check("12.1", paired)

# %% [markdown]
# **2.** Write the sign-flip test: from the differences, the exact two-sided p, over all sign patterns. The observed pattern counts.


# %%
def sign_flip_p(differences): ...


check("12.2", sign_flip_p)

# %% [markdown]
# **3.** The smallest number of seeds with which the two-sided sign-flip test can give a p of at most `level`.


# %%
def seeds_needed(level): ...


check("12.3", seeds_needed)

# %% [markdown]
# ## Read on
#
# * `minidrop/paper/reproduce/compare.py`: `minidrop compare DIR DIR`, two experiments side by side, differences paired by seed.
# * `minidrop/paper/reproduce/table.py`: `standard_error` and the notes under each table.
# * `minidrop/paper/protocol.py`: `CAREFUL`, which watches held-out training images and looks at the test set once.
# * `lessons/solutions/lesson_12.py`: solutions.
