"""An explanation as one HTML page, ``explain.html`` with the numbers in it; it needs neither a network nor a server."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

from pyham.files.replacing import replace_file
from pyham.teaching.explain_text import number, summary, title

TEMPLATE = Path(__file__).with_name("explain.html")


def page(e: Any, path: str | PathLike[str] | None = None) -> str:
    """The page; written to ``path``, over what is there, if one is given.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    hidden = e.fault is not None and not e.revealed
    data = e.reveal().to_dict() | {"summary": summary(e), "hidden": hidden, "loss_value": number(e["loss"].value)}
    for q, entry in zip(e, data["quantities"], strict=True):
        entry["title"] = title(q, e)
        entry["of"] = None if q.stage is None else e.structure[q.layer].stages[q.stage - 1].key
    data["stages"] = [
        {"key": of.key, "layer": of.layer, "number": of.number, "many": of.many, "updates": of.updates}
        for j in e.layers for of in e.structure[j].stages
    ]  # fmt: skip
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    found = TEMPLATE.read_text(encoding="utf-8").replace('"the explanation"', text)
    if path is not None:
        replace_file(path, found.encode())
    return found
