"""The self-check of a GPU, behind `minidrop gpu`: ops, capture, speed, each against the CPU.

programs.py   the table of programs: every op, through the public API
ops.py        the same programs, masks, optimisers and products on CPU and GPU
steps.py      training steps: op by op, captured, several at once; the speed table
report.py     which checks there are, what is printed of each, the verdict
"""

from .report import Line, selfcheck

__all__ = ["Line", "selfcheck"]
