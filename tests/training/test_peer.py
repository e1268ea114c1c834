"""Whole trainings against PyTorch: the same mathematics by automatic differentiation and PyTorch's own optimisers."""

import numpy as np
import pytest

import pyham
from pyham.data import plane as datasets
from pyham.training import Protocol, train
from pyham.training.optimizers import SGD, AdamW
from pyham.training.schedules import Cosine, Step

torch = pytest.importorskip("torch")
DEPTH, H = 5, 0.2


def parameters(net):
    return [torch.tensor(value, requires_grad=True) for value in (net.params["K"], net.params["b"])]


def forward(y, K, b, J):
    for j in range(DEPTH):
        y = y + H * torch.tanh(y @ K[j].T + b[j]) @ K[j] @ J.T
    return y


def penalty(K, b, protocol):
    smooth = H / 2 * ((K[1:] - K[:-1]).square().sum() + (b[1:] - b[:-1]).square().sum())
    return protocol.alpha * smooth + protocol.decay / 2 * (K.square().sum() + b.square().sum())


def loss_of(z, labels):
    if z.shape[1] == 1:
        return torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], labels.double())
    return torch.nn.functional.cross_entropy(z, labels)


def batches(rng, count, size):
    order = rng.permutation(count)
    return [order[start : start + size] for start in range(0, count, size)]


def alternating(net, x, labels, protocol, outputs):
    """The papers' scheme as the docstring of ``pyham.training`` states it."""
    rng = np.random.default_rng(3)
    K, b = parameters(net)
    J, X, L = torch.tensor(np.array(net.interconnection)), torch.tensor(x), torch.tensor(labels)
    weights = torch.optim.Adam([K, b], lr=protocol.rate)

    def fresh():
        return torch.zeros(outputs, 5, dtype=torch.float64, requires_grad=True)

    def step(layer, optimizer, y, l):
        optimizer.zero_grad()
        value = loss_of(y @ layer[:, :-1].T + layer[:, -1], l) + protocol.alpha_c / 2 * layer.square().sum()
        value.backward()
        optimizer.step()

    for _ in range(protocol.epochs):
        for rows in batches(rng, len(x), protocol.batch):
            layer = fresh()
            inner = torch.optim.Adam([layer], lr=protocol.layer_rate)
            for _ in range(protocol.inner_steps):
                step(layer, inner, forward(X[rows], K, b, J).detach(), L[rows])
            weights.zero_grad()
            fixed = layer.detach()
            z = forward(X[rows], K, b, J) @ fixed[:, :-1].T + fixed[:, -1]
            (loss_of(z, L[rows]) + penalty(K, b, protocol)).backward()
            weights.step()
    layer = fresh()
    adam = torch.optim.Adam([layer], lr=protocol.layer_rate)
    features = forward(X, K, b, J).detach()
    for _ in range(protocol.output_epochs):
        for rows in batches(rng, len(x), protocol.batch):
            step(layer, adam, features[rows], L[rows])
    return K, b, layer


def joint(net, x, labels, protocol, outputs):
    rng = np.random.default_rng(3)
    layer = torch.tensor(rng.uniform(-1, 1, (outputs, 5)) / 2, requires_grad=True)
    K, b = parameters(net)
    J, X, L = torch.tensor(np.array(net.interconnection)), torch.tensor(x), torch.tensor(labels)
    method = protocol.optimizer
    if isinstance(method, SGD):
        optimizer = torch.optim.SGD([K, b, layer], lr=1, momentum=method.momentum, nesterov=method.nesterov)
    else:
        decay = method.decay
        optimizer = torch.optim.AdamW([K, b, layer], lr=1, betas=method.betas, eps=method.eps, weight_decay=decay)
    for epoch in range(protocol.epochs):
        todo = batches(rng, len(x), protocol.batch)
        for k, rows in enumerate(todo):
            time = epoch + k / len(todo)
            optimizer.param_groups[0]["lr"] = protocol.rate * protocol.schedule(time, protocol.epochs)
            optimizer.zero_grad()
            z = forward(X[rows], K, b, J) @ layer[:, :-1].T + layer[:, -1]
            value = loss_of(z, L[rows]) + penalty(K, b, protocol) + protocol.alpha_c / 2 * layer.square().sum()
            value.backward()
            optimizer.step()
    return K, b, layer


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(epochs=3, output_epochs=3, batch=30, alpha=0.1, alpha_c=0.05, decay=0.02),
        Protocol(epochs=3, output_epochs=3, batch=30, loss="softmax", inner_rate=0.02),
        Protocol(epochs=5, batch=30, scheme="joint", optimizer=AdamW(decay=0.1), schedule=Cosine(0.1), alpha=0.1),
        Protocol(epochs=5, batch=30, scheme="joint", optimizer=SGD(0.9, True), schedule=Step(0.5, 2), loss="softmax"),
    ],
)
def test_trainings_are_those_of_pytorch(protocol):
    x, labels = datasets.swiss_roll(200, rng=0)
    net = pyham.H1(4, DEPTH, H).init(0)
    outputs = 1 if protocol.loss == "logistic" else 2
    K, b, layer = (alternating if protocol.scheme == "alternating" else joint)(net, x, labels, protocol, outputs)
    found = train(net, x, labels, protocol=protocol, rng=3)
    w = found.w[None] if outputs == 1 else found.w.T
    # some thirty steps of Adam, which divides rounding errors by gradients: far above eps, far below a step of 0.05
    for ours, theirs in ((found.net.params["K"], K), (found.net.b, b), (w, layer[:, :-1]), (found.mu, layer[:, -1])):
        assert np.abs(ours - theirs.detach().numpy()).max() <= 1e-9
