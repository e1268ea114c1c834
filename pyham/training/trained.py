"""What a file says was trained: ``read``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyham.training.classifier import Classifier
from pyham.training.losses import VALUES
from pyham.training.predictor import Predictor, loss_of
from pyham.training.regressor import Regressor

Array = np.ndarray[Any, Any]


def kind_of(loss: str) -> type[Predictor]:
    """What is trained by a loss of that name."""
    return Regressor if loss in VALUES else Classifier


def read(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Any:
    """The ``Classifier`` or ``Regressor`` that was saved, or that a training's state has reached.

    Raises
    ------
    ArithmeticError, AttributeError, KeyError, TypeError, ValueError
        If header and arrays describe none.
    """
    return kind_of(loss_of(header)).read(header, arrays)
