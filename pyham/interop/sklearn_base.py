"""What the estimators for scikit-learn share: ``Base``."""

from dataclasses import replace
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from pyham.architectures.lift import Scaling
from pyham.loading import load
from pyham.training.losses import Weighted
from pyham.training.model import PredictorModel
from pyham.training.optimizers import Descent
from pyham.training.protocol import Protocol
from pyham.training.samples import weights_of
from pyham.training.saver import Epoch
from pyham.training.tables import units_of, untrained
from pyham.training.trainer import train
from pyham.verification.certificate import Certificate
from pyham.verification.certificate import certify as certify_network

Array = np.ndarray[Any, Any]


class Base(BaseEstimator):  # type: ignore[misc]
    """Rows in, a trained ``pyham.training`` model inside. Subclasses say what the targets are.

    Rows in float32 are computed in float32, all others in float64.
    """

    _protocol: ClassVar[Protocol]
    _names: ClassVar[dict[str, Any]]  # of losses
    _numeric: ClassVar[bool] = False  # whether y are numbers

    def __init__(
        self, architecture: str = "H2", width: int | None = None, depth: int = 4, final_time: float = 4.0, *,
        activation: str = "tanh", options: dict[str, Any] | None = None, lift: str = "learnt", scale: bool = True,
        loss: str = "auto", epochs: int | None = None, batch_size: int | None = None,
        learning_rate: float | None = None, noise: float | None = None, weight_decay: float | None = None,
        alpha: float = 0.0, early_stopping: bool = False, validation_fraction: float = 0.1,
        n_iter_no_change: int = 10, warm_start: bool = False, random_state: Any = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        self.architecture, self.width, self.depth, self.final_time = architecture, width, depth, final_time
        self.activation, self.options, self.lift, self.scale, self.loss = activation, options, lift, scale, loss
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.noise, self.weight_decay, self.alpha = noise, weight_decay, alpha
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change, self.warm_start = n_iter_no_change, warm_start
        self.random_state, self.verbose = random_state, verbose

    # What subclasses say

    def _targets(self, y: Any, first: bool) -> Array:
        """Numbers of classes (B,), or values (B, C); ``first``: of a fit that begins anew."""
        raise NotImplementedError

    def _outputs(self, targets: Array) -> tuple[str, int]:
        """The loss's name, and how many classes or values there are."""
        raise NotImplementedError

    def _weights(self, y: Any, weights: Array | None) -> Array | None:
        """Weights of the samples, and of their classes."""
        return weights

    def _more(self) -> dict[str, Any]:
        """What a file has to say besides."""
        return {}

    def _restore(self, table: dict[str, Any]) -> None:
        """The reverse of ``_more``."""

    # Training

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X (B, F) and y; ``sample_weight`` (B,) says how much every row counts.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            Naming the argument, what was expected and what came; or if training diverges.
        """
        anew = not (self.warm_start and hasattr(self, "model_"))
        rows, truth, weights = self._checked(X, y, sample_weight, anew, anew)
        random = check_random_state(self.random_state)
        first = self._begin(rows, truth, weights, random) if anew else self.model_
        if y is None:
            return self._keep(first)
        held_out, kept = None, np.arange(len(rows))
        if self.early_stopping:
            kept, rest = train_test_split(
                kept, test_size=self.validation_fraction, random_state=random,
                stratify=truth if truth.ndim == 1 else None,
            )  # fmt: skip
            held_out = rows[rest], truth[rest]
        protocol = self._settings(first.head.loss)
        found = train(
            first, rows[kept], truth[kept], protocol=protocol, rng=int(random.randint(2**31)), validation=held_out,
            sample_weight=None if weights is None else weights[kept], callback=_print if self.verbose else None,
        )  # fmt: skip
        return self._keep(found)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, reset: bool, anew: bool
    ) -> tuple[Array, Array, Array | None]:
        """Rows, targets and weights; ``reset``: whether the features, and ``anew``: whether the classes are new."""
        options = {"dtype": [np.float64, np.float32], "reset": reset}
        if y is None and not self.__sklearn_tags__().target_tags.required:
            rows = validate_data(self, X, **options)
        else:
            rows, y = validate_data(self, X, y, multi_output=True, y_numeric=self._numeric, **options)
        if self.loss not in ("auto", *self._names):
            raise ValueError(f"loss: expected one of {', '.join(self._names)}, got {self.loss!r}")
        given = None if sample_weight is None else _check_sample_weight(
            sample_weight, rows, dtype=np.float64, ensure_non_negative=True
        )  # fmt: skip
        truth = self._targets(y, anew)
        return rows, truth, None if y is None else self._weights(y, given)

    def _begin(self, rows: Array, truth: Array, weights: Array | None, random: Any) -> Any:
        """The model before its training."""
        loss, outputs = self._outputs(truth)
        return untrained(
            rows.shape[1], outputs, int(random.randint(2**31)), loss=loss, architecture=self.architecture,
            width=self.width, depth=self.depth, final_time=self.final_time, lift=self.lift, dtype=rows.dtype,
            inputs=Scaling.of(rows.astype(np.float64), weights) if self.scale else None,
            units=units_of(truth, loss, weights) if self.scale and len(truth) else None,
            activation=self.activation, **(self.options or {}),
        )  # fmt: skip

    def _settings(self, loss: str) -> Protocol:
        usual: Any = self._protocol
        given = {"epochs": self.epochs, "batch": self.batch_size, "rate": self.learning_rate, "noise": self.noise}
        if self.weight_decay is not None:
            given["optimizer"] = replace(usual.optimizer, decay=self.weight_decay)
        return replace(
            usual, loss=loss, alpha=self.alpha, patience=self.n_iter_no_change if self.early_stopping else None,
            **{name: value for name, value in given.items() if value is not None},
        )  # fmt: skip

    def _keep(self, model: Any) -> Self:
        self.model_ = model
        self._slots: tuple[int, dict[str, Array]] | None = None  # what the optimiser remembers between partial fits
        history = model.history
        self.n_iter_, self.loss_curve_ = max(1, len(history)), history.loss.tolist()
        self.validation_loss_curve_ = history.validation_loss.tolist() if self.early_stopping else None
        return self

    def _one_epoch(self, X: Any, y: Any, sample_weight: Any, anew: bool) -> Self:
        """``partial_fit``: what the optimiser remembers is kept from call to call."""
        first = not hasattr(self, "model_")
        rows, truth, weights = self._checked(X, y, sample_weight, first, anew)
        if first:
            self._keep(self._begin(rows, truth, weights, check_random_state(self.random_state)))
        protocol = self._settings(self.model_.head.loss)
        model = PredictorModel(self.model_, protocol)
        descent = Descent(protocol.optimizer, model.theta, model.steps)
        if self._slots is not None:
            descent.t, kept = self._slots
            for name, slot in descent.slots.items():
                slot[...] = kept[name]
        ready, goal = self.model_.prepared(rows), self.model_.scaled(truth)
        goal = goal if goal.dtype.kind == "i" else goal.astype(rows.dtype)
        counts = weights_of(len(rows), weights)
        goal = goal if counts is None else Weighted(goal, counts.astype(rows.dtype))
        if not hasattr(self, "_random"):
            self._random = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        order, size = self._random.permutation(len(rows)), protocol.batch
        rates = np.full(-(-len(rows) // size), protocol.rate)
        loss, _ = model.epoch("joint", descent, ready, goal, order, size, rates)
        if not np.isfinite(model.theta).all():
            raise FloatingPointError(f"learning_rate: expected one at which training converges, got {protocol.rate}")
        curve, count = self.loss_curve_, self.n_iter_ if self.loss_curve_ else 0
        found = model.classifier(self.model_.history)
        self._keep(found)
        self._slots = descent.t, {name: slot.copy() for name, slot in descent.slots.items()}
        self.loss_curve_, self.n_iter_ = [*curve, float(loss)], count + 1
        return self

    # What is trained

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self, "model_")
        return validate_data(self, X, reset=False, dtype=[np.float64, np.float32])

    @property
    def network_(self) -> Any:
        """The ``pyham.Network``."""
        check_is_fitted(self, "model_")
        return self.model_.net

    def certify(self, X: Any, **options: Any) -> Certificate:
        """``pyham.certify`` of the network, on the states that rows X make; ``options`` are those of it."""
        return certify_network(self.network_, self.model_.lifted(self._rows(X)), **options)

    def explain(self, X: Any, y: Any = None, *, layers: Any = None) -> Any:
        """Every quantity of one row's forward and backward pass, with formula and check; print it.

        Parameters
        ----------
        X (1, F) : the row
        y (1,) or (1, C) : its label or values; at first what the model predicts, or 0 in the values' own units
        layers : which are shown, all at first

        Raises
        ------
        ValueError
            If X has another number of rows than one, or as ``fit`` does.
        """
        from pyham.teaching.explain_model import explain_model  # here, because it stands above

        rows = self._rows(X)
        if len(rows) != 1:
            raise ValueError(f"X: expected one row, got {len(rows)}")
        target = None if y is None else np.asarray(self._targets(y, False))[0]
        return explain_model(self.model_, rows, target, layers=layers)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one file without pickle; ``load`` reads it, and ``pyham.load`` the model in it."""
        check_is_fitted(self, "model_")
        names = getattr(self, "feature_names_in_", None)
        table = {
            "estimator": type(self).__name__,
            "parameters": {key: value for key, value in self.get_params().items() if key != "random_state"},
            "features": None if names is None else names.tolist(),
            **self._more(),
        }
        replace(self.model_, table=table).save(path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The estimator that ``save`` wrote.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or has another estimator or none.
        """
        model: Any = load(path)
        table = getattr(model, "table", None) or {}
        if table.get("estimator") != cls.__name__:
            raise ValueError(f"{path}: expected a {cls.__name__}, got {table.get('estimator') or type(model).__name__}")
        try:
            self = cls(**table["parameters"])
            self._restore(table)
            if table["features"] is not None:
                self.feature_names_in_ = np.array(table["features"], dtype=object)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected the parameters of a {cls.__name__} ({error})") from None
        self.n_features_in_ = model.features
        return self._keep(model)


def _print(epoch: Epoch) -> None:
    held_out = "" if np.isnan(epoch.validation_loss) else f", held out {epoch.validation_loss:.4g}"
    print(f"epoch {epoch.done} of {epoch.total}: loss {epoch.loss:.4g}{held_out}", flush=True)
