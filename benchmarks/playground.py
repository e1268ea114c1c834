"""Seconds from a slider's move to the redrawn page, in headless Chromium: ``python -m benchmarks.playground``.

The page's own processor time, which other programs on the machine do not change, and the time on the clock: the best of
several moves of the slider of the weights' scale, for every architecture and scheme.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from pyham.commands import program
from pyham.teaching import playground
from tests.oracles.browser import Browser, find

CASES: tuple[dict[str, Any], ...] = (
    {"architecture": "MLP"},
    {"architecture": "ResNet"},
    {"architecture": "H1"},
    *({"architecture": name, "scheme": s} for name in ("H2", "MS3") for s in ("semi-implicit", "verlet", "yoshida4")),
)
SIZES = ((64, 200), (1024, 500))  # layers and samples


def redraw(page: Any, settings: dict[str, Any], moves: int) -> tuple[float, float]:
    """Least processor time and least time on the clock of a redraw, in seconds."""
    page.evaluate(f"pyhamPlayground.set({json.dumps(settings)})")
    found = []
    for move in range(moves):
        page.evaluate("pyhamPlayground.settled()")
        busy, begin = worked(page), time.perf_counter()
        page.evaluate(f"""{{
            const slider = document.getElementById("scale");
            slider.value = {5 + move};
            slider.dispatchEvent(new Event("input"));
            pyhamPlayground.settled(); }}""")
        found.append((worked(page) - busy, time.perf_counter() - begin))
    processor, clock = (min(times) for times in zip(*found, strict=True))
    return processor, clock


def worked(page: Any) -> float:
    """Seconds that the page's thread has worked since it was opened."""
    metrics = page.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every case."""
    parser = program.Parser(prog="python -m benchmarks.playground", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moves", type=int, default=6, help="moves of the slider for each case")
    moves = parser.parse_args(arguments).moves
    if find() is None:
        print("no chromium: nothing measured")
        return 0
    with Browser(playground.PAGE) as page:
        page.open(playground.PAGE)
        page.send("Performance.enable", timeDomain="threadTicks")
        for case in CASES:
            for depth, samples in SIZES:
                processor, clock = redraw(page, case | {"depth": depth, "samples": samples}, moves)
                print(f"{' '.join(case.values())} {depth} x {samples}: {1e3 * processor:.0f} / {1e3 * clock:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
