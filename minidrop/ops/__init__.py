"""One class per op: forward and backward in plain array code, the formula in the docstring. One file per family of ops."""
