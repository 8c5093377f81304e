"""cupy.ElementwiseKernel for the stand-in: the kernel's text compiled for the CPU, if there is a C++ compiler."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import operator
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import cupy_gpu
import numpy as np

COMPILER = shutil.which("g++")
TYPES = {
    "uint64": "unsigned long long",
    "int64": "long long",
    "int32": "int",
    "uint8": "unsigned char",
    "float32": "float",
    "float64": "double",
    "bool": "bool",
}


@functools.cache
def compiled(inputs, outputs, body, element):
    """The kernel as a C function: run(n, arguments ...)."""
    parameters, locals_ = [], []
    for index, text in enumerate(f"{inputs}, {outputs}".split(", ")):
        words = text.split()
        kind = TYPES.get(words[-2], element if words[-2] == "T" else None)
        name, is_output = words[-1], index >= len(inputs.split(", "))
        if is_output and words[0] == "raw":
            parameters.append(f"{kind}* {name}")
        elif is_output:
            parameters.append(f"{kind}* {name}_")
            locals_.append(f"{kind}& {name} = {name}_[i];")
        elif words[0] == "raw":
            parameters.append(f"const {kind}* {name}")
        else:
            parameters.append(f"const {kind}* {name}_, long long step_{name}")
            locals_.append(f"const {kind} {name} = {name}_[i * step_{name}];")
    source = (
        f"#include <cmath>\nusing std::exp;\nusing std::log;\ntypedef {element} T;\n"
        f'extern "C" void run(long long n, {", ".join(parameters)}) {{\n'
        f"for (long long i = 0; i < n; ++i) {{ {' '.join(locals_)}\n{body}\n}} }}\n"
    )
    folder = pathlib.Path(tempfile.gettempdir()) / f"minidrop_kernels_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    library = folder / f"{hashlib.sha256(source.encode()).hexdigest()[:20]}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            made = pathlib.Path(place) / "kernel.so"
            command = [COMPILER, "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-Werror", "-x", "c++", "-", "-o", str(made)]
            subprocess.run(command, input=source, text=True, check=True, capture_output=True)
            made.rename(library)
    return ctypes.CDLL(str(library)).run


def make_elementwise_kernel(ndarray, unbox, refuse):
    """cupy.ElementwiseKernel, outputs given."""

    class ElementwiseKernel:
        def __init__(self, in_params, out_params, operation, name="kernel"):
            self.inputs, self.outputs, self.body = in_params, out_params, re.sub(r"\s+\n", "\n", operation) + ";"
            self.kinds = [text.split() for text in f"{in_params}, {out_params}".split(", ")]
            self.count = len(out_params.split(", "))
            for words in self.kinds:
                if words[-2] not in (*TYPES, "T"):
                    raise TypeError(f"data type {words[-2]!r} not understood")

        def __call__(self, *arguments, size=-1):
            if len(arguments) == len(self.kinds) - self.count:
                raise refuse("unused", "outputs not given")
            if len(arguments) != len(self.kinds):
                raise TypeError(f"{len(self.kinds)} arguments wanted, outputs too, but {len(arguments)} given")
            hosts = [self._accept(value) for value in arguments]
            element = self._element(hosts)
            size, own_size = operator.index(size), size != -1
            looped = [host.shape for host, words in zip(hosts, self.kinds, strict=True) if is_looped(host, words)]
            if bool(looped) == own_size:
                raise ValueError("Loop size is undecided." if not looped else "'size' is for kernels with raw arrays only")
            shape = np.broadcast_shapes(*looped) if looped else (size,)
            if any(
                is_looped(*one) and one[0].shape != shape for one in list(zip(hosts, self.kinds, strict=True))[-self.count :]
            ):
                raise ValueError("Out shape is mismatched")
            run = compiled(self.inputs, self.outputs, self.body, TYPES[element])

            def launch():
                passed, kept = [], []
                for index, (host, words) in enumerate(zip(hosts, self.kinds, strict=True)):
                    array = np.array(host, dtype=element if words[-2] == "T" else words[-2], copy=None)
                    step = int(array.shape == shape and array.ndim > 0)
                    if is_looped(host, words) and array.ndim > 0 and not step:
                        array, step = np.broadcast_to(array, shape), 1
                    array = np.asarray(array, order="C")  # a kernel may be given any memory order
                    kept.append(array)
                    passed.append(ctypes.c_void_p(array.ctypes.data))
                    if words[0] != "raw" and index < len(hosts) - self.count:
                        passed.append(ctypes.c_longlong(step))
                run(ctypes.c_longlong(math.prod(shape)), *passed)
                for host, output in zip(hosts[-self.count :], kept[-self.count :], strict=True):
                    if output is not host:
                        host[...] = output

            if math.prod(shape):
                cupy_gpu.call(launch, changes=hosts[-self.count :])
            return arguments[-1] if self.count == 1 else arguments[-self.count :]

        def _accept(self, value):
            if isinstance(value, ndarray):
                return unbox(value)
            if not isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
                raise TypeError(f"Unsupported type {type(value)}")
            return value

        def _element(self, hosts):
            """The type T; raises if an array is of another type than its parameter."""
            element = None
            for index, (host, words) in enumerate(zip(hosts, self.kinds, strict=True)):
                kind = words[-2]
                if isinstance(host, np.ndarray):
                    element = str(host.dtype) if kind == "T" and element is None else element
                    if str(host.dtype) != (element if kind == "T" else kind):
                        raise TypeError(f"Type is mismatched. {words[-1]} {host.dtype} {kind}")
                elif words[0] == "raw" or index >= len(hosts) - self.count:
                    raise TypeError(f"{words[-1]}: an array wanted, {host!r} given")
            for host, words in zip(hosts, self.kinds, strict=True):
                if not isinstance(host, np.ndarray):
                    np.array(host, dtype=element or "float32" if words[-2] == "T" else words[-2])  # OverflowError
            return element or "float32"

    return ElementwiseKernel


def is_looped(host, words):
    return isinstance(host, np.ndarray) and words[0] != "raw"
