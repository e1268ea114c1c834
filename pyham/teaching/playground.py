"""The playground: one HTML file that needs neither a network nor a server.

The page repeats the package's arithmetic in JavaScript. It is one file so that it can be opened from a folder, sent to
somebody, or put on a web site as it is.
"""

import webbrowser
from os import PathLike
from pathlib import Path

from pyham.files.replacing import replace_file

#: The page.
PAGE = Path(__file__).with_name("playground.html")


def copy(path: str | PathLike[str]) -> None:
    """Write the page to ``path``, over what is there.

    Raises
    ------
    OSError
        If there is no such folder, or no permission.
    """
    replace_file(Path(path), PAGE.read_bytes())


def show() -> bool:
    """Open the page in the user's browser; False where none could be started."""
    return webbrowser.open(PAGE.as_uri())
