"""Job files that are not what they seem: links that lead nowhere, names that are no jobs."""

import collections
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from headrace.engine.catalog import job_files
from headrace.engine.catalog.job_files import JobFilesWatch, digest_of, folders_of
from headrace.engine.catalog.job_modules import JobModules, class_of_its_file
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.project_files import files_of
from headrace.engine.catalog.type_hints import describe
from headrace.errors import UnknownJobClass
from tests.support.fake_database import FakeDatabase


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package of jobs."""
    folder = tmp_path / "odd_jobs"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [one for one in sys.modules if one.partition(".")[0] == "odd_jobs"]:
        del sys.modules[name]


def test_a_package_that_cannot_be_looked_for_hides_none_of_the_others(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specless = ModuleType("specless")
    monkeypatch.setitem(sys.modules, "specless", specless)

    assert folders_of(["specless.jobs", "odd_jobs.more"], None) == [package]


def test_a_link_that_leads_nowhere_is_a_file_like_others(package: Path) -> None:
    before = digest_of([package])
    # As an editor leaves one beside a file that it edits.
    (package / ".#a.py").symlink_to(package.parent / "gone")
    dangling = digest_of([package])
    (package.parent / "gone").write_text("")

    assert len({before, dangling, digest_of([package])}) == 3


def test_a_link_that_leads_nowhere_has_no_classes(package: Path) -> None:
    (package / "orders.py").write_text("class Orders:\n    pass\n")
    (package / "orders").mkdir()
    (package / "orders" / "load.py").write_text("class Load:\n    pass\n")
    (package / "orders" / "gone.py").symlink_to("nowhere.py")

    (clash,) = files_of(package).clashes

    assert clash.names == {"orders", "Orders", "Load"}


def test_a_class_whose_file_does_not_import_is_looked_for_in_all_of_them(package: Path) -> None:
    (package / "good_one.py").write_text(
        "from jobs.base import BaseJob\nclass GoodOne(BaseJob):\n    def handle(self): ...\n"
    )
    (package / "bad_one.py").write_text("import no_such_library\nclass BadOne: ...\n")

    found = class_of_its_file("odd_jobs", "GoodOne")
    assert found is not None
    assert found.__name__ == "GoodOne"
    assert class_of_its_file("odd_jobs", "BadOne") is None


def test_of_a_file_only_its_own_jobs_with_a_name_for_users_are_taken(package: Path) -> None:
    (package / "many.py").write_text(
        "from jobs.base import BaseJob\n"
        "from jobs.fibonacci import Fibonacci\n"
        "class One(BaseJob):\n    def handle(self): ...\n"
        "class Two(One): ...\n"
        "class _Shared(One): ...\n"
        "class foreach(One): ...\n"
        "class Plain: ...\n"
        "number = 5\n"
    )

    made = JobModules("odd_jobs", None)

    assert list(made.classes) == ["One", "Two"]
    assert (made.broken, made.clashes) == ({}, [])


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("jobs.base.get_db", "it is not a subclass of BaseJob"),
        ("jobs.base.BaseJob", "it is not a subclass of BaseJob"),
        (
            "jobs.base.Nothing",
            (
                "it cannot be imported: AttributeError: module 'headrace.jobs.base' has no"
                " attribute 'Nothing'"
            ),
        ),
    ],
)
def test_a_dotted_path_leads_to_a_job(path: str, told: str) -> None:
    with pytest.raises(UnknownJobClass) as caught:
        Registry().get(path)

    assert str(caught.value) == f'unknown job "{path}"; {told}'


def test_a_folder_that_has_not_been_read_yet_says_nothing_of_the_files(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go, now = threading.Event(), [0.0]

    class Slow:
        loaded = "as-loaded"

        def names(self) -> list[str]:
            return []

        def on_disk(self) -> str:
            assert go.wait(60)
            return "other"

    registry: Any = Slow()
    database = FakeDatabase()
    monkeypatch.setattr(job_files, "_PATIENCE_S", 0.0)
    watch = JobFilesWatch(registry, lambda: now[0])
    for expected in ([], [job_files._DAEMON]):
        now[0] += 5.0
        caplog.clear()
        watch.look()
        watch.compare(database)
        told = [one.message for one in caplog.records if one.levelno == logging.WARNING]
        assert [one for one in told if one == job_files._DAEMON] == expected
        assert len(database.asked) == len(expected)
        go.set()
        monkeypatch.setattr(job_files, "_PATIENCE_S", 60.0)


def test_a_process_with_other_files_is_named_once_for_each_state_of_the_files(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, disk = [0.0], ["loaded"]
    registry: Any = SimpleNamespace(loaded="loaded", names=list[str], on_disk=lambda: disk[0])
    seen = datetime.now(UTC)
    worker = {"name": "w", "status": "running", "job_files": "loaded", "seen_at": seen}
    database = FakeDatabase(
        {
            "workers": [
                worker,
                {**worker, "name": "stopped", "status": "stopped", "job_files": "x"},
                {**worker, "name": "dead", "job_files": "x", "seen_at": seen - timedelta(days=1)},
                {**worker, "name": "silent", "job_files": None},
            ]
        }
    )
    watch = JobFilesWatch(registry, lambda: now[0])

    def told(state: str) -> list[str]:
        """Return what two looks say, of which the second finds the same."""
        disk[0] = state
        caplog.clear()
        for _ in range(2):
            now[0] += 5.0
            watch.look()
            watch.compare(database)
        return [one.message for one in caplog.records if one.levelno == logging.WARNING]

    both = [job_files._DAEMON, job_files.restart_hint("w")]
    assert [told(state) for state in ("loaded", "other", "third", "other")] == [[], both, both, []]
    asked = len(database.asked)
    watch.look()
    watch.compare(database)
    assert len(database.asked) == asked == 8, "the files were not looked at again"


def test_a_mapping_that_does_not_name_its_values_is_called_one() -> None:
    assert describe(collections.Counter[str]) == "a mapping"
    assert describe(dict[str, int]) == "a mapping to a whole number"
