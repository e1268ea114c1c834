"""Networks in files: what ``net.save(path)`` wrote, read back. The format is that of ``pyham.checkpoint``."""

from os import PathLike

from pyham import checkpoint
from pyham.architectures import architecture
from pyham.network import Network


def load(path: str | PathLike[str]) -> Network:
    """The network that ``net.save(path)`` wrote.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, not a network of pyham's, or of a newer version.
    """
    header, arrays = checkpoint.read(path)
    try:
        return Network(architecture(**header["architecture"]), arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a network, got a header that describes none ({error})") from None
