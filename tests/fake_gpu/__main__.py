"""`python -m tests.fake_gpu [--gpus N] [ARGUMENTS OF PYTHON]`: build the fake GPU, if needed, and run Python on it.

    python -m tests.fake_gpu -m pytest -m gpu
    python -m tests.fake_gpu -m minidrop reproduce --dataset digits --device cuda

Exits with 77 and one line if it cannot be built here.
"""

from __future__ import annotations

import argparse
import os
import sys

from . import build

CANNOT = 77  # the exit code of a skipped test


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_gpu", description="Run Python with CuPy on a fake GPU.")
    parser.add_argument("--gpus", type=int, default=1, help="how many there are (default 1)")
    parser.add_argument("--cupy", choices=sorted(build.LINES), default="14.2", help="the line of CuPy (default 14.2)")
    parser.add_argument("arguments", nargs="*", help="what Python gets; without any the fake GPU is only built")
    own = sys.argv[1:]
    for index, word in enumerate(own):  # the rest is Python's: argparse would look for its own options in it
        ours = word.split("=")[0] in ("--gpus", "--cupy", "-h", "--help")
        if (word.startswith("-") and not ours) or word.endswith(".py"):
            own, rest = own[:index], own[index:]
            break
    else:
        rest = []
    options = parser.parse_args(own)
    rest = options.arguments + rest
    try:
        place = build.build(build.LINES[options.cupy])
    except build.CannotBuild as error:
        print(f"fake GPU: {error}")
        return CANNOT
    if not rest:
        print(f"the fake GPU lies in {place}")
        return 0
    python = str(place / "env/bin/python")
    sys.stdout.flush()
    os.execve(python, [python, *rest], build.environment(place, options.gpus))


if __name__ == "__main__":
    sys.exit(main())
