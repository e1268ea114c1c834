"""The gallery: a card and a page for every figure.

The pictures are those in ``figures/results``, which take from seconds to an hour each to compute and are made again by
``python -m figures``: a gallery that runs the scripts, as sphinx-gallery does, would do so in every build.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from figures import FIGURES

RESULTS = Path(__file__).parents[1] / "figures" / "results"


def name_of(title: str) -> str:
    return "MNIST" if title == "mnist" else title.replace("_", " ").capitalize()


def cards() -> str:
    """One for each figure, with its picture and the beginning of its caption."""
    found = ["::::{grid} 1 2 2 3", ":gutter: 3", ""]
    for name in FIGURES:
        caption = import_module(f"figures.{name}").CAPTION
        found += [
            f":::{{grid-item-card}} {name_of(name)}",
            f":img-top: /pictures/figures/results/{name}.png",
            f":link: {name}",
            ":link-type: doc",
            "",
            caption.split(". ")[0].rstrip(".") + ".",
            ":::",
            "",
        ]
    return "\n".join([*found, "::::", "", "```{toctree}", ":hidden:", "", *FIGURES, "```"])


def pages() -> Iterator[tuple[str, str]]:
    """Name and text of every figure's page."""
    for name in FIGURES:
        module = import_module(f"figures.{name}")
        moving = RESULTS / f"{name}.gif"
        table = RESULTS / f"{name}.md"
        shown = [f"![{name_of(name)}](../../figures/results/{name}.png)"]
        if moving.exists():
            shown.append(f"![{name_of(name)}, moving](../../figures/results/{name}.gif)")
        lines = [f"# {name_of(name)}", "", module.CAPTION, "", *shown, ""]
        if table.exists():
            lines += [f"Its numbers are in [a table](../../figures/results/{name}.md).", ""]
        lines += [
            "```sh",
            f"python -m figures.{name}",
            "```",
            "",
            f"makes it again ([source](../../figures/{name}.py)); `--quick` makes a small rehearsal.",
            "",
        ]
        if module.__doc__:
            lines += ["## How it is made", "", module.__doc__.partition("\n\n")[2].strip() or module.__doc__, ""]
        yield f"gallery/{name}.md", "\n".join(lines)
