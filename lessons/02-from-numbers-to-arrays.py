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
# # 02 · From numbers to arrays
#
# **You need** lesson 01; NumPy arrays, and to have seen them broadcast.
#
# **You get** the rule that sends a gradient back through broadcasting, and a checker that catches wrong gradients, also those that the usual check lets pass.
#
# **Time** about 5 seconds on two cores.
#
# **New names** `md.gradcheck`, `md.Op`, `md.apply`, `md.no_grad`
#
# The engine of lesson 01 makes a node for every number. A network has millions of numbers, and so the nodes of a real engine hold whole arrays.
# Little changes: the chain rule stays, the order of the walk stays. Two things are new. An array may be **stretched** before it is added or multiplied
# (broadcasting), and a backward written for arrays can be wrong in more ways than one can see. So this lesson is also about checking.

# %%
import math
import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

import minidrop as md
from checks import check
from lesson import BLUE, GREEN, ORANGE, RED, say

# %% [markdown]
# ## One node for many numbers
#
# A layer of 10 neurons with 64 inputs, for 16 examples: `x @ w + b`. First number by number, as lesson 01 would do it (without even building
# a graph), then as one product of arrays.

# %%
numbers = np.random.default_rng(0)
x, w, b = numbers.normal(size=(16, 64)), numbers.normal(size=(64, 10)), numbers.normal(size=10)


def one_by_one(x, w, b):
    """The layer in Python numbers, and how many additions and multiplications it took: lesson 01 makes a node for each."""
    nodes = 0
    y = [[0.0] * len(w[0]) for _ in x]
    for n in range(len(x)):
        for k in range(len(w[0])):
            y[n][k] = b[k]
            for d in range(len(w)):
                y[n][k] += x[n][d] * w[d][k]
                nodes += 2
    return y, nodes


def fastest(function, times):
    """Seconds of the fastest of so many calls: the others were disturbed."""
    seconds = []
    for _call in range(times):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


as_lists = x.tolist(), w.tolist(), b.tolist()
slow, nodes = one_by_one(*as_lists)
fast = x @ w + b
seconds, fast_seconds = fastest(lambda: one_by_one(*as_lists), 3), fastest(lambda: x @ w + b, 200)

say(
    "{nodes:,} nodes of one number each, or two nodes that hold arrays. The results agree to"
    " {difference:.0e}.",
    nodes=nodes,
    difference=np.abs(np.array(slow) - fast).max(),
    holds=nodes == 2 * 16 * 64 * 10 and np.abs(np.array(slow) - fast).max() < 1e-10,
)
say(
    "Here the numbers took {slow:.1f} ms and the arrays {fast:.3f} ms.",
    slow=1000 * seconds,
    fast=1000 * fast_seconds,
    agree=None,
    holds=seconds > 3 * fast_seconds,
)

# %% [markdown]
# ## The chain rule for arrays
#
# Let $L$ be the one number at the end. A gradient then has **the shape of the array it belongs to**: if $y$ has 160 elements, so has
# $\partial L/\partial y$, one derivative for each. An op that made $y$ from $x$ receives `grad` $= \partial L/\partial y$, the *upstream gradient*, and returns
#
# $$\frac{\partial L}{\partial x_i} = \sum_j \text{grad}_j \, \frac{\partial y_j}{\partial x_i}.$$
#
# That is lesson 01 once more: $x_i$ is used in every $y_j$, and the shares of all uses add up. If the op works element by element, only $j = i$ is left, and
# backward is `grad * slope`. In general the slopes $\partial y_j/\partial x_i$ form a matrix (the Jacobian). Nobody builds it: backward only computes the sum.
#
# ## Broadcasting: one number, used many times
#
# Adding a bias `b` of shape (3,) to `X` of shape (4, 3), NumPy acts as if `b` were four equal rows. Nothing is copied, but for the derivative it is as if it were:
# each element of `b` is used four times.

# %% tags=["thumbnail"]
X = np.arange(12.0).reshape(4, 3)
b = np.array([10.0, 20.0, 30.0])
grad = np.random.default_rng(1).integers(1, 6, size=(4, 3)).astype(float)


def draw_grid(axes, array, left, top, colour, title, faded=()):
    """Draw an array as coloured cells with their numbers; the faded rows are not stored anywhere."""
    for (row, column), number in np.ndenumerate(array):
        corner = (left + column, top - row - 1)
        axes.add_patch(
            plt.Rectangle(
                corner,
                1,
                1,
                facecolor=colour,
                alpha=0.15 if row in faded else 0.55,
                edgecolor="white",
            )
        )
        shade = "#888888" if row in faded else "black"
        axes.text(
            corner[0] + 0.5,
            corner[1] + 0.5,
            f"{number:g}",
            ha="center",
            va="center",
            color=shade,
            fontsize=9,
        )
    axes.text(left + 1.5, top + 0.35, title, ha="center", fontsize=9)


figure, axes = plt.subplots(figsize=(8.4, 5.2))
draw_grid(axes, X, 0, 11, BLUE, "X (4, 3)")
draw_grid(axes, np.broadcast_to(b, (4, 3)), 4.5, 11, ORANGE, "b (3,), stretched", faded=(1, 2, 3))
draw_grid(axes, X + b, 9, 11, GREEN, "Y = X + b")
draw_grid(axes, grad, 9, 5, GREEN, "upstream gradient of Y")
draw_grid(axes, grad, 4.5, 5, ORANGE, "four shares for b ...", faded=(0, 1, 2, 3))
draw_grid(axes, grad.sum(axis=0, keepdims=True), 4.5, 0.2, ORANGE, "... and their sum, (3,)")
draw_grid(axes, grad, 0, 5, BLUE, "for X: as it came")
for place, sign, size in (
    ((3.75, 9), "+", 15),
    ((8.25, 9), "=", 15),
    ((8.25, 3), "←", 15),
    ((3.75, 3), "and", 9),
):
    axes.text(*place, sign, ha="center", va="center", fontsize=size)
axes.text(-0.6, 9, "forward", rotation=90, ha="center", va="center", color=RED)
axes.text(-0.6, 3, "backward", rotation=90, ha="center", va="center", color=RED)
axes.set(xlim=(-1, 12.2), ylim=(-1, 12), aspect="equal")
axes.axis("off")
plt.show()

# %% [markdown]
# So the rule needs no new idea. Note for every element of the output which element of the input it came from, and add its gradient there.


# %%
def fold_back(grad, shape):
    """The gradient of an input of that shape, from the gradient of what it was stretched to."""
    size = math.prod(shape)
    origin = np.broadcast_to(
        np.arange(size).reshape(shape), grad.shape
    )  # stretch the positions as forward stretched the numbers
    total = np.zeros(size)
    np.add.at(
        total, origin.ravel(), grad.ravel()
    )  # += for each use, also where a position comes many times
    return total.reshape(shape)


print(fold_back(grad, (3,)), "for a row: the sum of each column, grad.sum(axis=0)")
print(fold_back(grad, (4, 1)).T, "for a column (printed lying): grad.sum(axis=1, keepdims=True)")
print(fold_back(grad, ()), "for a single number: the sum of everything")

# %% [markdown]
# The three examples show what can happen to an axis. If it was **missing** and put in front, it is summed away. If it had **length 1** and was stretched, it is summed to
# length 1. Otherwise it is left alone. Exercise 1 asks you for a version of `fold_back` that only uses sums.
#
# minidrop does the same. A tensor's `backward` takes the upstream gradient as its argument if the output is not a single number:

# %%
shapes = [
    ((4, 3), (3,)),
    ((4, 3), (4, 1)),
    ((4, 3), ()),
    ((4, 1), (3,)),
    ((2, 4, 3), (4, 1)),
    ((2, 1, 3), (5, 1)),
]
numbers = np.random.default_rng(2)
differences = []
for shape_a, shape_b in shapes:
    a, b = (
        md.Tensor(np.asarray(numbers.normal(size=shape)), requires_grad=True)
        for shape in (shape_a, shape_b)
    )
    product = a * b
    upstream = numbers.normal(size=product.shape)
    product.backward(upstream)
    for one, other in ((a, b), (b, a)):
        differences.append(np.abs(one.grad - fold_back(upstream * other.data, one.shape)).max())
say(
    "{count} gradients of products with stretched factors: the largest difference between minidrop"
    " and `fold_back` is {worst:.0e}.",
    count=len(differences),
    worst=max(differences),
    holds=max(differences) < 1e-12,
)

# %% [markdown]
# ### What a forgotten sum does
#
# It need not even be an error. Take the step `b = b - 0.1 * grad` with a gradient that was not summed:

# %%
b = np.array([10.0, 20.0, 30.0])
b = b - 0.1 * grad  # should be grad.sum(axis=0)
say(
    "`b` had shape (3,), and now it has shape ({rows:.0f}, {columns:.0f}): **each example got a"
    " bias of its own**, and the program runs on.",
    rows=b.shape[0],
    columns=b.shape[1],
    holds=b.shape == (4, 3),
)

# %% [markdown]
# Broadcasting, so helpful forward, hides the mistake. minidrop refuses such a gradient: the tape compares its shape with the input's. Shapes can be compared without
# thinking. Numbers are harder.
#
# ## Is this gradient right?
#
# Lesson 01 began with $(f(w + h) - f(w)) / h$. Going to both sides is better: in $(f(w + h) - f(w - h)) / 2h$ the errors of first order cancel. How small should $h$ be?
# Smaller is closer to a derivative, but then two nearly equal numbers are subtracted, and their rounding, divided by $h$, is all that remains.

# %%
points = np.random.default_rng(3).uniform(1, 2, size=1000)
widths = 10.0 ** np.arange(-14, 0.1, 0.5)


def mean_error(quotient, number_type):
    """Mean error of a difference quotient of the sine, over all points, for each width h."""
    at = points.astype(number_type)
    return [
        np.abs(quotient(at, number_type(h)).astype("float64") - np.cos(points)).mean()
        for h in widths
    ]


one_sided = mean_error(lambda w, h: (np.sin(w + h) - np.sin(w)) / h, np.float64)
two_sided = mean_error(lambda w, h: (np.sin(w + h) - np.sin(w - h)) / (2 * h), np.float64)
two_sided_32 = mean_error(lambda w, h: (np.sin(w + h) - np.sin(w - h)) / (2 * h), np.float32)

figure, axes = plt.subplots(figsize=(7.2, 3.6))
axes.loglog(widths, one_sided, "o-", markersize=3, label="one side, float64")
axes.loglog(widths, two_sided, "o-", markersize=3, label="both sides, float64")
axes.loglog(widths, two_sided_32, "o-", markersize=3, label="both sides, float32")
axes.set(
    xlabel="width h",
    ylabel="mean error of the slope of sin",
    title="right of the valley the formula errs, left of it rounding does",
)
axes.legend(loc="lower left", fontsize=9)
plt.show()

# %%
best = [math.log10(min(errors)) for errors in (one_sided, two_sided, two_sided_32)]
at = math.log10(widths[int(np.argmin(two_sided))])
say(
    "The best mean error is about $10^{{{one:.0f}}}$ from one side, $10^{{{two:.0f}}}$ from both"
    " (at $h = 10^{{{at:.1f}}}$), and with float32, as networks use it, no better than"
    " $10^{{{single:.0f}}}$.",
    one=best[0],
    two=best[1],
    single=best[2],
    at=at,
    agree=0.12,
    holds=best[1] < best[0] - 1 and best[2] > best[1] + 4 and -7 < at < -4,
)

# %% [markdown]
# That settles how to check: both sides, float64, $h$ near $10^{-6}$. Two evaluations for each element of the input make it far too slow for training, and just right for a test.
#
# For an op with many outputs we need one number to differentiate. Take $L = \sum_j u_j y_j$ with an array $u$ of your choice: then `grad` is exactly $u$, and the slopes of $L$ by differences are:


# %%
def slopes(function, x, upstream, h=1e-6):
    """dL/dx by differences, for L = (upstream * function(x)).sum()."""
    result = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        nudge = np.zeros_like(x)
        nudge[index] = h
        result[index] = (upstream * (function(x + nudge) - function(x - nudge))).sum() / (2 * h)
    return result


# %% [markdown]
# ## A wrong gradient that passes
#
# The obvious choice is $u = 1$ everywhere: it is what `y.sum().backward()` does, and most home-made checks. Try it on the **softmax**, which turns a row of scores into
# probabilities, $p_j = e^{x_j} / \sum_k e^{x_k}$ (lesson 03 is about what it is good for). With a backward that is obviously wrong: it returns 0.


# %%
def softmax(x):
    exponentials = np.exp(
        x - x.max(axis=1, keepdims=True)
    )  # the largest score taken out: nothing overflows, and it cancels
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def lazy_backward(x, grad):
    return np.zeros_like(x)


def agrees(forward, backward, x, upstream):
    return np.allclose(backward(x, upstream), slopes(forward, x, upstream), rtol=1e-5, atol=1e-7)


scores = np.random.default_rng(4).normal(size=(4, 3))
ones = np.ones((4, 3))
random = np.random.default_rng(5).normal(size=(4, 3))
verdicts = {
    name: agrees(softmax, lazy_backward, scores, u)
    for name, u in (("all ones", ones), ("random", random))
}
for name, verdict in verdicts.items():
    print(f"upstream {name}: the gradient is {'right' if verdict else 'wrong'}, says the check")

# %%
missed = np.abs(slopes(softmax, scores, random)).max()
say(
    "With all ones the check is content. With a random upstream it is not: the lazy backward misses"
    " slopes of up to {missed:.2f}.",
    missed=missed,
    holds=verdicts["all ones"] and not verdicts["random"] and missed > 0.05,
)

# %% [markdown]
# The check is not broken; the question was. Probabilities of a row sum to 1, *whatever the scores are*. With all ones, $L$ is the number of rows, a constant, and the
# derivative of a constant **is** 0. Look at the Jacobian of one row, $\partial p_j / \partial x_i = p_j (1_{i=j} - p_i)$: every column sums to zero.

# %%
row = np.array([[2.0, 1.0, 0.0, -1.0, 0.5]])
p = softmax(row)[0]
jacobian = np.diag(p) - np.outer(p, p)
upstreams = {"all ones": np.ones(5), "random": np.random.default_rng(6).normal(size=5)}

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
picture = left.imshow(jacobian, cmap="RdBu_r", vmin=-0.25, vmax=0.25)
left.grid(False)
for (j, i), value in np.ndenumerate(jacobian):
    left.text(
        i,
        j,
        f"{value:.2f}",
        ha="center",
        va="center",
        fontsize=8,
        color="white" if abs(value) > 0.18 else "black",
    )
left.set(
    xlabel="score i", ylabel="probability j", title="how much probability j moves with score i"
)
figure.colorbar(picture, ax=left, shrink=0.9)
for offset, (name, u), colour in zip((-0.2, 0.2), upstreams.items(), (RED, BLUE), strict=True):
    right.bar(
        np.arange(5) + offset, u @ jacobian, width=0.38, color=colour, label=f"upstream {name}"
    )
right.axhline(0, color="black", linewidth=0.8)
right.set(
    xlabel="score i",
    ylabel="$\\partial L/\\partial x_i$",
    title="the gradient: upstream times Jacobian",
)
right.margins(y=0.3)
right.legend(fontsize=9, loc="upper right")
plt.show()

say(
    "With all ones the largest gradient is {ones:.0e} (rounding: no red bars), with the random"
    " upstream {random:.2f}.",
    ones=np.abs(upstreams["all ones"] @ jacobian).max(),
    random=np.abs(upstreams["random"] @ jacobian).max(),
    holds=np.abs(upstreams["all ones"] @ jacobian).max() < 1e-12
    and np.abs(upstreams["random"] @ jacobian).max() > 0.01,
)

# %% [markdown]
# All ones is the one direction in which a softmax cannot be seen. From the formula of the Jacobian the right backward is
# $\partial L/\partial x_i = p_i \, (\text{grad}_i - \sum_j \text{grad}_j \, p_j)$, row by row.
#
# The softmax is not alone. Here are six wrong gradients, each of a kind that happens, and three choices of upstream.


# %%
def relu(x):
    return np.maximum(x, 0)


def log_softmax(x):
    return np.log(softmax(x))


wrong_gradients = {
    "softmax: zeros": (softmax, lambda x, g: 0 * x),
    "relu: the slope, without grad": (relu, lambda x, g: (x > 0) * 1.0),
    "x.T: grad reshaped, not transposed": (np.transpose, lambda x, g: g.reshape(x.shape)),
    "log-softmax: grad - softmax": (log_softmax, lambda x, g: g - softmax(x)),
    "softmax: only $j = i$": (softmax, lambda x, g: softmax(x) * (1 - softmax(x)) * g),
    "x²: the 2 forgotten": (np.square, lambda x, g: x * g),
}


def choices(shape):
    """Three upstream gradients of a shape."""
    one_per_row = np.zeros(shape)
    one_per_row[np.arange(shape[0]), np.arange(shape[0]) % shape[1]] = 1
    return {
        "all ones": np.ones(shape),
        "a single 1\nper row": one_per_row,
        "random": np.random.default_rng(7).normal(size=shape),
    }


passed = np.array(
    [
        [agrees(forward, backward, scores, u) for u in choices(forward(scores).shape).values()]
        for forward, backward in wrong_gradients.values()
    ]
)

figure, axes = plt.subplots(figsize=(7.2, 3.5))
axes.imshow(passed, cmap=ListedColormap(["#e8f3ee", RED]), vmin=0, vmax=1, aspect="auto")
for (row_number, column), value in np.ndenumerate(passed):
    word, colour = ("passes", "white") if value else ("caught", "black")
    axes.text(column, row_number, word, ha="center", va="center", color=colour, fontsize=9)
axes.set(
    xticks=range(3),
    xticklabels=list(choices((4, 3))),
    yticks=range(6),
    yticklabels=list(wrong_gradients),
)
axes.set_xticks([0.5, 1.5], minor=True)
axes.set_yticks(np.arange(0.5, 5), minor=True)
axes.grid(False)
axes.grid(which="minor", color="white", linewidth=2)
axes.tick_params(which="both", length=0)
axes.xaxis.tick_top()
plt.show()

say(
    "Of six wrong gradients, {ones} pass with all ones, {one} with a single 1 per row, and {random}"
    " with random numbers.",
    ones=passed[:, 0].sum(),
    one=passed[:, 1].sum(),
    random=passed[:, 2].sum(),
    holds=passed.sum(axis=0).tolist() == [3, 1, 0],
)

# %% [markdown]
# Whatever has structure, a bug may share. A backward that forgets `grad` altogether multiplies by 1, and with all ones that is right. A
# reshape instead of a transpose puts the numbers in wrong places, and among equal numbers no place is wrong. The log-softmax with `grad - softmax` is right whenever the upstream gradient
# of a row happens to sum to 1. **Random numbers have no structure to share.** A check that has never failed says nothing; try yours on a gradient that you know to be wrong.
#
# ## The same in minidrop
#
# In minidrop an operation is a class with `forward` and `backward` in plain array code, an `Op`; `apply` runs it and notes it down for backward. What backward needs is put into
# `self.saved`. And `md.gradcheck` is the check above: differences from both sides in float64, with a random upstream gradient.


# %%
class Softmax(md.Op):
    def forward(self, x):
        p = softmax(x)
        self.saved = (p,)
        return p

    def backward(self, grad):
        (p,) = self.saved
        return (
            p * (grad - (grad * p).sum(axis=1, keepdims=True)),
        )  # a tuple: one gradient for each input


class LazySoftmax(Softmax):
    def backward(self, grad):
        return (0 * grad,)


print("Softmax:", md.gradcheck(lambda x: md.apply(Softmax(), x), scores))
try:
    md.gradcheck(lambda x: md.apply(LazySoftmax(), x), scores)
    caught = False
except AssertionError as error:
    caught = True
    print("LazySoftmax:", error)

# %%
x = md.Tensor(scores, requires_grad=True)
md.apply(Softmax(), x).backward(random)
difference = np.abs(x.grad - slopes(softmax, scores, random)).max()
say(
    "The right one differs from our difference quotients by at most {difference:.0e}, which is"
    " their rounding. The lazy one was caught.",
    difference=difference,
    holds=caught and difference < 1e-7,
)

# %% [markdown]
# Ops that broadcast are easier to write still. With `broadcasts = True`, backward may return gradients of the output's shape, and the tape folds them back:


# %%
class Times(md.Op):
    """(a), (b) -> broadcast: y = a b."""

    broadcasts = True

    def forward(self, a, b):
        self.saved = (a, b)
        return a * b

    def backward(self, grad):
        a, b = self.saved
        return grad * b, grad * a


numbers = np.random.default_rng(8)
matrix, column = numbers.normal(size=(4, 3)), numbers.normal(size=(4, 1))
print(
    "Times, shapes (4, 3) and (4, 1):",
    md.gradcheck(lambda a, b: md.apply(Times(), a, b), [matrix, column]),
)

# %% [markdown]
# `gradcheck` evaluates the function twice for each element, and needs no graph for that. It says so with `md.no_grad()`: inside, operations compute and nothing is noted down. Use it
# whenever you only want the result, such as the accuracy of a trained network.

# %%
a, b = md.Tensor(matrix, requires_grad=True), md.Tensor(column, requires_grad=True)
with md.no_grad():
    silent = md.apply(Times(), a, b)
noted = md.apply(Times(), a, b)
print("requires_grad inside no_grad:", silent.requires_grad, " outside:", noted.requires_grad)

# %% [markdown]
# ## What to keep
#
# * A gradient has the shape of what it belongs to.
# * Broadcasting uses one number many times; the shares add up: **what forward stretched, backward sums.**
# * Check a gradient with differences from both sides, in float64, with $h$ near $10^{-6}$.
# * Never with an upstream gradient of all ones: some wrong gradients are right there, a softmax backward of 0 among them. Take random numbers.
# * Try a check on something wrong before you trust it.
#
# ## Exercises
#
# **1.** Write `fold_back` with sums only: given `grad` and the `shape` of the input that was stretched to `grad.shape`, return the gradient of the input.


# %%
def unbroadcast(grad, shape): ...


check("02.1", unbroadcast)

# %% [markdown]
# **2.** The log-softmax, $y_j = x_j - \log \sum_k e^{x_k}$ along each row. Given its output `y` and the upstream `grad`, both of shape (N, K), return the gradient of `x`. (The figure above
# shows a tempting answer that is not it.)


# %%
def log_softmax_backward(y, grad): ...


check("02.2", log_softmax_backward)

# %% [markdown]
# **3.** An op of your own: $y = \sqrt{a^2 + b^2}$, element by element, with broadcasting.


# %%
class Hypotenuse(md.Op):
    def forward(self, a, b): ...

    def backward(self, grad): ...


check("02.3", Hypotenuse)

# %% [markdown]
# ## Read on
#
# * `minidrop/core.py`: `unbroadcast`, the rule of this lesson in four lines.
# * `minidrop/tools/gradcheck.py`: the checker, with guesses at what went wrong: a factor, a sign, nothing at all.
# * `minidrop/guard/doors.py`: what minidrop checks of every `backward`: how many gradients, of which shapes.
# * `tests/test_gradcheck.py`: wrong gradients on purpose, for every op of minidrop; the checker must catch each of them.
# * `lessons/solutions/lesson_02.py`: solutions.
