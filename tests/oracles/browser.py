"""Chromium without a window, spoken to over its DevTools pipe: JSON messages that end in a zero byte, no library.

``find()`` names the browser, or is None. ``Browser(page)`` opens a page: ``evaluate`` runs JavaScript and waits for
promises, ``press`` sends keys as a keyboard would, ``resize`` sets the window, ``screenshot`` saves what it shows.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --no-first-run "
    "--disable-component-update --disable-sync --disable-default-apps --hide-scrollbars --remote-debugging-pipe"
)
KEYS = {
    "Tab": 9, "Enter": 13, " ": 32, "Backspace": 8, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
    "End": 35, "Home": 36,
}  # fmt: skip

PATIENCE = 60  # seconds without a word from the browser, after which it counts as lost


def find() -> str | None:
    """The path of Chromium, or None where there is none."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


class Browser:
    """A page in a browser with an empty profile; a context manager that ends the browser's process."""

    def __init__(self, page: Path, address: str = "", *, size: tuple[int, int] = (1440, 900)) -> None:
        self.profile = tempfile.mkdtemp(prefix="pyham-browser-")
        read_there, self._write = os.pipe()
        self._read, write_there = os.pipe()
        executable = find()
        assert executable is not None
        command = [
            executable,
            *OPTIONS.split(),
            f"--user-data-dir={self.profile}",
            f"--window-size={size[0]},{size[1]}",
        ]
        fds = f'exec 3<&{read_there} 4>&{write_there}; exec "$@"'  # the browser reads from 3 and writes to 4
        self.process = subprocess.Popen(
            ["bash", "-c", fds, "browser", *command, "about:blank"],
            pass_fds=(read_there, write_there), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_there)
        os.close(write_there)
        self._rest, self._count, self.events = b"", 0, list[dict[str, Any]]()
        self._session: str | None = None
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.resize(*size)
        try:
            self.open(page, address)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._session = None
            self._post("Browser.close")
        self.process.wait(timeout=30)
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _post(self, method: str, **parameters: Any) -> int:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._write, rest) :]
        return self._count

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a DevTools command; events that come meanwhile are kept in ``events``."""
        number = self._post(method, **parameters)
        while True:
            message = self._next()
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            self.events.append(message)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            part = os.read(self._read, 1 << 20) if ready else b""
            assert part, "the browser has ended, or does not answer"
            self._rest += part
        first, _, self._rest = self._rest.partition(b"\0")
        return json.loads(first)

    def open(self, page: Path, address: str = "") -> None:
        """Loads a page, with what follows its name in the address, and waits until its panels are drawn."""
        self.send("Page.navigate", url="about:blank")
        self.wait("Page.loadEventFired")
        self.send("Page.navigate", url=page.resolve().as_uri() + address)
        self.wait("Page.loadEventFired")
        assert not (problems := self.problems()), problems
        self.evaluate("window.pyhamPlayground?.settled()")

    def problems(self) -> list[Any]:
        """What the page has complained about: exceptions, errors and warnings in the console."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [message["params"] for message in self.events if message.get("method") in kinds]

    def wait(self, event: str) -> None:
        """Waits until the browser reports an event, and forgets this and all earlier ones of its kind."""
        while event not in [message.get("method") for message in self.events]:
            self.events.append(self._next())
        self.events = [message for message in self.events if message.get("method") != event]

    def evaluate(self, code: str) -> Any:
        """The value of JavaScript, or of the promise that it gives."""
        result = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str, times: int = 1) -> None:
        """Presses a key."""
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        code = KEYS.get(key, ord(key[0].upper()))
        for _ in range(times):
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def resize(self, width: int, height: int, *, dark: bool = False, calm: bool = False) -> None:
        """The window's size, and what the user prefers."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.send("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Saves what the window shows, or the whole page, as PNG."""
        result = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))
