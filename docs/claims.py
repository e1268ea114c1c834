"""What the claims of ``validation/`` measure, for their pages: one run of all, kept until the code changes."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from validation import claim

ROOT = Path(__file__).parents[1]


#: What begins a part of a claim's docstring.
PARTS = re.compile(
    r"(?:^|(?<=[.)]\s))((?:Statement|Source|Oracle|Number|Tolerance|Control)s?(?: and tolerance)?(?: for \w+)?)[:.] "
)


class Measured(NamedTuple):
    """Results of one claim as plain data, and its figures with their captions."""

    name: str
    results: list[dict[str, Any]]
    figures: list[tuple[Path, str]]

    def text(self) -> str:
        """How the claim is measured, a table, and the figures in Markdown."""
        module = claim.modules()[self.name]
        code = f"/code/validation/{module.__name__.rpartition('.')[2]}.py"
        pieces = PARTS.split(" ".join(str(module.__doc__).split()))[1:]
        parts = [
            f"**{title}.** {plain(words)}\n"
            for title, words in zip(pieces[::2], pieces[1::2], strict=True)
            if title != "Statement"
        ]
        found = ["## How it is measured", "", *parts, f"The code is [`{code[6:]}`]({code}.md).", "", "## Measured", ""]
        if not self.results:
            return "\n".join([*found, f"Here this needs what is not installed: {claim.missing(module)}."])
        found.append("By `python -m validation --quick`, on the machine that made this page:\n")
        head = ["| network | measured | tolerance | control | what the control is |", "|---|---:|---:|---:|---|"]
        rows = [
            f"| {plain(r['network'])} | {number(r['measured'])} | {number(r['tolerance'])} | {number(r['control'])} | "
            f"{plain(r['control_case'])} |"
            for r in self.results
        ]
        pictures = [f"\n```{{figure}} /pictures/claims/{path.name}\n\n{words}\n```" for path, words in self.figures]
        return "\n".join([*found, *head, *rows, *pictures])


def plain(text: str) -> str:
    """Text of the code in Markdown."""
    return re.sub(r"([*<>\[\]$|])", r"\\\1", text)


def number(value: object) -> str:
    return value if isinstance(value, str) else f"{value:.1e}"


@cache
def measured(folder: Path) -> dict[str, Measured]:
    """Of every claim, in its quick form; from the files in ``folder`` where these are younger than the code."""
    index = folder / "claims.json"
    code = max(p.stat().st_mtime for room in ("pyham", "validation") for p in (ROOT / room).rglob("*.py"))
    if not index.exists() or index.stat().st_mtime < code:
        folder.mkdir(parents=True, exist_ok=True)
        lab, found = claim.Lab(quick=True), {}
        for name, module in claim.modules().items():
            results = [finding.to_dict() for finding in claim.run(name, module, lab)]
            figures = []
            for i, (caption, figure) in enumerate(claim.figures(module, lab)):
                figure.savefig(folder / f"{name}-{i}.png", dpi=110, bbox_inches="tight")
                figures.append((f"{name}-{i}.png", caption))
            found[name] = {"results": results, "figures": figures}
        index.write_text(json.dumps(found))
    return {
        name: Measured(name, one["results"], [(folder / file, caption) for file, caption in one["figures"]])
        for name, one in json.loads(index.read_text()).items()
    }
