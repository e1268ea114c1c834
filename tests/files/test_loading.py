"""``pyham.load`` gives back whatever was saved, as pickles and copies do; and it trusts no header."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest

import pyham
from pyham import images
from pyham.files import archive
from pyham.training import Classifier, Protocol, train
from tests.training.test_resume import assert_same

CONV = images.ConvH2(8, 8, width=2, depths=(1, 2))
AT_PIXELS = images.image_architecture("H1", rows=4, columns=6, width=4, depth=2)
RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((20, 4)), np.arange(20) % 2


def classifier(kind):
    """Trained on points with either loss, or one of images that was not trained."""
    if kind in ("logistic", "softmax"):
        return train(pyham.H2(4, 2).init(0), X, LABELS, protocol=Protocol(epochs=1, loss=kind), rng=0)
    found = images.untrained(CONV if kind == "ConvH2" else AT_PIXELS, 0, classes=3)
    found.head.layer[:] = RNG.standard_normal(found.head.layer.shape)
    return found


def samples(found):
    """Something that the classifier, or network, takes."""
    if isinstance(found, Classifier) and found.lift is not None:
        return RNG.integers(0, 256, (5, *found.net.arch.shape[1:])).astype(np.uint8)
    net = found.net if isinstance(found, Classifier) else found
    return RNG.standard_normal((5, *net.arch.shape)).astype(net.dtype)


KINDS = ("logistic", "softmax", "ConvH2", "at every pixel")
WAYS = {
    "file": lambda found, path: (found.save(path), pyham.load(path))[1],
    "pickle": lambda found, path: pickle.loads(pickle.dumps(found)),
    "copy": lambda found, path: copy.deepcopy(found),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_classifiers_come_back(kind, way, tmp_path):
    found = classifier(kind)
    again = WAYS[way](found, tmp_path / "file")
    assert_same(again, found)
    x = samples(found)
    np.testing.assert_array_equal(again.logits(x), found.logits(x))
    np.testing.assert_array_equal(again.predict(x), found.predict(x))
    assert again.head.loss == found.head.loss and repr(again) == repr(found)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "arch", [pyham.H1(4, 3, interconnection="J2"), pyham.H2(4, 2, X=2 * np.eye(2)), CONV, AT_PIXELS]
)
def test_networks_come_back_with_all_that_they_can_do(arch, way, tmp_path):
    net = arch.init(0)
    again = WAYS[way](net, tmp_path / "file")
    assert again.arch == arch and hash(again.arch) == hash(arch) and repr(again) == repr(net)
    x = samples(net)
    trace, other = net.trace(x), again.trace(x)
    np.testing.assert_array_equal(trace.output, other.output)
    g = np.ones_like(trace.output)
    for name, value in net.adjoint(trace, g).params.items():
        np.testing.assert_array_equal(again.adjoint(other, g).params[name], value)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])
@pytest.mark.parametrize("arch", [pyham.H2(4, 2), CONV])
def test_traces_adjoints_certificates_and_histories_are_copied(arch, copied):
    net = arch.init(0)
    trace = net.trace(samples(net))
    again = copied(trace)
    for one, other in zip(again.states, trace.states, strict=True):
        np.testing.assert_array_equal(one, other)
    adjoint = net.adjoint(trace, np.ones_like(trace.output))
    found = copied(adjoint)
    for one, other in zip(found.delta, adjoint.delta, strict=True):
        np.testing.assert_array_equal(one, other)
    gradients = net.adjoint(again, np.ones_like(trace.output)).params
    for name, value in adjoint.params.items():
        np.testing.assert_array_equal(found.params[name], value)
        np.testing.assert_allclose(gradients[name], value, rtol=1e-12, atol=1e-12 * np.abs(value).max())
    assert copied(arch) == arch
    history = classifier("logistic").history
    assert copied(history).to_dict() == history.to_dict()
    if arch is not CONV:
        certificate = pyham.certify(net, samples(net))
        assert copied(certificate).to_dict() == certificate.to_dict()


# What is refused


def no_network(path, change):
    """Whatever ``change`` makes of header and arrays is refused, without memory for what only the header has."""
    header, arrays = archive.read(path)
    change(header, arrays)
    archive.write(path, header, arrays)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"^{path}: expected a network, got a header that describes none \("):
            pyham.load(path)
        assert tracemalloc.get_traced_memory()[1] < 12 * path.stat().st_size + 200_000
    finally:
        tracemalloc.stop()


WIDE = {"name": "H1", "width": 10**6}  # H1 would build J (n, n), 8 TB
OF_POINTS = [
    *({"name": name} for name in ("H3", None, ["H2"])),
    *({"width": width} for width in (10**6, 10**9, 3)),
    *({"depth": depth} for depth in (3, 10**12, 10**400)),
    *({"layers": 2}, {"X": {"a": 1}}, WIDE | {"depth": 0}, WIDE | {"depth": 1}),
    {"name": "MS2", "width": 10**9, "depth": 10**9},
]
OF_IMAGES = [
    *({"name": "ConvH3"}, {"name": None}, {"width": 10**15}, {"rows": 10**9}, {"rows": -8}),
    *({"depths": depths} for depths in ([10**9], [1] * 1000, {"a": 1})),
    *({"size": 10**9 + 1}, {"size": 2.5}, {"step": "1"}, {"activation": ["tanh"]}, {"network": {}}, {"classes": 10}),
    {"name": "Pixelwise", "network": WIDE | {"depth": 1}},
]


@pytest.mark.parametrize("change", [*OF_POINTS, None, [], {}])
def test_load__raises_on_headers_that_describe_no_network(change, tmp_path):
    pyham.H2(2, 2).init(0).save(tmp_path / "file")
    no_network(tmp_path / "file", lambda header, arrays: put_architecture(header, change))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("change", [*OF_IMAGES, None, [], {}])
def test_load__raises_on_headers_that_describe_no_images(change, whole, tmp_path):
    found = classifier("ConvH2")
    (found if whole else found.net).save(tmp_path / "file")
    no_network(tmp_path / "file", lambda header, arrays: put_architecture(header, change))


def put_architecture(header, change):
    header["architecture"] = header["architecture"] | change if change else change


@pytest.mark.parametrize("depth", [0, 1])
def test_load__allocates_nothing_for_a_width_that_an_array_has_too(depth, tmp_path):
    def put(header, arrays):
        header["architecture"] = {"name": "H1", "width": 10**6, "depth": depth}
        arrays["b"] = np.zeros((depth, 10**6))

    pyham.H1(2, 1).init(0).save(tmp_path / "file")
    no_network(tmp_path / "file", put)
    pyham.ResNet(1025, 0).init(0).save(tmp_path / "file")
    with pytest.raises(ValueError, match="depth, width: expected those of b"):
        pyham.load(tmp_path / "file")
    pyham.ResNet(1024, 0).init(0).save(tmp_path / "file")
    assert pyham.load(tmp_path / "file").arch.width == 1024


@pytest.mark.parametrize("change", [{"b": np.zeros((2, 3))}, {"b": np.zeros((2, 2), np.float32)}, {"c": np.zeros(1)}])
def test_load__raises_on_arrays_of_another_network(change, tmp_path):
    pyham.H2(2, 2).init(0).save(tmp_path / "file")
    no_network(tmp_path / "file", lambda header, arrays: arrays.update(change))


@pytest.mark.parametrize("kind", ["pickle", None, 3, []])
def test_load__raises_on_other_kinds_of_content(kind, tmp_path):
    net = pyham.H2(2, 2).init(0)
    archive.write(tmp_path / "file", {"architecture": net.arch.config(), "kind": kind}, net.params)
    with pytest.raises(ValueError, match="file: expected a network or a training, got a file of another kind"):
        pyham.load(tmp_path / "file")


@pytest.mark.parametrize("name", ["lift", "lift_bias", "layer", "Kp0", "b1"])
@pytest.mark.parametrize("fault", ["none", "short", "long", "NaN", "dtype", "flat"])
def test_load__raises_on_arrays_of_another_classifier(name, fault, tmp_path):
    def put(header, arrays):
        value = arrays.pop(f"parameters/{name}")
        wrong = {
            "none": None,
            "short": value[:-1],
            "long": np.concatenate((value, value)),
            "NaN": np.full_like(value, np.nan),
            "dtype": value.astype(np.float64),
            "flat": value.ravel()[None],
        }[fault]
        if name == "layer" and fault in ("short", "long"):
            wrong = wrong[:, 1:]  # there may be any number of classes
        if wrong is not None:
            arrays[f"parameters/{name}"] = wrong

    classifier("ConvH2").save(tmp_path / "file")
    no_network(tmp_path / "file", put)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *(
            (kind, lambda header, arrays, new=new: header.update(new))
            for kind, new in (
                ("softmax", {"loss": "hinge"}),
                ("softmax", {"loss": "logistic"}),
                ("softmax", {"gain": -1}),
                ("softmax", {"gain": "1"}),
                ("softmax", {"phases": []}),
                ("ConvH2", {"gain": 0}),
                ("ConvH2", {"kind": "training"}),
            )
        ),
        ("softmax", lambda header, arrays: header.pop("loss")),
        ("softmax", lambda header, arrays: arrays.pop("history/loss")),
        ("softmax", lambda header, arrays: arrays.update({"parameters/lift": np.zeros((4, 1, 3, 3))})),
        ("ConvH2", lambda header, arrays: [arrays.pop(f"parameters/{name}") for name in ("lift", "lift_bias")]),
    ],
)
def test_load__raises_on_parts_that_do_not_fit_together(kind, change, tmp_path):
    classifier(kind).save(tmp_path / "file")
    no_network(tmp_path / "file", change)
