"""What a fault is: text of one function of the package, and what to put in its place."""

from dataclasses import dataclass

PACKAGES = ("distributed", "images")


def module_of(target: str) -> str:
    """The module of ``pyham`` that a target lies in: "lowering", "distributed.stepping"."""
    parts = target.split(".")
    return ".".join(parts[: 2 if parts[0] in PACKAGES else 1])


@dataclass(frozen=True)
class Fault:
    """One slip: in ``target`` ("lowering.Architecture.lower"), the text ``old`` becomes ``new``.

    ``kind`` is the slip's name, ``what`` says it as a formula.
    """

    target: str
    kind: str
    what: str
    old: str
    new: str

    @property
    def where(self) -> str:
        """The module of ``pyham``."""
        return module_of(self.target)

    @property
    def name(self) -> str:
        return f"{self.target}: {self.kind}"


def slips(target: str, *slips: tuple[str, str, str, str]) -> tuple[Fault, ...]:
    """Several of one target: (kind, what, old, new)."""
    return tuple(Fault(target, *slip) for slip in slips)
