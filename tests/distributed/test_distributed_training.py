"""Training on a graph: the objective's gradient, the same steps as in one place, files, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

import pyham
from pyham import distributed
from pyham.data import plane as datasets
from pyham.distributed import distribute
from pyham.distributed.model import DistributedModel
from pyham.distributed.readout import Readout, tree
from pyham.distributed.training import train
from pyham.distributed.weights import restrict
from pyham.files import archive
from pyham.training.classifier import Classifier
from pyham.training.model import PredictorModel
from pyham.training.optimizers import SGD, AdamW, Descent
from pyham.training.protocol import RECOMMENDED, Protocol

EPS = np.finfo(float).eps
SMALL = Protocol(epochs=2, output_epochs=2, batch=20)


def points(samples=100, width=12, classes=2):
    x, labels = datasets.double_circles(samples, width=width, channels=(0, 3 * width // 4), rng=0)
    return x, labels if classes == 2 else np.arange(samples) % classes


def pair(arch, protocol, reads=None, outputs=1, graph="ring", seed=0):
    """A distributed model and one in one place, with the same parameters and output layers."""
    net = distribute(arch.init(seed), graph, nodes=6, restrict=True)
    whole = net.gather()
    layer = np.random.default_rng(seed).uniform(-1, 1, (outputs, arch.width + 1))
    if reads is not None:
        layer[:, :-1] *= np.isin(net.layout.blocks.owner, reads)
    one = DistributedModel(net, Readout(net.layout, reads, None, outputs, protocol.loss), protocol)
    one.take(dict(whole.params), layer)
    other = PredictorModel(Classifier.untrained(whole, outputs, protocol.loss), protocol, "reference")
    other.layer[:] = layer
    return one, other


def mask_of(one, other, phase):
    """1 where the distributed model has a parameter, laid out as that in one place."""
    ones = restrict(one.net.layout, {name: np.ones_like(value) for name, value in other.params.items()})
    parts = [ones[name].ravel() for name in one.net.arch.shapes]
    if phase == "joint":
        parts.append((other.layer != 0).ravel())
    return np.concatenate(parts)


def whole_gradient(one, phase, gradient):
    """Laid out as that in one place."""
    before = one.theta.copy()
    one.trained(phase)[:] = gradient
    _, arrays = one.describe()
    one.theta[:] = before
    names = [*one.net.arch.shapes] + ["layer"] * (phase == "joint")
    return np.concatenate([arrays[name].ravel() for name in names])


@pytest.mark.parametrize("reads", [None, (0, 2, 3), (4,)])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("name", ["H1", "H2", "MS3", "ResNet", "MLP"])
def test_gradient_of_the_objective_is_that_of_one_place(name, loss, reads):
    protocol = Protocol(loss=loss, alpha=0.3, alpha_c=0.2, decay=0.1)
    outputs = 1 if loss == "logistic" else 3
    arch = pyham.architecture(name, width=12, depth=3, step=0.3)
    one, other = pair(arch, protocol, reads, outputs, graph="path")
    x, labels = points(classes=max(2, outputs))
    loss_one, right_one, found = one.gradient("joint", x, labels)
    loss_other, right_other, expected = other.gradient("joint", x, labels)
    expected = expected * mask_of(one, other, "joint")
    found = whole_gradient(one, "joint", found)
    assert right_one == right_other
    assert loss_one == pytest.approx(loss_other, rel=100 * EPS)
    # sums over 100 samples and products of length 12 in another order, through 3 layers
    assert np.abs(found - expected).max() <= 3 * 100 * 12 * EPS * np.abs(expected).max()


@pytest.mark.parametrize("phase", ["weights", "output layer"])
def test_phases_of_the_alternating_scheme_are_those_of_one_place(phase):
    one, other = pair(pyham.H1(12, 3, 0.3), SMALL)
    x, labels = points()
    results = []
    for model in (one, other):
        model.begin(phase)
        descent = Descent(SMALL.optimizer, model.trained(phase), model.steps)
        if phase == "output layer":
            results.append(model.epoch(phase, descent, x, labels, np.arange(100), 20, np.full(5, 0.05)))
        else:
            loss, right, gradient = model.gradient(phase, x, labels)
            descent.step(gradient if model is one else gradient * mask_of(one, other, phase), 0.05)
            results.append((loss, right))
    assert results[0] == pytest.approx(results[1], rel=1e-12)
    (_, found), (_, expected) = one.describe(), other.describe()
    for name in found:
        assert np.abs(found[name] - expected[name]).max() <= 1e-12 * np.abs(expected[name]).max()
    assert one.evaluate(phase, x, labels) == pytest.approx(other.evaluate(phase, x, labels), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "optimizer"), [("H1", RECOMMENDED.optimizer), ("H2", SGD(0.9, nesterov=True)), ("H2", AdamW())]
)
def test_a_hundred_steps_end_where_those_of_one_place_do(name, optimizer):
    protocol = replace(RECOMMENDED, optimizer=optimizer)
    models = one, other = pair(pyham.architecture(name, width=12, depth=4, step=0.5), protocol)
    (x, labels), masks, ends = points(1250), (1, mask_of(one, other, "joint")), []
    for model, mask in zip(models, masks, strict=True):
        descent = Descent(optimizer, model.trained("joint"), model.steps)
        for k in range(100):
            rows = slice(125 * (k % 10), 125 * (k % 10) + 125)
            _, _, gradient = model.gradient("joint", x[rows], labels[rows])
            descent.step(gradient * mask, protocol.rate / 2)  # the mean of its schedule
        ends.append(np.concatenate([value.ravel() for value in model.describe()[1].values()]))
    found, reference = ends
    assert np.abs(found - reference).max() <= 1e-12 * np.abs(reference).max()


def test_training_learns_and_its_classifier_is_the_gathered_one():
    x, labels = points(400, 16)
    net = distribute(pyham.H1(16, 4, 0.5).init(0), "ring", nodes=8, restrict=True)
    heard = []
    classifier = train(
        net, x, labels, reads=(0, 4), protocol=replace(RECOMMENDED, epochs=20, batch=50), rng=0,
        validation=(x[:100], labels[:100]), callback=heard.append,
    )  # fmt: skip
    assert classifier.history.loss[-1] < 0.7 * classifier.history.loss[0]
    assert len(heard) == 20 and heard[-1].accuracy == classifier.history.accuracy[-1]
    unread = ~np.isin(net.layout.blocks.owner, (0, 4))
    assert not classifier.w[unread].any() and classifier.w[~unread].all()
    assert heard[-1].classifier().accuracy(x[:100], labels[:100]) == classifier.history.validation_accuracy[-1]
    assert not classifier.net.K[~net.layout.mask].any()
    assert not (net.traffic.messages[~net.layout.graphs[-1].adjacency]).any()


# Files


class Stop(Exception):
    pass


PROTOCOLS = {
    "alternating": SMALL,
    "joint": Protocol(scheme="joint", epochs=3, batch=20, patience=1, optimizer=SGD(0.9)),
}


def options(name):
    x, labels = points()
    return {"x": x, "labels": labels, "protocol": PROTOCOLS[name], "rng": 3, "validation": (x[:20], labels[:20])}


def fresh(graph="ring", step=0.3):
    return distribute(pyham.H2(12, 3, step).init(0), graph, nodes=6, restrict=True)


def stopped(path, after=1, **given):
    """A training that ends early, and leaves its checkpoint."""

    def callback(epoch):
        if epoch.done == after:
            raise Stop

    with pytest.raises(Stop):
        train(**given, checkpoint=path, callback=callback)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_training_that_was_stopped_goes_on_bit_by_bit(name, tmp_path):
    classifier = train(fresh(), **options(name), checkpoint=tmp_path / "whole")
    for after in range(1, len(classifier.history)):
        path = tmp_path / f"{after}"
        stopped(path, after, net=fresh(), **options(name))
        train(fresh(), **options(name), checkpoint=path, resume=True)
        assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    again = pyham.load(tmp_path / "whole")
    assert np.array_equal(again.w, classifier.w) and again.mu == classifier.mu
    params = again.net.params
    assert again.net.arch == classifier.net.arch
    assert all(np.array_equal(params[name], classifier.net.params[name]) for name in params)
    assert distribute(again.net, "ring", nodes=6).gather().arch == again.net.arch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net": fresh(graph="path")}, "the distribution of this one"),
        ({"net": fresh(step=0.2)}, "net: expected the architecture that the training began with"),
        ({"reads": (0, 1)}, "the distribution of this one"),
        ({"protocol": SMALL}, "protocol: expected the one that the training began with"),
        ({"x": np.ones((100, 12))}, "x: expected the data that the training began with"),
        ({"about": {"seed": 1}}, "training with seed 1, got one with None"),
    ],
)
def test_resume__raises_on_another_training(change, message, tmp_path):
    given = {"net": fresh()} | options("joint")
    stopped(tmp_path / "run", **given)
    with pytest.raises(ValueError, match=message):
        train(**given | change, checkpoint=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("parameters/Kp", np.ones((3, 6, 6)), "K: expected 0 outside the pattern"),
        ("parameters/layer", np.ones((1, 3)), "parameters/layer: expected shape"),
        ("optimizer/velocity", np.zeros(4), "optimizer: expected arrays of"),
    ],
)
def test_resume__raises_on_a_state_that_is_none(name, value, message, tmp_path):
    path = tmp_path / "run"
    stopped(path, net=fresh(), **options("joint"))
    header, arrays = archive.read(path)
    archive.write(path, header, arrays | {name: value})
    with pytest.raises(ValueError, match=f"run: expected the state of this training, got another \\({message}"):
        train(fresh(), **options("joint"), checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reads": (0, 6)}, r"reads: expected nodes from 0 to 5, at least one, got \[0, 6\]"),
        ({"reads": ()}, r"reads: expected nodes from 0 to 5, at least one, got \[\]"),
        ({"reader": 6}, "reader: expected a node from 0 to 5, got 6"),
        ({"protocol": replace(SMALL, levels=2)}, "levels: expected 1 for a distributed network, got 2"),
        ({"resume": True}, "checkpoint: expected a path to resume from, got None"),
        ({"save_every": 0}, "save_every: expected an integer >= 1, got 0"),
    ],
)
def test_train__raises_on_wrong_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        train(fresh(), **options("joint") | given)


def test_train__raises_where_there_is_no_way_and_when_it_diverges():
    net = fresh(np.kron(np.eye(2), np.ones((3, 3))))
    with pytest.raises(ValueError, match="reads: expected nodes with a way to the reader, node 0, got node 3"):
        train(net, **options("joint"))
    train(net, **options("joint"), reads=(0, 1))
    one, other = pair(pyham.H2(12, 3, 0.3), SMALL, reads=(4,))
    with pytest.raises(ValueError, match=r"layer: expected 0 but for nodes \(4,\), which are read, got others"):
        one.take(dict(other.params), np.ones((1, 13)))
    with pytest.raises(FloatingPointError, match="rate: expected one at which training converges"):
        train(fresh(), **options("joint") | {"protocol": Protocol(scheme="joint", epochs=3, rate=1e200)})


def test_train_draws_the_output_layer_of_one_place_and_has_a_protocol_by_default():
    protocol = Protocol(scheme="joint", epochs=1, rate=1e-30)
    classifier = train(fresh(), **options("joint") | {"protocol": protocol})
    drawn = np.random.default_rng(3).uniform(-1, 1, (1, 13)) / np.sqrt(12)
    np.testing.assert_allclose([*np.ravel(classifier.w), *np.ravel(classifier.mu)], drawn[0], rtol=1e-12)
    with pytest.raises(ValueError, match="reads: expected nodes"):
        train(fresh(), *points(), reads=(6,))


def test_readout_tree_is_of_shortest_ways():
    graph = distributed.grid(3, 3)
    layout = distribute(pyham.H1(18, 1).init(0), graph, restrict=True).layout
    readout = Readout(layout, (8, 1, 8), None, 1, "logistic")
    assert readout.reads == (1, 8) and readout.sizes == (0, 3, 0, 0, 0, 0, 0, 0, 2)
    levels = tree(graph, 0, (8, 2), 1)
    assert len(levels) == graph.distance()[0, 8] == 4
    for level in levels:
        for hop in level.back:
            assert graph.distance()[0, hop.receiver] == graph.distance()[0, hop.sender] - 1
