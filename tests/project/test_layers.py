"""Imports run downward only, read from the source; and importing pyham stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyham

ROOT = Path(pyham.__file__).parent.parent

#: The rooms of each package from the bottom up; a room imports what stands before it, and inside a room nothing imports
#: in a circle. ``__init__``, and what users see as one, stand where their names are listed.
ROOMS = {
    "pyham": [
        *("_version", "_check", "files", "architectures", "engines", "network", "verification", "data", "training"),
        *("loading", "images", "distributed", "sweep", "interop", "teaching", "_aliases", "__init__"),
        *("commands", "__main__"),
    ],
    "validation": None,  # no rooms inside: one circle-free floor
    "figures": None,
    "benchmarks": None,
}
OUTSIDE = {  # what each package may import of this repository
    "pyham": {"pyham"},
    "validation": {"pyham", "validation"},
    "figures": {"pyham", "validation", "figures"},
    "benchmarks": {"pyham", "figures", "benchmarks"},
}
#: The imports that look up: ``arch.init(rng)`` makes a network, and ``explain`` of networks and of estimators is a
#: function of teaching that users look for where everything else is asked of them.
UPWARD = {
    ("pyham.architectures.interface", "pyham.network"),
    ("pyham.network", "pyham.teaching.explain"),
    ("pyham.interop.sklearn_base", "pyham.teaching.explain_model"),
}


def modules(package):
    """Every module of a package by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
    }


ALL = {name: path for package in ROOMS for name, path in modules(package).items()}


def imports(name):
    """Modules that one imports anywhere: at the top, inside functions, and for type checkers only."""
    found = set()
    for node in ast.walk(ast.parse(ALL[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            deeper = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in ALL else node.module for full in deeper}
    return found


def internal(name):
    return {other for other in imports(name) if other in ALL and other != name}


def external(name):
    return {other.split(".")[0] for other in imports(name)} - set(ROOMS)


def room(name):
    """Of a module of pyham: the part of its name after the package's."""
    return name.split(".")[1] if "." in name else "__init__"


def circles(edges):
    """Modules that can be reached from themselves."""

    def reach(start):
        seen, todo = set(), list(edges[start])
        while todo:
            if (name := todo.pop()) not in seen:
                seen.add(name)
                todo += edges[name]
        return seen

    return sorted(name for name in edges if name in reach(name))


def test_every_file_is_in_a_room_and_few_lie_directly_in_the_package():
    assert {room(name) for name in modules("pyham")} == set(ROOMS["pyham"])
    assert len(list((ROOT / "pyham").glob("*.py"))) <= 8


def test_imports_between_rooms_run_downward():
    order = ROOMS["pyham"].index
    found = {
        (name, other)
        for name in modules("pyham")
        for other in internal(name)
        if order(room(other)) > order(room(name)) or (other == "pyham" and room(name) not in ("commands", "__main__"))
    }
    assert found == UPWARD


def test_no_imports_in_a_circle():
    edges = {
        name: {other for other in internal(name) if (name, other) not in UPWARD and not name.startswith(other + ".")}
        for name in ALL
    }
    assert circles(edges) == []


def test_no_two_classes_of_one_name():
    places = {}
    for name in ALL:
        if not name.startswith("benchmarks"):
            for node in ast.parse(ALL[name].read_text()).body:
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_files_are_short():
    assert {name for name, path in ALL.items() if len(path.read_text().splitlines()) > 300} == set()


@pytest.mark.parametrize("package", ROOMS)
def test_packages_import_what_they_may(package):
    for name in modules(package):
        assert {other.split(".")[0] for other in internal(name)} <= OUTSIDE[package], name


def test_only_what_is_written_for_the_compiler_imports_numba():
    users = {name.rpartition(".")[2] for name in modules("pyham") if external(name) & {"numba", "llvmlite"}}
    assert users <= {"settings", "elementary", "addresses", "vector_code", "register_blocks", "edge_blocks", "maps"}


def test_core_needs_no_extra():
    allowed = {"numpy", "scipy", "numba", "llvmlite", "safetensors", "matplotlib", "rich"}
    # mpmath: only for those who bring its numbers; mpi4py: only for those who ask for that transport; flint: for proofs
    # shtab: only for those who ask for completion
    # torch, jax, sklearn: for those who import the bridge, or read a file that PyTorch wrote
    optional = {
        "pyham._check": {"mpmath"},
        "pyham.architectures.activations": {"mpmath"},
        "pyham.commands.completion": {"shtab"},
        "pyham.distributed.mpi": {"mpi4py"},
        "pyham.interop.hamiltoniannet": {"torch"},
        "pyham.interop.jax": {"jax"},
        "pyham.interop.jax_passes": {"jax"},
        "pyham.interop.sklearn": {"sklearn"},
        "pyham.interop.sklearn_base": {"sklearn"},
        "pyham.interop.torch": {"torch"},
        "pyham.interop.torch_operators": {"torch"},
        "pyham.interop.torch_passes": {"torch"},
        "pyham.verification.ball_activations": {"flint"},
    }
    for name in modules("pyham"):
        rest = external(name) - allowed - optional.get(name, set()) - set(sys.stdlib_module_names)
        assert not rest, name


def run(code):
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_import_is_light():
    heavy = ("numba", "llvmlite", "scipy", "matplotlib", "rich", "torch", "jax", "sklearn", "flint")
    result = run(f"import pyham\nprint([name for name in {heavy!r} if name in sys.modules])")
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_reference_backend_works_without_numba():
    code = """
sys.modules["numba"] = None  # importing it fails
import numpy as np, pyham
net = pyham.H2(width=4, depth=3).init(0)
x = np.ones((2, 4))
net.adjoint(net.trace(x, backend="reference"), x, backend="reference")
print(net.sensitivity(x, backend="reference").shape)
"""
    result = run(code)
    assert (result.stdout, result.stderr) == ("(4, 2, 4, 4)\n", "")


def test_public_names_exist_and_are_documented():
    for name in pyham.__all__:
        assert getattr(pyham, name) is not None
        if name != "__version__" and not isinstance(getattr(pyham, name), dict):
            assert getattr(pyham, name).__doc__
