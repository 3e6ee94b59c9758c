"""What the leading daemon hears at once."""

import threading

import pytest

from headrace.store import listen_notify
from tests.support.processes import wait_until
from tests.support.rows import Rows

NAME = "headrace:bell of a test"
RING = "NOTIFY headrace_bell"
END = (
    "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity"
    f" WHERE application_name = '{NAME}'"
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_bell_is_heard_again_after_its_connection_was_lost(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen_notify, "_PAUSE_S", 0.0)
    heard, over = threading.Event(), threading.Event()

    def hear() -> None:
        heard.set()
        if over.is_set():
            raise SystemExit  # The thread would go on as long as the process.

    def rung() -> bool:
        rows.sql(RING)
        return heard.wait(0.05)

    before = set(threading.enumerate())
    listen_notify.listen(rows.url, application_name=NAME, heard=hear)
    (thread,) = (one for one in threading.enumerate() if one not in before)
    try:
        wait_until(rung, what="the bell")
        assert rows.sql(END) == [{"count": 1}]
        heard.clear()
        wait_until(rung, what="the bell of a new connection")
    finally:
        over.set()
        heard.clear()
        wait_until(lambda: rung() or not thread.is_alive(), what="the last bell")
        thread.join()
