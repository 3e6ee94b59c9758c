"""A real browser looks at the served page; without one, these tests are skipped."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.engine.application import Headrace
from tests.browser.chromium import Chromium
from tests.support.web import installation, served

Look = Callable[[str], str]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Yield a browser, or skip: its start takes longer than a test."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on the PATH")
    started = Chromium(program, tmp_path_factory.mktemp("profile"))
    try:
        yield started
    finally:
        started.close()


@pytest.fixture
def chromium(browser: Chromium) -> Iterator[Chromium]:
    """Yield the browser with a page of the test's own; one that makes it complain has failed."""
    with browser.page():
        yield browser
        # The page asks whether the installation is ready, and shows it: a busy machine may not be.
        late = [
            text
            for text in browser.complaints
            if text.endswith("/health/ready") and " 503 " in text
        ]
        assert [text for text in browser.complaints if text not in late] == []


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path, port=0) as found:
        yield found


@pytest.fixture
def look(chromium: Chromium, headrace: Headrace) -> Iterator[Look]:
    """Return what a view has become in the browser, as HTML."""

    def look(path: str) -> str:
        chromium.open(address + path)
        chromium.until("document.querySelector('main h1')")
        page: str = chromium.value("document.documentElement.outerHTML")
        return page

    with served(headrace) as (address, _server):
        yield look
        # Let go of a run's stream of events: the server waits for it.
        chromium.open("about:blank")
