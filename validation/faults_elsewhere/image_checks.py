"""Image networks as users run them, against ``.image_equations``; the certificate; the compiled engine."""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any, cast
from unittest import mock

import numpy as np

import pyham
from pyham import images, threads
from pyham.images import compiled, convolution, model, reference, stages
from pyham.images.base import head_of, lift_of
from pyham.images.model import ImageModel
from pyham.images.stages import Group, Lift
from pyham.optimizers import Descent
from validation.faults_elsewhere import image_equations as equations
from validation.faults_elsewhere.image_equations import PROTOCOL, Case, along
from validation.faults_elsewhere.reading import ROUNDING, Reading, difference, reading

Array = np.ndarray[Any, Any]

#: Compiled and reference differ in the order of their sums: of up to 36 terms in each of 6 stages, then over 19 images
COMPILED = ROUNDING


def image_maps() -> Iterator[Reading]:
    """Convolutions, their transposes and derivatives, squeezes, and what is done to pixels."""
    read = partial(reading, "image maps", limit=ROUNDING)
    rng = np.random.default_rng(0)
    y, g = rng.standard_normal((2, 3, 4, 6)), rng.standard_normal((2, 2, 4, 6))
    for size in (1, 3, 5):
        A = rng.standard_normal((2, 3, size, size))
        name = f"size {size}"
        yield read(name, difference(convolution.convolve(y, A), equations.convolved(A, y)))
        back = convolution.transposed(A)
        if back.shape == (3, 2, size, size):
            yield read(name, difference(convolution.convolve(g, back), equations.pulled(A, g)))
        else:
            yield read(name, np.array(np.inf))
        yield read(name, difference(convolution.kernel_gradient(y, g, size), equations.products(y, g, size)))
    z = equations.squeezed(y)
    yield read("squeeze", difference(convolution.squeeze(y), z))
    yield read("squeeze", difference(convolution.unsqueeze(z), y))

    pixels = rng.integers(1, 256, (4, 3, 5)).astype(np.uint8)
    shifts = np.array([[0, 1], [-1, 0], [2, -3], [0, 0]])
    yield read("pixels", difference(reference.shifted(pixels, shifts).astype(float), equations.moved(pixels, shifts)))
    right = (pixels / 255 - 0.1307) / 0.3081
    yield read("pixels", difference(reference.normalise(pixels, np.float64), right))
    lift = Lift(rng.standard_normal((2, 1, 3, 3)), rng.standard_normal(2))
    right = equations.convolved(lift.kernel, y[:, 0, None]) + lift.bias[:, None, None]
    yield read("lift", difference(reference.lifted(lift, y[:, 0]), right))


def image_networks() -> Iterator[Reading]:
    """Logits, losses, penalties and classes by the equations of the architectures; without stages."""
    for name, case in equations.cases().items():
        read = partial(reading, "image networks", name, limit=ROUNDING)
        net = images.ImageNetwork(case.arch, case.params)
        z, chosen, loss = _right(name)
        yield read(difference(net.lifted(case.pixels), equations.lifted(case.params, case.pixels)))
        yield read(difference(net.logits(case.pixels, backend="reference"), z))
        if name == "H1":
            yield read(difference(net.predict(case.pixels, backend="reference"), z.argmax(axis=1)))
            accuracy = net.accuracy(case.pixels, case.labels, backend="reference")
            yield read(np.array(abs(accuracy - (z.argmax(axis=1) == case.labels).mean())))
        found, right, _ = reference.gradient(*_arguments(case), case.labels, case.shifts, case.rows)
        yield read(difference(found, loss))
        yield read(np.array(abs(right - (chosen.argmax(axis=1) == case.labels[case.rows]).sum())))
        penalty, _ = case.arch.smoothness(case.params)
        yield read(difference(penalty, equations.smoothness(case.arch, case.params)))


def image_shapes() -> Iterator[Reading]:
    """(C, H, W) of the states."""
    net = equations.cases()["ConvH2"]
    found = stages.shapes(net.arch.lower(net.params), 4, 6)
    yield reading("image networks", "ConvH2", difference(np.array(found), [(2, 4, 6), (8, 2, 3)]), 0.0)


@cache
def _right(name: str) -> tuple[Array, Array, Any]:
    """Logits of all images; of those chosen and moved; and their mean loss."""
    arch, params, pixels, labels, shifts, rows = equations.cases()[name]
    z = equations.logits(arch, params, equations.moved(pixels[rows], shifts))
    return equations.logits(arch, params, pixels), z, equations.losses(z, labels[rows]).mean()


def _arguments(case: Case) -> tuple[Lift, list[Group], Array, Array, Array]:
    groups, head = case.arch.lower(case.params), head_of(case.arch, case.params)
    return lift_of(case.params), groups, *head, case.pixels


def image_stages() -> Iterator[Reading]:
    """Stages of any kind there and back: y_N by their equation, delta_0 and all gradients by complex steps."""
    for name, (groups, y_0) in equations.stacks().items():
        y_N, start, slopes = equations.stack_slopes(name)
        y, g = y_0.copy(), start.copy()
        found: list[Reading] = []
        delta, sums = reference.adjoint(groups, y, g)
        gradients = {"y": delta} | {f"{key}{i}": getattr(s, key) for i, s in enumerate(sums) for key in "AcW"}
        for key, (directions, right) in slopes.items():
            apart = difference(along(directions, gradients[key]), right)
            found.append(reading("images complex step", name, apart, ROUNDING))
        found.append(reading("image networks", name, difference(reference.forward(groups, y), y_N), ROUNDING))
        for kept, given in ((y, y_0), (g, start)):  # arguments are not written over
            found.append(reading("image networks", name, difference(kept, given), 0.0))
        yield from found
        if any(one.wrong for one in found):  # one is enough, and shapes of the other may not fit
            return


def image_gradients() -> Iterator[Reading]:
    """The gradient of the objective, with all penalties, by complex steps."""
    for name, case in equations.cases().items():
        own = _model(case)
        if name == "MLP":  # of other images: nothing may stay
            own.objective(case.pixels, case.labels, case.shifts, case.rows[::-1])
        gradient = own.objective(case.pixels, case.labels, case.shifts, case.rows)[2].copy()
        ends = np.cumsum([value.size for value in case.params.values()])[:-1]
        for flat, (key, value) in zip(np.split(gradient, ends), case.params.items(), strict=True):
            directions, right = equations.objective_slopes(name)[key]
            apart = difference(along(directions, flat.reshape(value.shape)), right)
            yield reading("images complex step", name, apart, ROUNDING)


def _model(case: Case, shift: int = 0) -> ImageModel:
    return ImageModel(images.ImageNetwork(case.arch, case.params), PROTOCOL, shift, "reference")


class _Still:
    """A descent that does not move, and knows what it was given."""

    def __init__(self) -> None:
        self.gradients: list[Array] = []
        self.rates: list[float] = []

    def step(self, gradient: Array, rate: float) -> None:
        self.gradients.append(gradient.copy())
        self.rates.append(rate)


def image_training() -> Iterator[Reading]:
    """An epoch of two batches and a smaller one, and the evaluation in pieces, by the losses of the images."""
    read = partial(reading, "image training", "H1", limit=ROUNDING)
    case, descent = equations.cases()["H1"], _Still()
    own, stepper, x, z = _model(case), cast(Descent, descent), case.pixels, _right("H1")[0]
    labels = (z.argmax(axis=1) + np.array([0, 1, 0, 0, 0])) % 3
    mean, hits = equations.losses(z, labels).mean(), 4
    loss, right = own.epoch("joint", stepper, x, labels, np.array([4, 1, 0, 3, 2]), 2, np.array([0.3, 0.2, 0.1]))
    yield read(np.array([abs(loss / mean - 1), abs(right - hits)]))
    yield read(difference(np.array(descent.rates), [0.3, 0.2, 0.1]))
    for found, batch in zip(descent.gradients, ([4, 1], [0, 3], [2]), strict=False):
        yield read(difference(found, own.gradient("joint", x[batch], labels[batch])[2]))
    with mock.patch.object(model, "PIECE", 1):
        loss, right = own.evaluate("joint", x, labels)
    yield read(np.array([abs(loss / mean - 1), abs(right - hits)]))
    own = _model(case, shift=1)
    with mock.patch.object(own, "objective", return_value=(0.0, 0, own.theta)) as asked:
        own.epoch("joint", stepper, x, labels, np.arange(40) % 5, 40, np.array([0.1]))
    shifts = asked.call_args.args[2]
    for moves in shifts.T:  # of 40 draws, none of three shifts is missing but with probability 3 (2 / 3)^40
        yield read(difference(np.unique(moves), [-1, 0, 1]))


def initial_parameters() -> Iterator[Reading]:
    """What ``ImageArchitecture.init`` promises."""
    kinds: dict[str, tuple[images.ImageArchitecture, dict[str, int]]] = {
        "ConvH2": (images.ConvH2(4, 4, width=2, depths=(2, 1)), {"0": 9, "1": 36}),
        "H2": (images.Pixelwise(4, 4, network=pyham.H2(6, 2)), {"": 3}),
    }
    for name, (arch, inputs) in kinds.items():
        read = partial(reading, "initial parameters", name)
        normal, scaled, centred = (arch.init(0, initialization=kind) for kind in ("normal", "scaled-normal", "centred"))
        for key in arch.inner:
            factor = inputs[key.lstrip("Kpqb")] ** -0.5
            yield read(difference(scaled[key], factor * normal[key]), ROUNDING)
        values = np.concatenate([normal[key].ravel() for key in arch.inner])
        spread = 6 * (2 / values.size) ** 0.5  # six standard deviations of the mean square
        yield read(np.array(abs((values**2).mean() - 1)), spread)
        for params in (normal, scaled, centred):
            yield read(np.abs(params["lift"]), 1 / 3)
            yield read(np.concatenate([params[key].ravel() for key in ("layer", "mu")]), 0.0)
        biases = np.concatenate([centred[key].ravel() for key in arch.inner if key.startswith("b")])
        yield read(np.abs(biases), 0.0)
        background = equations.lifted(centred, np.zeros((1, 4, 4)))[:, :, 1:-1, 1:-1]
        yield read(np.abs(background), ROUNDING)


# The compiled engine


def compiled_images() -> Iterator[Reading]:
    """The compiled engine against the reference, on three blocks of up to two tiles, the last one not full."""
    for name, case in _batches().items():
        with mock.patch.multiple(threads, WORTHWHILE=1, BLOCKS=3, _threads=1):
            found = _everything(compiled, case)
        for value, right in zip(found, _reference(name), strict=True):
            yield reading("images compiled", name, difference(value, right), COMPILED)


@cache
def _batches() -> dict[str, Case]:
    """Networks and 19 images each, of all kinds of stages, but none whose slices differ in length: a fault that takes
    one for the other must not make machine code leave its arrays."""
    kinds: dict[str, images.ImageArchitecture] = {
        "ConvH2": images.ConvH2(4, 6, 3, gain=0.7, width=2, depths=(2, 1), step=0.4, activation="softplus"),
        "MLP": images.Pixelwise(3, 4, 3, network=pyham.MLP(3, 2, activation="logistic")),
    }
    found = {}
    for seed, (name, arch) in enumerate(kinds.items()):
        rng = np.random.default_rng(seed)
        params = {key: 0.5 * rng.standard_normal(shape) for key, shape in arch.shapes.items()}
        pixels = rng.integers(0, 256, (19, arch.rows, arch.columns)).astype(np.uint8)
        shifts, rows = rng.integers(-1, 2, (19, 2)), rng.permutation(19)
        found[name] = Case(arch, params, pixels, rng.integers(0, 3, 19), shifts, rows)
    return found


@cache
def _reference(name: str) -> list[Array]:
    return _everything(reference, _batches()[name])


def _everything(engine: Any, case: Case) -> list[Array]:
    """All results of an engine."""
    arguments = _arguments(case)
    groups = arguments[1]
    y = equations.lifted(case.params, case.pixels)
    y_N = engine.forward(groups, y)
    delta, gradients = engine.adjoint(groups, y, y[::-1].reshape(y_N.shape))
    loss, right, sums = engine.gradient(*arguments, case.labels, case.shifts, case.rows)
    found = [engine.logits(*arguments), y_N, delta, np.array(loss), np.array(right), *sums.lift, sums.layer, sums.mu]
    return found + [array for group in (*gradients, *sums.groups) for array in group]
