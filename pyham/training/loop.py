"""A training that can stop after any epoch and go on as if it had not: ``Run``.

All that decides the rest of a training is its state: parameters, what the optimiser remembers, the generator, and where
it is. ``state`` copies it into plain data and arrays, ``restore`` takes it back; ``pyham.training`` puts it into files.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from pyham import _check
from pyham.training.history import History, rows
from pyham.training.interface import Model, Samples, Targets
from pyham.training.losses import Weighted
from pyham.training.optimizers import Adam, Descent
from pyham.training.protocol import Phase, Protocol
from pyham.training.stored import parts

Array = np.ndarray[Any, Any]

GENERATORS = {"PCG64": np.random.PCG64, "PCG64DXSM": np.random.PCG64DXSM}  # NumPy's own choices for new generators


class Run:
    """A training of ``model`` on x (B, ...) and labels (B,), epoch by epoch.

    Parameters
    ----------
    model : changed in place; after a doubling of the depth, ``run.model`` is another one
    x, labels : the training data, arrays or ``Stored``; labels are integers, or values of a regression, or ``Weighted``
    protocol : how to train
    generator : of the batches
    validation : None, or (x, labels) on which every epoch's loss and accuracy are measured

    Attributes
    ----------
    finished : whether all phases are over
    rows : one mapping for each epoch done, as ``History.of`` takes them
    alone, writes : whether this process has the whole state, and whether it is the one that writes files
    """

    alone, writes = True, True

    def __init__(
        self,
        model: Model,
        x: Samples,
        labels: Targets,
        protocol: Protocol,
        generator: np.random.Generator,
        validation: tuple[Samples, Targets] | None = None,
    ) -> None:
        if protocol.patience is not None and validation is None:
            raise ValueError("validation: expected samples (x, labels), as the protocol has patience, got None")
        self.model, self.x, self.labels, self.protocol = model, x, labels, protocol
        self.generator, self.validation = generator, validation
        self.phases = protocol.phases
        self.rows: list[Mapping[str, Any]] = []
        self._phase, self._level, self._over = -1, 0, True  # over: the phase, as the one before the first
        self._epoch, self._age, self._best_loss = 0, 0, np.inf
        self._best: Array | None = None

    @property
    def finished(self) -> bool:
        return self._over and self._phase == len(self.phases) - 1

    @property
    def phase(self) -> Phase:
        """The phase of the last epoch, or of the next one."""
        return self.phases[self._phase]

    @property
    def total(self) -> int:
        """Epochs in all; fewer are done where patience ends a phase."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def history(self) -> History:
        return History.of(self.rows)

    def advance(self) -> Mapping[str, Any]:
        """One epoch; returns its row of the history.

        Raises
        ------
        FloatingPointError
            If numbers are not finite afterwards: the rate was too large.
        """
        if self._over:
            self._next_phase()
        phase, size = self.phase, self.protocol.batch
        order = self.generator.permutation(len(self.x))
        steps = -(-len(order) // size)
        times = self._epoch + np.arange(steps) / steps
        top = self.protocol.layer_rate if phase.name == "output layer" else self.protocol.rate
        rates = top * np.array([self.protocol.schedule(t, phase.epochs) for t in times.tolist()])
        with np.errstate(over="ignore", invalid="ignore"):  # said below, once
            loss, right = self.model.epoch(phase.name, self._descent, self.x, self.labels, order, size, rates)
        if not np.isfinite(loss) or not np.isfinite(self.model.theta).all():
            raise FloatingPointError(
                f"rate: expected one at which training converges, got {self.protocol.rate}: after epoch "
                f"{self._epoch + 1} ({phase.name}) numbers are not finite"
            )
        row: dict[str, Any] = {"phase": phase.name, "depth": self.model.depth, "loss": loss}
        row |= {"accuracy": right / len(order), "rate": float(rates[0])} | self._validate(phase.name)
        self.rows.append(row)
        self._epoch += 1
        impatient = self._patience_is_over(row["validation_loss"])  # of the last epoch too: it may be the best
        if impatient or self._epoch == phase.epochs:
            self._over = True
            if self._best is not None:
                self.model.theta[:] = self._best
        return row

    def _validate(self, phase: str) -> dict[str, float]:
        if self.validation is None:
            return {"validation_loss": np.nan, "validation_accuracy": np.nan}
        loss, right = self.model.evaluate(phase, *self.validation)
        return {"validation_loss": loss, "validation_accuracy": right / len(self.validation[1])}

    def _patience_is_over(self, loss: float) -> bool:
        if self.protocol.patience is None:
            return False
        if self._best is None or loss < self._best_loss:
            self._best, self._best_loss, self._age = self.model.theta.copy(), loss, 0
        else:
            self._age += 1
        return self._age >= self.protocol.patience

    def _next_phase(self) -> None:
        """On to the next phase: deepen the network if it asks for that, and a fresh optimiser."""
        self._phase += 1
        self._epoch, self._over = 0, False
        self._age, self._best_loss, self._best = 0, np.inf, None
        for _ in range(self._level, self.phase.level):
            self.model = self.model.deepen(self.protocol.prolongation)
        self._level = self.phase.level
        self.model.begin(self.phase.name)
        self._start_descent()

    def _start_descent(self) -> None:
        name = self.phase.name
        method = Adam() if name == "output layer" else self.protocol.optimizer
        self._descent = Descent(method, self.model.trained(name), self.model.steps)

    # State

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain data and arrays, copies, from which ``restore`` continues bitwise.

        Raises
        ------
        TypeError
            If the generator is not one of NumPy's PCG64 or PCG64DXSM: only their states are kept.
        """
        bits = self.generator.bit_generator.state
        if bits["bit_generator"] not in GENERATORS:
            raise TypeError(f"rng: expected a generator on {' or '.join(GENERATORS)}, got {bits['bit_generator']}")
        description, parameters = self.model.describe()
        header = description | {
            "protocol": self.protocol.config(),
            "phase": self._phase,
            "epoch": self._epoch,
            "over": self._over,
            "generator": bits,
            "data": self.fingerprint,
        }
        columns, arrays = self.history.plain()
        header |= columns
        arrays |= {f"parameters/{name}": array.copy() for name, array in parameters.items()}
        if not self._over:
            header |= {"steps": self._descent.t, "age": self._age}
            arrays |= {f"optimizer/{name}": slot.copy() for name, slot in self._descent.slots.items()}
            if self._best is not None:
                arrays |= {"best": self._best, "best loss": np.array([self._best_loss])}
        return header, arrays

    def restore(self, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Continue, before the first epoch, from a ``state`` whose model, protocol and data are this run's.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the state is none, or another run's.
        """
        if header["data"] != self.fingerprint:
            raise ValueError("x: expected the data that the training began with, got others")
        if Protocol.from_config(header["protocol"]) != self.protocol:
            raise ValueError("protocol: expected the one that the training began with, got another")
        self._phase = _check.integer("phase", header["phase"], -1)
        self._epoch = _check.integer("epoch", header["epoch"], 0)
        if not isinstance(header["over"], bool):
            raise TypeError(f"over: expected true or false, got {type(header['over']).__name__}")
        self._over = header["over"]
        if self._phase >= len(self.phases) or (self._phase < 0 and not self._over):
            raise ValueError(f"phase: expected at most {len(self.phases) - 1}, got {self._phase}")
        if not self._over and self._epoch >= self.phase.epochs:
            raise ValueError(f"epoch: expected one below {self.phase.epochs}, got {self._epoch}")
        self.generator.bit_generator.state = generator_state(header["generator"])
        self._level = self.phase.level if self._phase >= 0 else 0
        self.rows = rows(header, arrays)
        _, parameters = self.model.describe()
        for name, array in parameters.items():
            array[...] = matching(f"parameters/{name}", arrays, array)
        if self._over:
            return
        self._start_descent()
        self._descent.t = _check.integer_of_bits("steps", header["steps"], 53)
        self._age = _check.integer_of_bits("age", header["age"], 53)
        for name, slot in self._descent.slots.items():
            slot[...] = matching(f"optimizer/{name}", arrays, slot)
        if "best" in arrays:
            self._best = matching("best", arrays, self.model.theta)
            self._best_loss = float(matching("best loss", arrays, np.zeros(1))[0])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the training and validation data."""
        digest = hashlib.sha256()
        given = [self.x, self.labels, *(self.validation or ())]
        arrays = [(one.values, one.weights) if isinstance(one, Weighted) else (one,) for one in given]
        for array in chain(*arrays):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            for part in parts(array):
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def matching(name: str, arrays: Mapping[str, Array], like: Array) -> Array:
    """arrays[name], finite and of the same shape and dtype as ``like``."""
    if arrays[name].dtype != like.dtype:
        raise TypeError(f"{name}: expected dtype {like.dtype}, got {arrays[name].dtype}")
    return _check.array(name, arrays[name], like.shape)


def generator_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state that NumPy's generator can be given: checked number by number, since NumPy itself trusts it."""
    name = _check.choice("generator", state["bit_generator"], GENERATORS)
    inner = {key: _check.integer_of_bits(f"generator {key}", state["state"][key], 128) for key in ("state", "inc")}
    rest = {
        key: _check.integer_of_bits(f"generator {key}", state[key], bits)
        for key, bits in (("has_uint32", 1), ("uinteger", 32))
    }
    return {"bit_generator": name, "state": inner} | rest
