"""Files over HTTPS into memory, and a progress bar for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

PIECE = 1 << 16  #: bytes at a time
TIMEOUT = 30.0  #: seconds to wait for a connection, and for each piece

#: What hears of progress: (bytes so far, of how many, or None if the server does not say).
Report = Callable[[int, int | None], None]


def fetch(url: str, limit: int, report: Report) -> bytes:
    """What the server sends for ``url``, at most ``limit`` bytes. Certificates are verified, as Python does by default.

    Raises
    ------
    OSError
        If there is no connection, the server refuses, or it breaks off.
    ValueError
        If there is more than ``limit``.
    """
    import ssl  # here, because they take longer to import than the rest of pyham
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    body = bytearray()
    try:
        trusted = ssl.create_default_context()  # of now: from Python 3.12 on urllib keeps those of its first call
        with urlopen(url, timeout=TIMEOUT, context=trusted) as response:
            total: int | None = response.length
            report(0, total)
            while len(body) <= limit and (piece := response.read(PIECE)):
                body += piece
                report(len(body), total)
    except HTTPError as error:
        error.close()
        raise OSError(f"{url}: expected a file, got HTTP status {error.code} ({error.reason})") from None
    except (OSError, HTTPException) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise OSError(f"{url}: expected a file, got no connection or a broken one ({reason})") from error
    if len(body) > limit:
        raise ValueError(f"{url}: expected at most {limit} bytes, got more")
    if total is not None and len(body) != total:
        raise OSError(f"{url}: expected {total} bytes, got {len(body)}: the connection broke")
    return bytes(body)


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A bar on standard error while the context lasts; none where that is no terminal, so that logs stay readable."""
    from rich.console import Console  # here, because it takes longer to import than the rest of pyham
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:  # where older versions of rich would print empty lines
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
