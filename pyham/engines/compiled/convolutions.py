"""Image networks on compiled kernels: the functions of ``pyham.engines.reference``.

Works in float32 and float64, on pixels of dtype uint8. A batch is cut into tiles of a few images and blocks of tiles;
the cut depends on the batch and the network alone, and partial sums are added in the order of the blocks, so every bit
of a gradient is the same for any number of threads.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pyham.architectures.chain import AnyStages
from pyham.architectures.convolution import transposed
from pyham.architectures.lift import Lift, normalise
from pyham.architectures.stages import StageGradients, Stages
from pyham.engines.compiled import image_kernels as kernels
from pyham.engines.compiled.image_layout import LIFTED, VECTOR, ImageLayout, form_of, layout_of
from pyham.engines.compiled.threads import Cut
from pyham.engines.contract import Loss, stacked
from pyham.engines.reference import Reference
from pyham.engines.results import ClassifierGradients, Parts, Pixels, Trace

Array = np.ndarray[Any, Any]


class CompiledConvolutions(Reference):
    """The engine of networks whose maps are convolutions."""

    def forward(self, stages: AnyStages, x: Array) -> Array:
        shape = _output_shape(stages, x.shape[1:])
        return _both(stages.sections, x, np.zeros((len(x), *shape), x.dtype))[0]

    def trace(self, stages: AnyStages, x: Array) -> Any:
        states = [x.copy()]
        for j in range(stages.depth):
            states.append(self.forward(stages.layers(j, j + 1), states[-1]))
        return stacked(states)

    def adjoint(self, stages: AnyStages, states: Any, delta_N: Array) -> tuple[Any, Any]:
        deltas, gradients = [np.array(delta_N, states[-1].dtype)], stages.zero_gradients()
        for j in reversed(range(stages.depth)):
            _, delta, found = _both(stages.layers(j, j + 1).sections, states[j], deltas[-1])
            deltas.append(delta)
            for total, of_layer in zip(stages.gradients_of_layer(gradients, j), found[0], strict=True):
                total[...] = of_layer
        return stacked(deltas[::-1]), gradients

    def sensitivity(self, stages: AnyStages, states: Any, last: Array | None = None) -> Array:
        batch, *shape = states[-1].shape
        n = math.prod(shape)
        phi = np.empty((stages.depth + 1, batch, n, n), states[0].dtype)
        phi[-1] = np.eye(n) if last is None else last
        for i in range(batch):
            columns = np.ascontiguousarray(phi[-1, i].T)  # row c is the delta that starts from e_c
            for j in reversed(range(stages.depth)):
                layer, y = stages.layers(j, j + 1), states[j][i]
                behind = columns.reshape(n, *states[j + 1].shape[1:])
                columns = _both(layer.sections, np.broadcast_to(y, (n, *y.shape)), behind)[1].reshape(n, n)
                phi[j, i] = columns.T
        return phi

    def run(self, stages: AnyStages, x: Array) -> Trace:
        """The forward pass; the way back runs it again, tile by tile, while its states sit in the cache."""
        start = x.copy()
        output = self.forward(stages, start)
        return Trace(lambda: self.trace(stages, start), output=output, tape=start, engine=self, stages=stages)

    def back(self, stages: AnyStages, trace: Trace, delta_N: Array) -> tuple[Any, Array, Any]:
        start = trace.tape(self, stages)
        if start is None:
            return super().back(stages, trace, delta_N)
        _, delta_0, gradients = _both(stages.sections, start, delta_N)
        kept = delta_N.copy()
        return lambda: self.adjoint(stages, trace.states, kept)[0], delta_0, _joined(stages, gradients)

    def checkpointed(self, stages: AnyStages, x: Array, delta_N: Array, segment: int) -> tuple[Array, Array, Any]:
        """As the kernels keep the states of one tile only, nothing is gained by segments."""
        y_N, delta_0, gradients = _both(stages.sections, x, delta_N)
        return y_N, delta_0, _joined(stages, gradients)

    def logits(self, classifier: Parts, pixels: Array) -> Array:
        layout, common = _common(classifier, pixels)
        table, B = _table(classifier.mu.dtype), len(pixels)
        rows, shifts, z = np.arange(B), np.zeros((B, 2), np.int64), np.empty((B, len(classifier.mu)), table.dtype)
        blocks = Cut(B, layout.space.images, work=B * layout.work, partial=0)
        blocks.run(lambda lo, hi, _: kernels.logits(*common, (table, pixels, rows, shifts), (lo, hi), z))
        return z

    def classifier_gradient(
        self, classifier: Parts, loss: Loss, images: Pixels
    ) -> tuple[Any, int, ClassifierGradients]:
        """From pixels to the loss and back in one kernel, for the softmax loss."""
        if loss.__name__ != "softmax":
            return super().classifier_gradient(classifier, loss, images)
        (lift, stages, layer, _), (pixels, labels, shifts, rows) = classifier, images
        layout, common = _common(classifier, pixels)
        table = _table(layer.dtype)
        B, (classes, width) = len(rows), common[2][0].shape
        sizes = layout.forward, classes * width, classes
        starts = np.cumsum([0, *(-(-size // VECTOR) * VECTOR for size in sizes)])
        blocks = Cut(B, layout.space.images, work=B * layout.work, partial=int(starts[-1]) * layer.itemsize)
        sums = np.zeros((max(1, blocks.count), int(starts[-1])), layer.dtype)
        reports = np.zeros((max(1, blocks.count), 2))

        def parts(row: Array) -> tuple[Array, Array, Array]:
            own, head, bias = (row[a : a + size] for a, size in zip(starts, sizes, strict=False))
            return own, head.reshape(classes, width), bias

        blocks.run(
            lambda lo, hi, b: kernels.gradient(
                *common, (table, pixels, rows, shifts), labels, (lo, hi, B), parts(sums[b]), reports[b]
            )
        )  # fmt: skip
        own, d_layer, d_mu = parts(_added(sums))
        value, right = reports.sum(axis=0)
        C = len(lift.bias)
        of_lift = Lift(own[: 9 * C].reshape(lift.kernel.shape), own[9 * C : 10 * C])
        gradients = _joined(stages, _stage_gradients(own, stages.sections, lift))
        found = ClassifierGradients(of_lift, gradients, d_layer[:, : layer.shape[1]], d_mu)
        return float(value) / max(1, B), int(right), found


def _joined(stages: AnyStages, gradients: list[StageGradients]) -> Any:
    """The gradients of every section as those of ``stages``."""
    return gradients[0] if isinstance(stages, Stages) else tuple(gradients)


def _output_shape(stages: AnyStages, shape: Sequence[int]) -> tuple[int, ...]:
    """(C, H, W) of y_N from those of y_0."""
    C, H, W = shape
    for section in stages.sections:
        if section.squeeze:
            C, H, W = 4 * C, H // 2, W // 2
    return C, H, W


def _both(sections: Sequence[Stages], y: Array, g: Array) -> tuple[Array, Array, list[StageGradients]]:
    """y_N, delta_0 and the gradients of every section, from y = y_0 (B, C, H, W) and g = dLoss/dy_N."""
    B, C, rows, columns = y.shape
    layout = layout_of(tuple(map(form_of, sections)), C, rows, columns, y.dtype)
    empty = Lift(np.zeros((C, 1, LIFTED, LIFTED), y.dtype), np.zeros(C, y.dtype))
    net = _net(layout, empty, sections)
    start, slope = (np.array(a.reshape(B, math.prod(a.shape[1:])), order="C") for a in (y, g))
    y_N, delta_0 = np.empty_like(start), np.empty_like(start)
    blocks = Cut(B, layout.space.images, work=B * layout.work, partial=layout.forward * y.itemsize)
    sums = np.zeros((max(1, blocks.count), layout.forward), y.dtype)
    blocks.run(lambda lo, hi, b: kernels.adjoint(layout.space, net, start, slope, (lo, hi), y_N, delta_0, sums[b]))
    gradients = _stage_gradients(_added(sums), sections, empty)
    return y_N.reshape(g.shape), delta_0.reshape(y.shape), gradients


def _common(classifier: Parts, pixels: Array) -> tuple[ImageLayout, tuple[Any, ...]]:
    """The layout, and the kernels' arguments before the images."""
    lift, stages, layer, mu = classifier
    groups, (rows, columns) = stages.sections, pixels.shape[1:]
    layout = layout_of(tuple(map(form_of, groups)), len(lift.bias), rows, columns, layer.dtype)
    lanes = VECTOR // layer.itemsize
    padded = np.zeros((len(layer), -(-layer.shape[1] // lanes) * lanes), layer.dtype)
    padded[:, : layer.shape[1]] = layer
    return layout, (layout.space, _net(layout, lift, groups), (padded, mu))


def _added(sums: Array) -> Array:
    """The sum over the blocks, from the first to the last, in place of the first."""
    for one in sums[1:]:
        sums[0] += one
    return sums[0]


def _stage_gradients(own: Array, groups: Sequence[Stages], lift: Lift) -> list[StageGradients]:
    found, start = [], lift.kernel.size + lift.bias.size
    for group in groups:
        arrays = []
        for like in (group.A, group.c, group.W):
            arrays.append(own[start : start + like.size].reshape(like.shape))
            start += like.size
        found.append(StageGradients(*arrays))
    return found


def _net(layout: ImageLayout, lift: Lift, groups: Sequence[Stages]) -> tuple[Array, ...]:
    """The network as the kernels take it, all matrices in one array, in the order that the layout counts on."""
    pieces = [lift.kernel, lift.bias]
    for group in groups:
        pieces += [group.A, group.c, group.W]
    for group in groups:
        pieces += [transposed(group.A), transposed(group.W)]
    weights = np.concatenate([piece.ravel() for piece in pieces])
    return layout.plan, np.concatenate([*(group.keep for group in groups), weights[:0]]), weights, layout.masks


@lru_cache(maxsize=4)
def _table(dtype: np.dtype[Any]) -> Array:
    """What every value of a pixel becomes (256,)."""
    return normalise(np.arange(256), dtype)
