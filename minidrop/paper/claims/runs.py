"""The experiments that the ledger uses: which question each answers, and the command that makes it, stored or not yet.

`minidrop claims` uses a folder as soon as it is in `results/` under its name. Every command can be interrupted and repeated:
with `--resume` it continues, or starts what does not exist yet.
"""

from __future__ import annotations

from typing import NamedTuple

_EIGHT = '"cnn dropout alpha beta beta-scaled alpha-slope=1.2 beta-p_max=.95 beta-scaled-p_max=.95"'
_GATE = "--evaluate-every 1000 --seeds 2"
_CONTRAST = "--evaluate-every 1000"
_WHY = '"beta beta-scaled beta-scaled-detach beta-p_max=0 alpha alpha-scaled'
_LINEAR = 'beta-linear beta-scaled-linear beta-scaled-detach-linear beta-p_max=0-linear alpha-linear alpha-scaled-linear"'
_STEPS = "--record-steps 200 --on-divergence stop"


class Planned(NamedTuple):
    """What an experiment is for, and the options of `minidrop reproduce` that make it."""

    purpose: str
    options: str


GATE = {
    "gate-mnist": Planned(
        "which settings made which log", f"--dataset mnist --network published --variants {_EIGHT} --iterations 20000 {_GATE}"
    ),
    "gate-cifar10": Planned(
        "the same", f"--dataset cifar10 --network published --variants {_EIGHT} --iterations 10000 {_GATE}"
    ),
    "gate-mnist-described": Planned(
        "the network of the text, as a contrast",
        f'--dataset mnist --network described --variants "dropout beta" --iterations 20000 {_CONTRAST}',
    ),
    "gate-cifar10-described": Planned(
        "the same", f'--dataset cifar10 --network described --variants "dropout beta" --iterations 10000 {_CONTRAST}'
    ),
}

# At full length, in the order in which they are to be made; seeds may be added later.
LONG = {
    "mnist-table": Planned("Table II", "--dataset mnist --network published --iterations 106000 --seeds 3"),
    "cifar10-table": Planned(
        "Table I, DropAlan",
        '--dataset cifar10 --network published --variants "alpha beta beta-scaled" --iterations 60000 --seeds 3',
    ),
    "cifar10-table-plain": Planned(
        "Table I, CNN and dropout",
        '--dataset cifar10 --network published --variants "cnn dropout" --iterations 125000 --seeds 3',
    ),
    "cifar10-described": Planned(
        "is the log of dropout one of dropout?",
        '--dataset cifar10 --network described --variants "cnn dropout" --iterations 50000 --evaluate-every 1000',
    ),
    "crash-published": Planned(
        "the crash, as published",
        '--dataset cifar10 --network published --variants "beta-scaled-composed" --iterations 125000 --seeds 3 '
        f"--evaluate-every 1000 {_STEPS}",
    ),
    "why-cifar10": Planned(
        "why scaling helped",
        '--dataset cifar10 --network published --variants "beta-scaled-detach beta-p_max=0" --iterations 45000 --seeds 3',
    ),
    "unlabelled-cifar10": Planned(
        "the log without a label", '--dataset cifar10 --network published --variants "alpha-scaled" --iterations 55000'
    ),
    "why-cifar10-lite": Planned(
        "why scaling helped, `lite`", f"--dataset cifar10 --variants {_WHY} {_LINEAR} --iterations 30000 --seeds 5"
    ),
    "why-mnist-lite": Planned(
        "why scaling helped, `lite`", f"--dataset mnist --variants {_WHY} {_LINEAR} --iterations 20000 --seeds 8"
    ),
    "batchnorm": Planned(
        "batch norm, `lite`",
        '--dataset cifar10 --variants "cnn dropout alpha beta beta-scaled cnn-batchnorm dropout-batchnorm alpha-batchnorm '
        'beta-batchnorm beta-scaled-batchnorm" --iterations 10000 --seeds 6',
    ),
    "fine": Planned(
        "evaluations every 100 iterations, of the same weights on 1,600 and on all 10,000 test images",
        '--dataset cifar10 --variants "dropout beta-scaled" --iterations 15000 --seeds 4 --evaluate-every 100',
    ),
    "fine-all": Planned(
        "the same, on all",
        '--dataset cifar10 --variants "dropout beta-scaled" --iterations 15000 --seeds 4 --evaluate-every 100 '
        "--evaluation-images 10000",
    ),
    "mnist-cnn": Planned(
        "how often a class is lost", '--dataset mnist --network published --variants "cnn" --iterations 50000 --seeds 8'
    ),
}
PLANNED = {**GATE, **LONG}


def command(name: str) -> str:
    """The command that makes an experiment of this name, into lessons/results."""
    return f"minidrop reproduce {PLANNED[name].options} --resume --out lessons/results/{name}"
