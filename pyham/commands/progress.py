"""How far a training is, on standard error: a bar, or lines of plain text."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pyham.training import Epoch


class Bar:
    """A callback of ``train`` that shows epochs, loss and accuracy, as a context manager."""

    def __init__(self, description: str, visible: bool = True) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}")
        self._progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), disable=not visible)
        self._task = self._progress.add_task(description, total=None, note="compiling on first use")

    def __call__(self, epoch: Epoch) -> None:
        """Show an epoch."""
        classes = epoch.accuracy == epoch.accuracy  # not NaN, as it is for values
        note = f"{epoch.phase}: loss {epoch.loss:.4f}" + f", accuracy {100 * epoch.accuracy:.2f} %" * classes
        if epoch.validation_loss == epoch.validation_loss:
            share = f"{100 * epoch.validation_accuracy:.2f} %"
            note += f", validation {share if classes else f'{epoch.validation_loss:.4f}'}"
        self._progress.update(self._task, total=epoch.total, completed=epoch.done, note=note)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


class Lines:
    """A callback that prints about ten lines, for output that passes through other programs."""

    def __call__(self, epoch: Epoch) -> None:
        """Print an epoch, if its turn has come."""
        if epoch.done % max(1, epoch.total // 10) == 0 or epoch.done == epoch.total:
            print(
                f"epoch {epoch.done} of {epoch.total}, {epoch.phase}: loss {epoch.loss:.4f}, accuracy "
                f"{100 * epoch.accuracy:.2f} %", file=sys.stderr, flush=True,
            )  # fmt: skip
