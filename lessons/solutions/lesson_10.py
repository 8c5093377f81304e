"""Solutions of lesson 10. ANSWERS says which is which."""

import numpy as np


def guarded_probability(z):
    """Never divide by anything above -1: 1 + .2 / -1 = .8 is the plateau. The comparison, for z >= 0, has no gradient."""
    return (1 + 0.2 / z.clip(None, -1)).clip(None, 0.999) * (z.data < 0)


def steps_until_a_zero(density, added_last, batch, units):
    """One over the expected number of zeros in a step."""
    return 1 / (density * float(np.spacing(np.float32(added_last))) * batch * units)


def diagnose(weights, logits):
    """Weights first: behind a ReLU that swallows NaN the logits do not tell."""
    if not all(np.isfinite(weight).all() for weight in weights):
        return "nan"
    return "dead logits" if not logits.any() else "alive"


ANSWERS = {"1": guarded_probability, "2": steps_until_a_zero, "3": diagnose}
