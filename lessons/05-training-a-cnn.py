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
# # 05 · Training a CNN
#
# **You need** lesson 03 (dense layers, cross-entropy, gradient descent) and lesson 04 (convolution).
#
# **You get** a network of the paper's shape, trained on real images by ten lines of your own, its filters and feature maps, and the standard error of its accuracy.
#
# **Time** about 15 seconds on two cores.
#
# **New names** `md.functional.max_pool2d`, `md.nn.MaxPool2d`, `md.nn.Flatten`, `minidrop.paper.training`, `minidrop.paper.protocol`, `minidrop.paper.networks`,
# `md.datasets.mnist`, `md.save`, `md.load`, `minidrop.errors.DataError`, `minidrop.paper.reproduce.grid.read_runs`
#
# You have the parts: convolution, dense layers, a loss, its gradient. Here they become the paper's kind of network: two convolutions, each followed by a
# pooling step, then two dense layers. You write the loop that trains it, look inside, and then ask the question that every table of accuracies
# depends on: how far would the number move if it had been measured on other images?

# %%
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidrop as md
from checks import check
from lesson import BLUE, GREEN, ORANGE, RED, full, made_with, results, say
from minidrop.errors import DataError
from minidrop.paper.networks import SIZES, Network
from minidrop.paper.protocol import CAREFUL, normalise, pixel_mean, split
from minidrop.paper.reproduce.grid import read_runs
from minidrop.paper.training import Run, train

# %% [markdown]
# ## The images
#
# One cell chooses. By default the lesson trains the small network, `lite`, on `digits`: 8x8 images that come with scikit-learn, so that no download
# is needed. With `MINIDROP_LESSON_SCALE=full` it trains the paper's own network, `published`, on MNIST, if the files are on the machine
# (`minidrop data fetch mnist` gets them). Everything below works for either, and every number you read is of the run that made this page.


# %%
def choose_images():
    """(train, test): MNIST at full scale, if its files are here; else the small digits."""
    if full:
        try:
            return md.datasets.mnist("train"), md.datasets.mnist("test")
        except DataError as missing:
            print(missing.problem, "- going on with digits")
    return md.datasets.digits("train"), md.datasets.digits("test")


train_set, test_set = choose_images()
size, rate, steps = ("published", 0.01, 3000) if train_set.name == "mnist" else ("lite", 0.05, 1500)
print(train_set, test_set, sep="\n")

figure, panels = plt.subplots(1, 10, figsize=(9, 1.25))
for digit, axes in enumerate(panels):
    axes.imshow(train_set.images[train_set.labels == digit][0, 0], cmap="gray_r")
    axes.set_title(str(digit))
    axes.axis("off")
plt.show()

# %% [markdown]
# Three sets of images, for three uses. The network learns from the first. On the second, every tenth training image, held out, we watch it while we
# still decide things. The third, the test set, we look at once, at the end. (The paper's code had no second set: it watched the test images.)
#
# Bytes become numbers of moderate size: subtract one number, the mean over all pixels of all training images, and divide by the largest value a pixel can have.

# %%
held_out = np.arange(len(train_set)) % 10 == 0
mean = np.float32(train_set.images[~held_out].mean())


def prepare(images):
    """uint8 (N, 1, H, W) -> float32, same shape."""
    return (images.astype("float32") - mean) / np.float32(train_set.maximum)


images, labels = prepare(train_set.images[~held_out]), train_set.labels[~held_out]
watched, watched_labels = prepare(train_set.images[held_out]), train_set.labels[held_out]
test, test_labels = prepare(test_set.images), test_set.labels

learn_from, watch = split(CAREFUL, train_set, test_set)
theirs = normalise(watch.images, pixel_mean(CAREFUL, learn_from), watch.maximum)
say(
    "{learn:,} images to learn from, {watch:,} to watch, {test:,} to test. minidrop's protocol"
    " `CAREFUL` makes the same split and the same numbers, up to {difference:.0e}.",
    learn=len(images),
    watch=len(watched),
    test=len(test),
    difference=np.abs(theirs - watched).max(),
    agree=1e-3,
    holds=len(learn_from) == len(images) and np.abs(theirs - watched).max() < 1e-6,
)

# %% [markdown]
# ## Pooling
#
# A convolution says *where* a pattern is. To name a digit that is more than one needs to know: a stroke may sit a pixel to the left. **Max-pooling** keeps the largest
# number of each 2x2 window and forgets where in the window it stood. The image has a quarter of the numbers afterwards, so the next
# convolution sees twice as far.
#
# In NumPy it is a reshape and a maximum. Backward is as short: only the largest number made it through, so only *its* place can have moved the result, and the whole
# derivative of a window goes there.

# %%
x = np.array([[1, 5, 2, 0], [3, 4, 1, 7], [0, 2, 9, 8], [6, 1, 3, 3]], dtype="float32")


def blank(axes):
    """Leave nothing but the picture."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def pool(x):
    """(H, W) -> (H / 2, W / 2): the largest number in each 2x2 window."""
    height, width = x.shape
    return x.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))


pooled = pool(x)
winners = np.kron(pooled, np.ones((2, 2))) == x  # np.kron repeats each number in its window

tensor = md.Tensor(x.reshape(1, 1, 4, 4), requires_grad=True)
output = md.functional.max_pool2d(tensor, 2)
output.sum().backward()

figure, panels = plt.subplots(1, 3, figsize=(7.5, 2.7), width_ratios=(4, 2, 4))
for axes, values, title in zip(
    panels,
    (x, pooled, tensor.grad[0, 0]),
    ("x", "pooled", "derivative of the sum of pooled"),
    strict=True,
):
    axes.imshow(values, cmap="Blues", vmin=0, vmax=12)
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:g}", ha="center", va="center")
    axes.set_title(title)
    blank(axes)
plt.show()
say(
    "minidrop's `max_pool2d` gives the same four maxima, and its backward marks the same {winners}"
    " places.",
    winners=winners.sum(),
    holds=np.array_equal(output.data[0, 0], pooled) and np.array_equal(tensor.grad[0, 0], winners),
)

# %% [markdown]
# (If two numbers of a window are equally large, `winners` would mark both. One of them has to take it all: in minidrop the first. That is exercise 1.)
#
# ## The network
#
# Twice convolution, pooling, ReLU; then the maps are laid out as one long row of numbers (`Flatten`), a dense layer, a ReLU, and a
# dense layer with one output per class. Pooling stands before the ReLU here: the order does not change the result (the larger of max(a, 0) and max(b, 0)
# is max(the larger of a and b, 0)), and the ReLU has a quarter of the work. Nothing is padded: a filter goes only where it fits in whole, so that a
# 3x3 filter makes a 6x6 map of an 8x8 image.
#
# The paper's text says *three* convolutions. Its program has three, too, but calls the second one on the image, so that the first one's result is thrown
# away: two were trained, and minidrop's `published` is these two. `lite` is smaller, of the same shape, with still smaller filters for images as small as ours.

# %%
print(size, SIZES[size])


def build(weights):
    """The network; `weights` is the generator that its starting weights are drawn from."""
    layers, channels, side = [], 1, images.shape[2]
    kernels = SIZES[size].kernels_for(images.shape[1:])
    for filters, kernel in zip(SIZES[size].filters, kernels, strict=True):
        layers += [
            md.nn.Conv2d(channels, filters, kernel, generator=weights),
            md.nn.MaxPool2d(2),
            md.nn.ReLU(),
        ]
        channels, side = filters, (side - kernel + 1) // 2
    units = SIZES[size].units
    layers += [
        md.nn.Flatten(),
        md.nn.Dense(channels * side * side, units, generator=weights),
        md.nn.ReLU(),
    ]
    return md.nn.Sequential(*layers, md.nn.Dense(units, 10, generator=weights))


weights, order, masks = (
    md.Generator(0).spawn() for _ in range(3)
)  # three independent streams... or are they?
same = [stream.seed for stream in (weights, order, masks)]
print("one seed, three times:", len(set(same)) == 1)

# %% [markdown]
# A small trap, set on purpose: `md.Generator(0).spawn()` starts anew at seed 0 each time, so the three streams were one. Spawn them from *one* generator. Then what one
# stream uses up does not shift the others, and two networks of the same seed see the same images in the same order.

# %%
seeds = md.Generator(0)
weights, order, masks = seeds.spawn(), seeds.spawn(), seeds.spawn()
order.spawn()  # minidrop takes a fourth one, off `order`, for protocols that draw what to measure on
model = build(weights)
blind = model(md.Tensor(watched[:40]))
print(model)

# %% [markdown]
# Where are the weights? Most of them sit in the first dense layer, not in the convolutions, whose few numbers are used at every place of the image.
#
# minidrop has this network ready: `Network(size, variant, ...)`. The variants, such as `cnn` and `dropout`, differ between the two dense layers only. Same seed,
# same weights, same answers:

# %%
again = md.Generator(0)
library = Network(size, "cnn", images.shape[1:], 10, again.spawn(), masks)
difference = np.abs(library(md.Tensor(watched[:40])).data - blind.data).max()
say(
    "Largest difference of the logits: {difference:.0e}. The untrained network's loss on these"
    " images is {loss:.2f}; a blind guess among ten pays ln 10 = {guess:.2f}.",
    difference=difference,
    loss=md.functional.softmax_cross_entropy(blind, watched_labels[:40]).item(),
    guess=math.log(10),
    holds=difference < 1e-5,
    agree=0.05,
)

# %% [markdown]
# ## The loop
#
# Ten lines, and nothing in them is new: take the next sixteen images, go forward, go backward, take a step.
# After each pass through the images they are shuffled anew. The images of all passes, in the order in which they come, are one long list of indices.

# %%
optimizer = md.optim.SGD(model.parameters(), lr=rate)
start = [parameter.data.copy() for parameter in model.parameters()]  # to look at later
passes = 1 + 16 * steps // len(images)
sequence = np.concatenate([order.permutation(len(images)) for _ in range(passes)])
losses = []

for step in range(steps):
    batch = sequence[16 * step : 16 * (step + 1)]
    logits = model(md.Tensor(images[batch]))
    loss = md.functional.softmax_cross_entropy(logits, labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

# %% [markdown]
# How good is it? For each image the network's answer is the largest logit; the accuracy is the share of right answers. No gradient is needed here, so nothing is recorded.


# %%
def right_answers(network, images, labels):
    """-> (N,) True where the network's answer is right; a hundred images at a time, to save memory."""
    with md.no_grad():
        parts = [
            network(md.Tensor(images[i : i + 100])).data.argmax(axis=1)
            for i in range(0, len(images), 100)
        ]
    return np.concatenate(parts) == labels


smooth = np.convolve(losses, np.ones(50) / 50, mode="valid")
figure, axes = plt.subplots(figsize=(7.5, 3))
axes.plot(losses, color=BLUE, alpha=0.25, linewidth=0.7, label="each batch of 16")
axes.plot(np.arange(len(smooth)) + 49, smooth, color=BLUE, label="mean of 50 batches")
axes.axhline(math.log(10), color=RED, linestyle=":", label="ln 10, a blind guess")
axes.set(xlabel="step", ylabel="training loss (nats)", ylim=(0, 3))
axes.legend(loc="upper right", fontsize=9, bbox_to_anchor=(1, 0.72))
plt.show()

right = right_answers(model, watched, watched_labels)
say(
    "The loss starts at {first:.2f} (mean of the first 50 batches) and ends at {last:.3f}. Of the"
    " held-out images the network gets {accuracy:.3f} right.",
    first=smooth[0],
    last=smooth[-1],
    accuracy=right.mean(),
    holds=smooth[-1] < 0.2 * smooth[0] and right.mean() > 0.9,
)

# %% [markdown]
# Look at the left end of the curve: for a while next to nothing happens, close to ln 10, and then the loss falls. Two convolutions and two dense layers with small
# weights pass on a faint signal and a faint gradient; until they have grown a little, the network gives every image nearly the same answer. How long this lasts
# depends on the step size. (That is why we take .05 for the small digits: with the paper's .01 the plateau would fill most of a run as short as this one.)
#
# ## The same run in minidrop
#
# `train` takes a `Run`, a description of everything the result depends on: data, network, seed, number of steps, and the protocol. `CAREFUL` is what
# we did by hand: a tenth held out, a full shuffle, batches of 16. It ends with a history, a row per evaluation.

# %%
protocol = replace(CAREFUL, learning_rate=rate, evaluate_every=steps // 3)
result = train(
    Run(
        dataset=train_set.name,
        network=size,
        variant="cnn",
        seed=0,
        iterations=steps,
        protocol=protocol,
    )
)
for row in result.history.rows:
    print(f"step {row['iteration']:>5}   loss {row['loss']:.4f}   accuracy {row['accuracy']:.4f}")

thirds = np.array(losses).reshape(3, -1).mean(axis=1)
gap = max(abs(row["loss"] - third) for row, third in zip(result.history.rows, thirds, strict=True))
apart = max(
    np.abs(a.data - b.data).max()
    for a, b in zip(model.parameters(), result.network.parameters(), strict=True)
)
say(
    "Mean losses of the three thirds of our loop and of minidrop's rows: at most {gap:.0e} apart."
    " Largest difference between two weights after {steps:,} steps: {apart:.0e}.",
    gap=gap,
    steps=steps,
    apart=apart,
    holds=gap < 1e-3
    and apart < 0.05
    and abs(result.history.rows[-1]["accuracy"] - right.mean()) < 0.02,
)

# %% [markdown]
# So `train` is the ten lines and, around them, what makes long runs bearable: it measures, writes down, and saves all that the future depends on, so that a run that was killed goes
# on where it stood. The last part you can have by itself: `md.save` writes the weights to a file, `md.load` reads them into a network of the same shape.

# %%
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "cnn.safetensors"
    md.save(file, model)
    kilobytes = file.stat().st_size / 1000
    restored = build(md.Generator(99))  # other weights, until they are loaded
    before = right_answers(restored, watched, watched_labels).mean()
    md.load(file, restored)
after = right_answers(restored, watched, watched_labels)
say(
    "A file of {kilobytes:.0f} kB. The new network: {before:.2f} right before loading, {after:.3f}"
    " after, like the old one on every image.",
    kilobytes=kilobytes,
    before=before,
    after=after.mean(),
    agree=0.2,
    holds=np.array_equal(after, right) and before < 0.5,
)

# %% [markdown]
# ## What it has learned
#
# The filters of the first convolution look at pixels, so they can be drawn as small images: red where ink (a large number) raises the output, blue where it lowers it.

# %%
count = 8
filters_before, filters_after = start[0][:count, 0], model.parameters()[0].data[:count, 0]
limit = np.abs(filters_after).max()
figure, panels = plt.subplots(3, count, figsize=(9, 3.5))
for row, (name, filters) in enumerate(
    (
        ("before", filters_before),
        ("after", filters_after),
        ("change", filters_after - filters_before),
    )
):
    for axes, values in zip(panels[row], filters, strict=True):
        picture = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        blank(axes)
    panels[row, 0].set_ylabel(name)
figure.colorbar(picture, ax=panels, label="weight", shrink=0.8)
plt.show()


# %%
def cosine(a, b):
    """1: same direction, 0: unrelated."""
    return (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())


layers = list(zip(start, (parameter.data for parameter in model.parameters()), strict=True))[
    ::2
]  # weights, without biases
cosines = [cosine(then, now) for then, now in layers]
growth = np.linalg.norm(layers[0][1]) / np.linalg.norm(layers[0][0])
say(
    "The first layer's weights are {growth:.1f} times as large as at the start, yet they have not"
    " forgotten it: the cosine between then and now is {first:.2f}. Over the other layers it is"
    " {second:.2f}, {dense:.2f} and {last:.2f}.",
    growth=growth,
    first=cosines[0],
    second=cosines[1],
    dense=cosines[2],
    last=cosines[3],
    holds=growth > 1 and min(cosines) > 0.4,
    agree=0.15,
)

# %% [markdown]
# Whoever expects clean edge detectors is surprised. Some filters do have a red side and a blue side, but each is still mixed with the noise it started from: all kinds
# of directions are there from the start, and training strengthens those that help. Nothing in the loss asks for filters that are nice to look at.
#
# What do the filters see? Below, one test image on its way through: the first eight maps of each convolution, negative numbers cut off. (Cutting off is the
# ReLU's work. Pooling then makes each map half as wide.)

# %% tags=["thumbnail"]
chosen = int(
    np.flatnonzero(right_answers(model, test, test_labels))[3]
)  # a test image that it gets right
stages, x = [], md.Tensor(test[chosen : chosen + 1])
with md.no_grad():
    for layer in model.layers:
        x = layer(x)
        if isinstance(layer, md.nn.Conv2d):
            stages.append(np.maximum(x.data[0], 0))

figure = plt.figure(figsize=(9, 2.4))
grid = figure.add_gridspec(len(stages), count + 2)
axes = figure.add_subplot(grid[:, :2])
axes.imshow(test[chosen, 0], cmap="gray_r")
axes.set_title(f"image: a {test_labels[chosen]}")
blank(axes)
for row, maps in enumerate(stages):
    for column in range(count):
        axes = figure.add_subplot(grid[row, column + 2])
        axes.imshow(maps[column], cmap="viridis", vmin=0, vmax=maps[:count].max())
        blank(axes)
        if column == 0:
            axes.set_ylabel(f"stage {row + 1}\n{maps.shape[1]}x{maps.shape[2]}")
plt.show()

# %%
silent = [float((maps == 0).mean()) for maps in stages]
say(
    "Dark is 0, yellow the largest. Of the numbers in the two stages {first:.2f} and {second:.2f}"
    " are exactly 0: for this image the ReLU switches them off. In the first stage one can still"
    " find the digit, its strokes or what is left between them; in the second, after pooling, there"
    " is little left but *how much of this pattern*.",
    first=silent[0],
    second=silent[1],
    holds=all(0 < share < 1 for share in silent),
    agree=0.25,
)

# %% [markdown]
# ## How sure is one accuracy?
#
# Now the test set, once.

# %%
right = right_answers(model, test, test_labels)
n, accuracy = len(right), right.mean()
error = math.sqrt(accuracy * (1 - accuracy) / n)
say(
    "{accuracy:.3f} of {n:,} test images. $\\sqrt{{a (1 - a) / n}}$ = {error:.4f}.",
    accuracy=accuracy,
    n=n,
    error=error,
    holds=0 < error < 0.05 and accuracy > 0.85,
)

# %% [markdown]
# Where does the formula come from? Think of the test images as drawn at random from all the digits in the world, of which the network gets a share $a$ right. One image is then a coin that
# shows "right" with probability $a$; its variance is $a(1-a)$. The mean of $n$ independent coins has a variance $n$ times smaller. The square root of that is the
# **standard error** of the accuracy: the typical distance between the number measured on $n$ images and the share $a$ among all of them.
#
# We cannot draw from all the digits in the world, but we can imitate it: draw $n$ images, *with replacement*, from those we have, again and again. The network stays as it
# is, only the set of images it is judged by changes.

# %%
resampled = right[np.random.default_rng(0).integers(0, n, size=(10_000, n))].mean(axis=1)

figure, axes = plt.subplots(figsize=(7, 3))
step = max(1, round(error * n / 3)) / n  # a whole number of images: no comb in the histogram
edges = np.arange(accuracy - 12 * step - 0.5 / n, accuracy + 12 * step, step)
axes.hist(
    resampled, bins=edges, density=True, color=BLUE, alpha=0.5, label="10,000 resampled evaluations"
)
line = np.linspace(accuracy - 4 * error, accuracy + 4 * error, 300)
axes.plot(
    line,
    np.exp(-(((line - accuracy) / error) ** 2) / 2) / (error * math.sqrt(2 * math.pi)),
    color=RED,
    label="normal curve, width from the formula",
)
axes.axvspan(
    accuracy - error, accuracy + error, color=ORANGE, alpha=0.2, label="± one standard error"
)
axes.set(
    xlabel="accuracy",
    ylabel="density",
    xlim=(accuracy - 4 * error, accuracy + 4 * error),
    ylim=(0, 0.62 / error),
)
axes.legend(fontsize=9, loc="upper left", ncols=2)
plt.show()
say(
    "The resampled evaluations spread by {spread:.4f}; the formula said {error:.4f}. {inside:.0%}"
    " of them lie within two standard errors of our number.",
    spread=resampled.std(),
    error=error,
    inside=np.mean(np.abs(resampled - accuracy) <= 2 * error),
    holds=abs(resampled.std() / error - 1) < 0.03
    and 0.93 < np.mean(np.abs(resampled - accuracy) <= 2 * error) < 0.98,
)

# %% [markdown]
# So the third digit of such an accuracy is not worth printing without this number beside it. In the paper one evaluation is 1,600 images:

# %%
table_ii = {"cnn": 0.9888, "dropout": 0.9906}  # the paper's Table II
errors = {name: math.sqrt(a * (1 - a) / 1600) for name, a in table_ii.items()}
gap = table_ii["dropout"] - table_ii["cnn"]
say(
    "The paper's Table II has {cnn:.4f} for the CNN and {dropout:.4f} with dropout. Each has a"
    " standard error of at least {error:.4f}; they are {gap:.4f} apart, less than that.",
    cnn=table_ii["cnn"],
    dropout=table_ii["dropout"],
    error=min(errors.values()),
    gap=gap,
    holds=gap < min(errors.values()),
)

# %% [markdown]
# ## What the standard error does not know
#
# It answers one question: how much is due to *which images were drawn*? It knows nothing of a difference between two kinds of images. Our two sets show it:

# %%
a, b = result.history.rows[-1]["accuracy"], accuracy
apart = abs(a - b) / math.sqrt(a * (1 - a) / len(watched) + b * (1 - b) / n)
say(
    "Same network: {a:.3f} of the held-out images, {b:.3f} of the test images. That is {apart:.1f}"
    " standard errors of the difference; by chance alone, two would be rare.",
    a=a,
    b=b,
    apart=apart,
    holds=apart > 1,
    agree=0.6,
)

# %% [markdown]
# The held-out images come from the same part of the file as those it learned from. The test images are its last part, and they are harder (lesson 00); perhaps other people wrote them, but who wrote which was not recorded. No number of
# held-out images would have shown that.
#
# And it does not know that another seed gives another network. That is lesson 12.
#
# ## Beside it: MNIST, from stored runs
#
# Two stored experiments, each with the CNN of this lesson. First two seeds of `lite`, with the careful protocol you have just followed:

# %%
made_with("mnist-lite-careful")
made_with("gate-mnist")
careful = [run for run in read_runs(results("mnist-lite-careful")) if run.run.variant == "cnn"][:2]
published = [run for run in read_runs(results("gate-mnist")) if run.run.variant == "cnn"]

figure, panels = plt.subplots(1, 2, figsize=(9, 3.3), sharey=True)
for axes, runs, images_each, title in (
    (panels[0], careful, 6000, "lite, careful protocol: 6,000 held-out images"),
    (panels[1], published, 1600, "published network and protocol: 1,600 test images"),
):
    for run, colour in zip(runs, (BLUE, GREEN), strict=False):
        iterations = np.array([row["iteration"] for row in run.rows])
        curve = np.array([row["accuracy"] for row in run.rows])
        two = 2 * np.sqrt(curve * (1 - curve) / images_each)
        axes.plot(iterations / 1000, curve, color=colour, marker=".", label=f"seed {run.run.seed}")
        axes.fill_between(iterations / 1000, curve - two, curve + two, color=colour, alpha=0.2)
    axes.set(title=title, xlabel="step (1,000s)", ylim=(0.5, 1.0), xlim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="lower right", title="band: ± 2 standard errors", fontsize=9, title_fontsize=9)
panels[0].set_ylabel("accuracy")
plt.show()

# %%
validation = np.array([run.rows[-1]["accuracy"] for run in careful])
tested = np.array([run.result["test_accuracy"] for run in careful])
errors = np.sqrt(validation * (1 - validation) / 6000 + tested * (1 - tested) / 10000)
say(
    "Left: after 5,000 steps {v0:.4f} and {v1:.4f} of the held-out images, and {t0:.4f} and"
    " {t1:.4f} of the whole test set. So on MNIST the two sets differ as well, by at least"
    " {apart:.1f} standard errors: for these networks the test images are easier than the held-out"
    " ones.",
    v0=validation[0],
    v1=validation[1],
    t0=tested[0],
    t1=tested[1],
    apart=((tested - validation) / errors).min(),
    holds=((tested - validation) / errors).min() > 2,
)

# %%
ends = [np.mean([row["accuracy"] for row in run.rows[-8:]]) for run in published]
never = [  # digits of which no image is right, by seed and evaluation
    [sum(row[f"right_{digit}"] == 0 for digit in range(10)) for row in run.rows]
    for run in published
]
say(
    "Right: larger filters and more of them, and more steps. Over its last eight evaluations seed 0"
    " is right in {first:.3f} of the cases, seed 1 in only {second:.3f}: of {never:.0f} of the ten"
    " digits it gets not one image right. At the first evaluation it was {start:.0f}; each stair in"
    " the curve is a digit that came back.",
    first=ends[0],
    second=ends[1],
    never=never[1][-1],
    start=never[1][0],
    holds=len(published) == 2
    and never[0][-1] == 0
    and never[1][0] > never[1][-1] > 0
    and (np.diff(never[1]) <= 0).all()
    and ends[1] < 1 - 0.08 * never[1][-1]
    and ends[0] > 0.95,
)

# %% [markdown]
# What holds it down is one line of the published code, **a ReLU on the ten logits**. A class whose logit is 0 for its own images gets no gradient from them, and stays out until the steps for other
# images happen to move it: the network has lost whole digits. Lesson 08 is about that. The plain network on the left, and ours, leave the logits as they are.

# %%
tail = np.array([row["accuracy"] for row in published[1].rows[-8:]])
error = math.sqrt(tail.mean() * (1 - tail.mean()) / 1600)
say(
    "The last eight evaluations of seed 1 scatter by only {scatter:.4f}, while each has a standard"
    " error of {error:.4f}.",
    scatter=tail.std(ddof=1),
    error=error,
    holds=tail.std(ddof=1) < 0.5 * error,
)

# %% [markdown]
# Is the standard error wrong then? No: all eight evaluations looked at nearly the *same* 1,600 images (the published code takes them from the first 1,700 or so of the test set, by way of a
# small shuffle buffer), so the luck of that draw is in all of them alike and does not show in the scatter.
# **A smooth curve is no proof of a precise number.**
#
# ## What to keep
#
# * Training is ten lines: batch, forward, loss, zero, backward, step. The rest is bookkeeping.
# * Pooling sends the derivative of a window to the place of its maximum, and nowhere else.
# * Decide on held-out images; look at test images once.
# * An accuracy from $n$ images has a standard error of $\sqrt{a(1-a)/n}$. Four times the images halve it.
# * It covers the draw of the images. It covers neither another kind of images, nor another seed, nor what you chose by looking.
#
# ## Exercises
#
# **1.** Write the backward pass of 2x2 max-pooling: given `x` of shape (H, W), both even, and `grad` of shape (H/2, W/2), return the derivative with respect to `x`. Of equal
# maxima in a window the first one, row by row, takes it all.


# %%
def max_pool_backward(x, grad): ...


check("05.1", max_pool_backward)

# %% [markdown]
# **2.** Write one step of training as a function that returns the loss as a Python number.


# %%
def train_step(model, optimizer, images, labels): ...


check("05.2", train_step)

# %% [markdown]
# **3.** How many images does it take until an accuracy near `accuracy` has a standard error of at most `error`? Return a whole number. (Then try it: how many to tell the two
# numbers of Table II above apart, with a standard error of a third of their difference?)


# %%
def images_needed(accuracy, error): ...


check("05.3", images_needed)

# %% [markdown]
# ## Read on
#
# * `minidrop/ops/pool.py`: max-pooling one place of the window at a time, without copying windows; the first of equal maxima wins.
# * `minidrop/paper/networks.py`: the network of the paper's program, that of its text, and the small one; what shape the images have after each stage.
# * `minidrop/paper/protocol.py`: `PAPER` and `CAREFUL`, one value each; the 100-element shuffle buffer.
# * `minidrop/paper/training.py`: the loop of this lesson in `Trainer.step`, and what a checkpoint has to hold.
# * `minidrop/serialization.py`: a file that is complete or not there at all.
# * `lessons/solutions/lesson_05.py`: solutions.
