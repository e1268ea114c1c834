"""Every figure and table of the papers as a script: ``python -m figures`` makes all, ``python -m figures.NAME`` one.

A figure is a module of this package with

    CAPTION                     one sentence for who sees only the picture
    USES                        a tuple of modules whose text decides the arrays as well, may be left out
    compute(setup) -> dict      name to array: numbers, words or booleans, which the cache holds without pickle
    plot(arrays) -> Figure      from these arrays alone
    animation(arrays)           where the figure moves: a ``style.Animation``
    texts(arrays) -> dict       where it is a table: suffix (".md") to text
    missing() -> str            where it needs what may not be there: the name of that, or nothing

``compute`` follows from ``figures.setup.Setup`` alone, so that the same seed gives the same bits. What stands in the
file above ``def plot`` decides the arrays, and the cache is of use until that changes; what stands below only draws.
"""

#: In the order in which they are made and shown.
FIGURES = (
    "decision_regions",
    "features",
    "sensitivities",
    "damping",
    "counterexample",
    "energy",
    "regularisation",
    "reach",
    "approximation",
    "regions",
    "robustness",
    "accuracy",
    "mnist",
    "distributed",
)
