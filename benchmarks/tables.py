"""HamiltonianClassifier and -Regressor beside scikit-learn's own learners: ``python -m benchmarks.tables``.

Data that scikit-learn ships (digits, wine, breast cancer; diabetes) or makes (Friedman's first function, and a sum of
sines of five features among ten). Every learner is asked twice: with its defaults, and tuned by a grid of four to nine
settings. Cross-validation is nested: five outer folds give the scores; a tuned learner chooses its settings by three
inner folds of the training part alone. All but the trees get scaled features and values, as they need them. Scores are
accuracy and R^2, mean and standard deviation over the folds; times are those of a fit on one core, the choice of
settings included. Results go to benchmarks/results/tables.json and tables.md.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import pyham
from pyham.commands import program
from pyham.files.replacing import replace_file

Array = np.ndarray[Any, Any]

RESULTS = Path(__file__).parent / "results"
OURS = ("HamiltonianClassifier", "HamiltonianRegressor")


def waves(samples: int, seed: int) -> tuple[Array, Array]:
    """Ten features in [0, 1], and the sum of sin(2 pi k x_k) / k, k = 1 .. 5, with noise of standard deviation 0.1."""
    rng = np.random.default_rng(seed)
    x, k = rng.random((samples, 10)), np.arange(1, 6)
    return x, (np.sin(2 * np.pi * k * x[:, :5]) / k).sum(axis=1) + 0.1 * rng.standard_normal(samples)


def data() -> dict[str, tuple[bool, Array, Array]]:
    """By name: whether it is a regression, rows and targets."""
    from sklearn import datasets

    found = {name: (False, *getattr(datasets, f"load_{name}")(return_X_y=True)) for name in CLASSES}
    found["diabetes"] = True, *datasets.load_diabetes(return_X_y=True)
    found["friedman1"] = True, *datasets.make_friedman1(1000, 10, noise=1.0, random_state=0)
    found["waves"] = True, *waves(1000, 0)
    return found


CLASSES = ("digits", "wine", "breast_cancer")


def learners(regression: bool) -> dict[str, tuple[Callable[[], Any], dict[str, list[Any]]]]:
    """By name: a learner with its defaults, and the grid of its settings."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    def scaled(kind: Any, **options: Any) -> Callable[[], Any]:
        def make() -> Any:
            inner = make_pipeline(StandardScaler(), kind(**options))
            return TransformedTargetRegressor(inner, transformer=StandardScaler()) if regression else inner

        return make

    own = OURS[regression]
    kind = getattr(pyham, own)
    trees: Any = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    mlp, svm = (MLPRegressor, SVR) if regression else (MLPClassifier, SVC)
    place = "regressor__" if regression else ""
    before = f"{place}{mlp.__name__.lower()}__", f"{place}{svm.__name__.lower()}__"
    further = {"weight_decay": [0.1, 1.0, 5.0]} if regression else {"noise": [0.0, 0.2, 0.4]}
    return {
        own: (lambda: kind(random_state=0), {"depth": [2, 4, 8], **further}),
        mlp.__name__: (
            scaled(mlp, random_state=0),
            {before[0] + "hidden_layer_sizes": [(100,), (64, 64, 64)], before[0] + "alpha": [1e-4, 1e-1, 10.0]},
        ),
        svm.__name__: (scaled(svm), {before[1] + "C": [0.3, 1.0, 10.0], before[1] + "gamma": ["scale", 0.01, 0.003]}),
        trees.__name__: (
            lambda: trees(random_state=0),
            {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [7, 31]},
        ),
    }


def measure(quick: bool) -> list[dict[str, Any]]:
    """A row for every set of data and learner: scores and seconds of the folds, with defaults and tuned."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold

    found = []
    for name, (regression, X, y) in data().items():
        if quick:
            few = np.random.default_rng(0).permutation(len(X))[:150]
            X, y = X[few], y[few]
        folds = (KFold if regression else StratifiedKFold)(2 if quick else 5, shuffle=True, random_state=0)
        for learner, (make, grid) in learners(regression).items():
            if quick:
                grid = {key: values[:2] for key, values in list(grid.items())[:1]}
            make().fit(X[:60], y[:60])  # what is compiled once, and is no part of a fit
            row: dict[str, Any] = {"data": name, "learner": learner}
            for how in ("defaults", "tuned"):
                scores, seconds = [], []
                for train, test in folds.split(X, y):
                    inner: Any = make() if how == "defaults" else GridSearchCV(make(), grid, cv=3)
                    start = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", ConvergenceWarning)  # of the MLPs, which end after 200 epochs
                        inner.fit(X[train], y[train])
                    seconds.append(time.perf_counter() - start)
                    scores.append(inner.score(X[test], y[test]))
                row[how] = {"scores": scores, "seconds": seconds}
            found.append(row)
            print(line(row), file=sys.stderr, flush=True)
    return found


def line(row: dict[str, Any]) -> str:
    """A line of the table in Markdown."""

    def cell(how: str) -> str:
        scores, seconds = (np.array(row[how][key]) for key in ("scores", "seconds"))
        return f"{scores.mean():.4f} ± {scores.std(ddof=1):.4f} | {seconds.mean():.2f}"

    return f"| {row['data']} | {row['learner']} | {cell('defaults')} | {cell('tuned')} |"


def table(found: list[dict[str, Any]]) -> str:
    """The whole table, and what it says: where pyham's learner is best, and where it is not."""
    head = "| data | learner | score, defaults | fit, s | score, tuned | choice and fit, s |\n|---|---|---|---|---|---|"
    rows = "\n".join(line(row) for row in found)
    words = []
    for how in ("defaults", "tuned"):
        for name in dict.fromkeys(row["data"] for row in found):
            scores = {row["learner"]: np.array(row[how]["scores"]) for row in found if row["data"] == name}
            best = max(scores, key=lambda learner: scores[learner].mean())
            own = next(learner for learner in scores if learner in OURS)
            behind, spread = scores[best].mean() - scores[own].mean(), scores[best].std(ddof=1)
            place = "best" if best == own else f"{behind:.4f} behind {best}, whose folds spread by {spread:.4f}"
            words.append(f"- {name}, {how}: {own} is {place}.")
    return f"{head}\n{rows}\n\n" + "\n".join(words)


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rows and settings, and no files: does it run?")
    parser.add_argument("--output", type=Path, default=None, help="folder of the results (benchmarks/results)")
    options = parser.parse_args(argv)
    folder = options.output or (None if options.quick else RESULTS)
    if folder is not None:
        program.try_outputs([folder / "tables.json", folder / "tables.md"])
    pyham.set_num_threads(1)
    with threadpool_limits(1):
        found = measure(options.quick)
    if folder is not None:
        replace_file(folder / "tables.json", (json.dumps(found, indent=1) + "\n").encode())
        replace_file(folder / "tables.md", (table(found) + "\n").encode())
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
