"""Build the site: ``python -m docs``. Warnings are errors, and the pages need no network when they are read."""

import argparse
import sys
import time
import webbrowser
from pathlib import Path
from shutil import copytree, rmtree

from sphinx.cmd.build import build_main

from docs import assemble, offline

HERE = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m docs", description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE / "_build", help="folder of everything made (docs/_build)")
    parser.add_argument("--fresh", action="store_true", help="execute and compute everything again")
    parser.add_argument("--open", action="store_true", help="show the site in a browser")
    options = parser.parse_args(argv)
    started, output = time.perf_counter(), options.output.resolve()
    if options.fresh and output.exists():
        rmtree(output)
    source, html = output / "source", output / "html"
    assemble.assemble(source, output)
    cache = output / "executed"

    def build(tag: str, builder: str, folder: Path, made: Path, *further: str) -> int:
        strict = ["-q", "-W", "--keep-going", "-c", str(HERE), "-t", tag, "-b", builder, "-d", str(output / tag)]
        return build_main([*strict, *further, str(folder), str(made)])

    if code := build("site", "html", source, html, "-D", f"nb_execution_cache_path={cache}"):
        return code
    assemble.slides(output / "slides-source", source, cache)
    if code := build("slides", "revealjs", output / "slides-source", html / "slides"):
        return code
    copytree(source / "extra", html, dirs_exist_ok=True)
    problems = offline.problems(html)
    print(*problems, sep="\n")
    pages = len(list(html.rglob("*.html")))
    print(f"{html / 'index.html'}: {pages} pages, {len(problems)} problems, {time.perf_counter() - started:.0f} s")
    if options.open:
        webbrowser.open((html / "index.html").as_uri())
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
