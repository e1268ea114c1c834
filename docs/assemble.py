"""The sources of the site: the pages of ``docs/`` and what is made of the code, in one folder.

Links in the pages are those of the repository, so that they can be read there, too. Here what they lead to outside of
``docs/`` comes along: pictures as they are, source files each on a page of its own. A comment ``<!-- numbers: V2
-->``, ``<!-- gallery -->`` or ``<!-- commands -->`` is replaced by what it names. Slides show what cells of the
tutorials gave, ``<!-- cell 1 of 03_vanishing -->``, and so are put together when these have been executed.
"""

import re
from pathlib import Path
from typing import Any

import jupytext

import pyham
from docs import claims, executed, gallery, programs
from validation import claim

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGES = ("tutorials", "how-to", "reference", "explanation", "gallery")
PICTURES = (".png", ".gif", ".svg", ".jpg")
LANGUAGES = {".py": "python", ".cff": "yaml", ".css": "css", ".html": "html", ".cfg": "ini"}
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(`{3,})[^`]*$.*?^\1\s*$", re.MULTILINE | re.DOTALL)


class Assembly:
    """Pages on their way from ``docs/`` to the folder ``source``."""

    def __init__(self, source: Path, output: Path) -> None:
        self.source, self.output = source, output
        self.written: set[Path] = set()

    def write(self, name: str, content: str | bytes) -> None:
        """A file of the sources; one that is already so keeps its time, so that Sphinx leaves it alone."""
        path = self.source / name
        data = content.encode() if isinstance(content, str) else content
        self.written.add(path)
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def page(self, path: Path) -> None:
        """A page of ``docs/``."""
        text = path.read_text()
        pieces, at = [], 0
        for fence in FENCE.finditer(text):  # what stands in code is no link
            pieces += [self.linked(text[at : fence.start()], path), fence[0]]
            at = fence.end()
        text = "".join([*pieces, self.linked(text[at:], path)])
        text = re.sub(r"<!-- numbers: (V\d+) -->", lambda found: self.numbers(found[1]), text)
        text = re.sub(r"<!-- gallery -->", lambda _: gallery.cards(), text)
        text = re.sub(r"<!-- commands -->", lambda _: programs.commands(), text)
        name = path.relative_to(HERE).as_posix()
        if name.startswith("tutorials/") and path.stem != "index":
            notebook = f"notebooks/{path.stem}.ipynb"
            self.write(notebook, jupytext.writes(jupytext.read(path, fmt="md:myst"), fmt="ipynb"))
            title, newline, rest = text.partition("\n\n") if text.startswith("# ") else self.title(text)
            text = f"{title}{newline}{{download}}`As a notebook <../{notebook}>`\n\n{rest}"
        self.write(name, text)

    @staticmethod
    def title(text: str) -> tuple[str, str, str]:
        """What stands up to the title's line, the lines between, and the rest."""
        end = text.index("\n\n", re.search(r"^# ", text, re.MULTILINE).start())  # type: ignore[union-attr]
        return text[:end], "\n\n", text[end + 2 :]

    def linked(self, text: str, page: Path) -> str:
        """The text with links that lead to places in the site."""

        def place(found: re.Match[str]) -> str:
            address, fragment = found[1], found[2] or ""
            if ":" in address or address.startswith("/"):
                return found[0]
            target = (page.parent / address).resolve()
            if not target.exists():
                raise FileNotFoundError(f"{page.relative_to(ROOT)}: expected a link to a file, got {address}")
            if target.suffix in PICTURES:
                return f"](/{self.picture(target)})"
            if HERE in target.parents:
                return f"](/{target.relative_to(HERE).as_posix()}{fragment})"
            return f"](/{self.code(target)}{fragment})"

        return LINK.sub(place, text)

    def picture(self, path: Path) -> str:
        name = f"pictures/{path.relative_to(ROOT).as_posix()}"
        self.write(name, path.read_bytes())
        return name

    def code(self, path: Path) -> str:
        """A file of the repository on a page of its own."""
        if path.is_dir():
            path /= "__init__.py" if (path / "__init__.py").exists() else "README.md"
        name = path.relative_to(ROOT).as_posix()
        page = f"code/{name}.md"
        if self.source / page not in self.written:
            text = path.read_text()
            if path.suffix == ".md":
                self.written.add(self.source / page)
                self.write(page, f"---\norphan: true\n---\n{self.linked(text, path)}")
            else:
                language = LANGUAGES.get(path.suffix, "text")
                self.write(
                    page,
                    f"---\norphan: true\n---\n# `{name}`\n\n````{{code-block}} {language}\n:linenos:\n\n{text}\n````\n",
                )
        return page

    def slide(self, cell: Any, name: str) -> str:
        """A picture and what was printed, as they stand on a slide."""
        picture, words = executed.shown(cell)
        parts = [f"```text\n{words}\n```"] if words else []
        if picture is not None:
            self.write(f"pictures/{name}.png", picture)
            parts.insert(0, f"![{name}](/pictures/{name}.png)")
        return "\n\n".join(parts)

    def numbers(self, name: str) -> str:
        """A table of what a claim's module measures, and its figures."""
        found = claims.measured(self.output / "claims")[name]
        for picture, _ in found.figures:
            self.write(f"pictures/claims/{picture.name}", picture.read_bytes())
        module = claim.modules()[name]
        self.code(Path(str(module.__file__)))
        return found.text()


def assemble(source: Path, output: Path) -> None:
    """Write the sources of the site to ``source``; what takes long to make is kept in ``output``."""
    making = Assembly(source, output)
    for path in [
        HERE / "index.md",
        HERE / "playground.md",
        *(p for part in PAGES for p in (HERE / part).rglob("*.md")),
    ]:
        making.page(path)
    for name, text in gallery.pages():
        making.write(name, making.linked(text, HERE / name))
    explained = pyham.H2(width=2, depth=2, step=0.5).init(0).explain([1.0, 2.0])
    making.write("extra/show/explain.html", explained.to_html())
    making.write("extra/show/playground.html", (ROOT / "pyham" / "teaching" / "playground.html").read_bytes())
    for path in source.rglob("*"):  # of an earlier build
        if path.is_file() and path not in making.written:
            path.unlink()


def slides(source: Path, site: Path, cache: Path) -> None:
    """Write the sources of the slides to ``source``, from the executed tutorials of ``site``."""
    making = Assembly(source, source)
    for path in (HERE / "slides").glob("*.md"):

        def cell(found: re.Match[str]) -> str:
            number, tutorial = int(found[1]), found[2]
            cells = executed.cells(cache, site / "tutorials" / f"{tutorial}.md")
            return making.slide(cells[number - 1], f"{tutorial}-{number}")

        making.write(path.name, re.sub(r"<!-- cell (\d+) of (\w+) -->", cell, path.read_text()))
