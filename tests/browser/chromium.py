"""A headless Chromium, spoken to over two pipes in its DevTools protocol."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# How long a page may take until it shows what is waited for, in seconds.
PATIENCE_S = 60.0

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
)


class Chromium:
    """One browser with one page at a time; `complaints` has what its console has shown in red."""

    def __init__(self, program: str, profile: Path) -> None:
        self.complaints: list[str] = []
        self._number = 0
        self._session: str | None = None
        self._left = b""
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.DEVNULL,
            # It reads from descriptor 3 and writes to 4.
            preexec_fn=lambda: _take_places(theirs_in, theirs_out),  # noqa: PLW1509
            close_fds=False,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    @contextmanager
    def page(self) -> Iterator[None]:
        """Show a page that shares nothing with the one before: storage, cookies, cache."""
        context = self._ask("Target.createBrowserContext")["browserContextId"]
        target = self._ask("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self._ask("Target.attachToTarget", flatten=True, targetId=target["targetId"])
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")
        try:
            yield
        finally:
            self._session = None
            self._ask("Target.disposeBrowserContext", browserContextId=context)
            self.complaints = []

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def open(self, address: str) -> None:
        """Show an address anew, whatever was shown before."""
        self._ask("Page.navigate", url="about:blank")
        self._ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def value(self, expression: str) -> Any:
        """Return what a piece of JavaScript yields in the page."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until a piece of JavaScript yields something true."""
        end = time.monotonic() + PATIENCE_S
        while not self._holds(expression):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {expression}")
            time.sleep(0.05)

    def _holds(self, expression: str) -> bool:
        try:
            return bool(self.value(f"!!({expression})"))
        except AssertionError as error:
            # The page is being left for another one, which is asked next.
            if "navigated or closed" in str(error):
                return False
            raise

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        text = {"Enter": "\r"}.get(key)
        code = {"Enter": 13, "Tab": 9}[key]
        for kind in ("keyDown", "keyUp"):
            self._ask(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self._ask("Input.insertText", text=text)

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        command = {"id": self._number, "method": method, "params": params, **session}
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result
            self._note(said)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            piece = os.read(self._from, 65536)
            assert piece, "the browser has ended"
            self._left += piece
        message, self._left = self._left.split(b"\0", 1)
        said: dict[str, Any] = json.loads(message)
        return said

    def _note(self, said: dict[str, Any]) -> None:
        if said.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["params"]["exceptionDetails"]))
        elif said.get("method") == "Log.entryAdded":
            entry = said["params"]["entry"]
            if entry["level"] == "error":
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")


def _take_places(reads: int, writes: int) -> None:
    # Out of the way first: one of them may be 3 or 4 itself.
    high = [fcntl.fcntl(number, fcntl.F_DUPFD, 10) for number in (reads, writes)]
    os.dup2(high[0], 3)
    os.dup2(high[1], 4)
