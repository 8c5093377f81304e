"""save and load: weights in the safetensors format, written so that a kill leaves the old file or the new one.

A safetensors file is a JSON header and raw numbers: it can be read by many programs, and reading it runs no code (a pickle
can). Module tensors are stored under their own names ("0.weight"); optimiser arrays under "optimizer:...", other arrays under
"state:..."; everything that is not an array is JSON in the header's metadata. So are digests (SHA-256) of that JSON and of each
array, which `load` compares: a flipped bit on a disk or on the way is an error that names what it hit.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .backend import is_array, to_numpy
from .errors import ArgumentError, StateError
from .nn.module import Module
from .optim import Optimizer
from .tensor import Tensor

OPTIMIZER = "optimizer:"
STATE = "state:"
METADATA_KEY = "minidrop"  # its value: a line of JSON, and a line with the digests (one key, for their order would be random)
HEADER = ""  # among the digests: that of the JSON; no array has this name


class Checkpoint(dict[str, Any]):
    """What `load` found: {"module": state dict, "optimizer": state dict or None, and the `state` given to `save` by name}.

    `checkpoint.module`, `.optimizer` and `.state` (all the rest, as a dict) are the same values as attributes.
    """

    @property
    def module(self) -> dict[str, Any]:
        """{name: array}: for `Module.load_state_dict`."""
        return self["module"]  # type: ignore[no-any-return]

    @property
    def optimizer(self) -> dict[str, Any] | None:
        """For `Optimizer.load_state_dict`; None if none was saved."""
        return self["optimizer"]  # type: ignore[no-any-return]

    @property
    def state(self) -> dict[str, Any]:
        """All other saved values, by name."""
        return {name: value for name, value in self.items() if name not in ("module", "optimizer")}


def save(path: str | os.PathLike[str], module: Module, optimizer: Optimizer | None = None, **state: Any) -> None:
    """Write a module's tensors, an optimiser's state and any further `state` (arrays, or what JSON can hold) to one file.

    As always with JSON, tuples are loaded as lists, and the keys of dicts as text.

    The file appears under its name only when it is complete and on the disk. GPU arrays are loaded as NumPy arrays.
    Raises ArgumentError, before anything is written, for state that is neither an array nor JSON.
    """
    path = _path("save", path)
    if path.is_dir():
        raise ArgumentError(f"save: {path} is a folder", expected="the name of a file", got="a folder")
    if not path.parent.is_dir():
        raise ArgumentError(f"save: no folder {path.parent}", expected="a folder that is there", got=str(path))
    if not isinstance(module, Module):
        help = "md.save(path, model, optimizer); it takes the model itself, not its state_dict()"
        raise ArgumentError("save: nothing to save", expected="a Module", got=type(module).__name__, help=help)
    _require_kinds("save", module, optimizer)
    arrays = {name: to_numpy(array) for name, array in module.state_dict().items()}
    plain: dict[str, dict[str, Any]] = {"optimizer": {}, "state": {}}
    parts = [("optimizer", OPTIMIZER, optimizer.state_dict() if optimizer else {}), ("state", STATE, state)]
    for part, prefix, values in parts:
        for name, value in values.items():
            value = value.data if isinstance(value, Tensor) else value.item() if isinstance(value, np.generic) else value
            if is_array(value) and value.dtype.kind in "fiub" and value.dtype.itemsize <= 8:
                arrays[prefix + name] = to_numpy(value)
            else:
                plain[part][name] = _require_json(name, value)
    from safetensors.numpy import save as to_bytes  # here, so that importing minidrop stays fast

    contiguous = {name: np.asarray(array, array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
    header = json.dumps({**plain, "has_optimizer": optimizer is not None, "has_digests": True})
    digests = {HEADER: _digest(header.encode()), **{name: _digest_of(array) for name, array in contiguous.items()}}
    write_atomically(path, to_bytes(contiguous, metadata={METADATA_KEY: f"{header}\n{json.dumps(digests)}"}))


def load(path: str | os.PathLike[str], module: Module | None = None, optimizer: Optimizer | None = None) -> Checkpoint:
    """Read a file that `save` wrote; if a module or an optimiser is given, its state is loaded into it too.

    A safetensors file from elsewhere is read as a module's tensors. Raises FileNotFoundError; StateError for a file that is
    damaged or not a safetensors file, and for names or shapes that do not fit (all of them listed; nothing is changed then).
    """
    from safetensors import SafetensorError, safe_open

    path = _path("load", path)
    _require_kinds("load", module, optimizer)
    if path.is_dir():
        raise ArgumentError(f"load: {path} is a folder", expected="a file that md.save wrote", got="a folder")
    if not path.is_file():
        raise FileNotFoundError(f"load: no file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        text = metadata.get(METADATA_KEY, "{}")
        if "\n" in text or "has_digests" in str(metadata):  # files from elsewhere, or of minidrop 0.2, have none
            _require_digests(path, text, arrays)
        header = json.loads(text.partition("\n")[0])
    except (SafetensorError, ValueError) as error:
        if isinstance(error, StateError):
            raise
        raise StateError(
            f"load: {path} cannot be read",
            expected="a complete safetensors file, as md.save writes it",
            got=f"{path.stat().st_size} bytes ({error})",
            help="PyTorch's .pt files are of another format"
            if path.suffix in (".pt", ".pth")
            else "a download or copy that broke off? md.save itself never leaves half a file",
        ) from error
    optimizer_state = {**header.get("optimizer", {}), **_with_prefix(arrays, OPTIMIZER)}
    own = {name: array for name, array in arrays.items() if not name.startswith((OPTIMIZER, STATE))}
    checkpoint = Checkpoint(module=own, optimizer=optimizer_state if header.get("has_optimizer") else None)
    checkpoint.update({**header.get("state", {}), **_with_prefix(arrays, STATE)})
    if optimizer is not None and checkpoint.optimizer is None:
        raise StateError(f"load: {path} holds no optimiser state", expected="a file saved with optimizer=", got="none in it")
    before = module.state_dict() if module is not None else {}
    if module is not None:
        module.load_state_dict(checkpoint.module)
    if optimizer is not None and checkpoint.optimizer is not None:
        try:
            optimizer.load_state_dict(checkpoint.optimizer)
        except StateError:
            if module is not None:
                module.load_state_dict(before)
            raise
    return checkpoint


def _path(name: str, path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(
            f"{name}: the path comes first", expected=f"md.{name}(path, module)", got=f"{type(path).__name__} as its path"
        )
    return Path(path).expanduser()


def _require_kinds(name: str, module: Any, optimizer: Any) -> None:
    for value, kind in ((module, Module), (optimizer, Optimizer)):
        if value is not None and not isinstance(value, kind):
            got = type(value).__name__
            help = f"md.{name}(path, module, optimizer); other things by name: md.save(..., epoch=3)"
            raise ArgumentError(f"{name}: not a {kind.__name__}", expected=f"a {kind.__name__}", got=got, help=help)


def _digest(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(array: Any) -> str:
    """Of a contiguous array: its type, its shape and its numbers."""
    return _digest(f"{array.dtype} {array.shape} ".encode() + array.tobytes())


def _require_digests(path: Path, text: str, arrays: dict[str, Any]) -> None:
    """Raise StateError unless everything has the digest stored with it."""
    header, _, stored = text.partition("\n")
    now = {HEADER: _digest(header.encode()), **{name: _digest_of(array) for name, array in arrays.items()}}
    try:
        before = dict(json.loads(stored))
    except (ValueError, TypeError):
        before = {}
    wrong = sorted(name for name in {*now, *before} if now.get(name) != before.get(name))
    if wrong:
        raise StateError(
            f"load: {path} is damaged",
            expected="what was saved, by the SHA-256 of each array",
            got="something else in " + ", ".join("the values that are no arrays" if name == HEADER else name for name in wrong),
            help="copy it again from where it came, or go back to an older file; nothing was loaded",
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its name always refers to the complete old file or the complete new one.

    An OSError, such as that of a full disk, names `path`.
    """
    try:
        _write_atomically(path, content)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # it named the temporary file, or none


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name has to reach the disk too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _with_prefix(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _require_json(name: str, value: Any) -> Any:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"save: cannot store {name!r}",
            expected="an array, or numbers, text, lists and dicts as in JSON",
            got=f"{type(value).__name__} ({error})",
        ) from None
    return value
