"""What is a user's own and is to be known by name: to files, to ``pyham.architecture`` and to the command line."""

from typing import Any, TypeVar

from pyham.architectures.activations import ACTIVATIONS, Activation, activation
from pyham.architectures.base import Architecture
from pyham.architectures.images import ConvH2, Pixelwise
from pyham.architectures.interface import ArchitectureBase
from pyham.architectures.vectors import ARCHITECTURES

T = TypeVar("T", type[Architecture], Activation)


def register(own: T) -> T:
    """Make a subclass of ``Architecture``, or an ``Activation``, known by its name; returns it, as a decorator must.

    A file holds the name and the options alone, so whoever loads it registers the same first. What was registered under
    a name of the user's own is replaced, so that a notebook's cell can run again.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If the name is one of pyham's.
    """
    if isinstance(own, Activation):
        table: dict[str, Any] = ACTIVATIONS
        name = activation(own).name
    elif isinstance(own, type) and issubclass(own, Architecture):
        table, name = ARCHITECTURES, own.__name__
    else:
        raise TypeError(f"own: expected a subclass of Architecture, or an Activation, got {own!r}")
    if name in _PYHAMS and table[name] is not own:
        raise ValueError(f"own: expected a name that is not one of pyham's, got {name!r}")
    table[name] = own
    return own


_PYHAMS = (*ACTIVATIONS, *ARCHITECTURES)


def description(arch: ArchitectureBase) -> dict[str, Any]:
    """``arch.config()`` for a file, from which ``load`` will make the same architecture.

    Raises
    ------
    ValueError
        If it would not, because the architecture or its activation is not registered.
    """
    inner = arch.network if isinstance(arch, Pixelwise) else arch
    if not isinstance(inner, ConvH2) and ARCHITECTURES.get(inner.name) is not type(inner):
        raise ValueError(
            f"net: expected a registered architecture, got {inner.name}, which no file could be loaded as; "
            f"pyham.register({inner.name}) before saving, and before loading"
        )
    sigma = arch.sigma
    if sigma is not None and ACTIVATIONS.get(sigma.name) != sigma:
        raise ValueError(
            f"net: expected a registered activation, got one named {sigma.name!r}, which no file could be loaded with; "
            "pyham.register(activation) before saving, and before loading"
        )
    return arch.config()
