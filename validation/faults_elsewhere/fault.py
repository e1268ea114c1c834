"""What a fault is: text of one function of the package, and what to put in its place."""

from dataclasses import dataclass


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
        return self.target.split(".")[0]

    @property
    def name(self) -> str:
        return f"{self.target}: {self.kind}"


def slips(target: str, *slips: tuple[str, str, str, str]) -> tuple[Fault, ...]:
    """Several of one target: (kind, what, old, new)."""
    return tuple(Fault(target, *slip) for slip in slips)
