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
# # 03 · Dense layers and cross-entropy
#
# **You need** lessons 01 and 02; matrix products; what a logarithm is.
#
# **You get** a classifier on `digits`, first in plain NumPy and then in minidrop, and a number to compare every loss with: a blind guess among ten costs ln 10.
#
# **Time** about 10 seconds on two cores.
#
# **New names** `md.nn.Dense`, `md.nn.ReLU`, `md.nn.Sequential`, `md.functional.log_softmax`, `md.functional.softmax_cross_entropy`, `md.optim.SGD`, `md.Generator`,
# `md.manual_seed`
#
# Given an 8x8 image of a handwritten digit, say which digit it is. This lesson builds the last layer of every network in the paper, and its loss, out of two lines of
# NumPy each, trains it, and looks at what it has learned. Then it makes the most common mistake of all on purpose.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidrop as md
from checks import check
from lesson import BLACK, BLUE, GREEN, RED, full, say

train, test = md.datasets.digits("train"), md.datasets.digits("test")
x, labels = (
    train.images.reshape(len(train), 64) / train.maximum,
    train.labels,
)  # a row of 64 grey values from 0 to 1 per image
x_test, labels_test = test.images.reshape(len(test), 64) / test.maximum, test.labels
print(train, x.shape, x.dtype)

# %% [markdown]
# ## Ten scores for an image
#
# The simplest way from 64 numbers to 10: each class has 64 weights and a bias, and its score is the weighted sum of the pixels. For a batch of images, one per row, that is
# one matrix product, and the bias is broadcast over the rows:
#
# $$\text{logits} = x\,W + b, \qquad (N, 64) \cdot (64, 10) + (10) \to (N, 10).$$
#
# This is a **dense layer** (every output sees every input), and the scores are called **logits**. The class with the largest is the answer. But to learn
# we need to know *how* wrong an answer is, and for that the scores are turned into probabilities: all positive, sum 1. That is the **softmax** of lesson 02,
# $p_j = e^{s_j} / \sum_k e^{s_k}$, where $s$ are the logits.


# %%
def dense(x, weight, bias):
    return x @ weight + bias


def softmax_as_written(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def softmax(logits):
    exponentials = np.exp(
        logits - logits.max(axis=1, keepdims=True)
    )  # the largest is now e^0 = 1: nothing overflows
    return exponentials / exponentials.sum(axis=1, keepdims=True)


large = np.array([[1000.0, 999.0, 0.0]])
with np.errstate(over="ignore", invalid="ignore"):
    print("as written:             ", softmax_as_written(large))
print("largest taken out first:", softmax(large))

# %% [markdown]
# The second version is the same function: the factor $e^{\max}$ cancels. It only never computes $e^{1000}$.
#
# ## How surprised are you?
#
# If the classifier gave the right class a probability $p$, the loss of that image is $-\ln p$, its *surprise* (with the natural logarithm its unit is called a nat): nothing at $p = 1$, and without limit as $p$ goes to 0. The mean of it over a batch
# is the **cross-entropy**. Being unsure is cheap, being sure and wrong is expensive.

# %%
numbers = np.random.default_rng(0)
weight, bias = numbers.normal(size=(64, 10)), np.zeros(10)  # not trained: any weights will do
image = 3
logits = dense(x[image : image + 1], weight, bias)
p = softmax(logits)[0]

figure, panels = plt.subplots(1, 4, figsize=(9, 2.5), width_ratios=(0.8, 1.2, 1.2, 1.2))
panels[0].imshow(train.images[image, 0], cmap="gray_r")
panels[0].axis("off")
panels[0].set_title(f"a {labels[image]}")
colours = [RED if k == labels[image] else BLUE for k in range(10)]
panels[1].bar(range(10), logits[0], color=colours)
panels[1].set(xlabel="class", title="logits")
panels[2].bar(range(10), p, color=colours)
panels[2].set(xlabel="class", ylim=(0, 1), title="probabilities")
line = np.linspace(0.0005, 1, 500)
panels[3].plot(line, -np.log(line), color=BLACK)
panels[3].plot(p[labels[image]], -np.log(p[labels[image]]), "o", color=RED, label="this image")
panels[3].plot(0.1, np.log(10), "s", color=GREEN, label="blind guess")
panels[3].set(
    xlabel="probability of the right class", ylabel="loss", title="loss = -ln p", ylim=(0, 8)
)
panels[3].legend(fontsize=8)
for axes in panels[1:3]:
    axes.set_xticks(range(10))
plt.show()

say(
    "These weights are random, and the right class (red) got {p:.1%}: a loss of {loss:.2f}, worse"
    " than a blind guess.",
    p=p[labels[image]],
    loss=-np.log(p[labels[image]]),
    holds=p[labels[image]] < 0.1 and -np.log(p[labels[image]]) > np.log(10),
)

# %% [markdown]
# ## A blind guess costs ln 10
#
# Who knows nothing gives each of ten classes the probability 1/10, and pays $-\ln \frac{1}{10} = \ln 10$, whatever the image shows. A network whose logits are all equal does exactly that; so does one that starts with weights of 0.
# This is the number to hold against the loss of any ten-class network before and during training.


# %%
def cross_entropy(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(
        np.exp(shifted).sum(axis=1, keepdims=True)
    )  # log softmax, without a way to log(0)
    return -log_p[np.arange(len(labels)), labels].mean()


blind = cross_entropy(dense(x, np.zeros((64, 10)), np.zeros(10)), labels)
frequencies = np.bincount(labels) / len(labels)
informed = cross_entropy(np.tile(np.log(frequencies), (len(labels), 1)), labels)
single = md.functional.softmax_cross_entropy(
    np.zeros((16, 10), dtype="float32"), labels[:16]
).item()
say(
    "Weights of 0 on all training images: a loss of {blind:.6f}; ln 10 is {ln_10:.6f}. Who knows"
    " how often each digit comes, and nothing else, saves {saved:.6f}: the classes are about"
    " equally frequent.",
    blind=blind,
    ln_10=np.log(10),
    saved=blind - informed,
    holds=abs(blind - np.log(10)) < 1e-12 and 0 < blind - informed < 0.001,
)
say(
    "In float32, as networks compute, the same loss is {single:.16f}. You will meet that number"
    " again, to the last digit, in lesson 10.",
    single=single,
    agree=1e-7,
    holds=single == float(np.float32(np.log(10))),
)

# %% [markdown]
# One can do worse than blind. Here are networks that have learned nothing, with random weights of different size.

# %%
sizes = 10.0 ** np.arange(-2.5, 1.01, 0.25)
draws = [np.random.default_rng(seed).normal(size=(64, 10)) for seed in range(20)]
losses = np.array([[cross_entropy(x @ (size * draw), labels) for size in sizes] for draw in draws])

figure, axes = plt.subplots(figsize=(7, 3.3))
axes.fill_between(
    sizes,
    losses.min(axis=0),
    losses.max(axis=0),
    color=BLUE,
    alpha=0.2,
    label="smallest to largest of 20 draws",
)
axes.plot(sizes, losses.mean(axis=0), "o-", markersize=4, label="their mean")
axes.axhline(np.log(10), color=GREEN, linestyle="--", label="blind guess: ln 10")
axes.set(
    xscale="log", yscale="log", xlabel="standard deviation of the random weights", ylabel="loss"
)
axes.set_yticks([2, 5, 10, 20, 50], labels=["2", "5", "10", "20", "50"])
axes.minorticks_off()
axes.legend(fontsize=9, loc="upper left")
plt.show()

middle = int(np.argmin(np.abs(sizes - 0.1)))
say(
    "With weights of about 0.1 the mean loss is {small:.2f}, hardly more than ln 10. With weights"
    " of about 10 it is {large:.0f}: sure of itself, and wrong.",
    small=losses.mean(axis=0)[middle],
    large=losses.mean(axis=0)[-1],
    holds=np.log(10) < losses.mean(axis=0)[middle] < 2.6
    and losses.mean(axis=0)[-1] > 20
    and losses[:, 0].min() > 2.2,
)

# %% [markdown]
# So if a new network starts far above ln 10, its weights are too large, and the first steps only unlearn false certainty. If it starts at ln 10 and stays there, it learns nothing. And if it falls back to ln 10, something has
# died. You will see that happen below.
#
# ## The gradient
#
# For one image with the label $t$ with the logits $s$ the loss is $-s_t + \ln \sum_k e^{s_k}$. Differentiate: the first part gives $-1$ at the label, the second the softmax. With the mean over $N$ images,
#
# $$\frac{\partial L}{\partial\,\text{logits}} = \frac{p - \text{one-hot}(t)}{N}.$$
#
# No formula of this course is simpler, and it reads well: every class is pushed down by the probability that it wrongly got, and the right one is pushed up by what is missing to 1. From there lesson 02 leads on.
# Through the product, adding up the shares of all uses: $\partial L/\partial W = x^T \cdot \text{grad}$, and for its input, where there is a layer before, $\partial L/\partial x = \text{grad} \cdot W^T$. The bias was stretched over the batch, so its gradient is summed over the batch.


# %%
def loss_and_gradients(x, labels, weight, bias):
    logits = dense(x, weight, bias)
    grad = softmax(logits)
    grad[np.arange(len(labels)), labels] -= 1
    grad /= len(labels)
    return cross_entropy(logits, labels), x.T @ grad, grad.sum(axis=0)


batch = slice(0, 16)
_loss, for_weight, for_bias = loss_and_gradients(x[batch], labels[batch], weight, bias)
h = 1e-6
differences = []
for position in [(20, 0), (28, 3), (35, 7), (42, 9)]:  # some weights; lesson 02 would try all
    nudge = np.zeros_like(weight)
    nudge[position] = h
    up, down = (
        cross_entropy(dense(x[batch], weight + sign * nudge, bias), labels[batch])
        for sign in (1, -1)
    )
    differences.append(abs((up - down) / (2 * h) - for_weight[position]))
say(
    "Against difference quotients at four weights: the largest difference is {worst:.0e}.",
    worst=max(differences),
    holds=max(differences) < 1e-7,
)

# %% [markdown]
# ## Training
#
# Gradient descent, 16 images at a time in random order, as in the paper: `weight -= lr * gradient`.


# %%
def batches(seed, passes=20, size=16):
    """The rows of each batch: all training images in a new random order in each pass (the last few, too few for a batch, sit out)."""
    # minidrop's random numbers: the same seed, the same numbers
    generator = md.Generator(seed)
    for _pass in range(passes):
        order = generator.permutation(len(x))
        for start in range(0, len(x) - size + 1, size):
            yield order[start : start + size]


weight, bias, lr = np.zeros((64, 10)), np.zeros(10), 0.2
history = []
for rows in batches(seed=0):
    loss, for_weight, for_bias = loss_and_gradients(x[rows], labels[rows], weight, bias)
    weight -= lr * for_weight
    bias -= lr * for_bias
    history.append(loss)

steps = len(x) // 16  # in one pass


def smooth(values):
    """The mean over each pass."""
    return np.asarray(values).reshape(-1, steps).mean(axis=1)


accuracy = (dense(x_test, weight, bias).argmax(axis=1) == labels_test).mean()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(1.1, 1))
left.plot(history, color=BLUE, alpha=0.3, linewidth=0.7, label="each batch")
left.plot(
    steps * (np.arange(20) + 0.5),
    smooth(history),
    "o-",
    markersize=3,
    color=BLUE,
    label="mean of a pass",
)
left.axhline(np.log(10), color=GREEN, linestyle="--", label="ln 10")
left.set(xlabel="step", ylabel="training loss", title="it starts at ln 10", ylim=(0, 2.6))
left.legend(fontsize=9)
shown = [
    np.pad(image[0], ((1, 5), (1, 1))) for image in test.images[:10]
]  # white below, for the answer
right.imshow(np.vstack([np.hstack(shown[:5]), np.hstack(shown[5:])]), cmap="gray_r")
for i, guess in enumerate(dense(x_test[:10], weight, bias).argmax(axis=1)):
    place = 10 * (i % 5) + 4.5, 14 * (i // 5) + 11.5
    right.text(
        *place, str(guess), ha="center", va="center", color=BLUE if guess == labels_test[i] else RED
    )
right.set_title("test images, and what the classifier says")
right.axis("off")
plt.show()

say(
    "The first loss is {first:.6f}, the mean of the last pass {last:.3f}. Of the 360 test images,"
    " which it has not seen, {accuracy:.1%} are recognised.",
    first=history[0],
    last=smooth(history)[-1],
    accuracy=accuracy,
    holds=abs(history[0] - np.log(10)) < 1e-9 and smooth(history)[-1] < 0.2 and accuracy > 0.85,
)

# %% [markdown]
# ## What it has learned
#
# Each class has one weight per pixel, so its weights can be drawn as an image: ink on red speaks for the class, ink on blue against it.

# %% tags=["thumbnail"]
limit = np.abs(weight).max()
figure, panels = plt.subplots(2, 5, figsize=(8.6, 3.7))
for k, axes in enumerate(panels.flat):
    picture = axes.imshow(weight[:, k].reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_title(f"class {k}")
    axes.axis("off")
figure.colorbar(picture, ax=panels, label="weight", shrink=0.8)
plt.show()

hollow = weight[:, 0].reshape(8, 8)[3:5, 3:5].mean()
rim = weight[:, 0].reshape(8, 8)[3:5, [1, 2, 6]].mean()
say(
    "The 0 is the clearest: ink in its middle counts {hollow:.1f} per pixel, ink to the left and to"
    " the right of it {rim:+.1f}.",
    hollow=hollow,
    rim=rim,
    agree=0.15,
    holds=hollow < -0.5 and rim > 0.2,
)

# %% [markdown]
# These are not pictures of digits. What all digits share says nothing; the weights show where a class *differs* from the others.
#
# ## The same in minidrop
#
# A `Dense` layer holds weight and bias; `softmax_cross_entropy` is the loss; `SGD` makes the steps. To compare, the layer starts from 0 and computes in float64 as our NumPy
# did, with the same batches.

# %%
layer = md.nn.Dense(64, 10, init="zeros", dtype="float64")
optimizer = md.optim.SGD(layer.parameters(), lr=0.2)
losses = []
for rows in batches(seed=0):
    loss = md.functional.softmax_cross_entropy(layer(x[rows]), labels[rows])
    optimizer.zero_grad()  # forget the gradients of the last step: backward adds
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

say(
    "{steps:,} steps: the losses differ by at most {losses:.0e}, the weights at the end by"
    " {weights:.0e}.",
    steps=len(losses),
    losses=np.abs(np.array(losses) - history).max(),
    weights=np.abs(layer.weight.data - weight).max(),
    holds=np.abs(np.array(losses) - history).max() < 1e-9
    and np.abs(layer.weight.data - weight).max() < 1e-8,
)
p = np.exp(md.functional.log_softmax(layer(x_test[:1])).data)[0]
print("probabilities of the first test image:", p.round(3), "label", labels_test[0])

# %% [markdown]
# ## A hidden layer
#
# A weighted sum of pixels can only add up evidence: "ink here" always counts the same, whatever is elsewhere. With a layer in between it can depend. Each of 64 hidden units is a weighted sum of
# its own, passed through a ReLU, $\max(z, 0)$; without it, two weighted sums in a row would be one weighted sum. By hand we should need new formulas for the gradients (exercise 3). With a tape, we only put the layers
# in a row.
#
# The weights must now be random: with zeros, all hidden units would be equal and stay equal. Layers draw from the generator they are given, else from a default one, which `md.manual_seed` starts
# again; so the same seed gives the same network.


# %%
def linear(generator=None):
    return md.nn.Sequential(md.nn.Dense(64, 10, generator=generator))


def hidden(generator=None):
    return md.nn.Sequential(
        md.nn.Dense(64, 64, generator=generator),
        md.nn.ReLU(),
        md.nn.Dense(64, 10, generator=generator),
    )


md.manual_seed(0)
model = hidden()
md.manual_seed(0)
print("the same again:", np.array_equal(model.parameters()[0].data, hidden().parameters()[0].data))
print(model.summary((16, 64)))

# %%
seeds = range(10 if full else 3)
x_32, x_test_32 = x.astype("float32"), x_test.astype("float32")


def fit(make, lr, seed):
    """Train a network; returns it, and the loss of every step."""
    model = make(md.Generator(seed))
    optimizer = md.optim.SGD(model.parameters(), lr=lr)
    losses = []
    for rows in batches(seed):
        loss = md.functional.softmax_cross_entropy(model(x_32[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def accuracy_of(model):
    with md.no_grad():
        return (model(x_test_32).data.argmax(axis=1) == labels_test).mean()


runs = {
    name: [fit(make, 0.2, seed) for seed in seeds]
    for name, make in (("linear", linear), ("hidden", hidden))
}
last = {
    name: np.mean([smooth(losses)[-1] for _model, losses in some]) for name, some in runs.items()
}
accuracy = {
    name: np.mean([accuracy_of(model) for model, _losses in some]) for name, some in runs.items()
}
first = np.mean(
    [cross_entropy(hidden(md.Generator(seed))(x_32).data, labels) for seed in range(20)]
)
say(
    "Before the first step the loss is {first:.2f} (mean of 20 networks), close to ln 10. In the"
    " last pass it is {hidden:.3f}, for the linear classifier {linear:.3f} (means over {seeds}"
    " seeds). On the test images the accuracies are {hidden_accuracy:.3f} and"
    " {linear_accuracy:.3f}.",
    first=first,
    hidden=last["hidden"],
    linear=last["linear"],
    hidden_accuracy=accuracy["hidden"],
    linear_accuracy=accuracy["linear"],
    seeds=len(seeds),
    holds=2.2 < first < 2.7
    and last["hidden"] < 0.5 * last["linear"]
    and 0 < accuracy["hidden"] - accuracy["linear"] < 0.06,
)

# %% [markdown]
# On the images that it was trained on, the network with a hidden layer is far ahead. On new images much less of that is left. Keep this in mind until the next table.
#
# ## Sixteen times too large
#
# The most common mistake in a gradient written by hand: the loss is a mean over the batch, and the division by 16 is forgotten. What happens? Every gradient is 16 times too large, so each step is the step of a
# learning rate 16 times as large. That is how we provoke it here, on the same seeds.

# %%
for name, make in (("linear", linear), ("hidden", hidden)):
    runs[f"{name}, 16 times"] = [fit(make, 16 * 0.2, seed) for seed in seeds]

figure, panels = plt.subplots(1, 2, figsize=(9, 3.3), sharey=True)
for axes, name in zip(panels, ("linear", "hidden"), strict=True):
    for key, colour, text in (
        (name, BLUE, "divided by the batch"),
        (f"{name}, 16 times", RED, "forgotten"),
    ):
        for number, (_model, losses) in enumerate(runs[key]):
            axes.plot(
                np.arange(1, 21),
                smooth(losses),
                color=colour,
                alpha=0.8,
                label=text if number == 0 else None,
            )
    axes.axhline(np.log(10), color=GREEN, linestyle="--", label="ln 10")
    axes.set(
        yscale="log",
        xlabel="pass",
        title={"linear": "one dense layer", "hidden": "with a hidden layer"}[name],
    )
    axes.set_xticks([1, 5, 10, 15, 20])
panels[0].set_ylabel("training loss, mean of a pass")
panels[1].legend(fontsize=9, loc="center right")
plt.show()

# %%
for name, some in runs.items():
    last[name] = np.mean([smooth(losses)[-1] for _model, losses in some])
    accuracy[name] = np.mean([accuracy_of(model) for model, _losses in some])


def silent_units(model):
    """The share of hidden units that are 0 for every training image."""
    return (model[1](model[0](x_32)).data == 0).all(axis=0).mean()


silent = {
    name: np.mean([silent_units(model) for model, _losses in runs[name]])
    for name in ("hidden", "hidden, 16 times")
}
say(
    "| gradient | training loss, last pass | test accuracy | silent hidden units"
    " |\n|---|---|---|---|\n| one layer, right | {a:.3f} | {b:.3f} | |\n| one layer, 16 times too"
    " large | {c:.3f} | {d:.3f} | |\n| hidden layer, right | {e:.3f} | {f:.3f} | {g:.0%} |\n|"
    " hidden layer, 16 times too large | {h:.3f} | {i:.3f} | {j:.0%} |",
    a=last["linear"],
    b=accuracy["linear"],
    c=last["linear, 16 times"],
    d=accuracy["linear, 16 times"],
    e=last["hidden"],
    f=accuracy["hidden"],
    g=silent["hidden"],
    h=last["hidden, 16 times"],
    i=accuracy["hidden, 16 times"],
    j=silent["hidden, 16 times"],
    holds=last["linear, 16 times"] < last["linear"]
    and accuracy["linear, 16 times"] > 0.85
    and last["hidden, 16 times"] > 2
    and accuracy["hidden, 16 times"] < 0.25
    and silent["hidden, 16 times"] > 0.9
    and abs(accuracy["hidden"] - accuracy["linear, 16 times"]) < 0.03,
)

# %% [markdown]
# Two surprises. **The single layer does not mind.** The direction of each step is right, only its length is wrong, and this problem forgives long steps: it even learns
# faster. A wrong gradient that gives good results is why this mistake lives long in people's code, until somebody changes the batch size and finds that the learning rate has changed with it.
#
# **The network with a hidden layer goes blind.** Its loss jumps up and then sits a little above ln 10. A few steps that are far too long push the weighted sums of all hidden units below 0; the ReLU then outputs 0 for every image,
# its slope is 0 too, and no gradient comes through that could bring them back. What is left are the ten biases, which chase the last batches: hence the little above. A loss near ln 10 *after* training is a mark of that kind of death. Lesson 10
# reads such marks.
#
# And the table answers a question that we did not ask. Is the hidden layer better? On the test images it beats the single layer at the same learning rate; with long steps the single layer nearly catches up. Whether such a difference on
# 360 images means anything is the subject of lesson 12.
#
# ## Where it errs
#
# The loss punishes false certainty, so look at the test images that a network gets wrong with the highest probability.

# %%
model = runs["hidden"][0][0]
with md.no_grad():
    p = np.exp(md.functional.log_softmax(model(x_test_32)).data)
guess = p.argmax(axis=1)
wrong = np.flatnonzero(guess != labels_test)
worst = wrong[np.argsort(-p[wrong, guess[wrong]])][:10]
figure, panels = plt.subplots(2, 5, figsize=(8.6, 4.2))
for axes, i in zip(panels.flat, worst, strict=True):
    axes.imshow(test.images[i, 0], cmap="gray_r")
    axes.set_title(
        f"a {labels_test[i]}, taken for a {guess[i]}\n({p[i, guess[i]]:.1%} sure)", fontsize=9
    )
    axes.axis("off")
plt.show()

loss = -np.log(p[np.arange(len(test)), labels_test])
share = np.sort(loss)[::-1][: len(test) // 10].sum() / loss.sum()
say(
    "The loss on the test images is {loss:.2f}, and a tenth of them makes up {share:.0%} of it.",
    loss=loss.mean(),
    share=share,
    holds=share > 0.7,
)

# %% [markdown]
# Some of these would trouble a human reader at 8x8 pixels, others would not. A mean loss is mostly about a few images.
#
# ## What to keep
#
# * Dense layer: `x @ weight + bias`; its gradients are `x.T @ grad`, `grad @ weight.T` for the input, and the sum of `grad` over the batch.
# * Softmax with cross-entropy: the gradient of the logits is probability minus one-hot, **divided by the batch**.
# * A blind guess among ten costs ln 10. Compare every loss with it: at the start, and whenever it comes back to it.
# * A gradient that is too large by a factor has the right direction, so good results do not prove it right. Check it.
#
# ## Exercises
#
# **1.** Write the loss, also for logits of 1000: the mean over the batch of $-\log \text{softmax}(\text{logits})$ at the label. (The page shows one way. Write it without looking.)


# %%
def cross_entropy_again(logits, labels): ...


check("03.1", cross_entropy_again)

# %% [markdown]
# **2.** Some frameworks store the weight with a row for each class, (K, D), so that `logits = x @ weight.T + bias`. Return `(for_weight, for_bias)`, the gradients of the mean cross-entropy, in the shapes of `weight` and `bias`.


# %%
def gradients(x, labels, weight, bias): ...


check("03.2", gradients)

# %% [markdown]
# **3.** The hidden layer by hand: `z = x @ weight_1 + bias_1`, `h = np.maximum(z, 0)`, `logits = h @ weight_2 + bias_2`. Given `for_logits` (the gradient of the logits), return `(for_weight_1, for_bias_1)`.


# %%
def first_layer_gradients(x, z, weight_2, for_logits): ...


check("03.3", first_layer_gradients)

# %% [markdown]
# ## Read on
#
# * `minidrop/ops/loss.py`: log-softmax and cross-entropy, forward and backward in a few lines each.
# * `minidrop/ops/matmul.py`: the matrix product and its two gradients.
# * `minidrop/nn/layers.py`: `Dense`; `minidrop/nn/initialise.py`: how large random weights should be.
# * `minidrop/optim/sgd.py`: `SGD`, with momentum and weight decay.
# * `lessons/solutions/lesson_03.py`: solutions.
