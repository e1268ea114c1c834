"""K, J and y_N of every architecture by the equations of its docstring, without stages; norms for bounds by hand."""

import numpy as np

SIGMA = {
    "tanh": np.tanh,
    "logistic": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
    "softplus": lambda a: np.logaddexp(0, a),
    "identity": lambda a: a,
}
SLOPE = {"logistic": 0.25}  # the largest derivative; of the others it is 1


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
        block = np.eye(m) if options["X"] is None else np.array(options["X"])
        J[:m, m:], J[m:, :m] = -block.T, block
    elif net.arch.name == "MS3" or options.get("interconnection") == "J1":
        for i in range(m):
            J[i, m + i], J[m + i, i] = 1, -1
    elif options.get("interconnection") == "J2":
        for i in range(n):
            J[i, i + 1 :], J[i, :i] = 1, -1
    else:
        return np.array(options["interconnection"]) if "interconnection" in options else None
    return J


def coupling(net):
    """J, or J - R; None where there is no J."""
    J, R = structure(net), net.arch.config().get("dissipation")
    return J if R is None else J - (np.array(R) if np.ndim(R) else R * np.eye(len(J)))


def output(net, x):
    """y_N (B, n) from x, layer by layer."""
    arch, m = net.arch, net.arch.width // 2
    h, J, options = arch.step, coupling(net), arch.config()
    y = x.copy()
    for K, b in zip(weights(net), net.b, strict=True):

        def field(y, K=K, b=b):
            s = SIGMA[arch.activation](y @ K.T + b)
            return s if J is None else s @ K @ J.T

        if arch.name == "MLP":
            y = field(y)
        elif "scheme" not in options:
            rate = options.get("damping", 0)
            y = np.exp(-rate * h) * y + held(rate, h) * field(y)
        else:
            halves = slice(0, m), slice(m, None)
            for which, fraction in sequence(options["scheme"]):
                part = halves[which if options["order"] == "p-first" else 1 - which]
                rate = rates(net)[which if options["order"] == "p-first" else 1 - which]
                y[:, part] = np.exp(-rate * h * fraction) * y[:, part] + held(rate, h * fraction) * field(y)[:, part]
    return y


def rates(net):
    """Of damping, of p and of q."""
    return np.broadcast_to(net.arch.config().get("damping", 0), 2)


def held(rate, time):
    """What y' = f - rate y gains of a constant f in a time."""
    return time if rate == 0 else (1 - np.exp(-rate * time)) / rate


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
    """The ``sequence`` with neighbouring steps of one half joined."""
    found = []
    for half, fraction in sequence(scheme):
        if found and found[-1][0] == half:
            found[-1] = half, found[-1][1] + fraction
        else:
            found.append((half, fraction))
    return found


def drives(net):
    """For each layer, h S ||W|| ||A|| of every stage, S the largest slope of the activation."""
    arch, J, options, m = net.arch, coupling(net), net.arch.config(), net.arch.width // 2
    S, found = SLOPE.get(arch.activation, 1.0), []
    for K in weights(net):
        if "scheme" not in options:
            W = np.eye(len(K)) if J is None else J @ K.T
            time = 1 if arch.name == "MLP" else held(options.get("damping", 0), arch.step)
            found.append([S * time * norm(W) * norm(K)])
            continue
        halves = [slice(0, m), slice(m, None)][:: 1 if options["order"] == "p-first" else -1]
        layer = []
        for half, fraction in joined(options["scheme"]):
            dst, src = halves[half], halves[1 - half]
            A = K[src if arch.name == "H2" else dst, src]  # its rows of K are those that do not read what it updates
            amount = abs(held(rates(net)[0 if dst.start == 0 else 1], fraction * arch.step))
            layer.append(S * amount * norm(A) * (1.0 if J is None else norm(J[dst, src] @ A.T)))
        found.append(layer)
    return found


def kept(net):
    """By how much every stage of a layer multiplies what it updates; 1 without damping."""
    options = net.arch.config()
    if "scheme" not in options:
        return np.exp([-net.arch.step * options.get("damping", 0)])
    order = [0, 1] if options["order"] == "p-first" else [1, 0]
    return np.array([np.exp(-rates(net)[order[i]] * f * net.arch.step) for i, f in joined(options["scheme"])])


def norm(M):
    """||M||_2."""
    return float(np.linalg.norm(M, 2))
