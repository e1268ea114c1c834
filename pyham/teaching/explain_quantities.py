"""What an explanation is made of: ``Quantity``, with the place of its formula in the code and what checked it.

Symbols are plain Unicode: y₀ enters layer 0, y₀⁽¹⁾ is the state behind its first stage, and a layer's last stage gives
y₁. A half stands in brackets, y₀[p]. Keys are the same in ASCII, "y0", "y0.1".
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pyham._check as _check

Array = np.ndarray[Any, Any]

ROOT = Path(_check.__file__).parents[1]
EXCERPT = 64  # numbers: of a larger array, ``to_dict`` and texts hold the beginning and the norms
MOST = 32  # entries, or columns, that are compared where each takes a pass: of more, a selection

_LOW, _HIGH = str.maketrans("0123456789-", "₀₁₂₃₄₅₆₇₈₉₋"), str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def low(number: int) -> str:
    """An index below the line."""
    return str(number).translate(_LOW)


def high(number: int) -> str:
    """The number of a stage, above the line and in parentheses."""
    return f"⁽{str(number).translate(_HIGH)}⁾"


class CodePlace(NamedTuple):
    """Where something is computed: ``file`` from the repository's root, ``line``, ``function``, and the line's text."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


@cache
def place(function: Callable[..., Any], fragment: str = "") -> CodePlace:
    """The first line of a function's source that contains ``fragment``, or else where the function begins."""
    inner = inspect.unwrap(function)
    name = getattr(inner, "__qualname__", repr(inner)).replace(".<locals>", "")
    try:
        lines, start = inspect.getsourcelines(inner)
        path = Path(inspect.getsourcefile(inner) or "")
    except (OSError, TypeError):  # a function without source, as one of NumPy or of a console
        return CodePlace(getattr(inner, "__module__", None) or "unknown", 0, name, "")
    number = next((i for i, line in enumerate(lines) if fragment in line), 0)
    file = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
    return CodePlace(file, start + number, name, lines[number].strip())


class Agreement(NamedTuple):
    """A quantity against another way to compute it.

    ``kind`` is "formula" or "complex step", ``how`` says it in words. ``deviation`` is the largest difference and
    ``tolerance`` the largest that rounding errors explain, both relative to the largest entry of the other way's
    result (or absolute, where that is 0). ``entries`` of ``of`` were compared.
    """

    kind: str
    how: str
    deviation: float
    tolerance: float
    entries: int
    of: int

    @property
    def holds(self) -> bool:
        return bool(self.deviation <= self.tolerance)

    @property
    def decided(self) -> bool:
        """Whether the tolerance is small enough for agreement to mean something."""
        return bool(self.tolerance <= 0.01)


@dataclass(frozen=True, eq=False)
class Quantity:
    """One number, vector or matrix of a pass.

    Attributes
    ----------
    key, symbol : what it is called, in ASCII and as it is written
    kind : which formula it has: "a", "delta", ..
    name : in words
    formula : its right-hand side
    value : one sample's, without the axis of samples
    part : "given", "forward" or "backward"
    layer, stage : j, and the number of the stage in the layer from 1 on; None where it belongs to no stage
    half : which entries of the state the stage updates: "p", "q", another slice, or "" for all
    inputs : keys of what stands in the formula
    place : in the code
    agreements : what it was compared with; () before checks, and for what is given
    """

    key: str
    symbol: str
    kind: str
    name: str
    formula: str
    value: Array
    part: str
    layer: int | None
    stage: int | None
    half: str
    inputs: tuple[str, ...]
    place: CodePlace
    agreements: tuple[Agreement, ...] = ()

    def __repr__(self) -> str:
        return f"<Quantity {self.symbol} = {self.formula}, {self.value.shape}>"

    @property
    def deviation(self) -> float | None:
        """The largest of all comparisons; None where there is none."""
        return max((a.deviation for a in self.agreements), key=_nan_first, default=None)

    @property
    def passed(self) -> bool:
        return all(a.holds for a in self.agreements)

    @property
    def verdict(self) -> str:
        """In a word: "given", "holds", "undecided" (rounding errors may hide a difference) or "FAILS"."""
        if not self.agreements:
            return "given"
        if not self.passed:
            return "FAILS"
        return "holds" if any(a.decided for a in self.agreements) else "undecided"

    def norms(self) -> dict[str, float]:
        """The 2-norm of all entries, and the largest of them."""
        return norms(self.value)

    def to_dict(self, full: bool = False) -> dict[str, Any]:
        """Plain data, fit for JSON: infinity and NaN as strings; of large arrays, unless ``full``, the beginning."""
        whole = full or self.value.size <= EXCERPT
        values = self.value if whole else self.value.ravel()[:EXCERPT]
        return {
            "key": self.key, "symbol": self.symbol, "kind": self.kind, "name": self.name, "formula": self.formula,
            "part": self.part, "layer": self.layer, "stage": self.stage, "half": self.half,
            "inputs": list(self.inputs), "shape": list(self.value.shape), "value": plain(values.tolist()),
            "whole": whole, **{name: plain(value) for name, value in self.norms().items()},
            "place": self.place._asdict(), "verdict": self.verdict,
            "checks": [{k: plain(v) for k, v in a._asdict().items()} | {"holds": a.holds} for a in self.agreements],
        }  # fmt: skip


def norms(value: Array) -> dict[str, float]:
    """The 2-norm of all entries, and the largest absolute value."""
    wide = np.abs(_check.double(value)).ravel()
    with np.errstate(all="ignore"):
        return {"norm": float(np.linalg.norm(wide)), "largest": float(wide.max(initial=0))}


def plain(value: Any) -> Any:
    """Lists and numbers as JSON has them."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else str(value)
    return value


def _nan_first(number: float) -> float:
    return np.inf if number != number else number


def chosen(size: int, most: int, value: Array | None = None) -> Array:
    """The indices of the entries that are compared: all, or ``most`` random ones and the largest of ``value``."""
    if size <= most:
        return np.arange(size)
    largest: Any = [] if value is None else np.argsort(np.abs(value).ravel())[-most // 4 :]
    drawn = np.random.default_rng(size).permutation(size)[: most - len(largest)]
    return np.union1d(drawn, largest).astype(int)
