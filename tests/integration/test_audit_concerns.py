"""What an entry of the audit trail concerns, in its column and where older programs leave it."""

import contextlib
from pathlib import Path
from typing import Any

from headrace.engine.access.audit import audited, concerns
from headrace.model.ids import new_id
from headrace.store.migrations import FOLDER
from tests.support.cli import Headrace
from tests.support.servers import connect
from tests.support.web import client_of, installation

RUN = str(new_id())
# As programs end a deed that know the schema up to 0023.
OLD_BEGIN = (
    "INSERT INTO headrace.audit (id, actor, via, role, action, path, address)"
    " VALUES (%s, 'olga', 'command', 'admin', 'run', 'headrace run plain', 'host')"
)
OLD_END = "UPDATE headrace.audit SET outcome = 'done', status = 0, path = path || %s WHERE id = %s"


def ask(url: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with contextlib.closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


def old_deed(url: str, run: str) -> None:
    deed = str(new_id())
    ask(url, OLD_BEGIN, deed)
    ask(url, OLD_END, f" → run {run}", deed)


def test_entries_of_before_and_of_an_older_program_beside_show_their_ids_everywhere(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    url, before, beside = database, str(new_id()), str(new_id())
    ask(url, "ALTER TABLE headrace.audit DROP COLUMN concerns")
    old_deed(url, before)
    ask(url, (FOLDER / "versions/0024_concerns.sql").read_text())
    old_deed(url, beside)
    expected = [("headrace run plain", f"run {RUN}")] + [
        ("headrace run plain", f"run {one}") for one in (beside, before)
    ]

    with installation(url, redis_url, tmp_path) as headrace:
        with audited(headrace.database, "run", "headrace run plain"):
            concerns("run", [RUN])
        with audited(headrace.database, "pause", "headrace pause plain"):
            pass
        with client_of(headrace) as client:
            answered = client.get("/audit").json()["items"]
    command = Headrace(tmp_path, {"DATABASE_URL": url, "REDIS_URL": redis_url})
    lines = command("audit").out.splitlines()

    shown = [(row["path"], row["concerns"]) for row in answered]
    assert shown == [("headrace pause plain", None), *expected]
    assert lines[0].split()[-2:] == ["PATH", "CONCERNS"]
    for line, (_, ids) in zip(lines[2:], expected, strict=True):
        assert line.endswith(ids)
    columns = ask(url, "SELECT path, concerns FROM headrace.audit ORDER BY id DESC LIMIT 2")
    assert columns == [("headrace pause plain", None), ("headrace run plain", f"run {RUN}")]
