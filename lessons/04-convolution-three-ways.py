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
# # 04 · Convolution, three ways
#
# **You need** lessons 02 and 03; matrix products; complex numbers as far as $e^{i\varphi} = \cos\varphi + i \sin\varphi$.
#
# **You get** a convolution written as loops, as one matrix product and in frequencies: the same numbers three times, and a plot of what each costs.
#
# **Time** about 15 seconds on two cores.
#
# **New names** `md.functional.conv2d`, `md.nn.Conv2d`, `minidrop.ops.fourier`, `minidrop.ops.conv_choice`
#
# The dense layer of lesson 03 treats the 64 pixels of a digit as 64 unrelated numbers. Shuffle them, the same way for all images, and it learns just as well. It does not know that pixels have
# neighbours. A convolution does: it looks at a small window, and it asks the same question at every place. This lesson computes that in three ways which have nothing in common but the result.

# %%
import statistics
import time

import matplotlib.pyplot as plt
import numpy as np
from threadpoolctl import threadpool_limits

import minidrop as md
from checks import check
from lesson import BLACK, BLUE, RED, full, say
from minidrop.ops import conv_choice, fourier

digits = md.datasets.digits("train")
image = digits.images[3, 0].astype("float64") / digits.maximum  # (8, 8), grey values from 0 to 1

# %% [markdown]
# ## One question, asked everywhere
#
# Take a window of 3x3 pixels and nine weights, the **kernel**. Multiply and add up: one number. Move the window by a pixel, and do it again. The numbers form an image of answers.
#
# With weights of -1 on the left and +1 on the right the question is "does it get darker from left to right?"; turned by 90 degrees, "from top to bottom?"; with nine times 1/9, "how dark is it around here?".
# At the rim the window would look outside, so zeros are put around the image first: the **padding**. With one row of zeros on each side, an image of 8x8 gives 8x8 answers.

# %%
kernels = {
    "left to right": np.array([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
    "top to bottom": np.array([[-1.0, -1, -1], [0, 0, 0], [1, 1, 1]]),
    "around here": np.full((3, 3), 1 / 9),
}


def answers(image, kernel, padding):
    padded = np.pad(image, padding)
    rows, columns = (
        size - length + 1 for size, length in zip(padded.shape, kernel.shape, strict=True)
    )
    y = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            y[i, j] = (padded[i : i + kernel.shape[0], j : j + kernel.shape[1]] * kernel).sum()
    return y


figure, panels = plt.subplots(1, 4, figsize=(9, 2.5))
panels[0].imshow(image, cmap="gray_r")
panels[0].set_title("the image")
for axes, (question, kernel) in zip(panels[1:], kernels.items(), strict=True):
    picture = axes.imshow(answers(image, kernel, 1), cmap="RdBu_r", vmin=-3, vmax=3)
    axes.set_title(question)
figure.colorbar(picture, ax=panels, label="answer", shrink=0.8)
for axes in panels:
    axes.set(xticks=[], yticks=[])
plt.show()

shifted = np.roll(image, 1, axis=0)
shifted[0] = 0
inside = (
    answers(shifted, kernels["left to right"], 1)[2:-1],
    answers(image, kernels["left to right"], 1)[1:-2],
)
say(
    "Shift the image down by a row, and the answers shift with it: away from the rim they differ by"
    " {difference:g}. A dense layer from 64 pixels to 64 answers has {dense:,} weights; this one"
    " has {few}.",
    difference=np.abs(inside[0] - inside[1]).max(),
    dense=64 * 64,
    few=9,
    holds=np.array_equal(*inside),
)

# %% [markdown]
# A layer does this with $C$ images per input (colours, or the answers of the layer before; they are called **channels**) and $F$ kernels (**filters**), each of which looks at all channels:
#
# $$y[n, f, i, j] = \sum_{c, r, s} x[n, c, i + r, j + s] \; w[f, c, r, s].$$
#
# Here $n$ counts the images of the batch, $x$ is padded already. In mathematics a convolution runs through its kernel backwards, and this formula is called a cross-correlation; the whole field says convolution all the same.
#
# ## First way: loops
#
# The formula as it reads. Seven indices, seven loops.


# %%
def pad(x, padding):
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def by_loops(x, weight, padding):
    images, channels, height, width = pad(x, padding).shape
    filters, _, rows, columns = weight.shape
    padded = pad(x, padding)
    y = np.zeros((images, filters, height - rows + 1, width - columns + 1), x.dtype)
    for n in range(images):
        for f in range(filters):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    for c in range(channels):
                        for r in range(rows):
                            for s in range(columns):
                                y[n, f, i, j] += padded[n, c, i + r, j + s] * weight[f, c, r, s]
    return y


numbers = np.random.default_rng(0)
x = digits.images[:4].astype("float64") / digits.maximum  # (N, C, H, W) = (4, 1, 8, 8)
weight = numbers.normal(size=(3, 1, 3, 3))  # (F, C, R, S)
y_loops = by_loops(x, weight, padding=1)
alone = np.stack([[answers(one[0], kernel[0], 1) for kernel in weight] for one in x])
say(
    "Output shape {n} x {f} x {i} x {j}. Against the window by window version above: the largest"
    " difference is {difference:.0e}.",
    n=y_loops.shape[0],
    f=y_loops.shape[1],
    i=y_loops.shape[2],
    j=y_loops.shape[3],
    difference=np.abs(y_loops - alone).max(),
    holds=np.abs(y_loops - alone).max() < 1e-12,
)

# %% [markdown]
# It is easy to believe, and that is its worth: it is what the other two are tested against. But each product goes through the Python interpreter, which takes far longer to arrange it than the processor to compute it.
#
# ## Second way: every window a column
#
# For each answer we need a sum of products of a row of weights and the pixels of a window. That is what a matrix product is made of. So write every window as a **column** of one large matrix, and let one matrix product do
# all of it. The trick is known as **im2col**. Here for an image of 4x4 pixels, numbered, and a kernel of 3x3: four windows.


# %%
def columns_of(x, rows, columns, padding):
    """(N, C, H, W) -> (C R S, N H' W'): one column per window."""
    padded = pad(x, padding)
    images, channels = x.shape[:2]
    height, width = padded.shape[2] - rows + 1, padded.shape[3] - columns + 1
    matrix = np.empty((channels, rows, columns, images, height, width), x.dtype)
    for r in range(
        rows
    ):  # all windows at once: what each sees at its place (r, s) is a slice of the image
        for s in range(columns):
            matrix[:, r, s] = padded[:, :, r : r + height, s : s + width].swapaxes(0, 1)
    return matrix.reshape(channels * rows * columns, images * height * width)


def by_columns(x, weight, padding):
    filters, _, rows, columns = weight.shape
    height, width = x.shape[2] + 2 * padding - rows + 1, x.shape[3] + 2 * padding - columns + 1
    y = weight.reshape(filters, -1) @ columns_of(x, rows, columns, padding)
    return y.reshape(filters, len(x), height, width).swapaxes(0, 1)


small = np.arange(16).reshape(1, 1, 4, 4)
matrix = columns_of(small, 3, 3, 0)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.4))
for axes, grid, title in (
    (left, small[0, 0], "the image, and its first window"),
    (right, matrix, "its columns"),
):
    colour = np.isin(grid, [5, 6, 9, 10])  # the four pixels that all four windows see
    axes.imshow(np.where(colour, 0.55, 1.0), cmap="Blues_r", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(grid):
        axes.text(column, row, str(value), ha="center", va="center")
    axes.set(xticks=[], yticks=[], title=title)
    axes.grid(False)
left.add_patch(plt.Rectangle((-0.47, -0.47), 2.98, 2.98, fill=False, edgecolor=RED, linewidth=2))
right.add_patch(plt.Rectangle((-0.47, -0.47), 0.97, 8.94, fill=False, edgecolor=RED, linewidth=2))
right.set(xlabel="window", ylabel="place in the window")
plt.show()

y_columns = by_columns(x, weight, padding=1)
blow_up = columns_of(x, 3, 3, 1).size / x.size
say(
    "The same numbers: the largest difference from the loops is {difference:.0e}. The price is"
    " memory: the columns hold {blow_up:g} times as many numbers as the image.",
    difference=np.abs(y_columns - y_loops).max(),
    blow_up=blow_up,
    holds=np.abs(y_columns - y_loops).max() < 1e-12 and blow_up == 9,
)

# %% [markdown]
# The shaded pixels stand in all four columns. The arithmetic is that of the loops, product for product; only who does it has changed.
#
# Its backward pass needs nothing new. With the columns $X$, the kernels as the rows of $K$ and $y = K X$, lesson 03 gives $\partial L/\partial K = G X^T$ and $\partial L/\partial X = K^T G$, where $G$ is the upstream gradient. Each column
# of $\partial L/\partial X$ is then *added* to the pixels that it was copied from (exercise 2).
#
# ## Third way: frequencies
#
# Now something else altogether. Take one row of an image, and let it close to a circle of $L$ places: after the last pixel comes the first. Send a wave over it, $x[h] = \cos(2\pi f h / L)$, and convolve it with any kernel, say of
# three weights.

# %%
L = 48
places = np.arange(L)
kernel = np.array([0.3, -0.5, 1.2])


def on_circle(x, kernel):
    """y[i] = sum over r of x[i + r] kernel[r], the places counted around the circle."""
    return sum(np.roll(x, -r) * weight for r, weight in enumerate(kernel))


figure, panels = plt.subplots(1, 3, figsize=(9, 2.4), sharey=True)
left_over = []
for axes, f in zip(panels, (1, 4, 9), strict=True):
    wave = np.cos(2 * np.pi * f * places / L)
    response = on_circle(wave, kernel)
    # The best wave of the same frequency: a cosine and a sine, fitted; what is left over is what is not a wave of frequency f.
    basis = np.stack([wave, np.sin(2 * np.pi * f * places / L)], axis=1)
    left_over.append(
        np.abs(response - basis @ np.linalg.lstsq(basis, response, rcond=None)[0]).max()
    )
    axes.plot(places, wave, color=BLACK, linewidth=1, label="in")
    axes.plot(places, response, color=RED, label="out")
    axes.set(xlabel="place", title=f"frequency {f}")
panels[0].set_ylabel("value")
panels[0].set_ylim(-2.1, 2.1)
panels[2].legend(fontsize=9, ncols=2, loc="upper center")
plt.show()
say(
    "What comes out is a wave of the same frequency, larger or smaller, and shifted. Nothing else:"
    " the best fitting wave leaves {left_over:.0e}.",
    left_over=max(left_over),
    holds=max(left_over) < 1e-12,
)

# %% [markdown]
# Why? A convolution is a weighted sum of shifted copies, and a shifted wave is the same wave multiplied by a number, if we write it with complex numbers: with $e(t) = e^{2\pi i t / L}$,
#
# $$e(f (h + r)) = e(f r) \, e(f h) \qquad\text{so}\qquad \sum_r w[r] \, e(f (h + r)) = \underbrace{\Big(\sum_r w[r] \, e(f r)\Big)}_{W[f]} \; e(f h).$$
#
# So a wave of frequency $f$ only gets multiplied by one number, $W[f]$. And every row of pixels *is* a sum of waves, with the amplitudes $X[f] / L$, where $X[f] = \sum_h x[h] \, e(-f h)$, its **spectrum**. This is the **convolution theorem**:
#
# $$Y[f] = X[f] \; W[f], \qquad y[i] = \frac{1}{L} \sum_f Y[f] \, e(f i).$$
#
# One product per frequency, no matter how large the kernel is. To get the spectra and to come back, use matrices of all the $e(f h)$.

# %%
row = numbers.normal(size=L)
e = np.exp(2j * np.pi * np.outer(np.arange(L), places) / L)  # e[f, h]
spectrum = e.conj() @ row
response = e[:, :3] @ kernel
y_row = (e.T @ (spectrum * response)).real / L
say(
    "A random row of {L} pixels, by the theorem and by the definition: the largest difference is"
    " {difference:.0e}. `np.fft.fft` gives the same spectrum, up to {fft:.0e}.",
    L=L,
    difference=np.abs(y_row - on_circle(row, kernel)).max(),
    fft=np.abs(spectrum - np.fft.fft(row)).max(),
    holds=np.abs(y_row - on_circle(row, kernel)).max() < 1e-12
    and np.allclose(spectrum, np.fft.fft(row)),
)

# %% [markdown]
# ### The circle must be long enough
#
# Images do not close to a circle. Take a row of $H$ pixels. On a circle of only $L = H$ places, a window that looks beyond the right end sees the left end instead of the zeros that should be there. A few zeros between end and start mend that: with a padding of $p$, $L = H + p$. (Why not
# $2p$? The zeros behind the end are also the zeros before the start.) On a circle the kernel starts at place $-p$, which turns $e(f r)$ into $e(f (r - p))$.


# %%
def row_by_theorem(x, kernel, padding, L):
    """One row, `padding` zeros on both sides, on a circle of L places."""
    f = np.arange(L)[:, None]
    spectrum = np.exp(-2j * np.pi * f * np.arange(len(x)) / L) @ x
    response = np.exp(2j * np.pi * f * (np.arange(len(kernel)) - padding) / L) @ kernel
    back = np.exp(2j * np.pi * f.T * np.arange(len(x) + 2 * padding - len(kernel) + 1)[:, None] / L)
    return (back @ (spectrum * response)).real / L


pixels = 1 + np.cos(np.arange(16) / 3)
wide = np.full(7, 1 / 7)
definition = np.convolve(pixels, wide[::-1], mode="same")
short, enough = row_by_theorem(pixels, wide, 3, L=16), row_by_theorem(pixels, wide, 3, L=19)
figure, axes = plt.subplots(figsize=(7, 2.9))
axes.plot(definition, color=BLACK, linewidth=5, alpha=0.25, label="by the definition")
axes.plot(enough, "o", color=BLUE, markersize=5, label="circle of 16 + 3 places")
axes.plot(short, "x", color=RED, markersize=7, label="circle of 16 places")
axes.set(
    xlabel="place", ylabel="y", title="16 pixels, a kernel of 7, a padding of 3", ylim=(0, 2.2)
)
axes.legend(fontsize=9, loc="upper center")
plt.show()

wrong = np.abs(short - definition) > 1e-9
say(
    "On 16 places {wrong} answers are wrong, the first three and the last three. On 19 none is: the"
    " largest difference is {difference:.0e}.",
    wrong=wrong.sum(),
    difference=np.abs(enough - definition).max(),
    holds=wrong.sum() == 6
    and wrong[:3].all()
    and wrong[-3:].all()
    and np.abs(enough - definition).max() < 1e-12,
)

# %% [markdown]
# ### Two axes, and channels
#
# An image is transformed along its rows, then along its columns. The sum over channels stays a sum, so at each pair of frequencies stands one small matrix product, of $(N, C)$ and $(C, F)$.


# %%
def by_frequencies(x, weight, padding):
    height, width = x.shape[2:]
    rows, columns = weight.shape[2:]
    e = {  # for each axis: the way in for the image, the way in for the kernel, the way back
        name: transforms(size, length, padding, x.dtype)
        for name, size, length in (("h", height, rows), ("w", width, columns))
    }
    X = e["h"].image @ (x @ e["w"].image.T)  # (N, C, K, L): along each row, then along each column
    W = e["h"].kernel @ (weight @ e["w"].kernel.T)  # (F, C, K, L)
    Y = X.transpose(2, 3, 0, 1) @ W.transpose(
        2, 3, 1, 0
    )  # (K, L, N, F): a matrix product for each pair of frequencies
    return (e["h"].back @ (Y.transpose(2, 3, 0, 1) @ e["w"].back.T)).real


class transforms:
    """The matrices of waves for one axis."""

    def __init__(self, size, length, padding, dtype):
        L = size + padding
        f = np.arange(L)[:, None]
        kind = np.result_type(dtype, "complex64")  # complex numbers of the same precision
        self.image = np.exp(-2j * np.pi * f * np.arange(size) / L).astype(kind)
        self.kernel = np.exp(2j * np.pi * f * (np.arange(length) - padding) / L).astype(kind)
        self.back = (
            np.exp(2j * np.pi * f.T * np.arange(size + 2 * padding - length + 1)[:, None] / L) / L
        ).astype(kind)


y_frequencies = by_frequencies(x, weight, padding=1)
say(
    "Four digits, three kernels: the largest difference between frequencies and loops is"
    " {difference:.0e}.",
    difference=np.abs(y_frequencies - y_loops).max(),
    holds=np.abs(y_frequencies - y_loops).max() < 1e-12,
)


# %%
def spectrum_of(picture, side=9):
    """How strong each pair of frequencies is; the lowest in the middle."""
    return np.fft.fftshift(np.abs(np.fft.fft2(picture, (side, side))))


blur, edge = kernels["around here"], kernels["left to right"]
figure, panels = plt.subplots(2, 6, figsize=(9, 3.2), width_ratios=(1, 1, 1, 0.05, 1, 1))
for line, kernel, name in ((0, blur, "around here"), (1, edge, "left to right")):
    result = answers(image, kernel, 1)
    spectra = spectrum_of(image), spectrum_of(kernel)
    shown = [
        (image, "image", "gray_r"),
        (spectra[0] ** 0.5, "its spectrum", "magma"),
        (spectra[1], "kernel's spectrum", "magma"),
        None,
        ((spectra[0] * spectra[1]) ** 0.5, "the product", "magma"),
        (result, "back: answers", "gray_r" if line == 0 else "RdBu_r"),
    ]
    for axes, what in zip(panels[line], shown, strict=True):
        axes.axis("off")
        if what is not None:
            limits = {"vmin": -3, "vmax": 3} if what[2] == "RdBu_r" else {}
            axes.imshow(what[0], cmap=what[2], **limits)
            axes.set_title(what[1] if line == 0 else "", fontsize=9)
    panels[line, 0].text(-1.2, 3.5, name, rotation=90, ha="center", va="center", fontsize=9)
plt.show()

thirds = [1, 7]  # frequencies 3 and -3 of 9 places: waves that repeat every three pixels
blocked = max(spectrum_of(blur)[thirds].max(), spectrum_of(edge)[:, 4].max())
say(
    "In the middle stands the lowest frequency, the sum of all pixels: the blur lets it through"
    " whole ({whole:.2f}), and waves that repeat every three pixels not at all, since nine weights"
    " of 1/9 see one whole period of them. The edge kernel blots out the middle column: what does"
    " not change from left to right gets no answer. (What is let through there is below"
    " {limit:.0e}.)",
    whole=spectrum_of(blur)[4, 4],
    limit=1e-12,
    holds=abs(spectrum_of(blur)[4, 4] - 1) < 1e-12 and blocked < 1e-12,
)

# %% [markdown]
# ## The same in minidrop
#
# `conv2d` has all three; `algorithm=` picks one, and without it minidrop picks. The gradients come with it, each computed in the way of its algorithm: with $G$ the spectrum of the upstream gradient, those in frequencies are
# $G \, W^*$ and $X \, G^*$, products again, where a star, the complex conjugate, turns the direction of a shift around.

# %%
upstream = numbers.normal(size=y_loops.shape)
found = {}
for algorithm in ("loops", "im2col", "fourier"):
    x_tensor, weight_tensor = (
        md.Tensor(x, requires_grad=True),
        md.Tensor(weight, requires_grad=True),
    )
    y = md.functional.conv2d(x_tensor, weight_tensor, padding=1, algorithm=algorithm)
    (y * md.Tensor(upstream)).sum().backward()
    found[algorithm] = y.data, x_tensor.grad, weight_tensor.grad

ours = (
    by_loops(x, weight, 1),
    None,
    upstream.transpose(1, 0, 2, 3).reshape(3, -1) @ columns_of(x, 3, 3, 1).T,
)
print(f"{'difference from loops':26}{'y':>10}{'dL/dx':>10}{'dL/dw':>10}")
for algorithm, arrays in found.items():
    gaps = [
        np.abs(array - other).max() for array, other in zip(arrays, found["loops"], strict=True)
    ]
    print(f"{algorithm:26}" + "".join(f"{gap:10.0e}" for gap in gaps))

worst = max(
    np.abs(a - b).max() for name in found for a, b in zip(found[name], found["loops"], strict=True)
)
own = max(
    np.abs(found["loops"][0] - ours[0]).max(),
    np.abs(found["loops"][2].reshape(3, -1) - ours[2]).max(),
)
say(
    "Three algorithms, one output and two gradients: they agree to {worst:.0e}, and with ours of"
    " this page (y by loops, $G X^T$) to {own:.0e}.",
    worst=worst,
    own=own,
    holds=worst < 1e-12 and own < 1e-12,
)
md.gradcheck(
    lambda x, w: md.functional.conv2d(x, w, padding=1, algorithm="fourier"), [x[:1], weight]
)
layer = md.nn.Conv2d(1, 3, 3, padding="same", generator=md.Generator(0))
print(
    "as a layer:",
    layer(x.astype("float32")).shape,
    "weight",
    layer.weight.shape,
    "bias",
    layer.bias.shape,
)

# %% [markdown]
# ## What each has to do
#
# Count the multiplications. By the definition there are $N F H' W' C R S$ (for answers of $H' \times W'$, a kernel of $R \times S$), and im2col does them all. In frequencies a pair costs $4 N C F$ (a product of complex numbers is four of real ones), whatever the kernel's size; the transforms come on top.
# minidrop counts both for its cost model, `conv_choice`. A layer in the manner of the paper's second one, which has 64 channels: 16 images of 16x16, 32 channels to 32, forward and backward, padded so that the image keeps its size.

# %%
channels = 64 if full else 32
batch = 16
sizes = (1, 3, 5, 7, 9, 11)


def shape_of(
    kernel, images=batch, channels=channels, filters=channels, side=16, needs=(True, True)
):
    pad = (kernel // 2, kernel // 2)
    return conv_choice.Shape(
        images, channels, filters, (side, side), (kernel, kernel), (1, 1), (pad, pad), needs
    )


def multiplications(algorithm, shape):
    work = conv_choice.work(algorithm, shape)
    return work.large + work.small


counts = {
    name: np.array([multiplications(name, shape_of(size)) for size in sizes])
    for name in ("im2col", "fourier")
}
ratio = counts["im2col"] / counts["fourier"]
say(
    "From 3x3 to 11x11 the definition's multiplications grow {by_definition:.1f} times, those in"
    " frequencies {by_frequencies:.1f} times. At 1x1 the definition needs {one:.2f} times as many"
    " as frequencies, at 11x11 {eleven:.0f} times.",
    by_definition=counts["im2col"][-1] / counts["im2col"][1],
    by_frequencies=counts["fourier"][-1] / counts["fourier"][1],
    one=ratio[0],
    eleven=ratio[-1],
    holds=ratio[0] < 0.5 and ratio[-1] > 5 and counts["fourier"][-1] < 4 * counts["fourier"][1],
)

# %% [markdown]
# ## Three speeds
#
# Now by the clock. First the three functions of this page, forward only, on one image of 16x16 with 8 channels in and out: little enough for the loops. Then minidrop's two fast ones on the layer above, forward and backward. On one core; the loops once, the others by turns, so that a slow moment of the machine hits them alike, and of each the median.


# %%
def milliseconds(runs, turns):
    """The median time of each function, called by turns."""
    times = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:  # the first turn warms up
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def training(x, weight, padding, algorithm):
    """Forward and backward, in minidrop."""

    def run():
        x_tensor, weight_tensor = (
            md.Tensor(x, requires_grad=True),
            md.Tensor(weight, requires_grad=True),
        )
        y = md.functional.conv2d(x_tensor, weight_tensor, padding=padding, algorithm=algorithm)
        y.backward(y.data)

    return run


one_core = threadpool_limits(
    1
)  # matrix products on one core: the times then depend less on who else is using the machine
one = numbers.normal(size=(1, 8, 16, 16)).astype("float32")
many = numbers.normal(size=(batch, channels, 16, 16)).astype("float32")
page, library = {}, {}
for size in sizes:
    weights = numbers.normal(size=(8, 8, size, size)).astype("float32")
    ways = {"loops": by_loops, "im2col": by_columns, "frequencies": by_frequencies}
    slow = milliseconds({"loops": lambda w=weights, p=size // 2: by_loops(one, w, p)}, turns=1)
    fast = {
        name: lambda way=ways[name], w=weights, p=size // 2: way(one, w, p)
        for name in ("im2col", "frequencies")
    }
    page[size] = slow | milliseconds(fast, turns=25)
    weights = numbers.normal(size=(channels, channels, size, size)).astype("float32")
    library[size] = milliseconds(
        {name: training(many, weights, size // 2, name) for name in ("im2col", "fourier")}, turns=9
    )

# %% tags=["thumbnail"]
LOOK = {
    "loops": (BLACK, "^"),
    "im2col": (BLUE, "o"),
    "frequencies": (RED, "s"),
    "fourier": (RED, "s"),
}
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3.5))
for name in ("loops", "im2col", "frequencies"):
    colour, marker = LOOK[name]
    left.plot(sizes, [page[size][name] for size in sizes], marker=marker, color=colour, label=name)
for name in ("im2col", "fourier"):
    colour, marker = LOOK[name]
    middle.plot(sizes, counts[name] / 1e6, marker=marker, color=colour)
    right.plot(sizes, [library[size][name] for size in sizes], marker=marker, color=colour)
left.set(
    yscale="log",
    ylabel="milliseconds",
    title="this page: one image,\n8 channels, forward",
    ylim=(None, 4e5),
)
left.legend(fontsize=9, loc="upper left")
middle.set(
    ylabel="million multiplications",
    title=f"minidrop: {batch} images, {channels} channels,\nforward and backward: counted",
)
right.set(ylabel="milliseconds", title="the same: measured")
for axes in (left, middle, right):
    axes.set(xlabel="side of the kernel")
    axes.set_xticks(sizes)
for axes in (middle, right):
    axes.set_ylim(0, None)
plt.show()

slowest = page[7]
growth = {name: library[11][name] / library[3][name] for name in ("im2col", "fourier")}
say(
    "At 7x7 our loops took {loops:.0f} ms, our im2col {im2col:.2f} ms: {times:,.0f} times less for"
    " the same products. At 11x11, on this little work, im2col took {im2col_11:.2f} ms, frequencies"
    " {frequencies_11:.2f} ms.",
    loops=slowest["loops"],
    im2col=slowest["im2col"],
    times=slowest["loops"] / slowest["im2col"],
    im2col_11=page[11]["im2col"],
    frequencies_11=page[11]["frequencies"],
    agree=None,
    holds=slowest["loops"] > 5 * slowest["im2col"]
    and slowest["loops"] > 5 * slowest["frequencies"],
)
say(
    "In minidrop, from 3x3 to 11x11, im2col became {im2col:.1f} times as slow in this run,"
    " frequencies {fourier:.1f} times. At 11x11 im2col took {im2col_ms:.0f} ms, frequencies"
    " {fourier_ms:.0f} ms.",
    im2col=growth["im2col"],
    fourier=growth["fourier"],
    im2col_ms=library[11]["im2col"],
    fourier_ms=library[11]["fourier"],
    agree=None,
    holds=library[11]["im2col"] > 2 * library[11]["fourier"],
)

# %% [markdown]
# The axis on the left is logarithmic: the loops are in another league. In the middle, im2col bends upwards with the area of the kernel, and frequencies rise slowly: a kernel of 11x11 costs there less than twice what one of 3x3 costs (the circle gets longer with the padding).
# The clock, on the right, counts more than multiplications: memory, calls, and whoever else is using the machine. But where the counts lie far apart, so do the times.
# Mark the left panel too: with one image and 8 channels there are few products to save, and the transforms have little to pay them back.
#
# ## Which one, then?
#
# Nobody wants to choose by hand for each layer. `conv_choice` prices the work of each algorithm (multiplications, numbers moved, calls) in nanoseconds, measured once, and takes the cheapest one. It knows one more, `mixed`: frequencies along the height, windows along the width. That is for first layers: with 3 channels the products at each frequency are few, and most of the work would be to bring 64 filters back from a spectrum of two axes. Its verdict for some layers in training, batch 16:


# %%
def unpadded(kernel, channels, filters, side, needs=(True, True)):
    """A layer as the paper's program has them: Keras pads nothing by default."""
    return shape_of(kernel, 16, channels, filters, side, needs)._replace(padding=((0, 0), (0, 0)))


cases = [
    ("paper, MNIST: conv 1, 1 to 64 channels", unpadded(7, 1, 64, 28, (False, True))),
    ("paper, MNIST: conv 2, 64 to 64", unpadded(5, 64, 64, 11)),
    ("paper, CIFAR-10: conv 1, 3 to 64", unpadded(7, 3, 64, 32, (False, True))),
    ("lite, MNIST: conv 1, 1 to 16", unpadded(7, 1, 16, 28, (False, True))),
    ("lite, MNIST: conv 2, 16 to 32", unpadded(5, 16, 32, 11)),
    ("lite, digits: conv 2, 16 to 32", unpadded(2, 16, 32, 3)),
    ("a 1x1 layer, 64 to 64", shape_of(1, 16, 64, 64, 14)),
]
ways = ("im2col", "fourier", "mixed")
print(f"{'layer':40}{'kernel':>7}" + "".join(f"{way:>11}" for way in ways) + "   choice")
for name, shape in cases:
    costs = [f"{conv_choice.cost(way, shape) / 1e6:8.2f} ms" for way in ways]
    side = f"{shape.kernel[0]}x{shape.kernel[1]}"
    print(f"{name:40}{side:>7}" + "".join(costs) + f"   {conv_choice.fastest(shape)}")

chosen = {name: conv_choice.fastest(shape) for name, shape in cases}
say(
    "The paper's second layer, 5x5 over 64 channels, goes to frequencies: by the model {ratio:.1f}"
    " times cheaper. A 1x1 layer goes to im2col, and so does the first of the list, in spite of its"
    " 7x7: with one channel, and no gradient of the image wanted, there is too little to save for"
    " the transforms to pay. With three channels one axis of frequencies does.",
    ratio=conv_choice.cost("im2col", cases[1][1]) / conv_choice.cost("fourier", cases[1][1]),
    holds=[chosen[cases[i][0]] for i in (0, 1, 2, 6)] == ["im2col", "fourier", "mixed", "im2col"],
)
right_choices = [
    size
    for size in sizes
    if conv_choice.fastest(shape_of(size)) == min(library[size], key=library[size].get)
]
say(
    "For the layer timed above it would have picked the faster one in {right} of {all} cases, as"
    " this run measured them.",
    right=len(right_choices),
    all=len(sizes),
    agree=None,
    holds=11 in right_choices,
)
print("length of the circle for 14 pixels, kernel 7x7, 'same':", fourier.circle(14, (3, 3)))

# %% [markdown]
# ## The same numbers? In exact arithmetic
#
# In float64 the three agreed to some fifteen digits. Networks compute in float32, with seven, and then the ways differ in *where* the rounding goes. In the image an answer depends on its own window only. In frequencies everything
# is mixed before it is unmixed again: one very bright pixel leaves its rounding errors everywhere.

# %%
picture = numbers.normal(size=(1, 1, 16, 16)).astype("float32")
picture[0, 0, 4, 4] = 1e6  # one bright pixel
kernel = numbers.normal(size=(1, 1, 5, 5)).astype("float32")
exact = md.functional.conv2d(
    picture.astype("float64"), kernel.astype("float64"), padding=2, algorithm="im2col"
).data[0, 0]
errors = {
    algorithm: np.abs(
        md.functional.conv2d(picture, kernel, padding=2, algorithm=algorithm).data[0, 0] - exact
    )
    for algorithm in ("im2col", "fourier")
}
broken = picture.copy()
broken[0, 0, 4, 4] = np.inf
lost = {
    algorithm: ~np.isfinite(
        md.functional.conv2d(broken, kernel, padding=2, algorithm=algorithm).data[0, 0]
    )
    for algorithm in ("im2col", "fourier")
}

figure, panels = plt.subplots(1, 4, figsize=(9, 2.7))
for axes, algorithm in zip(panels[:2], errors, strict=True):
    map_ = axes.imshow(np.log10(errors[algorithm] + 1e-9), cmap="magma", vmin=-9, vmax=-1)
    axes.set_title(f"{algorithm}:\nrounding errors")
figure.colorbar(map_, ax=panels[:2], label="log10 of the error", shrink=0.8)
for axes, algorithm in zip(panels[2:], lost, strict=True):
    axes.imshow(lost[algorithm], cmap="Reds", vmin=0, vmax=1.3)
    axes.set_title(f"{algorithm}: one inf,\nanswers lost in red")
for axes in panels:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
plt.show()

far = {
    algorithm: error[8:, 8:].max() for algorithm, error in errors.items()
}  # windows that do not see the bright pixel
say(
    "Far from a pixel of a million, the errors of im2col are at most {im2col:.0e}, those in"
    " frequencies {fourier:.0e}. One inf spoils {few} of {all} answers by im2col, those whose"
    " window sees it, and {many} in frequencies.",
    im2col=far["im2col"],
    fourier=far["fourier"],
    agree=0.2,
    few=lost["im2col"].sum(),
    many=lost["fourier"].sum(),
    all=lost["fourier"].size,
    holds=far["fourier"] > 100 * far["im2col"]
    and lost["im2col"].sum() == 25
    and lost["fourier"].all(),
)

# %% [markdown]
# For images whose pixels are all of about one size, which is what networks see, the difference does not matter. Where it does, `algorithm="im2col"` is the way out. If you hunt for an inf (lesson 10), remember that it may have
# come from any pixel.
#
# ## What to keep
#
# * A convolution asks one small question at every place: few weights, and a shifted image gives shifted answers.
# * Loops say what it is; im2col makes it one matrix product, at the price of copies; in frequencies it is a product at each frequency, whatever the size of the kernel.
# * Waves are what a convolution only multiplies. That is the convolution theorem.
# * Count the work before you believe the clock: im2col grows with the area of the kernel, frequencies hardly.
# * The same numbers on paper are not the same in float32: the ways differ in how far an error or an inf spreads.
#
# ## Exercises
#
# **1.** A window may also move by more than one pixel at a time: that is the **stride**. How many answers are there along an axis of `size` pixels, with a kernel of length `kernel` and `padding` zeros on *each* side? A window that does not fit
# entirely does not count.


# %%
def output_size(size, kernel, stride, padding): ...


check("04.1", output_size)

# %% [markdown]
# **2.** The gradient of the image, for one image, one channel, one kernel, no padding: given `grad` $= \partial L/\partial y$ of shape $(H - R + 1, W - S + 1)$, the `kernel` $(R, S)$ and the `shape` $(H, W)$, return $\partial L/\partial x$. (Each $y[i, j]$ was made from a
# window of $x$: hand its gradient back to that window.)


# %%
def gradient_of_image(grad, kernel, shape): ...


check("04.2", gradient_of_image)

# %% [markdown]
# **3.** The theorem with `np.fft`: given a row `x` of $L$ real numbers and a `kernel` of at most $L$, return $y[i] = \sum_r x[(i + r) \bmod L] \; w[r]$, for all $i$, without a loop. (`np.fft.fft(w, L)` appends zeros to `w`, and sums with $e(-f r)$. Look at the sign in $W[f]$ above.)


# %%
def by_theorem(x, kernel): ...


check("04.3", by_theorem)

# %% [markdown]
# ## Read on
#
# * `minidrop/ops/im2col.py`: `Conv2dLoops` and `Conv2dIm2col`, forward and backward; `minidrop/ops/conv.py` chooses.
# * `minidrop/ops/fourier.py`: the theorem for both gradients, with strides, in real numbers only, and why dense matrices beat the fast Fourier transform at these sizes.
# * `minidrop/ops/mixed.py`: frequencies in one axis, windows in the other.
# * `minidrop/ops/conv_choice.py`: the cost model.
# * `lessons/solutions/lesson_04.py`: solutions.
