"""What a trained model does with one row of a table, in front of its network and behind it, as quantities.

In front of it are the scaling of the row and the learnt matrix, or channels that are 0; behind it the output layer and
the loss. Every quantity is compared with its formula in more digits, and every derivative with a complex step, that of
the learnt matrix through the whole model.
"""

# ruff: noqa: RUF001  formulas have the letters of mathematics

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pyham import _check
from pyham.architectures.lift import DenseLift, Scaling, padded
from pyham.engines.reference import REFERENCE
from pyham.teaching.explain import Explanation, explain
from pyham.teaching.explain_compared import Compared
from pyham.teaching.explain_quantities import MOST, Quantity, chosen, low, place
from pyham.training.head import scaled
from pyham.training.losses import CLASSES, LOSSES
from pyham.training.predictor import Predictor

Array = np.ndarray[Any, Any]

WORDS = {
    "logistic": "log(1 + exp(±z)), + for class 0",
    "softmax": "log Σ exp(z) − z of the class",
    "squared": "½ ‖z − t‖²",
    "huber": "Σ h(z − t), h(r) = ½ r² where |r| ≤ 1, else |r| − ½",
    "poisson": "Σ exp(z) − t − t (z − log t)",
}
SLOPES = {
    "logistic": "± logistic(±z), + for class 0",
    "softmax": "softmax(z) less 1 at the class",
    "squared": "z − t",
    "huber": "h′(z − t)",
    "poisson": "exp(z) − t",
}


def explain_model(
    model: Predictor, x: object, target: object = None, *, layers: int | Sequence[int] | None = None
) -> Explanation:
    """Every quantity of one row's passes through a trained model; print it.

    Parameters
    ----------
    model : a ``Classifier`` or ``Regressor`` of points or rows of a table, not of images
    x (F,) or (1, F) : the row
    target : its class 0 .. C - 1, or its values (C,); at first what the model predicts, or 0 for values
    layers : as of ``pyham.teaching.explain.explain``

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    """
    if not isinstance(model, Predictor):
        raise TypeError(f"model: expected a Classifier or a Regressor, got {type(model).__name__}")
    if model.images:
        raise ValueError("model: expected one of points or rows of a table, got one of images; explain model.net")
    row = np.asarray(x)
    row = _check.array("x", row[None] if row.ndim == 1 else row, (1, model.features))
    parts = _Model(model, row, target)
    inside = explain(model.net, parts.y0[0], delta_N=parts.delta_N[0], layers=layers)
    return replace(inside, quantities=parts.around(inside))


class _Model(Compared):
    """The numbers in front of the network and behind it, and what they are compared with."""

    def __init__(self, model: Predictor, row: Array, target: object) -> None:
        self.model, self.row, self.dtype = model, row, model.net.dtype
        self.ready = self._ready()
        self.y0 = model.lifted(row, self.dtype)
        self.N = model.net.arch.depth
        self.w, self.mu = (part.astype(self.dtype) for part in scaled(model.head.layer, model.head.gain))
        self.y = REFERENCE.forward(model.net.stages(self.dtype), self.y0)
        self.z = self.y @ self.w.T + self.mu
        self.loss = model.head.loss
        self.target = self._target(target)
        self.value, self.dz = self._of(self.z)
        self.delta_N = self.dz @ self.w

    def _ready(self) -> Array:
        """What goes into the learnt matrix, or is padded with 0: the scaled row."""
        row = self.row if self.model.inputs is None else self.model.inputs.apply(self.row.astype(np.float64))
        return row.astype(self.dtype)

    def _target(self, target: object) -> Array:
        C = len(self.w)
        if self.loss in CLASSES:
            classes = max(C, 2)
            if target is None:
                return np.array([int(self.z[0, 0] > 0) if C == 1 else int(self.z[0].argmax())])
            label = _check.integer("target", target, 0)
            if label >= classes:
                raise ValueError(f"target: expected a class from 0 to {classes - 1}, got {label}")
            return np.array([label])
        if target is None:
            return np.zeros((1, C), self.dtype)
        values = np.atleast_1d(np.asarray(target))
        given = _check.array("target", values[None] if values.ndim == 1 else values, (1, C))
        units = self.model.units or Scaling.none(C)
        return units.apply(given.astype(np.float64)).astype(self.dtype)

    def _of(self, z: Array) -> tuple[Any, Array]:
        """The loss and dLoss/dz (1, C) of outputs z (1, C)."""
        if self.loss == "logistic":
            value, dz = LOSSES[self.loss](z[:, 0], self.target)
            return value, dz[:, None]
        target = self.target if self.loss in CLASSES else self.target.astype(z.real.dtype)
        value, dz = LOSSES[self.loss](z, target)
        return value, dz

    # Quantities

    def around(self, inside: Explanation) -> tuple[Quantity, ...]:
        """Those of the network, with those in front of it and behind it where they are computed."""
        forward = [q for q in inside.quantities if q.part != "backward" and q.key not in ("y0", "loss")]
        backward = [q for q in inside.quantities if q.part == "backward" and q.key != f"delta{self.N}"]
        return (*self._before(), *forward, *self._behind(), *backward, *self._lift_gradients(inside))

    def _before(self) -> list[Quantity]:
        found = [self.given("x", "x", "inputs", "the row", self.row[0])]
        last = "x"
        if self.model.inputs is not None:
            here = place(Scaling.apply, "return")
            again = (self.row[0].astype(np.longdouble) - self.model.inputs.mean) / self.model.inputs.scale
            size = 4 * (np.abs(self.row[0]) + np.abs(self.model.inputs.mean)) / self.model.inputs.scale
            found.append(
                self.quantity(
                    "scaled", "x̃", "inputs", "the row, scaled", "(x − mean) / scale", self.ready[0], "forward",
                    ("x",), here, [self.formula(self.ready[0], again, size)],
                )
            )  # fmt: skip
            last = "x̃"
        key = "scaled" if last == "x̃" else "x"
        lift = self.model.lift
        if isinstance(lift, DenseLift):
            found += [
                self.given("lift", "M", "inputs", "learnt matrix", lift.kernel),
                self.given("lift_bias", "m", "inputs", "its biases", lift.bias),
            ]
            wide = lift.kernel.astype(np.longdouble)
            again = wide @ self.ready[0] + lift.bias
            size = (self.ready.shape[1] + 2) * (np.abs(wide) @ np.abs(self.ready[0]) + np.abs(lift.bias))
            words, here = f"M {last} + m", place(DenseLift.apply, "return")
        else:
            again = size = padded(self.ready, self.y0.shape[1])[0].astype(np.longdouble)
            words, here = f"{last}, then 0", place(padded, "return")
        inputs = ("lift", key, "lift_bias") if isinstance(lift, DenseLift) else (key,)
        checks = [self.formula(self.y0[0], again, size)]
        state = self.quantity("y0", "y₀", "inputs", "state", words, self.y0[0], "forward", inputs, here, checks)
        return [*found, state]

    def _behind(self) -> list[Quantity]:
        last, N = "y" + low(self.N), self.N
        wide, y = self.w.astype(np.longdouble), self.y[0].astype(np.longdouble)
        sizes = (self.w.shape[1] + 4) * (np.abs(wide) @ np.abs(y) + np.abs(self.mu))
        target = self.target[0] if self.loss in CLASSES else self.target[0].astype(np.longdouble)
        label = "class" if self.loss in CLASSES else "t"
        found = [
            self.given("w", "w", "head", "weights of the output layer", self.w),
            self.given("mu", "μ", "head", "its biases", self.mu),
            self.quantity(
                "z", "z", "head", "output", f"w {last} + μ", self.z[0], "forward", ("w", f"y{N}", "mu"),
                place(Predictor.logits, "self.w + self.mu"), [self.formula(self.z[0], wide @ y + self.mu, sizes)],
            ),
            self.given("target", label, "head", "what the output should be", np.asarray(target)),
        ]  # fmt: skip
        here = place(LOSSES[self.loss], "return _mean")
        again, dz = self._of(self.z.astype(np.longdouble))
        curvature = max(1.0, float(np.exp(self.z.max()))) if self.loss == "poisson" else 1.0
        scale = curvature * (1 + np.abs(self.z).max() + (0 if self.loss in CLASSES else np.abs(self.target).max()))
        found.append(
            self.quantity(
                "loss", "L", "head", "loss", WORDS[self.loss], np.asarray(self.value), "forward", ("z", "target"), here,
                [self.formula(np.asarray(self.value), np.asarray(again), 16 * scale * (1 + np.abs(self.z).max()))],
            )
        )  # fmt: skip
        step = self.steps(self.z[0], lambda moved: self._of(moved)[0])
        found.append(
            self.quantity(
                "dz", "dz", "head", "gradient of z", SLOPES[self.loss], self.dz[0], "backward", ("z", "target"), here,
                [self.formula(self.dz[0], dz[0], 16 * scale), self.complex(self.dz[0], step, 16 * scale)],
            )
        )  # fmt: skip
        for name, symbol, words, value, moved in (
            ("dw", "dw", f"dz {last}ᵀ", np.outer(self.dz[0], self.y[0]), self.w),
            ("dmu", "dμ", "dz", self.dz[0], self.mu),
        ):
            entries = chosen(moved.size, MOST, value)
            steps = self.steps(moved, partial(self._loss_with, name), entries)
            inputs = ("dz", f"y{N}") if name == "dw" else ("dz",)
            allowed = 16 * scale * (np.abs(self.y).max() if name == "dw" else 1)
            checks = [self.complex(value.ravel()[entries], steps, allowed, value.size)]
            words_of = "gradient of w" if name == "dw" else "gradient of μ"
            here = place(REFERENCE.classifier_gradient, "dz.T @ features")
            found.append(self.quantity(name, symbol, "head", words_of, words, value, "backward", inputs, here, checks))
        again_delta = dz[0] @ wide
        size = (len(self.w) + 2) * np.abs(self.dz[0]) @ np.abs(wide)
        through = self.steps(self.y[0], lambda moved: self._of(moved @ self.w.T + self.mu)[0])
        allowed = float(np.max(size)) + 16 * scale * float(np.abs(wide).sum(axis=0).max())
        checks = [
            self.formula(self.delta_N[0], again_delta, size + 16 * scale * np.abs(wide).sum(axis=0)),
            self.complex(self.delta_N[0], through, allowed),
        ]
        self.allowed = allowed
        found.append(
            self.quantity(
                f"delta{N}", f"δ{low(N)}", "head", "adjoint of the output, dL/dy", "wᵀ dz", self.delta_N[0], "backward",
                ("w", "dz"), place(REFERENCE.classifier_gradient, "dz @ layer"), checks,
            )
        )  # fmt: skip
        return found

    def _lift_gradients(self, inside: Explanation) -> list[Quantity]:
        """Those of the learnt matrix."""
        if not isinstance(self.model.lift, DenseLift) or "delta0" not in inside:
            return []
        delta, last = inside["delta0"].value, "x̃" if self.model.inputs is not None else "x"
        error = max((a.tolerance * (np.abs(delta).max() or 1) for a in inside["delta0"].agreements), default=0.0)
        eps = float(np.finfo(self.dtype).eps)
        amplified = np.abs(inside["Phi0"].value).sum(axis=1).max() if "Phi0" in inside else np.inf
        size = error / eps + amplified * self.allowed + 4 * np.abs(delta).max()
        here, found = place(DenseLift.gradient, "return"), []
        stages = self.model.net.stages(self.dtype).astype(np.complex128)
        lift, ready = self.model.lift, self.ready

        def loss(y0: Array) -> Any:
            return self._of(REFERENCE.forward(stages, y0) @ self.w.T + self.mu)[0]

        for name, symbol, words, value, part in (
            ("dlift", "dM", f"δ₀ {last}ᵀ", np.outer(delta, ready[0]), lift.kernel),
            ("dlift_bias", "dm", "δ₀", delta, lift.bias),
        ):
            entries = chosen(part.size, MOST, value)

            def of(moved: Array, name: str = name) -> Any:
                kernel, bias = (moved, lift.bias) if name == "dlift" else (lift.kernel, moved)
                return loss(ready @ kernel.T + bias)

            checks = []
            if np.isfinite(size):
                factor = np.abs(ready).max() if name == "dlift" else 1
                checks = [
                    self.complex(value.ravel()[entries], self.steps(part, of, entries), size * factor, value.size)
                ]
            inputs = ("delta0", "scaled" if last == "x̃" else "x") if name == "dlift" else ("delta0",)
            words_of = "gradient of M" if name == "dlift" else "gradient of m"
            found.append(
                self.quantity(name, symbol, "inputs", words_of, words, value, "backward", inputs, here, checks)
            )
        return found

    def _loss_with(self, name: str, part: Array) -> Any:
        """The loss with another w or μ."""
        return self._of(self.y @ part.T + self.mu if name == "dw" else self.y @ self.w.T + part)[0]
