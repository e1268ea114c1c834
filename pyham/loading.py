"""Networks in files: what ``net.save(path)`` or a training wrote, read back."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from pyham.architectures.vectors import architecture
from pyham.files import archive
from pyham.network import Network

Array = np.ndarray[Any, Any]

WIDTH = 1 << 10  # at most, of a network without layers: nothing else in its file says that it is that large


def load(path: str | PathLike[str]) -> Network:
    """The network that ``net.save(path)`` wrote, or the one that a training's checkpoint has reached.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, has no network of pyham's, or is of a newer version.
    """
    header, arrays = archive.read(path)
    if header.get("kind", "network") not in ("network", "training"):
        image = str(header["kind"]).startswith("image ")
        came = "one for images, which pyham.images.load reads" if image else "a file of another kind"
        raise ValueError(f"{path}: expected a network or a training, got {came}")
    try:
        if header.get("kind") != "training":
            return network(header, arrays)
        prefix = "parameters/"
        params = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        params.pop("layer", None)
        return network(header, params)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a network, got a header that describes none ({error})") from None


def network(header: Mapping[str, Any], params: Mapping[str, Array]) -> Network:
    """The network with these parameters whose architecture the header describes.

    Raises
    ------
    ArithmeticError, KeyError, TypeError, ValueError
        If it describes none, or one with other parameters.
    """
    config = header["architecture"]
    depth, width = params["b"].shape  # every architecture has biases (N, n)
    if (config["depth"], config["width"]) != (depth, width) or (not depth and width > WIDTH):
        raise ValueError(f"depth, width: expected those of b, {(depth, width)}, got others")
    if config["name"] == "H1" and params["K"].shape != (depth, width, width):  # before it builds J (n, n)
        raise ValueError(f"params['K']: expected shape {(depth, width, width)}, got {params['K'].shape}")
    return Network(architecture(**config), params)
