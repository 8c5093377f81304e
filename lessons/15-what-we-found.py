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
# # 15 · What we found
#
# **You need** nothing to read the conclusions; lessons 08 to 12 to see where each comes from.
#
# **You get** the paper's claims one by one: which hold, which do not, which we could not decide and why; and a rule by which you can give the verdicts yourself.
#
# **Time** about 5 seconds on two cores.
#
# **New names** `minidrop.claims.evidence.Evidence`, `minidrop.claims.evidence.peak`, `minidrop.claims.evidence.whole_test`, `minidrop.claims.write.SECTIONS`, `minidrop.claims.theory.Draws`, `minidrop.claims.intervals.of_share`
#
# Fourteen lessons took a small paper apart. This page puts together what they found. Nothing is trained here: every number comes from a stored run, and each verdict is given by a rule, in code.
# The full list, with seeds, intervals and the command that runs each experiment again, is [CLAIMS.md](CLAIMS.md); `minidrop claims` makes it anew.

# %%
import matplotlib.pyplot as plt
import numpy as np

from checks import check
from lesson import BLUE, GREEN, ORANGE, RED, made_with, results, say
from minidrop.claims.evidence import Evidence, peak, whole_test
from minidrop.claims.intervals import of_share
from minidrop.claims.theory import Draws
from minidrop.claims.write import SECTIONS
from minidrop.reproduce.published import NAMES

evidence = Evidence(results("digits").parent)
claims = {claim.key: claim for _, found in SECTIONS for claim in found(evidence)}

# %% [markdown]
# ## The verdicts
#
# A claim is **reproduced** if the interval of the number that decides it lies on the claim's side, **not reproduced** if it lies on the other, and **undecided** if it reaches over both, or if what would
# decide it was never run. The last is the fate of all ten rows of Tables I and II: at full length the paper's network wants a GPU, and we had none. What we have instead is said below.

# %% tags=["thumbnail"]
verdicts = {"reproduced": GREEN, "undecided": "#bbbbbb", "not reproduced": RED}
figure, axes = plt.subplots(figsize=(8.5, 3.4))
names = []
for row, (title, found) in enumerate(SECTIONS[:4]):
    left = 0
    names.append(title.split(":")[0])
    for verdict, colour in verdicts.items():
        count = sum(claims[claim.key].verdict == verdict for claim in found(evidence))
        axes.barh(row, count, left=left, color=colour, label=verdict if row == 0 else None)
        if count:
            axes.text(left + count / 2, row, str(count), ha="center", va="center")
        left += count
axes.set_yticks(range(len(names)), names)
axes.invert_yaxis()
axes.set(xlabel="claims of the paper", xlim=(0, None))
axes.grid(visible=False)
figure.legend(loc="outside lower center", ncols=3)
plt.show()

# %%
of_paper = [claim for _, found in SECTIONS[:4] for claim in found(evidence)]
count = {verdict: sum(claim.verdict == verdict for claim in of_paper) for verdict in verdicts}
say(
    "Of {all:.0f} claims {yes:.0f} are reproduced, {no:.0f} are not, and {open:.0f} are undecided.",
    all=sum(count.values()),
    yes=count["reproduced"],
    no=count["not reproduced"],
    open=count["undecided"],
    holds=min(count.values()) > 0,
)

# %% [markdown]
# ## What holds
#
# **One DropAlan layer is on average what the paper says.** At a fixed input its mean output is the output for the mean mask, and beta's mean is close to a ReLU's. Two points of Section IV, and both figures of Section II, stand.

# %%
draws = Draws(results("draws"))
kinds = ["alpha", "beta", "beta-scaled", "dropout, ReLU", "dropout, sigmoid"]
figure, axes = plt.subplots(figsize=(8, 3.4))
for shift, layers, colour in ((-0.17, 1, BLUE), (0.17, 2, RED)):
    gaps = [draws.gap(kind, layers) for kind in kinds]
    axes.bar(
        np.arange(len(kinds)) + shift,
        [gap.value for gap in gaps],
        0.3,
        yerr=[[gap.value - gap.low for gap in gaps], [gap.high - gap.value for gap in gaps]],
        color=colour,
        capsize=3,
        label=f"{layers} layer{'s' if layers > 1 else ''}",
    )
axes.set_xticks(range(len(kinds)), kinds)
axes.set(ylabel="gap, as a share of the output")
axes.set_title("Mean output against output for the mean mask, 10,000 draws at each of 20 inputs")
axes.legend()
plt.show()
say(
    "One layer: the gap is below {alpha:.1%} (alpha) and {beta:.1%} (beta), the ends of the"
    " intervals. The largest distance of the mean output from a ReLU, for inputs from -5 to 2, is"
    " {like:.2f} for beta and {unlike:.2f} for alpha.",
    alpha=draws.gap("alpha", 1).high,
    beta=draws.gap("beta", 1).high,
    like=claims["alike-relu"].numbers["beta"],
    unlike=claims["alike-relu"].numbers["alpha"],
    holds=claims["expectation-linear"].verdict == claims["alike-relu"].verdict == "reproduced",
)

# %% [markdown]
# **It crashes, and the author's first suspicion was right in spirit.** He thought of a division by zero. The forward pass survives one, for the clip hides it. The backward pass does not: if one input z of the
# layer is exactly 0, the derivative of the composed formula is infinity times nothing, NaN, and one step later so are the weights. Write the same derivative down by hand, as one op, and no seed dies.

# %%
died = claims["crash-interventions"].numbers["died"]
labels = {
    "": "as published",
    "-linear": "linear\nlogits",
    "-detach": "detach",
    "-p_max=.95": "p_max\n.95",
    "-p_max=.8": "p_max\n.8",
    "-clip_norm=1": "gradient\nclipped",
    "-learning_rate=.001": "a tenth of\nthe step",
}
made_with("crash-zero")
figure, axes = plt.subplots(figsize=(8.5, 3.4))
for shift, side, colour, name in ((-0.17, 0, RED, "composed"), (0.17, 1, BLUE, "one op")):
    shares = [of_share(died[option][side], died[option][2]) for option in labels]
    axes.bar(
        np.arange(len(labels)) + shift,
        [share.value for share in shares],
        0.3,
        yerr=[
            [share.value - share.low for share in shares],
            [share.high - share.value for share in shares],
        ],
        color=colour,
        ecolor="#777777",
        capsize=2,
        label=name,
    )
axes.set_xticks(range(len(labels)), labels.values(), fontsize=8)
axes.set(ylabel="share of 8 seeds that died", ylim=(0, 1.4))
axes.legend(title="scaled beta, digits", fontsize=9, ncols=2, loc="upper right")
plt.show()
zero = claims["zero-rate"].numbers["all"]
say(
    "Composed as published {dead:.0f} of {seeds:.0f} seeds died; as one op {none:.0f} of"
    " {tries:.0f}, over all seven settings. The zeros come as often as float arithmetic says:"
    " {expected:.0f} expected over all recorded runs, {met:.0f} met. On CIFAR-10, in the `lite`"
    " network, {cifar:.0f} of {cifar_seeds:.0f} seeds died.",
    dead=died[""][0],
    seeds=died[""][2],
    none=sum(one for _, one, _ in died.values()),
    tries=sum(tries for _, _, tries in died.values()),
    expected=zero[0],
    met=zero[1].value,
    cifar=len(claims["crash"].numbers["died"]),
    cifar_seeds=claims["crash"].numbers["runs"],
    holds=claims["crash-division"].verdict == "reproduced"
    and died[""][0] > died[""][2] / 2
    and sum(one for _, one, _ in died.values()) == 0
    and zero[0] in zero[1],
)

# %% [markdown]
# **Scaled beta keeps up with dropout on MNIST.** That the paper has right, and it also holds if one measures with care: fully shuffled, with linear logits, on held-out images and then the whole test set.

# %%
comparisons = (
    ("cifar10-lite", peak, "CIFAR-10 (JPEG copy), lite: peaks"),
    ("mnist-lite", peak, "MNIST, lite: peaks"),
    ("mnist-lite-careful", whole_test, "MNIST, lite, careful: whole test set"),
)
for name, _number, _title in comparisons:
    made_with(name)
pairs = [
    ("beta-scaled", "dropout"),
    ("beta-scaled", "cnn"),
    ("beta-scaled", "beta"),
    ("beta", "cnn"),
    ("alpha", "cnn"),
]
figure, panels = plt.subplots(1, 3, figsize=(10.5, 3.2), sharey=True)
difference = {}
for axes, (name, number, title) in zip(panels, comparisons, strict=True):
    for row, (one, other) in enumerate(pairs):
        found = evidence[name].difference(one, other, number)
        difference[name, one, other] = found
        told = 0 not in found
        axes.errorbar(
            100 * found.value,
            row,
            xerr=[[100 * (found.value - found.low)], [100 * (found.high - found.value)]],
            fmt="o",
            color=BLUE if told else "#999999",
            capsize=3,
        )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("difference, points")
panels[0].set_yticks(range(len(pairs)), [f"{NAMES[one]} - {NAMES[other]}" for one, other in pairs])
panels[0].tick_params(axis="y", labelsize=8)
panels[0].invert_yaxis()
plt.show()
published = difference["mnist-lite", "beta-scaled", "dropout"]
careful = difference["mnist-lite-careful", "beta-scaled", "dropout"]
say(
    "Scaled beta minus dropout on MNIST: {p:+.2f} points ({pl:+.2f} to {ph:+.2f}) under the"
    " published protocol, {c:+.2f} ({cl:+.2f} to {ch:+.2f}) under the careful one. Blue above:"
    " intervals that leave out 0.",
    p=100 * published.value,
    pl=100 * published.low,
    ph=100 * published.high,
    c=100 * careful.value,
    cl=100 * careful.low,
    ch=100 * careful.high,
    holds=claims["scaled-as-dropout-mnist"].verdict == "reproduced"
    and careful.low > -0.01
    and careful.high < 0.01,
)

# %% [markdown]
# ## What does not hold
#
# **Two DropAlan layers are not expectation-linear.** The paper has it follow from the absence of activation functions. But k depends on z: the second layer's drop probability is a bent function of the first
# layer's noise. The red bars above: alpha and beta leave a gap, scaled beta leaves none that we could see. Networks of ReLUs are not either, as the paper says of others; but one layer of ReLU and
# dropout passes the paper's formula as it is written.

# %%
say(
    "Two layers: a gap of {alpha:.1%} (alpha) and {beta:.1%} (beta) of the output; with ReLU and"
    " dropout {relu:.1%}, with one layer of them at most {one:.1%}.",
    alpha=draws.gap("alpha", 2).value,
    beta=draws.gap("beta", 2).value,
    relu=draws.gap("dropout, ReLU", 2).value,
    one=draws.gap("dropout, ReLU", 1).high,
    holds=claims["compositions"].verdict == "not reproduced"
    and claims["relu-not-linear"].verdict == "not reproduced",
)

# %% [markdown]
# **Too many dropped units did not kill it.** The author's second suspicion, a drop rate near 1, is not borne out: before their death the networks kept as many units as those that lived.
#
# **The one reason for the scaling's success does not exist.** The paper asks whether the scale merely makes a better expectation at inference. On MNIST that is all of it; on digits it is a small part, and most of the
# gain comes from what the scale does to training. (`CLAIMS.md`, `why-scaling`, has every pair that was run.)

# %%
why = claims["why-scaling"].numbers
inference, training = (why[f"expectation, beta-linear{part}"] for part in ("", ", training"))
mnist = [why[f"mnist-lite, beta{part}"] for part in ("", ", training")]
before = claims["crash-drop-rate"].numbers
say(
    "Mean keep probability before death: {low:.2f} to {high:.2f}; of the survivors at the same"
    " time: {other_low:.2f} to {other_high:.2f}. What scaling brought to beta: on digits with linear"
    " logits {inference:.2f} points by an inference that agrees with training and {training:.2f} by"
    " training; on MNIST {mnist_inference:.2f} and {mnist_training:.2f}.",
    low=min(before["before"]),
    high=max(before["before"]),
    other_low=min(before["beside"]),
    other_high=max(before["beside"]),
    inference=100 * inference.value,
    training=100 * training.value,
    mnist_inference=100 * mnist[0].value,
    mnist_training=100 * mnist[1].value,
    holds=claims["crash-drop-rate"].verdict == "not reproduced"
    and training.low > 0
    and training.value > 2 * inference.value
    and mnist[0].low > 0
    and mnist[1].value < 0.3 * mnist[0].value,
)

# %% [markdown]
# **The maximum flatters less than we thought.** The paper reports the best of 88 to 250 evaluations on the same 1,600 test images, and we expected that to be well above the truth (lesson 12). So we measured the same
# weights on all 10,000 images too, at every evaluation.

# %%
made_with("fine")
above = claims["maximum"].numbers
gain = claims["granularity"].numbers["gain"]
figure, axes = plt.subplots(figsize=(8.5, 3.2))
run = evidence["fine"].of("beta-scaled")[0]
whole = evidence["fine-all"].of("beta-scaled")[0]
for one, colour, label in (
    (run, ORANGE, "first 1,600 test images, every 100 iterations"),
    (whole, BLUE, "all 10,000, every 100"),
):
    axes.plot(
        [row["iteration"] for row in one.rows],
        [row["accuracy"] for row in one.rows],
        color=colour,
        linewidth=0.8,
        label=label,
    )
best = max(run.rows, key=lambda row: row["accuracy"])
axes.plot(best["iteration"], best["accuracy"], "X", color=RED, markersize=9, label="the peak")
axes.set(xlabel="iteration", ylabel="accuracy", ylim=(0.4, None))
axes.set_title("CIFAR-10 (JPEG copy), lite, scaled beta, seed 0: one network, measured twice")
axes.legend(fontsize=8, loc="lower right")
plt.show()
say(
    "The best of {evaluations:.0f} evaluations on 1,600 images lies {above:+.1f} points"
    " ({above_low:+.1f} to {above_high:+.1f}) from the accuracy of the same weights on all 10,000."
    " Choosing the best moment adds {selection:.1f} points ({low:+.1f} to {high:+.1f}), and the"
    " first 1,600 images are harder than all by about as much: the two cancel. Looking ten times as"
    " often raises the peak by {gain:.1f} points.",
    evaluations=len(run.rows),
    above=100 * above["above"].value,
    above_low=100 * above["above"].low,
    above_high=100 * above["above"].high,
    selection=100 * above["selection"].value,
    low=100 * above["selection"].low,
    high=100 * above["selection"].high,
    gain=100 * gain.value,
    holds=abs(above["above"].value) < 0.005 < above["selection"].value
    and above["selection"].low < 0,
)

# %% [markdown]
# ## What we still do not know
#
# * **Tables I and II at full length.** Not yet run: the paper's network for 120,000 and 250,000 iterations, five seeds each. `CLAIMS.md` has the commands. Until then our runs stand beside the published curves at equal
#   iteration, one seed each, and there the answers are mixed.

# %%
apart = {
    name: claims[f"curves-{name}"].numbers
    for name in ("cifar10", "mnist")
    if f"curves-{name}" in claims
}
lost = apart["mnist"]["apart"]["cnn"][0]
say(
    "At equal iteration {same:.0f} of {all:.0f} networks on MNIST are where the published log is,"
    " within the error of two evaluations, and {same_c:.0f} of {all_c:.0f} on CIFAR-10. Our CNN on"
    " MNIST is {lost:.0f} points below: with the published ReLU on its logits this seed has lost"
    " three digits (lesson 08).",
    same=len(apart["mnist"]["same"]),
    all=len(apart["mnist"]["apart"]),
    same_c=len(apart["cifar10"]["same"]),
    all_c=len(apart["cifar10"]["apart"]),
    lost=-100 * lost,
    holds=-0.35 < lost < -0.25,
)

# %% [markdown]
# * **Whether it converges faster in general.** Measured as iterations to a fixed accuracy, and not as the place of a maximum. This is the paper's main claim, and the answer depends on the data and on what it is compared with:

# %%
faster = [
    claims[key].numbers["difference"]
    for key in ("faster-cifar10", "faster-cifar10-cnn", "faster-mnist")
]
answer = {
    key: claims[key].verdict for key in ("faster-cifar10", "faster-cifar10-cnn", "faster-mnist")
}
say(
    "Scaled beta against dropout on CIFAR-10: {a:+,.0f} iterations ({al:+,.0f} to {ah:+,.0f}),"
    f" {answer['faster-cifar10']}; against the CNN: {{b:+,.0f}} ({{bl:+,.0f}} to {{bh:+,.0f}}),"
    f" {answer['faster-cifar10-cnn']}; against dropout on MNIST: {{c:+,.0f}} ({{cl:+,.0f}} to"
    f" {{ch:+,.0f}}), {answer['faster-mnist']}.",
    a=faster[0].value,
    al=faster[0].low,
    ah=faster[0].high,
    b=faster[1].value,
    bl=faster[1].low,
    bh=faster[1].high,
    c=faster[2].value,
    cl=faster[2].low,
    ch=faster[2].high,
    holds=all(found.low < found.value < found.high for found in faster),
)

# %% [markdown]
# * **What happened in 2018.** The zero is a sufficient cause, its marks are those of the published log to the last digit, and its rate in the paper's network makes a death by 54,000 iterations likely. But the published
#   weights are gone. A step that was too large leaves similar marks, and nobody can look any more (lesson 10).
# * **Whether any of it carries over.** One small network, two small datasets, plain gradient descent. A single step towards today's practice, batch norm after the dense layer, changes more than all that this page compares (two seeds, so the order is a hint, and the gain of the CNN is not):

# %%
made_with("batchnorm")
norm = claims["batchnorm"].numbers
say(
    "With batch norm the CNN gains {cnn:.1f} points ({low:.1f} to {high:.1f}), dropout {dropout:.1f},"
    " beta {beta:.1f}; scaled beta {scaled:+.1f}, and its two seeds lie far apart. The CNN is then"
    " ahead of it by {ahead:.0f} points.",
    cnn=100 * norm["cnn"].value,
    low=100 * norm["cnn"].low,
    high=100 * norm["cnn"].high,
    dropout=100 * norm["dropout"].value,
    beta=100 * norm["beta"].value,
    scaled=100 * norm["beta-scaled"].value,
    ahead=-100 * norm["against"].value,
    holds=norm["cnn"].low > 0 and norm["dropout"].low > 0 and norm["against"].value < 0,
)

# %% [markdown]
# ## What to keep
#
# * A paper can be right about its formula, wrong about what follows from it, and right about a crash that it could not explain, all at once. Take it claim by claim.
# * Say beforehand which number decides, and which interval would decide it against you. Then let code give the verdict.
# * "Undecided" is a result. It says what to run next.
# * An interval over seeds is wider than one expects, and it is the honest one.
#
# ## Exercises
#
# **1.** Write the rule: given the two ends of the interval of a difference, return `"reproduced"`, `"not reproduced"` or `"undecided"` for the claim that the difference is above 0.


# %%
def verdict(low, high): ...


check("15.1", verdict)

# %% [markdown]
# **2.** Given the rows of a history (dictionaries with `"iteration"` and `"accuracy"`, in order) and an accuracy, return the iteration of the first row that has at least that accuracy, or `math.inf` if none has.


# %%
def reaches(rows, accuracy): ...


check("15.2", reaches)

# %% [markdown]
# **3.** Zeros come at a constant rate, `rate` of them expected per iteration, and the first one is the end. How probable is it that a run is still alive after `iterations`?


# %%
def alive(rate, iterations): ...


check("15.3", alive)

# %% [markdown]
# ## Read on
#
# * [CLAIMS.md](CLAIMS.md): every claim, its number, its interval, its command.
# * `minidrop/claims/ledger.py`: what a claim and a verdict are; `minidrop/claims/training.py`: the rules for those of this page.
# * `minidrop/claims/intervals.py`: three kinds of interval, for a mean, a share and a count.
# * `minidrop/reproduce/again.py`: does a stored run come out again, bit for bit?
# * `lessons/solutions/lesson_15.py`: solutions.
