"""Files on an S3 and on an SFTP server, loaded and written as a user does it."""

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.support.cli import Headrace
from tests.support.object_stores import Options, azure_storage, google_storage
from tests.support.places import NotInstalled
from tests.support.remote_servers import PASSWORD, S3, SECRET, Sftp, s3_server, sftp_server
from tests.support.servers import connect


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_server("sales", "out") as server:
        yield server


@pytest.fixture
def sftp(tmp_path) -> Iterator[Sftp]:
    with sftp_server(tmp_path) as server:
        yield server


@pytest.fixture
def project(tmp_path, database, redis_url, second, second_server_of_another_major):
    """Give what makes a project of steps and `storage`, with a second server as `dwh`."""
    dwh = second_server_of_another_major.url_for("other", "etl")

    def made(storage: dict[str, Any], steps: list[dict[str, Any]]) -> Headrace:
        (tmp_path / "pipelines").mkdir()
        steps = [{"retry": {"limit": 0}, **step} for step in steps]
        (tmp_path / "pipelines" / "p.yaml").write_text(json.dumps({"name": "p", "steps": steps}))
        config = {"connections": {"dwh": dwh}, "storage": storage}
        (tmp_path / "config.yaml").write_text(json.dumps(config))
        environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database,
                   "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}  # fmt: skip
        return Headrace(tmp_path, environ | {"REDIS_URL": redis_url})

    return made


def load(path: str, table: str, **more: Any) -> dict[str, Any]:
    with_ = {"path": path, "table": table, "connection": "dwh", "create": True, **more}
    return {"id": f"load_{table}", "job": "LoadFile", "with": with_}


def results(headrace: Headrace) -> dict[str, dict[str, Any]]:
    jobs = reversed(headrace("jobs", "--json", "--limit", "50").json["items"])
    return {one["step"]: one for one in jobs}


def test_a_pattern_on_s3_is_loaded_each_file_once_and_an_export_is_read_back(
    project, s3, second_server_of_another_major
):
    s3.put("sales", "in/1.csv", b"id,name\n1,Ann\n")
    s3.put("sales", "in/2.csv.gz", gzip.compress(b"id,name\n2,Bob\n"))
    s3.put("sales", "in/.hidden.csv", b"id,name\n9,Not\n")
    storage = {f"s3://{name}": s3.options() for name in ("sales", "out")}
    export = {"path": "s3://out/day/orders.parquet", "connection": "dwh",
              "sql": "SELECT generate_series(1, 7) AS id"}  # fmt: skip
    parts = {"path": "s3://out/parts/n.csv", "connection": "dwh", "split": {"rows": 3},
             "sql": "SELECT generate_series(1, 7) AS id"}  # fmt: skip
    headrace = project(storage, [
        load("s3://sales/in/*.csv*", "orders", new_files_only=True, metadata=["_file"]),
        {"id": "export", "job": "ExportQuery", "with": export},
        {"id": "parts", "job": "ExportQuery", "with": parts},
        {**load("s3://out/day/orders.parquet", "back"), "depends_on": ["export"]},
    ])  # fmt: skip
    planned = headrace("plan", "p", "--data", "--json").json["steps"][0]["data"]

    first = headrace("run", "p", timeout=150)
    again = headrace("run", "p", timeout=150)

    jobs = results(headrace)
    assert {one["status"] for one in jobs.values()} == {"completed"}, first.out + again.out
    assert [one["name"] for one in planned["files"]] == [
        "s3://sales/in/1.csv", "s3://sales/in/2.csv.gz"
    ]  # fmt: skip
    assert planned["tables"][0]["insert"] == 2
    assert jobs["load_orders"]["result"]["files"] == 0
    dwh = second_server_of_another_major.url_for("other", "etl")
    with closing(connect(dwh)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT id, name, _file FROM orders ORDER BY id")
        assert cursor.fetchall() == [
            ("1", "Ann", "s3://sales/in/1.csv"), ("2", "Bob", "s3://sales/in/2.csv.gz")
        ]  # fmt: skip
        cursor.execute("SELECT count(*) FROM back")
        assert cursor.fetchall() == [(14,)]
    assert s3.names("out") == [
        "day/orders.parquet", "parts/n-0001.csv", "parts/n-0002.csv", "parts/n-0003.csv"
    ]  # fmt: skip
    contents = [s3.content("out", f"parts/n-000{n}.csv") for n in (1, 2, 3)]
    assert contents == [b"id\n1\n2\n3\n", b"id\n4\n5\n6\n", b"id\n7\n"]
    assert SECRET not in first.out + first.err + json.dumps(jobs, default=str)


@pytest.fixture(params=["gs", "az"])
def store(request, tmp_path) -> Iterator[tuple[str, Options]]:
    """A bucket at Google's or Azure's kind of server: its URL, and what the settings say of it."""
    server = google_storage("sales") if request.param == "gs" else azure_storage("sales", tmp_path)
    with ExitStack() as stack:
        try:
            options = stack.enter_context(server)
        except NotInstalled as missing:
            pytest.skip(str(missing))
        yield f"{request.param}://sales", options


def test_what_is_exported_to_google_or_azure_is_loaded_again_by_a_pattern(
    project, store, second_server_of_another_major
):
    url, options = store
    whole = {"path": f"{url}/day/n.csv.gz", "connection": "dwh",
             "sql": "SELECT repeat('x', 1000) AS pad FROM generate_series(1, 9000)"}  # fmt: skip
    parts = {"path": f"{url}/parts/n.parquet", "connection": "dwh", "split": {"rows": 3},
             "sql": "SELECT generate_series(1, 7) AS id"}  # fmt: skip
    headrace = project({url: options}, [
        {"id": "export", "job": "ExportQuery", "with": whole},
        {"id": "parts", "job": "ExportQuery", "with": parts},
        {**load(f"{url}/day/*.csv*", "back"), "depends_on": ["export"]},
        {**load(f"{url}/parts", "numbers", new_files_only=True), "depends_on": ["parts"]},
        load(f"{url}/nowhere.csv", "missing"),
    ])  # fmt: skip

    said = headrace("run", "p", timeout=150)

    jobs = results(headrace)
    failed = {step: one["error"] for step, one in jobs.items() if one["status"] == "failed"}
    assert failed == {"load_missing": f"there is no {url}/nowhere.csv"}, said.out + said.err
    dwh = second_server_of_another_major.url_for("other", "etl")
    with closing(connect(dwh)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(length(pad)) FROM back")
        assert cursor.fetchall() == [(9000, 9_000_000)]
        cursor.execute("SELECT id::int FROM numbers ORDER BY 1")
        assert cursor.fetchall() == [(n,) for n in range(1, 8)]
    assert "AccountKey" not in said.out + said.err + json.dumps(jobs, default=str)


def test_a_folder_on_an_sftp_server_is_loaded_and_an_export_appears_whole(
    project, sftp, second_server_of_another_major
):
    (sftp.folder / "in").mkdir()
    (sftp.folder / "in" / "a.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    (sftp.folder / "in" / "b.jsonl").write_text('{"id": 3}\n')
    export = {"path": f"{sftp.url}/out/new/x.csv.gz", "connection": "dwh",
              "sql": "SELECT 5 AS id"}  # fmt: skip
    broken = {"path": f"{sftp.url}/out/broken.csv", "connection": "dwh",
              "sql": "SELECT 1 / (n - 3) AS id FROM generate_series(1, 5) AS n"}  # fmt: skip
    headrace = project({sftp.url: sftp.options()}, [
        load(f"{sftp.url}/in", "numbers"),
        {"id": "export", "job": "ExportQuery", "with": export},
        {"id": "broken", "job": "ExportQuery", "with": broken},
    ])  # fmt: skip

    said = headrace("run", "p", timeout=150)

    jobs = results(headrace)
    assert jobs["load_numbers"]["result"] == {
        "row_count": 3, "table": "numbers", "files": 2
    }, said.out  # fmt: skip
    assert gzip.decompress((sftp.folder / "out/new/x.csv.gz").read_bytes()) == b"id\n5\n"
    assert jobs["broken"]["status"] == "failed"
    assert sorted(one.name for one in sftp.folder.rglob("*.csv*")) == ["x.csv.gz"]
    assert not list(sftp.folder.rglob(".*"))


def test_what_cannot_be_reached_says_why_and_shows_no_secret(project, s3, sftp):
    """No such file, a wrong password, an unknown host key, a bucket that is not listed."""
    s3.put("sales", "in/1.csv", b"id\n1\n")
    (sftp.folder / "a.csv").write_text("id\n1\n")
    unknown = sftp.known_hosts.with_name("empty")
    unknown.write_text("")
    other = f"sftp://localhost:{sftp.port}"
    storage = {
        "s3://sales": s3.options(),
        sftp.url: {**sftp.options(), "password": "wrong-and-not-to-be-seen"},
        other: {**sftp.options(), "known_hosts": str(unknown)},
    }
    steps = [
        load("s3://sales/in/2.csv", "missing"),
        load("s3://sales/none/*.csv", "nothing"),
        load(f"{sftp.url}/a.csv", "password"),
        load(f"{other}/a.csv", "stranger"),
    ]
    headrace = project(storage, steps)

    headrace("run", "p", timeout=150)

    jobs = {name: one["error"] for name, one in results(headrace).items()}
    assert jobs["load_missing"] == "there is no s3://sales/in/2.csv"
    assert "no file matches" in jobs["load_nothing"]
    assert jobs["load_password"].startswith(f"{sftp.url}/a.csv: ")
    assert "uthentication" in jobs["load_password"]
    assert "known_hosts" in jobs["load_stranger"]
    assert "not-to-be-seen" not in json.dumps(jobs)
    headrace.folder.joinpath("pipelines/p.yaml").write_text(
        json.dumps({"name": "p", "steps": [load("s3://other/x.csv", "unlisted")]})
    )
    refused = headrace("validate")
    assert refused.code == 1
    assert "s3://other is not listed under `storage` in config.yaml" in refused.out + refused.err
    assert PASSWORD not in refused.out + refused.err
