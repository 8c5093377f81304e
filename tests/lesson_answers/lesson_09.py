"""Wrong answers to the exercises of lesson 09, and what the checker must say of each."""

import numpy as np

WRONG = {
    "1": [
        (lambda i, a, level: int((a >= level).argmax()), "position of the evaluation"),
        (lambda i, a, level: i[(a >= level).argmax()], "argmax of a mask"),
        (lambda i, a, level: i[a >= level][-1], "return the first"),
        (lambda i, a, level: next((k for k, b in zip(i, a, strict=True) if b > level), np.inf), "includes it"),
        (lambda i, a, level: next((k for k, b in zip(i, a, strict=True) if b >= level), -1), "expected math.inf"),
        (lambda i, a, level: i[a.argmax()], "2,000 already"),
        (lambda i, a, level: i[a >= level][0], "IndexError"),
    ],
    "2": [
        (lambda i, a, limit: a[i <= limit][-1], "evaluation at the limit"),
        (lambda i, a, limit: a.max(), "best of all"),
        (lambda i, a, limit: a[i < limit].max(), "itself counts"),
        (lambda i, a, limit: a[: (i == limit).argmax() + 1].max(), "3,999"),
    ],
    "3": [
        (lambda before, after, mean, end, every: (mean - before) / (after - before) * every, "count back"),
        (lambda before, after, mean, end, every: end - (after - mean) / (after - before) * every, "early in the stretch"),
        (
            lambda before, after, mean, end, every: end - every * (1 - (mean - before) / (after - before)),
            "early in the stretch",
        ),
        (lambda before, after, mean, end, every: end - (mean - before) / (after - before) * 1000, "rows every 500"),
        (lambda before, after, mean, end, every: end - every * mean / after if mean > 1.5 else 7500, "divide by `after`"),
        (lambda before, after, mean, end, every: end, "before .5"),
    ],
}
