"""How much code a reader has to read to follow a gradient: `python -m tests.path_of_a_gradient [--package minidrop]`.

Every function of minidrop that is entered between `x @ w` and `w.grad` is counted with all of its lines of code (without
comments, docstrings and blank lines), also those that this call does not execute: a reader has to read past them. What only
guards (`guard/`, and the device switch in `backend.py`) is counted separately.
"""

from __future__ import annotations

import ast
import functools
import pathlib
import sys
from types import CodeType, FrameType
from typing import Any

import numpy as np

import minidrop as md

PACKAGE = pathlib.Path(md.__file__).parent
GUARDS = ("guard/", "backend.py", "errors.py", "threads.py")


@functools.cache
def functions(path: str) -> dict[int, set[int]]:
    """{first line: its lines of code} of each function in a file; a decorated one begins with its decorator."""
    source = pathlib.Path(path).read_text()
    tree = ast.parse(source)
    ignored = {number for number, line in enumerate(source.splitlines(), 1) if not line.strip() or line.strip()[0] == "#"}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                ignored |= set(range(first.lineno, (first.end_lineno or 0) + 1))
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            start = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
            found[start] = set(range(start, (node.end_lineno or 0) + 1)) - ignored
    return found


def entered(steps: Any) -> set[CodeType]:
    """The code of minidrop's functions that a call of `steps` enters."""
    seen = set()

    def trace(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            seen.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(trace)
    try:
        steps()
    finally:
        sys.setprofile(before)
    return seen


def path_of_a_gradient() -> dict[str, set[int]]:
    """{file: lines of code} that a matrix product, a sum and their backward pass through."""
    x = md.Tensor(np.ones((2, 3), dtype="float32"))
    w = md.Tensor(np.ones((3, 4), dtype="float32"), requires_grad=True)

    def steps() -> None:
        (x @ w).sum().backward()

    steps()  # so that one-time set-up is not counted
    lines: dict[str, set[int]] = {}
    for code in entered(steps):
        own = functions(code.co_filename).get(code.co_firstlineno, set())
        lines.setdefault(pathlib.Path(code.co_filename).relative_to(PACKAGE).as_posix(), set()).update(own)
    return {name: found for name, found in lines.items() if found}


def split(lines: dict[str, set[int]]) -> tuple[dict[str, int], dict[str, int]]:
    """The core with the ops, and what only guards: {file: how many lines of code}."""
    counts = {name: len(found) for name, found in sorted(lines.items())}
    guards = {name: count for name, count in counts.items() if name.startswith(GUARDS)}
    return {name: count for name, count in counts.items() if name not in guards}, guards


def main() -> None:
    for title, part in zip(("heart and ops", "guards"), split(path_of_a_gradient()), strict=True):
        print(f"{title}: {len(part)} files, {sum(part.values())} lines of code")
        for name, count in part.items():
            print(f"    {name:24} {count}")


if __name__ == "__main__":
    main()
