"""Files of earlier versions, as those of today have them.

Image networks once had the lift and the output layer among their parameters, and the number of classes and the output
layer's gain among the architecture's options: kinds "image network" and "image training". Today they are classifiers
and trainings like all others. The output layer was ``layer`` (C, n) and ``mu`` (C,), one behind the other at the end of
what an optimiser remembers; today it is ``layer`` (C, n + 1).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

COLUMNS = ("loss", "accuracy", "rate", "validation_loss", "validation_accuracy")  # of a history


def modern(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays as today's version would have written them.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        If they are none of any version.
    """
    header, arrays = dict(header), dict(arrays)
    kind = header.get("kind", "network")
    if kind not in ("image network", "image training"):
        return header, arrays
    config = dict(header["architecture"])
    if kind == "image network":
        arrays = {f"parameters/{name}": value for name, value in arrays.items()}
        arrays |= {f"history/{name}": np.zeros(0) for name in COLUMNS}
        header |= {"kind": "classifier", "loss": "softmax", "phases": [], "depths": []}
    else:
        header |= {"kind": "training", "start": _without(header["start"])}
    layer, mu = arrays["parameters/layer"], arrays.pop("parameters/mu")
    if layer.ndim != 2 or mu.shape != (len(layer),) or len(mu) != config["classes"] or layer.dtype != mu.dtype:
        raise ValueError("layer, mu: expected one row and one number for each class")
    arrays["parameters/layer"] = np.column_stack((layer, mu))
    for name in arrays:
        if name == "best" or name.startswith("optimizer/"):
            arrays[name] = _joined(arrays[name], layer)
    return header | {"architecture": _without(config), "gain": config["gain"]}, arrays


def _without(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are still the architecture's."""
    return {key: value for key, value in config.items() if key not in ("classes", "gain")}


def _joined(flat: Array, layer: Array) -> Array:
    """Numbers for all parameters (P,), those of the output layer in the order of one array (C, n + 1)."""
    last = len(flat) - len(layer)
    first = last - layer.size
    joined = np.column_stack((flat[first:last].reshape(layer.shape), flat[last:]))
    return np.concatenate((flat[:first], joined.ravel()))
