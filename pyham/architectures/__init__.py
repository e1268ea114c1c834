"""An architecture as data: parameters to stages, and stage gradients back to parameter gradients.

Here live activations, schemes, interconnection matrices, initial weights, graphs, and the networks themselves. May
import ``pyham._check`` only.
"""

from pyham.architectures.base import Architecture
from pyham.architectures.vectors import ARCHITECTURES, H1, H2, MLP, MS1, MS2, MS3, ResNet, architecture

__all__ = ["ARCHITECTURES", "Architecture", "H1", "H2", "MLP", "MS1", "MS2", "MS3", "ResNet", "architecture"]
