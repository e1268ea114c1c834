"""Estimators for scikit-learn: ``HamiltonianClassifier``, ``HamiltonianRegressor`` and ``HamiltonianTransformer``.

    clf = pyham.HamiltonianClassifier(depth=8).fit(X, y)
    clf.predict_proba(X_new)
    clf.certify(X_new)          # what holds for the network in it, on these rows
    clf.network_                # the pyham.Network itself

They take any number of features, scale them and take them through a learnt matrix to the network's channels;
``pyham.training.tables`` has the network and the protocol that are their defaults. Needs scikit-learn:
pip install "pyham[sklearn]".
"""

from typing import Any, Self

import numpy as np

from pyham.training.losses import CLASSES, VALUES
from pyham.training.tables import RECOMMENDED, REGRESSION

try:
    from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, column_or_1d

    from pyham.interop.sklearn_base import Base
except ImportError as error:
    raise ImportError(
        f'pyham.interop.sklearn: expected scikit-learn, python -m pip install "pyham[sklearn]", got {error}'
    ) from None

Array = np.ndarray[Any, Any]

PARAMETERS = """Parameters
    ----------
    architecture : a name of ``pyham.ARCHITECTURES``
    width, depth, final_time : n, None for ``pyham.training.tables``'s choice, N, and T = N h
    activation, options : the activation, and further options of the architecture (a dict) or None
    lift : "learnt", a matrix from the features to the channels, or "zeros", channels behind the features
    scale : whether features, and values of a regression, are scaled to mean 0 and variance 1 first; features that have
        nearly always the same value to less (``pyham.architectures.lift.Scaling``)
    loss : {losses}
    epochs, batch_size, learning_rate, noise, weight_decay : passes over the rows; rows a step; the first step's rate,
        which falls to 0 as a cosine; standard deviation of what is added to the scaled features in every epoch, at
        random; and by what every step shrinks the parameters, times the rate (AdamW). None for those of {protocol}
    alpha : factor of the papers' smoothness penalty
    early_stopping, validation_fraction, n_iter_no_change : whether to hold out a share of the rows, stop when their
        loss has not fallen for so many epochs, and keep the parameters of the lowest one
    warm_start : whether ``fit`` goes on from the present parameters
    random_state : an int, a RandomState or None, of initial parameters, batches and held-out rows
    verbose : whether every epoch prints a line

    Attributes
    ----------
    model_ : the whole ``pyham.training`` model;  network_ : the ``pyham.Network`` in it
    n_iter_, loss_curve_, validation_loss_curve_ : epochs done, and the mean loss in each (None without held-out rows)
    n_features_in_, feature_names_in_ : of the rows
"""


class HamiltonianClassifier(ClassifierMixin, Base):  # type: ignore[misc]
    __doc__ = f"""A Hamiltonian network that tells classes apart, any labels, two or many.

    {PARAMETERS.format(protocol="RECOMMENDED", losses='"logistic" for two classes, "softmax" for any; "auto" chooses')}
    classes_ : the labels, sorted

    ``class_weight`` is None, "balanced" or a dict, as in scikit-learn.
    """

    _protocol = RECOMMENDED
    _names = CLASSES

    def __init__(
        self, architecture: str = "H2", width: int | None = None, depth: int = 4, final_time: float = 4.0, *,
        activation: str = "tanh", options: dict[str, Any] | None = None, lift: str = "learnt", scale: bool = True,
        loss: str = "auto", epochs: int | None = None, batch_size: int | None = None,
        learning_rate: float | None = None, noise: float | None = None, weight_decay: float | None = None,
        alpha: float = 0.0, class_weight: Any = None, early_stopping: bool = False, validation_fraction: float = 0.1,
        n_iter_no_change: int = 10, warm_start: bool = False, random_state: Any = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            architecture, width, depth, final_time, activation=activation, options=options, lift=lift, scale=scale,
            loss=loss, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, noise=noise,
            weight_decay=weight_decay, alpha=alpha, early_stopping=early_stopping,
            validation_fraction=validation_fraction, n_iter_no_change=n_iter_no_change, warm_start=warm_start,
            random_state=random_state, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def _more(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist()}

    def _restore(self, table: dict[str, Any]) -> None:
        self.classes_ = np.array(table["classes"])

    def _targets(self, y: Any, first: bool) -> Array:
        """Numbers of the classes."""
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        if first:
            self.classes_ = np.unique(labels)
        self._check_classes()
        codes = np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1)
        if not (wrong := self.classes_[codes] != labels).any():
            return codes
        raise ValueError(f"y: expected labels among the classes {self.classes_}, got {labels[wrong][0]!r}")

    def _check_classes(self) -> None:
        if len(self.classes_) < 2:
            raise ValueError(f"y: expected at least two classes, got one class, {self.classes_[0]!r}")

    def _weights(self, y: Any, weights: Array | None) -> Array | None:
        if self.class_weight is None:
            return weights
        of_class = compute_sample_weight(self.class_weight, y)
        return of_class if weights is None else weights * of_class

    def _outputs(self, targets: Array) -> tuple[str, int]:
        C = len(self.classes_)
        return ("logistic" if C == 2 else "softmax") if self.loss == "auto" else self.loss, C

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch on these rows, from the present parameters, at the rate ``learning_rate``.

        The first call needs all ``classes``, or takes those of y; features are scaled as its rows say.
        """
        first = not hasattr(self, "model_")
        if first and classes is not None:
            self.classes_ = np.unique(classes)
        elif not first and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes: expected those of the first call, {self.classes_}, got {classes}")
        return self._one_epoch(X, y, sample_weight, first and classes is None)

    def decision_function(self, X: Any) -> Array:
        """Logits (B, C), or (B,) of the second of two classes."""
        rows = self._rows(X)
        z = self.model_.logits(rows)
        return z[:, 1] - z[:, 0] if z.ndim == 2 and z.shape[1] == 2 else z

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (B, C), columns in the order of ``classes_``."""
        rows = self._rows(X)
        return self.model_.probabilities(rows)

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the probabilities (B, C)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """Labels (B,)."""
        rows = self._rows(X)
        return self.classes_[self.model_.predict(rows)]


class HamiltonianRegressor(RegressorMixin, Base):  # type: ignore[misc]
    __doc__ = f"""A Hamiltonian network that predicts numbers, one or several for every row.

    {PARAMETERS.format(protocol="REGRESSION", losses='"squared" ("auto"); "huber", against outliers; "poisson"')}
    """

    _protocol = REGRESSION
    _names = VALUES
    _numeric = True

    def _more(self) -> dict[str, Any]:
        return {"flat": self._flat}

    def _restore(self, table: dict[str, Any]) -> None:
        self._flat = bool(table["flat"])

    def _targets(self, y: Any, first: bool) -> Array:
        values = np.asarray(y)
        if first:
            self._flat = values.ndim == 1
        return values.reshape(len(values), -1)

    def _outputs(self, targets: Array) -> tuple[str, int]:
        return "squared" if self.loss == "auto" else self.loss, targets.shape[1]

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch on these rows, from the present parameters, at the rate ``learning_rate``.

        Features and values are scaled as the rows of the first call say.
        """
        return self._one_epoch(X, y, sample_weight, not hasattr(self, "model_"))

    def predict(self, X: Any) -> Array:
        """Values (B,), or (B, C) of several targets."""
        rows = self._rows(X)
        found = self.model_.predict(rows)
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags


class HamiltonianTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Base):  # type: ignore[misc]
    __doc__ = f"""The states y_N of a Hamiltonian network as new features (B, n).

    With y the network is trained first, on classes or values as y has them; without y it keeps its initial weights, and
    the map from y_0 to y_N can be undone, as every such network's can.

    {PARAMETERS.format(protocol="RECOMMENDED", losses='"auto", as y has classes or values; or the name of one')}
    """

    _protocol = RECOMMENDED
    _names = CLASSES | VALUES

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train on rows X (B, F) and y, or without y scale the features and draw the weights."""
        return super().fit(X, y, sample_weight)

    def _targets(self, y: Any, first: bool) -> Array:
        if y is None:
            return np.empty((0, 1))
        if self.loss in VALUES or (self.loss == "auto" and type_of_target(y).startswith("continuous")):
            return np.asarray(y).reshape(len(y), -1)
        codes: Array = np.unique(column_or_1d(y), return_inverse=True)[1]
        return codes

    def _outputs(self, targets: Array) -> tuple[str, int]:
        if targets.ndim == 2:
            return "squared" if self.loss == "auto" else self.loss, targets.shape[1]
        C = max(2, int(targets.max(initial=0)) + 1)
        return ("logistic" if C == 2 else "softmax") if self.loss == "auto" else self.loss, C

    @property
    def _n_features_out(self) -> int:
        return int(np.prod(self.network_.arch.output_shape))

    def transform(self, X: Any) -> Array:
        """y_N (B, n)."""
        check_is_fitted(self)
        return self.network_(self.model_.lifted(self._rows(X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
