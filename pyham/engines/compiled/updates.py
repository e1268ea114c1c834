"""``pyham.training.updates``, compiled, where Python's overhead would exceed the arithmetic.

Same names, arguments and results, and the same steps in another order of summation. One thread, so that every bit of
the result follows from the arguments. Samples are the last axis: innermost loops run over them and vectorise.
"""

import numpy as np

from pyham.engines.compiled.elementary import logistic, softplus
from pyham.engines.compiled.settings import kernel, reduction

LOGISTIC, SOFTMAX = range(2)


@kernel
def sgd(theta, velocity, gradient, rate, momentum, nesterov):
    """velocity <- momentum velocity + gradient; theta <- theta - rate (velocity, or gradient + momentum velocity)."""
    number = theta.dtype.type
    for i in range(len(theta)):
        velocity[i] = number(momentum) * velocity[i] + gradient[i]
        step = gradient[i] + number(momentum) * velocity[i] if nesterov else velocity[i]
        theta[i] -= number(rate) * step


@kernel
def adam(theta, m, v, gradient, t, rate, betas, eps, decay):
    """Step t of Adam with decoupled weight decay, on flat arrays."""
    number = theta.dtype.type  # a float64 among float32 numbers would turn all of them into float64
    gain1, gain2 = number(1 - betas[0]), number(1 - betas[1])
    size, unbias = number(rate / (1 - betas[0] ** t)), number(1 - betas[1] ** t)
    shrink, small = number(1 - rate * decay), number(eps)
    for i in range(len(theta)):
        m[i] += gain1 * (gradient[i] - m[i])
        v[i] += gain2 * (gradient[i] * gradient[i] - v[i])
        theta[i] = shrink * theta[i] - size * m[i] / (np.sqrt(v[i] / unbias) + small)


@kernel
def head(code, layer, y, labels, gradient, delta):
    """Loss and number of samples classified right; gradient (C, n + 1) <- dLoss/dlayer, delta (n, B) <- dLoss/dy."""
    z = np.empty((len(layer), y.shape[1]), y.dtype)
    logits(layer, y, z)
    loss, right = value(code, z, labels)
    slopes(code, z, labels)
    layer_gradient(z, y, gradient)
    for i in range(len(y)):
        for t in range(y.shape[1]):
            delta[i, t] = 0
        for c in range(len(z)):
            for t in range(y.shape[1]):
                delta[i, t] += layer[c, i] * z[c, t]
    return loss, right


@kernel
def fit(code, layer, y, labels, steps, rate, alpha_c, betas, eps):
    """layer <- what ``steps`` steps of Adam make of 0 on the fixed features y, with alpha_c / 2 ||layer||^2."""
    z = np.empty((len(layer), y.shape[1]), y.dtype)
    gradient = np.empty_like(layer)
    m, v = np.zeros_like(layer), np.zeros_like(layer)
    flat = layer.reshape(-1)
    for i in range(len(flat)):
        flat[i] = 0
    for t in range(1, steps + 1):
        logits(layer, y, z)
        slopes(code, z, labels)
        layer_gradient(z, y, gradient)
        add_multiple(alpha_c, flat, gradient.reshape(-1))
        adam(flat, m.reshape(-1), v.reshape(-1), gradient.reshape(-1), t, rate, betas, eps, 0.0)


@kernel
def fit_epoch(code, layer, m, v, y, labels, order, size, t, rates, alpha_c, betas, eps, loss_sum, right):
    """An epoch of Adam on fixed features, or a part of one, in batches of ``size`` in the order ``order`` (B,)."""
    gradient = np.empty_like(layer)
    flat = layer.reshape(-1)
    for k in range(len(rates)):
        rows = order[k * size : min((k + 1) * size, len(order))]
        z = np.empty((len(layer), len(rows)), y.dtype)
        batch = np.empty((len(y), len(rows)), y.dtype)
        truth = np.empty(len(rows), labels.dtype)
        for i in range(len(y)):
            for s in range(len(rows)):
                batch[i, s] = y[i, rows[s]]
        for s in range(len(rows)):
            truth[s] = labels[rows[s]]
        logits(layer, batch, z)
        loss, count = value(code, z, truth)
        loss_sum, right = loss_sum + loss * len(rows), right + count
        slopes(code, z, truth)
        layer_gradient(z, batch, gradient)
        add_multiple(alpha_c, flat, gradient.reshape(-1))
        adam(flat, m.reshape(-1), v.reshape(-1), gradient.reshape(-1), t + k + 1, rates[k], betas, eps, 0.0)
    return loss_sum, right


@kernel
def logits(layer, y, z):
    """z (C, B) <- w y + mu."""
    n = len(y)
    for c in range(len(z)):
        row = z[c]
        for t in range(len(row)):
            row[t] = layer[c, n]
        for i in range(n):
            w, feature = layer[c, i], y[i]
            for t in range(len(row)):
                row[t] += w * feature[t]


@kernel
def value(code, z, labels):
    """Mean loss of the logits z (C, B), and how many samples they classify right."""
    size, right = z.shape[1], 0
    losses = np.empty(size, z.dtype)
    if code == LOGISTIC:
        row = z[0]
        for t in range(size):
            losses[t] = row[t] if labels[t] == 0 else -row[t]
            right += (row[t] > 0) == (labels[t] == 1)
        for t in range(size):
            losses[t] = softplus(losses[t])
    else:
        for t in range(size):
            best = 0
            for c in range(1, len(z)):
                if z[c, t] > z[best, t]:
                    best = c
            right += best == labels[t]
            exponentials = z.dtype.type(0)
            for c in range(len(z)):
                exponentials += np.exp(z[c, t] - z[best, t])
            losses[t] = np.log(exponentials) - (z[labels[t], t] - z[best, t])
    return float(total(losses)) / max(1, size), right


@kernel
def slopes(code, z, labels):
    """z (C, B) <- dLoss/dz, in place."""
    size = z.shape[1]
    scale = z.dtype.type(1 / max(1, size))
    if code == LOGISTIC:
        row = z[0]
        for t in range(size):
            row[t] = row[t] if labels[t] == 0 else -row[t]
        for t in range(size):
            row[t] = logistic(row[t])
        for t in range(size):
            row[t] = scale * (row[t] if labels[t] == 0 else -row[t])
    else:
        for t in range(size):
            largest = z[0, t]
            for c in range(1, len(z)):
                largest = max(largest, z[c, t])
            wrong = z.dtype.type(0)
            for c in range(len(z)):
                z[c, t] = np.exp(z[c, t] - largest)
                if c != labels[t]:
                    wrong += z[c, t]
            share = scale / (wrong + z[labels[t], t])
            z[labels[t], t] = -wrong
            for c in range(len(z)):
                z[c, t] *= share


@kernel
def layer_gradient(dz, y, gradient):
    """gradient (C, n + 1) <- (dz y^T, sums of dz)."""
    for c in range(len(dz)):
        for i in range(len(y)):
            gradient[c, i] = dot(dz[c], y[i])
        gradient[c, len(y)] = total(dz[c])


@kernel
def add_multiple(factor, x, out):
    """out += factor x, flat arrays."""
    number = out.dtype.type(factor)
    for i in range(len(out)):
        out[i] += number * x[i]


@reduction
def dot(u, v):
    """Sum of u v."""
    result = u.dtype.type(0)
    for t in range(len(u)):
        result += u[t] * v[t]
    return result


@reduction
def total(u):
    """Sum of u."""
    result = u.dtype.type(0)
    for t in range(len(u)):
        result += u[t]
    return result
