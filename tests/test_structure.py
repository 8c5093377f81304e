"""The shape of the code: imports run one way, one door to CuPy, files that can be read in one sitting, rules in docstrings."""

from __future__ import annotations

import ast
import inspect
import pathlib
import subprocess
import sys
import tomllib

import pytest
from op_registry import OPS

import minidrop as md
from minidrop import backend, core, creation, functional, functions, images, losses, nn, optim, random, serialization
from minidrop.nn import module

PACKAGE = pathlib.Path(md.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    parts = ["minidrop", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Every module that a file imports, absolute names; also imports inside functions."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    names = {module_name(file) for file in FILES}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{source}.{alias.name}" if f"{source}.{alias.name}" in names else source


def find_cycle(graph):
    """A list of names that import each other in a circle, or None."""
    finished = set()

    def visit(name, path):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in finished:
            return None
        for target in sorted(graph.get(name, ())):
            if cycle := visit(target, [*path, name]):
                return cycle
        finished.add(name)
        return None

    return next((cycle for name in sorted(graph) if (cycle := visit(name, []))), None)


def test_imports_run_one_way():
    names = {module_name(path) for path in FILES}
    graph = {
        module_name(path): {target for target in imports_of(path) if target in names and target != "minidrop"} for path in FILES
    }
    assert graph["minidrop.tensor"] >= {
        "minidrop.core",
        "minidrop.operators",
        "minidrop.guard.operands",
    }  # the reader of imports works
    assert find_cycle(graph) is None


# What may import what: only from the same line or a line above.
WINGS = (
    "core errors",
    "backend threads",
    "random",
    "ops",
    "guard",
    "discrete",
    "operators",
    "tensor",
    "functions creation",
    "images losses",
    "functional optim",
    "nn",
    "serialization",
    "gpu",
    "capture",
    "tools datasets",
    "minidrop",
    "paper",
    "selfcheck",
    "command",
    "__main__",
)
LEVEL = {wing: level for level, line in enumerate(WINGS) for wing in line.split()}


def wing(name):
    """minidrop.ops.conv -> ops; minidrop.core -> core; minidrop -> minidrop."""
    return name.split(".")[1] if "." in name else name


def against_the_order(graph):
    """[(who, whom)] of imports against the order."""
    return [(name, target) for name in graph for target in graph[name] if LEVEL[wing(name)] < LEVEL[wing(target)]]


def test_wings_import_only_what_stands_before_them():
    names = {module_name(path) for path in FILES}
    graph = {module_name(path): {target for target in imports_of(path) if target in names} for path in FILES}
    assert {wing(name) for name in names} == set(LEVEL)
    assert against_the_order(graph) == []
    assert graph["minidrop.core"] == set()


def test_an_import_against_the_order_is_found():
    graph = {"minidrop.ops.conv": {"minidrop.core", "minidrop.gpu.kernels"}, "minidrop.guard": {"minidrop.backend"}}
    assert against_the_order(graph) == [("minidrop.ops.conv", "minidrop.gpu.kernels")]


def test_the_search_for_cycles_finds_one():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_backend_alone_imports_cupy():
    doors = [path.name for path in FILES if any(name.split(".")[0] == "cupy" for name in imports_of(path))]
    assert doors == []  # not even there at import: by name, when a GPU array is first asked for
    assert [path.name for path in FILES if 'import_module("cupy")' in path.read_text()] == ["backend.py"]


def test_ops_are_written_for_both_libraries():
    """No op imports NumPy: it asks array_module for the library of its input."""
    constants = {"fourier.py", "mixed.py", "waves.py", "products.py"}  # matrices that are constants, and BLAS
    for path in (PACKAGE / "ops").glob("*.py"):
        if path.name in constants:
            continue
        assert "numpy" not in set(imports_of(path)), path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 320


def public_functions():
    for owner in (functional, functions, images, losses, creation, backend, random, serialization, md.gradcheck, md.draw_graph):
        if inspect.isfunction(owner):
            yield owner.__name__, owner
            continue
        for name, value in vars(owner).items():
            if inspect.isfunction(value) and value.__module__ == owner.__name__ and not name.startswith("_"):
                yield f"{owner.__name__}.{name}", value


def test_functions_of_arrays_say_their_rule_in_the_first_line():
    """First line of the docstring: what goes in -> what comes out."""
    without = [name for name, function in public_functions() if "->" not in (function.__doc__ or "").splitlines()[0]]
    about_no_array = {
        "current_capture",
        "capturing",
        "has_kernels",
        "keep_freed_memory",
        "set_capture",
        "use_tf32",
        "device_name",
        "normalise_device",
        "require_device",
        "run_on",
        "default_generator",
        "manual_seed",
        "save",
        "load",
        "write_atomically",
    }
    assert {name.rpartition(".")[2] for name in without} <= about_no_array


def test_functional_is_the_one_namespace():
    """It re-exports what functions.py, images.py and losses.py define; what is in __all__ of minidrop is there."""
    for owner in (functions, images, losses):
        for name, value in vars(owner).items():
            if inspect.isfunction(value) and value.__module__ == owner.__name__ and not name.startswith("_"):
                assert getattr(functional, name, None) is value, name
    assert all(hasattr(md, name) for name in md.__all__)
    made = [name for name, value in vars(creation).items() if getattr(value, "__module__", "") == creation.__name__]
    assert {name for name in made if not name.startswith("_")} <= set(md.__all__)


def test_ops_and_layers_say_their_rule_in_the_first_line():
    classes = [value for value in vars(nn).values() if inspect.isclass(value) and issubclass(value, module.Module)]
    layers = [kind for kind in classes if kind not in (module.Module, nn.Sequential)]
    for kind in [entry.op for entry in OPS.values()] + layers:
        assert "->" in (kind.__doc__ or "").splitlines()[0], kind
    assert len(layers) > 8


def test_public_names():
    """What the issue fixes: names and signatures that others rely on."""
    for name in (
        "Tensor Alpha Beta Generator manual_seed gradcheck draw_graph save load no_grad detect_anomaly where concatenate stack "
        "maximum minimum functional nn optim datasets"
    ).split():
        assert hasattr(md, name), name
    for name in "conv2d max_pool2d log_softmax softmax_cross_entropy dropout dropalan drop_probability batch_norm".split():
        assert callable(getattr(functional, name)), name
    names = "Module Sequential Dense Conv2d MaxPool2d Flatten ReLU ELU Dropout DropAlan BatchNorm1d BatchNorm2d"
    for name in names.split():
        kind = getattr(nn, name)
        assert issubclass(kind, module.Module)
        for method in "train eval parameters named_parameters state_dict load_state_dict to".split():
            assert callable(getattr(kind, method))
    for function, start in {
        functional.conv2d: "(x, weight, bias=None, stride=1, padding=0, algorithm='auto')",
        functional.max_pool2d: "(x, kernel_size, stride=None, padding=0)",
        functional.log_softmax: "(x, axis=-1)",
        functional.softmax_cross_entropy: "(logits, labels)",
        functional.dropout: "(x, rate, training=True, mask=None, generator=None, return_mask=False)",
        functional.dropalan: "(z, distribution='beta', scaled=False, scale_gradient='through', inference='identity', training=True, "
        "mask=None, generator=None, return_mask=False)",
        optim.SGD: "(parameters, lr, momentum=0.0, nesterov=False, weight_decay=0.0)",
        optim.Adam: "(parameters, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)",
        md.Alpha: "(slope=0.8, limit=0.8)",
        md.Beta: "(c=0.2, p_max=0.999)",
        md.Tensor: "(data, requires_grad=False, dtype=None)",
    }.items():
        parameters = inspect.signature(function).parameters.values()
        bare = inspect.Signature([parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters])
        assert str(bare) == start
    for function, names in {
        md.gradcheck: ["function", "inputs", "seed"],
        md.save: ["path", "module", "optimizer", "state"],
        md.load: ["path"],
        nn.Dense: ["in_features", "out_features", "bias"],
        nn.Conv2d: ["in_channels", "out_channels", "kernel_size", "stride", "padding"],
        md.Tensor.backward: ["self", "grad"],
    }.items():
        assert list(inspect.signature(function).parameters)[: len(names)] == names


def test_an_op_without_forward_or_backward_says_so():
    class Nothing(core.Op):
        pass

    class OnlyForward(core.Op):
        def forward(self, x):
            return x + 0

    x = md.Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"Nothing has no forward\(\)"):
        md.apply(Nothing(), x)
    with pytest.raises(TypeError, match=r"OnlyForward has no backward\(\)"):
        md.apply(OnlyForward(), x).backward()


def test_importing_is_cheap():
    """Modules that minidrop itself brings in, beyond NumPy's: few, and none of the slow ones."""
    code = "import numpy, sys; before = set(sys.modules); import minidrop; print(*sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    others = [name for name in result.stdout.split() if not name.startswith("minidrop")]
    assert not {"dataclasses", "inspect", "asyncio", "unittest", "http", "safetensors"} & set(others), others


TOP = {"minidrop", "lessons", "tests", "datasets", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
TOP |= {".ci", ".gitignore"}
LARGEST = 2**20  # of a file, in bytes: a notebook with its figures takes half of that


def strangers(files):
    """Of {path: size}: what lies beside the wings at the top, and what is too large."""
    return sorted(path for path, size in files.items() if path.split("/")[0] not in TOP or size > LARGEST)


def test_nothing_but_the_project_is_committed():
    root = ROOT
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [name for name in listed.stdout.split("\0") if name and (root / name).exists()]
    assert len(files) > 200
    assert strangers({name: (root / name).stat().st_size for name in files}) == []


def test_a_stranger_is_found():
    files = {"README.md": 10, "py_spy-0.4.3.whl": 3 * 2**20, "lessons/results/x.csv": 2 * 2**20, "notes/a.md": 1}
    assert strangers(files) == ["lessons/results/x.csv", "notes/a.md", "py_spy-0.4.3.whl"]


def missing_packages(listed, folders):
    return sorted(set(folders) - set(listed))


def test_the_wheel_holds_every_package():
    """An editable install, such as CI's, would not notice a package that is not listed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = [".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")]
    listed = settings["tool"]["setuptools"]["packages"]
    assert len(folders) > 8 and missing_packages(listed, folders) == []
    assert missing_packages([name for name in listed if name != "minidrop.optim"], folders) == ["minidrop.optim"]
