"""Embedded servers that belong to one process: they end with it, however it ends.

A process of their own keeps them and waits for the end of its input, which comes when the
borrower closes it, exits or is killed. Nothing of them is left then.
"""

import atexit
import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from headrace.errors import EmbeddedError
from headrace.store import embedded


@cache
def borrowed_url() -> str:
    """Return the URL of this process's own PostgreSQL, started at the first call.

    Raises:
        EmbeddedError: It does not start.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    line = keeper.stdout.readline()
    keeper.stdout.close()
    atexit.register(_give_back, keeper)
    said = json.loads(line or '{"error": "the embedded servers cannot be started"}')
    if "error" in said:
        raise EmbeddedError(said["error"])
    return str(said["database_url"])


def _give_back(keeper: "subprocess.Popen[str]") -> None:
    assert keeper.stdin is not None
    keeper.stdin.close()
    keeper.wait()


def keep() -> None:
    """Keep the servers until nobody holds the other end of this process's input."""
    with tempfile.TemporaryDirectory(prefix="headrace-testing-") as folder:
        home = Path(folder) / "home"
        try:
            print(json.dumps({"database_url": embedded.start(home).database_url}), flush=True)
            sys.stdin.read()
        except EmbeddedError as error:
            print(json.dumps({"error": str(error)}), flush=True)
        finally:
            embedded.stop(home)


if __name__ == "__main__":
    keep()
