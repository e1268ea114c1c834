"""Planting a mutant into the running package: functions keep their identity and get other code.

Whoever holds a function, under whatever name, in a class or behind a decorator, then runs the mutant; nothing need be
imported again. Results that were cached before are forgotten.
"""

import ast
import functools
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pyham
from validation.faults.operators import Mutant, mutants

Change = tuple[Any, str, Any]  # an object, its attribute, the value

ROOT = Path(pyham.__file__).parent
RECURSION = ("architectures/maps.py", "engines/reference.py")  # the page that must not be wrong: every mutant of it

_caches: list[Any] = []


class Source:
    """A module of the package, such as "files/archive.py": its mutants, and its functions as they live in memory."""

    def __init__(self, module: str, *, every: bool = False) -> None:
        self.path = str(ROOT / module)
        self.name = ".".join(["pyham", *Path(module).with_suffix("").parts]).removesuffix(".__init__")
        self.tree = ast.parse(Path(self.path).read_text(encoding="utf-8"), self.path)
        self.mutants = mutants(self.tree, module, every=every or module in RECURSION)
        self.code = compile(self.tree, self.path, "exec")
        self.functions: dict[object, list[FunctionType]] = {}

    def look(self) -> None:
        """Find the functions that were made from this source."""
        for thing in gc.get_objects():
            if type(thing) is FunctionType and thing.__code__.co_filename == self.path:  # a proxy may be dead
                self.functions.setdefault(_key(thing.__code__), []).append(thing)

    def plant(self, mutant: Mutant) -> list[Change]:
        """Put the mutant in place; returns what undoes it. LookupError if nothing in memory has that statement."""
        mutant.swap()
        try:
            changes = list(self._codes() if mutant.statement is None else self._values(mutant.statement))
        finally:
            mutant.swap()
        if not changes:
            raise LookupError(mutant.name)
        undo = [(thing, name, getattr(thing, name)) for thing, name, _ in changes]
        put(changes)
        return undo

    def _codes(self) -> Iterator[Change]:
        pairs = _pairs(self.code, compile(self.tree, self.path, "exec"))
        changed = [(old, new) for old, new in pairs if old != new and _key(old) in self.functions]
        for node in ast.walk(self.tree):  # a function's code must have the free variables that its closure has
            for old, new in changed:
                lost: list[ast.stmt] = [
                    ast.Expr(ast.Name(v, ast.Load())) for v in {*old.co_freevars} - {*new.co_freevars}
                ]
                if lost and isinstance(node, ast.FunctionDef) and old.co_name == node.name:
                    never = ast.copy_location(ast.If(ast.Constant(False), lost, []), node)
                    node.body.append(ast.fix_missing_locations(never))
        again = dict(_pairs(self.code, compile(self.tree, self.path, "exec")))
        return ((function, "__code__", again[old]) for old, _ in changed for function in self.functions[_key(old)])

    def _values(self, statement: Any) -> Iterator[Change]:
        """The value that a changed statement of the module gives, wherever the name was imported."""
        target: Any = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        space = vars(sys.modules[self.name])
        value = eval(compile(ast.Expression(statement.value), self.path, "eval"), dict(space))
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "pyham" and vars(module).get(target.id) is space[target.id]:
                yield module, target.id, value


def put(changes: list[Change]) -> None:
    for thing, name, value in changes:
        setattr(thing, name, value)
    forget()


def forget(*, look: bool = False) -> None:
    """Clear the caches of the package and of the tests: those found when last told to ``look``."""
    if look or not _caches:
        found = (thing for thing in gc.get_objects() if type(thing) is functools._lru_cache_wrapper)
        rooms = ("pyham", "tests")
        _caches[:] = [cache for cache in found if (getattr(cache, "__module__", None) or "").split(".")[0] in rooms]
    for cache in _caches:
        cache.cache_clear()


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Old code and new code, of all functions inside."""
    yield old, new
    inside = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    if len(inside[0]) != len(inside[1]):  # a statement with functions in it was dropped
        names = {(c.co_qualname, c.co_firstlineno): c for c in inside[1]}
        inside[0] = [c for c in inside[0] if (c.co_qualname, c.co_firstlineno) in names]
        inside[1] = [names[c.co_qualname, c.co_firstlineno] for c in inside[0]]
    for pair in zip(*inside, strict=True):
        yield from _pairs(*pair)


def _key(code: CodeType) -> object:
    """What tells code from other code, whether it has run or not (the comparison of Python 3.11 does not)."""
    return code.co_qualname, code.co_firstlineno, code.co_code, code.co_linetable
