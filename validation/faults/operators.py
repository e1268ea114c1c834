"""Operators on the syntax tree: each says what one kind of slip makes of a node, and ``mutants`` applies all of them.

A mutant is one changed node of a module. Its name, made of the function, the operator, and the node's source before and
after, stays the same when lines move. Messages, annotations, docstrings, defaults of arguments and attributes of
classes are left alone, and so is what writes machine code or draws on the terminal.
"""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

OTHERS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
BOUNDARIES = OTHERS | {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
CONFUSED = dict([pair for pairs in (  # attributes that are easily taken for each other
    "src dst", "sigma derivative", "apply transposed", "sum mean", "max min", "maximum minimum", "all any", "W A",
    "rows columns", "floor ceil", "argmax argmin",
) for a, b in [pairs.split()] for pair in ((a, b), (b, a))])  # fmt: skip
LOSES_NAN = {"max": "nanmax", "maximum": "fmax", "min": "nanmin", "minimum": "fmin"}  # of NumPy
COPIES = {"copy", "deepcopy", "sorted", "reversed", "ascontiguousarray", "asfortranarray"}
UNORDERED = {"min", "max", "isinstance", "zip", "maximum", "minimum", "getattr", "setattr", "range", "suppress"}
FRESH = {"empty", "zeros", "ones", "empty_like", "zeros_like", "ones_like"}
ONE = ast.Constant(1)
SILENT = {"warn", "print", "cast", "hold", "Console", "Progress", "add_task"}
CONTROL = {"condition", "comparison", "dropped condition", "dropped statement", "overwrites"}  # what is not computed


def _name(node: ast.AST) -> str:
    """The last part of a name or of an attribute."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _with(node: Any, **fields: Any) -> Any:
    """A copy of the node with other fields; what is in the fields is shared."""
    changed = copy.copy(node)
    vars(changed).update(fields)
    return changed


def _but(nodes: list[Any], i: int, *others: Any) -> list[Any]:
    """The list with others in place of number i."""
    return [*nodes[:i], *others, *nodes[i + 1 :]]


def _turned(node: ast.expr) -> ast.expr:
    """A matrix transposed."""
    return ast.Call(ast.Attribute(node, "swapaxes", ast.Load()), [ast.Constant(-1), ast.Constant(-2)], [])


def _has(node: ast.AST, *kinds: Any) -> bool:
    """Whether a constant of these kinds, or a list, is a part."""
    parts = list(ast.walk(node))
    return any(isinstance(p, (ast.JoinedStr, ast.List)) or isinstance(getattr(p, "value", None), kinds) for p in parts)


def expressions(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """What slips make of an expression: the operator's name, and what stands in the node's place."""
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right) if not _has(node, str, bytes):
            yield "sign", _with(node, op=OTHERS[type(op)]())
            if not isinstance(right, ast.Constant):  # j + 1 becomes j - 1, that is enough
                yield "dropped term", left
        case ast.BinOp(left, ast.MatMult(), right):
            if not {_name(left), _name(right)} & {"T"}:
                yield "transpose", _with(node, right=_turned(right))
            yield "dropped factor", right
        case ast.BinOp(left, ast.Mult() | ast.Pow(), right) if not _has(node, str, bytes):
            yield "dropped factor", right if isinstance(left, ast.Constant) else left
        case ast.BinOp(_, ast.Div() | ast.FloorDiv() | ast.Mod() as op, _):
            yield "product", _with(node, op=OTHERS[type(op)]())
        case ast.UnaryOp(ast.USub() | ast.Not() as op, operand):
            yield ("sign" if isinstance(op, ast.USub) else "condition"), operand
        case ast.Compare(_, ops, _):  # 0 <= x < 1 becomes 0 <= x <= 1, x < 1 becomes x >= 1
            for i, sign in enumerate(ops):
                yield "comparison", _with(node, ops=_but(ops, i, (BOUNDARIES if ops[1:] else OTHERS)[type(sign)]()))
        case ast.BoolOp(_, values):
            yield "dropped condition", values[0] if len(values) == 2 else _with(node, values=values[:-1])
        case ast.IfExp(_, body, orelse):
            yield "condition", _with(node, body=orelse, orelse=body)
        case ast.Attribute(value, "T"):
            yield "transpose", value
        case ast.Attribute(attr=attr) if attr in CONFUSED:
            yield "confused", _with(node, attr=CONFUSED[attr])
        case ast.Name(name) if name in ("src", "dst", "min", "max", "any", "all"):
            yield "confused", _with(node, id=CONFUSED[name])
        case ast.Constant(bool() | int() | float() as v):
            other = not v if isinstance(v, bool) else v + 1 if isinstance(v, int) else 2 * v + (v == 0)
            yield "constant", ast.Constant(other)
        case ast.Subscript(_, ast.Slice(lower, upper, step) as cut):
            for end, bound, op in (("lower", lower, ast.Add()), ("upper", upper, ast.Sub())):
                if bound is not None:
                    yield "off by one", _with(node, slice=_with(cut, **{end: ast.BinOp(bound, op, ONE)}))
            if step is not None:
                yield "order", _with(node, slice=_with(cut, step=None))
        case ast.Subscript(_, ast.Name(name) as index) if len(name) == 1 and not isinstance(node.ctx, ast.Del):
            yield "off by one", _with(node, slice=ast.BinOp(index, ast.Sub(), ONE))
        case ast.comprehension(ifs=[_, *_]):
            yield "dropped condition", _with(node, ifs=[])
        case ast.Call():
            yield from calls(node)


def calls(node: ast.Call) -> Iterator[tuple[str, Any]]:
    """What slips make of a call."""
    word, arguments, keywords = _name(node.func), node.args, node.keywords
    pair = [i for i, a in enumerate(arguments) if isinstance(a, (ast.Name, ast.Attribute, ast.Subscript))][-2:]
    if len(pair) == 2 and word not in UNORDERED:
        i, j = pair
        yield "swapped arguments", _with(node, args=_but(_but(arguments, i, arguments[j]), j, arguments[i]))
    if word == "max" and isinstance(node.func, ast.Name) and len(arguments) == 2 and not _has(node, int):
        yield "loses NaN", _with(node, args=arguments[::-1])
    if word in LOSES_NAN and isinstance(node.func, ast.Attribute) and _name(node.func.value) == "np":
        yield "loses NaN", _with(node, func=_with(node.func, attr=LOSES_NAN[word]))
    if word in COPIES and not keywords and len(arguments) < 2:
        yield "no copy", arguments[0] if arguments else getattr(node.func, "value", node.func)
    if word in ("swapaxes", "transpose") and isinstance(node.func, ast.Attribute):
        yield "transpose", node.func.value
    if word == "array" and arguments:
        yield "no copy", arguments[0] if keywords else _with(node, func=_with(node.func, attr="asarray"))
    if word == "range":
        i = min(1, len(arguments) - 1)
        yield "off by one", _with(node, args=_but(arguments, i, ast.BinOp(arguments[i], ast.Sub(), ONE)))
    if word in FRESH and len(arguments) == 1 and "dtype" not in [keyword.arg for keyword in keywords]:
        yield "dtype", _with(node, keywords=[*keywords, ast.keyword("dtype", ast.Constant("f4"))])
    for i in (i for i, argument in enumerate(arguments) if i and _name(argument) == "dtype"):
        yield "dtype", _with(node, args=_but(arguments, i, ast.Constant("f4")))
    for i, keyword in enumerate(keywords):
        if keyword.arg == "dtype":
            yield "dtype", _with(node, keywords=_but(keywords, i, _with(keyword, value=ast.Constant("f4"))))
        elif keyword.arg not in (None, "strict", "name"):
            yield "dropped argument", _with(node, keywords=_but(keywords, i))


def values(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """What slips make of all of a value that is computed."""
    if isinstance(node, (ast.Call, ast.BinOp)) and _name(getattr(node, "func", node)) not in FRESH:
        yield "sign", ast.UnaryOp(ast.USub(), node)
        yield "zero", ast.BinOp(ast.Constant(0), ast.Mult(), node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            yield "transpose", _turned(node)


def statements(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """What slips make of a statement."""
    match node:
        case ast.AugAssign(target, op, value):
            yield "dropped statement", ast.Pass()
            yield "overwrites", ast.Assign([target], value)
            if isinstance(op, (ast.Add, ast.Sub)):
                yield "sign", _with(node, op=OTHERS[type(op)]())
        case ast.Expr(ast.Call() | ast.Yield()) | ast.Raise() | ast.Delete() | ast.Break() | ast.Continue():
            yield "dropped statement", ast.Break() if isinstance(node, ast.Continue) else ast.Pass()
        case ast.Assign([ast.Subscript() | ast.Attribute()]):
            yield "dropped statement", ast.Pass()
        case ast.If(ast.Name() | ast.Attribute() | ast.Call()) | ast.While(ast.Name() | ast.Attribute() | ast.Call()):
            yield "condition", _with(node, test=ast.UnaryOp(ast.Not(), node.test))


@dataclass(eq=False)
class Mutant:
    """One changed node; ``lines`` of the statement's head; ``statement`` is set if it is one of the module itself."""

    module: str
    function: str
    operator: str
    name: str  # which ends in " #2", " #3", .. where the same slip can be made in other places
    lines: tuple[int, int]
    statement: ast.stmt | None
    place: tuple[Any, str | int]  # a list or a node's attributes, and where in it
    node: Any

    def swap(self) -> None:
        """Put the changed node into the tree, or the old one back."""
        holder, key = self.place
        holder[key], self.node = self.node, holder[key]


def mutants(tree: ast.Module, module: str, *, every: bool = False) -> list[Mutant]:
    """For each statement of a module one mutant of what is computed and one of CONTROL; or ``every`` mutant."""
    seen: Counter[str] = Counter()
    chosen: dict[object, Mutant] = {}
    for mutant in _visit(tree, module, ("module", (1, 1), None), every):
        seen[mutant.name] += 1
        mutant.name += f" #{seen[mutant.name]}" * (seen[mutant.name] > 1)
        line = 0 if mutant.statement is None else getattr(mutant.node, "lineno", 0)  # a table has many lines
        kind = mutant if every else (mutant.lines, line, mutant.operator in CONTROL)
        chosen[kind] = min(mutant, chosen.get(kind, mutant), key=lambda one: crc32(one.name.encode()))
    return list(chosen.values())


def _visit(node: ast.AST, module: str, where: tuple[str, tuple[int, int], Any], every: bool) -> Iterator[Mutant]:
    whole = every and isinstance(node, (ast.Assign, ast.Return, ast.Tuple))
    for name, value in ast.iter_fields(node):
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _left_alone(child, node, name):
                continue
            inside, lines, own = where  # the function, the lines of the statement's head, a statement of the module
            if isinstance(child, ast.stmt):
                body = getattr(child, "body", None)
                lines = child.lineno, max(child.lineno, body[0].lineno - 1 if body else child.end_lineno or 0)
                own = child if isinstance(node, ast.Module) else None
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inside = f"{inside}.{child.name}".removeprefix("module.")
            changes = [] if isinstance(node, ast.Module) else [*statements(child)]
            changes += [*expressions(child), *(values(child) if whole and name in ("value", "elts") else ())]
            for operator, new in changes:
                changed = ast.fix_missing_locations(ast.copy_location(copy.copy(new), child))
                before, after = (" ".join(ast.unparse(n).split()) for n in (child, changed))
                if before != after:
                    place = (value, index) if isinstance(value, list) else (vars(node), name)
                    label = f"{module}::{inside}: {operator}: {before} -> {after}"
                    yield Mutant(module, inside, operator, label, lines, own, place, changed)
            yield from _visit(child, module, (inside, lines, own), every)


def _left_alone(child: ast.AST, parent: ast.AST, name: str) -> bool:
    match child:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Global() | ast.Nonlocal():
            return True
        case ast.arguments() | ast.keyword(arg="strict") | ast.Expr(ast.Constant(str())):
            return True
        case ast.FunctionDef() if child.name == "__repr__" or "builder" in ast.unparse(child.args):
            return True
        case ast.FunctionDef(decorator_list=[ast.Name("intrinsic"), *_]):
            return True
        case ast.Call(func) | ast.Expr(ast.Call(func)) if isinstance(parent, ast.Raise) or _name(func) in SILENT:
            return True
        case ast.Constant(int()) | ast.UnaryOp() if isinstance(parent, (ast.Compare, ast.Module, ast.Subscript)):
            return isinstance(child, ast.Constant) or isinstance(parent, ast.Subscript)
        case ast.Constant() if isinstance(getattr(parent, "op", None), (ast.Add, ast.Sub, ast.USub)):
            return True  # most numbers in brackets only choose an axis; of -1 and j + 1 the sign is changed
    if isinstance(parent, (ast.Module, ast.ClassDef)):
        kinds = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)[: 4 if isinstance(parent, ast.Module) else 2]
        return not isinstance(child, kinds) or "__all__" in ast.unparse(child)
    return name in ("annotation", "returns", "decorator_list", "type_comment", "ctx")
