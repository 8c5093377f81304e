"""The ledger: every claim of the paper, what the stored runs say of it, and a verdict.

    minidrop claims              writes lessons/CLAIMS.md from lessons/results

Read `ledger.py` for what a claim and a verdict are; `evidence.py` for how numbers are read off stored runs; `intervals.py` for
their intervals. The claims themselves: `tables.py` (Tables I and II), `training.py` (convergence, figures), `crash.py`,
`theory.py` (expectations), `questions.py` (what the paper leaves open), `significance.py` (what is real).
"""
