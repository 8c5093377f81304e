"""`python -m minidrop`, and the command `minidrop`: the command line of `command/`, if its packages are installed."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; if a package that it needs is missing, say how to install it."""
    try:
        from .command import main as command
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "minidrop":
            raise
        from .errors import install

        sys.exit(f"minidrop: the command line needs {error.name}\n  help: {install('reproduce')}")
    command()


if __name__ == "__main__":
    main()
