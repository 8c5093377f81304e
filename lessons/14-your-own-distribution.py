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
# # 14 · Your own distribution
#
# **You need** lesson 07 (DropAlan), lesson 02 (gradcheck), and from lesson 12 that one seed proves nothing.
#
# **You get** a drop probability of your own: written, checked, trained beside alpha and beta, and tried with BatchNorm, with a ReLU behind it, and with beta's parameters swept.
#
# **Time** about 30 seconds on two cores.
#
# **New names** `md.nn.Module`, `md.nn.BatchNorm1d`, `md.nn.ELU`
#
# The paper ends with a list of things to try: the parameters of beta, ReLU-like activation functions together with DropAlan, batch normalisation. All of them are
# a few lines here. Some give no surprise, two do: a ReLU behind DropAlan undoes it to the last bit, and a distribution may have just the right expectation and
# still learn badly.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidrop as md
from checks import check
from lesson import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    ORANGE,
    PINK,
    RED,
    SKY,
    full,
    made_with,
    results,
    say,
)
from minidrop.paper.reproduce.grid import read_runs

SEEDS = 10 if full else 4  # runs of each variant
STEPS = 400

# %% [markdown]
# ## From an expectation to a distribution
#
# A unit with input $z$ is kept with probability $k(z) = 1 - p(z)$, so that its expected output is
#
# $$E[y] = z\, k(z).$$
#
# Read it backwards. Say which function $f$ you want on average, and the distribution follows: $k(z) = f(z) / z$. Only one condition remains: $k$ is a
# probability, so $f(z)$ must lie between 0 and $z$. Four that pass:
#
# | on average | $f(z)$ | $k(z)$ |
# |---|---|---|
# | leaky ReLU | $z$ above 0, $s z$ below | 1 above 0, $s$ below |
# | ELU | $z$ above 0, $e^z - 1$ below | 1 above 0, $(e^z - 1) / z$ below |
# | SiLU | $z / (1 + e^{-z})$ | $1 / (1 + e^{-z})$ |
# | GELU | $z\, \Phi(z)$ | $\Phi(z)$, the normal distribution function |
#
# The last was found in this very way: its authors started from a unit that is kept with probability $\Phi(z)$, and took the expectation. Softplus,
# $\log(1 + e^z)$, does not pass: at $z = 0$ it is above 0.
#
# The paper wished for something like a ReLU, and names the ELU as one of the most successful activation functions. So let us write the distribution whose expectation *is* the ELU.


# %%
class ExpectedELU:
    """k(z) = (e^z - 1) / z for z < 0, else 1: on average the output is an ELU."""

    def drop_probability(self, z):
        below = np.where(
            z < 0, z, -1
        )  # -1: any number that can be divided by; those places are not used
        return np.where(z < 0, 1 - np.expm1(below) / below, 0)

    def derivative(self, z):  # p' = -k', by the quotient rule
        below = np.where(z < 0, z, -1)
        return np.where(z < 0, -(below * np.exp(below) - np.expm1(below)) / below**2, 0)


class Logistic:
    """k(z) = 1 / (1 + e^-z): on average the output is a SiLU. This one drops positive inputs, too."""

    def drop_probability(self, z):
        return 1 / (1 + np.exp(z))

    def derivative(self, z):
        p = self.drop_probability(z)
        return -p * (1 - p)


distributions = {"beta": md.Beta(), "alpha": md.Alpha(), "ELU": ExpectedELU(), "SiLU": Logistic()}
colours = {"beta": COLOURS["beta"], "alpha": COLOURS["alpha"], "ELU": PINK, "SiLU": BLUE}

# %% [markdown]
# That is all that minidrop asks of a distribution: a method `drop_probability(z)`, and `derivative(z)` where a gradient goes through $k(z)$. Left: how often a unit is dropped.
# Right: its expectation; the dots are means of 10,000 draws of our ELU.

# %% tags=["thumbnail"]
z = np.linspace(-4, 2.5, 400)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
for name, distribution in distributions.items():
    p = md.functional.drop_probability(z, distribution)
    left.plot(z, p, color=colours[name])
    right.plot(z, z * (1 - p), color=colours[name], label=name)
places = np.linspace(-3.5, 2, 12)
draws = md.functional.dropalan(
    md.Tensor(np.tile(places, (10_000, 1))), ExpectedELU(), generator=md.Generator(0)
).data
right.plot(
    places, draws.mean(axis=0), "o", color=colours["ELU"], markersize=4, label="10,000 draws"
)
left.set(xlabel="z", ylabel="probability to drop, p(z)")
right.set(xlabel="z", ylabel="expected output, z k(z)")
right.legend(fontsize=9)
plt.show()

# %%
expectation = md.functional.dropalan(
    md.Tensor(z), ExpectedELU(), training=False, inference="expectation"
).data
elu = md.nn.ELU()(md.Tensor(z)).data
say(
    'minidrop\'s `inference="expectation"` with our class, and its `md.nn.ELU`, agree at {count:,}'
    " points to within {difference:.0e}; the mean of the draws is off by at most {worst:.3f}.",
    count=len(z),
    difference=np.abs(expectation - elu).max(),
    worst=np.abs(draws.mean(axis=0) - np.where(places < 0, np.expm1(places), places)).max(),
    holds=np.abs(expectation - elu).max() < 1e-12
    and np.abs(draws.mean(axis=0) - np.where(places < 0, np.expm1(places), places)).max() < 0.06,
)

# %% [markdown]
# ## gradcheck, and what it does not see
#
# Two gradients use `derivative`: that of the scaled output $z\theta / k(z)$, and that of $z\,k(z)$ at inference. Both are checked against difference quotients; for the
# first the mask $\theta$ is given, because a function that draws anew each time has no difference quotient.

# %%
points = np.array([-6.0, -2.5, -1.0, -0.3, 0.4, 2.0])
mask = np.array([1, 0, 1, 1, 1, 1])


def scaled_output(z, distribution):
    return md.functional.dropalan(z, distribution, scaled=True, mask=mask)


def expected_output(z, distribution):
    return md.functional.dropalan(z, distribution, training=False, inference="expectation")


class WrongSign(ExpectedELU):
    def derivative(self, z):
        return -super().derivative(z)


passed = [
    md.gradcheck(lambda z, d=distribution, f=function: f(z, d), points)
    for distribution in (ExpectedELU(), Logistic())
    for function in (scaled_output, expected_output)
]
try:
    md.gradcheck(lambda z: expected_output(z, WrongSign()), points)
    caught = False
except Exception as error:
    caught = True
    print(error)
say(
    "{count} gradients are right, and the one with the wrong sign is caught.",
    count=sum(passed),
    holds=all(passed) and caught,
)

# %% [markdown]
# A check is as good as the points it is given. Why the strange `below` in our class? Leave it out, write the formula down as it stands in the table, and gradcheck at
# the same points is content. But at $z = 0$ it divides 0 by 0.


# %%
class Unguarded:
    def drop_probability(self, z):
        with np.errstate(invalid="ignore"):
            return np.where(z > 0, 0, 1 - np.expm1(z) / z)

    def derivative(self, z):
        with np.errstate(invalid="ignore"):
            return np.where(z > 0, 0, -(z * np.exp(z) - np.expm1(z)) / z**2)


content = md.gradcheck(lambda z: scaled_output(z, Unguarded()), points)
at_zero = {}
for name, distribution in (("unguarded", Unguarded()), ("guarded", ExpectedELU())):
    zero = md.Tensor(np.zeros(1), requires_grad=True)
    md.functional.dropalan(
        zero, distribution, scaled=True, generator=md.Generator(0)
    ).sum().backward()
    at_zero[name] = zero.grad[0]
    print(f"{name:>9}: dy/dz at z = 0 is {zero.grad[0]}")
say(
    "gradcheck passes both, one of them is NaN at $z = 0$. Lesson 10 is about what one such number"
    " does to a network.",
    holds=content and np.isnan(at_zero["unguarded"]) and at_zero["guarded"] == 1,
)

# %% [markdown]
# And just beside 0? There the numerator of $p'$ is a difference of two nearly equal numbers, and in float32 little is left of it. The slope should tend to $-1/2$:

# %%
near = -np.logspace(-9, -1, 200)
exact = ExpectedELU().derivative(np.float64(near))
exact = np.where(
    near > -1e-3, -(1 / 2 + near / 3 + near**2 / 8), exact
)  # the first terms of its series, good here
rough = ExpectedELU().derivative(near.astype("float32"))
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.plot(-near, rough, color=RED, label="as programmed, float32")
left.plot(-near, exact, color=BLACK, linestyle="--", label="exact")
left.set(xscale="log", xlabel="|z|, below 0", ylabel="p'(z)", ylim=(-1.6, 0.6))
left.legend(fontsize=9)
right.plot(-near, np.abs(near * (rough - exact)), color=RED)
right.set(xscale="log", yscale="log", xlabel="|z|, below 0", ylabel="error of z p'(z)")
plt.show()
say(
    "The slope is off by up to {slope:.1f}. It is harmless, though: DropAlan only ever uses"
    " $z\\,p'(z)$, and that is off by at most {product:.0e}. The guard is needed, more is not.",
    slope=np.abs(rough - exact).max(),
    product=np.abs(near * (rough - exact)).max(),
    agree=None,
    holds=np.abs(rough - exact).max() > 0.2 and np.abs(near * (rough - exact)).max() < 1e-5,
)

# %% [markdown]
# ## Train it
#
# A network to compare distributions on has to need them. At `inference="identity"`, as published, dense, DropAlan, dense is a *linear* map, and a linear map sorts the
# ten digits quite well. So we ask something that it cannot do well: **is the digit even or odd?** The even digits have little in common, and no one plane has them all on one
# side. One hidden layer of 64 units; batches of 64; two logits, linear (behind a ReLU on the logits, as in the published code, classes would die and hide all else).

# %%
train, test = md.datasets.digits("train"), md.datasets.digits("test")


def as_rows(images):
    return (
        images.reshape(len(images), 64).astype("float32") - np.float32(train.images.mean())
    ) / np.float32(16)


x_train, odd_train = as_rows(train.images), train.labels % 2
x_test, odd_test = as_rows(test.images), test.labels % 2


def train_small(hidden, seed, batch_norm=False, steps=STEPS):
    """A trained network. hidden(masks) makes its hidden stage; one seed, same weights at the start, same images for all variants."""
    seeds = md.Generator(seed)
    weights, order, masks = seeds.spawn(), seeds.spawn(), seeds.spawn()
    norm = [md.nn.BatchNorm1d(64)] if batch_norm else []
    model = md.nn.Sequential(
        md.nn.Dense(64, 64, generator=weights),
        *norm,
        hidden(masks),
        md.nn.Dense(64, 2, generator=weights),
    )
    optimizer = md.optim.SGD(model.parameters(), lr=0.5)
    for _step in range(steps):
        batch = order.integers(0, len(x_train), 64)
        loss = md.functional.softmax_cross_entropy(model(x_train[batch]), odd_train[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def accuracy(model, inference="expectation"):
    """The share of the test images that are sorted rightly. How a DropAlan layer is used after training can be chosen now."""
    for layer in model.layers:
        if isinstance(layer, md.nn.DropAlan):
            layer.inference = inference
    return np.mean(model(x_test).data.argmax(axis=1) == odd_test)


def dropping(distribution, **more):
    return lambda masks: md.nn.DropAlan(distribution, generator=masks, **more)


def several(hidden, seeds=SEEDS, **more):
    return [train_small(hidden, seed, **more) for seed in range(seeds)]


models = {
    "no hidden stage": several(lambda masks: md.nn.Sequential()),
    "plain ReLU": several(lambda masks: md.nn.ReLU()),
    "plain ELU": several(lambda masks: md.nn.ELU()),
}
for name, distribution in distributions.items():
    models[f"DropAlan {name}"] = several(dropping(distribution))

# %%
scores = {name: [accuracy(model) for model in trained] for name, trained in models.items()}
identity = {
    name: [accuracy(model, "identity") for model in trained]
    for name, trained in models.items()
    if "DropAlan" in name
}


def dot_plot(axes, rows):
    """rows: [(label, accuracies of the seeds, colour, filled)], from top to bottom; a bar marks the mean."""
    for height, (_label, values, colour, filled) in enumerate(rows):
        axes.scatter(
            values,
            [height] * len(values),
            s=34,
            facecolor=colour if filled else "none",
            edgecolor=colour,
        )
        axes.plot([np.mean(values)] * 2, [height - 0.3, height + 0.3], color=colour, linewidth=2)
    axes.set(
        yticks=range(len(rows)),
        yticklabels=[row[0] for row in rows],
        xlabel="share of the test images sorted rightly",
    )
    axes.invert_yaxis()


rows = [(name, scores[name], BLACK, True) for name in list(models)[:3]]
for name in distributions:
    rows += [(f"{name}, expectation", scores[f"DropAlan {name}"], colours[name], True)]
    rows += [(f"{name}, identity", identity[f"DropAlan {name}"], colours[name], False)]
figure, axes = plt.subplots(figsize=(8, 4.2))
dot_plot(axes, rows)
axes.axvline(np.mean(scores["no hidden stage"]), color="#999999", linestyle="--", zorder=0)
plt.show()

# %%
mean = {name: np.mean(values) for name, values in scores.items()}
mean_identity = {name: np.mean(values) for name, values in identity.items()}
say(
    "The linear network sorts {linear:.3f} of the test images rightly, a plain ReLU {relu:.3f}"
    " (means of {seeds} seeds, each a dot). With DropAlan it matters first of all how the trained"
    " network is *used*: beta reaches {beta:.3f} by its expectation, and {beta_identity:.3f} as"
    " published, where it is a linear network.",
    linear=mean["no hidden stage"],
    relu=mean["plain ReLU"],
    seeds=SEEDS,
    beta=mean["DropAlan beta"],
    beta_identity=mean_identity["DropAlan beta"],
    holds=mean["plain ReLU"] > mean["no hidden stage"] + 0.03
    and mean["DropAlan beta"] > mean["no hidden stage"] + 0.03
    and max(mean_identity.values()) < mean["no hidden stage"] + 0.02,
)
say(
    "Our own distribution gets {own:.3f}: hardly more than the linear network, while a plain ELU,"
    " *the same function at inference*, gets {elu:.3f}. The right expectation is not enough.",
    own=mean["DropAlan ELU"],
    elu=mean["plain ELU"],
    holds=mean["DropAlan ELU"] < mean["plain ELU"] - 0.015,
)

# %% [markdown]
# ## What holds it back?
#
# Two things differ while it trains. **Noise**: the output is $z\theta$, not its mean. **The gradient**: with the mask held fixed, $dy/dz = \theta$, which is $k(z)$ on average; the derivative of
# the expectation is $k(z) - z\,p'(z)$ (lesson 07). Each can be had alone. `NoiseOnly` puts out the drawn $z\theta$ and hands back the gradient of the
# expectation; `BiasOnly` puts out the expectation, without any draw, and hands back $k(z)$.


# %%
class NoiseOnly(md.nn.Module):
    def __init__(self, distribution, generator):
        self.distribution, self.generator = distribution, generator

    def forward(self, z):
        expected = expected_output(z, self.distribution)
        if not self.training:
            return expected
        drawn = md.functional.dropalan(
            md.Tensor(z.data), self.distribution, generator=self.generator
        )
        return expected + md.Tensor(
            drawn.data - expected.data
        )  # the second part is a constant for the gradient


class BiasOnly(md.nn.Module):
    def __init__(self, distribution):
        self.distribution = distribution

    def forward(self, z):
        return z * md.Tensor(
            (1 - self.distribution.drop_probability(z.data)).astype(z.dtype)
        )  # k as a constant


own = ExpectedELU()
alone = {
    "neither: plain ELU": scores["plain ELU"],
    "noise only": [accuracy(model) for model in several(lambda masks: NoiseOnly(own, masks))],
    "biased gradient only": [accuracy(model) for model in several(lambda masks: BiasOnly(own))],
    "both: DropAlan ELU": scores["DropAlan ELU"],
}
figure, axes = plt.subplots(figsize=(8, 2.4))
dot_plot(axes, [(name, values, colours["ELU"], True) for name, values in alone.items()])
plt.show()
neither, noise, bias, both = (np.mean(values) for values in alone.values())
say(
    "Neither: {neither:.3f}. Noise alone: {noise:.3f}. The biased gradient alone: {bias:.3f}. Both:"
    " {both:.3f}. Each of the two costs something.",
    neither=neither,
    noise=noise,
    bias=bias,
    both=both,
    holds=both < min(noise, bias) and max(noise, bias) < neither,
)

# %% [markdown]
# ## BatchNorm in front
#
# Where on its curve does our distribution work? A histogram of $z$ in the trained networks says it. BatchNorm, between the dense layer and DropAlan, gives each unit's $z$ mean 0
# and variance 1 over the batch (and then lets it learn another scale and shift).

# %%
normed = {
    name: several(dropping(distributions[name]), batch_norm=True)
    for name in ("beta", "alpha", "ELU")
}
scores_normed = {name: [accuracy(model) for model in trained] for name, trained in normed.items()}


def hidden_inputs(model):
    """z of all test images and units: what comes out of the layers before the hidden stage."""
    return md.nn.Sequential(*model.layers[:-2]).eval()(x_test).data.ravel()


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=[1.1, 1])
spread = {}
for label, model, colour in (
    ("without", models["DropAlan ELU"][0], SKY),
    ("with BatchNorm", normed["ELU"][0], PINK),
):
    values = hidden_inputs(model)
    spread[label] = values.std()
    left.hist(
        values, bins=np.linspace(-5, 5, 81), density=True, color=colour, alpha=0.6, label=label
    )
wide = np.linspace(-5, 5, 200)
left.plot(wide, own.drop_probability(wide), color=BLACK, label="p(z)")
left.set(xlabel="z, ELU by dropping, seed 0", ylabel="density; p(z)", xlim=(-5, 5))
left.legend(fontsize=9)
rows = []
for name in normed:
    rows += [
        (name, scores[f"DropAlan {name}"], colours[name], False),
        (f"{name}, BatchNorm", scores_normed[name], colours[name], True),
    ]
dot_plot(right, rows)
plt.show()
say(
    "Without BatchNorm $z$ has a standard deviation of {without:.2f}, and so close to 0 an ELU is"
    " nearly a straight line. With it: {norm:.2f}. The accuracy goes from {own:.3f} to"
    " {own_norm:.3f}. For beta, which is bent at 0 itself, the change is small: from {beta:.3f} to"
    " {beta_norm:.3f}.",
    without=spread["without"],
    norm=spread["with BatchNorm"],
    own=both,
    own_norm=np.mean(scores_normed["ELU"]),
    beta=mean["DropAlan beta"],
    beta_norm=np.mean(scores_normed["beta"]),
    holds=spread["with BatchNorm"] > spread["without"]
    and np.mean(scores_normed["ELU"]) > both + 0.015
    and abs(np.mean(scores_normed["beta"]) - mean["DropAlan beta"]) < 0.03,
)

# %% [markdown]
# ## A ReLU behind
#
# "Using ReLU-based activation functions along with DropAlan" is on the paper's list. Think before you train: alpha and beta drop nothing but negative $z$. Kept or dropped, a ReLU turns what they put out
# into 0, and lets no gradient through; and positive $z$ were never touched. Scaling changes nothing either, as $k = 1$ above 0. So it should be a plain ReLU network.

# %%


def then(distribution, activation, **more):
    return lambda masks: md.nn.Sequential(
        md.nn.DropAlan(distribution, generator=masks, **more), activation
    )


def same_bits(model, other):
    return all(
        a.data.tobytes() == b.data.tobytes()
        for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


plain = models["plain ReLU"][0]
same = {
    name: same_bits(plain, train_small(hidden, 0))
    for name, hidden in {
        "alpha, ReLU": then(md.Alpha(), md.nn.ReLU()),
        "beta, ReLU": then(md.Beta(), md.nn.ReLU()),
        "beta scaled, ReLU": then(md.Beta(), md.nn.ReLU(), scaled=True),
        "own ELU, ReLU": then(ExpectedELU(), md.nn.ReLU()),
        "beta, ELU": then(md.Beta(), md.nn.ELU()),
        "SiLU, ReLU": then(Logistic(), md.nn.ReLU()),
    }.items()
}
for name, equal in same.items():
    print(f"{name:>18}: {'the plain ReLU network, bit for bit' if equal else 'another network'}")
say(
    "After {steps:,} steps, every weight of the first four is that of the plain ReLU network, to"
    " the last bit. An ELU behind beta is something else, and so is a ReLU behind a distribution"
    " that drops positive inputs, too: that one is dropout whose rate depends on $z$.",
    steps=STEPS,
    holds=list(same.values()) == [True] * 4 + [False] * 2,
)

# %% [markdown]
# The same in minidrop's small convolutional network, by name: `beta-scaled-relu` against `cnn`.

# %%
from minidrop.paper.protocol import CAREFUL
from minidrop.paper.training import Run, train as train_run

networks = [
    train_run(Run(variant=variant, iterations=150, protocol=CAREFUL)).network
    for variant in ("cnn", "beta-scaled-relu")
]
say(
    "{count:,} parameters, 150 steps: equal, bit for bit. Nothing needs to be trained to know the"
    " result of this experiment.",
    count=sum(parameter.data.size for parameter in networks[0].parameters()),
    holds=same_bits(*networks),
)

# %% [markdown]
# ## The parameters of beta
#
# Beta has two: $c$, with $p = 1 - c$ between $-1$ and 0 and $p = 1 + c/z$ below, and `p_max`, above which $p$ never goes. Its expectation is $c z$ down to $-1$ and flat from there on. So
# **$c = 0$ with `p_max` 1 is the ReLU**, $c = 1$ is a unit that is cut off at $-1$, and `p_max` 0 drops nothing: it is linear. (With $c = 0$, `p_max` is all that counts: the expectation is a
# leaky ReLU of slope $1 - $ `p_max`.) First on the small networks:

# %%
sweep_seeds = SEEDS if full else 3
values_c, values_p = [0, 0.2, 0.5, 1], [0, 0.5, 0.8]
swept_c = {c: several(dropping(md.Beta(c=c, p_max=1)), sweep_seeds) for c in values_c}
swept_p = {p_max: several(dropping(md.Beta(p_max=p_max)), sweep_seeds) for p_max in values_p}
swept_p[0.999] = models["DropAlan beta"][:sweep_seeds]  # beta as it was above


def accuracies(swept, inference):
    return np.array(
        [[accuracy(model, inference) for model in trained] for trained in swept.values()]
    )


figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
for axes, swept, label in zip(
    panels, (swept_c, swept_p), ("c, at p_max 1", "p_max, at c = 0.2"), strict=True
):
    for inference, colour in (("expectation", GREEN), ("identity", ORANGE)):
        shares = accuracies(swept, inference)
        axes.plot(range(len(swept)), shares.mean(axis=1), color=colour, label=inference)
        axes.plot(range(len(swept)), shares, "o", color=colour, markersize=4, alpha=0.6)
    axes.set(xlabel=label, xticks=range(len(swept)), xticklabels=[f"{value:g}" for value in swept])
panels[0].set(ylabel="share of the test images sorted rightly")
panels[1].legend(fontsize=9, loc="lower right")
plt.show()

# %%
by_c, by_p = accuracies(swept_c, "expectation"), accuracies(swept_p, "expectation")
say(
    "With c = 0 and p_max 1 all weights are again those of the plain ReLU network, bit for bit.",
    holds=same_bits(swept_c[0][0], plain),
)
published = max(accuracies(swept, "identity").mean(axis=1).max() for swept in (swept_c, swept_p))
say(
    "By expectation, less is better here: {zero:.3f} at c = 0, {paper:.3f} at the paper's 0.2,"
    " {half:.3f} at 0.5, {one:.3f} at c = 1, which does no better than the linear network. The same"
    " on the right, from {linear:.3f} at p_max 0 to {high:.3f} at 0.999. Used as published, the"
    " network is linear whatever c and p_max are: at most {published:.3f}.",
    zero=by_c[0].mean(),
    paper=by_c[1].mean(),
    half=by_c[2].mean(),
    one=by_c[3].mean(),
    linear=by_p[0].mean(),
    high=by_p[3].mean(),
    published=published,
    holds=by_c[0].mean() > by_c[1].mean() > by_c[3].mean() + 0.02
    and by_c[3].mean() < mean["no hidden stage"] + 0.02
    and by_p[0].mean() < by_p[3].mean() - 0.02
    and published < mean["no hidden stage"] + 0.02,
)

# %% [markdown]
# ### In the convolutional network, ten digits
#
# The paper's network has two ReLU'd convolutions in front of the hidden stage, and so has our small one; and the question is which of ten digits it is. A stored sweep, with linear logits and a learning rate of .05 (at the
# protocol's .01, 1,500 steps are too few on so few images):

# %%
made_with("beta-sweep")
stored = {}
for finished in read_runs(results("beta-sweep")):
    stored.setdefault(finished.run.variant.removesuffix("-learning_rate=.05"), []).append(
        finished.result["test_accuracy"]
    )


def stored_row(prefix):
    """{value: accuracies of the seeds} of the variants whose name is `prefix` and a number."""
    return {
        float(name[len(prefix) :]): values
        for name, values in stored.items()
        if name.startswith(prefix)
    }


groups = {"identity": stored_row("beta-c="), "expectation": stored_row("beta-expectation-c=")}
clips = stored_row("beta-scaled-p_max=")
plain_cnn = np.mean(stored["cnn"])
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
for (name, group), colour, shift in zip(
    groups.items(), (ORANGE, GREEN), (-0.06, 0.06), strict=True
):
    for c, values in group.items():
        x = list(groups["identity"]).index(c) + shift
        panels[0].plot(
            [x] * len(values),
            values,
            "o",
            color=colour,
            markersize=4,
            label=name if c == 0 else None,
        )
        panels[0].plot([x - 0.12, x + 0.12], [np.mean(values)] * 2, color=colour)
for x, values in enumerate(clips.values()):
    panels[1].plot([x] * len(values), values, "o", color=COLOURS["beta-scaled"], markersize=4)
    panels[1].plot([x - 0.12, x + 0.12], [np.mean(values)] * 2, color=COLOURS["beta-scaled"])
for axes in panels:
    axes.axhline(plain_cnn, color=BLACK, linestyle="--", linewidth=1, label="plain CNN, mean")
panels[0].set(
    xticks=range(len(groups["identity"])),
    xticklabels=[f"{c:g}" for c in groups["identity"]],
    xlabel="c",
)
panels[0].set(ylabel="share of the 360 test images", title="beta, two ways to use it")
panels[1].set(
    xticks=range(len(clips)),
    xticklabels=[f"{p:g}" for p in clips],
    xlabel="p_max",
    title="beta, scaled",
    xlim=(-0.6, len(clips) - 0.4),
)
panels[1].legend(*panels[0].get_legend_handles_labels(), fontsize=9, loc="lower left")
plt.show()

# %%
means = {name: np.mean(values) for name, values in stored.items() if name != "cnn"}
by_mean = sorted(means, key=means.get)
scaled = sorted(name for name in means if "scaled" in name)
gain = np.array(stored[by_mean[-1]]) - np.array(stored["cnn"])
between_seeds = np.mean([np.std(values, ddof=1) for values in stored.values()])
say(
    "The fourteen means lie between {low:.3f} and {high:.3f}, the plain CNN's is {cnn:.3f}; from"
    " seed to seed, one variant moves by {seeds:.3f} (standard deviation), and the standard error"
    " of one accuracy on 360 images is {error:.3f} at that.",
    low=min(means.values()),
    high=max(means.values()),
    cnn=plain_cnn,
    seeds=between_seeds,
    error=np.sqrt(plain_cnn * (1 - plain_cnn) / 360),
    holds=len(means) == 14 and np.ptp(list(means.values())) < 5 * between_seeds,
)
say(
    "The highest are the {scaled:.0f} scaled variants, the first of them ahead of the CNN by"
    " {gain:.3f} ± {error:.3f} (paired by seed, standard error over three). It is the best of"
    " fourteen, and so on the high side (lesson 12): an idea for an experiment, not a result of"
    " one.",
    scaled=len(scaled),
    gain=gain.mean(),
    error=gain.std(ddof=1) / np.sqrt(len(gain)),
    holds=sorted(by_mean[-len(scaled) :]) == scaled
    and 0 < gain.mean() < 3 * gain.std(ddof=1) / np.sqrt(len(gain)),
)

# %% [markdown]
# Two more things can be read from it. How a network is used after training does not touch its training, so `beta-c=...` and `beta-expectation-c=...` are the same networks, used in two ways. And the
# scaled runs show what `p_max` does from `.9` up to .999: nothing.


# %%
def histories(part):
    """What was measured on the way, all seeds: everything but the seconds."""
    runs = [one for one in read_runs(results("beta-sweep")) if part in one.run.variant]
    return [
        {name: value for name, value in row.items() if name != "seconds"}
        for one in runs
        for row in one.rows
    ]


pairs = np.array(
    [np.subtract(groups["expectation"][c], groups["identity"][c]) for c in groups["expectation"]]
)
say(
    "By their expectation the {networks} networks that were used in both ways sort {gain:.3f} more"
    " of the images rightly, on average; {better} of them gain. It is little beside the {small:.3f}"
    " of the small networks.",
    networks=pairs.size,
    gain=pairs.mean(),
    better=(pairs > 0).sum(),
    small=mean["DropAlan beta"] - mean_identity["DropAlan beta"],
    holds=all(
        [row["loss"] for row in histories(f"beta-c={c}-")]
        == [row["loss"] for row in histories(f"beta-expectation-c={c}-")]
        for c in ("0", ".05", ".2", ".5")
    )
    and (pairs > 0).sum() >= 8
    and 0 < 2 * pairs.mean() < mean["DropAlan beta"] - mean_identity["DropAlan beta"],
)
lowest = min(row["z_01"] for row in histories("p_max=.95-"))
say(
    "Scaled, the runs with the paper's two values of p_max, .95 and .999, and those with .9 have the"
    " same history to the last digit, losses and gradients included. A clip at .9 sets in at"
    " $z = -2$, and nothing in these runs hung on a z below that: in the evaluations 99 of 100 z lie"
    " above {lowest:.2f}. Only .8, which touches whatever lies below -1, leads to other losses.",
    lowest=lowest,
    holds=histories("p_max=.95-") == histories("p_max=.999-") == histories("p_max=.9-")
    and [row["loss"] for row in histories("p_max=.8-")]
    != [row["loss"] for row in histories("p_max=.9-")]
    and lowest > -1,
)

# %% [markdown]
# So with convolutions in front, on ten digits, no parameter of beta stands out, and the hidden stage may nearly as well be straight. That is what the small networks were for: a comparison of activation
# functions needs a task that needs one.
#
# ## What to keep
#
# * Choose the expectation $f$, and $k(z) = f(z)/z$ is the distribution, as long as $f(z)$ lies between 0 and $z$. Two short methods are all the code.
# * gradcheck the derivative, and look yourself at the points that it cannot see: $z = 0$, and very near it.
# * The right expectation is not the whole story: after the few hundred steps of this page, the noise of the draws and the gradient's bias both cost accuracy where $z$ stays close to 0. BatchNorm gives $z$ room.
# * A ReLU behind a distribution that drops negative inputs only is a plain ReLU network, bit for bit. So is beta with $c = 0$ and `p_max` 1, used by its expectation.
# * Dense, DropAlan, dense, with the identity at inference, is a linear map. Compare on a task where that shows, and over seeds.
#
# ## Exercises
#
# **1.** Which $p(z)$ has $\tanh z$ as its expectation? Write it for an array $z$, so that it holds at $z = 0$, too.


# %%
def drop_probability(z): ...


check("14.1", drop_probability)

# %% [markdown]
# **2.** And its derivative, $p'(z)$.


# %%
def derivative(z): ...


check("14.2", derivative)

# %% [markdown]
# **3.** Where does beta's clip set in? Given $c$ and `p_max`, return the largest $z \le 0$ such that below it $p$ is clipped: minus infinity if nothing is ever clipped, 0 if the plateau from $-1$ to 0 is, too.


# %%
def clip_sets_in(c, p_max): ...


check("14.3", clip_sets_in)

# %% [markdown]
# ## Read on
#
# * `minidrop/ops/dropalan.py`: `Alpha` and `Beta`, with the guards that this lesson found necessary, and the op that uses them.
# * `minidrop/ops/norm.py`: batch normalisation, forward and backward.
# * `minidrop/paper/variants.py`: variants by name, `beta-scaled-relu`, `alpha-batchnorm`, and how the names are read.
# * `lessons/results/README.md`: the commands behind the stored runs.
# * `lessons/solutions/lesson_14.py`: solutions.
