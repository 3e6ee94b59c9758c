"""`headrace plan --diff` beside a real daemon."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli import Done, Headrace
from tests.support.processes import deadline
from tests.support.servers import connect

SALES = """\
name: sales
schedule: {cron: "0 1 * * *", timezone: Europe/Berlin}
params: {day: {type: date, default: "2026-01-31"}}
defaults: {queue: low}
steps:
  - id: load
    job: LoadFile
    with: {path: orders.csv, table: orders}
  - id: totals
    job: RunSql
    depends_on: [load]
    with:
      sql: |
        SELECT region, sum(amount)
          FROM orders
         GROUP BY region
  - {id: wait, job: SlowQuery, with: {duration: 1}}
"""
EDITED = (
    SALES.replace('"0 1 * * *"', '"30 2 * * *"')
    .replace("table: orders}", "table: staging.orders}")
    .replace("FROM orders", "FROM staging.orders")
    .replace("queue: low", "queue: high")
    .replace("- {id: wait, job: SlowQuery", "- {id: fib, job: Fibonacci")
    .replace("duration: 1", "n: 3")
)


@pytest.fixture
def headrace(tmp_path: Path, database: str, redis_url: str) -> Headrace:
    """The daemon's pipelines are in `pipelines`; the files beside it are what was edited."""
    for name in ("pipelines", "edited"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sales.yaml").write_text(SALES)
    return Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})


@pytest.fixture
def edited(headrace: Headrace) -> Headrace:
    """The same installation, seen from the edited files."""
    return Headrace(headrace.folder, {**headrace.environ, "HEADRACE_PIPELINES": "edited"})


@pytest.fixture
def daemon(headrace: Headrace) -> Iterator[None]:
    with headrace.started("daemon") as daemon:
        daemon.wait_for("leading, term 1")
        yield


def until(look: Callable[[], Done], says: str) -> Done:
    """The daemon looks at its files once a second."""
    give_up = deadline(30)
    while says not in (done := look()).out:
        assert time.monotonic() < give_up, done
        time.sleep(0.2)
    return done


def test_an_edit_is_told_by_its_meaning_with_places_and_fire_times(
    daemon: None, headrace: Headrace, edited: Headrace
):
    same = until(lambda: headrace("plan", "sales", "--diff"), "no difference (")
    assert same.code == 0
    (headrace.folder / "edited" / "sales.yaml").write_text(EDITED)

    done = edited("plan", "sales", "--diff")

    assert done.code == 0
    told = done.out.splitlines()
    assert 'edited/sales.yaml:2:18: schedule: cron "0 1 * * *" → "30 2 * * *"' in done.out
    assert '~ edited/sales.yaml:8:37: step load: with.table "orders" → "staging.orders"' in told
    assert '~ edited/sales.yaml:4:19: step load: queue "low" → "high"' in told
    assert "~ edited/sales.yaml:13:12: step totals: with.sql changed" in told
    assert "    -  FROM orders" in told
    assert "    +  FROM staging.orders" in told
    assert "+ edited/sales.yaml:17:5: step fib added, Fibonacci" in told
    assert "- edited/sales.yaml:6:3: step wait removed, SlowQuery" in told
    before = told[told.index("next fire times before") + 1]
    after = told[told.index("next fire times after") + 1]
    assert " 01:00:00 " in before
    assert " 02:30:00 " in after or " 03:00:00 " in after

    listed = edited("plan", "sales", "--diff", "--json").json
    assert listed["verdict"] == "different"
    assert len(listed["next_instants"]["before"]) == len(listed["next_instants"]["after"]) == 5
    table = next(one for one in listed["changes"] if one["path"][-1] == "table")
    assert (table["old"], table["new"], table["line"]) == ("orders", "staging.orders", 8)


def test_a_comment_is_no_difference(daemon: None, headrace: Headrace, edited: Headrace):
    until(lambda: headrace("plan", "sales", "--diff"), "no difference (")
    (headrace.folder / "edited" / "sales.yaml").write_text(f"# nightly\n\n{SALES}")
    done = edited("plan", "sales", "--diff")
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert "no difference except in comments or layout" in done.out


def test_a_broken_edit_is_told_beside_the_version_that_goes_on(daemon: None, headrace: Headrace):
    first = until(lambda: headrace("plan", "sales", "--diff"), "no difference (")
    version = first.out.partition("version ")[2][:12]
    (headrace.folder / "pipelines" / "sales.yaml").write_text(SALES.replace("SlowQuery", "Slow"))

    done = headrace("plan", "sales", "--diff")

    assert done.code == 1
    assert 'pipelines/sales.yaml:17:21: step "wait" names an unknown job "Slow"' in done.out
    assert f"the daemon continues with version {version}" in done.out
    listed = headrace("plan", "sales", "--diff", "--json")
    assert (listed.code, listed.json["verdict"]) == (1, "invalid")
    assert listed.json["problems"][0]["line"] == 17
    (headrace.folder / "pipelines" / "sales.yaml").write_text("name: [\n")
    unread = headrace("plan", "sales", "--diff")
    assert unread.code == 1
    assert "the file is invalid; the daemon continues with" in unread.out


def test_new_and_removed_files_are_told_and_leave_the_table(
    daemon: None, headrace: Headrace, edited: Headrace, database: str
):
    until(lambda: headrace("plan", "sales", "--diff"), "no difference (")
    (headrace.folder / "edited" / "new.yaml").write_text(SALES.replace("name: sales", "name: new"))
    assert "does not run it yet" in edited("plan", "new", "--diff").out
    (headrace.folder / "edited" / "sales.yaml").unlink()
    gone = edited("plan", "sales", "--diff")
    assert gone.code == 0
    assert "the file is missing; the daemon runs version" in gone.out
    assert edited("plan", "sale", "--diff").code == 1

    shutil.copy(headrace.folder / "edited" / "new.yaml", headrace.folder / "pipelines")
    until(lambda: headrace("plan", "new", "--diff"), "no difference (")
    (headrace.folder / "pipelines" / "sales.yaml").unlink()
    give_up = deadline(30)
    while kept(database) != ["new"]:
        assert time.monotonic() < give_up, kept(database)
        time.sleep(0.2)


def test_without_a_daemon_or_a_database_it_says_so_and_ends_2(headrace: Headrace, tmp_path: Path):
    idle = headrace("plan", "sales", "--diff")
    assert idle.code == 2
    assert "no daemon is running" in idle.err
    away = Headrace(headrace.folder, {"DATABASE_URL": "postgresql://127.0.0.1:1/x"})
    assert away("plan", "sales", "--diff").code == 2
    embedded = Headrace(headrace.folder, {"HEADRACE_HOME": str(tmp_path / "home")})
    done = embedded("plan", "sales", "--diff")
    assert done.code == 2
    assert "the embedded servers" in done.err
    assert not (tmp_path / "home").exists()
    assert headrace("plan", "sales", "--diff", "-p", "day=2026-01-01").code == 2


def kept(database: str) -> list[str]:
    with contextlib.closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT name FROM headrace.pipeline ORDER BY name")
        return [name for (name,) in cursor.fetchall()]
