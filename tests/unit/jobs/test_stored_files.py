"""Files of an export that go to a server: what is said where it takes some of them only."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import jobapi
from headrace.errors import HeadraceError, InvalidPayload, JobFailure
from headrace.jobs.remote import file_system, remote_files
from headrace.jobs.remote.file_system import told
from headrace.jobs.remote.locations import Location, StorageRefused, is_remote, location_of


def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: str) -> str:
    def _store(url: str, _local: Path) -> None:
        if url == refused:
            raise JobFailure(f"{url}: no room")

    monkeypatch.setattr(remote_files, "_store", _store)
    monkeypatch.setattr(remote_files, "location_of", lambda url: url)
    with pytest.raises(JobFailure) as error, remote_files.StoredFiles("s3://b/x.csv") as files:
        files._written = {f"s3://b/x-{n}.csv": tmp_path / str(n) for n in (1, 2, 3)}
    return str(error.value)


def test_the_files_that_are_stored_already_are_named(monkeypatch, tmp_path):
    told = store(monkeypatch, tmp_path, "s3://b/x-3.csv")
    assert told.startswith("s3://b/x-3.csv: no room; of the export's 3 files")
    assert told.endswith("s3://b/x-1.csv, s3://b/x-2.csv")


def test_a_failure_of_the_first_one_stands_by_itself(monkeypatch, tmp_path):
    assert store(monkeypatch, tmp_path, "s3://b/x-1.csv") == "s3://b/x-1.csv: no room"


def test_of_an_export_that_failed_before_nothing_is_stored(monkeypatch, tmp_path):
    monkeypatch.setattr(remote_files, "location_of", lambda url: url)
    monkeypatch.setattr(remote_files, "_store", pytest.fail)
    files = remote_files.StoredFiles("s3://b/x.csv")
    files._written = {"s3://b/x.csv": tmp_path / "1"}
    failure = JobFailure("a value has no place in the format")

    with pytest.raises(JobFailure) as error, files:
        raise failure

    assert error.value is failure
    assert not Path(files._folder.name).exists()


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("S3://Bucket/a/b#?.csv", {"key": "1"}),
        ("s3://other/a.csv", {"key": "2"}),
        ("sftp://h:2222/a.csv", {"key": "3"}),
        ("gs://bucket/a.csv", None),
        ("s3://bucke/a.csv", None),
        ("s3://bucket2/a.csv", None),
    ],
)
def test_a_place_has_the_options_of_its_own_entry(monkeypatch, url, options):
    storage = {"s3://bucket": {"key": "1"}, "S3://other/": {"key": "2"},
               "sftp://H:2222": {"key": "3"}}  # fmt: skip
    current = SimpleNamespace(permissions=SimpleNamespace(storage=storage))
    monkeypatch.setattr(jobapi, "current", lambda: current)
    if options is not None:
        assert location_of(url).options == options
        return
    with pytest.raises(StorageRefused) as refused:
        location_of(url)
    place = url.removesuffix("/a.csv")
    assert str(refused.value) == (
        f"{place} is not listed under `storage` in config.yaml, so jobs cannot reach it; it lists"
        f" s3://bucket, S3://other/, sftp://H:2222. An empty entry, `{place}: {{}}`, takes the"
        " credentials of the worker's environment"
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sftp://me@h/a.csv", "sftp://…@h: leave user and password out of the path"),
        ("s3://:secret@b/a.csv", "s3://…@b: leave user and password out of the path"),
        ("s3://b", "s3://b: write s3://bucket-or-host/path"),
        ("s3://b//", "s3://b//: write s3://bucket-or-host/path"),
        ("s3:///a.csv", "s3:///a.csv: write s3://bucket-or-host/path"),
        ("s3://b/a/../c", "s3://b/a/../c: `.` and `..` are not followed"),
        ("sftp://h/./a", "sftp://h/./a: `.` and `..` are not followed"),
    ],
)
def test_a_place_that_is_none_is_refused_before_anybody_is_asked(url, why):
    with pytest.raises(InvalidPayload) as refused:
        location_of(url)

    assert str(refused.value).startswith(why)
    assert "secret" not in str(refused.value)


def test_only_the_known_schemes_are_away():
    assert all(map(is_remote, ("S3://b/a", "sftp://h/a", "gs://b/a")))
    assert not any(map(is_remote, ("s3:/b/a", "a.csv", "x://b/a", "s3")))


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (FileNotFoundError("x"), "there is no s3://b/a"),
        (
            PermissionError("Access\n denied"),
            "s3://b/a: access is refused: PermissionError: Access",
        ),
        (ValueError("no"), "s3://b/a: ValueError: no"),
        (TimeoutError(), "s3://b/a: TimeoutError"),
        (JobFailure("its own words"), "its own words"),
        (InvalidPayload("its own words"), "its own words"),
    ],
)
def test_what_a_library_raises_names_the_file(raised, said):
    with pytest.raises(HeadraceError) as failure, told("s3://b/a"):
        raise raised

    assert str(failure.value).startswith(said)
    if isinstance(raised, HeadraceError):
        assert failure.value is raised


class Server:
    """An SFTP server or object store that keeps files in memory."""

    def __init__(self, *, refuses: str = "", cuts: bool = False) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: list[str] = []
        self._refuses, self._cuts = refuses, cuts
        self.ftp = SimpleNamespace(
            put=self.put_file, posix_rename=self._rename, remove=self._remove
        )

    def put_file(self, local: str, path: str) -> None:
        if self._refuses == "put":
            raise OSError("no room")
        content = Path(local).read_bytes()
        self.files[path] = content[:-1] if self._cuts else content

    def _rename(self, old: str, new: str) -> None:
        if self._refuses == "rename":
            raise OSError("no such name")
        self.files[new] = self.files.pop(old)

    def _remove(self, path: str) -> None:
        del self.files[path]

    def makedirs(self, folder: str, *, exist_ok: bool) -> None:
        assert exist_ok
        self.folders.append(folder)

    def info(self, path: str) -> dict[str, Any]:
        if path in self.files:
            return {"type": "file", "size": len(self.files[path]), "name": path}
        return {"type": "directory", "size": 0, "name": path}

    def ls(self, path: str, *, detail: bool) -> list[dict[str, Any]]:
        assert detail
        return [self.info(name) for name in self.files if name.startswith(path)]

    def glob(self, _path: str, *, detail: bool) -> dict[str, Any]:
        assert detail
        return {name: self.info(name) for name in self.files} | {"b/d": self.info("b/d")}


def put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, scheme: str) -> None:
    @contextmanager
    def opened(_location: Location):
        yield server

    monkeypatch.setattr(remote_files, "file_system", opened)
    monkeypatch.setattr(
        remote_files, "location_of", lambda url: Location(url, scheme, "h", "/in/x.csv", {})
    )
    monkeypatch.setattr(jobapi, "current", lambda: SimpleNamespace(job_id="job", attempt=2))
    local = tmp_path / "local"
    local.write_bytes(b"a\n1\n")
    remote_files._store(f"{scheme}://h/in/x.csv", local)


@pytest.mark.parametrize("scheme", ["sftp", "s3"])
def test_a_file_is_whole_on_its_server_or_that_is_told(monkeypatch, tmp_path, scheme):
    server = Server()
    put(monkeypatch, tmp_path, server, scheme)
    assert server.files == {"/in/x.csv": b"a\n1\n"}
    assert server.folders == (["/in"] if scheme == "sftp" else [])

    with pytest.raises(JobFailure, match=rf"^{scheme}://h/in/x.csv: 3 of 4 bytes were stored$"):
        put(monkeypatch, tmp_path, Server(cuts=True), scheme)


@pytest.mark.parametrize("step", ["put", "rename"])
def test_of_an_export_that_fails_no_hidden_file_is_left_on_a_server(monkeypatch, tmp_path, step):
    server = Server(refuses=step)

    with pytest.raises(JobFailure, match=r"^sftp://h/in/x.csv: OSError: no "):
        put(monkeypatch, tmp_path, server, "sftp")

    assert server.files == {}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("b/x.csv", ["b/x.csv"]),
        ("b/*.csv", ["b/x.csv", "b/y/z.csv"]),
        ("b", ["b/x.csv", "b/y/z.csv"]),
        ("b/.h/*", ["b/.h/w.csv"]),
    ],
)
def test_a_pattern_or_a_folder_means_the_files_that_are_not_hidden(path, names):
    server = Server()
    server.files = dict.fromkeys(("b/y/z.csv", "b/x.csv", "b/.v.csv", "b/.h/w.csv"), b"1")

    found = remote_files._listed(server, Location(f"s3://{path}", "s3", "b", path, {}))

    assert [name for name, _ in found] == names
    assert {size for _, size in found} == {1}


@pytest.mark.parametrize("missing", [0, 1])
def test_a_file_that_comes_in_part_is_not_read(monkeypatch, missing):
    server = Server()
    server.files = {"in/x.csv": b"id\n1\n"}

    def get_file(path: str, local: str) -> None:
        content = server.files[path]
        Path(local).write_bytes(content[: len(content) - missing])

    @contextmanager
    def opened(_location: Location):
        yield SimpleNamespace(info=server.info, get_file=get_file)

    monkeypatch.setattr(remote_files, "file_system", opened)
    monkeypatch.setattr(
        remote_files, "location_of", lambda url: Location(url, "s3", "b", "in/x.csv", {})
    )
    with ExitStack() as files:
        if missing:
            with pytest.raises(JobFailure) as failure:
                files.enter_context(remote_files.fetched("s3://b/in/x.csv"))
            assert str(failure.value).endswith(
                "in/x.csv: 4 of 5 bytes have come: the file has changed meanwhile, or did not come"
                " whole"
            )
        else:
            (found,) = files.enter_context(remote_files.fetched("s3://b/in/x.csv"))
            assert found.size_bytes == 5


@pytest.mark.parametrize("known_hosts", [None, "/keys"])
def test_an_sftp_server_has_to_be_one_of_the_known_hosts(monkeypatch, known_hosts):
    asked: list[Any] = []
    channel = SimpleNamespace(settimeout=lambda _seconds: None)
    client = SimpleNamespace(
        load_system_host_keys=lambda: asked.append("the user's own"),
        load_host_keys=asked.append,
        set_missing_host_key_policy=asked.append,
        connect=lambda host, **given: asked.append((host, given)),
        open_sftp=lambda: SimpleNamespace(get_channel=lambda: channel),
    )

    class Base:
        def __init__(self, host: str, **given: Any) -> None:
            self.host, self.ssh_kwargs = host, given
            self._connect()  # type: ignore[attr-defined]

    modules = {
        "paramiko": SimpleNamespace(SSHClient=lambda: client, RejectPolicy=lambda: "reject"),
        "fsspec.implementations.sftp": SimpleNamespace(SFTPFileSystem=Base),
    }
    monkeypatch.setattr(file_system, "library", lambda name, *_given: modules[name])
    options = {"username": "u"} | ({"known_hosts": known_hosts} if known_hosts else {})

    file_system._sftp(Location("sftp://h/x", "sftp", "h:2222", "/x", options))

    assert asked[:2] == [known_hosts or "the user's own", "reject"]
    assert asked[2][0] == "h"
    assert asked[2][1]["username"] == "u"
    assert "known_hosts" not in asked[2][1]
