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

from pyham import atlas, bounds, interconnection, symplectic
from pyham._version import __version__
from pyham.activations import ACTIVATIONS, Activation
from pyham.architectures import ARCHITECTURES, H1, H2, MLP, MS1, MS2, MS3, ResNet, architecture
from pyham.certificate import Certificate, certify
from pyham.engine import Adjoint, Trace
from pyham.files import load
from pyham.foreign import from_arrays
from pyham.lowering import Architecture
from pyham.network import Network
from pyham.stages import Stages
from pyham.threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from pyham import continuous, datasets, experiment, gradcheck, images, sweep, training

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
    "experiment",
    "from_arrays",
    "get_num_threads",
    "gradcheck",
    "images",
    "interconnection",
    "load",
    "set_num_threads",
    "sweep",
    "symplectic",
    "training",
]

_LATER = ("continuous", "datasets", "experiment", "gradcheck", "images", "sweep", "training")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return import_module(f"pyham.{name}")
    raise AttributeError(f"module 'pyham' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
