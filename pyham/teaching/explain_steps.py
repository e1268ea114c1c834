"""The derivatives of an explanation by complex steps through the reference engine's forward pass.

With t so small that its square vanishes, Im f(v + i t) / t is f'(v) without any cancellation. So the loss's derivative
in an entry of a state, of a stage's numbers or of a parameter takes one forward pass from there to the end, in which
nothing of the backward pass is used. The passes of a stage run as one batch.

What rounding errors explain is bounded from the backward recursion in absolute values, with the activation's largest
slope in the place of its slope: the size of each result if nothing cancelled, times the roundings on the way.
"""

from functools import cache
from typing import Any

import numpy as np

from pyham.engines.reference import REFERENCE
from pyham.teaching.explain_passes import LARGE, ExplainedPasses
from pyham.teaching.explain_quantities import MOST, Quantity, chosen
from pyham.teaching.explain_structure import LayerOfNetwork, StageOfLayer

Array = np.ndarray[Any, Any]

TINY = 1e-100
FEW = 8  # entries of each quantity, in the place of MOST, that are compared where a state has more than LARGE numbers
PERTURBED = {"g": "a", "dA": "A", "dc": "c", "dW": "W"}
SHOWN = {name: kind for kind, name in PERTURBED.items()}


class ComplexSteps:
    """Derivatives of the loss of ``passes``, in a complex dtype at least as wide as complex128.

    ``derivative`` gives for a quantity the entries compared, their values, and the size of the largest rounding error
    in units of the dtype's eps; None where there is no derivative of that kind.
    """

    def __init__(self, passes: ExplainedPasses, target: Array | None, delta_N: Array | None) -> None:
        self.passes = passes
        self.target, self.delta_N = target, delta_N
        x = passes.states["0"]
        self.dtype = np.result_type(x.dtype, np.complex128)
        self.most = MOST if x.size <= LARGE else FEW
        self.stages = passes.stages.astype(self.dtype)
        self._of_layer = cache(self._complex_stages)
        self._of_stage = cache(self._from_stage)
        self._of_node = cache(self._from_node)
        self._lowered = cache(self._from_parameters)
        self.sizes = self._sizes()

    def derivative(self, q: Quantity) -> tuple[Array, Array, float] | None:
        if q.kind == "slope":
            return self._slope(q)
        if q.kind == "delta_N":
            entries = chosen(q.value.size, self.most)
            y = self.passes.states[str(len(self.passes.layers))][0].astype(self.dtype)
            return entries, self._slopes(moved(y, entries)), self._size("delta_N", q.key)
        if q.kind == "Phi":
            layer = self.passes.about[q.key]
            if layer is None:
                return None
            entries, outputs = self._of_node(layer.number, 0, True)
            return entries, (outputs.imag / TINY).reshape(len(entries), -1), self._size("Phi", q.key)
        if q.kind in ("dK", "db", "dparameter"):
            return self._parameter(q)
        if q.kind == "unsqueeze":
            layer = self.passes.about[q.key]
            entries, outputs = self._of_node(layer.number, 0, True)
            return entries, self._slopes(outputs), self._size(q.kind, q.key)
        if q.kind == "delta" or q.kind in PERTURBED:
            of: StageOfLayer = self.passes.about[q.key]
            if q.kind == "delta":
                entries, outputs = self._of_node(of.layer, of.number - 1, False)
            else:
                entries, outputs = self._of_stage(of.layer, of.number)[PERTURBED[q.kind]]
            return entries, self._slopes(outputs), self._size(q.kind, q.key)
        return None

    # Forward passes from somewhere to the end

    def _complex_stages(self, j: int) -> Any:
        return self.stages.of_layer(j)

    def _rest(self, j: int, s: int, y: Array) -> Array:
        """y_N from states behind stage s of layer j, (B, ...)."""
        for stage in self._of_layer(j)[s:]:
            z = y.copy()
            kept = stage.keep * z[stage.dst] if stage.keep else 0
            z[stage.dst] = kept + stage.update(stage.inner(y))
            y = z
        return REFERENCE.forward(self.stages.layers(j + 1, self.stages.depth), y)

    def _from_node(self, j: int, s: int, before_squeeze: bool) -> tuple[Array, Array]:
        layer = self.passes.layers[j]
        key = str(j) if before_squeeze else layer.node(s)[0]
        y = self.passes.states[key][0].astype(self.dtype)
        entries = chosen(y.size, self.most, self.passes.found[f"delta{key}"].value)
        z = moved(y, entries)
        return entries, self._rest(j, s, self.stages.enter(j, z) if before_squeeze else z)

    def _from_stage(self, j: int, number: int) -> dict[str, tuple[Array, Array]]:
        """For each of A, c, W and a: the entries that were moved, and the outputs."""
        stage, of = self._of_layer(j)[number - 1], self.passes.layers[j].stages[number - 1]
        y = self.passes.states[self.passes.layers[j].node(number - 1)[0]].astype(self.dtype)
        a = self.passes.inner[of.key][0].astype(self.dtype)
        found: dict[str, tuple[Array, list[Array]]] = {}
        for name, value in (("a", a[0]), ("A", stage.A), ("c", stage.c), ("W", stage.W)):
            entries = chosen(value.size, self.most, self.passes.found[SHOWN[name] + of.key].value)
            behind = []
            for one in moved(value, entries):
                moved_stage = stage if name == "a" else stage._replace(**{name: one})
                z = y.copy()
                kept = stage.keep * z[stage.dst] if stage.keep else 0
                z[stage.dst] = kept + moved_stage.update(one[None] if name == "a" else moved_stage.inner(y))
                behind.append(z)
            found[name] = entries, behind
        return self._run(j, number, found)

    def _run(self, j: int, s: int, found: dict[str, tuple[Array, list[Array]]]) -> dict[str, tuple[Array, Array]]:
        outputs = self._rest(j, s, np.concatenate([z for _, behind in found.values() for z in behind]))
        result, start = {}, 0
        for name, (entries, _) in found.items():
            result[name] = entries, outputs[start : start + len(entries)]
            start += len(entries)
        return result

    def _from_parameters(self, j: int) -> dict[str, tuple[Array, Array]]:
        """For each parameter of layer j: entries of its numbers in this layer, and the outputs."""
        net, layer = self.passes.net, self.passes.layers[j]
        plain = {name: value.astype(self.dtype) for name, value in net.params.items()}
        found: dict[str, tuple[Array, list[Array]]] = {}
        for short in layer.arch.shapes:
            name = short + layer.group
            shown = self.passes.found[layer.parameter(short)[0]].value
            entries = chosen(shown.size, self.most, shown)
            behind = []
            for one in moved(plain[name][layer.local], entries):
                whole = plain[name].copy()
                whole[layer.local] = one
                lowered = net.arch.lower(plain | {name: whole}).of_layer(j)
                y = self.stages.enter(j, self.passes.states[str(j)].astype(self.dtype))
                for stage, other in zip(self._of_layer(j), lowered, strict=True):
                    numbers = {m: getattr(stage, m).real + 1j * getattr(other, m).imag for m in ("A", "c", "W")}
                    of = stage._replace(**numbers)
                    z = y.copy()
                    z[of.dst] = (of.keep * z[of.dst] if of.keep else 0) + of.update(of.inner(y))
                    y = z
                behind.append(y)
            found[short] = entries, behind
        return self._run(j, len(layer.stages), found)

    # Derivatives

    def _slopes(self, outputs: Array) -> Array:
        """dLoss along each perturbation, from outputs (B, ...)."""
        axes = tuple(range(1, outputs.ndim))
        if self.target is not None:
            loss = ((outputs - self.target) ** 2).sum(axis=axes) / 2
        else:
            loss = (outputs * self.delta_N).sum(axis=axes)
        return loss.imag / TINY

    def _slope(self, q: Quantity) -> tuple[Array, Array, float] | None:
        sigma, a = self.passes.about[q.key].stage.activation, self.passes.found[q.inputs[0]].value
        moved_a = a.astype(self.dtype) + 1j * TINY
        if not holomorphic(sigma, moved_a):
            return None
        return np.arange(a.size), sigma.sigma(moved_a).imag.ravel() / TINY, 8 * sigma.slope

    def _parameter(self, q: Quantity) -> tuple[Array, Array, float] | None:
        layer: LayerOfNetwork = self.passes.about[q.key]
        for short in layer.arch.shapes:
            if layer.parameter(short)[0] == q.key:
                entries, outputs = self._lowered(layer.number)[short]
                return entries, self._slopes(outputs), self._size(q.kind, q.key)
        return None  # a block of K that is no parameter by itself

    # How large rounding errors can be

    def _size(self, kind: str, key: str) -> float:
        return self.sizes.get(key, 0.0)

    def _forward(self) -> Array:
        """The size of y_N's rounding errors, of the order of the numbers on the way, which may be larger than y_N."""
        passes = self.passes
        error = np.abs(passes.states["0"]).astype(np.float64)
        for layer in passes.layers:
            if layer.squeezed:
                error = passes.stages.enter(layer.number, error)
            for of in layer.stages:
                stage, (A_map, W_map) = of.stage, of.stage.maps
                y = np.abs(passes.states[layer.node(of.number - 1)[0]])
                _, s, slope = (np.abs(part) for part in passes.inner[of.key])
                a = A_map.add(A_map.apply(np.abs(stage.A), error[stage.src] + y[stage.src]), np.abs(stage.c))
                added = W_map.apply(np.abs(stage.W), slope * a + s)
                error = error.copy()
                error[stage.dst] = abs(float(stage.keep)) * (error[stage.dst] + y[stage.dst]) + added
        return error

    def _sizes(self) -> dict[str, float]:
        """By key, the size without cancellation times the number of roundings on the way."""
        passes, found = self.passes, dict[str, float]()
        N = len(passes.layers)
        if self.target is not None:
            start = np.abs(passes.states[str(N)]) + np.abs(self.target) + self._forward()
        else:
            start = np.abs(self.delta_N)  # type: ignore[arg-type]
        delta = start.astype(np.float64)
        columns = None
        if f"Phi{N}" in passes.found:
            n = delta.size
            columns = np.eye(n).reshape(n, *delta.shape)
        rounds = 4.0
        found[f"delta{N}"] = rounds * float(delta.max(initial=0))
        for layer in reversed(passes.layers):
            blocks: dict[int, float] = {}
            biases = 0.0
            for of in reversed(layer.stages):
                stage = of.stage
                (A_map, W_map), S = stage.maps, stage.activation.slope
                y = np.abs(passes.states[layer.node(of.number - 1)[0]])
                s = np.abs(passes.inner[of.key][1])
                A, W = np.abs(stage.A), np.abs(stage.W)
                rounds += A_map.terms(A[None]) + W_map.terms(W[None]) + 6
                dW = W_map.outer(delta[stage.dst], s)
                g = S * W_map.transposed(W, delta[stage.dst])
                dA, dc = A_map.outer(g, y[stage.src]), A_map.total(g)
                pixels = g[0, 0].size
                delta = stepped(of, delta, g, A)
                if columns is not None:
                    columns = stepped(of, columns, S * W_map.transposed(W, columns[stage.dst]), A)
                for name, value in (("dW", dW), ("dA", dA), ("dc", dc), ("g", g)):
                    found[name + of.key] = (rounds + pixels) * float(value.max(initial=0))
                found[f"delta{layer.node(of.number - 1)[0]}"] = rounds * float(delta.max(initial=0))
                lift = np.abs(layer.block_of_J(of.part)).sum() * abs(layer.amount(of)) if layer.coupled else 0
                blocks[of.part] = blocks.get(of.part, 0) + found[f"dA{of.key}"] + float(lift) * found[f"dW{of.key}"]
                biases += found[f"dc{of.key}"]
            if layer.squeezed:
                delta = passes.stages.leave(layer.number, delta)
                found[f"delta{layer.number}"] = found[f"delta{layer.node(0)[0]}"]
            for name in layer.arch.shapes:
                found[layer.parameter(name)[0]] = biases if name == "b" else sum(blocks.values())
            if columns is not None:
                n, _, *shape = columns.shape
                columns = passes.stages.leave(layer.number, columns.reshape(n, *shape))
                columns = columns.reshape(n, 1, *columns.shape[1:])
                found[f"Phi{layer.number}"] = rounds * float(columns.max(initial=0))
        return found


def stepped(of: StageOfLayer, delta: Array, g: Array, A: Array) -> Array:
    """delta before a stage, in absolute values."""
    stage = of.stage
    found = delta.copy()
    found[stage.dst] = abs(float(stage.keep)) * found[stage.dst]
    found[stage.src] += stage.maps[0].transposed(A, g)
    return found


def moved(value: Array, entries: Array) -> Array:
    """Copies of an array (M, ...), each with i t added to one entry."""
    found = np.repeat(value[None], len(entries), axis=0)
    found.reshape(len(entries), -1)[np.arange(len(entries)), entries] += 1j * TINY
    return found


def holomorphic(sigma: Any, a: Array) -> bool:
    """Whether an activation takes complex numbers, and has the same real part there: those of pyham do."""
    try:
        found = np.asarray(sigma.sigma(a))
    except (TypeError, ValueError):
        return False
    return found.dtype.kind == "c" and bool(np.allclose(found.real, sigma.sigma(a.real.copy()), equal_nan=True))
