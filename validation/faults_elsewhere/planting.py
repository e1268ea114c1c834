"""Planting a fault in the live package, and taking it out again.

Of a plain function the code is exchanged and not the function, so that whoever imported it by name, or holds it as a
method or property, runs the fault too. ``schemes.SPLITTINGS`` is a table; its entries are exchanged in place. Jitted
code would have to be compiled anew for every fault, for seconds; Python runs it instead (``.interpreter``).
"""

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from pyham import compiled, schemes
from pyham.images import compiled as images
from validation.faults_elsewhere import interpreter
from validation.faults_elsewhere.fault import Fault, module_of


def function_of(target: str) -> FunctionType:
    """The live function behind a target: of a property its getter, of a classmethod the function it wraps."""
    found = _held(target)
    for attribute in ("fget", "func", "__func__", "__wrapped__", "py_func"):
        found = getattr(found, attribute, found)
    assert isinstance(found, FunctionType)
    return found


def _held(target: str) -> Any:
    module = module_of(target)
    found: Any = importlib.import_module(f"pyham.{module}")
    for name in target.removeprefix(f"{module}.").split("."):
        found = inspect.getattr_static(found, name)
    return found


@cache
def source(target: str) -> str:
    """The source text that a fault of that target changes: of the function, or of the module of a table."""
    if target == "schemes.SPLITTINGS":
        return inspect.getsource(schemes)
    return textwrap.dedent(inspect.getsource(function_of(target)))


def broken(fault: Fault) -> str:
    """The source with the fault.

    Raises
    ------
    ValueError
        If the fault's ``old`` text does not occur exactly once: then the table is out of date.
    """
    right = source(fault.target)
    if (count := right.count(fault.old)) != 1:
        raise ValueError(f"{fault.name}: expected once in {fault.target}, found {count} times: {fault.old!r}")
    return right.replace(fault.old, fault.new)


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """The package with that fault, for the time of a ``with`` statement; then all is as it was, whatever happens."""
    text = broken(fault)
    if fault.target == "schemes.SPLITTINGS":
        table = schemes.SPLITTINGS
        scratch: dict[str, Any] = {"__name__": "pyham.schemes with a fault"}
        exec(compile(text, f"<{fault.name}>", "exec"), scratch)
        kept = dict(table)
        try:
            table.update(scratch["SPLITTINGS"])
            yield
        finally:
            table.update(kept)
    elif fault.where in interpreter.MODULES:
        with interpreter.running(source(fault.target), text):
            yield
    else:
        function = function_of(fault.target)
        right = function.__code__
        try:
            function.__code__ = _code(text, fault)
            _forget(fault)
            yield
        finally:
            function.__code__ = right
            _forget(fault)


def _forget(fault: Fault) -> None:
    """What functions computed before, or with the fault."""
    getattr(_held(fault.target), "cache_clear", lambda: None)()
    compiled._cut.cache_clear()
    images._layout.cache_clear()
    images._table.cache_clear()


def _code(text: str, fault: Fault) -> CodeType:
    """The code of a function's source text, without its decorators."""
    (definition,) = (tree := ast.parse(text)).body
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    constants = compile(tree, f"<{fault.name}>", "exec").co_consts
    return next(c for c in constants if isinstance(c, CodeType) and c.co_name == definition.name)
