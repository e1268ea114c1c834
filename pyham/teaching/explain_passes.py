"""One forward and one backward pass of one sample, written down quantity by quantity.

``ExplainedPasses`` computes what ``pyham.engines.reference`` computes, with the same operations in the same order, and
keeps everything that it meets on the way. With a planted fault one formula is wrong, and the rest follows from it.
"""

# ruff: noqa: RUF001  formulas have the letters of mathematics

from typing import Any

import numpy as np

from pyham.architectures.base import Architecture
from pyham.architectures.images import Pixelwise
from pyham.architectures.stages import Stage, Stages
from pyham.engines import reference
from pyham.engines.reference import kept
from pyham.network import Network
from pyham.teaching.explain_faults import FAULTS, RULES, PlantedFault
from pyham.teaching.explain_quantities import CodePlace, Quantity, low, place
from pyham.teaching.explain_structure import (
    LayerOfNetwork,
    StageOfLayer,
    added,
    at,
    collected,
    half_of,
    jacobian,
    layers_of,
    sigma_words,
)

Array = np.ndarray[Any, Any]

LARGE = 512  # numbers of a state: of larger ones no Phi is computed


class ExplainedPasses:
    """The quantities of both passes, in the order in which they are computed: ``found``, by key.

    Parameters
    ----------
    net : Network
    x (1, ...) : the sample, in the dtype of the computation
    target (1, ...) : of the loss 1/2 ||y_N - target||^2, or None
    delta_N (1, ...) : dLoss/dy_N in its place, or None
    fault : the formula that is wrong, if there is to be one
    """

    def __init__(
        self, net: Network, x: Array, target: Array | None, delta_N: Array | None, fault: PlantedFault | None = None
    ) -> None:
        self.net, self.fault, self.stages = net, fault, net.stages(x.dtype)
        self.layers = layers_of(net, x.dtype)
        self.found: dict[str, Quantity] = {}
        self.about: dict[str, Any] = {}  # by key: the StageOfLayer or LayerOfNetwork whose formula it is
        self.states: dict[str, Array] = {}  # with the axis of samples
        self.inner: dict[str, tuple[Array, Array, Array]] = {}  # of each stage a, sigma(a), sigma'(a)
        N, y = len(self.layers), self._forward(x)
        last = "y" + low(N)
        if target is not None:
            self._add("target", "target", "target", "what the output should be", "given", target[0], "given")
            value, start = ((y - target) ** 2).sum() / 2, y - target
            words, inputs = f"½ ‖{last} − target‖²", (f"y{N}", "target")
            words_of_delta = f"{last} − target"
        else:
            assert delta_N is not None
            value, start = (delta_N * y).sum(), delta_N
            words, inputs, words_of_delta = f"⟨δ{low(N)}, {last}⟩", (f"y{N}", f"delta{N}"), "given"
        here = place(type(self).__init__, "value, start = ((y" if target is not None else "value, start = (delta_N")
        self._add("loss", "L", "loss", "loss", words, np.asarray(value), "forward", inputs=inputs, where=here)
        self._backward(start.astype(x.dtype), words_of_delta, inputs if target is not None else (), here)

    def _add(
        self, key: str, symbol: str, kind: str, name: str, formula: str, value: Array, part: str, *,
        of: StageOfLayer | LayerOfNetwork | None = None, inputs: tuple[str, ...] = (), where: CodePlace | None = None,
    ) -> None:  # fmt: skip
        stage = of if isinstance(of, StageOfLayer) else None
        layer = of.layer if isinstance(of, StageOfLayer) else None if of is None else of.number
        number, half = (stage.number, stage.updates) if stage else (None, "")
        where = where or CodePlace("given", 0, "given", "")
        self.about[key] = of
        self.found[key] = Quantity(
            key, symbol, kind, name, formula, np.array(value), part, layer, number, half, inputs, where
        )

    def _rule(self, key: str, kind: str) -> Any:
        """The formula of a quantity of that kind, wrong where the fault is."""
        return FAULTS[kind][self.fault.wrong] if self.fault and self.fault.key == key else RULES[kind]

    # Forward

    def _forward(self, y: Array) -> Array:
        self._add("y0", "y₀", "y", "input", "x", y[0], "given")
        self.states["0"] = y
        for layer in self.layers:
            if layer.local == 0 and layer.coupled and len(layer.matrix) <= LARGE:
                J = layer.matrix.astype(y.dtype)
                self._add(layer.J, layer.J, "J", "interconnection matrix", "given", J, "given", of=layer)
            z = self.stages.enter(layer.number, y)
            if layer.squeezed:
                key, index = layer.node(0)
                self._add(
                    f"y{key}", f"y{index}", "squeeze", "state, 2 × 2 pixels as 4 channels",
                    f"squeeze(y{low(layer.number)})", z[0], "forward", of=layer, inputs=(f"y{layer.number}",),
                    where=place(Stages.enter, "squeeze(y)"),
                )  # fmt: skip
                self.states[key] = z
            for stage in layer.stages:
                z = self._stage(layer, stage, z)
            y = z
        return y

    def _stage(self, layer: LayerOfNetwork, of: StageOfLayer, y: Array) -> Array:
        stage, i, k, sigma = of.stage, of.index, of.key, of.stage.activation
        before, after = layer.node(of.number - 1), layer.node(of.number)
        self._weights(layer, of)
        a = stage.inner(y)
        s, slope = sigma.sigma(a), sigma.derivative(a)
        u = stage.maps[1].apply(stage.W, s)
        z = y.copy()
        z[stage.dst] = kept(stage, z[stage.dst]) + u
        read = at(f"y{before[1]}", of.reads)
        for key, symbol, kind, name, formula, value, inputs, where in (
            ("a", "a" + i, "a", "argument of the activation", f"A{i} {read} + c{i}", a,
             (f"A{k}", f"y{before[0]}", f"c{k}"), place(Stage.inner, "A.add")),
            ("sigma", f"σ(a{i})", "sigma", "activation", sigma_words(sigma.name, 0, "a" + i), s, (f"a{k}",),
             place(sigma.sigma, "return function(a)")),
            ("slope", f"σ′(a{i})", "slope", "slope of the activation", sigma_words(sigma.name, 1, "a" + i), slope,
             (f"a{k}",), place(sigma.derivative, "return (1 - s)")),
            ("u", "u" + i, "u", "update", f"W{i} σ(a{i})", u, (f"W{k}", f"sigma{k}"), place(Stage.update, "apply")),
        ):  # fmt: skip
            self._add(key + k, symbol, kind, name, formula, value[0], "forward", of=of, inputs=inputs, where=where)
        name = "state" if of.number < of.many else "state behind the layer"
        words = added(f"y{before[1]}", stage.keep, of.updates, f"u{i}", of.updates)
        self._add(
            f"y{after[0]}", f"y{after[1]}", "y", name, words, z[0], "forward", of=of,
            inputs=(f"y{before[0]}", f"u{k}"), where=place(reference.layer, "z[stage.dst] ="),
        )  # fmt: skip
        self.states[after[0]] = z
        self.inner[k] = a, s, slope
        return z

    def _weights(self, layer: LayerOfNetwork, of: StageOfLayer) -> None:
        """A, c and W of a stage."""
        i, k, (_, rows, src) = of.index, of.key, layer.arch.parts[of.part]
        part, j = at("", of.reads), low(of.layer)
        of_rows, of_dst = (half_of(layer, s) for s in (rows, layer.arch.parts[of.part].dst))
        block = f"[{of_rows},{of.reads}]" if part else ""
        lower, step = type(layer.arch).lower, layer.step(of)
        coupling = f"J[{of_dst},{half_of(layer, src)}]" if part else "J"
        words = f"{step} {coupling} A{i}ᵀ" if layer.coupled else f"{step} I".strip()
        lines = place(lower, "A[:, s] = "), place(lower, "c[:, s] = "), place(lower, "W[layers, s] = ")
        given = (
            ("A", f"K{j}{block}", of.stage.A, "weights that the stage reads with", (), lines[0]),
            ("c", at("b" + j, of_rows), of.stage.c, "biases", (), lines[1]),
            (
                "W",
                words,
                of.stage.W,
                "weights of the update",
                (layer.J, f"A{k}") if layer.J in self.found else (),
                lines[2],
            ),
        )
        for name, formula, value, meaning, inputs, where in given:
            self._add(name + k, name + i, name, meaning, formula, value, "given", of=of, inputs=inputs, where=where)

    # Backward

    def _backward(self, start: Array, words: str, inputs: tuple[str, ...], here: CodePlace) -> None:
        N = len(self.layers)
        delta = self._rule(f"delta{N}", "delta_N")(start)
        self._add(
            f"delta{N}", f"δ{low(N)}", "delta_N", "adjoint of the output, dL/dy", words, delta[0], "backward",
            inputs=inputs, where=here,
        )  # fmt: skip
        columns = None
        if (n := start.size) <= LARGE:
            columns = np.eye(n, dtype=start.dtype).reshape(n, *start.shape)
            self._add_phi(N, "I", columns, None, (), place(reference.Reference.sensitivity, "np.eye(n)"))
        for layer in reversed(self.layers):
            for of in reversed(layer.stages):
                delta = self._stage_back(layer, of, delta)
            if layer.squeezed:
                delta = self.stages.leave(layer.number, delta)
                key, index = layer.node(0)
                self._add(
                    f"delta{layer.number}", f"δ{low(layer.number)}", "unsqueeze", "adjoint, 4 channels as 2 × 2 pixels",
                    f"unsqueeze(δ{index})", delta[0], "backward", of=layer, inputs=(f"delta{key}",),
                    where=place(Stages.leave, "unsqueeze"),
                )  # fmt: skip
            self._parameters(layer)
            if columns is not None:
                columns = self._sensitivity(layer, columns)

    def _stage_back(self, layer: LayerOfNetwork, of: StageOfLayer, delta: Array) -> Array:
        stage, i, k = of.stage, of.index, of.key
        (before, low_before), (after, low_after) = layer.node(of.number - 1), layer.node(of.number)
        a, s, slope = self.inner[k]
        y = self.states[before]
        behind, read = at(f"δ{low_after}", of.updates), at(f"y{low_before}", of.reads)
        back = place(reference.before, "g = stage.activation"), place(reference.before, "delta[stage.src] +=")
        adjoint = reference.Reference.adjoint
        dW = self._rule(f"dW{k}", "dW")(stage, delta, s, a)
        g = self._rule(f"g{k}", "g")(stage, slope, delta)
        dA = self._rule(f"dA{k}", "dA")(stage, g, y)
        dc = self._rule(f"dc{k}", "dc")(stage, g)
        new = self._rule(f"delta{before}", "delta")(stage, delta, g)
        words = added(f"δ{low_after}", stage.keep, of.updates, f"A{i}ᵀ g{i}", of.reads)
        spaces = " summed over the pixels" if stage.maps[0].space else ""
        for key, symbol, kind, name, formula, value, inputs, where in (
            (f"dW{k}", f"dW{i}", "dW", "gradient of W", f"{behind} σ(a{i})ᵀ{spaces}", dW,
             (f"delta{after}", f"sigma{k}"), place(adjoint, "dW[i] =")),
            (f"g{k}", f"g{i}", "g", "adjoint of a, dL/da", f"σ′(a{i}) ∘ W{i}ᵀ {behind}", g[0],
             (f"slope{k}", f"W{k}", f"delta{after}"), back[0]),
            (f"dA{k}", f"dA{i}", "dA", "gradient of A", f"g{i} {read}ᵀ{spaces}", dA, (f"g{k}", f"y{before}"),
             place(adjoint, "dA[i], dc[i] =")),
            (f"dc{k}", f"dc{i}", "dc", "gradient of c", f"g{i}{spaces}", dc, (f"g{k}",),
             place(adjoint, "dA[i], dc[i] =")),
            (f"delta{before}", f"δ{low_before}", "delta",
             "adjoint, dL/dy" if of.number > 1 else "adjoint before the layer, dL/dy",
             words, new[0], (f"delta{after}", f"A{k}", f"g{k}"), back[1]),
        ):  # fmt: skip
            self._add(key, symbol, kind, name, formula, value, "backward", of=of, inputs=inputs, where=where)
        return new

    def _parameters(self, layer: LayerOfNetwork) -> None:
        """The gradients of K's blocks and of b, and those of the free parameters where these are not the same."""
        arch, j, pull = layer.arch, low(layer.number), Architecture._pullback
        strip = (..., 0, 0) if isinstance(self.net.arch, Pixelwise) else ...
        blocks, keys, formulas, inputs, names = [], [], [], [], []
        for number, part in enumerate(arch.parts):
            stages = [of for of in layer.stages if of.part == number]
            names.append(
                f"dK{{}}[{half_of(layer, part.rows)},{half_of(layer, part.src)}]" if stages[0].reads else "dK{}"
            )
            coupling = f"J[{half_of(layer, part.dst)},{half_of(layer, part.src)}]" if stages[0].reads else "J"
            terms = [
                f"dA{of.index} + {layer.step(of)} dW{of.index}ᵀ {coupling}" if layer.coupled else f"dA{of.index}"
                for of in stages
            ]
            formulas.append(" + ".join(terms))
            inputs.append(tuple(f"{name}{of.key}" for of in stages for name in ("dA", "dW")[: 1 + layer.coupled]))
            values = [(self.found[f"dA{of.key}"].value[strip], self.found[f"dW{of.key}"].value[strip]) for of in stages]
            dtype = values[0][0].dtype
            lifts = [layer.lift(of, dtype) if layer.coupled else None for of in stages]
            blocks.append((values, lifts))
        right = [RULES["dK"](values, lifts, arch.maps[1]) for values, lifts in blocks]
        sent = [block[None] for block in right]
        own = {i: name for name, value in arch.collect(sent).items() for i, block in enumerate(sent) if value is block}
        found = []
        for i, (values, lifts) in enumerate(blocks):
            key, symbol = layer.parameter(own[i]) if i in own else (names[i].format(layer.number), names[i].format(j))
            keys.append(key)
            block = self._rule(key, "dK")(values, lifts, arch.maps[1])
            name = f"gradient of {own[i]}" if i in own else "gradient of a block of K"
            where = place(pull, "composed_transposed" if layer.coupled else "block = dA[:, s]")
            self._add(key, symbol, "dK", name, formulas[i], block, "backward", of=layer, inputs=inputs[i], where=where)
            found.append(block[None])
        key, symbol = layer.parameter("b")
        db = [(arch.parts[of.part].rows, self.found[f"dc{of.key}"].value) for of in layer.stages]
        value = self._rule(key, "db")(db, np.zeros(arch.width, db[0][1].dtype))
        rows: dict[str, list[str]] = {}
        for of in layer.stages:
            rows.setdefault(half_of(layer, arch.parts[of.part].rows), []).append(f"dc{of.index}")
        words = ", ".join(" + ".join(names) + (f" in [{part}]" if part else "") for part, names in rows.items())
        self._add(
            key, symbol, "db", "gradient of b", words, value, "backward", of=layer,
            inputs=tuple(f"dc{of.key}" for of in layer.stages), where=place(pull, "db[:, parts[part].rows] +="),
        )  # fmt: skip
        for name, value in arch.collect(found).items():
            if name not in own.values():
                key, symbol = layer.parameter(name)
                value = self._rule(key, "dparameter")(value[0])
                self._add(
                    key, symbol, "dparameter", f"gradient of {name}",
                    collected(arch.name, [block.format(j) for block in names]),
                    value, "backward", of=layer, inputs=tuple(keys), where=place(type(arch).collect, "return"),
                )  # fmt: skip

    def _sensitivity(self, layer: LayerOfNetwork, columns: Array) -> Array:
        steps = [(of.stage, self.inner[of.key][2]) for of in layer.stages]
        key, j = f"Phi{layer.number}", layer.number
        columns = self._rule(key, "Phi")(steps, columns, lambda flat: self.stages.leave(j, flat))
        factors = " ".join(f"D{of.index}ᵀ" for of in layer.stages)
        words = f"{'P ' if layer.squeezed else ''}{factors} Φ{low(j + 1)}, Dᵀ = {jacobian(layer)}"
        names = tuple(f"{name}{of.key}" for of in layer.stages for name in ("A", "slope", "W"))
        where = place(reference.Reference.sensitivity, "before(stage, stage.inner(y), columns)")
        self._add_phi(j, words, columns, layer, (f"Phi{j + 1}", *names), where)
        return columns

    def _add_phi(
        self, j: int, words: str, columns: Array, of: LayerOfNetwork | None, inputs: tuple[str, ...], where: CodePlace
    ) -> None:
        value = columns.reshape(len(columns), -1).T
        name = f"sensitivity, dy{low(len(self.layers))}/dy{low(j)}"
        self._add(f"Phi{j}", f"Φ{low(j)}", "Phi", name, words, value, "backward", of=of, inputs=inputs, where=where)
