"""V14. Regularisation controls explosion: a smoothness penalty or weight decay keeps sensitivities and their bound low.

Statement: trained with the penalty alpha h / 2 sum ||K_{j+1} - K_j||^2 + ||b_{j+1} - b_j||^2, or with weight decay, a
network has a lower sharp bound (V5) on ||Phi_0||_2 and lower norms ||Phi_0||_2 along training than without. Source:
the bound grows with ||K_j||^2 (V5), on which the penalties act; Galimberti et al., IEEE TAC 2023, use the first.
Oracle: trainings without penalty from the same weights on the same batches. Number: log10 of the bound, and the mean
over samples of log10 ||Phi_0||_2, averaged along training, with the penalty minus without; the mean of several
trainings. Tolerance: minus the largest change that another order of the batches makes to any one of these trainings,
since a smaller effect could be chance. Control: no penalty at all and another order of the batches: the same number is
then the mean of such changes, which cannot exceed the largest. The notes give the loss as well: at these
strengths the penalties also keep the network from fitting the data (log 2 = 0.69 is guessing), so they control
sensitivities and are no recommendation.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from matplotlib.figure import Figure

import pyham
from pyham.training import Epoch, Protocol, train
from pyham.verification.atlas import along
from validation.claim import Array, Lab, Result
from validation.look import BLUE, GREEN, RED, panels

STATEMENT = "smoothness penalty and weight decay lower bound and norms along training (log10, with - without)"

PENALTIES = {"smoothness 0.1": {"alpha": 0.1}, "weight decay 3e-4": {"decay": 3e-4}}
NOTHING = {"alpha": 0.0}
EVERY = 5  # epochs between two looks


def check(lab: Lab) -> Iterator[Result]:
    plain, shuffled, *penalised = (history[:, :, 1:].mean(axis=2) for history in histories(lab))
    noise = shuffled - plain
    for name, values in zip(PENALTIES, penalised, strict=True):
        for i, quantity in enumerate(("bound", "norms")):
            note = f"log10 along training {values[:, i].mean():.2f}, without {plain[:, i].mean():.2f}"
            note += f"; loss {values[:, 2].mean():.2f}, without {plain[:, 2].mean():.2f}"
            note = f"{len(values)} trainings of H2, 16 layers; {note}"
            measured, control = (values - plain)[:, i].mean(), noise[:, i].mean()
            limit = -np.abs(noise[:, i]).max()
            yield Result(f"{name}, {quantity}", measured, limit, control, "no penalty, other batches", note)


@lru_cache(maxsize=8)  # the figure shows the trainings of the check
def histories(lab: Lab) -> list[Array]:
    """log10 of the sharp bound, mean log10 ||Phi_0||_2, the loss, (trainings, 3, looks), before training and along it.

    Without penalty; the same with batches in another order; and with each of the penalties.
    """
    rng = lab.rng("V14")
    count, epochs = (2, 20) if lab.quick else (8, 50)
    seeds = rng.integers(0, 2**31, (count, 2))
    runs = [(NOTHING, 0), (NOTHING, 1)] + [(penalty, 0) for penalty in PENALTIES.values()]
    return [
        np.array([history(lab, int(first), int(first if not other else second), epochs, options)
                  for first, second in seeds])
        for options, other in runs
    ]  # fmt: skip


def history(lab: Lab, weights: int, batches: int, epochs: int, options: dict[str, float]) -> Array:
    """(3, looks) of one training, from weights and an order of batches given by their seeds."""
    x, labels, test, _ = lab.data
    net = pyham.H2(width=4, depth=16, step=0.06).init(weights)
    networks, losses = [net], [np.log(2)]  # an output layer of zeros

    def look(epoch: Epoch) -> None:
        if epoch.done % EVERY == 0:
            networks.append(epoch.network())
            losses.append(epoch.loss)

    protocol = Protocol(epochs=epochs, output_epochs=0, **options)  # type: ignore[arg-type]
    train(net, x[:1000], labels[:1000], protocol=protocol, rng=batches, callback=look)
    looks = list(along(networks, test[:100]))
    bound = [atlas.log_upper["sharp"][0] / np.log(10) for atlas in looks]
    norms = [np.log10(atlas.norms["2"][0]).mean() for atlas in looks]
    return np.array([bound, norms, losses])


def figures(lab: Lab) -> Iterator[tuple[str, Figure]]:
    plain, _, *penalised = histories(lab)
    figure, axes = panels(2)
    norm = r"$\|\partial y_N/\partial y_0\|_2$"
    titles = f"a-priori bound on {norm}", f"{norm}, geometric mean"
    for i, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        lines = zip(("no penalty", *PENALTIES), (plain, *penalised), (RED, BLUE, GREEN), strict=True)
        for label, values, colour in lines:
            epochs = EVERY * np.arange(values.shape[2])
            axis.plot(epochs, 10 ** values[:, i].T, color=colour, alpha=0.3, linewidth=0.8)
            axis.plot(epochs, 10 ** values[:, i].mean(axis=0), color=colour, linewidth=2, label=label)
        axis.set(yscale="log", xlim=(0, epochs[-1]), xlabel="epochs")
        axis.set_title(title, loc="left", fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    yield (
        "Bound from the weights and measured sensitivities while H2 networks of 16 layers are trained on the Swiss "
        "roll: each training (thin) and the mean of their logarithms. Penalties on the weights keep both low.",
        figure,
    )
