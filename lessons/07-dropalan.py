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
# # 07 · DropAlan
#
# **You need** lesson 06: the mask, its expectation, 10,000 draws; the product rule.
#
# **You get** DropAlan from its formulas to a layer of twenty lines, the paper's Figures 1 and 2 with 10,000 draws laid over, and what the gradient sees of it.
#
# **Time** about 10 seconds on two cores.
#
# **New names** `md.functional.dropalan`, `md.functional.drop_probability`, `md.nn.DropAlan`, `md.Alpha`, `md.Beta`, `minidrop.ops.dropalan`
#
# Dropout tosses the same coin for every unit. The paper's idea is to let each unit's own input choose its coin. Let $z = w^T x$ be what the dense layer hands
# to a unit. If $z \ge 0$ the unit is always kept. The further $z$ lies below 0, the more often the unit is dropped. No activation function follows: the
# dropping itself is to play that part, because on average a unit that is mostly dropped for negative $z$ puts out little there, as a ReLU does.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidrop as md
from checks import check
from lesson import BLACK, BLUE, GREEN, ORANGE, RED, say, slider
from minidrop.ops.dropalan import keep_probability

# %% [markdown]
# ## Two distributions
#
# Write $p(z)$ for the probability to drop, $k(z) = 1 - p(z)$ for the probability to keep, and $\theta$ for the coin: 1 with probability $k(z)$, else 0. In training
# the unit puts out
#
# $$y = z\,\theta, \qquad E[y] = z\,k(z) \quad\text{for a fixed } z.$$
#
# Section II of the paper has two choices of $p$:
#
# $$p_\alpha(z) = \begin{cases} 0 & z \ge 0 \\ -.8\,z & -1 \le z < 0 \\ .8 & z < -1 \end{cases}
# \qquad
# p_\beta(z) = \begin{cases} 0 & z \ge 0 \\ .8 & -1 \le z < 0 \\ 1 + .2/z & z < -1 \end{cases}$$
#
# The listing in section III.A also clips $p_\beta$ at .999, so that no unit is dropped for certain. In NumPy each is one line. In the second, `minimum(z, -1)`
# stands for $z$ below -1 and makes the plateau above it: $1 + .2/(-1) = .8$.


# %%
def p_alpha(z):
    return np.clip(-0.8 * z, 0, 0.8)


def p_beta(z, c=0.2, p_max=0.999):
    return np.minimum(1 + c / np.minimum(z, -1), p_max) * (z < 0)


z = np.linspace(-300, 3, 100_001)
difference = max(
    abs(p_alpha(z) - md.functional.drop_probability(z, md.Alpha())).max(),
    abs(p_beta(z) - md.functional.drop_probability(z, md.Beta())).max(),
)
say(
    "minidrop's `md.Alpha(slope=.8, limit=.8)` and `md.Beta(c=.2, p_max=.999)` give the same: over"
    " {count:,} values of z the largest difference is {difference:g}.",
    count=len(z),
    difference=difference,
    holds=difference < 1e-12,
)

# %% [markdown]
# ## Figures 1 and 2 of the paper, with 10,000 draws laid over
#
# Each figure of the paper has two panels: how likely a unit is kept, and what it puts out on average. The lines below are the formulas. The circles are not: at each
# of 35 values of $z$ a unit tosses its coin 10,000 times, and the circles are the share that was kept and the mean that came out.


# %%
def toss(points, p, draws=10_000, seed=0):
    """(points,) -> (points, draws) outputs z * theta, each with its own coin."""
    coins = np.random.default_rng(seed).random((len(points), draws))
    return points[:, None] * (coins < 1 - p(points)[:, None])


points = np.linspace(-4.9, 1.9, 35)  # never on -1 or 0, where p jumps or bends


def paper_figure(p, symbol):
    z = np.linspace(-5, 2, 701)
    k = 1 - p(z)
    output = toss(points, p)
    _figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    left.plot(z, k, color=BLUE, label="formula, k(z)")
    left.plot(
        points,
        (output != 0).mean(axis=1),
        "o",
        color=RED,
        markersize=4,
        markerfacecolor="none",
        label="10,000 draws",
    )
    left.set(
        xlabel="z, the input of the unit",
        ylabel="probability to be kept",
        ylim=(0, 1.08),
        title=f"{symbol}: keep probability",
    )
    right.plot(z, np.maximum(z, 0), color="#888888", linestyle=":", label="ReLU")
    right.plot(z, z * k, color=BLUE, label="formula, z k(z)")
    right.plot(
        points,
        output.mean(axis=1),
        "o",
        color=RED,
        markersize=4,
        markerfacecolor="none",
        label="10,000 draws",
    )
    right.set(
        xlabel="z, the input of the unit", ylabel="mean output", title=f"{symbol}: expectation"
    )
    left.legend(fontsize=9)
    right.legend(fontsize=9)
    plt.show()
    return output


output_alpha = paper_figure(p_alpha, r"Figure 1, $\alpha$")

# %% tags=["thumbnail"]
output_beta = paper_figure(p_beta, r"Figure 2, $\beta$")

# %% [markdown]
# Look at the right-hand panels.
#
# * $\alpha$ has a dent: on $-1 < z < 0$ the mean is $z (1 + .8 z)$, which, read from 0 to the left, goes down, turns, and comes up again. Left of -1 it follows $.2\,z$ for ever. So for large negative inputs $\alpha$ is no ReLU but a leaky one: its slope there is .2 instead of 0.
# * $\beta$ was made to measure: below -1, $k = .2/|z|$, so that $z\,k(z) = -.2$ whatever $z$ is (down to the clip, at -200). On average that is a ReLU, lowered a little. On average only: at $z = -4$ the
#   unit does not put out -.2. It puts out 0, or now and then -4.

# %%
dent = np.linspace(-1, 0, 100_001)
lowest = dent[(dent * (1 - p_alpha(dent))).argmin()]
at = abs(points + 3.9).argmin()  # z = -3.9
say(
    "$\\alpha$'s mean is lowest at z = {lowest:.3f}, where it is {depth:.4f}. By hand: $1 + 1.6 z ="
    " 0$. At z = {z:.1f}, $\\beta$ kept {kept:.1%} of the draws (formula: {k:.1%}), and their mean"
    " is {mean:.2f}.",
    lowest=lowest,
    depth=lowest * (1 - p_alpha(lowest)),
    z=points[at],
    kept=(output_beta[at] != 0).mean(),
    k=0.2 / 3.9,
    mean=output_beta[at].mean(),
    holds=abs(lowest + 0.625) < 1e-4
    and abs((output_beta[at] != 0).mean() - 0.2 / 3.9) < 0.01
    and abs(output_beta[at].mean() + 0.2) < 0.05,
)

# %% [markdown]
# ## The layer in twenty lines
#
# The paper's third DropAlan network came about by accident: a line left over from ordinary dropout divided what was kept by $k$. It is called **scaled**:
#
# $$y = \frac{z\,\theta}{k(z)}, \qquad E[y] = z.$$
#
# For the backward pass the drawn mask $\theta$ is held fixed, as in lesson 06. Unscaled, a kept unit is then simply $y = z$, slope 1. Scaled, it is $y = z / k(z)$, and $k$
# depends on $z$. The published code lets the gradient flow through $k(z)$, which gives by the quotient rule, with $k' = -p'$,
#
# $$\frac{dy}{dz} = \theta\left(\frac1k + \frac{z\,p'(z)}{k^2}\right).$$
#
# The alternative is to **detach** $k$, that is, to treat it as a constant: $dy/dz = \theta / k$.


# %%
class DropAlan:
    """DropAlan for a drop probability p(z) with derivative dp(z)."""

    def __init__(self, p, dp, scaled=False, through=True, seed=0):
        self.p, self.dp, self.scaled, self.through = p, dp, scaled, through
        self.random = np.random.default_rng(seed)

    def forward(self, z):
        self.z, self.k = z, 1 - self.p(z)
        self.theta = (self.random.random(z.shape) < self.k).astype(z.dtype)
        return z * self.theta / (self.k if self.scaled else 1)

    def backward(self, grad):
        dy_dz = self.theta
        if self.scaled:
            dy_dz = self.theta / self.k
            if self.through:
                dy_dz = self.theta * (1 / self.k + self.z * self.dp(self.z) / self.k**2)
        return grad * dy_dz


def dp_alpha(z):
    return -0.8 * ((z > -1) & (z < 0))


def dp_beta(z):  # above the clip at .999, that is for z > -200
    return np.where(z < -1, -0.2 / np.minimum(z, -1) ** 2, 0)


# %% [markdown]
# That is the whole layer. minidrop's is called as `md.functional.dropalan`. It takes a ready mask, so that both can be given the same coins, and then outputs and gradients must be
# equal: two distributions, unscaled, scaled through $k$, scaled detached, with a random upstream gradient.

# %%
z = np.random.default_rng(1).normal(scale=2, size=(40, 50))
upstream = np.random.default_rng(2).normal(size=z.shape)
worst = 0
for name, p, dp in (("alpha", p_alpha, dp_alpha), ("beta", p_beta, dp_beta)):
    for scaled, through in ((False, True), (True, True), (True, False)):
        mine = DropAlan(p, dp, scaled, through)
        y_mine = mine.forward(z)
        tensor = md.Tensor(z, requires_grad=True)
        way = "through" if through else "detach"
        y = md.functional.dropalan(tensor, name, scaled=scaled, scale_gradient=way, mask=mine.theta)
        (y * md.Tensor(upstream)).sum().backward()
        worst = max(
            worst, abs(y.data - y_mine).max(), abs(tensor.grad - mine.backward(upstream)).max()
        )
say(
    "Six layers, {count:,} inputs each: the largest difference is {worst:.0e}.",
    count=z.size,
    worst=worst,
    holds=worst < 1e-9,
)

# %% [markdown]
# As a layer of a network it is `md.nn.DropAlan`, placed straight after a dense layer. Here is the smallest case that no straight line can separate: two classes in
# opposite quadrants. There is no activation function in this network. The coins are all that is not linear.
#
# One question is open: what does the layer do at inference, when no coins are tossed? The published code puts out $z$ itself (`inference="identity"`). The mean of the training
# output is $z\,k(z)$ (`inference="expectation"`). Same training, same weights, both ways:

# %%
quadrants = np.random.default_rng(0).normal(size=(400, 2)).astype("float32")
labels = (quadrants[:, 0] * quadrants[:, 1] > 0).astype(int)


def trained(seed):
    start, coins = md.Generator(seed), md.Generator(100 + seed)
    layer = md.nn.DropAlan("beta", generator=coins)
    model = md.nn.Sequential(
        md.nn.Dense(2, 100, generator=start), layer, md.nn.Dense(100, 2, generator=start)
    )
    # momentum: to each step, 0.9 of the step before is added
    optimizer = md.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _step in range(300):
        loss = md.functional.softmax_cross_entropy(model(quadrants), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), layer


def accuracy(model):
    return np.mean(model(quadrants).data.argmax(axis=1) == labels)


grid = np.stack(np.meshgrid(np.linspace(-3, 3, 121), np.linspace(-3, 3, 121)), axis=-1).astype(
    "float32"
)
scores = {"identity": [], "expectation": []}
_figure, panels = plt.subplots(1, 2, figsize=(9, 3.6))
for seed in range(5):
    model, layer = trained(seed)
    for axes, inference in zip(panels, scores, strict=True):
        layer.inference = inference
        scores[inference].append(accuracy(model))
        if seed == 0:
            logits = model(grid.reshape(-1, 2)).data
            lead = (logits[:, 1] - logits[:, 0]).reshape(121, 121)
            axes.contourf(
                grid[..., 0],
                grid[..., 1],
                lead > 0,
                levels=[-0.5, 0.5, 1.5],
                colors=[BLUE, ORANGE],
                alpha=0.25,
            )
            for kind, colour in ((0, BLUE), (1, ORANGE)):
                axes.plot(*quadrants[labels == kind].T, ".", color=colour, markersize=4)
            axes.set(
                xlabel="$x_1$",
                ylabel="$x_2$",
                xlim=(-3, 3),
                ylim=(-3, 3),
                title=f'inference="{inference}"',
            )
            axes.grid(False)
plt.show()

# %%
identity, expectation = (np.mean(scores[inference]) for inference in ("identity", "expectation"))
say(
    "Mean of five seeds: accuracy {expectation:.2f} with the expectation, {identity:.2f} with the"
    " identity. The first network has learnt its task; the second is the same network with its only"
    " bend taken out, and a linear network can do no better than a straight line. That is what the"
    " paper's code did after training (its convolutions had ReLUs, so it did not become linear as a"
    " whole). Lesson 11 asks what it cost.",
    expectation=expectation,
    identity=identity,
    agree=0.1,
    holds=expectation > 0.9 and identity < 0.8,
)

# %% [markdown]
# ## What the gradient sees
#
# Gradient descent does not see the formula $E[y]$. It sees, batch by batch, the slope with the coins held as they fell. Is that slope right on average? Write the output of a kept
# unit as $f(z)$, so that $E[y] = k(z)\,f(z)$. The product rule has two terms:
#
# $$\frac{d}{dz} E[y] = \underbrace{k\,f'}_{\text{seen}} \;+\; \underbrace{k'\,f}_{\text{not seen}}$$
#
# The first is what the fixed mask gives: with probability $k$ the unit is kept, and then its slope is $f'$. The second is how $z$ moves the *chance* of being kept. The coin has
# already fallen, 0 or 1; it has no slope. So the gradient is **biased**, and the product rule says by how much:
#
# | layer | $f$ | $f'$ as computed | seen: mean of $dy/dz$ | true slope of the mean |
# |---|---|---|---|---|
# | unscaled | $z$ | 1 | $k$ | $k - z\,p'$ |
# | scaled, through $k$ | $z / k$ | $1/k + z\,p'/k^2$ | $1 + z\,p'/k$ | 1 |
# | scaled, $k$ detached | $z / k$ | $1/k$ | 1 | 1 |
#
# In the last row two errors cancel: the unseen term, and the part of $f'$ that was left out on purpose. Now measure. At each $z$, minidrop's layer runs 100,000 times, and
# the circles are the mean of the gradients that came back.

# %%
slope_points = np.array(
    [-4.5, -4, -3.5, -3, -2.5, -2, -1.5, -1.2, -0.9, -0.75, -0.6, -0.45, -0.3, -0.15, 0.5, 1]
)


def seen(name, **how):
    """Mean over 100,000 coins of dy/dz at each of the points, by minidrop's backward."""
    z = md.Tensor(np.repeat(slope_points[:, None], 100_000, axis=1), requires_grad=True)
    md.functional.dropalan(z, name, generator=md.Generator(0), **how).sum().backward()
    return z.grad.mean(axis=1)


measured = {
    "alpha": seen("alpha"),
    "beta": seen("beta"),
    "through": seen("beta", scaled=True),
    "detach": seen("beta", scaled=True, scale_gradient="detach"),
}
line = np.linspace(-5, 1.5, 1301)
k_alpha, k_beta = 1 - p_alpha(line), keep_probability(line, md.Beta())
figure, panels = plt.subplots(1, 3, figsize=(9, 3.5))
for axes, name, symbol, k, dp in (
    (panels[0], "alpha", r"$\alpha$", k_alpha, dp_alpha),
    (panels[1], "beta", r"$\beta$", k_beta, dp_beta),
):
    axes.plot(line, k - line * dp(line), color=BLACK, label="true: $dE[y]/dz$")
    axes.plot(line, k, color=RED, label="seen, unscaled: $k$")
    axes.plot(slope_points, measured[name], "o", color=RED, markersize=4, markerfacecolor="none")
    axes.set(title=f"{symbol}, unscaled")
panels[2].plot(line, np.ones_like(line), color=BLACK)
panels[2].plot(
    line, 1 + line * dp_beta(line) / k_beta, color=ORANGE, label="seen, scaled, through $k$"
)
panels[2].plot(
    slope_points, measured["through"], "o", color=ORANGE, markersize=4, markerfacecolor="none"
)
panels[2].plot(
    slope_points,
    measured["detach"],
    "s",
    color=GREEN,
    markersize=4,
    markerfacecolor="none",
    label="seen, scaled, detached",
)
panels[2].set(title=r"$\beta$, scaled")
for axes in panels:
    axes.set(xlabel="z", ylabel="slope", ylim=(-0.8, 2.4))
handles = {
    label: handle
    for axes in panels
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
}
figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=9)
plt.show()


# %%
def at_z(name, z):
    return measured[name][abs(slope_points - z).argmin()]


say(
    "Three surprises. **Alpha**, z = -0.9: the mean output falls as z rises (true slope"
    " {true_alpha:.2f}), and the gradient says that it rises ({seen_alpha:.2f}): the wrong sign."
    " **Beta**, z = -3: the mean output is flat (true slope 0), and the gradient sees"
    " {seen_beta:.3f}, which is $k$. **Scaled beta**, z = -3: the true slope is 1; through $k$ the"
    " gradient sees {through:.2f}, twice too much; detached, {detach:.2f}.",
    true_alpha=1 + 1.6 * -0.9,
    seen_alpha=at_z("alpha", -0.9),
    seen_beta=at_z("beta", -3),
    through=at_z("through", -3),
    detach=at_z("detach", -3),
    holds=at_z("alpha", -0.9) > 0.2
    and abs(at_z("beta", -3) - 0.2 / 3) < 0.01
    and abs(at_z("through", -3) - 2) < 0.1
    and abs(at_z("detach", -3) - 1) < 0.05,
)

# %% [markdown]
# The 2 can be had by hand: below -1, $p' = -.2/z^2$ and $k = -.2/z$, so $z\,p'/k = 1$.
#
# Is a biased gradient bad? Not always. The middle panel is the paper's argument for DropAlan in another dress. A ReLU with $z < 0$ gets no gradient and may be dead. A beta unit
# gets $k$ on average, although its mean output does not move at all: the fixed mask pulls the unit as if it were linear, and that is how it can escape. If the gradient were
# true to the expectation, a beta unit below -1 would be as dead as a ReLU.
#
# Note what `gradcheck` (lesson 02) can and cannot say here. It compares the backward pass with differences of the forward pass *under the same mask*, and finds no fault. The slope of the
# drawn function is right; it is the average over draws that is not the slope of the average.

# %%
few = np.array([-3.0, -2.0, -0.5, 1.0])
same_mask = np.array([1.0, 0.0, 1.0, 1.0])
md.gradcheck(lambda z: md.functional.dropalan(z, "beta", scaled=True, mask=same_mask), few)
print("gradcheck: no fault found")

# %% [markdown]
# ## What a kept unit looks like when it is scaled
#
# Scaled beta has mean $z$ everywhere. But $k$ is small when $z$ is far below 0, and what is kept is divided by it. Below -1 (and above the clip)
#
# $$y = \frac{z}{k} = \frac{z}{-.2/z} = -5\,z^2, \qquad \frac{dy}{dz} = -10\,z .$$
#
# The pictures are a balance. The unit has two outcomes, 0 and $z/k$, and each weighs as much as it is likely. The triangle marks where the beam balances: the mean, $z$.
# Move $z$ to the left: the mean moves by as much, and to keep the balance the rare outcome has to run away.


# %%
def balance(axes, z):
    k = 1 - p_beta(np.array(z))
    rare = z / k
    axes.axhline(0, color=BLACK, linewidth=1)
    axes.bar([0, rare], [1 - k, k], width=3, color=[BLUE, RED])
    axes.plot(z, -0.07, "^", color=BLACK, markersize=7, clip_on=False)
    axes.set(
        xlim=(-132, 8),
        ylim=(-0.13, 1.08),
        xlabel="output y",
        ylabel="probability",
        title=f"z = {z:g}: 0 or {rare:.3g}",
    )


slider(balance, z=[-0.5, -1.0, -1.5, -2.0, -2.5, -3.0, -3.5, -4.0, -4.5, -5.0])

# %%
line = np.linspace(-5, 2, 701)
k = 1 - p_beta(line)
spread = abs(line) * np.sqrt((1 - k) / k)
_figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
left.plot(line, line / k, color=RED, label="kept: z / k")
left.plot(line, line, color=BLACK, linestyle="--", label="mean: z")
left.set(xlabel="z", ylabel="output", title=r"$\beta$, scaled: what comes out")
right.plot(line, spread, color=RED, label="scaled")
right.plot(line, abs(line) * np.sqrt(k * (1 - k)), color=BLUE, label="unscaled")
right.set(xlabel="z", ylabel="standard deviation of y", title="how far it scatters")
left.legend()
right.legend()
plt.show()

# %%
draws = md.functional.dropalan(
    np.full(400_000, -4.0), "beta", scaled=True, generator=md.Generator(1)
).data
kept = draws[draws != 0]
say(
    "400,000 draws of scaled beta at z = -4: kept {share:.1%} of the time; a kept unit puts out"
    " {kept:.1f}; the mean is {mean:.2f}, the standard deviation {spread:.1f}. Formulas: 5 %, -80,"
    " -4 and $|z| \\sqrt{{(1 - k)/k}}$ = {formula:.1f}.",
    share=len(kept) / len(draws),
    kept=kept.mean(),
    mean=draws.mean(),
    spread=draws.std(),
    formula=4 * 19**0.5,
    holds=np.allclose(kept, -80)
    and abs(draws.mean() + 4) < 0.15
    and abs(draws.std() - 4 * 19**0.5) < 0.3,
)

# %% [markdown]
# At $z = -1$ the kept curve has a corner: above it, $k = .2$ and $y = 5z$; below, a parabola. The mean is right everywhere, but a unit far below 0 reaches it by putting out nothing
# most of the time and something large now and then.
# Keep the parabola in mind.
#
# ## What to keep
#
# * DropAlan keeps a unit with a probability $k(z)$ that depends on its own input. $E[y] = z\,k(z)$, and scaled by $1/k$ it is $z$.
# * Beta is a ReLU on average: $z\,k(z) = -.2$ below -1. Alpha has a dent and then leaks.
# * The gradient with the mask held fixed misses the term $k' f$. On average it sees $k$ (unscaled), 2 where 1 is true (scaled beta through $k$, below -1), or the truth (scaled, detached).
# * A scaled beta unit that is kept puts out $-5z^2$, with slope $-10z$.
# * At inference the published code is the identity. In a network whose only bend is DropAlan, that takes the bend out.
#
# ## Exercises
#
# **1.** How far does a *scaled* unit scatter? Given arrays `z` and `k`, return the standard deviation of $y = z\,\theta / k$. (Start with the variance of $\theta$.)


# %%
def scaled_spread(z, k): ...


check("07.1", scaled_spread)

# %% [markdown]
# **2.** Mend the gradient of the unscaled layer. Given `z`, the drawn `theta`, `k`, `dk_dz` and the upstream gradient `grad`, return a gradient whose mean over $\theta$ is
# `grad` times the true slope $k + z\,k'$. You may only use the drawn `theta`, one draw per unit, and a dropped unit shall get exactly 0. (Hint: what must a *kept* unit get, if it is kept with
# probability $k$ and the others get 0?)


# %%
def mended_backward(z, theta, k, dk_dz, grad): ...


check("07.2", mended_backward)

# %% [markdown]
# **3.** Made to measure. Beta makes the mean output look like a lowered ReLU. Find the drop probability with which $E[z\,\theta]$ is an ELU: $z$ for $z \ge 0$, and $e^z - 1$ for $z < 0$. Return $p(z)$
# for an array `z`; it must be finite at $z = 0$ too.


# %%
def p_elu(z): ...


check("07.3", p_elu)

# %% [markdown]
# ## Read on
#
# * `minidrop/ops/dropalan.py`: both distributions, and the layer with its edges (z = 0, infinite z, k = 0) spelled out.
# * `minidrop/functional.py`: `dropalan`, with the checks of its arguments; `minidrop/nn/layers.py`: the layer.
# * `tests/test_dropalan.py`: the claims of this lesson about means, slopes and edges, as tests.
# * `lessons/solutions/lesson_07.py`: solutions.
