"""Solutions of lesson 12. ANSWERS says which is which."""

import itertools
import math

import numpy as np


def paired(a, b):
    """Differences first; their mean, and how far it scatters."""
    differences = a - b
    return differences.mean(), differences.std(ddof=1) / math.sqrt(len(differences))


def sign_flip_p(differences):
    """All 2^n patterns; the small allowance keeps rounding from deciding on ties."""
    patterns = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    means = (patterns * np.abs(differences)).mean(axis=1)
    return np.mean(np.abs(means) >= abs(np.mean(differences)) - 1e-12)


def seeds_needed(level):
    """The smallest p with n seeds is 2 / 2^n."""
    n = 1
    while 2 / 2**n > level:
        n += 1
    return n


ANSWERS = {"1": paired, "2": sign_flip_p, "3": seeds_needed}
