"""K, J and y_N of every architecture by the equations of its docstring, without stages; norms for bounds by hand."""

from functools import cache

import numpy as np

import pyham

X = np.array([[1.0, -0.4], [0.9, 0.7]])  # neither symmetric nor orthogonal, so that no transpose hides


@cache
def architectures():
    """By name, every architecture, scheme and order, of width 4 and two layers."""
    return {
        "MLP": pyham.MLP(4, 2, 0.5),
        "ResNet": pyham.ResNet(4, 2, 0.5),
        "H1": pyham.H1(4, 2, 0.5, interconnection="J1"),
        "H1 J2 logistic": pyham.H1(4, 2, 0.5, "logistic", interconnection="J2"),
        "MS1": pyham.MS1(4, 2, 0.5),
        "MS1 verlet": pyham.MS1(4, 2, 0.5, scheme="verlet"),
        "MS2": pyham.MS2(4, 2, 0.5),
        "MS3": pyham.MS3(4, 2, 0.5),
        "MS3 q-first": pyham.MS3(4, 2, 0.5, order="q-first"),
        "H2": pyham.H2(4, 2, 0.5, X=X),
        "H2 verlet": pyham.H2(4, 2, 0.5, scheme="verlet", X=X),
        "H2 yoshida4": pyham.H2(4, 2, 0.5, scheme="yoshida4", X=X),
    }


def network(name, batch=3):
    """The network of that name, x and g (B, 4); always the same."""
    rng = np.random.default_rng(len(name))
    net = architectures()[name].init(rng)
    x, g = rng.standard_normal((2, batch, 4))
    return net, x, g


def weights(net):
    """K (N, n, n)."""
    n, m, p = net.arch.width, net.arch.width // 2, net.params
    K = np.zeros((net.arch.depth, n, n))
    for j in range(net.arch.depth):
        if net.arch.name == "MS1":
            K[j, :m, m:], K[j, m:, :m] = p["A"][j], -p["A"][j].T
        elif net.arch.name == "MS2":
            above = iter(p["K_upper"][j])
            for a in range(n):
                for c in range(a + 1, n):
                    K[j, a, c] = next(above)
            K[j] -= K[j].T
        elif net.arch.name == "MS3":
            K[j, :m, m:], K[j, m:, :m] = p["K1"][j], p["K2"][j]
        elif net.arch.name == "H2":
            K[j, :m, :m], K[j, m:, m:] = p["Kp"][j], p["Kq"][j]
        else:
            K[j] = p["K"][j]
    return K


def structure(net):
    """J (n, n) of H1, H2 and MS3, else None."""
    n, m, options = net.arch.width, net.arch.width // 2, net.arch.config()
    J = np.zeros((n, n))
    if net.arch.name == "H2":
        block = np.array(options["X"])
        J[:m, m:], J[m:, :m] = -block.T, block
    elif net.arch.name == "MS3" or options.get("interconnection") == "J1":
        for i in range(m):
            J[i, m + i], J[m + i, i] = 1, -1
    elif options.get("interconnection") == "J2":
        for i in range(n):
            J[i, i + 1 :], J[i, :i] = 1, -1
    else:
        return None
    return J


def output(net, x):
    """y_N (B, n) from x, layer by layer."""
    arch, m = net.arch, net.arch.width // 2
    h, J, options = arch.step, structure(net), arch.config()
    y = x.copy()
    for K, b in zip(weights(net), net.b, strict=True):

        def field(y, K=K, b=b):
            a = y @ K.T + b
            s = np.tanh(a) if arch.activation == "tanh" else 1 / (1 + np.exp(-a))
            return s if J is None else s @ K @ J.T

        if arch.name == "MLP":
            y = field(y)
        elif "scheme" not in options:
            y = y + h * field(y)
        else:
            halves = slice(0, m), slice(m, None)
            for which, fraction in sequence(options["scheme"]):
                part = halves[which if options["order"] == "p-first" else 1 - which]
                step = h * fraction * field(y)
                y[:, part] += step[:, part]
    return y


def sequence(scheme, fraction=1.0):
    """(half, fraction of h): Yoshida's fourth order is three Verlet steps, Verlet two mirrored semi-implicit ones."""
    if scheme == "semi-implicit":
        return [(0, fraction), (1, fraction)]
    if scheme == "verlet":
        forth = sequence("semi-implicit", fraction / 2)
        return forth + forth[::-1]
    w = 1 / (2 - np.cbrt(2))
    return [step for part in (w, 1 - 2 * w, w) for step in sequence("verlet", part)]


def joined(scheme):
    """The ``sequence`` with neighbouring steps of one half joined, negative ones as their size."""
    found = []
    for half, fraction in sequence(scheme):
        if found and found[-1][0] == half:
            found[-1] = half, found[-1][1] + fraction
        else:
            found.append((half, fraction))
    return [(half, abs(fraction)) for half, fraction in found]


def drives(net):
    """For each layer, h S ||W|| ||A|| of every stage, S the largest slope of the activation."""
    arch, J, options, m = net.arch, structure(net), net.arch.config(), net.arch.width // 2
    S, found = 0.25 if arch.activation == "logistic" else 1.0, []
    for K in weights(net):
        if "scheme" not in options:
            W = np.eye(4) if J is None else J @ K.T
            found.append([S * (1 if arch.name == "MLP" else arch.step) * norm(W) * norm(K)])
            continue
        halves = [slice(0, m), slice(m, None)][:: 1 if options["order"] == "p-first" else -1]
        layer = []
        for half, fraction in joined(options["scheme"]):
            dst, src = halves[half], halves[1 - half]
            A = K[src if arch.name == "H2" else dst, src]  # its rows of K are those that do not read what it updates
            layer.append(S * fraction * arch.step * norm(A) * (1.0 if J is None else norm(J[dst, src] @ A.T)))
        found.append(layer)
    return found


def norm(M):
    """||M||_2."""
    return float(np.linalg.norm(M, 2))
