"""What was saved, read back: ``load``."""

from os import PathLike
from typing import TYPE_CHECKING, Any

from pyham.architectures.described import described
from pyham.files import archive, earlier
from pyham.network import Network

if TYPE_CHECKING:
    from pyham.training.classifier import Classifier
    from pyham.training.regressor import Regressor


def load(path: str | PathLike[str]) -> "Network | Classifier | Regressor | Any":
    """What the file has: a ``Network``, or a ``Classifier`` or ``Regressor``: with output layer, lift and history.

    ``net.save`` writes the one, ``classifier.save`` and trainings the other; the checkpoint of a training gives the
    classifier that it had reached. (While the weights of the alternating scheme are trained, its output layer is the
    one that the last batch was fitted with.)

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, has nothing of pyham's, or is of a newer version.
    """
    header, arrays = archive.read(path)
    kind = header.get("kind", "network")
    if kind not in ("network", "classifier", "regressor", "training", "image network", "image training"):
        raise ValueError(f"{path}: expected a network or a training, got a file of another kind")
    try:
        if kind == "network":
            return Network(described(header["architecture"], arrays), arrays)
        from pyham.training.trained import read  # here, because not everybody needs it

        return read(*earlier.modern(header, arrays))
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a network, got a header that describes none ({error})") from None
