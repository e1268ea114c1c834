"""What a trained model does with a row, in front of its network and behind it, is explained as the network is."""

import numpy as np
import pytest

import pyham
from pyham.architectures.lift import DenseLift, Scaling
from pyham.commands import cli
from pyham.teaching.explain_model import explain_model
from pyham.training.classifier import Classifier
from pyham.training.losses import LOSSES
from pyham.training.regressor import Regressor

KINDS = {"logistic": Classifier, "softmax": Classifier, "squared": Regressor, "huber": Regressor, "poisson": Regressor}


def model(loss, rng, lifted=True, dtype=np.float64):
    """An untrained one with random numbers everywhere."""
    net = pyham.H2(4, 3, 0.3).init(rng, dtype=dtype)
    features = 5 if lifted else 3
    lift = DenseLift(*(rng.standard_normal(s).astype(dtype) for s in ((4, features), 4))) if lifted else None
    inputs = Scaling(rng.standard_normal(features), rng.uniform(0.5, 2, features))
    outputs = {"logistic": 2, "softmax": 3}.get(loss, 2)
    units = {"units": Scaling(np.ones(2), np.full(2, 3.0))} if loss in ("squared", "huber") else {}
    found = KINDS[loss].untrained(net, outputs, loss, gain=0.5, lift=lift, inputs=inputs, **units)
    found.head.layer[:] = 0.3 * rng.standard_normal(found.head.layer.shape)
    return found, rng.standard_normal(features)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("lifted", [True, False])
@pytest.mark.parametrize("loss", KINDS)
def test_every_number_agrees_and_a_wrong_one_would_not(loss, lifted, dtype, rng):
    found, row = model(loss, rng, lifted, dtype)
    target = 1 if KINDS[loss] is Classifier else rng.uniform(0, 4, 2)
    e = explain_model(found, row, target)
    assert e.passed, [(q.key, q.agreements) for q in e.quantities if not q.passed]
    np.testing.assert_allclose(e["z"].value, np.atleast_1d(found.logits(row[None])[0]), rtol=1e-5)
    z = e["z"].value[None].astype(float)
    truth = e["target"].value[None]
    value, _ = LOSSES[loss](z[:, 0] if loss == "logistic" else z, truth)
    assert float(e["loss"].value) == pytest.approx(value, rel=1e-5)
    keys = [
        "x",
        "scaled",
        *(("lift", "lift_bias") if lifted else ()),
        "y0",
        "w",
        "mu",
        "z",
        "dz",
        "dw",
        "dmu",
        "delta3",
    ]
    keys += ["dlift", "dlift_bias"] if lifted else []
    assert all(key in e for key in keys) and ("dlift" in e) == lifted
    for key in keys:
        for agreement in e[key].agreements:  # a change of a thousandth would be noticed
            assert agreement.tolerance < 1e-3 and agreement.deviation <= agreement.tolerance
    text = e.text(100)
    assert "in front of the network" in text and "output layer and loss" in text
    assert len(e.to_html()) > 1000 and len(e.to_dict()["quantities"]) == len(e.quantities)
    assert not e.plant_a_fault(0).passed


def test_complex_step_knows_nothing_of_the_formulas(rng):
    """A loss whose gradient is wrong by a factor is noticed where it is made, and in what follows from it."""
    found, row = model("squared", rng)
    right = LOSSES["squared"]
    try:
        LOSSES["squared"] = lambda z, t: (right(z, t)[0], 1.01 * right(z, t)[1])
        e = explain_model(found, row, [1.0, 2.0])
    finally:
        LOSSES["squared"] = right
    assert {q.key for q in e.quantities if not q.passed} >= {"dz", "dw", "dmu", "delta3", "dlift", "dlift_bias"}


def test_without_a_target_the_prediction_is_one_and_bad_input_is_named(rng):
    found, row = model("softmax", rng)
    assert int(explain_model(found, row)["target"].value) == int(found.predict(row[None])[0])
    for arguments, message in (
        ((found, row[:2]), r"x: expected shape \(1, 5\), got"),
        ((found, row, 3), "target: expected a class from 0 to 2, got 3"),
        ((found.net, row), "model: expected a Classifier or a Regressor, got Network"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            explain_model(*arguments)


def test_estimators_explain_their_rows():
    pytest.importorskip("sklearn")
    X, y = np.random.default_rng(0).standard_normal((40, 3)), np.repeat(["no", "yes"], 20)
    clf = pyham.HamiltonianClassifier(depth=2, epochs=2, random_state=0).fit(X, y)
    e = clf.explain(X[:1], ["yes"])
    assert e.passed and int(e["target"].value) == 1 and "dlift" in e
    reg = pyham.HamiltonianRegressor(depth=2, epochs=2, random_state=0).fit(X, X[:, 0])
    assert reg.explain(X[:1], X[:1, 0], layers=1).passed
    with pytest.raises(ValueError, match="X: expected one row, got 2"):
        clf.explain(X[:2])


def test_command_explains_a_row_of_a_table(tmp_path, capsys):
    rows = "\n".join(f"{a},{b},{'up' if a > b else 'down'}" for a, b in np.random.default_rng(0).random((30, 2)))
    (tmp_path / "data.csv").write_text(f"a,b,way\n{rows}\n")
    words = [str(tmp_path / "data.csv"), "--target", "way", "--epochs", "1", "--depth", "2"]
    assert cli.main(["train", *words, "--save", str(tmp_path / "m")]) == 0
    capsys.readouterr()
    assert cli.main(["explain", str(tmp_path / "m"), "--samples", str(tmp_path / "data.csv"), "--row", "3"]) == 0
    assert "output layer and loss" in capsys.readouterr().out
    for options, message in (
        (["--samples", str(tmp_path / "data.csv"), "--row", "30"], "--row: expected a row from 0 to 29, got 30"),
        (["--row", "1"], "--row: expected --samples TABLE as well, got 1 alone"),
        (["--samples", str(tmp_path / "data.csv"), "--x", "1,2"], "--x: expected none beside --samples, got 1,2"),
    ):
        assert cli.main(["explain", str(tmp_path / "m"), *options]) == 2
        assert message in capsys.readouterr().err
