"""What stands in double backticks in a docstring exists: a module, a function, a class, an attribute, a parameter."""

import ast
import builtins
import importlib
import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("pyham", "validation", "figures", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
}
#: What other libraries and programs call so.
ELSEWHERE = {
    *("np.diff", "mpmath.mpf", "concurrent.futures.Executor", "Client.get_executor", "client.run", "MPIPoolExecutor"),
    *("Ineighbor_alltoallv", "approx_fprime", "solve_ivp", "partial", "initializer", "initargs", "jac", "mpiexec"),
    *("results/data/accuracy.jsonl", "results.jsonl.log"),  # files that programs write
    *("A0", "mpiexec.gforker", "cache", "error_model", "fastmath", "nogil", "no_cpython_wrapper"),
}
SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef)


def names_in(tree):
    """Everything that a piece of code names: definitions, parameters, variables, attributes, and keys of literals."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.split(".")[-1]
        elif isinstance(node, ast.Dict):
            yield from (key.value for key in node.keys if isinstance(key, ast.Constant))


@cache
def tree(module):
    return ast.parse(MODULES[module].read_text())


@cache
def known():
    """Names of the whole repository: of modules, and in their code."""
    stems = {part for module in MODULES for part in module.split(".")}
    return stems | {name for module in MODULES for name in names_in(tree(module))}


@cache
def home(name):
    """The object that a module, a public name of pyham or a class is, or None."""
    if name in MODULES:
        return importlib.import_module(name)
    for module in MODULES:
        if any(isinstance(node, ast.ClassDef) and node.name == name for node in tree(module).body):
            return getattr(importlib.import_module(module), name)
    return None


def exists(chain, module):
    """Whether a dotted name is something: looked up from a module or class on, or else a name of this repository."""
    if chain in ELSEWHERE or hasattr(builtins, chain) or len(chain) == 1:
        return True
    head, *rest = chain.split(".")
    thing = home(head) or imported(head, module)
    if not rest:
        return thing is not None or head in known()
    for depth, name in enumerate(rest, 1):
        if not isinstance(thing, type | ModuleType):  # of a parameter or an attribute, the type is not known here
            return head in known() and all(other in known() for other in rest[depth - 1 :])
        inside = home(".".join([head, *rest[:depth]])) or getattr(thing, name, None)
        if inside is None and (isinstance(thing, ModuleType) or name not in known()):
            return False  # a class may have attributes that only its instances have
        thing = inside
    return True


def imported(name, module):
    """The module or class that a module knows by that name, or None."""
    if module.endswith("__main__") or name not in set(names_in(tree(module))):
        return None
    return getattr(importlib.import_module(module), name, None)


def chains(text):
    """The dotted names and keywords in an expression or a statement."""
    code = ast.parse(text)
    inner = {id(node.value) for node in ast.walk(code) if isinstance(node, ast.Attribute)}
    own = {node.id for node in ast.walk(code) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(code) if isinstance(node, ast.arg)}
    for node in ast.walk(code):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            chain = ast.unparse(node)
            if re.fullmatch(r"[\w.]+", chain) and chain.split(".")[0] not in own:
                yield chain
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


def missing(text, module):
    """Names in the text between two pairs of backticks that are nothing."""
    text = " ".join(text.split())
    if text.startswith("python -m ") or " python -m " in text:
        program = text.split("python -m ")[1].split()[0]
        return [] if program.split(".")[-1].isupper() or importlib.util.find_spec(program) else [program]
    if re.fullmatch(r"[\w./]*(/|\.md$|\.log$)[\w./]*", text):
        return [] if text in ELSEWHERE or (ROOT / text).exists() else [text]
    try:
        found = list(chains(text.removeprefix(".").removesuffix("=")))
    except SyntaxError:
        return []  # a formula, an option of a command, a pattern of names
    return [chain for chain in found if not exists(chain, module)]


@pytest.mark.parametrize("module", MODULES)
def test_names_in_double_backticks_exist(module):
    wrong = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, SCOPES):
            for text in re.findall(r"``(.+?)``", ast.get_docstring(node) or "", flags=re.S):
                if found := missing(text, module):
                    wrong[f"{getattr(node, 'name', module)}: {text}"] = found
    assert wrong == {}


def test_a_name_that_is_nothing_is_noticed():
    wrong = ["pyham.nothing", "Network.nothing", "nothing_of_this_name", "net.save(nothing_of_this_name)"]
    assert [missing(text, "pyham.network") for text in wrong] == [[wrong[0]], [wrong[1]], [wrong[2]], [wrong[2]]]
    right = ["pyham.bounds.upper", "Network.gradient", "memory", 'net.gradient(memory="reversible")', "python -m pyham"]
    assert [missing(text, "pyham.network") for text in right] == [[]] * 5
