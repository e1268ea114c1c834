"""The estimators in scikit-learn's own checks, and in what its users do with them."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import pyham
from pyham.interop.sklearn import HamiltonianClassifier, HamiltonianRegressor, HamiltonianTransformer

#: Which scikit-learn declares for its own learners on batches (SGDClassifier and others), in its words.
REASON = "sample_weight is not equivalent to removing/repeating samples."
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": REASON for kind in ("dense", "sparse")}


def checks():
    for estimator in (HamiltonianClassifier(), HamiltonianRegressor(), HamiltonianTransformer()):
        yield from estimator_checks_generator(estimator, expected_failed_checks=EXPECTED, mark="skip")


@pytest.mark.slow  # half a minute, in .ci/run
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learn_s_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))  # they are sorted by writer
    X, y = X[order], y[order]
    return X[:600], y[:600], X[600:900], y[600:900]


def test_labels_of_any_kind_in_a_pipeline_and_through_pickle_and_files(digits, tmp_path):
    X, y, X_new, y_new = digits
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    clf = HamiltonianClassifier(epochs=15, random_state=0)
    whole = make_pipeline(StandardScaler(), clf).fit(X, names[y])
    assert whole.score(X_new, names[y_new]) > 0.9 > 0.5 > whole.score(X_new, names[(y_new + 1) % 10])
    clf = clone(clf).fit(X, names[y])
    assert clf.n_iter_ == len(clf.loss_curve_) == 15 and clf.loss_curve_[0] > 4 * clf.loss_curve_[-1]
    np.testing.assert_allclose(clf.predict_proba(X_new).sum(axis=1), 1, rtol=1e-12)
    assert (clf.classes_[clf.decision_function(X_new).argmax(axis=1)] == clf.predict(X_new)).all()
    clf.save(tmp_path / "digits.pyham")
    joblib.dump(clf, tmp_path / "digits.joblib")
    for other in (
        pickle.loads(pickle.dumps(clf)),
        copy.deepcopy(clf),
        joblib.load(tmp_path / "digits.joblib"),
        HamiltonianClassifier.load(tmp_path / "digits.pyham"),
    ):
        np.testing.assert_array_equal(other.predict_proba(X_new), clf.predict_proba(X_new))
        assert other.predict(X_new).dtype.kind == "U" and other.get_params()["epochs"] == 15
    assert pyham.load(tmp_path / "digits.pyham").accuracy(X_new, np.searchsorted(clf.classes_, names[y_new])) > 0.9
    with pytest.raises(ValueError, match="expected a HamiltonianRegressor, got HamiltonianClassifier"):
        HamiltonianRegressor.load(tmp_path / "digits.pyham")


def test_the_network_in_it_is_certified(digits):
    X, y, X_new, _ = digits
    clf = HamiltonianClassifier(width=8, epochs=3, random_state=0).fit(X, y)
    certificate = clf.certify(X_new[:5])
    assert certificate.passed and {"symplectic", "gradients"} <= {c.name for c in certificate.checks if c.guaranteed}
    other = clone(clf).set_params(architecture="ResNet").fit(X, y).certify(X_new[:5])
    assert "symplectic" not in {check.name for check in other.checks if check.guaranteed}


@pytest.mark.slow
def test_a_grid_over_depth_and_architecture_on_two_processes(digits):
    X, y, *_ = digits
    grid = {"architecture": ["H1", "H2"], "depth": [2, 4]}
    search = GridSearchCV(HamiltonianClassifier(epochs=20, random_state=0), grid, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.9 and not np.isnan(search.cv_results_["mean_test_score"]).any()
    assert set(search.best_params_) == {"architecture", "depth"}


def test_partial_fit_is_what_an_epoch_of_fit_is_and_goes_on(digits):
    X, y, X_new, y_new = digits
    one = HamiltonianClassifier(epochs=1, random_state=0, batch_size=50)
    for start in range(0, 600, 200):
        one.partial_fit(X[start : start + 200], y[start : start + 200], classes=np.arange(10))
    first = one.score(X_new, y_new)
    copies = pickle.loads(pickle.dumps(one)), one
    for clf in copies:
        for _ in range(5):
            clf.partial_fit(X, y)
    assert one.n_iter_ == 8 and len(one.loss_curve_) == 8 and one.score(X_new, y_new) > max(0.9, first)
    np.testing.assert_array_equal(*(clf.predict_proba(X_new) for clf in copies))
    with pytest.raises(ValueError, match="y: expected labels among the classes"):
        one.partial_fit(X[:3], [0, 1, 11])
    with pytest.raises(ValueError, match="classes: expected those of the first call"):
        one.partial_fit(X, y, classes=np.arange(9))
    with pytest.raises(ValueError, match="expecting 64 features"):
        one.partial_fit(X[:, 1:], y)


def test_warm_start_goes_on_and_early_stopping_keeps_the_best(digits):
    X, y, *_ = digits
    clf = HamiltonianClassifier(epochs=2, warm_start=True, random_state=0, early_stopping=True).fit(X, y)
    before = clf.validation_loss_curve_[-1]
    assert clf.fit(X, y).validation_loss_curve_[-1] < before
    clf.set_params(warm_start=False, epochs=300, n_iter_no_change=3, learning_rate=0.02).fit(X, y)
    curve = clf.validation_loss_curve_
    assert len(curve) == clf.n_iter_ < 300 and np.argmin(curve) == len(curve) - 4


def test_weights_of_classes_and_samples_move_the_decision():
    X, y = load_iris(return_X_y=True)
    X, y = X[50:, :2], y[50:]  # two classes that overlap
    plain, heavy = (
        HamiltonianClassifier(epochs=40, class_weight=w, random_state=0).fit(X, y) for w in (None, {2: 20.0})
    )
    assert (heavy.predict(X) == 2).sum() > (plain.predict(X) == 2).sum() + 10
    weighed = HamiltonianClassifier(epochs=40, random_state=0).fit(X, y, np.where(y == 2, 20.0, 1.0))
    np.testing.assert_allclose(weighed.predict_proba(X), heavy.predict_proba(X), rtol=1e-10)


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson"])
def test_values_are_found_in_their_own_units(loss):
    X, y = make_regression(300, 6, n_targets=2, noise=1.0, random_state=0)
    y = 1e4 + 50 * y if loss != "poisson" else np.exp(y / 200)
    reg = HamiltonianRegressor(loss=loss, random_state=0)
    assert cross_val_score(reg, X, y, cv=3).mean() > 0.9
    assert reg.fit(X, y[:, 0]).predict(X).shape == (300,) and reg.fit(X, y).predict(X).shape == (300, 2)
    if loss == "huber":
        y[::20] += 1e6  # which squares would follow
        near = np.abs(reg.fit(X, y).predict(X) - y)[1::20].mean()
        assert 3 * near < np.abs(clone(reg).set_params(loss="squared").fit(X, y).predict(X) - y)[1::20].mean()


def test_features_of_the_last_state_with_names():
    pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True, as_frame=True)
    t = HamiltonianTransformer(width=6, epochs=20, random_state=0).set_output(transform="pandas")
    found = t.fit_transform(X, y)
    assert list(found) == [f"hamiltoniantransformer{i}" for i in range(6)] and list(t.feature_names_in_) == list(X)
    alone = HamiltonianTransformer(width=6, random_state=0).fit(X)
    y_0 = alone.model_.lifted(X.to_numpy())
    np.testing.assert_array_equal(alone.transform(X), alone.network_(y_0))
    with pytest.raises(ValueError, match="feature names"):
        t.transform(X[list(X)[::-1]])


def test_epochs_are_printed(capsys):
    X, y = load_iris(return_X_y=True)
    HamiltonianClassifier(epochs=2, verbose=True).fit(X, y)
    assert capsys.readouterr().out.count("epoch") == 2
