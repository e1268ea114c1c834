"""Planting a mutant into the running package: functions keep their identity and get other code.

Whoever holds one, by any name or behind a decorator, then runs the mutant. Results that were cached are forgotten.
"""

import ast
import functools
import gc
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pyham
from validation.faults.operators import Mutant, mutants

Change = tuple[Any, str, Any]  # an object, its attribute, the value

ROOT = Path(pyham.__file__).parent
RECURSION = ("architectures/maps.py", "engines/reference.py")  # the page that must not be wrong: every mutant of it

_key = attrgetter("co_qualname", "co_firstlineno", "co_code", "co_linetable")  # the same before and after it has run
_caches: list[Any] = []


class Source:
    """A module of the package, such as "files/archive.py": its mutants, and its functions as they live in memory."""

    def __init__(self, module: str, *, every: bool = False) -> None:
        self.path = str(ROOT / module)
        self.name = ".".join(["pyham", *Path(module).with_suffix("").parts]).removesuffix(".__init__")
        self.tree = ast.parse(Path(self.path).read_text(encoding="utf-8"), self.path)
        self.mutants = mutants(self.tree, module, every=every or module in RECURSION)
        self.code = compile(self.tree, self.path, "exec")
        self.functions: list[FunctionType] = []

    def look(self) -> None:
        """Find the functions that were made from this source."""
        found = (thing for thing in gc.get_objects() if type(thing) is FunctionType)  # a proxy may be dead
        self.functions = [function for function in found if function.__code__.co_filename == self.path]

    def plant(self, mutant: Mutant) -> list[Change]:
        """Put the mutant in place; returns what undoes it. LookupError if nothing in memory has that statement."""
        mutant.swap()
        try:
            changes = list(self._codes() if mutant.statement is None else self._values(mutant.statement))
        finally:
            mutant.swap()
        if not changes:
            raise LookupError(mutant.name)
        return put(changes)

    def _codes(self) -> Iterator[Change]:
        for old, new in _pairs(self.code, compile(self.tree, self.path, "exec")):
            if lost := " + ".join({*old.co_freevars} - {*new.co_freevars}):  # which the function's closure has
                for node in ast.walk(self.tree):
                    if isinstance(node, ast.FunctionDef) and node.name == old.co_name:
                        node.body += ast.parse(f"if False: {lost}").body
        codes = {_key(old): new for old, new in _pairs(self.code, compile(self.tree, self.path, "exec")) if old != new}
        found = ((function, codes.get(_key(function.__code__))) for function in self.functions)
        return ((function, "__code__", code) for function, code in found if code)

    def _values(self, statement: Any) -> Iterator[Change]:
        """The value that a changed statement of the module gives, wherever the name was imported."""
        target: Any = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        space = vars(sys.modules[self.name])
        value = eval(compile(ast.Expression(statement.value), self.path, "eval"), dict(space))
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "pyham" and vars(module).get(target.id) is space[target.id]:
                yield module, target.id, value


def put(changes: list[Change]) -> list[Change]:
    """Set the attributes, which plants a mutant or undoes it; returns what undoes this."""
    undo = [(thing, name, getattr(thing, name)) for thing, name, _ in changes]
    for thing, name, value in changes:
        setattr(thing, name, value)
    forget()
    return undo


def forget(*, look: bool = False) -> None:
    """Clear the caches of the package and of the tests: those found when last told to ``look``."""
    if look or not _caches:
        found = (thing for thing in gc.get_objects() if type(thing) is functools._lru_cache_wrapper)
        _caches[:] = [c for c in found if str(getattr(c, "__module__", "")).split(".")[0] in ("pyham", "tests")]
    for cache in _caches:
        cache.cache_clear()


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Old code and new code, of all functions inside."""
    yield old, new
    before, after = ([c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new))
    if len(before) != len(after):  # a statement with functions in it was dropped
        names = {(c.co_qualname, c.co_firstlineno): c for c in after}
        before = [c for c in before if (c.co_qualname, c.co_firstlineno) in names]
        after = [names[c.co_qualname, c.co_firstlineno] for c in before]
    for pair in zip(before, after, strict=True):
        yield from _pairs(*pair)
