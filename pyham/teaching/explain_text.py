"""An explanation as text: ``table`` for terminals of any width, ``wall`` for a projector's page of 100 x 40."""

# ruff: noqa: RUF001  formulas have the letters of mathematics

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyham.teaching.explain_quantities import Quantity, high, low, norms

Array = np.ndarray[Any, Any]

WIDE = 110  # columns, from which on a quantity takes one line
NARROW = 60  # columns, at least


def number(value: Any, digits: int = 5) -> str:
    """A number to so many significant digits; the minus sign has its place."""
    return f"{float(value) + 0.0: .{digits}g}"  # no -0


def numbers(value: Array, digits: int = 5, width: int = 70) -> list[str]:
    """The lines of an array: all of it if it is small, else its shape, its norms and how it begins."""
    if value.ndim == 0:
        return [number(value, digits).strip()]
    rows = value if value.ndim == 2 else value[None] if value.ndim == 1 else None
    if rows is not None and value.size and len(rows) <= 8:
        cells = [[number(v, digits) for v in row] for row in rows]
        length = max(len(cell) for row in cells for cell in row)
        lines = [" ".join(cell.ljust(length) for cell in row).rstrip() for row in cells]
        if max(map(len, lines)) + 2 <= width:
            length = max(map(len, lines))
            return [f"[{line.ljust(length)}]" for line in lines]
    shape = " × ".join(map(str, value.shape))
    size = norms(value)
    first = ", ".join(number(v, 3).strip() for v in value.ravel()[:4])
    words = f"{shape}, norm {size['norm']:.4g}, largest {size['largest']:.4g}; begins {first}, .."
    return textwrap.wrap(words, width)


def mark(q: Quantity, hidden: bool) -> str:
    """The check of a quantity in a few letters."""
    if q.verdict == "given":
        return "given"
    if hidden:
        return "?"
    assert q.deviation is not None
    return f"{q.deviation:.0e}" + {"holds": " ✓", "FAILS": " ✗"}.get(q.verdict, " –")


def summary(e: Any) -> str:
    """What the checks say, or the question."""
    if e.fault is not None and not e.revealed:
        return str(e.question)
    many, failed = len(e.checks), [q.symbol for q in e if not q.passed]
    open_ = sum(q.verdict == "undecided" for q in e)
    words = f"{many} quantities checked, worst deviation {e.worst:.1e}: "
    words += "all agree" if not failed else f"{len(failed)} DIFFER, first {failed[0]}"
    return words + (f", {open_} undecided" if open_ else "")


def head(e: Any, width: int) -> list[str]:
    """Network, loss, and what the checks say."""
    lines = [f"{e.net.arch}, {e.x.dtype}", f"loss L = {e.loss} = {number(e['loss'].value).strip()}", summary(e)]
    if e.fault is not None and e.revealed:
        lines.append("The wrong formula: " + e.answer)
    return [part for line in lines for part in textwrap.wrap(line, width)]


def title(q: Quantity, e: Any) -> str:
    """The heading above a quantity: its stage, or its layer; none for a state that another layer ends with."""
    if q.layer is not None and q.layer not in e.layers:
        return ""
    if q.stage is None or q.layer is None:
        if q.layer is None or q.kind == "J":
            return {"inputs": "in front of the network", "head": "output layer and loss"}.get(q.kind, "")
        if q.kind in ("squeeze", "unsqueeze"):
            return f"layer {q.layer}"
        return f"layer {q.layer}: parameters and sensitivity"
    of = e.structure[q.layer].stages[q.stage - 1]
    words = f"layer {q.layer}" + (f", stage {q.stage} of {of.many}" if of.many > 1 else "")
    return words + (f": {of.updates} is updated from {of.reads}" if of.reads else "")


def table(e: Any, width: int | None = None) -> str:
    """Every quantity with formula, value, largest deviation, and place in the code."""
    columns = max(NARROW, width or shutil.get_terminal_size((80, 24)).columns)
    hidden = e.fault is not None and not e.revealed
    lines, before, part = [*head(e, columns)], "", ""
    places: dict[str, str] = {}
    for q in e:
        now = "backward" if q.part == "backward" else "forward"
        if now != part:
            lines += ["", f"── {now} pass ".ljust(columns, "─")]
            part, before = now, ""
        heading = title(q, e)
        if heading and heading != before:
            lines += ["", heading]
        before = heading or before
        if q.place.line:
            places[Path(q.place.file).name] = q.place.file
        lines += row(q, mark(q, hidden), columns)
    lines += [
        "",
        *legend(columns, hidden),
        *textwrap.wrap("Files: " + ", ".join(sorted(places.values())) + ".", columns),
    ]
    return "\n".join(line.rstrip() for line in lines)


def legend(columns: int, hidden: bool) -> list[str]:
    words = (
        "Behind each quantity: the largest deviation from the same number computed otherwise (by its formula in NumPy; "
        "derivatives by a complex step through the forward pass, too), relative to the largest entry, and where the "
        "code computes it."
    )
    return textwrap.wrap("? stands where checks are hidden." if hidden else words, columns)


def row(q: Quantity, check: str, columns: int) -> list[str]:
    """The lines of one quantity."""
    symbol, at_code = q.symbol.ljust(10), str(q.place) if q.place.line else ""
    right = f"{check:>8}  {at_code:<20}"
    if columns >= WIDE:
        of_formula = columns - len(right) - 55
        formula = textwrap.wrap(q.formula, of_formula)
        value = numbers(q.value, width=40)
        count = max(len(formula), len(value))
        left = [f"  {symbol if i == 0 else '':10}{'= ' if i == 0 else '  '}" for i in range(count)]
        formula += [""] * (count - len(formula))
        value += [""] * (count - len(value))
        return [
            f"{a}{f:<{of_formula}} {v:<40}{right if i == 0 else ''}"
            for i, (a, f, v) in enumerate(zip(left, formula, value, strict=True))
        ]
    room = columns - len(right) - 16
    formula = textwrap.wrap(q.formula, room)
    lines = [f"  {symbol} = {formula[0]:<{room}} {right}"] + [f"{'':15}{rest}" for rest in formula[1:]]
    value = numbers(q.value, width=columns - 17 - len(q.name))
    if len(value) > 1 and q.value.ndim != 2:
        value = numbers(q.value, width=columns - 17)
        return [*lines, f"{'':15}{q.name}", *(f"{'':15}{line}" for line in value)]
    return lines + [f"{'':15}{q.name + '  ' if i == 0 else '':{len(q.name) + 2}}{v}" for i, v in enumerate(value)]


# For a projector

FORWARD = (  # the stage's quantity, and whose it is: the stage's own, or of the state before or behind it
    ("y", "before"), ("A", "stage"), ("c", "stage"), ("W", "stage"), ("a", "stage"), ("sigma", "stage"),
    ("slope", "stage"), ("u", "stage"), ("y", "behind"),
)  # fmt: skip
BACKWARD = (
    ("delta", "behind"), ("g", "stage"), ("dW", "stage"), ("dA", "stage"), ("dc", "stage"), ("delta", "before")
)  # fmt: skip
LABEL = 18


def wall(e: Any, width: int | None = None) -> str:
    """Stages side by side, to be read from far: forward rows from left to right, backward rows from right to left.

    Two layers of a network of width 2 fit on 100 x 40 characters, but for the seven stages of "yoshida4".
    """
    columns = max(NARROW, width or 100)
    lines = head(e, columns)
    shown = [e.structure[j] for j in e.layers]
    stages = [of for layer in shown for of in layer.stages]
    per_layer = max((len(layer.stages) for layer in shown), default=1)
    most = max(1, (columns - LABEL) // 13)
    most -= most % per_layer if most > per_layer else 0
    for start in range(0, len(stages), most):
        lines += ["", *page(e, stages[start : start + most], columns)]
    return "\n".join(line.rstrip() for line in lines)


def page(e: Any, stages: Sequence[Any], columns: int) -> list[str]:
    """The table of these stages."""
    cell = min(40, (columns - LABEL) // len(stages))
    layers = {of.layer: e.structure[of.layer] for of in stages}
    names = [f"layer {j}" if len(layer.stages) == 1 else f"{j}{high(of.number)} {of.updates} ← {of.reads}"
             for of in stages for j, layer in [(of.layer, layers[of.layer])]]  # fmt: skip
    lines = ["forward →".ljust(LABEL) + "".join(name.ljust(cell) for name in names)]

    def key(of: Any, kind: str, name: str) -> str:
        layer = layers[of.layer]
        if kind == "stage":
            return f"{name}{of.key}"
        return name + layer.node(of.number - (kind == "before"))[0]

    words = labels(stages[0], layers[stages[0].layer])
    for name, kind in FORWARD:
        values = [e[key(of, kind, name)].value for of in stages]
        lines += across(words[name, kind], values, [cell] * len(stages))
    lines.append(f"{'backward ←':{LABEL}}".ljust(columns, "─"))
    for name, kind in BACKWARD:
        values = [e[key(of, kind, name)].value for of in stages]
        lines += across(words[name, kind], values, [cell] * len(stages))
    first, *rest = textwrap.wrap(words["layer", ""], columns - LABEL - 1)
    lines += [f"{'layers':{LABEL}}{first} ".ljust(columns, "─"), *(" " * LABEL + more for more in rest)]
    spans = [cell * sum(of.layer == j for of in stages) for j in layers]
    begun = {of.layer for of in stages if of.number == 1}  # a layer's own rows stand below its first stage
    own: dict[str, dict[int, Array]] = {}
    for q in e:
        if q.layer in begun and q.stage is None and q.kind in ("dK", "db", "dparameter", "Phi"):
            own.setdefault(q.symbol.replace(low(q.layer), ""), {})[q.layer] = q.value
    for label, of_layers in own.items():
        lines += across(label, [of_layers.get(j) for j in layers], spans)
    return lines


def labels(of: Any, layer: Any) -> dict[tuple[str, str], str]:
    """What stands before each row, for stages like this one."""
    keep = float(of.stage.keep)
    kept = {1.0: "{} + ", 0.0: ""}.get(keep, f"{keep:.3g} {{}} + ")
    factor = "f h" if len({abs(one.fraction) for one in layer.stages}) > 1 else layer.step(of)
    into = f" + {factor} dWᵀ J" if layer.coupled else ""
    return {
        ("y", "before"): "y", ("A", "stage"): "A", ("c", "stage"): "c",
        ("W", "stage"): f"W = {factor} J Aᵀ" if layer.coupled else f"W = {factor} I".replace("  ", " "),
        ("a", "stage"): "a = A y + c", ("sigma", "stage"): "σ(a)", ("slope", "stage"): "σ′(a)",
        ("u", "stage"): "u = W σ(a)", ("y", "behind"): f"y ← {kept.format('y')}u",
        ("delta", "behind"): "δ", ("g", "stage"): "g = σ′(a) ∘ Wᵀ δ", ("dW", "stage"): "dW = δ σ(a)ᵀ",
        ("dA", "stage"): "dA = g yᵀ", ("dc", "stage"): "dc = g", ("delta", "before"): f"δ ← {kept.format('δ')}Aᵀ g",
        ("layer", ""): f"dK: sum of dA{into};  db: of dc;  Φ ← ({kept.format('I')}Aᵀ diag(σ′) Wᵀ) Φ",
    }  # fmt: skip


def across(label: str, values: Sequence[Array | None], widths: list[int]) -> list[str]:
    """One row of the wall."""
    cells = []
    for value, width in zip(values, widths, strict=True):
        if value is None:
            cells.append([""])
            continue
        found = numbers(value, 4, width - 1)
        if not found[0].startswith("["):
            shape, norm = " × ".join(map(str, value.shape)), number(norms(value)["norm"], 4).strip()
            found = (
                [f"[{number(v, 4)}]" for v in value] if value.shape in ((2,), (3,), (4,)) else [shape, f"norm {norm}"]
            )
        cells.append([line[: width - 1] for line in found])
    count = max(map(len, cells))
    return [
        (label if i == 0 else "").ljust(LABEL)
        + "".join((cell[i] if i < len(cell) else "").ljust(width) for cell, width in zip(cells, widths, strict=True))
        for i in range(count)
    ]
