"""What cells of a tutorial gave when it was executed, for slides: their pictures and what they printed."""

import base64
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache


def cells(cache: Path, page: Path) -> list[Any]:
    """The code cells of a page with their outputs, from the cache of executed pages.

    Raises
    ------
    LookupError
        If the page was not executed.
    """
    kept = get_cache(cache)
    records = [record for record in kept.list_cache_records() if Path(record.uri) == page]
    if not records:
        raise LookupError(f"{page}: expected a page that was executed, got none in {cache}")
    notebook = kept.get_cache_bundle(max(records, key=lambda record: record.created).pk).nb
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> tuple[bytes | None, str]:
    """The last picture of a cell, or None, and what it printed."""
    picture, words = None, []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            words.append(output.text)
        elif "image/png" in output.get("data", {}):
            picture = base64.b64decode(output["data"]["image/png"])
    return picture, "".join(words).rstrip()
