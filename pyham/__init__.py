"""pyham: Hamiltonian deep neural networks.

A Hamiltonian deep neural network (H-DNN) is a discretisation of y' = J grad H(y, t) with H(y, t) = 1^T sigma~(K y + b).
One symbol means one thing throughout:

==========================  =====================  ===================================================================
symbol                      shape                  meaning
==========================  =====================  ===================================================================
n, m = n/2                                         state width
N, h, T = N h                                      layers j = 0 .. N-1, step size, final time
B                                                  samples in a batch; samples are rows
y_j = (p_j, q_j)            (B, n)                 state entering layer j; y_N is the output
K_j, b_j                    (N, n, n), (N, n)      weights and biases
J                           (n, n)                 skew-symmetric interconnection matrix
sigma, sigma~               entrywise              activation, and its integral
delta_j                     (B, n)                 dLoss/dy_j
Phi_j = dy_N/dy_j           (B, n, n)              backward sensitivity matrix; delta_j = Phi_j delta_N
==========================  =====================  ===================================================================

Importing the package compiles nothing and does not import Numba; the first call of a compiled function does. What not
everybody needs (data sets, training, the equation, gradient checks) is imported when it is first looked at.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyham import _aliases
from pyham._version import __version__
from pyham.architectures import (
    ARCHITECTURES,
    H1,
    H2,
    MLP,
    MS1,
    MS2,
    MS3,
    Architecture,
    ResNet,
    architecture,
    interconnection,
)
from pyham.architectures.activations import ACTIVATIONS, Activation
from pyham.architectures.register import register
from pyham.architectures.stages import Stages
from pyham.engines.compiled.threads import get_num_threads, set_num_threads
from pyham.engines.results import Adjoint, Trace
from pyham.interop.arrays import from_arrays
from pyham.loading import load
from pyham.network import Network
from pyham.verification import atlas, bounds, symplectic
from pyham.verification.certificate import Certificate, certify

if TYPE_CHECKING:
    from pyham import distributed, images, sweep, training
    from pyham.data import plane as datasets
    from pyham.interop.sklearn import HamiltonianClassifier as HamiltonianClassifier
    from pyham.interop.sklearn import HamiltonianRegressor as HamiltonianRegressor
    from pyham.interop.sklearn import HamiltonianTransformer as HamiltonianTransformer
    from pyham.training import experiment, protocol
    from pyham.verification import continuous, gradcheck, regions

_aliases.install()

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "Activation",
    "Adjoint",
    "Architecture",
    "Certificate",
    "H1",
    "H2",
    "MLP",
    "MS1",
    "MS2",
    "MS3",
    "Network",
    "ResNet",
    "Stages",
    "Trace",
    "__version__",
    "architecture",
    "atlas",
    "bounds",
    "certify",
    "continuous",
    "datasets",
    "distributed",
    "experiment",
    "from_arrays",
    "get_num_threads",
    "gradcheck",
    "images",
    "interconnection",
    "load",
    "protocol",
    "regions",
    "register",
    "set_num_threads",
    "sweep",
    "symplectic",
    "training",
]

_ESTIMATORS = ("HamiltonianClassifier", "HamiltonianRegressor", "HamiltonianTransformer")  # need scikit-learn
_ROOMS = ("distributed", "images", "sweep", "training")  # beside the short names, imported when first looked at


def __getattr__(name: str) -> Any:
    if name in _ROOMS or name in _aliases.HOMES:
        return import_module(f"pyham.{name}")
    if name in _ESTIMATORS:
        return getattr(import_module("pyham.interop.sklearn"), name)
    raise AttributeError(f"module 'pyham' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_ESTIMATORS, *_aliases.HOMES})
