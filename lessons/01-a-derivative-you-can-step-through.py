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
# # 01 · A derivative you can step through
#
# **You need** the chain rule, as a word and a formula; Python classes.
#
# **You get** a scalar autograd engine in 60 lines, built by yourself, and the reason why the order of its backward pass matters.
#
# **Time** about 5 seconds on two cores.
#
# **New names** `md.Tensor`, `md.draw_graph`
#
# Training a network means asking, millions of times, one question: *if I turn this knob a little, how does the error change?* The answer is a
# derivative. Nobody works it out by hand: while the program computes the error, an engine writes down what it did, and then walks back along
# its notes. In this lesson you build that engine for plain numbers, watch it walk, break it, and mend it.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

import minidrop as md
from checks import check
from lesson import BLUE, ORANGE, RED, say, slider

# %% [markdown]
# ## A derivative is a ratio of small changes
#
# Take $f(w) = (3w + 1)^2$. Turn $w$ by a small $h$, see how far $f$ moves, divide. As $h$ shrinks, the ratio settles on the slope of the tangent,
# $f'(w)$.


# %%
def f(w):
    return (3 * w + 1) ** 2


w = 0.5
widths = np.array([1.0, 0.5, 0.1, 0.01])
slopes = (f(w + widths) - f(w)) / widths

figure, axes = plt.subplots(figsize=(6.4, 3.4))
line = np.linspace(-0.8, 1.7, 200)
axes.plot(line, f(line), color="black", label="$f(w) = (3w + 1)^2$")
for h, slope, shade in zip(widths, slopes, (0.3, 0.5, 0.75, 1), strict=True):
    axes.plot(
        line,
        f(w) + slope * (line - w),
        color=BLUE,
        alpha=shade,
        linewidth=1.2,
        label=f"h = {h:g}: slope {slope:.2f}",
    )
axes.plot(w, f(w), "o", color=RED)
axes.set(xlabel="w", ylabel="f(w)", ylim=(-6, 38))
axes.legend(fontsize=9)
plt.show()

# %%
say(
    "At h = 0.01 the ratio is {slope:.2f}. The formula says $f'(w) = 2 (3w + 1) \\cdot 3$, at w ="
    " 0.5: {exact:.2f}.",
    slope=slopes[-1],
    exact=6 * (3 * w + 1),
    holds=abs(slopes[-1] - 6 * (3 * w + 1)) < 0.1,
)

# %% [markdown]
# This always works, and it is how we shall *check* derivatives. To *compute* them it is too slow: a network of a million weights would need a
# million evaluations for one step. The formula above shows the way out. It is a product, one factor per operation: $2(3w+1)$ belongs to the square,
# 3 to the multiplication. That is the **chain rule**: each operation only needs to know its own slope.
#
# ## An engine in 60 lines
#
# A `Value` holds a number and remembers two things: from which values it was made (`parents`), and how to hand the derivative on to them
# (`pass_back`). `grad` will hold $\partial L / \partial(\text{this value})$, for the one number $L$ from which we start to walk back.


# %%
class Value:
    """A number that remembers how it was made."""

    def __init__(self, data, parents=(), operation=""):
        self.data = data
        self.grad = 0.0
        self.parents = parents
        self.operation = operation
        self.pass_back = lambda: None  # leaves have nobody to pass anything back to

    def __repr__(self):
        return f"Value({self.data:.4g}, grad {self.grad:.4g})"

    def __add__(self, other):
        other = as_value(other)
        out = Value(self.data + other.data, (self, other), "+")

        def pass_back():  # d(a + b)/da = 1,  d(a + b)/db = 1
            self.grad += out.grad
            other.grad += out.grad

        out.pass_back = pass_back
        return out

    def __mul__(self, other):
        other = as_value(other)
        out = Value(self.data * other.data, (self, other), "×")

        def pass_back():  # d(a b)/da = b,  d(a b)/db = a
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out.pass_back = pass_back
        return out

    def tanh(self):
        out = Value(math.tanh(self.data), (self,), "tanh")

        def pass_back():  # d tanh(a)/da = 1 - tanh(a)^2
            self.grad += (1 - out.data**2) * out.grad

        out.pass_back = pass_back
        return out

    def backward(self, order=None):
        self.grad = 1.0  # dL/dL
        for value in order or outputs_first(self):
            value.pass_back()

    __radd__ = __add__
    __rmul__ = __mul__


def as_value(x):
    return x if isinstance(x, Value) else Value(x)


def outputs_first(output):
    """Every value that `output` was made from; each one after everything that was made from it."""
    done, order = set(), []

    def visit(value):
        if id(value) not in done:
            done.add(id(value))
            for parent in value.parents:
                visit(parent)
            order.append(value)

    visit(output)
    return order[::-1]


# %% [markdown]
# Why `+=` in `pass_back`? A value may be used more than once, and then **the derivatives of all its uses add up**: turn the knob, and each use moves
# the result. Why `outputs_first`? We come to that in a moment. First, does it work?

# %%
w = Value(0.5)
u = 3 * w + 1
loss = u * u
loss.backward()
say(
    "The engine says that df/dw = {grad:.1f}; above, the formula said {exact:.1f}.",
    grad=w.grad,
    exact=15,
    holds=w.grad == 15,
)

# %% [markdown]
# ## Watch it walk
#
# Here is a graph with a fork: $a$ is used twice, in $b = a \cdot 2$ and, together with it, in $c = a \cdot b$; then $L = b + c$. Values are circles, data flow
# from left to right, and the derivative flows back from right to left. Below the four stages, when you run the page, a slider moves through the walk one step at a time.


# %%
def forked():
    """The values of the example by name."""
    a = Value(3.0)
    b = a * 2
    c = a * b
    return {"a": a, "b": b, "c": c, "L": b + c}


places = {"a": (0, 0), "b": (1, 0.9), "c": (2, -0.4), "L": (3, 0.3)}
arrows = [("a", "b"), ("a", "c"), ("b", "c"), ("b", "L"), ("c", "L")]


def draw_walk(axes, step, order=("L", "c", "b", "a")):
    """The graph after `step` values of `order` have passed their derivative back."""
    values = forked()
    values["L"].grad = 1.0
    for name in order[:step]:
        values[name].pass_back()
    for start, end in arrows:
        active = end in order[:step]
        axes.annotate(
            "",
            places[end],
            places[start],
            arrowprops={
                "arrowstyle": "<|-" if active else "-|>",
                "color": RED if active else "#999999",
                "shrinkA": 15,
                "shrinkB": 15,
            },
        )
    for name, (x, y) in places.items():
        value = values[name]
        axes.scatter(
            x,
            y,
            s=620,
            color=ORANGE if name in order[:step] else "white",
            edgecolor="black",
            zorder=3,
        )
        axes.text(x, y, name, ha="center", va="center", zorder=4)
        axes.text(x, y - 0.52, f"{value.data:g}", ha="center", fontsize=8)
        axes.text(x, y + 0.36, f"grad {value.grad:g}", ha="center", fontsize=8, color=RED)
    axes.set(xlim=(-0.6, 3.6), ylim=(-1.2, 1.6), title=f"after {step} of 4 steps")
    axes.axis("off")


slider(draw_walk, step=[1, 2, 3, 4])

# %% [markdown]
# Read the red numbers. $L$ starts with 1. It passes 1 to $b$ and 1 to $c$. Then $c = a \cdot b$ passes $b = 6$ to $a$ and $a = 3$ to $b$, which now holds 1 + 3 = 4.
# Only then is it $b$'s turn, and it passes $2 \cdot 4 = 8$ to $a$: together 14. By hand: $L = 2a + 2a^2$, $L' = 2 + 4a$, at $a = 3$: 14.
#
# ## A graph on which the naive order is wrong
#
# What if $b$ had passed on before $c$ had told it its share? A tempting rule is: visit a value as soon as you have reached it, "nearest to the output
# first". Both $b$ and $c$ are one step away from $L$, so that order may well be L, b, c, a.

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 2.8))
for axes, order, title in zip(
    panels,
    (("L", "b", "c", "a"), ("L", "c", "b", "a")),
    ("nearest first: wrong", "outputs first: right"),
    strict=True,
):
    draw_walk(axes, 4, order)
    axes.set_title(title)
plt.show()

naive = forked()
naive["L"].backward([naive[name] for name in ("L", "b", "c", "a")])
right = forked()
right["L"].backward()
say(
    "Nearest first, b passed on 2 · 1 and never spoke again: dL/da = **{naive:g}**. In the right"
    " order it is **{right:g}**. No error, no warning: just a wrong number.",
    naive=naive["a"].grad,
    right=right["a"].grad,
    holds=naive["a"].grad == 8 and right["a"].grad == 14,
)

# %% [markdown]
# The rule that `outputs_first` follows: **a value may pass its derivative on only when everything that was made from it has spoken.** Such an order is called a
# topological order. Walking depth first and writing down each value *after* its parents gives one, read backwards.
#
# ## It learns
#
# One neuron, $\hat y = \tanh(w x + b)$, four points, and the whole of machine learning in three lines: forward, backward, a small step downhill.

# %%
points = [(-2.0, -0.9), (-1.0, -0.6), (0.5, 0.4), (2.0, 0.95)]
w, b = Value(-0.5), Value(0.8)
history = []
for _step in range(60):
    loss = Value(0.0)
    for x, y in points:
        error = (w * x + b).tanh() + -y
        loss = loss + error * error
    w.grad = b.grad = 0.0  # += again: without this line, old derivatives would pile up
    loss.backward()
    w.data -= 0.05 * w.grad
    b.data -= 0.05 * b.grad
    history.append((loss.data, w.data, b.data))

figure, (left, right_axes) = plt.subplots(1, 2, figsize=(9, 3))
left.plot([row[0] for row in history])
left.set(xlabel="step", ylabel="squared error", title="the loss falls")
line = np.linspace(-2.5, 2.5, 100)
for step, shade in ((0, 0.25), (5, 0.5), (59, 1.0)):
    right_axes.plot(
        line,
        np.tanh(history[step][1] * line + history[step][2]),
        color=BLUE,
        alpha=shade,
        label=f"after step {step + 1}",
    )
right_axes.plot(*zip(*points, strict=True), "o", color=RED)
right_axes.set(xlabel="x", ylabel="tanh(w x + b)", title="the curve finds the points")
right_axes.legend(fontsize=9)
plt.show()

# %%
say(
    "The loss went from {first:.2f} to {last:.3f} in 60 steps.",
    first=history[0][0],
    last=history[-1][0],
    holds=history[-1][0] < 0.05 * history[0][0],
)

# %% [markdown]
# ## The same in minidrop
#
# minidrop's engine is this one, for whole arrays instead of single numbers, without the recursion (which would give out after a thousand
# operations), and with an eye on memory. A `Value` is a `Tensor` there, its `pass_back` is the `backward` of an `Op`. On our fork it says the same:

# %%
a = md.Tensor(3.0, requires_grad=True)
b = a * 2.0
loss = b + a * b
graph = md.draw_graph(loss)
loss.backward()
say("minidrop: dL/da = {grad:g}.", grad=a.grad.item(), holds=a.grad.item() == right["a"].grad)
print(graph)

# %% [markdown]
# The text is the graph in the DOT language: paste it into any Graphviz viewer.
#
# ## What to keep
#
# * A derivative is a ratio of small changes; the chain rule makes it a product of local slopes.
# * Each operation knows its own slope; the graph of who was made from whom does the rest.
# * The shares of all uses of a value add up (`+=`), and so a value must wait until everything made from it has spoken.
#
# ## Exercises
#
# **1.** Write the local slope of the exponential: given `out_data` $= e^a$ and `out_grad` $= \partial L/\partial\,\text{out}$, return the share of $a$.


# %%
def exp_pass_back(out_data, out_grad): ...


check("01.1", exp_pass_back)

# %% [markdown]
# **2.** Division: for $q = a / b$, return the two shares `(for_a, for_b)`.


# %%
def divide_pass_back(a, b, out_grad): ...


check("01.2", divide_pass_back)

# %% [markdown]
# **3.** Write `outputs_first` without recursion. Your function gets the names of all values and, for each name, the list of its parents; it returns a list of
# names, the output first, in which nobody comes before anything that was made from them. (Hint: count for each value how often it is listed as a parent; one that is used twice is listed twice.)


# %%
def order_of(parents, output): ...


check("01.3", order_of)

# %% [markdown]
# ## Read on
#
# * `minidrop/core.py`: `backpropagate`, the walk of this lesson, by the order of the ops instead of recursion, for arrays of any shape.
# * `minidrop/ops/arithmetic.py`: the slopes of +, -, × and ÷, one class each.
# * `lessons/solutions/lesson_01.py`: solutions.
