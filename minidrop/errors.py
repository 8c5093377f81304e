"""Errors that explain: what was expected, what was given, and one line of help."""

from __future__ import annotations

from collections.abc import Iterable


class MinidropError(Exception):
    """Base of every error that minidrop raises on purpose.

    `problem` names the function or op and says what is wrong; `expected`, `got` and `help` are one line each and optional.
    A layer that the error passes through on its way up adds its own name (`inside`), so that the message of an error deep in
    a network says which layer it was.
    """

    def __init__(self, problem: str, *, expected: str = "", got: str = "", help: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.got = got
        self.help = help
        self.layers: list[str] = []

    def inside(self, layer: str) -> None:
        """Note that the error passed through `layer`; the innermost layer comes first."""
        self.layers.append(layer)

    def __str__(self) -> str:
        lines = [self.problem]
        if self.layers:
            lines.append("  in layer: " + ", in ".join(self.layers))
        lines += [
            f"  {label}: {text}"
            for label, text in (("expected", self.expected), ("got", self.got), ("help", self.help))
            if text
        ]
        return "\n".join(lines)


class ShapeError(MinidropError, ValueError):
    """Shapes, ranks or sizes that do not fit."""


class ArgumentError(MinidropError, ValueError):
    """An argument outside the values that it may take."""


class DTypeError(MinidropError, TypeError):
    """Number types that do not fit, or data that is not numbers."""


class DeviceError(MinidropError, RuntimeError):
    """A device that is not available, or arrays on different devices."""


class GraphError(MinidropError, RuntimeError):
    """A request that the graph cannot meet, such as a second `backward`."""


class ModifiedError(GraphError):
    """An array that backward still needed was changed in place after the forward pass."""


class AnomalyError(MinidropError, ArithmeticError):
    """Under `detect_anomaly`: the first op whose output or gradient is not finite."""


class GradientError(MinidropError, AssertionError):
    """`gradcheck` found a gradient that is wrong."""


class StateError(MinidropError, ValueError):
    """A state dictionary or file whose names or shapes do not fit what it is loaded into."""


class CaptureError(MinidropError, RuntimeError):
    """A step that cannot be captured as a CUDA graph."""


class DataError(MinidropError, ValueError):
    """A data file that is missing or has the wrong content, or a missing package that is needed to read or write it."""


def missing_package(problem: str, packages: str, extra: str, error: ImportError) -> DataError:
    """The error to raise when an optional package cannot be imported; `extra` of minidrop installs it."""
    return DataError(problem, expected=packages, got=str(error), help=install(extra))


def install(extra: str) -> str:
    """The command that installs `extra`: from the checkout, for minidrop is on no package index."""
    return f'python -m pip install ".[{extra}]" in the checkout'


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Say "did you mean 'dropout'?", of the one of `words` that is closest to `word`; "" if none is close."""
    import difflib  # here, so that importing minidrop stays fast

    by_letters = {other.casefold(): other for other in words}
    close = difflib.get_close_matches(word.casefold(), by_letters, n=1)
    return f"did you mean {by_letters[close[0]]!r}?" if close else ""
