"""The ledger: every claim of the paper, what the stored runs show, and a verdict.

    minidrop claims              writes lessons/CLAIMS.md from lessons/results

Read `ledger.py` for what a claim and a verdict are; `evidence.py` for how numbers are read from stored runs; `intervals.py`
for their intervals; `rules.py` for how verdicts are given; `runs.py` for the experiments. The claims themselves: `gate.py`
(networks and logs), `tables.py` (Tables I and II), `orderings.py` (better, faster), `course.py` (Figure 4, dead units),
`lost.py`, `crash.py`, `zeros.py`, `theory.py` (expectations), `questions.py` (what the paper leaves open), `significance.py`.
"""
