"""A real browser looks at the served page; without one, these tests are skipped."""

import html
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.engine.wiring import Headrace
from tests.support.web import installation, served

# What a page may take to fetch and draw, in milliseconds of the browser's own clock.
BUDGET_MS = 3000

Look = Callable[[str], str]


@pytest.fixture(scope="session")
def browser() -> str:
    """Return the path of a Chromium, or skip."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on the PATH")


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path, port=0) as found:
        yield found


@pytest.fixture
def look(browser: str, headrace: Headrace, tmp_path: Path) -> Iterator[Look]:
    """Return what a view has become in the browser, as HTML with its entities resolved."""
    with served(headrace) as (address, _server):
        yield lambda path: html.unescape(_drawn(browser, address + path, tmp_path / "profile"))


def _drawn(browser: str, url: str, profile: Path) -> str:
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={profile}",
        f"--virtual-time-budget={BUDGET_MS}",
        "--enable-logging=stderr",
        "--dump-dom",
    )
    drawn = subprocess.run(
        [browser, *options, url], capture_output=True, text=True, timeout=50, check=True
    )
    complaints = re.findall(r".*CONSOLE.*", drawn.stderr)
    assert complaints == []
    return drawn.stdout
