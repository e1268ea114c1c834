"""Which stage of a network does what: layers and their stages, with the names of halves, parts and coefficients."""

# ruff: noqa: RUF001  formulas have the letters of mathematics

from dataclasses import dataclass
from typing import Any

import numpy as np

from pyham.architectures.base import Architecture
from pyham.architectures.images import ConvH2, Pixelwise
from pyham.architectures.stages import Stage
from pyham.network import Network
from pyham.teaching.explain_quantities import high, low

Array = np.ndarray[Any, Any]

SIGMA = {
    "tanh": ("tanh({a})", "1 − tanh²({a})"),
    "logistic": ("1 / (1 + exp(−{a}))", "σ({a}) (1 − σ({a}))"),
    "relu": ("max({a}, 0)", "1 where {a} > 0, else 0"),
    "softplus": ("log(1 + exp({a}))", "1 / (1 + exp(−{a}))"),
    "identity": ("{a}", "1"),
}


@dataclass(frozen=True, eq=False)
class StageOfLayer:
    """Stage ``number`` = 1 .. ``many`` of a layer.

    ``stage`` are its numbers, ``src`` and ``dst`` the slices of channels; it applies the scheme's ``part`` of the field
    for ``fraction`` times the step.
    """

    layer: int
    number: int
    many: int
    stage: Stage
    src: slice
    dst: slice
    width: int
    part: int
    fraction: float

    @property
    def key(self) -> str:
        return f"{self.layer}" if self.many == 1 else f"{self.layer}.{self.number}"

    @property
    def index(self) -> str:
        """What stands at a symbol: ₀⁽¹⁾, or ₀ in a layer of one stage."""
        return low(self.layer) + (high(self.number) if self.many > 1 else "")

    @property
    def reads(self) -> str:
        return half(self.src, self.width)

    @property
    def updates(self) -> str:
        return half(self.dst, self.width)


@dataclass(frozen=True, eq=False)
class LayerOfNetwork:
    """Layer ``number``: its stages, and the network of vectors (``arch``) whose layer ``local`` it is.

    ``group`` is the number that ConvH2 appends to names of parameters, else ""; ``squeezed`` whether 2 x 2 pixels
    become 4 channels before the first stage.
    """

    number: int
    stages: tuple[StageOfLayer, ...]
    arch: Architecture
    local: int
    group: str
    squeezed: bool

    def node(self, s: int) -> tuple[str, str]:
        """Key and index of the state behind stage s, or before the first for s = 0."""
        if s == 0 and not self.squeezed:
            return str(self.number), low(self.number)
        if s == len(self.stages):
            return str(self.number + 1), low(self.number + 1)
        return f"{self.number}.{s}", low(self.number) + high(s)

    def parameter(self, name: str) -> tuple[str, str]:
        """Key and symbol of the gradient of a free parameter in this layer."""
        if self.group:
            return (f"d{name}{self.group}[{self.local}]",) * 2
        prime = "'" if name in ("A", "c", "W") and len(self.stages) == 1 else ""  # the stage's gradient has that name
        return f"d{name}{self.number}{prime}", f"d{name}{low(self.number)}{prime}"

    @property
    def coupled(self) -> bool:
        """Whether W = f h J A^T."""
        return self.arch.interconnected

    @property
    def matrix(self) -> Array:
        """J (n, n)."""
        assert self.arch.coupling is not None
        return self.arch.coupling

    @property
    def J(self) -> str:
        """The key of J."""
        return f"J group {self.group}" if self.group else "J"

    def block_of_J(self, part: int) -> Array:
        """J[dst, src] as a matrix, of the part's slices."""
        return self.matrix[self.arch.parts[part].dst, self.arch.parts[part].src]

    def amount(self, of: StageOfLayer) -> float:
        """f h, or what takes its place where the state is damped meanwhile."""
        return float(np.broadcast_to(self.arch.amount(of.part, of.fraction), self.arch.depth)[self.local])

    def lift(self, of: StageOfLayer, dtype: np.dtype[Any]) -> Array:
        """That times J[dst, src], as the architecture multiplies weights with it."""
        lift = self.arch._lift(of.part, of.fraction, dtype)
        found: Array = self.arch._by_layer(lift[None], of.part, of.fraction, slice(self.local, self.local + 1))[0]
        return found

    def step(self, of: StageOfLayer) -> str:
        """f h in words; a number where the state is damped meanwhile."""
        if not self.arch.keep:
            return ""
        if float(of.stage.keep) != 1:
            return f"{self.amount(of):.6g}"
        return {1.0: "h", 0.5: "½ h"}.get(of.fraction, f"{of.fraction:.6g} h")


def half(part: slice, width: int) -> str:
    """ "p", "q", "" for all, or the indices of another slice."""
    if (part.start, part.stop) == (0, width):
        return ""
    if width % 2 == 0 and part.stop - part.start == width // 2 and part.start in (0, width // 2):
        return "q" if part.start else "p"
    return f"{part.start}:{part.stop}"


def at(symbol: str, part: str) -> str:
    """A symbol with the half in brackets."""
    return f"{symbol}[{part}]" if part else symbol


def layers_of(net: Network, dtype: object) -> list[LayerOfNetwork]:
    """The layers of a network with numbers in ``dtype``.

    Raises
    ------
    TypeError
        If its architecture is of none of pyham's kinds.
    """
    found: list[LayerOfNetwork] = []
    archs = architectures_of(net.arch)
    sections = net.stages(dtype).sections
    for number, (section, arch) in enumerate(zip(sections, archs, strict=True)):
        group = str(number) if isinstance(net.arch, ConvH2) else ""
        for local in range(section.depth):
            j, many = len(found), section.per_layer
            stages = tuple(
                StageOfLayer(j, s + 1, many, stage, section.src[s], section.dst[s], section.width, *arch.steps[s])
                for s, stage in enumerate(section.of_layer(local))
            )
            found.append(LayerOfNetwork(j, stages, arch, local, group, section.squeeze and local == 0))
    return found


def architectures_of(arch: Any) -> tuple[Architecture, ...]:
    """The network of vectors of each section."""
    if isinstance(arch, ConvH2):
        return arch.groups
    inner = arch.network if isinstance(arch, Pixelwise) else arch
    if not isinstance(inner, Architecture):
        raise TypeError(f"net: expected a network of vectors, of images or on a graph, got {type(arch).__name__}")
    return (inner,)


# Formulas in words


def added(state: str, keep: Any, kept: str, new: str, where: str) -> str:
    """``new`` added to the half ``where`` of a state whose half ``kept`` is multiplied by ``keep``."""
    factor = float(keep)
    if not kept:
        return {1.0: f"{state} + {new}", 0.0: new}.get(factor, f"{factor:.6g} {state} + {new}")
    times = "" if factor == 1 else f" with [{kept}] times {factor:.6g}, and"
    return f"{state}{times or ' with'} {new} added to [{where}]"


def jacobian(layer: LayerOfNetwork) -> str:
    """The transposed Jacobian of a stage in words."""
    keep = float(layer.stages[0].stage.keep)
    return ("I + " if keep == 1 else "" if keep == 0 else "keep + ") + "Aᵀ diag(σ′(a)) Wᵀ"


def half_of(layer: LayerOfNetwork, part: slice) -> str:
    return half(part, layer.arch.width)


def sigma_words(name: str, which: int, a: str) -> str:
    """The formula of sigma (0) or sigma' (1)."""
    known = SIGMA.get(name, (f"{name}({{a}})", f"{name}′({{a}})"))
    return known[which].format(a=a)


def collected(name: str, blocks: list[str]) -> str:
    """How a free parameter's gradient follows from those of K's blocks."""
    if name == "MS1":
        return f"{blocks[0]} − {blocks[1]}ᵀ" if "[p," in blocks[0] else f"{blocks[1]} − {blocks[0]}ᵀ"
    if name == "MS2":
        return f"{blocks[0]} − {blocks[0]}ᵀ above the diagonal, row by row"
    return f"collected from {', '.join(blocks)}"
