"""Docstrings as reStructuredText.

Those of pyham are plain text: vertical bars are norms, a trailing underscore is an index, an indented block is a
formula, and tables are drawn by hand. reStructuredText would take them for markup. Here they are made literal.
"""

import re
from typing import Any

from sphinx.application import Sphinx

RULE = re.compile(r"^\s*=+( +=+)+\s*$")
SECTION = re.compile(r"^(Parameters|Returns|Raises|Attributes|Notes|Yields|Examples)$")
MARKUP = re.compile(r"([|*`\\])|(?<=\w)_(?!\w)")


def escaped(line: str) -> str:
    """A line in which nothing is markup but ``code`` between double backticks."""
    parts = re.split(r"(``.+?``)", line)
    return "".join(part if i % 2 else MARKUP.sub(r"\\\g<0>", part) for i, part in enumerate(parts))


def readable(lines: list[str]) -> list[str]:
    """The lines with tables and indented blocks as literal blocks, and the rest without markup."""
    result: list[str] = []
    rules, literal, in_sections = 0, False, False
    for i, line in enumerate(lines):
        after_blank = i == 0 or not lines[i - 1].strip()
        if RULE.match(line):
            if not rules:
                result += ["", "::", ""]
            rules += 1
            result.append(f"    {line}")
            if rules == 3:
                rules = 0
                result.append("")
            continue
        if rules:
            result.append(f"    {line}")
            continue
        in_sections = in_sections or bool(SECTION.match(line))
        if literal and line.strip() and not line.startswith("    "):
            literal = False
        if not literal and not in_sections and after_blank and line.startswith("    "):
            result += ["::", ""]
            literal = True
        underlined = set(line.strip()) == {"-"}
        result.append(line if literal or underlined else escaped(line))
    return result


def process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = readable(lines)


def skip(app: Sphinx, what: str, name: str, obj: object, skipped: bool, options: object) -> bool | None:
    """Leave out what estimators inherit from scikit-learn, which documents it itself."""
    return True if str(getattr(obj, "__module__", "")).startswith("sklearn") else None


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process, priority=100)  # before numpydoc
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
