"""``python -m pyham info FILE``: what is in a file."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyham.commands.program import say
from pyham.commands.saved import columns_of
from pyham.files import archive
from pyham.files.numpy_files import is_npz
from pyham.interop import arrays
from pyham.loading import load
from pyham.network import Network

FEW = 12  # words in a line


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "What is in FILE, which net.save or a training wrote, or an .npz file as certify takes it: architecture, "
        "parameters, how it was trained, and the columns and classes of its table."
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write it there, too (-: to standard output)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what is in the file."""
    found = described(options.file)
    say([drawn(lines(found))], options.json, found)
    return 0


def described(path: Path) -> dict[str, Any]:
    """JSON data of all that a file says.

    Raises
    ------
    OSError, ValueError
        If it cannot be read.
    """
    foreign = is_npz(path)
    model = arrays.read_arrays(path) if foreign else load(path)
    header: Mapping[str, Any] = {} if foreign else archive.read(path)[0]
    net = model if isinstance(model, Network) else model.net
    found = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "kind": "arrays" if foreign else header.get("kind", "network"),
        "architecture": plain(net.arch.config()),
        "dtype": str(net.dtype),
    }
    parts = dict(net.params)
    if not isinstance(model, Network):
        parts = model.describe()[1]
        found |= {"loss": model.head.loss, "training": training(model.history.to_dict())}
        found |= {"classes": model.classes} if hasattr(model, "classes") else {"values": len(model.head.layer)}
        columns = columns_of(model)
        if columns is not None:
            found["columns"] = columns.config()
        table = getattr(model, "table", None)
        if table is not None:
            found["table"] = {name: value for name, value in table.items() if name != "columns"}
    found["parameters"] = {"count": sum(part.size for part in parts.values())}
    found["parameters"]["shapes"] = {name: list(part.shape) for name, part in parts.items()}
    known = ("protocol", "about", "certificate", "distributed")
    return found | {name: plain(header[name]) for name in known if header.get(name)}


def plain(value: Any) -> Any:
    """Arrays as lists, numbers that JSON has not as words."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    return value if isinstance(value, (str, int, type(None))) or np.isfinite(value) else str(value)


def training(history: Mapping[str, list[Any]]) -> dict[str, Any]:
    """A history in short: epochs of every phase, and the first and last of every number."""
    phases = history["phase"]
    numbers = {
        name: [history[name][0], history[name][-1]]
        for name in history
        if name not in ("phase", "depth") and phases and history[name][-1] is not None
    }
    return {"epochs": {name: phases.count(name) for name in dict.fromkeys(phases)}, "first and last": numbers}


def lines(found: Mapping[str, Any]) -> dict[str, str]:
    """What is printed: a name and its text."""
    parts = found["parameters"]["shapes"]
    shapes = [f"{name} {tuple(shape)}" for name, shape in parts.items()]
    rows = {"file": f"{found['file']}, {found['bytes']} bytes", "kind": found["kind"]}
    rows["architecture"] = _pairs(found["architecture"])
    rows["parameters"] = f"{found['parameters']['count']} of {found['dtype']}: {_few(shapes)}"
    if "training" in found:
        epochs = found["training"]["epochs"]
        text = ", ".join(f"{count} epochs ({name})" for name, count in epochs.items()) or "none"
        for name, (first, last) in found["training"]["first and last"].items():
            text += f"; {name.replace('_', ' ')} {_short(first)} to {_short(last)}"
        rows["training"] = text
        rows["loss"] = found["loss"]
    if "columns" in found:
        columns = found["columns"]
        levels = columns["levels"]
        seen = [f"{name} ({_few(levels[name])})" if name in levels else name for name in columns["features"]]
        rows["columns"] = _few(seen)
        rows["tells"] = ", ".join(columns["targets"])
        if columns["classes"] is not None:
            rows["classes"] = _few([str(label) for label in columns["classes"]])
    elif "classes" in found:
        rows["classes"] = str(found["classes"])
    for name in ("table", "protocol", "about", "distributed"):
        if found.get(name):
            rows[name] = _pairs(found[name])
    if isinstance(found.get("certificate"), Mapping):
        rows["certificate"] = _certified(found["certificate"])
    return rows


def _certified(stored: Mapping[str, Any]) -> str:
    """What a stored certificate says, in short."""
    checks = [check for check in stored.get("checks") or [] if isinstance(check, Mapping)]
    held = sum(check.get("holds") is True for check in checks)
    verdict = "passed" if stored.get("passed") is True else "not passed"
    counts = f"{held} of {len(checks)} checks hold, {stored.get('undecided')} undecided"
    return f"{verdict}, on {stored.get('samples')} samples in {stored.get('dtype')}: {counts}"


def drawn(rows: Mapping[str, str]) -> str:
    """The lines as a table, 100 columns wide."""
    table = Table(box=box.SIMPLE, show_header=False)
    for name, text in rows.items():
        table.add_row(Text(name, style="bold"), Text(text))
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines() if line.strip())


def _pairs(data: Any) -> str:
    if not isinstance(data, Mapping):
        return _short(data)
    return ", ".join(f"{name} {_short(value)}" for name, value in data.items() if value is not None)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return f"({_pairs(value)})"
    text = str(value)
    return text if len(text) <= 60 else text[:56] + " ..."


def _few(words: list[str]) -> str:
    return ", ".join(words[:FEW]) + (f" and {len(words) - FEW} more" if len(words) > FEW else "")
