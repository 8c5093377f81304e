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
# # 00 · Start here
#
# **You need** Python, NumPy arrays, and from lesson 01 on a little calculus.
#
# **You get** the map of the sixteen lessons, how to run them on a CPU and on a GPU, how the exercises check themselves, and a first look at the digits that most of them work on.
#
# **Time** about 10 seconds on two cores.
#
# **New names** `md.__version__`, `md.datasets.digits`
#
# These lessons lead from the derivative of one number to the experiments of a small paper, *DropAlan: An Input-Weighted Approach to Dropout Regularization* (Casallas, 2018), and past it. Everything
# on the way is built in front of you in plain Python and NumPy first. Only then does `minidrop` do the same, and its source is short enough to be read: each lesson ends with where.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidrop as md
from checks import check
from lesson import BLUE, GREEN, ORANGE, PINK, RED, SKY, Untrue, full, made_with, say

print("minidrop", md.__version__)

# %% [markdown]
# ## The map
#
# An arrow says: this lesson builds on that one. Read them in the order of their numbers, and nothing is used before it was explained. In a hurry? The shortest way to the paper is 01, 02, 03, 06, 07; the
# detective story is 10.

# %% tags=["thumbnail"]
lessons = {  # number: (title, builds on, column, row)
    "00": ("Start here", "", 0, 0),
    "01": ("A derivative you\ncan step through", "00", 0, 1),
    "02": ("From numbers\nto arrays", "01", 1, 1),
    "03": ("Dense layers and\ncross-entropy", "02", 2, 1),
    "04": ("Convolution,\nthree ways", "02", 2, 2),
    "05": ("Training\na CNN", "03 04", 3, 2),
    "06": ("Dropout", "03", 3, 0),
    "07": ("DropAlan", "06", 4, 0),
    "08": ("MNIST:\nTable II", "05 07", 4, 1),
    "09": ("CIFAR-10:\nTable I", "08", 5, 1),
    "10": ("Autopsy\nof a crash", "07 09", 6, 0),
    "11": ("Expectation-\nlinear?", "07", 5, -0.9),
    "12": ("Is the difference\nreal?", "09", 6, 1),
    "13": ("NumPy,\nCuPy", "05", 5, 2),
    "14": ("Your own\ndistribution", "11 12", 7, -0.9),
    "15": ("What\nwe found", "10 11 12", 7, 0),
}
parts = {  # what belongs together
    "how a network learns": (BLUE, "00 01 02 03"),
    "images": (SKY, "04 05"),
    "dropping": (ORANGE, "06 07"),
    "the paper's experiments": (GREEN, "08 09"),
    "past the paper": (RED, "10 11 12 15"),
    "the workshop": (PINK, "13 14"),
}
colour_of = {number: colour for colour, numbers in parts.values() for number in numbers.split()}

figure, axes = plt.subplots(figsize=(9, 4.4))
boxes = {}
for number, (title, _needs, column, row) in lessons.items():
    style = {
        "boxstyle": "round,pad=0.4",
        "facecolor": "white",
        "edgecolor": colour_of[number],
        "linewidth": 2,
    }
    text = axes.text(
        column,
        -row,
        f"{number}\n{title}",
        ha="center",
        va="center",
        fontsize=7.5,
        bbox=style,
        zorder=2,
    )
    boxes[number] = text.get_bbox_patch()
for number, (_title, needs, column, row) in lessons.items():
    for need in needs.split():
        arrow = {
            "arrowstyle": "-|>",
            "color": "#777777",
            "patchA": boxes[need],
            "patchB": boxes[number],
        }
        axes.annotate("", (column, -row), (lessons[need][2], -lessons[need][3]), arrowprops=arrow)
for part, (colour, _numbers) in parts.items():
    axes.plot([], [], "s", color=colour, label=part)
axes.legend(loc="upper left", ncols=3, fontsize=9)
axes.set(xlim=(-0.6, 7.6), ylim=(-2.4, 1.5))
axes.axis("off")
plt.show()

# %%
later = [
    (number, need)
    for number, (_title, needs, _column, _row) in lessons.items()
    for need in needs.split()
    if need >= number
]
say(
    "{count} lessons, {arrows} arrows, and none points from a later lesson to an earlier one.",
    count=len(lessons),
    arrows=sum(len(needs.split()) for _title, needs, _column, _row in lessons.values()),
    holds=len(lessons) == 16 and not later,
)

# %% [markdown]
# ## How to run them
#
# You may read every lesson as it is: the pages carry their figures and outputs. To run them, in a checkout of the repository:
#
# ```sh
# python -m pip install ".[lessons]"
# minidrop lessons        # opens JupyterLab on them
# minidrop lessons 07     # opens that one
# ```
#
# * **On a CPU** nothing more is needed: two cores, no network. Each lesson takes at most two minutes; its first cell says how long.
# * **At real sizes**: `MINIDROP_LESSON_SCALE=full minidrop lessons`. The same pages then train longer and on more seeds, which may take hours, and some want MNIST or CIFAR-10 (`minidrop data fetch mnist`).
# * **On a GPU**: `python -m pip install ".[cuda12]"` (or `".[cuda13]"`) brings CuPy; `minidrop reproduce --device cuda` trains there, and lesson 13 shows the one line that it takes in your own code. The lessons
#   themselves run on the CPU. minidrop has **not yet been run on GPU hardware**: its GPU code runs in the tests on the real CuPy over a driver of host memory. `minidrop gpu` checks yours.
#
# In JupyterLab, Shift+Enter runs a cell. Each lesson is there twice: as a notebook, and as a plain `.py` file from which the notebook is made; edit whichever you like.

# %%
print("this page was run at", "full size" if full else "the small, default size")

# %% [markdown]
# ## Where the numbers in the prose come from
#
# No number measured by these pages was typed; those of the paper were, and they are named as such. A sentence with a number is a template that the run fills in, and with it goes a claim that the run must bear out:

# %%
coins = np.random.default_rng(0).integers(0, 2, 10_000)
say(
    "Of 10,000 tossed coins {share:.3f} came up heads.",
    share=coins.mean(),
    holds=abs(coins.mean() - 0.5) < 0.03,
)

# %% [markdown]
# If the claim is false, the page stops there. This is what you would see if it said that the coin is loaded:

# %%
try:
    say(
        "The coin is loaded: {share:.3f} of the tosses are heads.",
        share=coins.mean(),
        holds=coins.mean() > 0.6,
    )
except Untrue as error:
    print("Untrue:", error)

# %% [markdown]
# The tests of the repository run every lesson again from top to bottom and compare the new numbers with those on the page. The digits will differ a little on your machine (another processor, another order of
# adding up); the claims should not.
#
# Some experiments take longer than a lesson may. Their results are stored in `lessons/results/`, one folder each, as `minidrop reproduce` left them: a line per evaluation of every run, and with what they were made.
# Where a lesson uses one, a line like this says so:

# %%
made_with("digits")

# %% [markdown]
# ## How exercises check themselves
#
# Three exercises end each lesson. You fill in a function, run the cell, and `check` tries your function on data of its own. It does not only say whether the answer is wrong, it tries to say what is. A toy, number `00.0`: *return the
# mean of each row of a table*. Not answered yet:


# %%
def row_means(table): ...


check("00.0", row_means)

# %% [markdown]
# Wrong, in a way that the checker knows:


# %%
def column_means(table):
    return table.mean(axis=0)


check("00.0", column_means)

# %% [markdown]
# Wrong, because the function itself fails:


# %%
def misspelt(table):
    return table.meen(axis=1)


check("00.0", misspelt)

# %% [markdown]
# And right:


# %%
def right(table):
    return table.mean(axis=1)


check("00.0", right)

# %% [markdown]
# Your function gets copies, so you cannot spoil anything. Solutions lie in `lessons/solutions/`, one file per lesson.
#
# ## The digits
#
# Most lessons work on 1,797 handwritten digits of 8 x 8 pixels, which come with scikit-learn: real handwriting, and small enough to train on in seconds. `images` has the axes (image, channel, row, column), its pixels are whole numbers.

# %%
train, test = md.datasets.digits("train"), md.datasets.digits("test")
print("train:", train.images.shape, train.images.dtype, " test:", test.images.shape)

figure, panels = plt.subplots(4, 10, figsize=(9, 3.6))
for digit in range(10):
    for row in range(4):
        axes = panels[row, digit]
        axes.imshow(train.images[train.labels == digit][row * 20, 0], cmap="gray_r")
        axes.set(xticks=[], yticks=[])
    panels[0, digit].set_title(str(digit))
plt.show()

# %%
counts = np.bincount(train.labels, minlength=10)
say(
    "{train} images to train on and {test} to test, pixels from {low} to {high}; of each digit"
    " there are between {fewest} and {most} to train on. Always guessing the same digit would be"
    " right in about one case of ten.",
    train=len(train),
    test=len(test),
    low=train.images.min(),
    high=train.images.max(),
    fewest=counts.min(),
    most=counts.max(),
    holds=len(train) + len(test) == 1797
    and train.images.max() == 16
    and counts.min() > 0.09 * len(train),
)

# %% [markdown]
# How hard are they? Take the mean image of each digit, and call a new image by the nearest mean. No learning, a few lines:


# %%
def rows_of(data):
    return data.images.reshape(len(data), 64).astype("float64")  # bytes would wrap around below 0


def means_of(rows, labels):
    return np.stack([rows[labels == digit].mean(axis=0) for digit in range(10)])


def nearest_mean(rows, means):
    distances = ((rows[:, None, :] - means[None, :, :]) ** 2).sum(axis=2)  # (image, digit)
    return distances.argmin(axis=1)


means = means_of(rows_of(train), train.labels)
guesses = nearest_mean(rows_of(test), means)
table = np.zeros((10, 10), int)
np.add.at(table, (test.labels, guesses), 1)

figure, (left, right_axes) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=[1.25, 1])
framed = np.pad(means.reshape(10, 8, 8), ((0, 0), (1, 1), (1, 1)))
left.imshow(np.block([list(framed[:5]), list(framed[5:])]), cmap="gray_r")
left.set(xticks=[], yticks=[], frame_on=False, title="the mean image of each digit, 0 to 9")
left.grid(False)
right_axes.imshow(table, cmap="Blues")
for label, guess in np.argwhere(table):
    colour = "white" if table[label, guess] > 18 else "black"
    right_axes.text(
        guess, label, table[label, guess], ha="center", va="center", fontsize=8, color=colour
    )
right_axes.set(
    xlabel="guess", ylabel="label", xticks=range(10), yticks=range(10), title="test images"
)
right_axes.grid(False)
plt.show()

# %%
off_diagonal = table - np.diag(np.diag(table))
label, guess = np.unravel_index(off_diagonal.argmax(), (10, 10))
share = np.mean(guesses == test.labels)
left_out = []
for part in range(4):  # means of three quarters of the training images, tested on the fourth
    out = np.arange(len(train)) % 4 == part
    kept_means = means_of(rows_of(train)[~out], train.labels[~out])
    left_out.append(np.mean(nearest_mean(rows_of(train)[out], kept_means) == train.labels[out]))
say(
    "Right in {share:.3f} of the test images. The most frequent mistake: a {label} taken for a"
    " {guess}, {times} times.",
    share=share,
    label=label,
    guess=guess,
    times=off_diagonal.max(),
    holds=0.8 < share < 0.9,
)
say(
    "Of training images that were left out when the means were taken, {left_out:.3f} are sorted"
    " rightly. So these means have not learnt their images by heart; the test images, the last of"
    " the file, are harder than the others.",
    left_out=np.mean(left_out),
    holds=np.mean(left_out) > share + 0.03,
)

# %% [markdown]
# A network should do better than the nearest mean. Some in these lessons will not, and finding out why is what half of them are about.

# %% [markdown]
# ## What to keep
#
# * Read in the order of the numbers; the first cell of each lesson says what it needs and what you get.
# * Numbers come from the run or from a stored run whose origin is shown; a false sentence stops the page.
# * `check("NN.k", answer)` says what to mend. Nothing can break, so guess freely.
# * The nearest mean image is the baseline to beat on digits.
#
# ## Exercises
#
# **1.** Networks like small numbers around 0. Given `images`, bytes from 0 to 16 in any shape, subtract the mean of *all* pixels and divide by 16. Bytes cannot be negative: mind what happens to $3 - 5$.


# %%
def normalised(images): ...


check("00.1", normalised)

# %% [markdown]
# **2.** The table above: given the arrays `labels` and `guesses`, return 10 x 10 counts, the row is the label, the column the guess.


# %%
def table_of(labels, guesses): ...


check("00.2", table_of)

# %% [markdown]
# **3.** Instead of the nearest mean, find the nearest *training image*, and guess its label. `train_images` has shape (N, 64), `labels` (N,), `images` (M, 64); return M labels. (On the test set this is right more often than the nearest
# mean. Try it.)


# %%
def nearest_image(train_images, labels, images): ...


check("00.3", nearest_image)

# %% [markdown]
# ## Read on
#
# * `minidrop/datasets/__init__.py`: how data are found and checked; `datasets/README.md`: where they come from.
# * `lessons/lesson.py`: `say` and its kin; `lessons/checks.py`: how `check` finds out what is wrong.
# * `lessons/results/README.md`: the stored runs, and the commands that made them.
# * `lessons/solutions/lesson_00.py`: solutions.
