"""How messages travel: ``Hop``, ``Transport``, and ``Mailbox``, the transport within one process.

A round is a list of hops, messages from node to node. ``Transport.exchange`` takes them from the nodes that live with
it, refuses and names what is not on an edge or not of the agreed size, counts what it delivers, and hands over what has
arrived.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pyham.architectures.graphs import Graph

Array = np.ndarray[Any, Any]


class Hop(NamedTuple):
    """A message of ``rows`` numbers for each sample."""

    sender: int
    receiver: int
    rows: int


class Place(NamedTuple):
    """Where in a pass a round belongs; layer N is what comes after the last layer."""

    direction: str
    layer: int

    def __str__(self) -> str:
        return f"{self.direction}, layer {self.layer}"


class TransportError(RuntimeError):
    """A message that may not be sent, or did not arrive as it should; it names node, layer, pass and round."""


class Traffic:
    """What has travelled: messages and bytes by edge (M, M), entry [receiver, sender], and by what they carried."""

    def __init__(self, nodes: int) -> None:
        self.messages = np.zeros((nodes, nodes), np.int64)
        self.bytes = np.zeros((nodes, nodes), np.int64)
        self.kinds: dict[str, list[int]] = {}  # name -> rounds, messages, bytes

    @property
    def rounds(self) -> int:
        return sum(kind[0] for kind in self.kinds.values())


class Transport(ABC):
    """Delivers messages between nodes.

    Parameters
    ----------
    graphs : the graph of each layer, and of what comes after the last
    nodes : those that live here, ascending

    Attributes
    ----------
    traffic : what these have sent
    dtype : of the numbers in all messages; the network that uses the transport sets it
    """

    dtype: np.dtype[Any] = np.dtype(np.float64)

    def __init__(self, graphs: Sequence[Graph], nodes: Sequence[int]) -> None:
        self.graphs, self.nodes, self._here = tuple(graphs), tuple(nodes), frozenset(nodes)
        self.traffic = Traffic(len(self.graphs[0]))

    def exchange(
        self, name: str, hops: Sequence[Hop], place: Place, columns: int, outbox: Mapping[tuple[int, int], Array]
    ) -> dict[tuple[int, int], Array]:
        """One round of ``hops``: messages (rows, ``columns``) by (sender, receiver), from and to the nodes living here.

        Raises
        ------
        TransportError
            If there is no such edge, a message is missing, too many or of another size than the hops say.
        """
        graph, traffic = self.graphs[place.layer], self.traffic
        kind = traffic.kinds.setdefault(name, [0, 0, 0])
        kind[0] += 1
        sent: dict[tuple[int, int], Array] = {}
        for hop in hops:
            pair = hop.sender, hop.receiver
            if not graph.has(*pair):
                raise self.error(name, place, hop, "expected a message along an edge, got one between no neighbours")
            if hop.sender not in self._here:
                continue
            if pair not in outbox:
                raise self.error(name, place, hop, "expected a message, got none")
            message = outbox[pair]
            if message.shape != (hop.rows, columns):
                expected = f"expected a message of shape {(hop.rows, columns)}"
                raise self.error(name, place, hop, f"{expected}, got {message.shape}")
            traffic.messages[hop.receiver, hop.sender] += 1
            traffic.bytes[hop.receiver, hop.sender] += message.nbytes
            kind[1:] = kind[1] + 1, kind[2] + message.nbytes
            sent[pair] = message
        if len(sent) != len(outbox):
            sender, receiver = next(pair for pair in outbox if pair not in sent)
            raise self.error(name, place, Hop(sender, receiver, 0), "expected no such message, got one")
        return self.deliver(name, hops, place, columns, sent)

    @abstractmethod
    def deliver(
        self, name: str, hops: Sequence[Hop], place: Place, columns: int, sent: dict[tuple[int, int], Array]
    ) -> dict[tuple[int, int], Array]:
        """Hand over messages that have been checked."""

    @abstractmethod
    def gather(self, flat: Array, sizes: Sequence[int]) -> Array:
        """The flat arrays of all nodes one after another, from those that live here; for files and users only.

        ``sizes`` (M,) are the lengths of all nodes' arrays. This is no message between nodes, and is not counted.
        """

    @abstractmethod
    def total(self) -> Traffic:
        """What all nodes have sent."""

    def error(self, name: str, place: Place, hop: Hop, what: str) -> TransportError:
        """An error that names the message."""
        return TransportError(f"{place}, {name}, node {hop.sender} -> node {hop.receiver}: {what}")


class Mailbox(Transport):
    """All nodes in one process: what one posts, the other finds."""

    def __init__(self, graphs: Sequence[Graph]) -> None:
        super().__init__(graphs, range(len(graphs[0])))

    def deliver(
        self, name: str, hops: Sequence[Hop], place: Place, columns: int, sent: dict[tuple[int, int], Array]
    ) -> dict[tuple[int, int], Array]:
        return sent

    def gather(self, flat: Array, sizes: Sequence[int]) -> Array:
        return flat

    def total(self) -> Traffic:
        return self.traffic
