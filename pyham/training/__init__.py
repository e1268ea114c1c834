"""Training: a model, the loop over its epochs, and what surrounds it (losses, optimisers, schedules, monitors).

May import networks, data sets and verification. The names below are imported when they are first looked at.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyham.training.classifier import Classifier
    from pyham.training.protocol import RECOMMENDED, Protocol
    from pyham.training.saver import Epoch
    from pyham.training.trainer import train

__all__ = ["RECOMMENDED", "Classifier", "Epoch", "Protocol", "train"]

_HOMES = {
    "Classifier": "classifier",
    "Epoch": "saver",
    "Protocol": "protocol",
    "RECOMMENDED": "protocol",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"pyham.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
