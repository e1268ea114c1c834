"""``Predictor``: what is trained, whole: what is before a network, the network, and the output layer.

``Classifier`` and ``Regressor`` are the two kinds. What is before the network makes the state y_0 of a sample. Images
have a convolution, from pixels (B, rows, columns) to y_0 (B, C, rows, columns). Points are their own state, x = y_0.
Rows x (B, F) of a table are scaled first; then they go through a learnt matrix, or further channels that are 0 are put
behind them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np

from pyham import _check
from pyham.architectures.described import described
from pyham.architectures.images import ImageArchitecture
from pyham.architectures.lift import DenseLift, Lift, Scaling, normalise, padded
from pyham.architectures.register import description
from pyham.engines.choice import Backend, select
from pyham.engines.results import Parts
from pyham.files import archive
from pyham.network import Network
from pyham.training.head import Head
from pyham.training.history import History, rows
from pyham.training.losses import Loss
from pyham.training.samples import pixels_of
from pyham.training.stored import checked, of_parts

Array = np.ndarray[Any, Any]

PARAMETERS = "parameters/"  # what the names of a file's parameters begin with


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network between what makes its state and an output layer.

    Parameters
    ----------
    net : the network
    head : the output layer
    history : of the training; empty before one
    lift : of images, the convolution that makes y_0; else None, or a learnt matrix (``DenseLift``)
    inputs : None, or the scaling of the features (B, F); without a lift at most as many as the network has channels
    units : None, or the scaling of a regression's values: the network is trained on scaled ones
    table : None, or JSON data that say what features and outputs are, kept in files

    Raises
    ------
    TypeError, ValueError
        If the parts do not fit together: naming the part, what was expected and what came.
    """

    net: Network
    head: Head
    history: History
    lift: Lift | DenseLift | None = None
    inputs: Scaling | None = None
    units: Scaling | None = None
    table: Mapping[str, Any] | None = None

    LOSSES: ClassVar[Mapping[str, Loss]] = {}  #: of this kind, by name
    KIND: ClassVar[str] = ""  #: in files

    def __post_init__(self) -> None:
        arch, dtype = self.net.arch, self.net.dtype
        C: int | str = 1 if _check.choice("loss", self.head.loss, self.LOSSES) == "logistic" else "C"
        given: dict[str, tuple[Array, tuple[int | str, ...]]] = {
            "layer": (self.head.layer, (C, int(np.prod(arch.output_shape)) + 1))
        }
        _check.positive("gain", self.head.gain)
        images = isinstance(arch, ImageArchitecture)
        if images != isinstance(self.lift, Lift):
            raise ValueError(f"lift: expected {'a' if images else 'no'} convolution for {arch.name}, got another")
        if self.lift is not None:
            kernel = (arch.shape[0], 1, 3, 3) if images else (arch.shape[0], "F")
            given |= {"lift": (self.lift.kernel, kernel), "bias": (self.lift.bias, arch.shape[:1])}
        for name, (array, shape) in given.items():
            if _check.array(name, array, shape).dtype != dtype:
                raise TypeError(f"{name}: expected dtype {dtype}, as the network has, got {array.dtype}")
        self._check_scalings(images)

    def _check_scalings(self, images: bool) -> None:
        if self.inputs is not None:
            F, n = len(self.inputs.mean), self.net.arch.shape[0]
            if images:
                raise ValueError("inputs: expected none for images, got a scaling")
            if self.lift is None and n < F:
                raise ValueError(f"inputs: expected at most {n} features without a learnt matrix, got {F}")
            if self.lift is not None and self.lift.kernel.shape[1] != F:
                raise ValueError(f"inputs: expected {self.lift.kernel.shape[1]} features, as the lift has, got {F}")
        if self.units is not None and len(self.units.mean) != len(self.head.layer):
            raise ValueError(f"units: expected {len(self.head.layer)} outputs, got {len(self.units.mean)}")

    @classmethod
    def untrained(
        cls,
        net: Network,
        outputs: int,
        loss: str = "softmax",
        *,
        gain: float = 1.0,
        lift: Lift | DenseLift | None = None,
        **further: Any,
    ) -> Self:
        """With an output layer that is 0: of two classes the logistic loss has one row, softmax one for each class."""
        rows = 1 if loss == "logistic" else outputs
        layer = np.zeros((rows, int(np.prod(net.arch.output_shape)) + 1), net.dtype)
        return cls(net, Head(layer, loss, gain), History.of([]), lift, **further)

    @property
    def images(self) -> bool:
        """Whether samples are images."""
        return isinstance(self.lift, Lift)

    @property
    def features(self) -> int:
        """F, how many numbers a sample that is no image has."""
        if isinstance(self.lift, DenseLift):
            return int(self.lift.kernel.shape[1])
        return len(self.inputs.mean) if self.inputs is not None else int(self.net.arch.shape[0])

    @property
    def w(self) -> Array:
        """Weights of the output layer (n, C); (n,) after the logistic loss."""
        w = self.head.scaled[0].T.copy()
        return w[:, 0] if self.head.loss == "logistic" else w

    @property
    def mu(self) -> Any:
        """Biases of the output layer (C,); a number after the logistic loss."""
        mu = self.head.scaled[1]
        return float(mu[0]) if self.head.loss == "logistic" else mu

    @property
    def losses(self) -> Array:
        """The mean loss in each epoch (E,)."""
        return self.history.loss

    def prepared(self, x: Array) -> Array:
        """Checked samples as training takes them: x (B, F) scaled, or without a lift the states; pixels as they are."""
        if self.images:
            return x
        if self.inputs is not None:
            x = self.inputs.apply(x.astype(np.float64, copy=False))
        x = x.astype(self.net.dtype)
        return x if self.lift is not None else padded(x, self.net.arch.shape[0])

    def scaled(self, values: Array) -> Array:
        """Labels, or values (B, C) in the units that the network is trained on."""
        return values if self.units is None else self.units.apply(values).astype(values.dtype)

    def lifted(self, x: object, dtype: Any = None) -> Array:
        """y_0 of samples: of pixels (B, rows, columns) the states (B, C, rows, columns); of points x (B, F) (B, n).

        ``dtype`` is that of the computation, the network's unless given; states that are the points keep theirs.
        """
        if isinstance(self.lift, Lift):
            lift = Lift(*(part.astype(dtype or part.dtype) for part in self.lift))
            return lift.apply(normalise(pixels_of("pixels", x, self.net.arch)[:], lift.bias.dtype))
        return self._states(_check.array("x", x, ("B", self.features)), dtype)

    def _states(self, given: Array, dtype: Any = None) -> Array:
        """y_0 (B, n) of checked points."""
        if self.inputs is None and self.lift is None:
            return given if dtype is None else given.astype(dtype)
        ready, kind = self.prepared(given), dtype or self.net.dtype
        if self.lift is None:
            return ready.astype(kind)
        return DenseLift(*(part.astype(kind) for part in self.lift)).apply(ready.astype(kind))

    def logits(self, x: object, *, backend: Backend = "numba") -> Array:
        """The output layer's z (B, C), or (B,) after the logistic loss, of x (B, F) or pixels (B, rows, columns).

        Of many samples, and of a memory-mapped file, some are taken at a time.
        """
        return self._of_logits(lambda z: z, x, backend)

    def _of_logits(self, function: Callable[[Array], Array], x: object, backend: Backend) -> Array:
        """function(z), sample by sample."""
        numbers = math.prod(self.net.arch.shape)
        if self.images:
            engine = select(backend, self.net.dtype)
            whole = Parts(self.lift, self.net.stages(), *self.head.scaled)
            pixels = pixels_of("pixels", x, self.net.arch)
            return of_parts(lambda part: function(engine.logits(whole, part)), pixels, numbers)
        given, w, mu = checked("x", x, ("B", self.features)), self.w, self.mu

        def of_points(part: Array) -> Array:
            return function(np.asarray(self.net(self._states(part), backend=backend) @ w + mu))

        return of_parts(of_points, given, max(numbers, self.features))

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one file, atomically; ``pyham.load`` reads it."""
        header, params = self.describe()
        columns, arrays = self.history.plain()
        whole = {"kind": self.KIND, "loss": self.head.loss, "architecture": description(self.net.arch)}
        header |= whole | columns
        archive.write(path, header, arrays | {PARAMETERS + name: value for name, value in params.items()})

    def describe(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain data and the arrays that are trained, by name: all but the loss and the history."""
        header: dict[str, Any] = {"architecture": self.net.arch.config()}
        arrays = {**self.net.params, "layer": self.head.layer}
        if self.lift is not None:
            header["gain"] = self.head.gain
            arrays = {"lift": self.lift.kernel, "lift_bias": self.lift.bias} | arrays
        scalings = {"inputs": self.inputs, "units": self.units}
        header |= {name: scaling.config() for name, scaling in scalings.items() if scaling is not None}
        return header | ({"table": dict(self.table)} if self.table is not None else {}), arrays

    @classmethod
    def read(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """The one that ``save`` wrote, or that a training's state has reached.

        Raises
        ------
        ArithmeticError, AttributeError, KeyError, TypeError, ValueError
            If header and arrays describe none.
        """
        params = {name.removeprefix(PARAMETERS): a for name, a in arrays.items() if name.startswith(PARAMETERS)}
        head = Head(params.pop("layer"), loss_of(header), header.get("gain", 1.0))
        lift = (params.pop("lift"), params.pop("lift_bias")) if "lift" in params else None
        net = Network(described(header["architecture"], params), params)
        kind = Lift if isinstance(net.arch, ImageArchitecture) else DenseLift
        scalings = {name: Scaling.from_config(name, header[name]) for name in ("inputs", "units") if name in header}
        table = header.get("table")
        if table is not None and not isinstance(table, dict):
            raise TypeError(f"table: expected names and what they mean, got {type(table).__name__}")
        whole = None if lift is None else kind(*lift)
        return cls(net, head, History.of(rows(header, arrays)), whole, **scalings, table=table)


def loss_of(header: Mapping[str, Any]) -> str:
    """The loss that a file's header names; trainings have it in their protocol."""
    return str(header["protocol"]["loss"] if header.get("kind") == "training" else header["loss"])
