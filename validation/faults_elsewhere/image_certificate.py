"""The certificate of image networks: as users run it, and its parts by their definitions."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any
from unittest import mock

import numpy as np

from pyham import images
from pyham.images import certificate, compiled
from pyham.images.stages import Group
from validation.faults_elsewhere import image_equations as equations
from validation.faults_elsewhere.image_equations import Case
from validation.faults_elsewhere.reading import ROUNDING, Reading, difference, norm, reading

Array = np.ndarray[Any, Any]


@cache
def _small() -> Case:
    """A ConvH2 with 16 numbers of a state."""
    arch = images.ConvH2(2, 4, 3, width=2, depths=(2, 1), activation="tanh")
    rng = np.random.default_rng(1)
    params = {name: 0.5 * rng.standard_normal(shape) for name, shape in arch.shapes.items()}
    pixels = rng.integers(0, 256, (3, 2, 4)).astype(np.uint8)
    none = np.zeros(0, int)
    return Case(arch, params, pixels, none, none, none)


def image_certificates() -> Iterator[Reading]:
    """``pyham.images.certify``; and of a network that is none, whose first stages overwrite."""
    case = _small()
    net = images.ImageNetwork(case.arch, case.params)
    for check in images.certify(net, case.pixels).checks:
        beyond = float(check.control_measured or 0)
        yield Reading("certify images", check.name, check.measured, not check.holds)
        yield Reading("certify images control", check.name, beyond, not check.control_failed)
    first, last = net.groups  # of which the last alone has norms >= 1
    wrong = [replace(first, W=first.W / 10, keep=False), last]
    with mock.patch.object(images.ImageNetwork, "groups", wrong):
        for check in images.certify(net, case.pixels).checks[:3]:
            yield Reading("certify images control", check.name, check.measured, check.holds)


def image_certificate_by_hand() -> Iterator[Reading]:
    """Sensitivities, residuals, norms and neighbours by their definitions."""
    read = partial(reading, "image certificate by hand", limit=ROUNDING)
    case, rng = _small(), np.random.default_rng(0)
    groups, image = case.arch.lower(case.params), equations.lifted(case.params, case.pixels)[0]
    right = _sensitivities()
    found = np.array(list(certificate.sensitivities(groups, image, compiled)))
    yield read("sensitivities", difference(found[::-1], right))
    found = np.array([norms["fro"] for _, norms in certificate.norms_and_defect(groups, image, compiled)])
    yield read("sensitivities", difference(found, np.linalg.norm(right, axis=(1, 2))))

    J = np.kron([[0, 1], [-1, 0]], np.eye(3))
    dominant = rng.standard_normal((6, 6)) + np.outer(*rng.standard_normal((2, 6))) * 100  # 20 steps are enough
    for P in (rng.standard_normal((6, 6)), 0.1 * rng.standard_normal((6, 6)), dominant):
        rho = np.linalg.norm(P.T @ J @ P - J) / np.linalg.norm(J) / max(1.0, float(np.linalg.norm(P)) ** 2)
        yield read("rho", difference(np.array(certificate.rho(P.T)), rho))
        norms = certificate.norms(P.T)
        found = np.array([norms["1"], norms["inf"], norms["fro"]])
        yield read("norms", difference(found, [np.linalg.norm(P, 1), np.linalg.norm(P, np.inf), np.linalg.norm(P)]))
        if P is dominant:
            yield read("norms", difference(np.array(norms["2"]), norm(P)))

    (some, y), other, (u, v) = equations.stacks()["overlapping"], _other(), rng.standard_normal((2, 3, 24))
    jacobians, others = _jacobians()
    J = np.kron([[0, 1], [-1, 0]], np.eye(12))
    after = [np.einsum("bc,bci->bi", a, jacobians) for a in (u, v)]  # a backward pass is one with the transpose
    forms = [np.einsum("bi,ij,bj->b", a, J, b) for a, b in ((u, v), after)]
    sizes = sum(_size(a) * _size(b) for a, b in ((u, v), after))
    found = np.array(certificate.two_form(some, y, u.reshape(y.shape), v.reshape(y.shape), compiled))
    yield read("two-form", difference(found, (abs(forms[1] - forms[0]) / sizes).max()))
    found = np.array(certificate.dot_products(some, other, y, u.reshape(y.shape), v.reshape(y.shape), compiled))
    step, back = np.einsum("bci,bi->bc", jacobians, u), np.einsum("bc,bci->bi", v, others)
    gaps = abs((v * step).sum(axis=1) - (back * u).sum(axis=1))
    yield read("dot products", difference(found, (gaps / (_size(v) * _size(step) + _size(back) * _size(u))).max()))

    y = equations.lifted(case.params, case.pixels)
    euler, small = certificate.forward_euler(groups), certificate.contracting(groups)
    for i, (N, state) in enumerate(((2, y), (1, _states()[2]))):
        yield read("forward Euler", difference(equations.through([euler[i]], state), _euler(i, state)))
        for jacobian in equations.jacobians([small[i]], state):
            yield reading("image certificate by hand", "MLP", np.array(norm(jacobian) / 0.5**N), 1 + ROUNDING)
    yield read("one sign", difference(certificate.one_sign(groups, y)[-1].W, _flipped()))


def _size(a: Array) -> Array:
    return np.linalg.norm(a, axis=1)


@cache
def _states() -> list[Array]:
    """y_0 .. y_3 of the small network's images."""
    found = [equations.lifted(_small().params, _small().pixels)]
    for layer in equations.layers(_small().arch, _small().params):
        found.append(layer(found[-1]))
    return found


@cache
def _sensitivities() -> Array:
    """Phi_j^T of the first image, for j = 0 .. 3, by complex steps."""
    found, layers = [], equations.layers(_small().arch, _small().params)
    for j, y in enumerate(_states()):
        z = y[0] + np.eye(16).reshape(16, *y.shape[1:]) * equations.TINY * 1j
        for layer in layers[j:]:
            z = layer(z)
        found.append(z.imag.reshape(16, 16).T / equations.TINY)
    return np.array(found)


@cache
def _jacobians() -> tuple[Array, Array]:
    """d(y_N) / d(y_0) of the overlapping stages, and of the same with another W."""
    groups, y = equations.stacks()["overlapping"]
    return equations.jacobians(groups, y), equations.jacobians(_other(), y)


def _other() -> list[Group]:
    groups, _ = equations.stacks()["overlapping"]
    return [*groups[:-1], replace(groups[-1], W=2 * groups[-1].W)]


def _euler(i: int, y: Array) -> Array:
    """Group i of the small network by y <- y + h J K^T * sigma(K * y + b)."""
    params, y = _small().params, equations.squeezed(y) if i else y
    for Kp, Kq, b in zip(*(params[f"{name}{i}"] for name in ("Kp", "Kq", "b")), strict=True):
        (p, q), (bp, bq) = np.split(y, 2, axis=1), np.split(b[:, None, None], 2)
        drive = equations.pulled(Kq, np.tanh(equations.convolved(Kq, q) + bq))
        force = equations.pulled(Kp, np.tanh(equations.convolved(Kp, p) + bp))
        y = y + 0.5 * np.concatenate((-drive, force), axis=1)
    return y


@cache
def _flipped() -> Array:
    """W = h Kp^T of the last group, its largest entry off the diagonal, by sigma', with the other sign."""
    Kq, Kp, b = (_small().params[name][0] for name in ("Kq1", "Kp1", "b1"))
    slope = 1 - np.tanh(equations.convolved(Kp, _states()[-1][:, :4]) + b[:4, None, None]) ** 2
    W = np.array([-0.5 * Kq, 0.5 * Kp])[..., ::-1, ::-1].swapaxes(1, 2).copy()
    where = np.abs(W[1]) * slope.mean(axis=(0, 2, 3))[:, None, None]
    where[range(4), range(4)] = 0
    where[:, :, [0, 2]] = 0  # of 1 x 2 pixels, the rows above and below lie outside
    W[1].flat[where.argmax()] *= -1
    return W
