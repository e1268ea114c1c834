"""Architectures from what a file says of them, which is checked against the file's arrays before anything is built."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyham.architectures.images import ConvH2, Pixelwise
from pyham.architectures.interface import ArchitectureBase
from pyham.architectures.vectors import architecture

Array = np.ndarray[Any, Any]

WIDTH = 1 << 10  # at most, of a network without layers: nothing else in its file says that it is that large


def described(config: Mapping[str, Any], params: Mapping[str, Array]) -> ArchitectureBase:
    """The architecture of ``arch.config()``, if these can be a network's parameters as far as its size goes.

    Raises
    ------
    ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError
        If ``config`` describes none, or one of another size.
    """
    options = dict(config)
    if options["name"] == "ConvH2":
        return ConvH2(**_without_name(options))
    if options["name"] == "Pixelwise":
        return Pixelwise(**_without_name(options) | {"network": _of_vectors(options["network"], params)})
    return _of_vectors(options, params)


def _of_vectors(config: Mapping[str, Any], params: Mapping[str, Array]) -> Any:
    depth, width = params["b"].shape  # every architecture has biases (N, n)
    if (config["depth"], config["width"]) != (depth, width) or (not depth and width > WIDTH):
        raise ValueError(f"depth, width: expected those of b, {(depth, width)}, got others")
    graph, most = config.get("graph"), max(value[:1].size for value in params.values())
    if graph is None and config["name"] == "H1" and params["K"].shape != (depth, width, width):  # before J (n, n)
        raise ValueError(f"params['K']: expected shape {(depth, width, width)}, got {params['K'].shape}")
    if graph == "full" and config["nodes"] ** 2 > max(most, WIDTH**2):  # before it builds the edges
        raise ValueError(f"nodes: expected a graph of as many edges as K has entries, {most}, got {config['nodes']}")
    return architecture(**config)


def _without_name(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "name"}
