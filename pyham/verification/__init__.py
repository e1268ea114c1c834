"""What the theory promises, measured: symplecticity, bounds, gradient checks, certificates and their controls.

May import networks, engines and architectures. The names below are imported when they are first looked at.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyham.verification.certificate import Certificate, certify
    from pyham.verification.laws import Law
    from pyham.verification.layers import certify_layers

__all__ = ["Certificate", "Law", "certify", "certify_layers"]

_HOMES = {"Certificate": "certificate", "certify": "certificate", "Law": "laws", "certify_layers": "layers"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"pyham.verification.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
