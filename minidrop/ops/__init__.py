"""One op, one class: forward and backward in plain array code, the formula in the docstring; a family per file."""
