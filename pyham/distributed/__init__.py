"""Networks distributed over the nodes of a graph: each owns its block of states and weights, and messages travel along
edges, forwards and backwards.

Read in this order: ``patterns`` (which messages K and J need), ``links`` (the two things that nodes do with each
other), ``stepping`` (a stage, forwards and backwards), ``network``, ``transport``.
"""

from pyham.architectures.graphs import Graph, full, grid, path, ring, star
from pyham.architectures.patterns import Ownership
from pyham.distributed.layout import Layout
from pyham.distributed.network import DistributedNetwork, distribute
from pyham.distributed.transport import Mailbox, Transport, TransportError

Blocks = Ownership  # its name before maps on the edges of a graph came

__all__ = [
    "Blocks",
    "DistributedNetwork",
    "Graph",
    "Layout",
    "Mailbox",
    "Ownership",
    "Transport",
    "TransportError",
    "distribute",
    "full",
    "grid",
    "path",
    "ring",
    "star",
]
