"""Command lines with absurd values: ``python -m tests.commands.fuzz_commands --count 20000``.

Every command of ``python -m pyham``, small enough to take little time, gets up to four of its options with values that
somebody might give by mistake or on purpose: negative, huge, not a number, empty, very long, devices, folders, files of
other kinds and hostile ones. A command may end with 0, 1, 2 or, when it is stopped after a while, 130. It may not end
with an exception, and leaves no file half-written and no temporary file; devices stay devices, links stay links, files
that were there are what they were, or whole new ones.

Exit code 1 if a command line breaks these rules; it is printed.
"""

import argparse
import contextlib
import csv
import io
import json
import multiprocessing
import os
import resource
import signal
import stat
import sys
import tempfile
import webbrowser
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import pyham
from pyham.commands import cli, program, seeds
from pyham.data import idx, mnist
from pyham.files import archive
from tests.commands.absurd import COLUMNS, NUMBERS, ODD, PATHS, SEEDS, TOML, WORDS
from tests.files.test_numpy_files import HOSTILE
from tests.oracles.executors import Here

HANG = 60.0  # after which it is a violation not to have ended
ADDRESS_SPACE = 3 << 30

TINY = ["--samples", "12", "--depth", "2", "--epochs", "1", "--output-epochs", "1"]
SHORT = ["--depth", "2", "--width", "4", "--epochs", "1", "--output-epochs", "1"]
COMMANDS = {
    "certify": ["net.pyham"],
    "certify table": ["model.pyham", "--samples", "t.csv"],
    "info": ["model.pyham"],
    "predict": ["model.pyham", "t.csv"],
    "train t.csv": [*SHORT, "--target", "y"],
    "train t.csv values": [*SHORT, "--target", "a", "--regression"],
    "train swiss-roll": TINY,
    "train double-moons": [*TINY, "--levels", "2"],
    "train double-circles": [*TINY, "--loss", "softmax", "--training", "joint"],
    "train mnist": ["--data", "digits", "--depth", "1", "--epochs", "1"],
    "train mnist ConvH2": ["--data", "digits", "--depth", "1", "--epochs", "1", "--groups", "1"],
    "distributed swiss-roll": TINY,
    "explain": [],
    "playground": [],
    "": [],
}
WORDS_OF = {"certify table": 1, "train t.csv values": 2}  # of a command; others have two at most
PARSER_OF = {"train t.csv": "train FILE"}
FILES = {"certify": (1,), "info": (1,), "predict": (1, 2), "train t.csv": (1,)}  # which words are files
ARCHITECTURE = {"train mnist ConvH2": ["--architecture", "ConvH2"]}


def furnish(folder: Path, warm: bool) -> None:
    """Files of all kinds, in the current folder; and, if ``warm``, everything compiled."""
    os.chdir(folder)
    rng = np.random.default_rng(0)
    net = pyham.H2(4, 2, 0.1).init(0)
    net.save("net.pyham")
    np.savez("net.npz", K=net.K, b=net.b, h=0.1, J=net.arch.J, scheme="semi-implicit")
    np.savez("hostile.npz", K=np.zeros((10**6,)), b=np.zeros(3), h="x")
    np.save("x.npy", rng.standard_normal((5, 4)))
    np.save("complex.npy", np.zeros((2, 4)) * 1j)
    np.save("dates.npy", np.zeros((2, 4), "datetime64[s]"))
    for i, content in enumerate(HOSTILE.values()):
        Path(f"hostile{i}.npy").write_bytes(content)
    Path("old.json").write_text("{}")
    Path("locked.json").write_text("{}")
    Path("locked.json").chmod(0o640)
    Path("text.txt").write_text("text")
    Path("empty").touch()
    Path("folder").mkdir()
    os.mkfifo("pipe")
    table = "a,b,y\n" + "".join(f"{rng.standard_normal():.3f},{'uv'[i % 2]},{'pq'[i % 3 == 0]}\n" for i in range(30))
    Path("t.csv").write_text(table)
    np.savez("t.npz", X=rng.standard_normal((20, 2)), y=np.arange(20) % 2)
    for kind, texts in (("csv", ODD), ("toml", TOML)):
        for i, text in enumerate(texts):
            Path(f"odd{i}.{kind}").write_text(text)
    Path("run.toml").write_text("epochs = 1\ndepth = 2\nrate = 0.01\n")
    if cli.main(["train", "t.csv", *COMMANDS["train t.csv"], "--save", "model.pyham"]):
        raise ValueError("t.csv: expected a table that can be learnt, got another")
    for name, target in (("link", "old.json"), ("dangling", "nothing.out"), ("circle", "circle")):
        os.symlink(target, name)
    Path("digits").mkdir()
    for file, many in zip(mnist.FILES, (20, 20, 8, 8), strict=True):
        images = "images" in file.name
        shape = (many, 28, 28) if images else (many,)
        idx.write_idx(Path("digits") / file.name, rng.integers(0, 256 if images else 10, shape).astype(np.uint8))
    if warm:  # Ctrl-C in the middle of compiling would leave this process without the function
        cli.main(["warmup"])
    for command, options in COMMANDS.items() if warm else ():
        words = [*first_words(command), *options, *ARCHITECTURE.get(command, [])]
        if words and cli.main(words) not in (0, 1):
            raise ValueError(f"{words}: expected a command that works, got one that does not")
    cli.main(["train", "swiss-roll", *TINY, "--checkpoint", "run.pyham"])


def first_words(command: str) -> list[str]:
    """The words of a command, without what only tells it from others here."""
    return command.split()[: WORDS_OF.get(command, 2)]


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its words."""
    found = {}

    def look(parser: argparse.ArgumentParser, words: list[str]) -> None:
        found[" ".join(words)] = parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    look(inner, [*words, name])

    look(cli.parser(), [])
    return found


def line(rng: np.random.Generator, known: dict[str, argparse.ArgumentParser]) -> list[str]:
    """A command line."""
    command = str(rng.choice(list(COMMANDS)))
    words = first_words(command)
    given = [*words, *COMMANDS[command], *ARCHITECTURE.get(command, [])]
    name = " ".join(words)
    parser = known[PARSER_OF.get(name, name)] if PARSER_OF.get(name, name) in known else known[words[0]]
    actions = [action for action in parser._actions if action.option_strings]
    for _ in range(rng.integers(0, 5)):
        action = actions[rng.integers(len(actions))]
        option = max(action.option_strings, key=len)
        if rng.random() < 0.03:
            option = option[: rng.integers(3, max(4, len(option)))]
        values = [value(rng, action) for _ in range(count(rng, action))]
        place = int(rng.integers(len(words), len(given) + 1)) if rng.random() < 0.2 else len(given)
        joined = [f"{option}={values[0]}"] if len(values) == 1 and rng.random() < 0.2 else [option, *values]
        given[place:place] = joined
    if rng.random() < 0.02:
        given.insert(int(rng.integers(len(given) + 1)), str(rng.choice(WORDS)))
    for place in FILES.get(name, ()):
        if rng.random() < 0.3:
            given[place : place + 1] = [str(rng.choice(PATHS))]
    return [word for word in given if word != "mpi"]  # which would end the whole process, as it must


def count(rng: np.random.Generator, action: argparse.Action) -> int:
    """How many values, mostly as many as the option takes."""
    if action.nargs == 0:
        return int(rng.random() < 0.05)
    usual = action.nargs if isinstance(action.nargs, int) else int(rng.integers(1, 4)) if action.nargs == "+" else 1
    return int(rng.integers(0, 4)) if rng.random() < 0.05 else usual


def value(rng: np.random.Generator, action: argparse.Action) -> str:
    """A value of the right kind, mostly absurd."""
    kind = rng.random()
    if action.choices is not None and kind < 0.7:
        return str(rng.choice([str(choice) for choice in action.choices]))
    if action.type is Path and kind < 0.9:
        return str(rng.choice(PATHS))
    if action.dest in ("target", "drop", "words") and kind < 0.8:
        return str(rng.choice(COLUMNS))
    if action.dest == "seeds" and kind < 0.8:
        return str(rng.choice(SEEDS))
    if action.type in (int, float) and kind < 0.9:
        return str(rng.choice(NUMBERS))
    return str(rng.choice([*NUMBERS, *WORDS, *PATHS]))


class Stopped(BaseException):
    """A command did not end."""


def verdict(words: list[str], seconds: float) -> tuple[str, str]:
    """ "0", "1", "2" or "130", or how a command broke the rules, which hears Ctrl-C after a while, with details."""
    before = {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file() and not path.is_symlink()}
    out, error = io.StringIO(), io.StringIO()
    alarms = iter([KeyboardInterrupt, Stopped])

    def ring(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, HANG)
        raise next(alarms)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code: Any = cli.main(words)
    except SystemExit as end:
        code = end.code
    except BaseException as raised:
        return "exception", repr(raised)[:300]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if code not in (0, 1, 2, 130):
        return "exit code", repr(code)
    if "Traceback" in error.getvalue() or (code == 2 and not error.getvalue().strip()):
        return "message", error.getvalue()[:300]
    return broken(before) or (str(code), "")


def broken(before: dict[str, bytes]) -> tuple[str, str] | None:
    """What is wrong with the files, which are then as they were."""
    wrong = None
    for device in ("/dev/null", "/dev/full", "/dev/zero"):
        if not stat.S_ISCHR(os.stat(device).st_mode):
            wrong = "device", device
    for link in ("link", "dangling", "circle"):
        if not Path(link).is_symlink():
            wrong = "link", link
    if stat.S_IMODE(os.stat("locked.json").st_mode) != 0o640:
        wrong = "mode", oct(os.stat("locked.json").st_mode)
    for path in Path().iterdir():
        if path.name.startswith(".pyham-"):
            wrong = "leftover", path.name
        elif path.is_file() and not path.is_symlink() and path.read_bytes() != before.get(path.name):
            if not (whole(path) or saved(path)):
                wrong = "half-written", path.name
            if path.name in before:
                path.write_bytes(before[path.name])
            else:
                path.unlink()
    return wrong


def whole(path: Path) -> bool:
    """Whether it is a whole file of a kind that pyham writes."""
    content = path.read_bytes()
    if content.startswith(b"<!"):
        return content.rstrip().endswith(b"</html>")
    if content.split(b"\n")[0].split(b",")[0] in (b"a", b"y", b"class"):
        return len({len(row) for row in csv.reader(content.decode().splitlines())}) == 1
    lines = content.splitlines() if content.startswith((b'{"format"', b'{"run"')) else [content]  # of a sweep
    try:
        return all(line.startswith(b"{") and json.loads(line) is not None for line in lines)
    except ValueError:
        return False


def saved(path: Path) -> bool:
    """Whether it is a whole file of a network or a training."""
    try:
        return bool(archive.read(path)[1])
    except ValueError:
        return False


def work(job: tuple[int, int, float]) -> tuple[Counter[str], list[str]]:
    """Lines number ``first`` and following, in a process and folder of their own."""
    first, many, seconds = job
    counts, violations = Counter[str](), []
    seeds.EXECUTOR = Here  # processes of this one may have none of their own
    webbrowser.open = lambda *arguments, **options: False
    with tempfile.TemporaryDirectory(prefix="fuzz_commands_") as name, contextlib.redirect_stderr(io.StringIO()):
        with contextlib.redirect_stdout(io.StringIO()):
            furnish(Path(name), warm=seconds < HANG)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE + int(resource.getrusage(0).ru_maxrss * 1024),) * 2)
        known = parsers()
        for number in range(first, first + many):
            words = line(np.random.default_rng(number), known)
            kind, detail = verdict(words, seconds)
            counts[kind] += 1
            if not kind.isdigit():
                violations.append(f"{number}: {kind}: {detail}: {[word[:60] for word in words]}")
                print(violations[-1], file=sys.__stderr__, flush=True)
        os.chdir("/")
    return counts, violations


def main(argv: list[str] | None = None) -> int:
    parser = program.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="command lines (20000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first, from which it follows (0)")
    parser.add_argument("--seconds", type=float, default=4.0, help="until a command hears Ctrl-C (4)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    options = parser.parse_args(argv)
    size, end = max(1, min(2500, options.count // options.jobs)), options.first + options.count
    jobs = [(n, min(size, end - n), options.seconds) for n in range(options.first, end, size)]
    counts, violations = Counter[str](), []
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=1) as pool:
        for found, wrong in pool.imap_unordered(work, jobs):
            counts, violations = counts + found, violations + wrong
    codes = ", ".join(f"{kind}: {many}" for kind, many in sorted(counts.items()))
    print(f"{options.count} command lines; exit codes {codes}; {len(violations)} violations")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
