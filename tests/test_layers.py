"""Imports run downward only, read from the source; and importing pyham stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyham

ROOT = Path(pyham.__file__).parent

#: Every module, lowest first: a module imports only what stands above its own line here.
ORDER = (
    "_version",
    "_check",
    "activations",
    "interconnection",
    "schemes",
    "stages",
    "initialization",
    "lowering",
    "architectures",
    "checkpoint",
    "reference",
    "recompute",
    "_jit",
    "_elementary",
    "_addresses",
    "_blocks",
    "_stagewise",
    "_passes",
    "kernels",
    "_matrices",
    "_learning",
    "_buffers",
    "threads",
    "compiled",
    "engine",
    "network",
    "files",
    "foreign",
    "symplectic",
    "bounds",
    "gradcheck",
    "controls",
    "euler",
    "continuous",
    "atlas",
    "evidence",
    "certificate",
    "losses",
    "learning",
    "optimizers",
    "schedules",
    "protocol",
    "regularization",
    "multilevel",
    "history",
    "classifier",
    "models",
    "run",
    "idx",
    "download",
    "mnist",
    "datasets",
    "training",
    "images",
    "monitors",
    "experiment",
    "sweep",
    "plotting",
    "estimator",
    "distributed",
    "__init__",
    "commands",
    "cli",
    "__main__",
)

#: Imports inside functions, which run when the function does: (module, imported).
DEFERRED = {
    ("lowering", "network"),  # arch.init(rng) makes a network
    ("engine", "compiled"),  # so that importing pyham does not import Numba
    ("symplectic", "_matrices"),  # likewise
    ("learning", "_learning"),  # likewise
    ("gradcheck", "reference"),
}
UPWARD = {("lowering", "network")}  # the one among them that looks up

MODULES = sorted({path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")})


def sources(module):
    """The files of a module: one, or those of a package."""
    return sorted((ROOT / module).rglob("*.py")) if (ROOT / module).is_dir() else [ROOT / f"{module}.py"]


class Imports(ast.NodeVisitor):
    """(name, deferred) of everything imported, without what only type checkers see."""

    def __init__(self):
        self.found = []
        self.depth = 0

    def visit_FunctionDef(self, node):
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)

    def visit_Import(self, node):
        self.found += [(alias.name, self.depth > 0) for alias in node.names]

    def visit_ImportFrom(self, node):
        assert node.level == 0, "imports are absolute"
        if node.module == "pyham":
            self.found += [(f"pyham.{alias.name}", self.depth > 0) for alias in node.names]
        else:
            self.found.append((node.module, self.depth > 0))


def imports(module):
    visitor = Imports()
    for path in sources(module):
        visitor.visit(ast.parse(path.read_text()))
    return visitor.found


def internal(module):
    """(imported module of pyham, deferred), without the module itself."""
    found = [(name.split(".")[1], deferred) for name, deferred in imports(module) if name.startswith("pyham.")]
    return [(name, deferred) for name, deferred in found if name != module]


def external(module):
    return {name.split(".")[0] for name, _ in imports(module)} - {"pyham"}


def reachable(module):
    """Every module of pyham that importing this one imports."""
    seen, todo = set(), [module]
    while todo:
        for name, deferred in internal(todo.pop()):
            if not deferred and name not in seen:
                seen.add(name)
                todo.append(name)
    return seen


def test_every_module_has_its_place():
    assert set(MODULES) <= set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward_only(module):
    for name, deferred in internal(module):
        assert name in ORDER, f"{module} imports {name} from pyham itself, and not from the module that has it"
        if not deferred:
            assert ORDER.index(name) < ORDER.index(module), f"{module} imports {name}, which stands above it"


def test_deferred_imports_are_those_listed():
    found = {(module, name) for module in MODULES for name, deferred in internal(module) if deferred}
    assert found <= DEFERRED
    assert {(module, name) for module, name in found if ORDER.index(name) > ORDER.index(module)} <= UPWARD


def test_only_what_stands_above_the_package_imports_it_as_a_whole():
    for module in MODULES:
        if any(name == "pyham" for name, _ in imports(module)):
            assert ORDER.index(module) > ORDER.index("__init__")


@pytest.mark.parametrize("module", MODULES)
def test_only_what_is_written_for_the_compiler_imports_numba(module):
    if module not in ("_jit", "_elementary", "_addresses", "_blocks"):
        assert not external(module) & {"numba", "llvmlite"}


def test_reference_engine_does_without_numba():
    assert not reachable("reference") & {"_jit", "_elementary", "kernels", "compiled"}
    for module in {"reference", *reachable("reference")}:
        assert "numba" not in external(module)


def test_kernels_know_plain_arrays_only():
    assert reachable("kernels") == {"_jit", "_elementary", "_addresses", "_blocks", "_stagewise", "_passes"}


def test_engines_know_stages_and_not_architectures():
    for module in ("reference", "compiled", "engine"):
        assert not reachable(module) & {"architectures", "lowering", "schemes", "network"}


def test_core_needs_no_extra():
    allowed = {"numpy", "scipy", "numba", "llvmlite", "safetensors", "matplotlib", "rich"}
    for module in MODULES:
        # mpmath: only for those who bring its numbers; mpi4py: only for those who ask for that transport
        optional = {"_check": {"mpmath"}, "activations": {"mpmath"}, "distributed": {"mpi4py"}}.get(module, set())
        assert external(module) - optional <= allowed | set(sys.stdlib_module_names)


def run(code):
    program = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_import_is_light():
    heavy = ("numba", "llvmlite", "scipy", "matplotlib", "rich", "torch", "jax", "sklearn")
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
